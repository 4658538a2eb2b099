/* Distances between filters, which are determined only up to a shift: the cosine of two atoms becomes the largest normalised cross-correlation over all lags.
 * A lag moves a filter of D over one of the truth; where they do not overlap both go on as zeros. */
#include "measure/distance.h"
#include "measure/columns.h"
#include "tensor/arrays.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Two banks of unit filters. A filter of one dimension is a picture of height 1. */
typedef struct banks {
    int64_t p, channels, size[2], taps; /* taps = channels size[0] size[1] */
    double *d, *truth;                  /* (taps, p): filters are columns */
} banks;

typedef struct lag { int64_t by[2]; } lag;

static int64_t positive(int64_t a)
{
    return a > 0 ? a : 0;
}

static bool are_filters(const pudle_cview *v)
{
    return pd_is_array(v, 3) || pd_is_array(v, 4);
}

static pudle_status unit_filters(pd_context *ctx, const pudle_cview *filters, double **out)
{
    double *values = NULL;
    pudle_status s = pd_doubles(ctx, filters, &values);
    if (s)
        return s;
    const pudle_cview contiguous = pd_cview(values, PUDLE_F64, filters->rank, filters->shape), columns = pd_atom_columns(&contiguous);
    s = pd_unit_columns(ctx, &columns, out);
    free(values);
    return s;
}

static pudle_status banks_open(pd_context *ctx, const pudle_cview *d, const pudle_cview *truth, banks *b)
{
    *b = (banks){ 0 };
    if (!are_filters(d) || !are_filters(truth) || !pd_same_shape(d, truth))
        return pd_fail(ctx, PUDLE_ERR_ARG, "distance of filters: both must be (atoms, channels, length) or (atoms, channels, height, width), and of one shape");
    const int32_t last = d->rank - 1;
    *b = (banks){ .p = d->shape[0], .channels = d->shape[1], .size = { last == 3 ? d->shape[2] : 1, d->shape[last] } };
    b->taps = b->channels * b->size[0] * b->size[1];
    const pudle_status s = unit_filters(ctx, d, &b->d);
    return s ? s : unit_filters(ctx, truth, &b->truth);
}

/* From the first lag on, each but the last one's has a next. */
static lag first_lag(const banks *b)
{
    return (lag){ { 1 - b->size[0], 1 - b->size[1] } };
}

static bool next_lag(const banks *b, lag *l)
{
    if (++l->by[1] < b->size[1])
        return true;
    l->by[1] = 1 - b->size[1];
    return ++l->by[0] < b->size[0];
}

/* --------------------------------------------------------------- all pairs */

/* Of all filters the part that lies over the other bank's, (taps of it, p). side: 1 for the bank that stays, -1 for the one that is moved. */
static int64_t overlap(const banks *b, const double *from, const lag *l, int side, double *to)
{
    const int64_t rows = b->size[0] - llabs(l->by[0]), columns = b->size[1] - llabs(l->by[1]);
    const int64_t y0 = positive(side * l->by[0]), x0 = positive(side * l->by[1]);
    for (int64_t c = 0; c < b->channels; c++)
        for (int64_t y = 0; y < rows; y++, to += columns * b->p)
            memcpy(to, from + ((c * b->size[0] + y0 + y) * b->size[1] + x0) * b->p, (size_t)(columns * b->p) * sizeof *to);
    return b->channels * rows * columns;
}

/* best (p, p), rows for the truth: 1 - the largest |correlation|. As matrix products, one a lag: the longest loop is that over filters. */
static pudle_status costs(pd_context *ctx, const banks *b, double *best)
{
    const int64_t p = b->p;
    double *cross = pd_alloc((size_t)(p * p), sizeof *cross), *moved = pd_alloc((size_t)(b->taps * p), sizeof *moved),
           *still = pd_alloc((size_t)(b->taps * p), sizeof *still);
    const pudle_status s = cross && moved && still ? PUDLE_OK : pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory for the correlations of %lld filters", (long long)p);
    lag l = first_lag(b);
    for (int64_t i = 0; i < p * p; i++)
        best[i] = 0;
    if (!s)
        do {
            const int64_t taps = overlap(b, b->truth, &l, 1, still);
            overlap(b, b->d, &l, -1, moved);
            pd_cross(still, moved, taps, p, 0, p, cross);
            for (int64_t i = 0; i < p * p; i++)
                best[i] = fabs(cross[i]) > best[i] ? fabs(cross[i]) : best[i];
        } while (next_lag(b, &l));
    for (int64_t i = 0; i < p * p; i++)
        best[i] = 1 - best[i];
    free(cross);
    free(moved);
    free(still);
    return s;
}

/* ------------------------------------------------------------------ one pair */

