/* core/measure/columns.h - arrays as contiguous doubles, unit columns, inner products. Internal to core/measure. */
#ifndef PD_COLUMNS_H
#define PD_COLUMNS_H

#include "context.h"

/** True for a view of f32 or f64 of that rank (0: any) without an empty axis. */
bool pd_is_array(const pudle_cview *view, int32_t rank);
bool pd_same_shape(const pudle_cview *a, const pudle_cview *b);

/** One entry of a matrix, by its strides. */
static inline double pd_entry(const pudle_cview *view, int64_t row, int64_t column)
{
    const int64_t at = row * view->stride[0] + column * view->stride[1];
    return view->dtype == PUDLE_F64 ? ((const double *)view->data)[at] : (double)((const float *)view->data)[at];
}

/** All entries in C order; the caller frees. @errors NOMEM */
pudle_status pd_doubles(pd_context *ctx, const pudle_cview *view, double **out);

/** Each column divided by its Euclidean norm; a zero column stays zero, one that is not finite becomes NaN. a: (m, p). */
void pd_unit_columns(double *a, int64_t m, int64_t p);

/** out[i * p + j] = <a_(first+i), b_j>, i < count: some columns of a against all of b. a, b: (m, p); out: (count, p). */
void pd_cross(const double *a, const double *b, int64_t m, int64_t p, int64_t first, int64_t count, double *out);

#endif
