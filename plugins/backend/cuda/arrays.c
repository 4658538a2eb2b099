/* Arrays and optimiser steps: one launch each, and two for a sum. */
#include "cuda.h"
#include <math.h>
#include <string.h>

enum { MOST = 4 }; /* arrays of one kernel */

/* How n entries lie: without gaps, or in rows. */
typedef struct layout {
    long long n, cols, stride[MOST];
} layout;

static layout layout_of(const pudle_cview *const v[], int count)
{
    layout l = { .n = pudle_count(v[0]) };
    for (int i = 0; i < count; i++) {
        if (!host_contiguous(v[i]))
            l.cols = v[0]->shape[1];
        l.stride[i] = v[i]->rank == 2 ? (v[i]->shape[0] > 1 ? v[i]->stride[0] : v[i]->shape[1]) : 0;
    }
    return l;
}

static int wide(const pudle_cview *v)
{
    return v->dtype == PUDLE_F64;
}

/* A number as a kernel of either precision takes it. */
typedef struct scalar { double f64; float f32; } scalar;

static scalar scalar_of(double x)
{
    return (scalar){ x, (float)x };
}

static void *address(scalar *x, int is_wide)
{
    return is_wide ? (void *)&x->f64 : (void *)&x->f32;
}

/* An elementwise operation on arrays that have been checked. */
static pudle_status elementwise(cuda_exec *e, const char *op, cuda_kernel *kernel, int64_t n, void **arguments)
{
    pudle_status s = n ? cuda_begin(e, op) : PUDLE_OK;
    if (s || !n)
        return s;
    s = cuda_start(e, op, kernel, cuda_blocks(n), arguments);
    return s ? s : cuda_end(e, op);
}

pudle_status cuda_fill(pudle_exec *exec, double value, const pudle_view *y)
{
    pudle_cview cy;
    const pudle_status s = host_check(exec, "fill", "y", host_const(y, &cy));
    if (s)
        return s;
    cuda_exec *e = cuda_of(exec);
    layout l = layout_of((const pudle_cview *const[]){ &cy }, 1);
    scalar v = scalar_of(value);
    void *to = y->data;
    void *arguments[] = { &to, address(&v, wide(&cy)), &l.n, &l.cols, &l.stride[0] };
    return elementwise(e, "fill", e->kernel[wide(&cy)][CUDA_FILL], l.n, arguments);
}

pudle_status cuda_copy(pudle_exec *exec, const pudle_cview *x, const pudle_view *y)
{
    pudle_cview cy;
    cuda_fault why;
    const pudle_cview *const all[] = { x, host_const(y, &cy) };
    pudle_status s = host_check_alike(exec, "copy", "x|y", all, 2);
    if (s || !pudle_count(x) || x->data == y->data)
        return s;
    cuda_exec *e = cuda_of(exec);
    const layout l = layout_of(all, 2);
    const size_t width = pudle_dtype_size(x->dtype);
    s = cuda_begin(e, "copy");
    if (s)
        return s;
    const bool good = l.cols ? cuda.copy(e->gpu, y->data, (size_t)l.stride[1] * width, x->data, (size_t)l.stride[0] * width, (size_t)l.cols * width,
                                         (size_t)(l.n / l.cols), &why)
                             : cuda.copy(e->gpu, y->data, 0, x->data, 0, (size_t)l.n * width, 1, &why);
    return good ? cuda_end(e, "copy") : cuda_failed(e, "copy", &why);
}

pudle_status cuda_axpby(pudle_exec *exec, double a, const pudle_cview *x, double b, const pudle_view *y)
{
    pudle_cview cy;
    const pudle_cview *const all[] = { x, host_const(y, &cy) };
    const pudle_status s = host_check_alike(exec, "axpby", "x|y", all, 2);
    if (s)
        return s;
    cuda_exec *e = cuda_of(exec);
    layout l = layout_of(all, 2);
    scalar by = scalar_of(a), of = scalar_of(b);
    const void *from = x->data;
    void *to = y->data;
    int keep = b != 0;
    void *arguments[] = { address(&by, wide(x)), &from, address(&of, wide(x)), &to, &keep, &l.n, &l.cols, &l.stride[0], &l.stride[1] };
    return elementwise(e, "axpby", e->kernel[wide(x)][CUDA_AXPBY], l.n, arguments);
}

pudle_status cuda_sign(pudle_exec *exec, const pudle_cview *x, const pudle_view *y)
{
    pudle_cview cy;
    const pudle_cview *const all[] = { x, host_const(y, &cy) };
    const pudle_status s = host_check_alike(exec, "sign", "x|y", all, 2);
    if (s)
        return s;
    cuda_exec *e = cuda_of(exec);
    layout l = layout_of(all, 2);
    const void *from = x->data;
    void *to = y->data;
    void *arguments[] = { &from, &to, &l.n, &l.cols, &l.stride[0], &l.stride[1] };
    return elementwise(e, "sign", e->kernel[wide(x)][CUDA_SIGN], l.n, arguments);
}

