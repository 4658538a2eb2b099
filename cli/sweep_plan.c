/* The runs of a sweep: --vary and --seeds to settings, each with a folder; those of earlier calls beside them. */
#include "sweep_plan.h"
#include "train/manifest.h"
#include "train/rundir.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { MOST_RUNS = 10000, LONGEST_NAME = 200 };

pudle_status sweep_no_memory(pd_context *ctx)
{
    return pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory for the runs of a sweep");
}

void sweep_free_texts(char **text, int count)
{
    for (int i = 0; text && i < count; i++)
        free(text[i]);
    free(text);
}

/* ------------------------------------------------------------------ settings */

/* The command line of one run: that of the sweep, with values of its own. */
typedef struct request { cli_args args; char *own[sizeof((cli_args *)0)->set / sizeof(char *)]; int owns; } request;

static pudle_status ask(pd_context *ctx, request *r, char *text)
{
    if (!text)
        return sweep_no_memory(ctx);
    if (r->args.sets == (int)(sizeof r->args.set / sizeof *r->args.set)) {
        free(text);
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "--set and --vary are given more than %d times: put values into the config", r->args.sets);
    }
    r->args.set[r->args.sets++] = r->own[r->owns++] = text;
    return PUDLE_OK;
}

/* Warnings of the loading are kept to be said once, whatever the number of runs. */
static pudle_status load(const sweep *sw, const request *r, pd_settings **settings, char **warnings)
{
    char *directory = NULL;
    size_t size = 0;
    free(*warnings);
    *warnings = NULL;
    FILE *memory = pd_text_stream(warnings, &size);
    if (!memory)
        return sweep_no_memory(sw->ctx);
    pd_log_level(sw->ctx, PD_LOG_SILENT);
    pd_log_file(sw->ctx, memory);
    const pudle_status s = cli_settings(sw->ctx, &r->args, settings, &directory);
    pd_log_file(sw->ctx, NULL);
    pd_log_level(sw->ctx, sw->args->quiet ? PUDLE_LOG_WARNING : PUDLE_LOG_INFO);
    fclose(memory);
    free(directory);
    return s;
}

/* Processors this process may run on. */
static int processors(void)
{
    cpu_set_t set;
    return !sched_getaffinity(0, sizeof set, &set) && CPU_COUNT(&set) > 0 ? CPU_COUNT(&set) : 1;
}

/* Does the config leave it to the backend how many threads compute? */
static bool threads_open(const pd_settings *settings)
{
    const pd_section *backend = &settings->section[PD_SECTION_BACKEND];
    pudle_option row;
    for (int i = 0; backend->plugin && pd_option_at(backend->plugin->desc, i, &row); i++)
        if (row.type == PUDLE_INT && !strcmp(row.name, "threads")) {
            int64_t threads;
            memcpy(&threads, (const char *)backend->plugin_params + row.offset, sizeof threads);
            return threads == 0;
        }
    return false;
}

/* A digest of what two runs that are one have in common: all but limits, logging and threads, of which those that are varied count. */
typedef struct digest { const sweep *sw; const pd_settings *settings; FILE *to; } digest;

bool sweep_is_key(const sweep *sw, const char *key)
{
    for (int i = 0; i < sw->keys; i++)
        if (!strcmp(sw->key[i], key))
            return true;
    return false;
}

bool sweep_counts(const sweep *sw, const pd_settings *settings, const char *key)
{
    return sweep_is_key(sw, key) || !pd_rundir_may_change(settings, key);
}

static void add_line(void *user, const char *key, const char *value, const char *same)
{
    const digest *d = user;
    const char *multiple = pd_settings_multiple(d->settings, key); /* the same level, whether its number has been found or not */
    (void)same;
    if (sweep_counts(d->sw, d->settings, key))
        fprintf(d->to, "%s = %s\n", key, multiple ? multiple : value);
}

static pudle_status take_digest(const sweep *sw, sweep_run *run)
{
    char *text = NULL;
    size_t size = 0;
    FILE *memory = pd_text_stream(&text, &size);
    pudle_status s = memory ? pd_settings_each(sw->ctx, run->settings, add_line, &(digest){ sw, run->settings, memory }) : sweep_no_memory(sw->ctx);
    if (memory && fclose(memory) && !s)
        s = sweep_no_memory(sw->ctx);
    if (!s)
        pd_sha256(text, size, run->digest);
    free(text);
    return s;
}

