/* The files of a sweep: sweep.csv, a row for each run, and combinations.csv, one for the seeds of each combination. */
#include "sweep_tables.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char RUNS_HEAD[] = "run,state,", COMBINATIONS_HEAD[] = "runs,failed,", SEED_COLUMN[] = "seed";
const char *const sweep_states[] = { "unfinished", "done", "failed" };

/* The first line of a table; "" where there is no file. The caller frees it. */
static pudle_status header_of(pd_context *ctx, const char *folder, const char *name, char **line)
{
    char *path = pd_format("%s/%s", folder, name);
    size_t room = 0;
    FILE *file = path ? fopen(path, "re") : NULL;
    const bool missing = !file && errno == ENOENT;
    const ssize_t length = file ? getline(line, &room, file) : -1;
    pudle_status s = !path ? pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory") : file || missing ? PUDLE_OK : pd_fail(ctx, PUDLE_ERR_IO, "%s: %s", path, strerror(errno));
    if (length < 0) {
        free(*line);
        *line = file ? pd_strdup("?") : pd_strdup("");
    }
    if (file)
        fclose(file);
    free(path);
    return s ? s : *line ? PUDLE_OK : pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
}

pudle_status sweep_tables_check(pd_context *ctx, const char *folder)
{
    static const struct { const char *name, *head; } tables[] = { { SWEEP_RUNS, RUNS_HEAD }, { SWEEP_COMBINATIONS, COMBINATIONS_HEAD } };
    pudle_status s = PUDLE_OK;
    for (int i = 0; i < 2 && !s; i++) {
        char *line = NULL;
        s = header_of(ctx, folder, tables[i].name, &line);
        if (!s && *line && strncmp(line, tables[i].head, strlen(tables[i].head)) != 0)
            s = pd_fail(ctx, PUDLE_ERR_CONFIG, "%s/%s is of no sweep, and would be overwritten: move it away, or choose another folder with --out", folder, tables[i].name);
        free(line);
    }
    return s;
}

pudle_status sweep_tables_keys(pd_context *ctx, const char *folder, char ***key, int *keys)
{
    char *line = NULL, *rest = NULL;
    pudle_status s = header_of(ctx, folder, SWEEP_RUNS, &line);
    if (!s && strncmp(line, RUNS_HEAD, sizeof RUNS_HEAD - 1) != 0)
        *line = '\0';
    char *word = s || !*line ? NULL : strtok_r(line + sizeof RUNS_HEAD - 1, ",\n", &rest);
    for (; word && strcmp(word, SEED_COLUMN) && !s; word = strtok_r(NULL, ",\n", &rest)) {
        char **more = realloc(*key, ((size_t)*keys + 1) * sizeof *more);
        *key = more ? more : *key;
        if (!more || !((*key)[*keys] = pd_strdup(word)))
            s = pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
        else
            ++*keys;
    }
    free(line);
    return s;
}

static void put_text(FILE *to, const char *text)
{
    if (!text[strcspn(text, ",\"\n")]) {
        fputs(text, to);
        return;
    }
    putc('"', to);
    for (; *text; text++)
        fprintf(to, *text == '"' ? "\"\"" : "%c", *text == '\n' ? ' ' : *text); /* a row is a line */
    putc('"', to);
}

static void put_number(FILE *to, double value)
{
    if (isnan(value))
        putc(',', to);
    else
        fprintf(to, ",%.9g", value);
}

static void put_values(const sweep *sw, const sweep_run *run, FILE *to)
{
    for (int i = 0; i < sw->keys; i++) {
        putc(',', to);
        put_text(to, run->value[i] ? run->value[i] : "");
    }
}

static pudle_status open_table(const sweep *sw, const char *name, pd_atomic **file)
{
    char *path = pd_format("%s/%s", sw->args->out, name);
    const pudle_status s = path ? pd_atomic_open(sw->ctx, path, file) : pd_fail(sw->ctx, PUDLE_ERR_NOMEM, "out of memory");
    free(path);
    return s;
}

pudle_status sweep_write_runs(const sweep *sw)
{
    pd_atomic *file = NULL;
    const pudle_status s = open_table(sw, SWEEP_RUNS, &file);
    if (s)
        return s;
    FILE *to = pd_atomic_stream(file);
    fprintf(to, "%s", RUNS_HEAD);
    for (int i = 0; i < sw->keys; i++)
        fprintf(to, "%s,", sw->key[i]);
    fputs(SEED_COLUMN, to);
    for (int i = 0; i < SWEEP_FIGURES; i++)
        fprintf(to, ",%s", sweep_figure_names[i]);
    fputs(",reason\n", to);
    for (int r = 0; r < sw->runs; r++) {
        const sweep_run *run = &sw->run[r];
        put_text(to, run->name);
        fprintf(to, ",%s", sweep_states[run->state]);
        put_values(sw, run, to);
        fprintf(to, ",%" PRId64, run->settings->train.seed);
        for (int i = 0; i < SWEEP_FIGURES; i++)
            put_number(to, run->figure[i]);
        putc(',', to);
        put_text(to, run->reason ? run->reason : "");
        putc('\n', to);
    }
    return pd_atomic_commit(sw->ctx, file);
}

pudle_status sweep_write_combinations(const sweep *sw, const sweep_combination *list)
{
    pd_atomic *file = NULL;
    const pudle_status s = open_table(sw, SWEEP_COMBINATIONS, &file);
    if (s)
        return s;
    FILE *to = pd_atomic_stream(file);
    fprintf(to, "%.*s", (int)sizeof COMBINATIONS_HEAD - 2, COMBINATIONS_HEAD);
    for (int i = 0; i < sw->keys; i++)
        fprintf(to, ",%s", sw->key[i]);
    for (int i = 0; i < SWEEP_FIGURES; i++)
        fprintf(to, ",%s_mean,%s_sd", sweep_figure_names[i], sweep_figure_names[i]);
    fputs(",agreement_mean,agreement_median,agreement_chance\n", to);
    for (int c = 0; c < sw->combinations; c++) {
        fprintf(to, "%d,%d", list[c].runs, list[c].failed);
        put_values(sw, list[c].first, to);
        for (int i = 0; i < SWEEP_FIGURES; i++) {
            put_number(to, list[c].mean[i]);
            put_number(to, list[c].deviation[i]);
        }
        put_number(to, list[c].agreement_mean);
        put_number(to, list[c].agreement_median);
        put_number(to, list[c].chance);
        putc('\n', to);
    }
    return pd_atomic_commit(sw->ctx, file);
}
