/* sweep.csv, a row for each run; combinations.csv, means over seeds and how far the dictionaries agree; and both in words, best first. */
#include "sweep.h"
#include "train/init.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char RUNS[] = "sweep.csv", COMBINATIONS[] = "combinations.csv", RUNS_HEAD[] = "run,state,", COMBINATIONS_HEAD[] = "runs,failed,", SEED_COLUMN[] = "seed";
static const char *const states[] = { "unfinished", "done", "failed" };

/* Means over the seeds of one combination; agreement of each two of its dictionaries. */
typedef struct combination {
    const sweep_run *first;
    int runs, failed; /* done; and not */
    double mean[SWEEP_FIGURES], deviation[SWEEP_FIGURES]; /* NaN: unknown */
    double agreement_mean, agreement_median, chance;
} combination;

/* ------------------------------------------------------------------------- files */

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
    static const struct { const char *name, *head; } tables[] = { { RUNS, RUNS_HEAD }, { COMBINATIONS, COMBINATIONS_HEAD } };
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
    pudle_status s = header_of(ctx, folder, RUNS, &line);
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
    const pudle_status s = open_table(sw, RUNS, &file);
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
        fprintf(to, ",%s", states[run->state]);
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

static pudle_status write_combinations(const sweep *sw, const combination *list)
{
    pd_atomic *file = NULL;
    const pudle_status s = open_table(sw, COMBINATIONS, &file);
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

/* ------------------------------------------------------------------- combinations */

static void count_runs(const sweep *sw, int c, combination *to)
{
    *to = (combination){ .agreement_mean = NAN, .agreement_median = NAN, .chance = NAN };
    for (int r = 0; r < sw->runs; r++)
        if (sw->run[r].combination == c) {
            to->first = to->first ? to->first : &sw->run[r];
            to->runs += sw->run[r].state == SWEEP_DONE;
            to->failed += sw->run[r].state != SWEEP_DONE;
        }
    for (int i = 0; i < SWEEP_FIGURES; i++) {
        double sum = 0, squares = 0;
        for (int r = 0; r < sw->runs; r++)
            if (sw->run[r].combination == c && sw->run[r].state == SWEEP_DONE)
                sum += sw->run[r].figure[i];
        to->mean[i] = to->runs ? sum / to->runs : NAN;
        for (int r = 0; r < sw->runs; r++)
            if (sw->run[r].combination == c && sw->run[r].state == SWEEP_DONE)
                squares += (sw->run[r].figure[i] - to->mean[i]) * (sw->run[r].figure[i] - to->mean[i]);
        to->deviation[i] = to->runs > 1 ? sqrt(squares / (to->runs - 1)) : NAN;
    }
}

static pudle_status read_atoms(const sweep *sw, const sweep_run *run, pd_array *array, pudle_cview *atoms)
{
    char *path = pd_format("%s/dictionary.npy", run->path);
    pudle_status s = path ? pd_array_read(sw->ctx, path, PUDLE_F64, array) : pd_fail(sw->ctx, PUDLE_ERR_NOMEM, "out of memory");
    if (!s)
        s = cli_atoms(sw->ctx, path, &array->view, atoms);
    free(path);
    return s;
}

/* How far two dictionaries agree that have nothing in common: of normal numbers. In few dimensions that is far. */
static pudle_status agree_by_chance(pd_context *ctx, int64_t m, int64_t p, double *mean)
{
    double *d[2];
    pudle_status s = PUDLE_OK;
    for (int i = 0; i < 2; i++) {
        d[i] = p <= INT64_MAX / m ? pd_alloc((size_t)(m * p), sizeof **d) : NULL;
        if (!s)
            s = d[i] ? pd_init_random(ctx, (uint64_t)i, m, p, d[i]) : pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
    }
    pd_distance distance;
    const pudle_cview a = pd_cmatrix(d[0], PUDLE_F64, m, p), b = pd_cmatrix(d[1], PUDLE_F64, m, p);
    if (!s)
        s = pd_distance_assigned(ctx, &a, &b, &distance, NULL, NULL);
    if (!s)
        *mean = distance.cosine_mean;
    free(d[0]);
    free(d[1]);
    return s;
}

/* Each two dictionaries of a combination. */
static pudle_status compare_dictionaries(const sweep *sw, int c, combination *to)
{
    pd_array *array = pd_alloc((size_t)to->runs + 1, sizeof *array);
    pudle_cview *atoms = pd_alloc((size_t)to->runs + 1, sizeof *atoms);
    pudle_status s = array && atoms ? PUDLE_OK : pd_fail(sw->ctx, PUDLE_ERR_NOMEM, "out of memory");
    double mean = 0, median = 0;
    int count = 0;
    for (int r = 0; r < sw->runs && !s; r++)
        if (sw->run[r].combination == c && sw->run[r].state == SWEEP_DONE) {
            s = read_atoms(sw, &sw->run[r], &array[count], &atoms[count]);
            count++;
        }
    for (int i = 0; i < count && !s; i++)
        for (int k = 0; k < i && !s; k++) {
            pd_distance d;
            s = pd_distance_assigned(sw->ctx, &atoms[i], &atoms[k], &d, NULL, NULL);
            mean += s ? 0 : d.cosine_mean;
            median += s ? 0 : d.cosine_median;
        }
    const double pairs = 0.5 * count * (count - 1);
    to->agreement_mean = mean / pairs;
    to->agreement_median = median / pairs;
    if (!s)
        s = agree_by_chance(sw->ctx, atoms[0].shape[0], atoms[0].shape[1], &to->chance);
    for (int i = 0; i < count; i++)
        pd_array_free(&array[i]);
    free(array);
    free(atoms);
    return s;
}

/* ---------------------------------------------------------------------- what is best */

/* The figure that the tables are ordered by. Losses are one quantity only where the loss is the same; what D leaves of the data is one in any case. */
typedef struct order { int figure, nonzeros; bool tests, losses, codes, data, levels; } order;

static order choose_order(const sweep *sw)
{
    order o = { .tests = true };
    for (int r = 0; r < sw->runs; r++)
        o.tests = o.tests && (sw->run[r].state != SWEEP_DONE || !isnan(sw->run[r].figure[SWEEP_TEST_LOSS]));
    for (int i = 0; i < sw->keys; i++) {
        const char *key = sw->key[i];
        const bool of_loss = !strncmp(key, "loss.", 5), code = !strcmp(key, "loss.code_l1");
        if (!sw->varies[i])
            continue;
        o.losses |= of_loss && !code;
        o.codes |= code;
        o.data |= !strncmp(key, "data.", 5);
        o.levels |= !strncmp(key, "prox.", 5);
    }
    o.nonzeros = o.tests ? SWEEP_TEST_NONZEROS : SWEEP_NONZEROS;
    if (o.losses || o.data)
        o.figure = o.tests ? SWEEP_TEST_RELATIVE_ERROR : SWEEP_RELATIVE_ERROR;
    else if (o.codes)
        o.figure = o.tests ? SWEEP_TEST_DATA_LOSS : SWEEP_DATA_LOSS;
    else
        o.figure = o.tests ? SWEEP_TEST_LOSS : SWEEP_LOSS;
    return o;
}

static void print_order(const order *o)
{
    static const char *const words[SWEEP_FIGURES] = {
        [SWEEP_LOSS] = "loss of the training samples", [SWEEP_DATA_LOSS] = "data's part of the loss of the training samples",
        [SWEEP_RELATIVE_ERROR] = "relative error of the training samples' reconstruction", [SWEEP_TEST_LOSS] = "loss of the test samples",
        [SWEEP_TEST_DATA_LOSS] = "data's part of the loss of the test samples", [SWEEP_TEST_RELATIVE_ERROR] = "relative error of the test samples' reconstruction",
    };
    printf("best first, by the %s%s\n", words[o->figure], o->tests ? "" : ", for the data has no test samples: what fits more, such as more atoms, looks better than it is");
    if (o->losses)
        printf("options of the loss are varied: losses of different runs are different quantities, and no order follows from them\n");
    if (o->codes && !o->losses)
        printf("loss.code_l1 is varied: losses with different prices on the code are different quantities\n");
    if (o->data)
        printf("options of the data are varied: losses of different data are different quantities, and so are dictionaries' errors\n");
    if (o->levels)
        printf("the prox is varied: what shrinks codes less reconstructs better with more nonzeros, so weigh the two\n");
}

/* -------------------------------------------------------------------------- printing */

enum { WIDEST = 28, KEYS = 48, COLUMNS = KEYS + 16 };

/* A table of texts. */
typedef struct grid { int rows, columns; char (*cell)[WIDEST]; } grid;

static char *cell(grid *g, int row, int column)
{
    return g->cell[row * g->columns + column];
}

static void set_number(char *to, double value, const char *format)
{
    if (isnan(value))
        strcpy(to, "-");
    else
        snprintf(to, WIDEST, format, value);
}

static void set_spread(char *to, double mean, double deviation)
{
    if (isnan(mean) || isnan(deviation))
        set_number(to, mean, "%.5g");
    else
        snprintf(to, WIDEST, "%.5g +- %.2g", mean, deviation);
}

static void print_grid(grid *g)
{
    int width[COLUMNS] = { 0 };
    for (int r = 0; r < g->rows; r++)
        for (int c = 0; c < g->columns; c++)
            width[c] = (int)strlen(cell(g, r, c)) > width[c] ? (int)strlen(cell(g, r, c)) : width[c];
    for (int r = 0; r < g->rows; r++) {
        for (int c = 0; c < g->columns; c++)
            printf("%s%-*s", c ? "  " : "", c + 1 < g->columns ? width[c] : 0, cell(g, r, c));
        printf("\n");
    }
}

/* Smaller is better; what is unknown comes last. */
static bool better(double a, double b)
{
    return !isnan(a) && (isnan(b) || a < b);
}

/* rank (count): the numbers of the items, best first; ties stay in their order. */
static void sort(int *rank, const double *value, int count)
{
    for (int i = 0; i < count; i++) {
        int at = i;
        for (; at > 0 && better(value[i], value[rank[at - 1]]); at--)
            rank[at] = rank[at - 1];
        rank[at] = i;
    }
}

/* Keys that have one value in all rows are not shown. */
static int set_keys(const sweep *sw, grid *g, int row, const sweep_run *run)
{
    int c = 0;
    for (int i = 0; i < sw->keys && c < KEYS; i++)
        if (sw->keys == 1 || sw->varies[i])
            snprintf(cell(g, row, c++), WIDEST, "%s", !run ? sw->key[i] : run->value[i] ? run->value[i] : "-");
    return c;
}

static int shown_keys(const sweep *sw)
{
    int count = 0;
    for (int i = 0; i < sw->keys && count < KEYS; i++)
        count += sw->keys == 1 || sw->varies[i];
    return count;
}

static pudle_status make_grid(pd_context *ctx, int rows, int columns, grid *g)
{
    *g = (grid){ rows, columns, pd_alloc((size_t)rows * (size_t)columns, sizeof *g->cell) };
    return g->cell ? PUDLE_OK : pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory for the table");
}

static pudle_status print_runs(const sweep *sw, const order *o)
{
    static const char *const heads[] = { "seed", "", "nonzeros", "relative error", "dictionary error", "updates", "state" };
    const int figures[] = { o->figure, o->nonzeros, o->tests ? SWEEP_TEST_RELATIVE_ERROR : SWEEP_RELATIVE_ERROR, SWEEP_DICTIONARY_ERROR, SWEEP_UPDATES };
    enum { HEADS = sizeof heads / sizeof *heads };
    grid g;
    const int keys = shown_keys(sw);
    int *rank = pd_alloc((size_t)sw->runs, sizeof *rank);
    double *value = pd_alloc((size_t)sw->runs, sizeof *value);
    pudle_status s = rank && value ? make_grid(sw->ctx, sw->runs + 1, keys + HEADS, &g) : pd_fail(sw->ctx, PUDLE_ERR_NOMEM, "out of memory for the table");
    for (int r = 0; r < sw->runs && !s; r++)
        value[r] = sw->run[r].state == SWEEP_DONE ? sw->run[r].figure[o->figure] : NAN;
    if (!s) {
        sort(rank, value, sw->runs);
        set_keys(sw, &g, 0, NULL);
        for (int h = 0; h < HEADS; h++)
            snprintf(cell(&g, 0, keys + h), WIDEST, "%s", h == 1 ? sweep_figure_names[o->figure] : heads[h]);
        for (int r = 0; r < sw->runs; r++) {
            const sweep_run *run = &sw->run[rank[r]];
            const int at = set_keys(sw, &g, r + 1, run);
            snprintf(cell(&g, r + 1, at), WIDEST, "%" PRId64, run->settings->train.seed);
            for (int h = 0; h < HEADS - 2; h++)
                set_number(cell(&g, r + 1, at + 1 + h), run->figure[figures[h]], "%.6g");
            snprintf(cell(&g, r + 1, at + HEADS - 1), WIDEST, "%s", states[run->state]);
        }
        print_grid(&g);
        free(g.cell);
    }
    free(rank);
    free(value);
    return s;
}

static pudle_status print_combinations(const sweep *sw, const order *o, const combination *list)
{
    static const char *const heads[] = { "runs", "", "nonzeros", "relative error", "dictionary error", "agreement", "median", "by chance" };
    const int figures[] = { o->figure, o->nonzeros, o->tests ? SWEEP_TEST_RELATIVE_ERROR : SWEEP_RELATIVE_ERROR, SWEEP_DICTIONARY_ERROR };
    enum { HEADS = sizeof heads / sizeof *heads, FIGURES = sizeof figures / sizeof *figures };
    grid g;
    const int keys = shown_keys(sw);
    int *rank = pd_alloc((size_t)sw->combinations, sizeof *rank);
    double *value = pd_alloc((size_t)sw->combinations, sizeof *value);
    pudle_status s = rank && value ? make_grid(sw->ctx, sw->combinations + 1, keys + HEADS, &g) : pd_fail(sw->ctx, PUDLE_ERR_NOMEM, "out of memory for the table");
    for (int c = 0; c < sw->combinations && !s; c++)
        value[c] = list[c].mean[o->figure];
    if (!s) {
        sort(rank, value, sw->combinations);
        set_keys(sw, &g, 0, NULL);
        for (int h = 0; h < HEADS; h++)
            snprintf(cell(&g, 0, keys + h), WIDEST, "%s", h == 1 ? sweep_figure_names[o->figure] : heads[h]);
        for (int c = 0; c < sw->combinations; c++) {
            const combination *from = &list[rank[c]];
            const int at = set_keys(sw, &g, c + 1, from->first);
            snprintf(cell(&g, c + 1, at), WIDEST, "%d", from->runs);
            for (int h = 0; h < FIGURES; h++)
                set_spread(cell(&g, c + 1, at + 1 + h), from->mean[figures[h]], from->deviation[figures[h]]);
            set_number(cell(&g, c + 1, at + FIGURES + 1), from->agreement_mean, "%.4f");
            set_number(cell(&g, c + 1, at + FIGURES + 2), from->agreement_median, "%.4f");
            set_number(cell(&g, c + 1, at + FIGURES + 3), from->chance, "%.4f");
        }
        print_grid(&g);
        free(g.cell);
    }
    free(rank);
    free(value);
    return s;
}

/* Do the seeds of some combination begin near one dictionary, so that to end near each other says little of the data? */
static bool begin_alike(const sweep *sw)
{
    for (int r = 0; r < sw->runs; r++)
        if (sw->run[r].settings->dictionary.init == PD_INIT_TRUTH || sw->run[r].settings->dictionary.init == PD_INIT_FILE)
            return true;
    return false;
}

pudle_status sweep_report(sweep *sw)
{
    const order o = choose_order(sw);
    combination *list = pd_alloc((size_t)sw->combinations + 1, sizeof *list);
    pudle_status s = list ? PUDLE_OK : pd_fail(sw->ctx, PUDLE_ERR_NOMEM, "out of memory for the table");
    bool several = false;
    for (int c = 0; c < sw->combinations && !s; c++) {
        count_runs(sw, c, &list[c]);
        if (list[c].runs > 1)
            s = compare_dictionaries(sw, c, &list[c]);
        several |= list[c].runs > 1;
    }
    if (!s)
        s = write_combinations(sw, list);
    if (!s) {
        printf("\n");
        s = several ? print_combinations(sw, &o, list) : print_runs(sw, &o);
    }
    if (!s) {
        printf("\n");
        print_order(&o);
    }
    if (!s && several)
        printf("means and standard deviations over seeds. Agreement: |cosine| of the atoms of two seeds in the best order, mean and median over the atoms; by chance: that of "
               "random atoms.\nNear 1 the atoms are the data's; near chance, the seed's%s\n",
               begin_alike(sw) ? "; but these began near the same dictionary (model.dictionary.init), and agree for that, too" : "");
    if (!s)
        printf("runs: %s/%s\ncombinations: %s/%s\n", sw->args->out, RUNS, sw->args->out, COMBINATIONS);
    free(list);
    return s;
}