/* A kernel that leaves `sums` rows of one number a block, whose sums are then taken. The place of partial in its arguments is
 * filled in here. */
static pudle_status reduce(cuda_exec *e, const char *op, cuda_kernel *kernel, int64_t n, void **arguments, int place, int64_t sums, const cuda_sum to[])
{
    const int64_t blocks = cuda_reduction(n);
    pudle_status s = cuda_begin(e, op);
    if (!s)
        s = cuda_room(e, op, &e->partial, (size_t)(sums * blocks) * sizeof(double));
    arguments[place] = &e->partial.at;
    if (!s)
        s = cuda_start(e, op, kernel, blocks, arguments);
    return s ? s : cuda_collect(e, op, e->partial.at, sums, blocks, to);
}

pudle_status cuda_dot(pudle_exec *exec, const pudle_cview *x, const pudle_cview *y, double *sum)
{
    const pudle_cview *const all[] = { x, y };
    const pudle_status s = host_check_alike(exec, "dot", "x|y", all, 2);
    if (s)
        return s;
    if (!sum)
        return FAIL(exec, PUDLE_ERR_ARG, "dot: no place for the result");
    *sum = 0;
    if (!pudle_count(x))
        return PUDLE_OK;
    cuda_exec *e = cuda_of(exec);
    layout l = layout_of(all, 2);
    const void *left = x->data, *right = y->data;
    void *arguments[] = { &left, &right, NULL, &l.n, &l.cols, &l.stride[0], &l.stride[1] };
    return reduce(e, "dot", e->kernel[wide(x)][CUDA_DOT], l.n, arguments, 2, 1, &(cuda_sum){ sum, NULL });
}

pudle_status cuda_census(pudle_exec *exec, const pudle_cview *x, int64_t *nonzero, int64_t *nonfinite)
{
    const pudle_status s = host_check(exec, "census", "x", x);
    if (s)
        return s;
    if (!nonzero || !nonfinite)
        return FAIL(exec, PUDLE_ERR_ARG, "census: no place for the results");
    *nonzero = *nonfinite = 0;
    if (!pudle_count(x))
        return PUDLE_OK;
    cuda_exec *e = cuda_of(exec);
    layout l = layout_of((const pudle_cview *const[]){ x }, 1);
    const void *from = x->data;
    void *arguments[] = { &from, NULL, &l.n, &l.cols, &l.stride[0] };
    return reduce(e, "census", e->kernel[wide(x)][CUDA_CENSUS], l.n, arguments, 1, 2, (const cuda_sum[]){ { NULL, nonzero }, { NULL, nonfinite } });
}

/* Slices of a matrix, or of filters: number e of slice s lies at s * slice_step + e * entry_step. Columns are taken 8 to a block, as neighbours in memory; rows one to a
 * block. */
typedef struct slicing { long long slices, entries, slice_step, entry_step; int tile; } slicing;

static slicing slice(const pudle_cview *c, int32_t axis)
{
    const int64_t count = pudle_count(c), row = c->rank == 2 && c->shape[0] > 1 ? c->stride[0] : 0;
    slicing s = { .slices = c->shape[axis], .tile = axis == 1 ? 8 : 1 };
    s.entries = s.slices ? count / s.slices : 0;
    s.slice_step = axis == 1 ? 1 : row ? row : s.entries;
    s.entry_step = axis == 1 ? row : 1;
    return s;
}

static pudle_status for_slices(cuda_exec *e, const char *op, cuda_kernel *kernel, const slicing *s, void **arguments)
{
    pudle_status status = s->slices && s->entries ? cuda_begin(e, op) : PUDLE_OK;
    if (status || !s->slices || !s->entries)
        return status;
    status = cuda_start(e, op, kernel, (s->slices + s->tile - 1) / s->tile, arguments);
    return status ? status : cuda_end(e, op);
}

pudle_status cuda_normalize(pudle_exec *exec, int32_t axis, double norm, const pudle_view *w)
{
    const pudle_status status = host_check_normalize(exec, axis, norm, w);
    if (status)
        return status;
    const pudle_cview c = pudle_const(w);
    slicing s = slice(&c, axis);
    void *at = w->data;
    void *arguments[] = { &at, &s.slices, &s.entries, &s.slice_step, &s.entry_step, &s.tile, &norm };
    return for_slices(cuda_of(exec), "normalize", cuda_of(exec)->kernel[wide(&c)][CUDA_NORMALIZE], &s, arguments);
}

