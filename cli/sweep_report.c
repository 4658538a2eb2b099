/* The tables of a sweep in words, best first, with what an order can and cannot say. */
#include "sweep_tables.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------------- what is best */

/* Losses are one quantity only where the loss is the same; what D leaves of the data is one in any case. */
void sweep_order_by(sweep_order *o, char *const key[], const bool varies[], int keys)
{
    for (int i = 0; i < keys; i++) {
        const bool of_model = !strncmp(key[i], "loss.offset", 11) || !strcmp(key[i], "loss.learn_offset"); /* the baseline of D z + a */
        const bool of_loss = !strncmp(key[i], "loss.", 5) && !of_model, code = !strncmp(key[i], "loss.code_l", 11);
        if (!varies[i])
            continue;
        o->losses |= of_loss && !code;
        o->codes |= code;
        o->data |= !strncmp(key[i], "data.", 5);
        o->levels |= !strncmp(key[i], "prox.", 5);
    }
    o->nonzeros = o->tests ? SWEEP_TEST_NONZEROS : SWEEP_NONZEROS;
    if (o->losses || o->data)
        o->figure = o->tests ? SWEEP_TEST_RELATIVE_ERROR : SWEEP_RELATIVE_ERROR;
    else if (o->codes)
        o->figure = o->tests ? SWEEP_TEST_DATA_LOSS : SWEEP_DATA_LOSS;
    else
        o->figure = o->tests ? SWEEP_TEST_LOSS : SWEEP_LOSS;
}

void sweep_order_run(sweep_order *o, double updates, double test_loss)
{
    o->fewest = o->most > 0 && o->fewest < updates ? o->fewest : updates;
    o->most = o->most > updates ? o->most : updates;
    o->tests = o->tests && !isnan(test_loss);
}

/* Of the training loss: the baseline is the model's, and an inner_loss the encoder's. */
void sweep_order_follow(sweep_order *o, const pd_settings *settings, char *const key[], const bool varies[], int keys)
{
    for (const pd_follower *f = settings->follower; f; f = f->next)
        for (int i = 0; i < keys; i++)
            if (f->section == PD_SECTION_LOSS && strcmp(f->option, "offset") && varies[i] && !strcmp(f->what, key[i])) {
                const bool code = !strncmp(f->option, "code_l", 6);
                o->losses |= !code;
                o->codes |= code;
            }
}

static sweep_order choose_order(const sweep *sw)
{
    sweep_order o = { .tests = true };
    for (int r = 0; r < sw->runs; r++)
        if (sw->run[r].state == SWEEP_DONE)
            sweep_order_run(&o, sw->run[r].figure[SWEEP_UPDATES], sw->run[r].figure[SWEEP_TEST_LOSS]);
    for (int r = 0; r < sw->runs; r++)
        sweep_order_follow(&o, sw->run[r].settings, sw->key, sw->varies, sw->keys);
    sweep_order_by(&o, sw->key, sw->varies, sw->keys);
    return o;
}

