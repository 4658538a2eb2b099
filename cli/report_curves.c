/* Which curves a report has: each column of the tables that some run has values in, all runs in one picture. */
#include "report.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ALWAYS, POSITIVE, VARIES }; /* shown where some run has a value; one above 0; more than one */

/* In the order of the page. noisy: a number of each batch, of which means say more. */
static const struct curve { const char *column, *title, *unit; bool test, noisy; int when; } curves[] = {
    { "loss", "Training loss", "mean per sample", false, true, ALWAYS },
    { "loss", "Loss of the test samples", "mean per sample", true, false, ALWAYS },
    { "dictionary_error", "Error of the dictionary", "relative to the truth", false, false, ALWAYS },
    { "nonzeros", "Nonzeros of a code", "mean over the batch", false, true, ALWAYS },
    { "data_loss", "The data's part of the training loss", "mean per sample", false, true, VARIES },
    { "code_loss", "The code's part of the training loss", "mean per sample", false, true, POSITIVE },
    { "dead", "Dead atoms", "atoms, at the last look", false, false, ALWAYS },
    { "gradient_norm", "Norm of the gradient", "of the dictionary", false, true, ALWAYS },
    { "fixed_point", "Codes' distance from fixed points", "relative", false, true, ALWAYS },
    { "ill_conditioned", "Badly conditioned supports", "samples of the batch", false, true, POSITIVE },
    { NULL, "Learned level", "mean over atoms and layers, as the prox takes it", false, false, ALWAYS }, /* a picture for each prox.NAME */
    { "learning_rate", "Learning rate", "", false, false, VARIES },
    { "step", "Step of the encoder", "", false, false, VARIES },
    { "beta", "Decay of the levels", "beta", false, false, VARIES },
};

/* Means of epochs where there are some, else of stretches of many rows. */
enum { NO_MEANS, OF_EPOCHS, OF_STRETCHES, MANY_VALUES = 4 * REPORT_STRETCHES, FEW_RUNS = 3 };

static int means_of(const report_run *run, const struct curve *c, const report_series *s)
{
    const report_means *m = &run->metrics.loss;
    if (!c->noisy)
        return NO_MEANS;
    if (!strcmp(c->column, "loss") && m->epochs >= 3 && run->metrics.rows >= 4 * m->epochs)
        return OF_EPOCHS;
    return s->values > MANY_VALUES ? OF_STRETCHES : NO_MEANS;
}

static const report_series *series_of(const report_run *run, const struct curve *c)
{
    return report_table_find(c->test ? &run->test : &run->metrics, c->column);
}

static bool is_shown(const report *r, const struct curve *c)
{
    bool shown = false;
    for (int i = 0; i < r->runs && !shown; i++) {
        const report_series *s = series_of(&r->run[i], c), *price = report_table_find(&r->run[i].metrics, "code_loss");
        const bool same = !strcmp(c->column, "data_loss") && !(price && price->high > 0); /* as the loss */
        shown = s && !same && (c->when == ALWAYS || (c->when == POSITIVE && s->high > 0) || (c->when == VARIES && s->low < s->high));
    }
    return shown;
}

/* Lines of one picture, with the memory of their points. */
typedef struct picture { plot_line *line; int lines; plot_point **points; } picture;

/* stretches: their means, else all that is to be seen of the series. */
static pudle_status add_line(const report *r, picture *p, const report_series *s, bool stretches, plot_line line)
{
    plot_point *point = pd_alloc((size_t)(stretches ? REPORT_STRETCHES : REPORT_POINTS * s->used), sizeof *point);
    if (!point)
        return report_no_memory(r->ctx);
    line.point = p->points[p->lines] = point;
    line.points = stretches ? report_series_stretches(s, point) : report_series_points(s, point);
    p->line[p->lines++] = line;
    return PUDLE_OK;
}

/* Seeds of one combination have one entry in the legend. */
static const char *label_of(const picture *p, const report_run *run)
{
    for (int i = 0; i < p->lines; i++)
        if (p->line[i].style == run->style && p->line[i].label)
            return NULL;
    return run->label;
}

/* Behind means the batches are seen faintly, unless they are of too many runs to be seen at all. */
static pudle_status add_run(const report *r, picture *p, const report_run *run, const struct curve *c)
{
    static const char *const alone[] = { NULL, "mean of an epoch", "mean of neighbouring rows" };
    const report_series *s = series_of(run, c);
    const int means = s ? means_of(run, c, s) : NO_MEANS;
    pudle_status status = PUDLE_OK;
    if (!s)
        return PUDLE_OK;
    if (means && r->runs <= FEW_RUNS)
        status = add_line(r, p, s, false, (plot_line){ .style = run->style, .faint = true, .label = r->runs == 1 ? "batches" : NULL });
    const plot_line line = { .style = run->style, .label = r->runs == 1 ? alone[means] : label_of(p, run) };
    return status ? status : add_line(r, p, means == OF_EPOCHS ? &run->metrics.loss.series : s, means == OF_STRETCHES, line);
}

static pudle_status put_curve(FILE *to, const report *r, const struct curve *c)
{
    const size_t most = 2 * (size_t)r->runs;
    picture p = { pd_alloc(most, sizeof *p.line), 0, pd_alloc(most, sizeof *p.points) };
    pudle_status s = p.line && p.points ? PUDLE_OK : report_no_memory(r->ctx);
    for (int i = 0; i < r->runs && !s; i++)
        s = add_run(r, &p, &r->run[i], c);
    if (!s) {
        const plot all = { .title = c->title, .unit = c->unit, .x_label = "updates", .line = p.line, .lines = p.lines };
        fputs("<figure>\n", to);
        plot_svg(to, &all);
        fputs("</figure>\n", to);
    }
    for (int i = 0; i < p.lines; i++)
        free(p.points[i]);
    free(p.points);
    free(p.line);
    return s;
}

/* The first run that has a column tells of it. */
static bool is_new(const report *r, int run, const char *name)
{
    for (int i = 0; i < run; i++)
        for (int k = 0; k < r->run[i].metrics.columns; k++)
            if (!strcmp(r->run[i].metrics.column[k].name, name))
                return false;
    return true;
}

static pudle_status put_levels(FILE *to, const report *r, const struct curve *like)
{
    pudle_status s = PUDLE_OK;
    for (int i = 0; i < r->runs; i++)
        for (int k = 0; k < r->run[i].metrics.columns && !s; k++) {
            const char *name = r->run[i].metrics.column[k].name;
            if (strncmp(name, "prox.", 5) != 0 || !is_new(r, i, name))
                continue;
            struct curve level = *like;
            char *title = pd_format("%s %s", like->title, name);
            level.column = name;
            level.title = title;
            s = !title ? report_no_memory(r->ctx) : is_shown(r, &level) ? put_curve(to, r, &level) : PUDLE_OK;
            free(title);
        }
    return s;
}

pudle_status report_curves(FILE *to, const report *r)
{
    pudle_status s = PUDLE_OK;
    fputs("<section>\n<h2>Curves</h2>\n<div class=\"curves\">\n", to);
    for (size_t i = 0; i < sizeof curves / sizeof *curves && !s; i++)
        if (!curves[i].column)
            s = put_levels(to, r, &curves[i]);
        else if (is_shown(r, &curves[i]))
            s = put_curve(to, r, &curves[i]);
    fputs("</div>\n</section>\n", to);
    return s;
}
