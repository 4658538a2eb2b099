/* Distances between dictionaries, in the order given or after the best permutation and signs. */
#include "measure/distance.h"
#include "measure/columns.h"
#include "tensor/arrays.h"
#include <math.h>
#include <stdlib.h>

/* Two dictionaries, read row by row where they lie: their columns become unit by factors, so that nothing is copied. */
typedef struct pair {
    int64_t m, p;
    pudle_cview d, truth;
    double *unit_d, *unit_truth; /* (p): the factors */
    double *row_d, *row_truth;   /* (p): a row of each */
    double *minus, *plus, *size; /* (p): ||d_j - d*_j||^2, ||d_j + d*_j||^2 and ||d*_j||^2 of unit columns */
    int64_t *match;              /* (p); NULL: the order is the same */
} pair;

static void pair_free(pair *a)
{
    free(a->unit_d);
    free(a->match);
}

static pudle_status pair_open(pd_context *ctx, const pudle_cview *d, const pudle_cview *truth, pair *a)
{
    *a = (pair){ 0 };
    if (!pd_is_array(d, 2) || !pd_is_array(truth, 2))
        return pd_fail(ctx, PUDLE_ERR_ARG, "dictionary error: both dictionaries must be matrices (features, atoms)");
    if (!pd_same_shape(d, truth))
        return pd_fail(ctx, PUDLE_ERR_ARG, "dictionary error: the dictionary is (%lld, %lld), the true one (%lld, %lld)",
                       (long long)d->shape[0], (long long)d->shape[1], (long long)truth->shape[0],
                       (long long)truth->shape[1]);
    *a = (pair){ .m = d->shape[0], .p = d->shape[1], .d = *d, .truth = *truth };
    double **const parts[] = { &a->unit_d, &a->unit_truth, &a->row_d, &a->row_truth, &a->minus, &a->plus, &a->size };
    enum { PARTS = sizeof parts / sizeof *parts };
    double *room = pd_alloc((size_t)a->p, PARTS * sizeof *room);
    if (!room)
        return pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory for the error of %lld atoms", (long long)a->p);
    for (int i = 0; i < PARTS; i++)
        *parts[i] = room + i * a->p;
    pd_unit_factors(d, a->row_d, a->unit_d);
    pd_unit_factors(truth, a->row_truth, a->unit_truth);
    return PUDLE_OK;
}

/* Whether a matrix is; a column is not where its factor is NaN. */
static bool all_finite(const double *factor, int64_t p)
{
    bool finite = true;
    for (int64_t j = 0; j < p; j++)
        finite = finite && isfinite(factor[j]);
    return finite;
}

/* Cost 1 - |<d*_j, d_k>|: for unit atoms half of min over signs of ||d_k -+ d*_j||^2, so the cheapest assignment is the one
 * with the smallest Frobenius error. */
static pudle_status best_match(pd_context *ctx, pair *a)
{
    const int64_t p = a->p;
    double *d = NULL, *truth = NULL, *cost = NULL;
    pudle_status s = PUDLE_OK;
    a->match = pd_alloc((size_t)p, sizeof *a->match);
    if (!a->match)
        return pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory for the error of %lld atoms", (long long)p);
    for (int64_t j = 0; j < p; j++)
        a->match[j] = j;
    if (!all_finite(a->unit_d, p) || !all_finite(a->unit_truth, p))
        return PUDLE_OK; /* the figures will be NaN in any order */
    s = pd_unit_columns(ctx, &a->d, &d);
    if (!s)
        s = pd_unit_columns(ctx, &a->truth, &truth);
    if (!s && !(cost = p <= INT64_MAX / p ? pd_alloc((size_t)(p * p), sizeof *cost) : NULL))
        s = pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory for the assignment of %lld atoms", (long long)p);
    if (s)
        goto cleanup;
    pd_cross(truth, d, a->m, p, 0, p, cost);
    for (int64_t i = 0; i < p * p; i++)
        cost[i] = 1 - fabs(cost[i]);
    s = pd_assign(ctx, p, cost, a->match);
cleanup:
    free(cost);
    free(truth);
    free(d);
    return s;
}

