/* Views and rows as doubles; unit columns; blocks of inner products. */
#include "measure/columns.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool pd_is_array(const pudle_cview *view, int32_t rank)
{
    if (!view->data || (view->dtype != PUDLE_F32 && view->dtype != PUDLE_F64))
        return false;
    if (view->rank < 1 || view->rank > PUDLE_MAX_RANK || (rank && view->rank != rank))
        return false;
    for (int32_t i = 0; i < view->rank; i++)
        if (view->shape[i] < 1)
            return false;
    return true;
}

/* The next index in C order, and the place in memory that belongs to it. */
static int64_t advance(const pudle_cview *view, int64_t *index, int64_t at)
{
    for (int32_t i = view->rank - 1; i >= 0; i--) {
        at += view->stride[i];
        if (++index[i] < view->shape[i])
            return at;
        at -= view->stride[i] * view->shape[i];
        index[i] = 0;
    }
    return at;
}

pudle_status pd_doubles(pd_context *ctx, const pudle_cview *view, double **out)
{
    const int64_t count = pudle_count(view);
    double *values = pd_alloc((size_t)count, sizeof *values);
    if (!values)
        return pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory for %lld numbers to be measured", (long long)count);
    int64_t index[PUDLE_MAX_RANK] = { 0 }, at = 0;
    bool packed = true;
    for (int64_t i = view->rank - 1, step = 1; i >= 0; step *= view->shape[i--])
        packed = packed && (view->stride[i] == step || view->shape[i] == 1);
    if (packed) {
        for (int64_t i = 0; i < count; i++)
            values[i] = view->dtype == PUDLE_F64 ? ((const double *)view->data)[i] : (double)((const float *)view->data)[i];
        *out = values;
        return PUDLE_OK;
    }
    for (int64_t i = 0; i < count; i++) {
        values[i] = view->dtype == PUDLE_F64 ? ((const double *)view->data)[at] : (double)((const float *)view->data)[at];
        at = advance(view, index, at);
    }
    *out = values;
    return PUDLE_OK;
}

void pd_row(const pudle_cview *matrix, int64_t row, double *restrict out)
{
    const int64_t p = matrix->shape[1], step = matrix->stride[1], at = row * matrix->stride[0];
    if (matrix->dtype == PUDLE_F64) {
        const double *from = (const double *)matrix->data + at;
        if (step == 1)
            memcpy(out, from, (size_t)p * sizeof *out);
        else
            for (int64_t j = 0; j < p; j++)
                out[j] = from[j * step];
        return;
    }
    const float *from = (const float *)matrix->data + at;
    if (step == 1)
        for (int64_t j = 0; j < p; j++)
            out[j] = (double)from[j];
    else
        for (int64_t j = 0; j < p; j++)
            out[j] = (double)from[j * step];
}

/* One over the norm of a column of which some square, or their sum, would overflow or vanish: times a power of 2 none does, and nothing is rounded. */
static double careful_factor(const pudle_cview *matrix, int64_t column)
{
    double largest = 0, sum = 0;
    int exponent = 0;
    for (int64_t i = 0; i < matrix->shape[0]; i++) {
        const double size = fabs(pd_entry(matrix, i, column));
        largest = size > largest ? size : largest;
    }
    if (isfinite(largest))
        frexp(largest, &exponent);
    const double scale = ldexp(1, exponent < -1000 ? 1000 : exponent > 1000 ? -1000 : -exponent);
    for (int64_t i = 0; i < matrix->shape[0]; i++) {
        const double x = pd_entry(matrix, i, column) * scale;
        sum += x * x;
    }
    return sum == 0 ? 1 : isfinite(sum) ? scale / sqrt(sum) : (double)NAN;
}

void pd_unit_factors(const pudle_cview *matrix, double *restrict row, double *restrict factor)
{
    const int64_t m = matrix->shape[0], p = matrix->shape[1];
    for (int64_t j = 0; j < p; j++)
        factor[j] = 0;
    for (int64_t i = 0; i < m; i++) { /* by rows: a column by itself would fetch a line of memory for every number */
        pd_row(matrix, i, row);
        for (int64_t j = 0; j < p; j++)
            factor[j] += row[j] * row[j];
    }
    for (int64_t j = 0; j < p; j++)
        factor[j] = factor[j] > 1e-200 && factor[j] < 1e200 ? 1 / sqrt(factor[j]) : careful_factor(matrix, j);
}

pudle_status pd_unit_columns(pd_context *ctx, const pudle_cview *matrix, double **out)
{
    const int64_t m = matrix->shape[0], p = matrix->shape[1];
    double *a = pd_alloc((size_t)pudle_count(matrix), sizeof *a), *factor = pd_alloc((size_t)p, sizeof *factor);
    pudle_status s = a && factor ? PUDLE_OK : pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory for the unit columns of %lld atoms", (long long)p);
    if (s)
        goto cleanup;
    pd_unit_factors(matrix, a, factor);
    for (int64_t i = 0; i < m; i++) {
        double *row = a + i * p;
        pd_row(matrix, i, row);
        for (int64_t j = 0; j < p; j++)
            row[j] *= factor[j];
    }
    *out = a;
    a = NULL;
cleanup:
    free(a);
    free(factor);
    return s;
}

void pd_cross(const double *a, const double *b, int64_t m, int64_t p, int64_t first, int64_t count, double *out)
{
    enum { WIDTH = 512 }; /* columns of b at a time: four rows of the result stay in the first-level cache */
    memset(out, 0, (size_t)count * (size_t)p * sizeof *out);
    for (int64_t j0 = 0; j0 < p; j0 += WIDTH) {
        const int64_t width = p - j0 < WIDTH ? p - j0 : WIDTH;
        int64_t i = 0;
        for (; i + 4 <= count; i += 4) {
            double *restrict r0 = out + i * p + j0, *restrict r1 = r0 + p, *restrict r2 = r1 + p, *restrict r3 = r2 + p;
            for (int64_t k = 0; k < m; k++) {
                const double *x = a + k * p + first + i, *y = b + k * p + j0;
                const double x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3];
                for (int64_t j = 0; j < width; j++) {
                    r0[j] += x0 * y[j];
                    r1[j] += x1 * y[j];
                    r2[j] += x2 * y[j];
                    r3[j] += x3 * y[j];
                }
            }
        }
        for (; i < count; i++) {
            double *restrict r = out + i * p + j0;
            for (int64_t k = 0; k < m; k++) {
                const double x = a[k * p + first + i], *y = b + k * p + j0;
                for (int64_t j = 0; j < width; j++)
                    r[j] += x * y[j];
            }
        }
    }
}
