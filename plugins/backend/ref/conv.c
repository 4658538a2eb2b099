/* Convolution as its sums read:  (D z)[ch, y, x] = sum over k, i, j with y = i s + ky, x = j s + kx of w[k, ch, ky, kx] z[k, i, j]. */
#include "ref.h"

/* Index of the pixel under (channel, ky, kx) at position (i, j). */
static int64_t pixel(const pudle_conv *c, int64_t channel, int64_t ky, int64_t kx, int64_t i, int64_t j)
{
    return (channel * c->data[0] + i * c->stride[0] + ky) * c->data[1] + j * c->stride[1] + kx;
}

static int64_t weight(const pudle_conv *c, int64_t atom, int64_t channel, int64_t ky, int64_t kx)
{
    return ((atom * c->channels + channel) * c->kernel[0] + ky) * c->kernel[1] + kx;
}

static int64_t code(const pudle_conv *c, int64_t atom, int64_t i, int64_t j)
{
    return (atom * c->code[0] + i) * c->code[1] + j;
}

/* u[pixel] gathers, so that each sum is taken in double and rounded once. */
static double synthesis(const pudle_conv *c, const pudle_cview *w, const pudle_cview *z, int64_t n, int64_t channel, int64_t y, int64_t x)
{
    double sum = 0;
    for (int64_t k = 0; k < c->atoms; k++)
        for (int64_t ky = y % c->stride[0]; ky < c->kernel[0] && ky <= y; ky += c->stride[0])
            for (int64_t kx = x % c->stride[1]; kx < c->kernel[1] && kx <= x; kx += c->stride[1]) {
                const int64_t i = (y - ky) / c->stride[0], j = (x - kx) / c->stride[1];
                if (i < c->code[0] && j < c->code[1])
                    sum += load(w->data, w->dtype, weight(c, k, channel, ky, kx)) * load(z->data, z->dtype, n * z->stride[0] + code(c, k, i, j));
            }
    return sum;
}

pudle_status ref_conv_apply(pudle_exec *exec, const pudle_conv *c, const pudle_cview *w, const pudle_cview *z, const pudle_view *u)
{
    pudle_cview cu;
    const pudle_status s = host_check_conv(exec, "conv_apply", c, w, z, host_const(u, &cu));
    for (int64_t n = 0; n < z->shape[0] && !s; n++)
        for (int64_t channel = 0; channel < c->channels; channel++)
            for (int64_t y = 0; y < c->data[0]; y++)
                for (int64_t x = 0; x < c->data[1]; x++)
                    store(u->data, u->dtype, n * u->stride[0] + (channel * c->data[0] + y) * c->data[1] + x, synthesis(c, w, z, n, channel, y, x));
    return s;
}

static double correlation(const pudle_conv *c, const pudle_cview *w, const pudle_cview *r, int64_t n, int64_t k, int64_t i, int64_t j)
{
    double sum = 0;
    for (int64_t channel = 0; channel < c->channels; channel++)
        for (int64_t ky = 0; ky < c->kernel[0]; ky++)
            for (int64_t kx = 0; kx < c->kernel[1]; kx++)
                sum += load(w->data, w->dtype, weight(c, k, channel, ky, kx)) * load(r->data, r->dtype, n * r->stride[0] + pixel(c, channel, ky, kx, i, j));
    return sum;
}

pudle_status ref_conv_adjoint(pudle_exec *exec, const pudle_conv *c, const pudle_cview *w, double a, const pudle_cview *r, double b,
                              const pudle_view *v)
{
    pudle_cview cv;
    const pudle_status s = host_check_conv(exec, "conv_adjoint", c, w, host_const(v, &cv), r);
    for (int64_t n = 0; n < r->shape[0] && !s; n++)
        for (int64_t k = 0; k < c->atoms; k++)
            for (int64_t i = 0; i < c->code[0]; i++)
                for (int64_t j = 0; j < c->code[1]; j++) {
                    const int64_t at = n * v->stride[0] + code(c, k, i, j);
                    store(v->data, v->dtype, at, a * correlation(c, w, r, n, k, i, j) + (b == 0 ? 0 : b * load(v->data, v->dtype, at)));
                }
    return s;
}

pudle_status ref_conv_gradient(pudle_exec *exec, const pudle_conv *c, double a, const pudle_cview *r, const pudle_cview *z, const pudle_view *gw)
{
    pudle_cview cg;
    const pudle_status s = host_check_conv(exec, "conv_gradient", c, host_const(gw, &cg), z, r);
    for (int64_t k = 0; k < c->atoms && !s; k++)
        for (int64_t channel = 0; channel < c->channels; channel++)
            for (int64_t ky = 0; ky < c->kernel[0]; ky++)
                for (int64_t kx = 0; kx < c->kernel[1]; kx++) {
                    double sum = 0;
                    for (int64_t n = 0; n < r->shape[0]; n++)
                        for (int64_t i = 0; i < c->code[0]; i++)
                            for (int64_t j = 0; j < c->code[1]; j++)
                                sum += load(z->data, z->dtype, n * z->stride[0] + code(c, k, i, j)) *
                                       load(r->data, r->dtype, n * r->stride[0] + pixel(c, channel, ky, kx, i, j));
                    const int64_t at = weight(c, k, channel, ky, kx);
                    store(gw->data, gw->dtype, at, load(gw->data, gw->dtype, at) + a * sum);
                }
    return s;
}