/* ---------------------------------------------------------------------- keys */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static pudle_status add_key(sweep *sw, const char *key)
{
    if (!strcmp(key, SWEEP_SEED) || sweep_is_key(sw, key))
        return PUDLE_OK;
    char **more = realloc(sw->key, ((size_t)sw->keys + 1) * sizeof *more), *copy = pd_strdup(key);
    sw->key = more ? more : sw->key;
    if (!more || !copy) {
        free(copy);
        return sweep_no_memory(sw->ctx);
    }
    sw->key[sw->keys++] = copy;
    return PUDLE_OK;
}

/* Those of earlier calls, too: the table that is there has their columns. */
static pudle_status find_keys(sweep *sw, const axis *axes)
{
    char **old = NULL;
    int olds = 0;
    pudle_status s = sweep_tables_keys(sw->ctx, sw->args->out, &old, &olds);
    for (int i = 0; i < olds && !s; i++)
        s = add_key(sw, old[i]);
    sweep_free_texts(old, olds);
    for (int i = 0; i < sw->args->varies && !s; i++)
        for (int k = 0; k < axes[i].keys && !s; k++)
            s = add_key(sw, axes[i].key[k]);
    if (sw->keys)
        qsort(sw->key, (size_t)sw->keys, sizeof *sw->key, by_text);
    return s;
}

typedef struct valued { const sweep *sw; sweep_run *run; bool failed; } valued;

static void keep_value(void *user, const char *key, const char *value, const char *same)
{
    valued *v = user;
    const char *multiple = pd_settings_multiple(v->run->settings, key); /* whose number each seed finds for itself */
    value = multiple ? multiple : value;
    const size_t length = strlen(value);
    const bool quoted = length > 1 && value[0] == '"' && value[length - 1] == '"';
    (void)same;
    for (int i = 0; i < v->sw->keys; i++)
        if (!strcmp(v->sw->key[i], key)) {
            v->run->value[i] = pd_format("%.*s", (int)(length - 2 * quoted), value + quoted);
            v->failed |= !v->run->value[i];
        }
}

static pudle_status take_values(const sweep *sw, sweep_run *run)
{
    valued v = { .sw = sw, .run = run };
    run->value = pd_alloc((size_t)sw->keys + 1, sizeof *run->value);
    if (!run->value)
        return sweep_no_memory(sw->ctx);
    const pudle_status s = pd_settings_each(sw->ctx, run->settings, keep_value, &v);
    return s ? s : v.failed ? sweep_no_memory(sw->ctx) : PUDLE_OK;
}

/* --------------------------------------------------------------- wanted runs */

/* "prox.lambda=0.1_seed=3", in the order of the keys, whatever that of --vary; value: of each axis, the number of its value. seed: -1 leaves it out */
static char *name_of(const sweep *sw, const axis *axes, const int *value, int64_t seed)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._=+-[]";
    char *text = NULL, hex[65];
    const char *between = "";
    size_t size = 0;
    FILE *memory = pd_text_stream(&text, &size);
    for (int i = 0; memory && i < sw->keys; i++)
        for (int a = 0; a < sw->args->varies; a++)
            for (int k = 0; k < axes[a].keys; k++)
                if (!strcmp(axes[a].key[k], sw->key[i])) {
                    fprintf(memory, "%s%s=%s", between, sw->key[i], axes[a].value[value[a]]);
                    between = "_";
                }
    if (memory && seed >= 0)
        fprintf(memory, "%sseed=%" PRId64, between, seed);
    if (!memory || fclose(memory))
        return NULL;
    pd_sha256(text, size, hex);
    char *to = text;
    for (const char *p = text; *p; p++)
        if (*p != '"')
            *to++ = strchr(plain, *p) ? *p : '_';
    *to = '\0';
    size = (size_t)(to - text);
    char *cut = size > LONGEST_NAME ? pd_format("%.*s-%.12s", LONGEST_NAME, text, hex) : NULL;
    if (size <= LONGEST_NAME)
        return text;
    free(text);
    return cut;
}

/* What the config leaves open: seeds after its own, and threads, of which jobs that run side by side have a share. */
static pudle_status ask_rest(sweep *sw, const pd_settings *settings, int64_t seed_offset, request *r)
{
    pudle_status s = PUDLE_OK;
    if (settings->train.seed > INT64_MAX - seed_offset)
        return pd_fail(sw->ctx, PUDLE_ERR_CONFIG, "train.seed = %" PRId64 ": there are no numbers after it for --seeds", settings->train.seed);
    if (seed_offset)
        s = ask(sw->ctx, r, pd_format("%s=%" PRId64, SWEEP_SEED, settings->train.seed + seed_offset));
    if (!s && sw->jobs > 1 && threads_open(settings)) {
        const int64_t share = processors() / sw->jobs;
        sw->threads = share > 0 ? share : 1;
        s = ask(sw->ctx, r, pd_format("backend.threads=%" PRId64, sw->threads));
    }
    return s;
}

