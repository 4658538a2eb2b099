/* Finding, checking and loading plugins; the bad plugins of tests/badplugins are compiled with $CC and must each be refused
 * for the reason that tests/badplugins/expected states. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "context.h"
#include "plugin/registry.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char home[64]; /* the temporary folder with everything that is built */

static char *in_home(const char *path)
{
    char *whole = pd_format("%s/%s", home, path);
    assert_non_null(whole);
    return whole;
}

static pd_context *context(const char *path)
{
    pd_context *ctx = pd_context_create();
    assert_non_null(ctx);
    pd_log_level(ctx, PUDLE_LOG_WARNING);
    if (path) {
        char *whole = in_home(path);
        assert_int_equal(pd_plugin_path_add(ctx, PD_FROM_COMMAND_LINE, whole), PUDLE_OK);
        free(whole);
    }
    return ctx;
}

#define assert_says(ctx, words)                                             \
    do {                                                                    \
        if (!strstr(pd_error(ctx), words))                                  \
            fail_msg("expected '%s' in:\n%s", words, pd_error(ctx));        \
    } while (0)

static void shell(const char *format, ...)
{
    char command[2048];
    va_list list;
    va_start(list, format);
    vsnprintf(command, sizeof command, format, list);
    va_end(list);
    if (system(command))
        fail_msg("failed: %s", command);
}

/* A good plugin under another name: a copy of its source, compiled. */
static void build_good(const char *folder, const char *name)
{
    shell("mkdir -p %s/%s && ${CC:-cc} -shared -fPIC -w -I\"$top_srcdir/include\" -DNAME='\"%s\"' -x c "
          "-o %s/%s/%s.so \"$top_srcdir/tests/badplugins/good.h\"", home, folder, name, home, folder, name);
}

/* ------------------------------------------------------------- bad plugins */

typedef struct expectation { char kind[16], stage[16], name[64], words[256]; } expectation;

/* The next line of the list; false at its end. */
static bool next(FILE *list, expectation *e)
{
    char line[512];
    while (fgets(line, sizeof line, list)) {
        if (line[0] != '#' && sscanf(line, "%15s %15s %63s %255[^\n]", e->kind, e->stage, e->name, e->words) == 4)
            return true;
    }
    return false;
}

static FILE *open_list(void)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/tests/badplugins/expected", getenv("top_srcdir"));
    FILE *list = fopen(path, "r");
    assert_non_null(list);
    return list;
}

static void refused_at_load(pd_context *ctx, const expectation *e)
{
    const pd_plugin *plugin = NULL;
    char *path = pd_format("%s/%s/%s.so", home, e->kind, e->name);
    const pudle_status s = pd_plugin_find(ctx, pd_kind_from_name(e->kind), e->name, &plugin);
    if (s != PUDLE_ERR_ABI)
        fail_msg("%s: status %d, expected %d; %s", e->name, s, PUDLE_ERR_ABI, pd_error(ctx));
    assert_null(plugin);
    assert_int_equal(pd_error_count(ctx), 1);
    assert_says(ctx, e->words);
    assert_says(ctx, path);
    free(path);
}

static void refused_at_create(pd_context *ctx, const expectation *e)
{
    static const struct { double lambda, spare; int32_t choice; } params = { 0.1, 0, 0 };
    const pd_plugin *plugin = NULL;
    pudle_instance instance = { NULL, NULL };
    assert_int_equal(pd_plugin_find(ctx, pd_kind_from_name(e->kind), e->name, &plugin), PUDLE_OK);
    const pudle_status s = pd_instance_create(ctx, plugin, &params, &instance);
    assert_true(s < 0);
    assert_null(instance.desc);
    assert_int_equal(pd_error_count(ctx), 1);
    assert_says(ctx, e->words);
    assert_says(ctx, e->name);
}

/* Exit 42 when the crumbs in the signal handler are those expected. */
static const char *crumb;
static void on_crash(int number)
{
    (void)number;
    _exit(pd_calling_plugin && pd_calling_function && !strcmp(pd_calling_function, crumb) ? 42 : 43);
}

