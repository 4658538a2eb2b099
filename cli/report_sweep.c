/* The folder of a sweep: its two tables, read again as texts, best first; and which of its runs are drawn. */
#include "report.h"
#include "report_lines.h"
#include "markup.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char RUNS_HEAD[] = "run,state,";
enum { FIRST_KEY = 2, MOST_DRAWN = 35, MOST_COLUMNS = 4096 };

/* ------------------------------------------------------------------------ reading */

/* The next cell of a line, in place: quotes go, and two of them are one. *line: NULL behind the last. */
static char *next_cell(char **line)
{
    char *from = *line, *cell = from, *to = from;
    const bool quoted = *from == '"';
    from += quoted;
    for (; *from && (quoted || *from != ','); from++) {
        if (quoted && *from == '"' && *++from != '"')
            break;
        *to++ = *from;
    }
    from += strcspn(from, ",");
    *line = *from ? from + 1 : NULL;
    *to = '\0';
    return cell;
}

typedef struct cells_reader { pd_context *ctx; const char *path; report_cells *to; } cells_reader;

static pudle_status add_row(void *user, int64_t number, char *line)
{
    const cells_reader *c = user;
    pd_context *ctx = c->ctx;
    const char *path = c->path;
    report_cells *t = c->to;
    int cells = 0;
    if (!t->rows) { /* as many columns as the header has */
        t->columns = 1;
        for (const char *p = line; *p; p++)
            t->columns += *p == ',';
        if (t->columns > MOST_COLUMNS)
            return pd_fail(ctx, PUDLE_ERR_CONFIG, "%s:1: has more columns than any table of a sweep", path);
    }
    char **more = realloc(t->cell, ((size_t)t->rows + 1) * (size_t)t->columns * sizeof *more);
    if (!more)
        return report_no_memory(ctx);
    t->cell = more;
    char **row = t->cell + (size_t)t->rows++ * (size_t)t->columns;
    memset(row, 0, (size_t)t->columns * sizeof *row);
    for (char *rest = line; rest; cells++) {
        char *cell = next_cell(&rest);
        if (cells < t->columns && !(row[cells] = pd_strdup(cell)))
            return report_no_memory(ctx);
    }
    if (cells != t->columns)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "%s:%" PRId64 ": the row of \"%.60s\" has %d cells, and there are %d columns; the same `pudle sweep` writes the table again", path, number,
                       row[0] ? row[0] : "", cells, t->columns);
    return PUDLE_OK;
}

static pudle_status read_cells(pd_context *ctx, const char *folder, const char *name, bool needed, report_cells *t)
{
    char *path = pd_format("%s/%s", folder, name);
    cells_reader c = { ctx, path, t };
    FILE *file = path ? report_file(path) : NULL;
    const pudle_status s = !path ? report_no_memory(ctx) : file ? report_lines(ctx, path, file, add_row, &c)
                           : errno == ENOENT && !needed ? PUDLE_OK : pd_fail(ctx, PUDLE_ERR_IO, "%s: cannot be read: %s", path, errno ? strerror(errno) : "it is not a file");
    free(path);
    return s;
}

static void close_cells(report_cells *t)
{
    for (int i = 0; i < t->rows * t->columns; i++)
        free(t->cell[i]);
    free(t->cell);
}

static int column_of(const report_cells *t, const char *name)
{
    for (int i = 0; i < t->columns && t->rows; i++)
        if (t->cell[i] && !strcmp(t->cell[i], name))
            return i;
    return -1;
}

static const char *cell_at(const report_cells *t, int row, int column)
{
    return t->cell[(size_t)row * (size_t)t->columns + (size_t)column];
}

const char *report_cell(const report_cells *t, int row, const char *column)
{
    const int at = column_of(t, column);
    return at < 0 ? "" : cell_at(t, row, at);
}

static double number_in(const report_cells *t, int row, const char *column)
{
    const char *text = report_cell(t, row, column);
    return *text ? strtod(text, NULL) : NAN;
}

pudle_status report_sweep_is(pd_context *ctx, const char *path, bool *is)
{
    char *table = pd_format("%s/%s", path, SWEEP_RUNS), line[sizeof RUNS_HEAD] = "";
    FILE *file = table ? report_file(table) : NULL;
    *is = file && fgets(line, sizeof line, file) && !strcmp(line, RUNS_HEAD);
    if (file)
        fclose(file);
    const bool good = table != NULL;
    free(table);
    return good ? PUDLE_OK : report_no_memory(ctx);
}

