/* The runs of a sweep: --vary and --seeds to settings, each with a folder; those of earlier calls beside them. */
#include "sweep.h"
#include "train/manifest.h"
#include "train/rundir.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_RUNS = 10000, LONGEST_NAME = 200, SILENT = PUDLE_LOG_WARNING + 1 };
static const char SEED[] = "train.seed";

static pudle_status no_memory(pd_context *ctx)
{
    return pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory for the runs of a sweep");
}

static void free_texts(char **text, int count)
{
    for (int i = 0; text && i < count; i++)
        free(text[i]);
    free(text);
}

/* ------------------------------------------------------------------ what is said */

void sweep_say(sweep *sw, const char *about, const char *text)
{
    for (int i = 0; i < sw->notes; i++)
        if (!strcmp(sw->note[i].text, text)) {
            sw->note[i].others++;
            return;
        }
    sweep_note *more = realloc(sw->note, ((size_t)sw->notes + 1) * sizeof *more);
    sw->note = more ? more : sw->note;
    sweep_note note = { .text = pd_strdup(text), .about = pd_strdup(about) };
    if (more && note.text && note.about) {
        sw->note[sw->notes++] = note;
        return;
    }
    free(note.text);
    free(note.about);
    fprintf(stderr, "%s: %s\n", about, text); /* no room to keep it */
}

void sweep_say_lines(sweep *sw, const char *about, const char *text)
{
    for (; *text; text += strcspn(text, "\n"), text += *text == '\n') {
        char *line = pd_format("%.*s", (int)strcspn(text, "\n"), text);
        sweep_say(sw, about, line ? line : text);
        free(line);
    }
}

void sweep_tell(sweep *sw)
{
    fflush(stdout);
    for (int i = 0; i < sw->notes; i++) {
        sweep_note *n = &sw->note[i];
        if (n->told)
            continue;
        n->told = true;
        fprintf(stderr, "%s", n->about);
        if (n->others)
            fprintf(stderr, " (and %d other%s)", n->others, n->others == 1 ? "" : "s");
        fputs(":\n", stderr);
        for (const char *line = n->text; *line; line += strcspn(line, "\n"), line += *line == '\n')
            fprintf(stderr, "  %.*s\n", (int)strcspn(line, "\n"), line);
    }
}

/* ------------------------------------------------------------------ --vary */

/* Keys that take the same value, and the values, as --set would be given them. */
typedef struct axis { char **key, **value; int keys, values; } axis;

/* Where the first piece ends: at a comma that is neither in quotes nor in brackets, or at the end. */
static size_t piece(const char *text, size_t length)
{
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '"')
            quoted = !quoted;
        else if (!quoted && (text[i] == '[' || text[i] == '('))
            depth++;
        else if (!quoted && (text[i] == ']' || text[i] == ')'))
            depth--;
        else if (text[i] == ',' && !quoted && depth <= 0)
            return i;
    }
    return length;
}

/* The pieces between commas, without blanks around them; false without memory. Empty pieces are pieces. */
static bool split(const char *text, size_t length, char ***list, int *count)
{
    for (;;) {
        const size_t whole = piece(text, length);
        size_t from = 0, to = whole;
        while (from < to && text[from] == ' ')
            from++;
        while (to > from && text[to - 1] == ' ')
            to--;
        char **more = realloc(*list, ((size_t)*count + 1) * sizeof *more);
        *list = more ? more : *list;
        if (!more || !((*list)[*count] = pd_format("%.*s", (int)(to - from), text + from)))
            return false;
        ++*count;
        if (whole == length)
            return true;
        text += whole + 1;
        length -= whole + 1;
    }
}

static bool has_empty(char *const *list, int count)
{
    for (int i = 0; i < count; i++)
        if (!*list[i])
            return true;
    return false;
}

static pudle_status parse_axis(pd_context *ctx, const char *text, axis *a)
{
    const char *equals = strchr(text, '=');
    if (!equals)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "--vary %s: wants a key and its values, as  --vary prox.lambda=0.1,0.2,0.5", text);
    if (!split(text, (size_t)(equals - text), &a->key, &a->keys) || !split(equals + 1, strlen(equals + 1), &a->value, &a->values))
        return no_memory(ctx);
    if (has_empty(a->key, a->keys) || has_empty(a->value, a->values))
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "--vary %s: a key or a value is empty; write  --vary prox.lambda=0.1,0.2,0.5", text);
    return PUDLE_OK;
}

