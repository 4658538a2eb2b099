/* Convolution as matrix products on packed patches. A patch matrix has one row per kernel entry (channel, ky, kx) and one column
 * per code position; it is made for a band of code rows at a time, small enough to stay in cache.
 *   adjoint:  V <- a W P + b V      (atoms, positions) = (atoms, taps)(taps, positions)
 *   apply:    Y = W' Z, then each row of Y is added to the pixels it came from
 *   gradient: G <- G + a Z P'
 * On the root the bands' products, packing and adding are shared among threads in parts cut by shape alone; two parts never
 * touch the same pixel, because a part of the adding is one (channel, phase) of the stride. */
#include "cpu.h"
#include <string.h>

enum { BAND = 1024 }; /* code positions in a band: 81 taps of f32 make 330 KB of patches */

typedef struct band {
    const pudle_conv *c;
    int64_t taps, first, rows, columns; /* kernel entries a filter has; code rows [first, first + rows); columns = rows * code[1] */
    int32_t dtype;
    const void *image;
    void *sum;
    char *patches;
} band;

#define REAL float
#define NAME(x) x##_f32
#include "conv_kernels.h"
#undef REAL
#undef NAME
#define REAL double
#define NAME(x) x##_f64
#include "conv_kernels.h"
#undef REAL
#undef NAME

static int64_t taps_of(const pudle_conv *c)
{
    return c->channels * c->kernel[0] * c->kernel[1];
}

static int64_t band_rows(const pudle_conv *c)
{
    const int64_t rows = c->code[1] > 0 ? BAND / c->code[1] : 1;
    return rows < 1 ? 1 : rows < c->code[0] ? rows : c->code[0];
}

static void pack_part(void *ctx, int64_t tap)
{
    band *b = ctx;
    if (b->dtype == PUDLE_F64)
        pack_f64(b, tap);
    else
        pack_f32(b, tap);
}

static void spread_part(void *ctx, int64_t part)
{
    band *b = ctx;
    if (b->dtype == PUDLE_F64)
        spread_f64(b, part);
    else
        spread_f32(b, part);
}

/* Image `i` of a batch, and the patch memory; false without memory. */
static pudle_status begin(pudle_exec *exec, const pudle_conv *c, int32_t dtype, band *b)
{
    *b = (band){ .c = c, .taps = taps_of(c), .dtype = dtype };
    const size_t bytes = (size_t)(b->taps * band_rows(c) * c->code[1]) * pudle_dtype_size(dtype);
    return host_scratch(exec, bytes, (void **)&b->patches);
}

static bool next_band(band *b)
{
    b->first += b->rows;
    const int64_t left = b->c->code[0] - b->first, most = band_rows(b->c);
    b->rows = left < most ? left : most;
    b->columns = b->rows * b->c->code[1];
    return left > 0;
}

static pudle_view matrix(const void *data, int32_t dtype, int64_t offset, int64_t rows, int64_t cols, int64_t stride)
{
    pudle_view v = { .data = (char *)(uintptr_t)data + (size_t)offset * pudle_dtype_size(dtype), .dtype = dtype, .rank = 2 };
    v.shape[0] = rows;
    v.shape[1] = cols;
    v.stride[0] = stride;
    v.stride[1] = 1;
    return v;
}

static int64_t positions(const pudle_conv *c)
{
    return c->code[0] * c->code[1];
}

static int64_t pixels(const pudle_conv *c)
{
    return c->channels * c->data[0] * c->data[1];
}

/* (atoms, taps) */
static pudle_view filters(const band *b, const void *w)
{
    return matrix(w, b->dtype, 0, b->c->atoms, b->taps, b->taps);
}

/* (taps, columns) */
static pudle_view patches(const band *b)
{
    return matrix(b->patches, b->dtype, 0, b->taps, b->columns, b->columns);
}

/* (atoms, columns): the band's part of the code of sample i; `stride` from sample to sample */
static pudle_view codes(const band *b, const void *z, int64_t i, int64_t stride)
{
    return matrix(z, b->dtype, i * stride + b->first * b->c->code[1], b->c->atoms, b->columns, positions(b->c));
}

/* Sample i of a batch of images, and its first band to come. */
static void *enter(band *b, const void *images, int64_t i, int64_t stride)
{
    b->first = b->rows = 0;
    return matrix(images, b->dtype, i * stride, 1, pixels(b->c), pixels(b->c)).data;
}

pudle_status cpu_conv_apply(pudle_exec *exec, const pudle_conv *c, const pudle_cview *w, const pudle_cview *z, const pudle_view *u)
{
    band b;
    pudle_cview cu;
    pudle_status s = host_check_conv(exec, "conv_apply", c, w, z, host_const(u, &cu));
    if (!s)
        s = begin(exec, c, w->dtype, &b);
    if (!s)
        s = cpu_fill(exec, 0.0, u);
    for (int64_t i = 0; i < z->shape[0] && !s; i++) {
        b.sum = enter(&b, u->data, i, u->stride[0]);
        while (!s && next_band(&b)) {
            const pudle_view wm = filters(&b, w->data), y = patches(&b), zm = codes(&b, z->data, i, z->stride[0]);
            const pudle_cview cw = pudle_const(&wm), cz = pudle_const(&zm);
            s = cpu_gemm(exec, true, false, 1.0, &cw, &cz, 0.0, &y);
            cpu_parts(exec, s ? 0 : c->channels * c->stride[0] * c->stride[1], spread_part, &b);
        }
    }
    return s;
}

pudle_status cpu_conv_adjoint(pudle_exec *exec, const pudle_conv *c, const pudle_cview *w, double a, const pudle_cview *r, double scale,
                              const pudle_view *v)
{
    band b;
    pudle_cview cv;
    pudle_status s = host_check_conv(exec, "conv_adjoint", c, w, host_const(v, &cv), r);
    if (!s)
        s = begin(exec, c, w->dtype, &b);
    for (int64_t i = 0; i < r->shape[0] && !s; i++) {
        b.image = enter(&b, r->data, i, r->stride[0]);
        while (!s && next_band(&b)) {
            cpu_parts(exec, b.taps, pack_part, &b);
            const pudle_view wm = filters(&b, w->data), pm = patches(&b), vm = codes(&b, v->data, i, v->stride[0]);
            const pudle_cview cw = pudle_const(&wm), cp = pudle_const(&pm);
            s = cpu_gemm(exec, false, false, a, &cw, &cp, scale, &vm);
        }
    }
    return s;
}

pudle_status cpu_conv_gradient(pudle_exec *exec, const pudle_conv *c, double a, const pudle_cview *r, const pudle_cview *z, const pudle_view *gw)
{
    band b;
    pudle_cview cg;
    pudle_status s = host_check_conv(exec, "conv_gradient", c, host_const(gw, &cg), z, r);
    if (!s)
        s = begin(exec, c, gw->dtype, &b);
    for (int64_t i = 0; i < r->shape[0] && !s; i++) {
        b.image = enter(&b, r->data, i, r->stride[0]);
        while (!s && next_band(&b)) {
            cpu_parts(exec, b.taps, pack_part, &b);
            const pudle_view gm = filters(&b, gw->data), pm = patches(&b), zm = codes(&b, z->data, i, z->stride[0]);
            const pudle_cview cz = pudle_const(&zm), cp = pudle_const(&pm);
            s = cpu_gemm(exec, false, true, a, &cz, &cp, 1.0, &gm);
        }
    }
    return s;
}