/* -------------------------------------------------------------------------- order */

/* (rows) from 1 on, best first; what is unknown comes last, ties stay in their order. */
static pudle_status rank_rows(pd_context *ctx, const report_cells *t, const char *column, bool states, int **rank)
{
    const int count = t->rows ? t->rows - 1 : 0;
    double *value = pd_alloc((size_t)count + 1, sizeof *value);
    *rank = pd_alloc((size_t)count + 1, sizeof **rank);
    for (int i = 0; i < count && value && *rank; i++) {
        const bool counts = !states || !strcmp(report_cell(t, i + 1, "state"), sweep_states[SWEEP_DONE]);
        const double x = counts ? number_in(t, i + 1, column) : (double)NAN;
        int at = i;
        value[i + 1] = x;
        for (; at > 0 && !isnan(x) && (isnan(value[(*rank)[at - 1]]) || x < value[(*rank)[at - 1]]); at--)
            (*rank)[at] = (*rank)[at - 1];
        (*rank)[at] = i + 1;
    }
    const bool good = value && *rank;
    free(value);
    return good ? PUDLE_OK : report_no_memory(ctx);
}

static bool same_values(const report_sweep *w, int a, int b)
{
    for (int k = 0; k < w->keys; k++)
        if (strcmp(cell_at(&w->runs, a, FIRST_KEY + k), cell_at(&w->runs, b, FIRST_KEY + k)) != 0)
            return false;
    return true;
}

/* Combinations are counted as they come, best first; runs of the first few are drawn, so that colours are enough. */
static void choose_drawn(report_sweep *w)
{
    const int rows = w->runs.rows - 1;
    int combinations = 0;
    for (int i = 0; i < rows; i++) {
        int like = 0;
        while (like < i && !same_values(w, w->rank[i], w->rank[like]))
            like++;
        w->combination[w->rank[i]] = like == i ? combinations++ : w->combination[w->rank[like]];
    }
    if (combinations == 1 && rows > 1) /* seeds alone: each is a curve of its own */
        for (int i = 0; i < rows; i++)
            w->combination[w->rank[i]] = i;
}

/* What follows a key stands in the runs' configs: that of the first that has one is as good as any. */
static void look_for_followers(pd_context *ctx, bool quiet, report_sweep *w)
{
    const cli_args none = { .quiet = true };
    bool found = false;
    pd_log_level(ctx, PD_LOG_SILENT);
    for (int r = 1; r < w->runs.rows && !found; r++) {
        char *path = pd_format("%s/%s", w->path, report_cell(&w->runs, r, "run")), *directory = NULL;
        pd_settings *settings = NULL;
        found = path && !cli_settings_at(ctx, path, &none, &settings, &directory);
        if (found)
            sweep_order_follow(&w->order, settings, w->runs.cell + FIRST_KEY, w->varies, w->keys);
        pd_settings_destroy(settings);
        free(directory);
        free(path);
    }
    pd_log_level(ctx, quiet ? PUDLE_LOG_WARNING : PUDLE_LOG_INFO);
    pd_error_clear(ctx);
}

static pudle_status find_order(pd_context *ctx, bool quiet, report_sweep *w)
{
    const int seed = column_of(&w->runs, "seed"), rows = w->runs.rows - 1;
    w->keys = seed - FIRST_KEY;
    w->varies = pd_alloc((size_t)w->runs.columns, sizeof *w->varies);
    w->combination = pd_alloc((size_t)rows + 1, sizeof *w->combination);
    if (!w->varies || !w->combination)
        return report_no_memory(ctx);
    w->order = (sweep_order){ .tests = true };
    for (int r = 1; r <= rows; r++) {
        if (!strcmp(report_cell(&w->runs, r, "state"), sweep_states[SWEEP_DONE]))
            sweep_order_run(&w->order, number_in(&w->runs, r, "updates"), number_in(&w->runs, r, "test_loss"));
        for (int k = 0; k < w->keys; k++)
            w->varies[k] |= strcmp(cell_at(&w->runs, r, FIRST_KEY + k), cell_at(&w->runs, 1, FIRST_KEY + k)) != 0;
    }
    look_for_followers(ctx, quiet, w);
    sweep_order_by(&w->order, w->runs.cell + FIRST_KEY, w->varies, w->keys);
    char *mean = pd_format("%s_mean", sweep_figure_names[w->order.figure]);
    pudle_status s = mean ? rank_rows(ctx, &w->runs, sweep_figure_names[w->order.figure], true, &w->rank) : report_no_memory(ctx);
    if (!s)
        s = rank_rows(ctx, &w->combinations, mean, false, &w->combination_rank);
    free(mean);
    if (!s)
        choose_drawn(w);
    w->drawn = rows < MOST_DRAWN ? rows : MOST_DRAWN;
    return s;
}