static int times_given(const axis *axes, int count, const char *key)
{
    int times = 0;
    for (int i = 0; i < count; i++)
        for (int k = 0; k < axes[i].keys; k++)
            times += !strcmp(axes[i].key[k], key);
    return times;
}

static pudle_status parse_axes(pd_context *ctx, const cli_args *args, axis *axes)
{
    pudle_status s = PUDLE_OK;
    if (!args->varies && !args->seeds)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "pudle sweep: nothing is varied; say what with --vary KEY=V1,V2,... (as --vary prox.lambda=0.1,0.2,0.5), or how often with --seeds N");
    for (int i = 0; i < args->varies; i++) { /* all mistakes at once */
        const pudle_status one = parse_axis(ctx, args->vary[i], &axes[i]);
        s = s ? s : one;
    }
    for (int i = 0; i < args->varies && !s; i++)
        for (int k = 0; k < axes[i].keys && !s; k++)
            if (times_given(axes, args->varies, axes[i].key[k]) > 1)
                s = pd_fail(ctx, PUDLE_ERR_CONFIG, "--vary: the key %s is given twice; give all its values at once", axes[i].key[k]);
    if (!s && args->seeds && times_given(axes, args->varies, SEED))
        s = pd_fail(ctx, PUDLE_ERR_CONFIG, "--seeds %" PRId64 " and --vary %s=... both choose the seeds: give one of them", args->seeds, SEED);
    return s;
}

/* -------------------------------------------------------------------- settings */

/* The command line of one run: that of the sweep, with values of its own. */
typedef struct request { cli_args args; char *own[sizeof((cli_args *)0)->set / sizeof(char *)]; int owns; } request;

