/* Least squares as ABI 1.0 had it:  l = 1/2 ||pred - target||^2. */
#include "pudle-1.0.h"

#define KERNELS(TYPE, SUFFIX)                                                                                   \
    static double value_##SUFFIX(int64_t n, const TYPE *a, const TYPE *b)                                       \
    {                                                                                                           \
        double sum = 0;                                                                                         \
        for (int64_t i = 0; i < n; i++)                                                                         \
            sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);                               \
        return sum / 2;                                                                                         \
    }                                                                                                           \
    static void grad_##SUFFIX(int64_t n, const TYPE *a, const TYPE *b, TYPE *g)                                 \
    {                                                                                                           \
        for (int64_t i = 0; i < n; i++)                                                                         \
            g[i] = a[i] - b[i];                                                                                 \
    }                                                                                                           \
    static void hvp_##SUFFIX(int64_t n, const TYPE *u, TYPE *hu)                                                \
    {                                                                                                           \
        for (int64_t i = 0; i < n; i++)                                                                         \
            hu[i] = u[i];                                                                                       \
    }
KERNELS(float, f32)
KERNELS(double, f64)

static pudle_status value(const void *self, pudle_exec *exec, const pudle_cview *pred, const pudle_cview *target_, double *sum)
{
    (void)self, (void)exec;
    *sum = pred->dtype == PUDLE_F64 ? value_f64(pudle_count(pred), pred->data, target_->data)
                                    : value_f32(pudle_count(pred), pred->data, target_->data);
    return PUDLE_OK;
}

static pudle_status grad(const void *self, pudle_exec *exec, const pudle_cview *pred, const pudle_cview *target_, const pudle_view *g)
{
    (void)self, (void)exec;
    if (pred->dtype == PUDLE_F64)
        grad_f64(pudle_count(pred), pred->data, target_->data, g->data);
    else
        grad_f32(pudle_count(pred), pred->data, target_->data, g->data);
    return PUDLE_OK;
}

static pudle_status hvp(const void *self, pudle_exec *exec, const pudle_cview *pred, const pudle_cview *target_, const pudle_cview *u,
                        const pudle_view *hu)
{
    (void)self, (void)exec, (void)target_;
    if (pred->dtype == PUDLE_F64)
        hvp_f64(pudle_count(u), u->data, hu->data);
    else
        hvp_f32(pudle_count(u), u->data, hu->data);
    return PUDLE_OK;
}

static pudle_status lipschitz(const void *self, const pudle_cview *target_, double *constant)
{
    (void)self, (void)target_;
    *constant = 1;
    return PUDLE_OK;
}

static const struct { pudle_loss_kernel kernel; poison behind; } host = {
    { sizeof(pudle_loss_kernel), 0, "host", value, grad, hvp, NULL, NULL }, POISON
};
static const pudle_loss_kernel *const kernels[] = { &host.kernel, NULL };
static const struct { pudle_loss_ops ops; poison behind; } old = {
    { sizeof(pudle_loss_ops), 0, "real", "real", kernels, lipschitz, NULL }, POISON
};
static const pudle_desc desc = {
    .size = sizeof(pudle_desc), .kind = PUDLE_KIND_LOSS, .name = "old_loss", .version = "1.0.0", .summary = "Least squares of ABI 1.0",
    .license = "MIT", .caps = PUDLE_LOSS_CONVEX | PUDLE_LOSS_QUADRATIC | PUDLE_LOSS_SEPARABLE, .option_size = sizeof(pudle_option),
    .ops = &old
};
PUDLE_PLUGIN(&desc);
