/* All layers of a convolutional encoder and their adjoint at once (pudle/unroll.h), for least squares inside and separable operators
 * that have a dead zone. With w_k the filters, and positions q of the code map:
 *
 *   forward    r = D z_{t-1} - x;  v[q, k] = z_{t-1}[q, k] - step <w_k, patch_q(r)>;  z_t = prox(v)
 *   adjoint    gv = J' u;  e = D gv;  gW_k -= step sum over q of gv[q, k] patch_q(r) + z_{t-1}[q, k] patch_q(e);
 *              u[q, k] = gv[q, k] - step <w_k, patch_q(e)>, wanted on the support of z_{t-1} alone
 *
 * With momentum z_{t-1} gives way to y_{t-1} = (1 + b_{t-1}) z_{t-1} - b_{t-1} z_{t-2}, and no such code is ever made: D y is the same sum of images. In the
 * adjoint, what y_{t-1} and y_t want of z_{t-1} is gathered, so that the tape is the same, and so is the work along nonzeros:
 *
 *   f = step_t (1 + b_{t-1}) D gv_t - step_{t+1} b_t D gv_{t+1};  gW_k -= sum over q of (step_t gv_t[q, k] patch_q(r) + z_{t-1}[q, k] patch_q(f));
 *   u[q, k] = (1 + b_{t-1}) gv_t[q, k] - b_t gv_{t+1}[q, k] - <w_k, patch_q(f)>
 *
 * (the code holds images of f / step_t, and multiplies by step_t last) with nothing from t+1 at t = T; and z_{T-K-1}, which y_{T-K} has a part of, meets what is left of f at t = T-K.
 * The decoder's way back is that of one more layer, with the loss's gradient for an image and no gv.
 * Only the correlation of the forward pass is dense, and it never packs a patch; for two by two positions at once it needs fewer products
 * (unroll_conv_pairs_kernels.h), so a band's positions are numbered four by four. Everything else goes along the nonzeros of the codes. These are kept position by position: a set of atoms, a bit each, and their entries z, one after the other; for the way back also v,
 * and the atoms' numbers. A patch or a sum of filters is a few vectors of registers.
 *
 * A sample is cut into bands of code rows, by shape alone. A band sums its synthesis into an image strip of its own, and reads
 * images that are put together from the strips of its neighbours in their order: so that a layer is one parallel region, and its
 * bits do not depend on the number of threads. */
#include "unroll_conv.h"
#include "unroll_conv_pairs.h"
#include "unroll_parts.h"
#include <stdlib.h>

/* Bytes of a vector. unroll_conv_wide.c makes all of this once more. */
#ifndef CONV_VECTOR
#define CONV_VECTOR 32
#define CONV_OPS cpu_unroll_conv_ops
#endif

#include "unroll_conv_state.h"
#if CONV_VECTOR == 32
#include "unroll_conv_collect.h"
#else
/* `from` and what a vector of atoms adds to it, in the numbering of ATOM and PLACE. */
static __m512i numbers_from(int32_t from)
{
    const __m512i first = _mm512_set_epi32(480, 448, 416, 384, 352, 320, 288, 256, 224, 192, 160, 128, 96, 64, 32, 0);
    return _mm512_add_epi32(first, _mm512_set1_epi32(from));
}
#endif

/* out[i] = the sum of the entries of h[i], i < 4 */
#if defined(__GNUC__) && !defined(__clang__)
#define ACROSS_f32(h, out)                                                                                                               \
    do {                                                                                                                                 \
        typedef int32_t four __attribute__((vector_size(16)));                                                                           \
        const four low = { 0, 4, 1, 5 }, high = { 2, 6, 3, 7 }, even = { 0, 1, 4, 5 }, odd = { 2, 3, 6, 7 };                             \
        const half_f32 x = __builtin_shuffle((h)[0], (h)[1], low) + __builtin_shuffle((h)[0], (h)[1], high);                             \
        const half_f32 y = __builtin_shuffle((h)[2], (h)[3], low) + __builtin_shuffle((h)[2], (h)[3], high);                             \
        const half_f32 z = __builtin_shuffle(x, y, even) + __builtin_shuffle(x, y, odd);                                                 \
        memcpy(out, &z, sizeof z);                                                                                                       \
    } while (0)
#else
#define ACROSS_f32(h, out)                                                                                                               \
    for (int i = 0; i < 4; i++)                                                                                                          \
    (out)[i] = (h)[i][0] + (h)[i][1] + ((h)[i][2] + (h)[i][3])
#endif
#define ACROSS_f64(h, out)                                                                                                               \
    for (int i = 0; i < 4; i++)                                                                                                          \
    (out)[i] = (h)[i][0] + (h)[i][1]

#define REAL float
#define CONV_ACROSS ACROSS_f32
#define WHOLE int32_t
#define NAME(x) x##_f32
#include "unroll_conv_kernels.h"
#include "unroll_conv_pairs_kernels.h"
#include "unroll_conv_layers.h"
#undef REAL
#undef WHOLE
#undef NAME
#undef CONV_ACROSS
#define REAL double
#define CONV_ACROSS ACROSS_f64
#define WHOLE int64_t
#define NAME(x) x##_f64
#include "unroll_conv_kernels.h"
#include "unroll_conv_pairs_kernels.h"
#include "unroll_conv_layers.h"
#undef REAL
#undef WHOLE
#undef NAME
#undef CONV_ACROSS

