/* Projection on the codes with ||p||_1 <= radius:   v where that holds, else sign(v) max(|v| - h, 0) with h such that ||p||_1 = radius.
 * On the surface of the ball the derivatives from inside are taken, and at |v| = h they are 0. value() lets the norm exceed the radius
 * by 1.5e-7 of it where p was
 * rounded to float, else by 1e-12. */
#include "projection.h"

typedef struct params {
    double radius;
    int32_t over;
} params;

static const pudle_option options[] = {
    { .name = "radius", .type = PUDLE_REAL, .flags = PUDLE_THRESHOLD | PUDLE_OPEN_MAX, .offset = offsetof(params, radius),
      .dflt = "1.0", .min = 0, .max = INFINITY, .doc = "Largest l1 norm, whatever the step. One an atom: the mean." },
    OVER_OPTION(params, "What has the norm:"),
    { .name = NULL },
};

static int32_t over(const void *self)
{
    return ((const params *)self)->over;
}

static pudle_status apply(const void *self, pudle_exec *exec, double tau, const pudle_cview *theta, const pudle_cview *v, const pudle_view *p)
{
    (void)exec, (void)tau;
    projection_apply(over(self), false, theta, v, p);
    return PUDLE_OK;
}

static pudle_status vjp(const void *self, pudle_exec *exec, double tau, const pudle_cview *theta, const pudle_cview *v, const pudle_cview *p,
                        const pudle_cview *g, const pudle_view *gv, const pudle_view *gtheta)
{
    (void)exec, (void)tau, (void)p;
    projection_vjp(over(self), false, theta, v, g, gv, gtheta);
    return PUDLE_OK;
}

static pudle_status value(const void *self, double tau, const pudle_cview *theta, const pudle_cview *p, double *f)
{
    (void)tau;
    *f = projection_value(over(self), false, theta, p);
    return PUDLE_OK;
}

static const pudle_prox_kernel host_kernel = { (uint32_t)sizeof(pudle_prox_kernel), 0, "host", apply, vjp };
static const pudle_prox_kernel *const kernels[] = { &host_kernel, NULL };
static const pudle_prox_ops ops = { .size = sizeof(pudle_prox_ops), .vjp_needs = PUDLE_VJP_INPUT, .kernels = kernels, .value = value };

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_PROX,
    .name = "l1_ball",
    .version = "1.0.0",
    .summary = "Projection on the l1 ball",
    .math = "argmin_p 1/2 ||p - v||^2  subject to ||p||_1 <= radius",
    .cite = "Duchi, Shalev-Shwartz, Singer, Chandra 2008, doi:10.1145/1390156.1390191",
    .license = "MIT",
    .caps = PUDLE_PROX_CONVEX | PUDLE_PROX_INPLACE,
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