void sweep_order_print(FILE *to, const sweep_order *o)
{
    static const char *const words[SWEEP_FIGURES] = {
        [SWEEP_LOSS] = "loss of the training samples", [SWEEP_DATA_LOSS] = "data's part of the loss of the training samples",
        [SWEEP_RELATIVE_ERROR] = "relative error of the training samples' reconstruction", [SWEEP_TEST_LOSS] = "loss of the test samples",
        [SWEEP_TEST_DATA_LOSS] = "data's part of the loss of the test samples", [SWEEP_TEST_RELATIVE_ERROR] = "relative error of the test samples' reconstruction",
    };
    fprintf(to, "best first, by the %s%s\n", words[o->figure], o->tests ? "" : ", for the data has no test samples: what fits more, such as more atoms, looks better than it is");
    if (o->losses)
        fprintf(to, "options of the loss are varied: losses of different runs are different quantities, and no order follows from them\n");
    if (o->codes && !o->losses)
        fprintf(to, "loss.code_l1 or code_l2 is varied: losses with different prices on the code are different quantities\n");
    if (o->data)
        fprintf(to, "options of the data are varied: losses of different data are different quantities, and so are dictionaries' errors\n");
    if (o->fewest < o->most)
        fprintf(to, "runs are of different length, %.0f to %.0f updates: longer ones have had more time to learn\n", o->fewest, o->most);
    if (o->levels)
        fprintf(to, "the prox is varied: what shrinks codes less reconstructs better with more nonzeros, so weigh the two\n");
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
static bool is_shown(const sweep *sw, int key)
{
    return sw->keys == 1 || sw->varies[key];
}

static int set_keys(const sweep *sw, grid *g, int row, const sweep_run *run)
{
    int c = 0;
    for (int i = 0; i < sw->keys && c < KEYS; i++)
        if (is_shown(sw, i))
            snprintf(cell(g, row, c++), WIDEST, "%s", !run ? sw->key[i] : run->value[i] ? run->value[i] : "-");
    return c;
}

static int shown_keys(const sweep *sw)
{
    int count = 0;
    for (int i = 0; i < sw->keys && count < KEYS; i++)
        count += is_shown(sw, i);
    return count;
}

enum { HEADS = 12 };

/* What a table has behind its keys: texts, of which `figures` from the second on are those of figure[]. The figure that orders the table comes first, and no other time. */
typedef struct columns { const char *head[HEADS]; int count, figure[4], figures; } columns;

static void add_head(columns *c, const char *head)
{
    c->head[c->count++] = head;
}

static columns begin_columns(const sweep_order *o, const char *first)
{
    const int all[] = { o->figure, o->nonzeros, o->tests ? SWEEP_TEST_RELATIVE_ERROR : SWEEP_RELATIVE_ERROR, SWEEP_DICTIONARY_ERROR };
    const char *const heads[] = { sweep_figure_names[o->figure], "nonzeros", "relative error", "dictionary error" };
    columns c = { .head = { first }, .count = 1 };
    for (int i = 0; i < 4; i++)
        if (i == 0 || all[i] != o->figure) {
            c.figure[c.figures++] = all[i];
            add_head(&c, heads[i]);
        }
    return c;
}

/* Items are runs, or combinations where there is a list of them. `set` fills the cells of one from `at` on. */
typedef struct table { const sweep *sw; const sweep_order *o; const sweep_combination *list; columns c; int items; } table;

static const sweep_run *run_of(const table *t, int item)
{
    return t->list ? t->list[item].first : &t->sw->run[item];
}

static double value_of(const table *t, int item)
{
    const sweep_run *run = &t->sw->run[item];
    return t->list ? t->list[item].mean[t->o->figure] : run->state == SWEEP_DONE ? run->figure[t->o->figure] : NAN;
}

static pudle_status print_table(const table *t, void (*set)(const table *t, int item, grid *g, int row, int at))
{
    const sweep *sw = t->sw;
    grid g = { t->items + 1, shown_keys(sw) + t->c.count, NULL };
    int *rank = pd_alloc((size_t)t->items, sizeof *rank);
    double *value = pd_alloc((size_t)t->items, sizeof *value);
    g.cell = pd_alloc((size_t)g.rows * (size_t)g.columns, sizeof *g.cell);
    const bool good = rank && value && g.cell;
    for (int i = 0; good && i < t->items; i++)
        value[i] = value_of(t, i);
    if (good) {
        sort(rank, value, t->items);
        const int at = set_keys(sw, &g, 0, NULL);
        for (int h = 0; h < t->c.count; h++)
            snprintf(cell(&g, 0, at + h), WIDEST, "%s", t->c.head[h]);
        for (int i = 0; i < t->items; i++)
            set(t, rank[i], &g, i + 1, set_keys(sw, &g, i + 1, run_of(t, rank[i])));
        print_grid(&g);
    }
    free(g.cell);
    free(value);
    free(rank);
    return good ? PUDLE_OK : pd_fail(sw->ctx, PUDLE_ERR_NOMEM, "out of memory for the table");
}

static void set_run(const table *t, int item, grid *g, int row, int at)
{
    const sweep_run *run = &t->sw->run[item];
    snprintf(cell(g, row, at++), WIDEST, "%" PRId64, run->settings->train.seed);
    for (int i = 0; i < t->c.figures; i++)
        set_number(cell(g, row, at++), run->figure[t->c.figure[i]], "%.6g");
    set_number(cell(g, row, at++), run->figure[SWEEP_UPDATES], "%.6g");
    snprintf(cell(g, row, at), WIDEST, "%s", sweep_states[run->state]);
}

static pudle_status print_runs(const sweep *sw, const sweep_order *o)
{
    table t = { sw, o, NULL, begin_columns(o, "seed"), sw->runs };
    add_head(&t.c, "updates");
    add_head(&t.c, "state");
    return print_table(&t, set_run);
}

static void set_combination(const table *t, int item, grid *g, int row, int at)
{
    const sweep_combination *from = &t->list[item];
    snprintf(cell(g, row, at++), WIDEST, "%d", from->runs);
    for (int i = 0; i < t->c.figures; i++)
        set_spread(cell(g, row, at++), from->mean[t->c.figure[i]], from->deviation[t->c.figure[i]]);
    set_number(cell(g, row, at++), from->agreement_mean, "%.4f");
    set_number(cell(g, row, at++), from->agreement_median, "%.4f");
    set_number(cell(g, row, at), from->chance, "%.4f");
}

static pudle_status print_combinations(const sweep *sw, const sweep_order *o, const sweep_combination *list)
{
    table t = { sw, o, list, begin_columns(o, "runs"), sw->combinations };
    add_head(&t.c, "agreement");
    add_head(&t.c, "median");
    add_head(&t.c, "by chance");
    return print_table(&t, set_combination);
}

/* Do the seeds of some combination begin near one dictionary, so that to end near each other says little of the data? */
static bool begin_alike(const sweep *sw)
{
    for (int r = 0; r < sw->runs; r++)
        if (sw->run[r].settings->dictionary.init == PD_INIT_TRUTH || sw->run[r].settings->dictionary.init == PD_INIT_FILE)
            return true;
    return false;
}

/* Filters agree at the lag that suits each best. */
static bool has_filters(const sweep *sw)
{
    for (int r = 0; r < sw->runs; r++)
        if (sw->run[r].settings->dictionary.kind == PD_KIND_CONV)
            return true;
    return false;
}

/* What the order by losses may hide: the values that the dictionary depends least on its seed with. */
static void print_agreement(const sweep *sw, const sweep_combination *list)
{
    const sweep_combination *most = NULL;
    for (int c = 0; c < sw->combinations; c++)
        if (!isnan(list[c].agreement_mean) && (!most || list[c].agreement_mean > most->agreement_mean))
            most = &list[c];
    if (!most || shown_keys(sw) == 0)
        return;
    printf("seeds agree most, to %.4f, with", most->agreement_mean);
    for (int i = 0; i < sw->keys; i++)
        if (is_shown(sw, i))
            printf(" %s=%s", sw->key[i], most->first->value[i] ? most->first->value[i] : "-");
    printf("\n");
}

/* A multiple of the critical value is a number of each seed's own, where the start or the data go by the seed. */
static void print_levels(const sweep *sw, const sweep_combination *list)
{
    const sweep_combination *widest = NULL;
    for (int c = 0; c < sw->combinations; c++)
        if (list[c].deviation[SWEEP_LEVEL] > 0 && (!widest || list[c].deviation[SWEEP_LEVEL] / list[c].mean[SWEEP_LEVEL] > widest->deviation[SWEEP_LEVEL] / widest->mean[SWEEP_LEVEL]))
            widest = &list[c];
    if (widest)
        printf("a level that is a multiple is another number for each seed (column level of %s), up to %.4g +- %.2g: what seeds differ by has this in it\n", SWEEP_RUNS,
               widest->mean[SWEEP_LEVEL], widest->deviation[SWEEP_LEVEL]);
}

pudle_status sweep_report(sweep *sw)
{
    const sweep_order o = choose_order(sw);
    sweep_combination *list = pd_alloc((size_t)sw->combinations + 1, sizeof *list);
    pudle_status s = list ? PUDLE_OK : pd_fail(sw->ctx, PUDLE_ERR_NOMEM, "out of memory for the table");
    bool several = false;
    if (!s)
        s = sweep_combine(sw, list, &several);
    if (!s && cli_stop) {
        free(list);
        return PUDLE_OK;
    }
    if (!s)
        s = sweep_write_combinations(sw, list);
    sw->combined = !s;
    if (!s) {
        printf("\n");
        s = several ? print_combinations(sw, &o, list) : print_runs(sw, &o);
    }
    if (!s) {
        printf("\n");
        sweep_order_print(stdout, &o);
    }
    if (!s && several)
        printf("means and standard deviations over seeds. Agreement: |cosine| of the atoms of two seeds in the best order%s, mean and median over the atoms; by chance: that of "
               "random atoms.\nNear 1 the atoms are the data's; near chance, the seed's%s\n",
               has_filters(sw) ? " (of filters: |correlation| at the best lags)" : "", begin_alike(sw) ? "; but these began near the same dictionary (model.dictionary.init), and agree for that, too" : "");
    if (!s && several)
        print_levels(sw, list);
    if (!s && several)
        print_agreement(sw, list);
    if (!s)
        printf("runs: %s/%s\ncombinations: %s/%s\n", sw->args->out, SWEEP_RUNS, sw->args->out, SWEEP_COMBINATIONS);
    free(list);
    return s;
}
