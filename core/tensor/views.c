/* core/tensor/views.c - making views, and walking them in C order whatever their strides. */
#include "files.h"

#include <stdlib.h>
#include <string.h>

pudle_cview pd_array_const(const pd_array *a)
{
    return pudle_const(&a->view);
}

void pd_array_free(pd_array *a)
{
    if (!a)
        return;
    free(a->view.data);
    memset(a, 0, sizeof *a);
}

pudle_view pd_view(void *data, int32_t dtype, int32_t rank, const int64_t *shape)
{
    pudle_view v = { data, dtype, rank, { 0 }, { 0 } };
    int64_t step = 1;
    for (int32_t i = rank - 1; i >= 0; i--) {
        v.shape[i] = shape[i];
        v.stride[i] = step;
        step *= shape[i];
    }
    return v;
}

pudle_view pd_matrix(void *data, int32_t dtype, int64_t rows, int64_t cols)
{
    const int64_t shape[2] = { rows, cols };
    return pd_view(data, dtype, 2, shape);
}

pudle_cview pd_cview(const void *data, int32_t dtype, int32_t rank, const int64_t *shape)
{
    const pudle_view v = pd_view(NULL, dtype, rank, shape);
    pudle_cview c = pudle_const(&v);
    c.data = data;
    return c;
}

pudle_cview pd_cmatrix(const void *data, int32_t dtype, int64_t rows, int64_t cols)
{
    const int64_t shape[2] = { rows, cols };
    return pd_cview(data, dtype, 2, shape);
}

/* Bytes from the start of a view to its row `first`. */
static ptrdiff_t row_offset(int32_t dtype, int64_t stride, int64_t first)
{
    return (ptrdiff_t)(first * stride) * (ptrdiff_t)pudle_dtype_size(dtype);
}

pudle_view pd_slice(const pudle_view *v, int64_t i)
{
    const pudle_view row = pd_rows(v, i, 1);
    return pd_view(row.data, v->dtype, v->rank - 1, v->shape + 1);
}

pudle_view pd_rows(const pudle_view *v, int64_t first, int64_t count)
{
    pudle_view r = *v;
    if (v->data)
        r.data = (char *)v->data + row_offset(v->dtype, v->stride[0], first);
    r.shape[0] = count;
    return r;
}

pudle_cview pd_crows(const pudle_cview *v, int64_t first, int64_t count)
{
    pudle_cview r = *v;
    if (v->data)
        r.data = (const char *)v->data + row_offset(v->dtype, v->stride[0], first);
    r.shape[0] = count;
    return r;
}

bool pd_same_shape(const pudle_cview *a, const pudle_cview *b)
{
    bool same = a->rank == b->rank;
    for (int32_t i = 0; same && i < a->rank; i++)
        same = a->shape[i] == b->shape[i];
    return same;
}

pudle_status pd_view_check(pd_context *ctx, const char *what, const pudle_cview *v)
{
    int64_t count = 1;
    if (v->dtype != PUDLE_F32 && v->dtype != PUDLE_F64)
        return pd_fail(ctx, PUDLE_ERR_ARG, "%s: the array to write has element type %d; legal are F32 (%d) and F64 (%d)",
                       what, (int)v->dtype, PUDLE_F32, PUDLE_F64);
    if (v->rank < 0 || v->rank > PUDLE_MAX_RANK)
        return pd_fail(ctx, PUDLE_ERR_ARG, "%s: the array to write has %d axes; legal are 0 to %d", what, (int)v->rank,
                       PUDLE_MAX_RANK);
    for (int32_t i = 0; i < v->rank; i++) {
        const int64_t extent = v->shape[i];
        if (extent < 0 || (extent > 0 && count > INT64_MAX / 8 / extent))
            return pd_fail(ctx, PUDLE_ERR_ARG, "%s: axis %d of the array to write has the impossible extent %lld", what,
                           (int)i, (long long)extent);
        count *= extent > 0 ? extent : 1;
    }
    if (!v->data && pudle_count(v) > 0)
        return pd_fail(ctx, PUDLE_ERR_ARG, "%s: the array to write has no data", what);
    return PUDLE_OK;
}

/* Axes from the result on lie in one piece; the result is 0 for a contiguous view. *piece is their number of elements. */
static int32_t contiguous_from(const pudle_cview *v, int64_t *piece)
{
    int32_t axis = v->rank;
    *piece = 1;
    while (axis > 0 && (v->stride[axis - 1] == *piece || v->shape[axis - 1] == 1)) {
        axis--;
        *piece *= v->shape[axis];
    }
    return axis;
}

void pd_gather(const pudle_cview *v, int64_t first, int64_t count, void *out)
{
    const size_t size = pudle_dtype_size(v->dtype);
    int64_t piece;
    const int32_t outer = contiguous_from(v, &piece);
    char *to = out;
    while (count > 0) {
        const int64_t inside = first % piece;
        const int64_t n = count < piece - inside ? count : piece - inside;
        int64_t index = first / piece, at = inside;
        for (int32_t i = outer - 1; i >= 0; i--) {
            at += index % v->shape[i] * v->stride[i];
            index /= v->shape[i];
        }
        memcpy(to, (const char *)v->data + (ptrdiff_t)at * (ptrdiff_t)size, (size_t)n * size);
        to += (size_t)n * size;
        first += n;
        count -= n;
    }
}

void pd_pieces(const pudle_cview *v, pd_piece_fn take, void *to)
{
    enum { ELEMENTS = 4096 };
    double buffer[ELEMENTS];
    const int64_t count = pudle_count(v);
    for (int64_t first = 0; first < count; first += ELEMENTS) {
        const int64_t n = count - first < ELEMENTS ? count - first : ELEMENTS;
        pd_gather(v, first, n, buffer);
        take(to, buffer, (size_t)n * pudle_dtype_size(v->dtype));
    }
}
