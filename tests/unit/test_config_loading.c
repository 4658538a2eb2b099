/* Configs that are loaded: defaults, overrides, includes, files that cannot be read, damage; settings written and read back; options
 * given as pairs; the tables of options. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "configs.h"

/* -------------------------------------------------------------------- good ones */

static pd_settings *load_good(const char *text, const char *const *overrides, int count)
{
    pd_context *ctx = pd_context_create();
    pd_settings *settings = NULL;
    if (load_text(ctx, text, overrides, count, &settings))
        fail_msg("%s\n%s", text, pd_error(ctx));
    assert_string_equal(pd_error(ctx), "");
    pd_context_destroy(ctx);
    return settings;
}

static void test_good(void **state)
{
    (void)state;
    pd_settings *s = load_good(text_of(&good), NULL, 0);
    assert_int_equal(s->global.precision, 1);
    assert_string_equal(s->section[PD_SECTION_BACKEND].plugin->desc->name, "cores");
    assert_int_equal(((cores_params *)s->section[PD_SECTION_BACKEND].plugin_params)->threads, 2);
    const files_params *data = s->section[PD_SECTION_DATA].plugin_params;
    char path[128];
    snprintf(path, sizeof path, "%s/x.npy", folder);
    assert_string_equal(data->path, path); /* relative to the config file */
    assert_null(data->note);
    assert_string_equal(data->scale_text, "1");
    assert_int_equal(data->factors.count, 2);
    assert_true(data->factors.item[1] == 0.5);
    assert_int_equal(data->rows.count, 0);
    assert_int_equal(data->mode, 1);
    assert_int_equal(s->dictionary.atoms, 41);
    assert_int_equal(s->model.layers, 15);
    assert_string_equal(s->model.step, "0.2");
    assert_true(s->step == 0.2 && !s->step_over_l);
    assert_int_equal(s->model.gradient, PD_GRADIENT_AE);
    assert_true(((soft_params *)s->section[PD_SECTION_PROX].plugin_params)->lambda == 0.1);
    assert_true(s->prox.decay == 1.0);
    assert_int_equal(s->train.optimizer, PD_OPTIMIZER_ADAM);
    assert_true(s->train.learning_rate == 1e-3 && s->train.epsilon == 1e-8);
    assert_int_equal(s->train.epochs, 600);
    assert_true(s->train.normalize && s->train.shuffle);
    assert_false(s->section[PD_SECTION_INNER_LOSS].present);
    assert_null(s->section[PD_SECTION_INNER_LOSS].plugin);
    assert_string_equal(s->source, file);
    pd_settings_destroy(s);
}

static void test_good_variants(void **state)
{
    (void)state;
    static const parts variants[] = {
        { .backend = "", .train = "" }, /* both have defaults */
        { .model = "model: { dictionary: { atoms = 4; }; layers = 2; };" },
        { .model = "model: { dictionary: { atoms = 4; }; layers = 2; step = \" 0.9 / L \"; gradient = \"truncated\"; "
                   "truncate = 2; };" },
        { .data = "data: { name = \"made\"; };",
          .model =
              "model: { dictionary: { atoms = 4; init = \"truth\"; noise = 0.1; }; layers = 2; gradient = \"oracle\"; };" },
        { .model = "model: { dictionary: { atoms = 4; init = \"pairwise\"; sparsity = 2; pairs = 9; samples = 99; }; layers "
                   "= 2; };" },
        { .prox = "prox: { name = \"softly\"; lambda = 1; learn = \"layer_atom\"; decay = 0.9; };",
          .train = "train: { threshold_rate = 0.1; };" },
        { .prox = "prox: { name = \"softly\"; decay_every = 100; decay_change = -0.005; path = \"t.npy\"; };" },
        { .prox = "prox: { name = \"keep\"; k = 3; };",
          .model = "model: { dictionary: { atoms = 4; }; layers = 2; gradient = \"noodl\"; };" },
        { .loss = "loss: { name = \"rough\"; }; inner_loss: { name = \"smooth\"; };" },
        { .loss = "loss: { name = \"rough\"; };",
          .model = "model: { dictionary: { atoms = 4; }; layers = 2; gradient = \"dec\"; step = 0.1; };" },
        { .train = "train: { optimizer = \"momentum\"; momentum = 0; schedule = \"cosine\"; schedule_final = 0.1; normalize "
                   "= FALSE; };" },
        { .train =
              "train: { epochs = 0; updates = 5; seed = 9223372036854775807L; schedule = \"step\"; schedule_every = 2; };" },
        { .train = "train: { seed = 2147483647; /* 3000000000 \" */ }; # 4294967297 \"\n// 4294967297\n" },
        { .data = "data: { name = \"files\"; path = \"/abs/a.npz:b\"; note = \"a \\\"b\\\" 3000000000 # // \\\\\"; factors = "
                  "2; rows = (1, 2); };" },
        { .data =
              "data: { name = \"files\"; path = \"./x\"; factors = [ ]; big = -9223372036854775808L; offset = -1e-300; };" },
        { .top = "\xEF\xBB\xBFprecision = \"f32\";\r" },
    };
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
        pd_settings_destroy(load_good(text_of(&variants[i]), NULL, 0));
    pd_settings *s = load_good(text_of(&variants[2]), NULL, 0);
    assert_true(s->step == 0.9 && s->step_over_l);
    pd_settings_destroy(s);
}