pudle_status cuda_tangent(pudle_exec *exec, int32_t axis, const pudle_cview *w, const pudle_view *g)
{
    const pudle_status status = host_check_tangent(exec, axis, w, g);
    if (status)
        return status;
    const pudle_cview c = pudle_const(g);
    slicing s = slice(w, axis), to = slice(&c, axis);
    const void *from = w->data;
    void *at = g->data;
    void *arguments[] = { &from, &at, &s.slices, &s.entries, &s.slice_step, &s.entry_step, &to.slice_step, &to.entry_step, &s.tile };
    return for_slices(cuda_of(exec), "tangent", cuda_of(exec)->kernel[wide(w)][CUDA_TANGENT], &s, arguments);
}

pudle_status cuda_momentum(pudle_exec *exec, double rate, double mu, const pudle_cview *g, const pudle_view *buf, const pudle_view *w)
{
    pudle_cview cb, cw;
    const pudle_cview *const all[] = { g, host_const(buf, &cb), host_const(w, &cw) };
    const pudle_status s = host_check_alike(exec, "momentum", "g|buf|w", all, 3);
    if (s)
        return s;
    cuda_exec *e = cuda_of(exec);
    layout l = layout_of(all, 3);
    scalar r = scalar_of(rate), m = scalar_of(mu);
    const void *from = g->data;
    void *kept = buf->data, *to = w->data;
    void *arguments[] = { address(&r, wide(g)), address(&m, wide(g)), &from, &kept, &to, &l.n, &l.cols, &l.stride[0], &l.stride[1], &l.stride[2] };
    return elementwise(e, "momentum", e->kernel[wide(g)][CUDA_MOMENTUM], l.n, arguments);
}

pudle_status cuda_adam_run(pudle_exec *exec, const pudle_adam *how, const pudle_cview *g, const pudle_view *m, const pudle_view *v,
                           const pudle_view *w)
{
    pudle_cview cm, cv, cw;
    const pudle_cview *const all[] = { g, host_const(m, &cm), host_const(v, &cv), host_const(w, &cw) };
    pudle_status s = host_check_adam(exec, how);
    if (!s)
        s = host_check_alike(exec, "adam", "g|m|v|w", all, 4);
    if (s)
        return s;
    cuda_exec *e = cuda_of(exec);
    layout l = layout_of(all, 4);
    double b1 = how->beta1, b2 = how->beta2, epsilon = how->epsilon;
    double rate = how->rate / (1 - pow(b1, (double)how->update)), root = sqrt(1 - pow(b2, (double)how->update));
    const void *from = g->data;
    void *first = m->data, *second = v->data, *to = w->data;
    void *arguments[] = { &rate, &b1, &b2, &root, &epsilon, &from, &first, &second, &to, &l.n, &l.cols, &l.stride[0], &l.stride[1], &l.stride[2],
                          &l.stride[3] };
    return elementwise(e, "adam", e->kernel[wide(g)][CUDA_ADAM], l.n, arguments);
}

/* ---------------------------------------------------------------- products */

void cuda_gemm_of(const host_gemm *sizes, bool trans_a, bool trans_b, cuda_gemm *call)
{
    call->trans_a = trans_b;
    call->trans_b = trans_a;
    call->m = sizes->cols;
    call->n = sizes->rows;
    call->k = sizes->inner;
    call->lda = sizes->ldb;
    call->ldb = sizes->lda;
    call->ldc = sizes->ldc;
}

/* Without terms C is scaled alone, which cuBLAS need not be asked for. */
pudle_status cuda_gemm_run(pudle_exec *exec, bool trans_a, bool trans_b, double a, const pudle_cview *A, const pudle_cview *B, double b,
                           const pudle_view *C)
{
    host_gemm sizes;
    cuda_fault why;
    pudle_status s = host_check_gemm(exec, trans_a, trans_b, A, B, C, &sizes);
    if (s || !sizes.rows || !sizes.cols)
        return s;
    cuda_exec *e = cuda_of(exec);
    const pudle_cview c = pudle_const(C);
    if (!sizes.inner || a == 0)
        return b == 0 ? cuda_fill(exec, 0, C) : b == 1 ? PUDLE_OK : cuda_axpby(exec, b, &c, 0, C);
    cuda_gemm call = { .dtype = A->dtype, .a = a, .b = b, .A = B->data, .B = A->data, .C = C->data };
    cuda_gemm_of(&sizes, trans_a, trans_b, &call);
    s = cuda_begin(e, "gemm");
    if (s)
        return s;
    return cuda.gemm(e->gpu, &call, &why) ? cuda_end(e, "gemm") : cuda_failed(e, "gemm", &why);
}