static pudle_status load_values(sweep *sw, const axis *axes, const int *value, int64_t seed_offset, pd_settings **settings, char **warnings)
{
    request r = { .args = *sw->args };
    pudle_status s = PUDLE_OK;
    for (int a = 0; a < sw->args->varies; a++)
        for (int k = 0; k < axes[a].keys && !s; k++)
            s = ask(sw->ctx, &r, pd_format("%c%s=%s", PD_VARIED, axes[a].key[k], axes[a].value[value[a]]));
    if (!s)
        s = load(sw, &r, settings, warnings);
    const int sets = r.args.sets;
    if (!s)
        s = ask_rest(sw, *settings, seed_offset, &r);
    if (!s && r.args.sets > sets) {
        pd_settings_destroy(*settings);
        *settings = NULL;
        s = load(sw, &r, settings, warnings);
    }
    while (r.owns > 0)
        free(r.own[--r.owns]);
    return s ? s : pd_train_limits(sw->ctx, *settings);
}

/* The settings of one run. Its mistakes are kept as a note, so that those of all runs are told. */
static pudle_status load_wanted(sweep *sw, const axis *axes, const int *value, int64_t seed_offset, sweep_run *run)
{
    char *said = NULL;
    pudle_status s = load_values(sw, axes, value, seed_offset, &run->settings, &said);
    run->name = name_of(sw, axes, value, run->settings ? run->settings->train.seed : -1);
    if (!run->name && !s)
        s = sweep_no_memory(sw->ctx);
    if (s && s != PUDLE_ERR_NOMEM) {
        sweep_say(sw, run->name ? run->name : "a run", pd_error(sw->ctx));
        pd_error_clear(sw->ctx);
        pd_settings_destroy(run->settings);
        run->settings = NULL;
        s = PUDLE_OK;
    } else if (said) {
        sweep_say_lines(sw, run->name, said);
    }
    free(said);
    return s;
}

static pudle_status make_wanted(sweep *sw, const axis *axes)
{
    const cli_args *args = sw->args;
    const int64_t seeds = args->seeds ? args->seeds : 1;
    int64_t all = seeds;
    for (int a = 0; a < args->varies; a++)
        if (__builtin_mul_overflow(all, axes[a].values, &all) || all > MOST_RUNS)
            return pd_fail(sw->ctx, PUDLE_ERR_CONFIG, "these are more than %d runs; vary less at a time, calls add to the folder's table", MOST_RUNS);
    if (all > MOST_RUNS)
        return pd_fail(sw->ctx, PUDLE_ERR_CONFIG, "these are more than %d runs; vary less at a time, calls add to the folder's table", MOST_RUNS);
    sw->run = pd_alloc((size_t)all, sizeof *sw->run);
    if (!sw->run)
        return sweep_no_memory(sw->ctx);
    pudle_status s = PUDLE_OK;
    for (int64_t i = 0; i < all && !s; i++) { /* the first seed of all combinations comes before the second of any */
        int value[sizeof args->vary / sizeof *args->vary];
        int64_t rest = i % (all / seeds);
        for (int a = args->varies - 1; a >= 0; a--) {
            value[a] = (int)(rest % axes[a].values);
            rest /= axes[a].values;
        }
        sweep_run *run = &sw->run[sw->runs++];
        run->wanted = true;
        s = load_wanted(sw, axes, value, i / (all / seeds), run);
    }
    sw->wanted = sw->runs;
    return s;
}

/* -------------------------------------------------------------- combinations */

static bool same_value(const sweep_run *a, const sweep_run *b, int key)
{
    return a->value[key] && b->value[key] ? !strcmp(a->value[key], b->value[key]) : a->value[key] == b->value[key];
}

static bool same_values(const sweep *sw, const sweep_run *a, const sweep_run *b)
{
    bool same = true;
    for (int i = 0; i < sw->keys && same; i++)
        same = same_value(a, b, i);
    return same;
}