/* -------------------------------------------------------------------- overrides */

static void test_overrides(void **state)
{
    (void)state;
    static const char *const set[] = { "prox.name=keep",     "prox.k=3",
                                       "model.gradient=dec", "train.seed=3000000000",
                                       "train.epochs = 7",   "model.step=1/L",
                                       "data.path=a b.npy",  "data.factors=[1, 2.5]",
                                       "data.note=2024",     "train.shuffle=false",
                                       "train.epochs=8",     "model.dictionary.atoms=0x10",
                                       "precision=f32" };
    parts p = { .prox = "prox: { };", .train = "" };
    pd_settings *s = load_good(text_of(&p), set, sizeof set / sizeof *set);
    const files_params *data = s->section[PD_SECTION_DATA].plugin_params;
    char *here = getcwd(NULL, 0), path[4096];
    snprintf(path, sizeof path, "%s/a b.npy", here);
    free(here);
    assert_string_equal(data->path, path); /* relative to where pudle runs */
    assert_string_equal(data->note, "2024");
    assert_int_equal(data->factors.count, 2);
    assert_int_equal(((count_params *)s->section[PD_SECTION_PROX].plugin_params)->k, 3);
    assert_int_equal(s->train.seed, 3000000000);
    assert_int_equal(s->train.epochs, 8);
    assert_false(s->train.shuffle);
    assert_true(s->section[PD_SECTION_TRAIN].present);
    assert_true(s->step == 1 && s->step_over_l);
    assert_int_equal(s->dictionary.atoms, 16);
    assert_int_equal(s->global.precision, 0);
    pd_settings_destroy(s);

    static const struct { const char *set, *said; } bad[] = {
        { "prox.lamda=1", "--set prox.lamda=1: unknown option; did you mean \"lambda\"?" },
        { "prox.lambda=-1", "--set prox.lambda=-1: -1 is outside [0, inf)" },
        { "prox.lambda=", "wants a key and a value" },
        { "=3", "wants a key and a value" },
        { "prox.lambda", "wants a key and a value" },
        { "prox={}", "\"prox\" is a group; set one of its keys" },
        { "model.dictionary=3", "\"model.dictionary\" is a group" },
        { "porx.lambda=1", "--set porx.lambda=1: there is no group \"porx\"; did you mean \"prox\"?" },
        { "dictionary.atoms=1", "did you mean \"model.dictionary\"?" },
        { ".lambda=1", "there is no group" },
        { "epochs=3", "--set epochs=3: unknown option; did you mean \"train.epochs\"?" },
        { "train.epochs=1e3", "wants a whole number, but the real 1e3 is given; write 1000" },
        { "train.batch=1e13", "--set train.batch=1e13: 1e13 is outside [0, 1e+12]" },
        { "train.log_every=-1e3", "-1e3 is outside [1, inf)" },
        { "train.epochs=inf", "wants a whole number, but the text \"inf\"" },
        { "prox.lambda=nan", "wants a number, but the text \"nan\"" },
        { "prox.lambda=1e999", "--set prox.lambda=1e999: 1e999 is beyond the range of a double" },
        { "train.seed=99999999999999999999", "does not fit 64 bits" },
        { "prox.nonnegative=1", "wants true or false, but 1 is given; write true" },
        { "train.epochs=3; seed = 4", "wants a whole number, but the text" },
        { "prox.name=keep", "file t.cfg" }, /* lambda in the file is not keep's */
        { "data.factors=[1, 2", "wants a number or a list of numbers" },
        { "data.factors=[1,,2]", "wants a number or a list of numbers" },
        { "train.momentum=0.5", "--set train.momentum=0.5: is read only with train.optimizer = \"momentum\"" },
        { "data.path=\"a\" b", NULL }, /* no literal: the whole is a word */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        pd_context *ctx = pd_context_create();
        s = NULL;
        const pudle_status status = load_text(ctx, text_of(&good), &bad[i].set, 1, &s);
        char unknown[128];
        snprintf(unknown, sizeof unknown, "%s:5: prox.lambda: unknown option", file);
        const char *said = bad[i].said && !strcmp(bad[i].said, "file t.cfg") ? unknown : bad[i].said;
        if (said ? status != PUDLE_ERR_CONFIG || !strstr(pd_error(ctx), said) : status != PUDLE_OK)
            fail_msg("--set %s: wanted \"%s\", got %d\n%s", bad[i].set, said ? said : "ok", (int)status, pd_error(ctx));
        pd_settings_destroy(s);
        pd_context_destroy(ctx);
    }
}