static void crashes(pd_context *ctx, const expectation *e)
{
    static const struct { double lambda, spare; int32_t choice; } params = { 0.1, 0, 0 };
    int status = 0;
    crumb = e->words + strlen("in ");
    const pid_t child = fork();
    if (child == 0) {
        const pd_plugin *plugin = NULL;
        pudle_instance instance;
        signal(SIGSEGV, on_crash);
        if (!pd_plugin_find(ctx, pd_kind_from_name(e->kind), e->name, &plugin))
            pd_instance_create(ctx, plugin, &params, &instance);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
}

static void bad_plugins_are_refused(void **state)
{
    (void)state;
    FILE *list = open_list();
    expectation e;
    int count = 0;
    for (; next(list, &e); count++) {
        pd_context *ctx = context("");
        if (!strcmp(e.stage, "load"))
            refused_at_load(ctx, &e);
        else if (!strcmp(e.stage, "create"))
            refused_at_create(ctx, &e);
        else
            crashes(ctx, &e);
        assert_null(pd_calling_plugin);
        pd_context_destroy(ctx);
    }
    fclose(list);
    print_message("# %d bad plugins\n", count);
    assert_true(count >= 50);
}

/* Cut anywhere, a file is refused or, where the cut loses nothing that counts, loads; it never crashes the process. */
static void every_truncation_is_survived(void **state)
{
    (void)state;
    char *good = in_home("good/prox/good.so"), *cut = in_home("cut/prox/good.so");
    struct stat info;
    shell("mkdir -p %s/cut/prox", home);
    assert_int_equal(stat(good, &info), 0);
    for (off_t size = 0; size < info.st_size; size += 97) {
        shell("head -c %ld %s >%s", (long)size, good, cut);
        pd_context *ctx = context("cut");
        const pd_plugin *plugin = NULL;
        assert_int_equal(pd_plugin_find(ctx, PUDLE_KIND_PROX, "good", &plugin), PUDLE_ERR_ABI);
        pd_context_destroy(ctx);
    }
    free(good);
    free(cut);
}

/* ------------------------------------------------------------- good plugins */

static void good_plugin_loads_once(void **state)
{
    (void)state;
    pd_context *ctx = context("good");
    const pd_plugin *a = NULL, *b = NULL;
    int count = 0;
    char *path = in_home("good/prox/good.so");
    assert_int_equal(pd_plugin_find(ctx, PUDLE_KIND_PROX, "good", &a), PUDLE_OK);
    assert_int_equal(pd_plugin_find(ctx, PUDLE_KIND_PROX, "good", &b), PUDLE_OK);
    assert_ptr_equal(a, b);
    assert_int_equal(pd_plugin_load_file(ctx, path, &b, &count), PUDLE_OK);
    assert_ptr_equal(a, b);
    assert_int_equal(count, 1);
    assert_string_equal(a->desc->name, "good");
    assert_string_equal(a->path, path);
    assert_int_equal(strlen(a->sha256), 64);
    assert_int_equal(a->abi_major, PUDLE_ABI_MAJOR);
    assert_int_equal(a->abi_minor, PUDLE_ABI_MINOR);
    assert_string_equal(pd_error(ctx), "");
    free(path);
    pd_context_destroy(ctx);
}

static void params_are_the_instance(void **state)
{
    (void)state;
    static const struct { double lambda, spare; int32_t choice; } params = { 0.1, 0, 0 };
    pd_context *ctx = context("good");
    const pd_plugin *plugin = NULL;
    pudle_instance instance;
    assert_int_equal(pd_plugin_find(ctx, PUDLE_KIND_PROX, "good", &plugin), PUDLE_OK);
    assert_int_equal(pd_instance_create(ctx, plugin, &params, &instance), PUDLE_OK);
    assert_ptr_equal(instance.self, &params);
    pd_instance_destroy(ctx, &instance);
    assert_null(instance.desc);
    pd_instance_destroy(ctx, &instance);
    pd_instance_destroy(ctx, NULL);
    assert_int_equal(pd_instance_create(ctx, plugin, NULL, &instance), PUDLE_ERR_ARG);
    pd_context_destroy(ctx);
}

static void options_honour_the_stride(void **state)
{
    (void)state;
    /* Rows as a later version might write them: one member more. */
    struct { pudle_option now; double later; } table[3];
    pudle_option row;
    memset(table, 0, sizeof table);
    table[0].now.name = "first";
    table[1].now.name = "second";
    table[1].now.doc = "the second";
    const pudle_desc desc = { .size = sizeof desc, .options = &table[0].now, .option_size = sizeof table[0] };
    assert_true(pd_option_at(&desc, 1, &row));
    assert_string_equal(row.name, "second");
    assert_string_equal(row.doc, "the second");
    assert_false(pd_option_at(&desc, 2, &row));
    assert_false(pd_option_at(&desc, 7, &row));
    assert_false(pd_option_at(&desc, -1, &row));
    assert_string_equal(row.name, "second"); /* outputs are written only on success */
    const pudle_desc none = { .size = sizeof none };
    assert_false(pd_option_at(&none, 0, &row));
}

/* ------------------------------------------------------------------- search */

static void not_found_lists_paths_and_a_near_name(void **state)
{
    (void)state;
    pd_context *ctx = context("good");
    const pd_plugin *plugin = NULL;
    char *nested = in_home("good/prox/goood.so"), *flat = in_home("good/goood.so");
    assert_int_equal(pd_plugin_path_add(ctx, PD_FROM_CONFIG, "/nonexistent/folder/"), PUDLE_OK);
    assert_int_equal(pd_plugin_find(ctx, PUDLE_KIND_PROX, "goood", &plugin), PUDLE_ERR_NOTFOUND);
    assert_says(ctx, "prox 'goood' not found (did you mean 'good'?)");
    assert_says(ctx, nested);
    assert_says(ctx, flat);
    assert_says(ctx, "/nonexistent/folder: no such directory");
    pd_error_clear(ctx);
    assert_int_equal(pd_plugin_find(ctx, PUDLE_KIND_LOSS, "good", &plugin), PUDLE_ERR_NOTFOUND);
    assert_says(ctx, "there is a prox of that name");
    pd_error_clear(ctx);
    assert_int_equal(pd_plugin_find(ctx, PUDLE_KIND_PROX, "../prox/good", &plugin), PUDLE_ERR_NOTFOUND);
    assert_says(ctx, "a plugin's name is");
    assert_null(plugin);
    free(nested);
    free(flat);
    pd_context_destroy(ctx);
}

static void earlier_directories_win(void **state)
{
    (void)state;
    build_good("one/prox", "same");
    build_good("two", "same");
    char *one = in_home("one"), *two = in_home("two"), *first = in_home("two/same.so"), *log_path = in_home("log");
    pd_context *ctx = context(NULL);
    const pd_plugin *plugin = NULL;
    FILE *log = fopen(log_path, "w+");
    char text[1024] = "";
    pd_log_file(ctx, log);
    assert_int_equal(pd_plugin_path_add(ctx, PD_FROM_CONFIG, one), PUDLE_OK);
    assert_int_equal(pd_plugin_path_add(ctx, PD_FROM_COMMAND_LINE, two), PUDLE_OK); /* later, yet before the config */
    assert_int_equal(pd_plugin_find(ctx, PUDLE_KIND_PROX, "same", &plugin), PUDLE_OK);
    assert_string_equal(plugin->path, first);
    pd_log_file(ctx, NULL);
    rewind(log);
    assert_true(fread(text, 1, sizeof text - 1, log) > 0);
    assert_non_null(strstr(text, "which comes before"));
    fclose(log);
    free(one);
    free(two);
    free(first);
    free(log_path);
    pd_context_destroy(ctx);
}

static void twice_in_one_directory_is_refused(void **state)
{
    (void)state;
    build_good("twice/prox", "same");
    build_good("twice", "same");
    pd_context *ctx = context("twice");
    const pd_plugin *plugin = NULL;
    assert_int_equal(pd_plugin_find(ctx, PUDLE_KIND_PROX, "same", &plugin), PUDLE_ERR_CONFIG);
    assert_says(ctx, "holds it twice");
    assert_null(plugin);
    pd_context_destroy(ctx);
    /* A link to the same file is no second plugin. */
    shell("ln -sf prox/same.so %s/twice/same.so", home);
    ctx = context("twice");
    assert_int_equal(pd_plugin_find(ctx, PUDLE_KIND_PROX, "same", &plugin), PUDLE_OK);
    pd_context_destroy(ctx);
}

static void relative_directories_are_refused(void **state)
{
    (void)state;
    pd_context *ctx = pd_context_create();
    const pd_plugin *plugin = NULL;
    assert_int_equal(pd_plugin_path_add(ctx, PD_FROM_COMMAND_LINE, "/absolute:plugins"), PUDLE_ERR_CONFIG);
    assert_says(ctx, "'plugins' is a relative path");
    pd_context_destroy(ctx);
    setenv("PUDLE_PLUGIN_PATH", "/absolute:.:", 1);
    ctx = pd_context_create();
    assert_int_equal(pd_plugin_find(ctx, PUDLE_KIND_PROX, "good", &plugin), PUDLE_ERR_CONFIG);
    assert_says(ctx, "$PUDLE_PLUGIN_PATH: '.' is a relative path");
    pd_context_destroy(ctx);
    unsetenv("PUDLE_PLUGIN_PATH");
}

static void environment_is_searched(void **state)
{
    (void)state;
    char *good = in_home("good"), *path = pd_format("::/nonexistent:%s/:", good), *text = NULL;
    size_t bytes = 0;
    setenv("PUDLE_PLUGIN_PATH", path, 1);
    pd_context *ctx = pd_context_create();
    const pd_plugin *plugin = NULL;
    assert_int_equal(pd_plugin_find(ctx, PUDLE_KIND_PROX, "good", &plugin), PUDLE_OK);
    FILE *to = open_memstream(&text, &bytes);
    pd_plugin_path_describe(ctx, to);
    fclose(to);
    assert_non_null(strstr(text, "/nonexistent  ($PUDLE_PLUGIN_PATH; does not exist)"));
    assert_non_null(strstr(text, "good  ($PUDLE_PLUGIN_PATH; exists)"));
    assert_non_null(strstr(text, "the installation"));
    unsetenv("PUDLE_PLUGIN_PATH");
    free(text);
    free(path);
    free(good);
    pd_context_destroy(ctx);
}

static const pd_plugin_row *row_of(const pd_plugin_row *rows, int count, const char *path)
{
    for (int i = 0; i < count; i++)
        if (strstr(rows[i].path, path))
            return &rows[i];
    fail_msg("no row for %s", path);
    return NULL;
}

static void scan_shows_good_and_refused(void **state)
{
    (void)state;
    build_good("scan/prox", "fine");
    build_good("scan/loss", "stray");
    build_good("later", "fine");
    shell("cp %s/prox/wrong_magic.so %s/scan/prox/", home, home);
    shell("echo text >%s/scan/readme.so && echo >%s/scan/notes.txt", home, home);
    pd_context *ctx = context("scan");
    char *later = in_home("later");
    pd_plugin_row *rows = NULL;
    int count = 0;
    assert_int_equal(pd_plugin_path_add(ctx, PD_FROM_COMMAND_LINE, later), PUDLE_OK);
    assert_int_equal(pd_plugin_scan(ctx, &rows, &count), PUDLE_OK);
    const pd_plugin_row *row = row_of(rows, count, "/scan/prox/fine.so");
    assert_true(row->plugin && !row->reason && !row->shadowed && row->kind == PUDLE_KIND_PROX);
    assert_string_equal(row->name, "fine");
    row = row_of(rows, count, "/later/fine.so");
    assert_true(row->plugin && row->shadowed);
    assert_non_null(strstr(row_of(rows, count, "wrong_magic.so")->reason, "magic number"));
    assert_non_null(strstr(row_of(rows, count, "stray.so")->reason, "stands in the folder loss"));
    assert_non_null(strstr(row_of(rows, count, "readme.so")->reason, "ELF"));
    for (int i = 0; i < count; i++)
        assert_null(strstr(rows[i].path, "notes"));
    assert_int_equal(pd_error_count(ctx), 0);
    pd_plugin_rows_free(rows, count);
    free(later);
    pd_context_destroy(ctx);
}

/* ------------------------------------------------------------------ context */

static void errors_are_lines(void **state)
{
    (void)state;
    pd_context *ctx = pd_context_create();
    assert_string_equal(pd_error(ctx), "");
    assert_int_equal(pd_fail(ctx, PUDLE_ERR_IO, "first %d\n", 1), PUDLE_ERR_IO);
    const pudle_host *host = pd_host_for(ctx, "prox mine");
    assert_ptr_equal(host, pd_host_for(ctx, "prox mine"));
    /* a failure is never a success; the parentheses keep cmocka from reading its own fail() */
    assert_int_equal((host->fail)(host->ctx, PUDLE_ERR_ARG, "second"), PUDLE_ERR_ARG);
    assert_int_equal((host->fail)(host->ctx, PUDLE_OK, "third"), PUDLE_ERR_INTERNAL);
    assert_string_equal(pd_error(ctx), "first 1\nprox mine: second\nprox mine: third");
    assert_int_equal(pd_error_count(ctx), 3);
    pd_error_clear(ctx);
    assert_string_equal(pd_error(ctx), "");
    char *text = malloc(5001);
    assert_non_null(text);
    memset(text, 'x', 5000);
    text[5000] = '\0';
    pd_fail(ctx, PUDLE_ERR_IO, "%s", text);
    assert_string_equal(pd_error(ctx), text);
    free(text);
    pd_context_destroy(ctx);
    pd_context_destroy(NULL);
}

static void memory_is_checked(void **state)
{
    (void)state;
    assert_null(pd_alloc(SIZE_MAX / 2, 3));
    assert_null(pd_alloc(SIZE_MAX, 1));
    unsigned char *memory = pd_alloc(100, 1), *empty = pd_alloc(0, 8);
    assert_non_null(memory);
    assert_non_null(empty);
    assert_int_equal((uintptr_t)memory % 64, 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(memory[i], 0);
    free(memory);
    free(empty);
    pd_context *ctx = pd_context_create();
    const pudle_host *host = pd_host(ctx);
    assert_null(host->alloc(host->ctx, SIZE_MAX));
    void *block = host->alloc(host->ctx, 7);
    assert_int_equal((uintptr_t)block % 64, 0);
    host->free(host->ctx, block);
    host->free(host->ctx, NULL);
    assert_non_null(host->get_ext(host->ctx, PUDLE_HOST_ARRAYS));
    assert_null(host->get_ext(host->ctx, "pudle.host.unknown/1"));
    pd_context_destroy(ctx);
}

static int build_all(void **state)
{
    (void)state;
    char command[1024];
    strcpy(home, "/tmp/pudle-registry-XXXXXX");
    if (!getenv("top_srcdir") || !mkdtemp(home)) {
        print_error("top_srcdir must name the source tree\n");
        return -1;
    }
    unsetenv("PUDLE_PLUGIN_PATH");
    setenv("XDG_DATA_HOME", "/nonexistent", 1);
    snprintf(command, sizeof command, "sh \"$top_srcdir/tests/badplugins/build.sh\" %s", home);
    return system(command);
}

static int remove_all(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", home);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_plugins_are_refused),
        cmocka_unit_test(every_truncation_is_survived),
        cmocka_unit_test(good_plugin_loads_once),
        cmocka_unit_test(params_are_the_instance),
        cmocka_unit_test(options_honour_the_stride),
        cmocka_unit_test(not_found_lists_paths_and_a_near_name),
        cmocka_unit_test(earlier_directories_win),
        cmocka_unit_test(twice_in_one_directory_is_refused),
        cmocka_unit_test(relative_directories_are_refused),
        cmocka_unit_test(environment_is_searched),
        cmocka_unit_test(scan_shows_good_and_refused),
        cmocka_unit_test(errors_are_lines),
        cmocka_unit_test(memory_is_checked),
    };
    return cmocka_run_group_tests_name("registry", tests, build_all, remove_all);
}
