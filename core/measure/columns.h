/* core/measure/columns.h - arrays as contiguous doubles, unit columns, inner products. Internal to core/measure. */
#ifndef PD_COLUMNS_H
#define PD_COLUMNS_H

#include "context.h"

/** True for a view of f32 or f64 of that rank (0: any) without an empty axis. */
bool pd_is_array(const pudle_cview *view, int32_t rank);

/** One entry of a matrix, by its strides. */
static inline double pd_entry(const pudle_cview *view, int64_t row, int64_t column)
{
    const int64_t at = row * view->stride[0] + column * view->stride[1];
    return view->dtype == PUDLE_F64 ? ((const double *)view->data)[at] : (double)((const float *)view->data)[at];
}

/** All entries in C order; the caller frees. @errors NOMEM */
pudle_status pd_doubles(pd_context *ctx, const pudle_cview *view, double **out);

/** A row of a matrix (m, p) of any strides. out: (p). */
void pd_row(const pudle_cview *matrix, int64_t row, double *out);

/** What makes columns unit: one over their Euclidean norm; 1 for a column of zeros, NaN for one that is not finite, and
 *  infinite for a norm below 2^-1024, which has no inverse.
 *  row: (p), room; factor: (p). */
void pd_unit_factors(const pudle_cview *matrix, double *row, double *factor);

/** The matrix (m, p) with unit columns, contiguous; the caller frees. @errors NOMEM */
pudle_status pd_unit_columns(pd_context *ctx, const pudle_cview *matrix, double **out);

/** out[i * p + j] = <a_(first+i), b_j>, i < count: some columns of a against all of b. a, b: (m, p); out: (count, p). */
void pd_cross(const double *a, const double *b, int64_t m, int64_t p, int64_t first, int64_t count, double *out);

#endif