static double correlation(const banks *b, const double *d, const double *truth, const lag *l)
{
    const int64_t y0 = positive(l->by[0]), x0 = positive(l->by[1]), columns = b->size[1] - llabs(l->by[1]);
    double sum = 0;
    for (int64_t c = 0; c < b->channels; c++)
        for (int64_t y = y0; y < b->size[0] + l->by[0] && y < b->size[0]; y++) {
            const double *still = truth + (c * b->size[0] + y) * b->size[1] + x0;
            const double *moved = d + (c * b->size[0] + y - l->by[0]) * b->size[1] + x0 - l->by[1];
            for (int64_t x = 0; x < columns; x++)
                sum += still[x] * moved[x];
        }
    return sum;
}

static int64_t length(const lag *l)
{
    return l->by[0] * l->by[0] + l->by[1] * l->by[1];
}

static lag best_lag(const banks *b, const double *d, const double *truth)
{
    lag best = { { 0, 0 } }, l = first_lag(b);
    double most = fabs(correlation(b, d, truth, &best));
    do {
        const double size = fabs(correlation(b, d, truth, &l));
        if (size > most || (size == most && length(&l) < length(&best))) {
            most = size;
            best = l;
        }
    } while (next_lag(b, &l));
    return best;
}

/* Is a place of one filter, moved by a lag, one of the other's? */
static bool inside(const banks *b, int64_t y, int64_t x)
{
    return y >= 0 && y < b->size[0] && x >= 0 && x < b->size[1];
}

/* Squared distances, entry by entry, so that filters that nearly agree are not differences of large numbers. */
static void add_distances(const banks *b, const double *d, const double *truth, const lag *l, double *minus, double *plus, double *size)
{
    *minus = *plus = *size = 0;
    for (int64_t c = 0; c < b->channels; c++)
        for (int64_t y = 0; y < b->size[0]; y++)
            for (int64_t x = 0; x < b->size[1]; x++) {
                const int64_t at = (c * b->size[0] + y) * b->size[1] + x;
                const double own = truth[at];
                const double moved = inside(b, y - l->by[0], x - l->by[1]) ? d[at - l->by[0] * b->size[1] - l->by[1]] : 0;
                const double outside = inside(b, y + l->by[0], x + l->by[1]) ? 0 : d[at];
                *minus += (moved - own) * (moved - own) + outside * outside;
                *plus += (moved + own) * (moved + own) + outside * outside;
                *size += own * own;
            }
}

static void copy_column(const double *from, int64_t taps, int64_t p, int64_t j, double *to)
{
    for (int64_t i = 0; i < taps; i++)
        to[i] = from[i * p + j];
}

/* ---------------------------------------------------------------- the figures */

static bool all_finite(const double *values, int64_t count)
{
    bool finite = true;
    for (int64_t i = 0; i < count; i++)
        finite = finite && isfinite(values[i]);
    return finite;
}

/* The order of the filters; as it is where the figures will be NaN in any. */
static pudle_status find_order(pd_context *ctx, const banks *b, int64_t *match)
{
    const int64_t p = b->p;
    for (int64_t j = 0; j < p; j++)
        match[j] = j;
    if (!all_finite(b->d, b->taps * p) || !all_finite(b->truth, b->taps * p))
        return PUDLE_OK;
    double *cost = p <= INT64_MAX / p ? pd_alloc((size_t)(p * p), sizeof *cost) : NULL;
    pudle_status s = cost ? costs(ctx, b, cost) : pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory for the assignment of %lld filters", (long long)p);
    if (!s)
        s = pd_assign(ctx, p, cost, match);
    free(cost);
    return s;
}

pudle_status pd_distance_shifted(pd_context *ctx, const pudle_cview *d, const pudle_cview *truth, pd_distance *out, int64_t *match, double *sign,
                                 int64_t *by)
{
    banks b;
    double *room = NULL;
    int64_t *order = NULL;
    pudle_status s = banks_open(ctx, d, truth, &b);
    if (!s && (!(room = pd_alloc((size_t)(3 * b.p + 2 * b.taps), sizeof *room)) || !(order = pd_alloc((size_t)b.p, sizeof *order))))
        s = pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory for the distance of %lld filters", (long long)b.p);
    if (!s)
        s = find_order(ctx, &b, order);
    if (s)
        goto cleanup;
    double *minus = room, *plus = minus + b.p, *size = plus + b.p, *one = size + b.p, *other = one + b.taps;
    for (int64_t j = 0; j < b.p; j++) {
        copy_column(b.d, b.taps, b.p, order[j], one);
        copy_column(b.truth, b.taps, b.p, j, other);
        const lag l = best_lag(&b, one, other);
        add_distances(&b, one, other, &l, &minus[j], &plus[j], &size[j]);
        for (int i = 0; i < 2 && by; i++)
            by[2 * j + i] = l.by[i];
        if (match)
            match[j] = order[j];
    }
    pd_distance_figures(b.p, minus, plus, size, true, sign, out);
cleanup:
    free(room);
    free(order);
    free(b.d);
    free(b.truth);
    return s;
}

pudle_status pd_distance_free(pd_context *ctx, const pudle_cview *d, const pudle_cview *truth, pd_distance *out)
{
    return d->rank == 2 ? pd_distance_assigned(ctx, d, truth, out, NULL, NULL) : pd_distance_shifted(ctx, d, truth, out, NULL, NULL, NULL);
}
