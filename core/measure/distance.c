/* Distances between dictionaries, in the order given or after the best permutation and signs. */
#include "measure/measure.h"
#include "measure/columns.h"
#include <math.h>
#include <stdlib.h>

typedef struct pair {
    int64_t m, p;
    double *d, *truth;      /* (m, p), unit columns */
    double *minus, *plus;   /* (p): ||d_j - d*_j||^2 and ||d_j + d*_j||^2 */
    int64_t *match;         /* (p) */
} pair;

static void pair_free(pair *a)
{
    free(a->d);
    free(a->truth);
    free(a->minus);
    free(a->plus);
    free(a->match);
}

static pudle_status pair_load(pd_context *ctx, const pudle_cview *d, const pudle_cview *truth, pair *a)
{
    *a = (pair){ 0 };
    if (!pd_is_array(d, 2) || !pd_is_array(truth, 2))
        return pd_fail(ctx, PUDLE_ERR_ARG, "dictionary error: both dictionaries must be matrices (features, atoms)");
    if (!pd_same_shape(d, truth))
        return pd_fail(ctx, PUDLE_ERR_ARG, "dictionary error: the dictionary is (%lld, %lld), the true one (%lld, %lld)",
                       (long long)d->shape[0], (long long)d->shape[1], (long long)truth->shape[0],
                       (long long)truth->shape[1]);
    a->m = d->shape[0];
    a->p = d->shape[1];
    pudle_status s = pd_doubles(ctx, d, &a->d);
    if (!s)
        s = pd_doubles(ctx, truth, &a->truth);
    if (s)
        return s;
    a->minus = pd_alloc((size_t)a->p, sizeof *a->minus);
    a->plus = pd_alloc((size_t)a->p, sizeof *a->plus);
    a->match = pd_alloc((size_t)a->p, sizeof *a->match);
    if (!a->minus || !a->plus || !a->match)
        return pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory for the error of %lld atoms", (long long)a->p);
    pd_unit_columns(a->d, a->m, a->p);
    pd_unit_columns(a->truth, a->m, a->p);
    for (int64_t j = 0; j < a->p; j++)
        a->match[j] = j;
    return PUDLE_OK;
}

static bool all_finite(const double *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return false;
    return true;
}

/* Cost 1 - |<d*_j, d_k>|: for unit atoms half of min over signs of ||d_k -+ d*_j||^2, so the cheapest assignment is the one
 * with the smallest Frobenius error. */
static pudle_status best_match(pd_context *ctx, pair *a)
{
    if (!all_finite(a->d, a->m * a->p) || !all_finite(a->truth, a->m * a->p))
        return PUDLE_OK; /* the figures will be NaN in any order */
    double *cost = a->p <= INT64_MAX / a->p ? pd_alloc((size_t)(a->p * a->p), sizeof *cost) : NULL;
    if (!cost)
        return pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory for the assignment of %lld atoms", (long long)a->p);
    pd_cross(a->truth, a->d, a->m, a->p, 0, a->p, cost);
    for (int64_t i = 0; i < a->p * a->p; i++)
        cost[i] = 1 - fabs(cost[i]);
    const pudle_status s = pd_assign(ctx, a->p, cost, a->match);
    free(cost);
    return s;
}

static void square_distances(pair *a)
{
    for (int64_t i = 0; i < a->m; i++)
        for (int64_t j = 0; j < a->p; j++) {
            const double x = a->d[i * a->p + a->match[j]], y = a->truth[i * a->p + j];
            a->minus[j] += (x - y) * (x - y);
            a->plus[j] += (x + y) * (x + y);
        }
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* sin^2 = 1 - c^2 = q - q^2/4 with q = 2 - 2|c| the smaller squared distance: no cancellation for atoms that nearly agree.
 * minus = plus means c = 0, which also covers zero atoms. Overwrites minus. */
static void sines(pair *a, pd_distance *out)
{
    double sum = 0;
    for (int64_t j = 0; j < a->p; j++) {
        const double q = a->minus[j] <= a->plus[j] ? a->minus[j] : a->plus[j];
        const double sine = a->minus[j] == a->plus[j] ? 1 : sqrt(q * (1 - q / 4));
        a->minus[j] = sine;
        sum += sine;
    }
    out->sine_mean = sum / (double)a->p;
    out->sine_median = out->sine_max = NAN;
    if (isnan(sum))
        return;
    qsort(a->minus, (size_t)a->p, sizeof *a->minus, compare);
    out->sine_median = 0.5 * (a->minus[(a->p - 1) / 2] + a->minus[a->p / 2]);
    out->sine_max = a->minus[a->p - 1];
}

static void figures(pair *a, bool any_sign, pd_distance *out)
{
    double error = 0, norm = 0;
    square_distances(a);
    for (int64_t j = 0; j < a->p; j++)
        error += any_sign && a->plus[j] < a->minus[j] ? a->plus[j] : a->minus[j];
    for (int64_t i = 0; i < a->m * a->p; i++)
        norm += a->truth[i] * a->truth[i];
    out->absolute = sqrt(error);
    out->relative = sqrt(error) / sqrt(norm);
    sines(a, out);
}

pudle_status pd_distance_fixed(pd_context *ctx, const pudle_cview *d, const pudle_cview *truth, pd_distance *out)
{
    pair a;
    const pudle_status s = pair_load(ctx, d, truth, &a);
    if (!s)
        figures(&a, false, out);
    pair_free(&a);
    return s;
}

/* Before the figures, which overwrite minus. */
static void signs(const pair *a, double *sign)
{
    for (int64_t j = 0; j < a->p; j++) {
        double product = 0;
        for (int64_t i = 0; i < a->m; i++)
            product += a->d[i * a->p + a->match[j]] * a->truth[i * a->p + j];
        sign[j] = product < 0 ? -1 : 1;
    }
}

pudle_status pd_distance_assigned(pd_context *ctx, const pudle_cview *d, const pudle_cview *truth, pd_distance *out,
                                  int64_t *match, double *sign)
{
    pair a;
    pudle_status s = pair_load(ctx, d, truth, &a);
    if (!s)
        s = best_match(ctx, &a);
    if (!s) {
        if (sign)
            signs(&a, sign);
        for (int64_t j = 0; match && j < a.p; j++)
            match[j] = a.match[j];
        figures(&a, true, out);
    }
    pair_free(&a);
    return s;
}