/* --------------------------------------------------------------------- includes */

static void test_includes(void **state)
{
    (void)state;
    char path[128], text[512];
    static const char inner[] =
        "// prox of the family\nprox:\n{\n  name = \"softly\"; lamda = 1;\n  path = \"levels.npy\";\n}; # end";
    snprintf(path, sizeof path, "%s/sub", folder);
    char command[256];
    snprintf(command, sizeof command, "mkdir -p %s", path);
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof path, "%s/sub/prox.cfg", folder);
    write_file(path, inner, strlen(inner));
    snprintf(path, sizeof path, "%s/sub/middle.cfg", folder);
    write_file(path, "@include \"prox.cfg\"\n", 20); /* relative to the file that says it */
    parts p = { .prox = "\t@include \"sub/middle.cfg\" // the prox" };
    pd_context *ctx = pd_context_create();
    pd_settings *s = NULL;
    assert_int_equal(load_text(ctx, text_of(&p), NULL, 0, &s), PUDLE_ERR_CONFIG);
    snprintf(text, sizeof text,
             "%s/sub/prox.cfg:4: prox.lamda: unknown option; did you mean \"lambda\"?\n1 error, nothing was run", folder);
    assert_string_equal(pd_error(ctx), text);
    pd_error_clear(ctx);
    p.train = "train: { epoch = 3; };"; /* lines after an include keep their number */
    assert_int_equal(load_text(ctx, text_of(&p), NULL, 0, &s), PUDLE_ERR_CONFIG);
    snprintf(text, sizeof text, "%s:7: train.epoch: unknown option", file);
    assert_non_null(strstr(pd_error(ctx), text));
    pd_error_clear(ctx);
    snprintf(path, sizeof path, "%s/sub/prox.cfg", folder);
    write_file(path, "prox: { name = \"softly\"; path = \"levels.npy\"; };", 48);
    p.train = NULL;
    assert_int_equal(load_text(ctx, text_of(&p), NULL, 0, &s), PUDLE_OK);
    snprintf(text, sizeof text, "%s/sub/levels.npy", folder);
    assert_string_equal(s->prox.path, text); /* relative to the included file */
    pd_settings_destroy(s);
    pd_context_destroy(ctx);
}

static void test_files(void **state)
{
    (void)state;
    pd_context *ctx = pd_context_create();
    pd_settings *s = NULL;
    assert_int_equal(pd_settings_load_with(ctx, "/nonexistent/x.cfg", NULL, 0, find, &s), PUDLE_ERR_NOTFOUND);
    assert_non_null(strstr(pd_error(ctx), "/nonexistent/x.cfg: No such file"));
    pd_error_clear(ctx);
    assert_int_equal(pd_settings_load_with(ctx, folder, NULL, 0, find, &s), PUDLE_ERR_IO);
    assert_non_null(strstr(pd_error(ctx), "Is a directory"));
    pd_error_clear(ctx);
    write_file(file, "a = 1;\0b", 8);
    assert_int_equal(pd_settings_load_with(ctx, file, NULL, 0, find, &s), PUDLE_ERR_IO);
    assert_non_null(strstr(pd_error(ctx), "zero byte"));
    pd_error_clear(ctx);
    assert_int_equal(load_text(ctx, "", NULL, 0, &s), PUDLE_ERR_CONFIG); /* empty: all that is required is listed */
    assert_int_equal(counted(pd_error(ctx)), 4);
    assert_null(s);
    pd_context_destroy(ctx);
}

/* ----------------------------------------------------------- writing and reading */

static char *written(const pd_settings *s)
{
    char *text = NULL;
    size_t size = 0;
    pd_context *ctx = pd_context_create();
    FILE *to = open_memstream(&text, &size);
    assert_int_equal(pd_settings_write(ctx, s, to), PUDLE_OK);
    fclose(to);
    pd_context_destroy(ctx);
    return text;
}