/* Runs that share the values of all keys are of one combination. */
static pudle_status number_combinations(sweep *sw)
{
    sw->varies = pd_alloc((size_t)sw->keys + 1, sizeof *sw->varies);
    if (!sw->varies)
        return sweep_no_memory(sw->ctx);
    for (int i = 0; i < sw->runs; i++) {
        int like = 0;
        while (like < i && !same_values(sw, &sw->run[i], &sw->run[like]))
            like++;
        sw->run[i].combination = like == i ? sw->combinations++ : sw->run[like].combination;
        for (int k = 0; k < sw->keys; k++)
            sw->varies[k] |= !same_value(&sw->run[i], &sw->run[0], k);
        for (int k = 0; k < i; k++)
            if (sw->run[k].combination == sw->run[i].combination && sw->run[k].settings->train.seed == sw->run[i].settings->train.seed)
                pd_log(sw->ctx, PUDLE_LOG_WARNING, "%s and %s have the same values and the same seed: their agreement is not that of two seeds", sw->run[k].name,
                       sw->run[i].name);
    }
    return PUDLE_OK;
}

/* -------------------------------------------------------------------- folder */

static pudle_status take_folder(sweep *sw)
{
    pd_context *ctx = sw->ctx;
    const char *out = sw->args->out;
    bool run = false;
    pudle_status s = pd_make_folders(ctx, out);
    if (!s)
        s = pd_manifest_ours(ctx, out, &run);
    if (!s && run)
        s = pd_fail(ctx, PUDLE_ERR_CONFIG, "--out %s: is the folder of a run; a sweep wants one of its own, for the folders of its runs", out);
    if (!s)
        s = sweep_tables_check(ctx, out);
    char *path = s ? NULL : pd_format("%s/.lock", out);
    if (!s && !path)
        s = sweep_no_memory(ctx);
    if (!s && (sw->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666)) < 0)
        s = pd_fail(ctx, PUDLE_ERR_IO, "%s: cannot write there: %s", out, strerror(errno));
    if (!s && flock(sw->lock, LOCK_EX | LOCK_NB)) {
        s = pd_fail(ctx, PUDLE_ERR_IO, errno == EWOULDBLOCK ? "%s: another sweep is writing there; wait for it to end, or choose another folder with --out"
                                                            : "%s/.lock: cannot be locked", out);
        close(sw->lock);
        sw->lock = -1;
    }
    free(path);
    return s;
}

pudle_status sweep_open(pd_context *ctx, const cli_args *args, sweep *sw)
{
    axis axes[sizeof args->vary / sizeof *args->vary] = { { .keys = 0 } };
    *sw = (struct sweep){ .ctx = ctx, .args = args, .jobs = args->jobs ? args->jobs : 1, .lock = -1 };
    pudle_status s = args->out ? sweep_parse_axes(ctx, args, axes) : pd_fail(ctx, PUDLE_ERR_CONFIG, "pudle sweep: say where to write with --out DIR");
    if (!s)
        s = find_keys(sw, axes);
    if (!s)
        s = make_wanted(sw, axes);
    for (int i = 0; i < sw->wanted && !s; i++)
        if (!sw->run[i].settings)
            s = pd_fail(ctx, PUDLE_ERR_CONFIG, "nothing was run");
    sweep_tell(sw); /* warnings, too */
    if (!s)
        s = take_folder(sw);
    if (!s)
        s = sweep_find_there(sw);
    for (int i = 0; i < sw->runs && !s; i++)
        s = take_digest(sw, &sw->run[i]);
    if (!s)
        s = sweep_match(sw);
    if (!s)
        s = sweep_take_levels(sw);
    if (!s)
        s = sweep_try_folders(sw);
    for (int i = 0; i < sw->runs && !s; i++) {
        s = take_values(sw, &sw->run[i]);
        if (!s)
            sweep_look(sw, &sw->run[i]);
    }
    if (!s)
        s = sweep_look_at_files(sw);
    if (!s)
        s = number_combinations(sw);
    for (int a = 0; a < args->varies; a++) {
        sweep_free_texts(axes[a].key, axes[a].keys);
        sweep_free_texts(axes[a].value, axes[a].values);
    }
    return s;
}

void sweep_close(sweep *sw)
{
    for (int i = 0; i < sw->runs; i++) {
        sweep_run *run = &sw->run[i];
        pd_settings_destroy(run->settings);
        sweep_free_texts(run->value, sw->keys);
        free(run->name);
        free(run->path);
        free(run->reason);
    }
    free(sw->run);
    sweep_free_texts(sw->key, sw->keys);
    free(sw->varies);
    for (int i = 0; i < sw->notes; i++) {
        free(sw->note[i].text);
        sweep_free_texts(sw->note[i].about, sw->note[i].runs);
    }
    free(sw->note);
    if (sw->lock >= 0)
        close(sw->lock);
}