/* Row i of both with unit columns, the one of d in the order of the truth. */
static void unit_rows(const pair *a, int64_t i, double *restrict x, double *restrict y)
{
    pd_row(&a->truth, i, y);
    for (int64_t j = 0; j < a->p; j++)
        y[j] *= a->unit_truth[j];
    if (!a->match) {
        pd_row(&a->d, i, x);
        for (int64_t j = 0; j < a->p; j++)
            x[j] *= a->unit_d[j];
    }
    for (int64_t j = 0; a->match && j < a->p; j++)
        x[j] = pd_entry(&a->d, i, a->match[j]) * a->unit_d[a->match[j]];
}

/* A row's part of the distances. */
static void add_row(const double *restrict x, const double *restrict y, int64_t p, double *restrict minus, double *restrict plus, double *restrict size)
{
    for (int64_t j = 0; j < p; j++) {
        minus[j] += (x[j] - y[j]) * (x[j] - y[j]);
        plus[j] += (x[j] + y[j]) * (x[j] + y[j]);
        size[j] += y[j] * y[j];
    }
}

static void square_distances(pair *a)
{
    for (int64_t j = 0; j < a->p; j++)
        a->minus[j] = a->plus[j] = a->size[j] = 0;
    for (int64_t i = 0; i < a->m; i++) {
        unit_rows(a, i, a->row_d, a->row_truth);
        add_row(a->row_d, a->row_truth, a->p, a->minus, a->plus, a->size);
    }
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double cosine_of(double sine)
{
    return sine < 1 ? sqrt((1 - sine) * (1 + sine)) : sine >= 1 ? 0 : sine; /* NaN stays */
}

/* sin^2 = 1 - c^2 = q - q^2/4 with q = 2 - 2|c| the smaller squared distance: no cancellation for atoms that nearly agree.
 * minus = plus means c = 0, which also covers zero atoms. Overwrites minus. */
static void angles(int64_t p, double *minus, const double *plus, pd_distance *out)
{
    double sum = 0, cosines = 0;
    for (int64_t j = 0; j < p; j++) {
        const double q = minus[j] <= plus[j] ? minus[j] : plus[j];
        const double sine = minus[j] == plus[j] ? 1 : sqrt(q * (1 - q / 4));
        minus[j] = sine;
        sum += sine;
        cosines += cosine_of(sine);
    }
    out->sine_mean = sum / (double)p;
    out->cosine_mean = cosines / (double)p;
    out->sine_median = out->sine_max = out->cosine_median = NAN;
    if (isnan(sum))
        return;
    qsort(minus, (size_t)p, sizeof *minus, compare);
    const double lower = minus[(p - 1) / 2], upper = minus[p / 2];
    out->sine_median = 0.5 * (lower + upper);
    out->cosine_median = 0.5 * (cosine_of(lower) + cosine_of(upper));
    out->sine_max = minus[p - 1];
}

void pd_distance_figures(int64_t p, double *minus, const double *plus, const double *size, bool any_sign, double *sign, pd_distance *out)
{
    double error = 0, norm = 0;
    for (int64_t j = 0; j < p; j++) {
        const bool opposite = plus[j] < minus[j];
        error += any_sign && opposite ? plus[j] : minus[j];
        norm += size[j];
        if (sign)
            sign[j] = opposite ? -1 : 1;
    }
    out->absolute = sqrt(error);
    out->relative = sqrt(error) / sqrt(norm);
    angles(p, minus, plus, out);
}

static void figures(pair *a, bool any_sign, double *sign, pd_distance *out)
{
    square_distances(a);
    pd_distance_figures(a->p, a->minus, a->plus, a->size, any_sign, sign, out);
}

pudle_status pd_distance_fixed(pd_context *ctx, const pudle_cview *d, const pudle_cview *truth, pd_distance *out)
{
    pair a;
    const pudle_status s = pair_open(ctx, d, truth, &a);
    if (!s)
        figures(&a, false, NULL, out);
    pair_free(&a);
    return s;
}

pudle_status pd_distance_assigned(pd_context *ctx, const pudle_cview *d, const pudle_cview *truth, pd_distance *out,
                                  int64_t *match, double *sign)
{
    pair a;
    pudle_status s = pair_open(ctx, d, truth, &a);
    if (!s)
        s = best_match(ctx, &a);
    for (int64_t j = 0; match && j < a.p && !s; j++)
        match[j] = a.match[j];
    if (!s)
        figures(&a, true, sign, out);
    pair_free(&a);
    return s;
}
