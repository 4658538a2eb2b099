/* The tables of pudle attribute. */
#include "attribute.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef void (*write_fn)(const cli_attribution *a, FILE *to);

static pudle_status table(const cli_attribution *a, const char *name, const char *head, write_fn rows)
{
    pd_atomic *file = NULL;
    char *path = pd_format("%s/%s", a->out, name);
    pudle_status s = path ? pd_atomic_open(a->ctx, path, &file) : pd_fail(a->ctx, PUDLE_ERR_NOMEM, "out of memory");
    if (!s) {
        fprintf(pd_atomic_stream(file), "%s\n", head);
        rows(a, pd_atomic_stream(file));
        s = pd_atomic_commit(a->ctx, file);
    }
    free(path);
    return s;
}

/* An empty field where there is none. */
static void put_label(FILE *to, int64_t label)
{
    if (label == PUDLE_NO_LABEL)
        fputc(',', to);
    else
        fprintf(to, ",%" PRId64, label);
}

static void put_sample(const cli_attribution *a, FILE *to, int64_t number)
{
    fprintf(to, ",%" PRId64, number);
    put_label(to, a->label ? a->label[number] : PUDLE_NO_LABEL);
}

/* An empty field where there is no such number. */
static void put_real(FILE *to, double value)
{
    if (isfinite(value))
        fprintf(to, ",%.9g", value);
    else
        fputc(',', to);
}

static void atoms(const cli_attribution *a, FILE *to)
{
    for (int64_t j = 0; j < a->p; j++) {
        const cli_atom *atom = &a->atom[j];
        fprintf(to, "%" PRId64 ",%.9g,%.9g,%" PRId64, j, atom->norm, atom->energy / (double)a->n, atom->used);
        put_real(to, atom->error);
        put_real(to, atom->cosine);
        put_real(to, sqrt(atom->weights2));
        fputc('\n', to);
    }
}

static const double rounding = 1e-12; /* of an atom's weights, against their length: no part of the atom */

static void contribution(const cli_attribution *a, FILE *to, int64_t j, int64_t rank, const pd_extreme *e)
{
    const cli_atom *atom = &a->atom[j];
    if (fabs(e->value) <= rounding * sqrt(atom->weights2))
        return;
    fprintf(to, "%" PRId64 ",%" PRId64, j, rank);
    put_sample(a, to, e->number);
    put_real(to, e->value / sqrt(atom->weights2));
    put_real(to, fabs(e->value) * a->leave_out[e->number] / atom->estimate_norm);
    fputc('\n', to);
}

static void contributions(const cli_attribution *a, FILE *to)
{
    for (int64_t j = 0; j < a->p; j++) {
        const pd_ranking *r = &a->atom[j].samples;
        for (int64_t i = 0; i < r->most; i++)
            contribution(a, to, j, i + 1, &r->largest[i]);
        for (int64_t i = 0; i < r->least; i++)
            contribution(a, to, j, -i - 1, &r->smallest[i]);
    }
}

static void explained(const cli_attribution *a, FILE *to)
{
    for (int64_t i = 0; i < a->explained_count; i++) {
        const cli_explained *e = &a->explained[i];
        fprintf(to, "%" PRId64, i);
        put_label(to, e->label);
        fprintf(to, ",%" PRId64, e->nonzeros);
        put_real(to, e->error);
        put_real(to, e->beta_norm);
        fputc('\n', to);
    }
}

static void ranked(const cli_attribution *a, FILE *to, const cli_query *q, const char *by, int64_t rank, const pd_extreme *e)
{
    fprintf(to, "%" PRId64 ",%s,%" PRId64, q->number, by, rank);
    put_sample(a, to, e->number);
    fprintf(to, ",%.6g\n", e->value);
}

static void sample_contributions(const cli_attribution *a, FILE *to)
{
    for (int64_t k = 0; k < a->queries; k++) {
        const cli_query *q = &a->query[k];
        for (int64_t i = 0; i < q->by_beta.most; i++)
            ranked(a, to, q, "beta", i + 1, &q->by_beta.largest[i]);
        for (int64_t i = 0; i < q->by_beta.least; i++)
            ranked(a, to, q, "beta", -i - 1, &q->by_beta.smallest[i]);
        for (int64_t i = 0; i < q->by_code.most; i++)
            ranked(a, to, q, "code", i + 1, &q->by_code.largest[i]);
        for (int64_t i = 0; i < q->by_code.least; i++)
            ranked(a, to, q, "code", -i - 1, &q->by_code.smallest[i]);
    }
}

static void similarity(const cli_attribution *a, FILE *to)
{
    for (int64_t k = 0; k < a->queries; k++)
        for (int64_t c = 0; c < a->classes; c++)
            for (int bin = 0; bin < CLI_BINS; bin++) {
                const int64_t count = a->query[k].histogram[c * CLI_BINS + bin];
                if (!count)
                    continue;
                fprintf(to, "%" PRId64, a->query[k].number);
                put_label(to, a->class_label[c]);
                fprintf(to, ",%.4g,%" PRId64 "\n", -1 + (bin + 0.5) * 2 / CLI_BINS, count);
            }
}

/* The estimate has the dictionary's shape, where atoms are columns. */
static pudle_status estimate(const cli_attribution *a)
{
    double *d = pd_alloc((size_t)(a->m * a->p), sizeof *d);
    char *path = pd_format("%s/estimate.npy", a->out);
    pudle_status s = d && path ? PUDLE_OK : pd_fail(a->ctx, PUDLE_ERR_NOMEM, "out of memory for the estimate of the dictionary");
    for (int64_t i = 0; i < a->m && !s; i++)
        for (int64_t j = 0; j < a->p; j++)
            d[i * a->p + j] = a->at.moment[j * a->m + i];
    const pudle_cview view = pd_cmatrix(d, PUDLE_F64, a->m, a->p);
    if (!s)
        s = pd_npy_write(a->ctx, path, &view);
    free(path);
    free(d);
    return s;
}

/* What an earlier call has said of other samples would stand beside the new atoms. */
static pudle_status drop_old(const cli_attribution *a)
{
    static const char *const names[] = { "samples.csv", "sample_contributions.csv", "code_similarity.csv", "samples.png" };
    pudle_status s = PUDLE_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names && !a->explained_count && !s; i++) {
        char *path = pd_format("%s/%s", a->out, names[i]);
        if (!path)
            s = pd_fail(a->ctx, PUDLE_ERR_NOMEM, "out of memory");
        else if (unlink(path) && errno != ENOENT)
            s = pd_fail(a->ctx, PUDLE_ERR_IO, "%s: of an earlier call, and cannot be removed: %s", path, strerror(errno));
        free(path);
    }
    return s;
}

pudle_status cli_attribution_tables(const cli_attribution *a)
{
    pudle_status s = drop_old(a);
    if (!s)
        s = table(a, "atoms.csv", "atom,norm,energy,used,error,cosine,weights_norm", atoms);
    if (!s)
        s = table(a, "contributions.csv", "atom,rank,sample,label,weight,leave_out", contributions);
    if (!s)
        s = estimate(a);
    if (!s && a->explained_count)
        s = table(a, "samples.csv", "sample,label,nonzeros,error,beta_norm", explained);
    if (!s && a->explained_count)
        s = table(a, "sample_contributions.csv", "sample,by,rank,training_sample,label,value", sample_contributions);
    if (!s && a->explained_count)
        s = table(a, "code_similarity.csv", "sample,label,cosine,count", similarity);
    return s;
}