static double random_real(void)
{
    union { double real; uint64_t bits; } u;
    do
        u.bits = (uint64_t)rand() << 62 ^ (uint64_t)rand() << 31 ^ (uint64_t)rand();
    while (!isfinite(u.real));
    return u.real;
}

/* Random settings, written and read back: the same text again, and the same structs. */
static void test_round_trip(void **state)
{
    (void)state;
    static const char *const learns[] = { "none", "global", "atom", "layer", "layer_atom" };
    static const char *const optimizers[] = { "sgd", "momentum", "adam" }, *const schedules[] = { "constant", "step",
                                                                                                  "cosine" };
    static const char *const inits[] = { "random", "samples", "file", "pairwise" };
    for (int round = 0; round < 200; round++) {
        char text[4096];
        const int init = rand() % 4, schedule = rand() % 3, optimizer = rand() % 3, learn = rand() % 5;
        snprintf(text, sizeof text,
                 "%s\nbackend: { threads = %d; }; data: { name = \"files\"; path = \"d%d.npy\"; note = \"q\\\"\\\\ "
                 "\\n\\t\\x01\xC3\xA9 // %d\";\n"
                 "scale_text = \"%d/L\"; factors = [%.17g, 1.5]; rows = (%d, %lldL); big = %lldL; offset = %#.17g; mode = "
                 "\"wrap\"; };\n"
                 "model: { layers = %d; %s dictionary: { atoms = 50; init = \"%s\"; %s }; };\n"
                 "prox: { name = \"softly\"; lambda = %#.17g; learn = \"%s\"; %s };\nloss: { name = \"smooth\"; }; %s\n"
                 "train: { seed = %lldL; optimizer = \"%s\"; %s schedule = \"%s\"; %s learning_rate = %#.17g; normalize = "
                 "%s; };\n",
                 rand() % 2 ? "precision = \"f64\";" : "plugin_path = \"/a/b:/c\";", rand() % 9, rand(), rand(), rand(),
                 fmod(fabs(random_real()), 10.0) + 0.5 > 10 ? 1.25 : 0.1 + rand() % 9, rand(), (long long)rand() << 20,
                 -((long long)rand() << 31), random_real(), 1 + rand() % 99,
                 rand() % 2 ? "step = \"0.9/L\";" : "step = 3e-7; momentum = 0.123456789012345678; gradient = \"truncated\"; truncate = 1;", inits[init],
                 init == 2   ? "path = \"w.npy\";"
                 : init == 3 ? "sparsity = 3;"
                             : "",
                 fabs(random_real()), learns[learn],
                 learn < 3 && rand() % 2 ? "decay_every = 5; decay_change = -0.1;" : "decay = 0.3;",
                 rand() % 2 ? "inner_loss: { name = \"smooth\"; };" : "", (long long)rand() << 31 | rand(),
                 optimizers[optimizer], optimizer == 1 ? "momentum = 0.123456789012345678;" : "", schedules[schedule],
                 schedule == 1 ? "schedule_every = 3;" : "", fabs(random_real()) + 1e-300, rand() % 2 ? "true" : "false");
        pd_settings *a = load_good(text, NULL, 0);
        char *first = written(a);
        pd_settings *b = load_good(first, NULL, 0);
        char *second = written(b);
        assert_string_equal(first, second);
        const files_params *x = a->section[PD_SECTION_DATA].plugin_params, *y = b->section[PD_SECTION_DATA].plugin_params;
        assert_string_equal(x->path, y->path);
        assert_string_equal(x->note, y->note);
        assert_memory_equal(&x->offset, &y->offset, sizeof x->offset);
        assert_memory_equal(x->factors.item, y->factors.item, 2 * sizeof(double));
        assert_memory_equal(x->rows.item, y->rows.item, 2 * sizeof(int64_t));
        assert_true(x->big == y->big && x->mode == y->mode);
        assert_memory_equal(a->section[PD_SECTION_PROX].plugin_params, b->section[PD_SECTION_PROX].plugin_params,
                            sizeof(soft_params));
        assert_true(a->train.seed == b->train.seed && a->train.learning_rate == b->train.learning_rate);
        assert_true(a->train.momentum == b->train.momentum && a->step == b->step && a->step_over_l == b->step_over_l &&
                    a->momentum == b->momentum && a->fista == b->fista);
        assert_true(a->prox.decay == b->prox.decay && a->prox.decay_change == b->prox.decay_change);
        pd_settings_destroy(a);
        pd_settings_destroy(b);
        free(first);
        free(second);
    }
}