pudle_status report_sweep_open(pd_context *ctx, const char *path, bool quiet, report_sweep *w)
{
    *w = (report_sweep){ .path = pd_strdup(path) };
    pudle_status s = w->path ? read_cells(ctx, path, SWEEP_RUNS, true, &w->runs) : report_no_memory(ctx);
    if (!s)
        s = read_cells(ctx, path, SWEEP_COMBINATIONS, false, &w->combinations);
    if (!s && (w->runs.rows < 2 || column_of(&w->runs, "seed") < FIRST_KEY))
        s = pd_fail(ctx, PUDLE_ERR_CONFIG, "%s/%s: has no %s; the same `pudle sweep` writes the table again", path, SWEEP_RUNS, w->runs.rows < 2 ? "rows" : "column seed");
    return s ? s : find_order(ctx, quiet, w);
}

void report_sweep_close(report_sweep *w)
{
    close_cells(&w->runs);
    close_cells(&w->combinations);
    free(w->varies);
    free(w->rank);
    free(w->combination_rank);
    free(w->combination);
    free(w->path);
    *w = (report_sweep){ .path = NULL };
}

char *report_sweep_label(const report_sweep *w, int row)
{
    char *text = NULL;
    size_t size = 0;
    const char *between = "";
    FILE *memory = pd_text_stream(&text, &size);
    for (int k = 0; memory && k < w->keys; k++)
        if (w->varies[k]) {
            fprintf(memory, "%s%s=%s", between, cell_at(&w->runs, 0, FIRST_KEY + k), cell_at(&w->runs, row, FIRST_KEY + k));
            between = " ";
        }
    if (memory && !*between)
        fprintf(memory, "seed %s", report_cell(&w->runs, row, "seed"));
    return memory && !fclose(memory) ? text : NULL;
}

/* ------------------------------------------------------------------------- tables */

static void put_cell(FILE *to, const char *text)
{
    fputs("<td>", to);
    markup_text(to, *text ? text : "-");
    fputs("</td>", to);
}

static void put_number(FILE *to, double value, double deviation)
{
    fputs("<td class=\"number\">", to);
    if (isnan(value))
        fputs("-", to);
    else
        fprintf(to, "%.5g", value);
    if (!isnan(value) && !isnan(deviation))
        fprintf(to, " \xc2\xb1 %.2g", deviation);
    fputs("</td>", to);
}

static void put_heads(FILE *to, const report_sweep *w, const char *first, const char *const more[])
{
    fprintf(to, "<div class=\"wide\"><table>\n<tr>%s", first);
    for (int k = 0; k < w->keys; k++) {
        fputs("<th>", to);
        markup_text(to, cell_at(&w->runs, 0, FIRST_KEY + k));
        fputs("</th>", to);
    }
    for (; *more; more++)
        fprintf(to, "<th>%s</th>", *more);
    fputs("</tr>\n", to);
}

/* The figure that orders the table comes first, and no other time. */
static int figures_of(const report_sweep *w, int figure[4])
{
    const sweep_order *o = &w->order;
    const int all[] = { o->figure, o->nonzeros, o->tests ? SWEEP_TEST_RELATIVE_ERROR : SWEEP_RELATIVE_ERROR, SWEEP_DICTIONARY_ERROR };
    int count = 0;
    for (int i = 0; i < 4; i++)
        if (i == 0 || all[i] != o->figure)
            figure[count++] = all[i];
    return count;
}

