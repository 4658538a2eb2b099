/* A correct prox, the elastic net written out:  p = sign(v) max(|v| - t, 0) / (1 + tau mu).  Each mutant changes one thing of it by
 * a macro, and the suite must name the test that sees it. The control is good_prox.c. */
#ifndef PROX_H
#define PROX_H

#include <pudle/plugin.h>

#ifndef MORE /* declarations that the macros below use */
#define MORE
#endif
#ifndef CAPS
#define CAPS PUDLE_PROX_CONVEX | PUDLE_PROX_SEPARABLE | PUDLE_PROX_INPLACE
#endif
#ifndef DAMP
#define DAMP (1 + tau * o->mu)
#endif
#ifndef VALUE /* of v, t, tau, o */
#define VALUE (fabs(v) <= t ? 0 : (v - copysign(t, v)) / DAMP)
#endif
#ifndef DERIVATIVE
#define DERIVATIVE (fabs(v) <= t ? 0 : 1 / DAMP)
#endif
#ifndef LEVEL
#define LEVEL (fabs(v) <= t ? 0 : -copysign(1, v) / DAMP)
#endif
#ifndef PENALTY /* of z, t, tau, o */
#define PENALTY (t * fabs(z) + tau * o->mu / 2 * z * z)
#endif
#ifndef ZONE
#define ZONE theta[0]
#endif
#ifndef ATOM /* of entry i */
#define ATOM (i / s.inner % s.atoms)
#endif
#ifndef BEFORE /* before an apply */
#define BEFORE
#endif
#ifndef AFTER
#define AFTER
#endif
#ifndef ADD_TO /* how gtheta takes a term */
#define ADD_TO +=
#endif
#ifndef CHECK
#define CHECK NULL
#endif
#ifndef CREATE
#define CREATE NULL
#endif
#ifndef DESTROY
#define DESTROY NULL
#endif
#ifdef NO_PENALTY
#define VALUE_OF_F NULL
#else
#define VALUE_OF_F value
#endif

typedef struct params {
    double lambda, mu;
} params;

MORE

static inline void put(const pudle_view *v, int64_t i, double x)
{
    if (v->dtype == PUDLE_F64)
        ((double *)v->data)[i] = x;
    else
        ((float *)v->data)[i] = (float)x;
}

static pudle_status apply(const void *self, pudle_exec *exec, double tau, const pudle_cview *theta, const pudle_cview *in, const pudle_view *out)
{
    const params *o = (const params *)self;
    const pudle_code_shape s = pudle_code_shape_of(in);
    const int64_t n = pudle_count(in);
    (void)exec, (void)o, (void)s;
    BEFORE
    for (int64_t i = 0; i < n; i++) {
        const double v = pudle_entry(in, i), t = pudle_entry(&theta[0], ATOM * pudle_level_step(&theta[0]));
        put(out, i, VALUE);
    }
    AFTER
    return PUDLE_OK;
}

static pudle_status vjp(const void *self, pudle_exec *exec, double tau, const pudle_cview *theta, const pudle_cview *in, const pudle_cview *p,
                        const pudle_cview *g, const pudle_view *gv, const pudle_view *gtheta)
{
    const params *o = (const params *)self;
    const pudle_code_shape s = pudle_code_shape_of(in);
    const int64_t n = pudle_count(in), step = pudle_level_step(&theta[0]);
    (void)exec, (void)p, (void)o;
    for (int64_t i = 0; i < n; i++) {
        const double v = pudle_entry(in, i), t = pudle_entry(&theta[0], i / s.inner % s.atoms * step), up = pudle_entry(g, i);
        if (gtheta)
            ((double *)gtheta[0].data)[i / s.inner % s.atoms * step] ADD_TO up * LEVEL;
        put(gv, i, up * DERIVATIVE);
    }
    return PUDLE_OK;
}

static inline pudle_status value(const void *self, double tau, const pudle_cview *theta, const pudle_cview *p, double *f)
{
    const params *o = (const params *)self;
    const pudle_code_shape s = pudle_code_shape_of(p);
    *f = 0;
    (void)o, (void)tau;
    for (int64_t i = 0; i < pudle_count(p); i++) {
        const double z = pudle_entry(p, i), t = pudle_entry(&theta[0], i / s.inner % s.atoms * pudle_level_step(&theta[0]));
        *f += PENALTY;
    }
    return PUDLE_OK;
}

static inline double dead_zone(const void *self, double tau, const double *theta)
{
    (void)self, (void)tau;
    return ZONE;
}

static const pudle_option options[] = {
    { "lambda", PUDLE_REAL, PUDLE_THRESHOLD | PUDLE_PER_STEP | PUDLE_OPEN_MAX, offsetof(params, lambda), "0.3", 0, INFINITY, NULL, NULL, "Weight of the l1 norm." },
    { "mu", PUDLE_REAL, PUDLE_OPEN_MAX, offsetof(params, mu), "0.5", 0, INFINITY, NULL, NULL, "Weight of half the squared norm." },
    { NULL, 0, 0, 0, NULL, 0, 0, NULL, NULL, NULL }
};
static const pudle_prox_kernel kernel = { sizeof(pudle_prox_kernel), 0, "host", apply, vjp };
static const pudle_prox_kernel *const kernels[] = { &kernel, NULL };
static const pudle_prox_ops ops = { .size = sizeof(pudle_prox_ops), .vjp_needs = PUDLE_VJP_INPUT, .kernels = kernels, .value = VALUE_OF_F, .dead_zone = dead_zone };
static const pudle_desc desc = {
    .size = sizeof(pudle_desc), .kind = PUDLE_KIND_PROX, .name = NAME, .version = "1", .summary = "For tests of the conformance suite", .license = "MIT",
    .caps = CAPS, .options = options, .option_size = sizeof(pudle_option), .params_size = sizeof(params), .check = CHECK, .create = CREATE,
    .destroy = DESTROY, .ops = &ops,
};
PUDLE_PLUGIN(&desc);

#endif