/* Damaged configs are refused or read, never worse. Run under a sanitizer or valgrind for the full meaning. */
static void test_damage(void **state)
{
    (void)state;
    static const char bytes[] = "{}()[];:=,\"\\/*#@.-+eL0123456789 \n\tax";
    pd_context *ctx = pd_context_create();
    for (int round = 0; round < 600; round++) {
        char text[8192];
        snprintf(text, sizeof text, "%s@include \"sub/prox.cfg\"\n", text_of(&good));
        size_t length = strlen(text);
        for (int k = rand() % 6; k >= 0; k--) {
            const size_t at = (size_t)rand() % length;
            if (rand() % 3) {
                text[at] = bytes[(size_t)rand() % (sizeof bytes - 1)];
            } else {
                memmove(text + at, text + at + 1, length - at);
                length--;
            }
        }
        pd_settings *s = NULL;
        const pudle_status status = load_text(ctx, text, NULL, 0, &s);
        assert_true(status == PUDLE_OK ? s != NULL : s == NULL && pd_error_count(ctx) > 0);
        pd_settings_destroy(s);
        pd_error_clear(ctx);
    }
    char *deep = malloc(400001);
    for (int i = 0; i < 100000; i++)
        memcpy(deep + 4 * i, "a:{ ", 4);
    deep[400000] = '\0';
    pd_settings *s = NULL;
    assert_int_equal(load_text(ctx, deep, NULL, 0, &s), PUDLE_ERR_CONFIG);
    free(deep);
    pd_context_destroy(ctx);
}

/* -------------------------------------------------------------- the smaller parts */

static void test_pairs(void **state)
{
    (void)state;
    const pd_plugin plugin = { .desc = &soft };
    pd_context *ctx = pd_context_create();
    void *params = NULL;
    static const char *const one[] = { "lambda=0.5", "nonnegative=true", "lambda=0.25" };
    assert_int_equal(pd_params_from_pairs(ctx, &plugin, NULL, 0, &params), PUDLE_OK);
    assert_true(((soft_params *)params)->lambda == 0.1);
    pd_params_free(params);
    assert_int_equal(pd_params_from_pairs(ctx, &plugin, one, 3, &params), PUDLE_OK);
    assert_true(((soft_params *)params)->lambda == 0.25 && ((soft_params *)params)->nonnegative);
    pd_params_free(params);
    static const struct { const char *pair, *said;
    } bad[] = {
        { "lambda=-1", "prox softly: lambda=-1: -1 is outside [0, inf)" },
        { "lamda=1", "prox softly: lamda=1: unknown option" },
        { "lambda", "wants key=value" },
        { "lambda=7", "lambda 7 is unlucky" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        params = NULL;
        pd_error_clear(ctx);
        assert_int_equal(pd_params_from_pairs(ctx, &plugin, &bad[i].pair, 1, &params), PUDLE_ERR_CONFIG);
        assert_null(params);
        if (!strstr(pd_error(ctx), bad[i].said))
            fail_msg("%s: %s", bad[i].pair, pd_error(ctx));
    }
    pd_params_free(NULL);
    pd_context_destroy(ctx);
}

/* What the tables say must itself be loadable, and be printed in full. */
static void test_tables(void **state)
{
    (void)state;
    static const char *const formats[] = { "text", "md", "cfg" };
    pd_arena *arena = pd_arena_create();
    for (int i = 0; i < PD_SECTIONS; i++) {
        for (const pudle_option *row = pd_core_table(i); row->name; row++) {
            char params[512] = { 0 };
            pd_why why;
            assert_true(row->doc && *row->doc && row->doc[strlen(row->doc) - 1] == '.');
            if (!pd_option_default(arena, row, params, sizeof params, &why))
                fail_msg("%s: %s", row->name, why.text);
        }
        for (int f = 0; f < 3; f++) {
            char *text = NULL;
            size_t size = 0;
            FILE *to = open_memstream(&text, &size);
            pd_option_table_print(to, formats[f], pd_section_path(i), pd_core_table(i), i == PD_SECTION_PROX ? &soft : NULL);
            fclose(to);
            for (const pudle_option *row = pd_core_table(i); row->name; row++)
                assert_non_null(strstr(text, row->name));
            if (i == PD_SECTION_PROX)
                assert_non_null(strstr(text, "lambda"));
            free(text);
        }
    }
    assert_null(pd_core_table(PD_SECTIONS));
    pd_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),       cmocka_unit_test(test_good_variants), cmocka_unit_test(test_overrides),
        cmocka_unit_test(test_includes),   cmocka_unit_test(test_files),         cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_damage),     cmocka_unit_test(test_pairs),         cmocka_unit_test(test_tables),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