static void put_combinations(FILE *to, const report_sweep *w)
{
    static const char *const agreement[] = { "agreement_mean", "agreement_median", "agreement_chance" };
    const char *heads[16] = { NULL };
    int figure[4], count = figures_of(w, figure), head = 0;
    heads[head++] = "runs";
    for (int i = 0; i < count; i++)
        heads[head++] = sweep_figure_names[figure[i]];
    heads[head++] = "agreement";
    heads[head++] = "median";
    heads[head++] = "by chance";
    fputs("<h3>Means over seeds</h3>\n", to);
    put_heads(to, w, "", heads);
    for (int i = 0; i < w->combinations.rows - 1; i++) {
        const int row = w->combination_rank[i];
        fputs("<tr>", to);
        for (int k = 0; k < w->keys; k++)
            put_cell(to, report_cell(&w->combinations, row, cell_at(&w->runs, 0, FIRST_KEY + k)));
        put_cell(to, report_cell(&w->combinations, row, "runs"));
        for (int f = 0; f < count; f++) {
            char mean[64], deviation[64];
            snprintf(mean, sizeof mean, "%s_mean", sweep_figure_names[figure[f]]);
            snprintf(deviation, sizeof deviation, "%s_sd", sweep_figure_names[figure[f]]);
            put_number(to, number_in(&w->combinations, row, mean), number_in(&w->combinations, row, deviation));
        }
        for (int a = 0; a < 3; a++)
            put_number(to, number_in(&w->combinations, row, agreement[a]), NAN);
        fputs("</tr>\n", to);
    }
    fputs("</table></div>\n<p class=\"note\">Means and standard deviations over seeds. Agreement: |cosine| of the atoms of two seeds in the best order (of filters: at the best lags); by "
          "chance: that of random atoms.</p>\n", to);
}

static void put_runs(FILE *to, const report_sweep *w)
{
    const char *heads[16] = { "seed" };
    int figure[4], count = figures_of(w, figure), head = 1;
    for (int i = 0; i < count; i++)
        heads[head++] = sweep_figure_names[figure[i]];
    heads[head++] = "updates";
    heads[head++] = "seconds";
    heads[head++] = "state";
    fputs("<h3>All runs</h3>\n", to);
    put_heads(to, w, "<th></th>", heads);
    for (int i = 0; i < w->runs.rows - 1; i++) {
        const int row = w->rank[i];
        fputs("<tr><td>", to);
        if (i < w->drawn && w->combination[row] < PLOT_COLOURS)
            plot_swatch(to, w->combination[row]);
        fputs("</td>", to);
        for (int k = 0; k < w->keys; k++)
            put_cell(to, cell_at(&w->runs, row, FIRST_KEY + k));
        put_cell(to, report_cell(&w->runs, row, "seed"));
        for (int f = 0; f < count; f++)
            put_number(to, number_in(&w->runs, row, sweep_figure_names[figure[f]]), NAN);
        put_number(to, number_in(&w->runs, row, "updates"), NAN);
        put_number(to, number_in(&w->runs, row, "seconds"), NAN);
        fputs("<td>", to);
        markup_text(to, report_cell(&w->runs, row, "state"));
        if (*report_cell(&w->runs, row, "reason")) {
            fputs(": ", to);
            markup_text(to, report_cell(&w->runs, row, "reason"));
        }
        fputs("</td></tr>\n", to);
    }
    fputs("</table></div>\n", to);
}

/* What the terminal says below the tables. */
static pudle_status put_order(FILE *to, pd_context *ctx, const report_sweep *w)
{
    char *text = NULL;
    size_t size = 0;
    FILE *memory = pd_text_stream(&text, &size);
    if (memory)
        sweep_order_print(memory, &w->order);
    if (!memory || fclose(memory))
        return report_no_memory(ctx);
    fputs("<p class=\"note\">", to);
    for (char *rest = text, *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n")) {
        markup_text(to, line);
        fputs(rest && *rest ? "<br/>" : "", to);
    }
    fputs("</p>\n", to);
    free(text);
    return PUDLE_OK;
}

pudle_status report_sweep_tables(FILE *to, pd_context *ctx, const report_sweep *w)
{
    const bool several = w->combinations.rows > 1 && w->combinations.rows < w->runs.rows;
    fputs("<section>\n<h2>Sweep ", to);
    markup_text(to, w->path);
    fputs("</h2>\n", to);
    const pudle_status s = put_order(to, ctx, w);
    if (several)
        put_combinations(to, w);
    else if (!w->combinations.rows)
        fputs("<p class=\"note\">The sweep has not come to its end: there are no means over seeds yet.</p>\n", to);
    put_runs(to, w);
    fputs("</section>\n", to);
    return s;
}
