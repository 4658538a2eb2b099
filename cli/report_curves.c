/* Which curves a report has: each column of the tables that some run has values in, all runs in one picture. */
#include "report.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ALWAYS, POSITIVE, VARIES }; /* shown where some run has a value; one above 0; more than one */

/* In the order of the page. */
static const struct curve { const char *column, *title, *unit; bool test; int when; } curves[] = {
    { "loss", "Training loss", "mean per sample", false, ALWAYS },
    { "loss", "Loss of the test samples", "mean per sample", true, ALWAYS },
    { "dictionary_error", "Error of the dictionary", "relative to the truth", false, ALWAYS },
    { "nonzeros", "Nonzeros of a code", "mean over the batch", false, ALWAYS },
    { "data_loss", "The data's part of the training loss", "mean per sample", false, VARIES },
    { "code_loss", "The code's part of the training loss", "mean per sample", false, POSITIVE },
    { "dead", "Dead atoms", "atoms, at the last look", false, ALWAYS },
    { "gradient_norm", "Norm of the gradient", "of the dictionary", false, ALWAYS },
    { "fixed_point", "Codes' distance from fixed points", "relative", false, ALWAYS },
    { "ill_conditioned", "Badly conditioned supports", "samples of the batch", false, POSITIVE },
    { NULL, "Learned level", "mean over atoms and layers, as the prox takes it", false, ALWAYS }, /* a picture for each prox.NAME */
    { "learning_rate", "Learning rate", "", false, VARIES },
    { "step", "Step of the encoder", "", false, VARIES },
    { "beta", "Decay of the levels", "beta", false, VARIES },
};

/* An epoch's mean says more than the batches that it is of, where it is of several. */
static bool has_means(const report_run *run)
{
    const report_means *m = &run->metrics.loss;
    return m->epochs >= 3 && run->metrics.rows >= 4 * m->epochs;
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

static pudle_status add_line(const report *r, picture *p, const report_series *s, plot_line line)
{
    plot_point *point = pd_alloc((size_t)(REPORT_POINTS * s->used), sizeof *point);
    if (!point)
        return pd_fail(r->ctx, PUDLE_ERR_NOMEM, "out of memory for the curves");
    line.point = p->points[p->lines] = point;
    line.points = report_series_points(s, point);
    p->line[p->lines++] = line;
    return PUDLE_OK;
}

/* Seeds of one combination have one entry in the legend; a run alone needs no name. */
static const char *label_of(const report *r, const picture *p, const report_run *run)
{
    for (int i = 0; i < p->lines; i++)
        if (p->line[i].style == run->style && p->line[i].label)
            return NULL;
    return r->runs > 1 ? run->label : NULL;
}

static pudle_status add_run(const report *r, picture *p, const report_run *run, const struct curve *c)
{
    const report_series *s = series_of(run, c);
    const bool means = s && !c->test && !strcmp(c->column, "loss") && has_means(run);
    pudle_status status = PUDLE_OK;
    if (means && r->runs == 1) {
        status = add_line(r, p, s, (plot_line){ .style = run->style, .faint = true, .label = "batches" });
        return status ? status : add_line(r, p, &run->metrics.loss.series, (plot_line){ .style = run->style, .label = "mean of an epoch" });
    }
    return s ? add_line(r, p, means ? &run->metrics.loss.series : s, (plot_line){ .style = run->style, .label = label_of(r, p, run) }) : PUDLE_OK;
}

static pudle_status put_curve(FILE *to, const report *r, const struct curve *c)
{
    const size_t most = 2 * (size_t)r->runs;
    picture p = { pd_alloc(most, sizeof *p.line), 0, pd_alloc(most, sizeof *p.points) };
    pudle_status s = p.line && p.points ? PUDLE_OK : pd_fail(r->ctx, PUDLE_ERR_NOMEM, "out of memory for the curves");
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
            s = !title ? pd_fail(r->ctx, PUDLE_ERR_NOMEM, "out of memory") : is_shown(r, &level) ? put_curve(to, r, &level) : PUDLE_OK;
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