#include "unroll_conv_life.h"

/* One region on the threads of an exec. */
static pudle_status over_parts(pudle_exec *exec, conv_call *c, cpu_body body)
{
    cpu_parts(exec, c->status ? 0 : c->u->bands * c->u->groups, body, c);
    return c->status;
}

static void forward_part(void *ctx, int64_t part)
{
    conv_call *c = ctx;
    note(c, c->u->spec.dtype == PUDLE_F64 ? forward_f64(c, part) : forward_f32(c, part));
}

static void decode_part(void *ctx, int64_t part)
{
    conv_call *c = ctx;
    note(c, c->u->spec.dtype == PUDLE_F64 ? decode_f64(c, part) : decode_f32(c, part));
}

static void decode_rows_part(void *ctx, int64_t part)
{
    conv_call *c = ctx;
    if (c->u->spec.dtype == PUDLE_F64)
        decode_rows_f64(c, part);
    else
        decode_rows_f32(c, part);
}

static void begin_part(void *ctx, int64_t part)
{
    conv_call *c = ctx;
    note(c, c->u->spec.dtype == PUDLE_F64 ? begin_back_f64(c, part) : begin_back_f32(c, part));
}

static void back_part(void *ctx, int64_t part)
{
    conv_call *c = ctx;
    note(c, c->u->spec.dtype == PUDLE_F64 ? back_f64(c, part) : back_f32(c, part));
}

static pudle_status conv_forward(pudle_unroll *u, pudle_exec *exec, int64_t index, const pudle_cview *x, bool tape, const pudle_view *z)
{
    conv_work *w = NULL;
    pudle_status s = work_of(u, exec, &w);
    (void)index;
    if (!s)
        s = tape ? tape_make(u, w) : runs_make(u, w);
    if (!s)
        s = parts_target(exec, &u->spec, x, w->target.at);
    if (s)
        return s;
    w->rows = x->shape[0];
    w->taped = tape;
    for (int64_t i = 0; i < cells(u) && tape; i++) /* z_0 = 0; its set is not read */
        memset(codes_of(u, w, 0, i)->start, 0, (size_t)(u->band_rows * u->conv.code[1] + 1) * sizeof(int64_t));
    conv_call c = { .u = u, .w = w, .alone = cpu_alone(exec), .tape = tape, .out = z, .status = PUDLE_OK };
    for (c.t = 1; c.t <= u->spec.layers && !s; c.t++)
        s = over_parts(exec, &c, forward_part);
    return s;
}

static pudle_status conv_decode(pudle_unroll *u, pudle_exec *exec, int64_t index, const pudle_view *estimate)
{
    conv_work *w = NULL;
    pudle_status s = work_of(u, exec, &w);
    (void)index;
    conv_call c = { .u = u, .w = w, .alone = cpu_alone(exec), .t = u->spec.layers, .tape = !s && w->taped,
                    .out = estimate, .status = s };
    s = over_parts(exec, &c, decode_part);
    return s ? s : over_parts(exec, &c, decode_rows_part);
}

static pudle_status conv_adjoint(pudle_unroll *u, pudle_exec *exec, int64_t index, const pudle_cview *residual, const pudle_view *direct,
                                 const pudle_view *gradient, const pudle_view *gtheta)
{
    conv_work *w = NULL;
    pudle_status s = work_of(u, exec, &w);
    if (s)
        return s;
    (void)index;
    conv_call c = { .u = u, .w = w, .alone = cpu_alone(exec), .t = u->spec.layers, .tape = true,
                    .residual = residual, .direct = direct, .gtheta = gtheta, .status = PUDLE_OK };
    const int64_t end = u->spec.layers - u->spec.depth, last = u->spec.momentum && end > 1 ? end : end + 1; /* y_end has a part of z_{end-1} */
    s = over_parts(exec, &c, begin_part);
    for (; c.t >= last && !s; c.t--)
        s = over_parts(exec, &c, back_part);
    if (!s && u->spec.dtype == PUDLE_F64)
        sum_parts_f64(u, w, gradient, gtheta);
    else if (!s)
        sum_parts_f32(u, w, gradient, gtheta);
    return s;
}

static pudle_status conv_finish(pudle_unroll *u, double scale, const pudle_view *gradient)
{
    (void)u, (void)scale, (void)gradient; /* the adjoint has left nothing over */
    return PUDLE_OK;
}

static size_t conv_bytes(const pudle_unroll *u)
{
    return u->memory.held;
}

const pudle_unroll_ops CONV_OPS = {
    .size = sizeof(pudle_unroll_ops),
    .create = conv_create,
    .destroy = conv_destroy,
    .refresh = conv_refresh,
    .forward = conv_forward,
    .decode = conv_decode,
    .adjoint = conv_adjoint,
    .finish = conv_finish,
    .bytes = conv_bytes,
};