static pudle_status ask(pd_context *ctx, request *r, char *text)
{
    if (!text)
        return no_memory(ctx);
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
        return no_memory(sw->ctx);
    pd_log_level(sw->ctx, SILENT);
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

static bool is_key(const sweep *sw, const char *key)
{
    for (int i = 0; i < sw->keys; i++)
        if (!strcmp(sw->key[i], key))
            return true;
    return false;
}

static bool counts(const sweep *sw, const pd_settings *settings, const char *key)
{
    return is_key(sw, key) || !pd_rundir_may_change(settings, key);
}

static void add_line(void *user, const char *key, const char *value, const char *same)
{
    const digest *d = user;
    (void)same;
    if (counts(d->sw, d->settings, key))
        fprintf(d->to, "%s = %s\n", key, value);
}

static pudle_status take_digest(const sweep *sw, sweep_run *run)
{
    char *text = NULL;
    size_t size = 0;
    FILE *memory = pd_text_stream(&text, &size);
    pudle_status s = memory ? pd_settings_each(sw->ctx, run->settings, add_line, &(digest){ sw, run->settings, memory }) : no_memory(sw->ctx);
    if (memory && fclose(memory) && !s)
        s = no_memory(sw->ctx);
    if (!s)
        pd_sha256(text, size, run->digest);
    free(text);
    return s;
}

/* ------------------------------------------------------------------------ keys */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static pudle_status add_key(sweep *sw, const char *key)
{
    if (!strcmp(key, SEED) || is_key(sw, key))
        return PUDLE_OK;
    char **more = realloc(sw->key, ((size_t)sw->keys + 1) * sizeof *more), *copy = pd_strdup(key);
    sw->key = more ? more : sw->key;
    if (!more || !copy) {
        free(copy);
        return no_memory(sw->ctx);
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
    free_texts(old, olds);
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
        return no_memory(sw->ctx);
    const pudle_status s = pd_settings_each(sw->ctx, run->settings, keep_value, &v);
    return s ? s : v.failed ? no_memory(sw->ctx) : PUDLE_OK;
}

/* ----------------------------------------------------------------- wanted runs */

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
        s = ask(sw->ctx, r, pd_format("%s=%" PRId64, SEED, settings->train.seed + seed_offset));
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
            s = ask(sw->ctx, &r, pd_format("%s=%s", axes[a].key[k], axes[a].value[value[a]]));
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
        s = no_memory(sw->ctx);
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
        return no_memory(sw->ctx);
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

/* ------------------------------------------------------------ runs that are there */

/* A folder of a run, and its settings; other folders are passed over. */
static pudle_status add_there(sweep *sw, const char *name)
{
    pd_context *ctx = sw->ctx;
    bool ours = false;
    char *path = pd_format("%s/%s", sw->args->out, name), *config = path ? pd_format("%s/config.cfg", path) : NULL, *copy = pd_strdup(name);
    pudle_status s = path && config && copy ? PUDLE_OK : no_memory(ctx);
    if (!s && !access(config, F_OK))
        s = pd_manifest_ours(ctx, path, &ours);
    pd_settings *settings = NULL;
    if (!s && ours) {
        pd_log_level(ctx, SILENT);
        const pudle_status read = pd_settings_load(ctx, config, NULL, 0, &settings);
        pd_log_level(ctx, sw->args->quiet ? PUDLE_LOG_WARNING : PUDLE_LOG_INFO);
        if (read) {
            pd_log(ctx, PUDLE_LOG_WARNING, "%s: its config cannot be read, so it is left out of the tables: %s", path, pd_error(ctx));
            pd_error_clear(ctx);
        }
    }
    sweep_run *more = settings ? realloc(sw->run, ((size_t)sw->runs + 1) * sizeof *more) : NULL;
    sw->run = more ? more : sw->run;
    if (more) {
        sw->run[sw->runs++] = (sweep_run){ .name = copy, .path = path, .settings = settings };
        copy = path = NULL;
    } else if (settings) {
        s = no_memory(ctx);
        pd_settings_destroy(settings);
    }
    free(copy);
    free(path);
    free(config);
    return s;
}

static pudle_status find_there(sweep *sw)
{
    DIR *folder = opendir(sw->args->out);
    pudle_status s = PUDLE_OK;
    if (!folder)
        return errno == ENOENT ? PUDLE_OK : pd_fail(sw->ctx, PUDLE_ERR_CONFIG, "--out %s: cannot be listed: %s", sw->args->out, strerror(errno));
    for (const struct dirent *e; !s && (e = readdir(folder));)
        if (*e->d_name != '.')
            s = add_there(sw, e->d_name);
    closedir(folder);
    return s;
}

/* A run of this name that is another, or one that differs in what nobody has varied: the table would compare what is not alike. */
typedef struct difference { sweep *sw; const sweep_run *there, *wanted; bool same_name; int told; } difference;

static void tell_difference(void *user, const char *key, const char *then, const char *now)
{
    difference *d = user;
    if (d->same_name ? !counts(d->sw, d->wanted->settings, key)
                     : !then || !now || is_key(d->sw, key) || !strcmp(key, SEED) || pd_rundir_may_change(d->wanted->settings, key))
        return;
    d->told++;
    pd_fail(d->sw->ctx, PUDLE_ERR_CONFIG, "%s is a run with %s = %s, and now it is %s: vary that too, with --vary %s=%s, or choose another folder with --out", d->there->path,
            key, then ? then : "(unset)", now ? now : "(unset)", key, now ? now : "...");
}

static pudle_status compare(sweep *sw, const sweep_run *there, const sweep_run *wanted, bool same_name, bool *differ)
{
    difference d = { sw, there, wanted, same_name, 0 };
    const pudle_status s = pd_settings_compare(sw->ctx, there->settings, wanted->settings, tell_difference, &d);
    *differ = d.told > 0;
    return s ? s : d.told ? PUDLE_ERR_CONFIG : PUDLE_OK;
}

static pudle_status refuse_twins(sweep *sw)
{
    for (int i = 0; i < sw->wanted; i++)
        for (int k = 0; k < i; k++)
            if (!strcmp(sw->run[i].digest, sw->run[k].digest))
                return pd_fail(sw->ctx, PUDLE_ERR_CONFIG, "%s and %s would be the same run: values that are given twice, or mean the same", sw->run[k].name,
                               sw->run[i].name);
            else if (!strcmp(sw->run[i].name, sw->run[k].name))
                return pd_fail(sw->ctx, PUDLE_ERR_CONFIG, "two runs would both have the folder %s; tell their values apart by letters, digits and . _ + -",
                               sw->run[i].name);
    return PUDLE_OK;
}

/* A wanted run goes on where one with its settings is, whatever that is called, and is taken off the list of the others. */
static pudle_status match(sweep *sw)
{
    bool differ = false;
    pudle_status s = refuse_twins(sw);
    for (int t = sw->wanted; t < sw->runs && !s;) {
        sweep_run *there = &sw->run[t];
        int same = -1, named = -1;
        for (int w = 0; w < sw->wanted; w++) {
            same = strcmp(sw->run[w].digest, there->digest) ? same : w;
            named = strcmp(sw->run[w].name, there->name) ? named : w;
        }
        if (same < 0 && named >= 0)
            s = compare(sw, there, &sw->run[named], true, &differ);
        if (same < 0 && !s && !differ)
            s = compare(sw, there, &sw->run[0], false, &differ);
        if (same < 0) {
            t++;
            continue;
        }
        sweep_run *wanted = &sw->run[same];
        char *name = wanted->name;
        wanted->name = there->name;
        wanted->path = there->path;
        free(name);
        pd_settings_destroy(there->settings);
        memmove(there, there + 1, (size_t)(--sw->runs - t) * sizeof *there);
    }
    for (int w = 0; w < sw->wanted && !s; w++) {
        sweep_run *run = &sw->run[w];
        if (!run->path && !(run->path = pd_format("%s/%s", sw->args->out, run->name)))
            s = no_memory(sw->ctx);
    }
    return s;
}

/* A folder that is there is refused before anything runs where `train --resume` would refuse it. */
static pudle_status try_folders(sweep *sw)
{
    struct stat info;
    for (int w = 0; w < sw->wanted; w++) {
        sweep_run *run = &sw->run[w];
        const pd_train_options options = { .directory = run->path, .resume = true };
        pd_rundir dir;
        if (stat(run->path, &info))
            continue;
        const pudle_status s = pd_rundir_open(sw->ctx, run->settings, &options, &dir);
        if (s)
            return s;
        pd_rundir_close(&dir);
    }
    return PUDLE_OK;
}

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
        return no_memory(sw->ctx);
    for (int i = 0; i < sw->runs; i++) {
        int like = 0;
        while (like < i && !same_values(sw, &sw->run[i], &sw->run[like]))
            like++;
        sw->run[i].combination = like == i ? sw->combinations++ : sw->run[like].combination;
        for (int k = 0; k < sw->keys; k++)
            sw->varies[k] |= !same_value(&sw->run[i], &sw->run[0], k);
    }
    return PUDLE_OK;
}

/* ------------------------------------------------------------------------ folder */

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
        s = no_memory(ctx);
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
    pudle_status s = args->out ? parse_axes(ctx, args, axes) : pd_fail(ctx, PUDLE_ERR_CONFIG, "pudle sweep: say where to write with --out DIR");
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
        s = find_there(sw);
    for (int i = 0; i < sw->runs && !s; i++)
        s = take_digest(sw, &sw->run[i]);
    if (!s)
        s = match(sw);
    if (!s)
        s = try_folders(sw);
    for (int i = 0; i < sw->runs && !s; i++) {
        s = take_values(sw, &sw->run[i]);
        if (!s)
            sweep_look(sw, &sw->run[i]);
    }
    if (!s)
        s = number_combinations(sw);
    for (int a = 0; a < args->varies; a++) {
        free_texts(axes[a].key, axes[a].keys);
        free_texts(axes[a].value, axes[a].values);
    }
    return s;
}

void sweep_close(sweep *sw)
{
    for (int i = 0; i < sw->runs; i++) {
        sweep_run *run = &sw->run[i];
        pd_settings_destroy(run->settings);
        free_texts(run->value, sw->keys);
        free(run->name);
        free(run->path);
        free(run->reason);
    }
    free(sw->run);
    free_texts(sw->key, sw->keys);
    free(sw->varies);
    for (int i = 0; i < sw->notes; i++) {
        free(sw->note[i].text);
        free(sw->note[i].about);
    }
    free(sw->note);
    if (sw->lock >= 0)
        close(sw->lock);
}
