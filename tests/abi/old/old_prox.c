/* A soft threshold as ABI 1.0 had it:  p = sign(v) max(|v| - t, 0),  t = tau lambda. */
#include "pudle-1.0.h"

typedef struct params {
    double lambda;
} params;

static const pudle_option options[] = {
    { "lambda", PUDLE_REAL, PUDLE_THRESHOLD | PUDLE_PER_STEP | PUDLE_OPEN_MAX, offsetof(params, lambda), "0.1", 0, INFINITY, NULL, NULL,
      "Weight of the l1 norm." },
    { NULL, 0, 0, 0, NULL, 0, 0, NULL, NULL, NULL },
};

/* How often a level is used before the next one's turn, and how many there are: entry i has level i / run % count. */
typedef struct levels {
    int64_t count, run;
} levels;

static levels levels_of(const pudle_cview *theta, const pudle_cview *v)
{
    levels l = { pudle_count(theta), 1 };
    for (int32_t i = 2; i < v->rank; i++)
        l.run *= v->shape[i];
    return l;
}

#define KERNELS(TYPE, SUFFIX)                                                                                   \
    static void apply_##SUFFIX(int64_t n, levels l, const TYPE *t, const TYPE *v, TYPE *p)                      \
    {                                                                                                           \
        for (int64_t i = 0; i < n; i++) {                                                                       \
            const TYPE x = v[i], level = t[i / l.run % l.count];                                                \
            p[i] = x <= level && x >= -level ? 0 : x < 0 ? x + level : x - level;                               \
        }                                                                                                       \
    }                                                                                                           \
    static void vjp_##SUFFIX(int64_t n, levels l, const TYPE *p, const TYPE *g, TYPE *gv, double *gt)           \
    {                                                                                                           \
        for (int64_t i = 0; i < n; i++) {                                                                       \
            const TYPE up = g[i];                                                                               \
            if (gt)                                                                                             \
                gt[i / l.run % l.count] -= (double)(p[i] > 0 ? up : p[i] < 0 ? -up : 0);                        \
            gv[i] = p[i] == 0 ? 0 : up;                                                                         \
        }                                                                                                       \
    }
KERNELS(float, f32)
KERNELS(double, f64)

static pudle_status apply(const void *self, pudle_exec *exec, double tau, const pudle_cview *theta, const pudle_cview *v,
                          const pudle_view *p)
{
    const levels l = levels_of(theta, v);
    (void)self, (void)exec, (void)tau;
    if (v->dtype == PUDLE_F64)
        apply_f64(pudle_count(v), l, theta[0].data, v->data, p->data);
    else
        apply_f32(pudle_count(v), l, theta[0].data, v->data, p->data);
    return PUDLE_OK;
}

static pudle_status vjp(const void *self, pudle_exec *exec, double tau, const pudle_cview *theta, const pudle_cview *v,
                        const pudle_cview *p, const pudle_cview *g, const pudle_view *gv, const pudle_view *gtheta)
{
    const levels l = levels_of(theta, p);
    double *gt = gtheta ? gtheta[0].data : NULL;
    (void)self, (void)exec, (void)tau, (void)v;
    if (p->dtype == PUDLE_F64)
        vjp_f64(pudle_count(p), l, p->data, g->data, gv->data, gt);
    else
        vjp_f32(pudle_count(p), l, p->data, g->data, gv->data, gt);
    return PUDLE_OK;
}

static double dead_zone(const void *self, double tau, const double *theta)
{
    (void)self, (void)tau;
    return theta[0];
}

static const pudle_prox_kernel host = { sizeof(pudle_prox_kernel), 0, "host", apply, vjp };
static const pudle_prox_kernel *const kernels[] = { &host, NULL };
static const struct { pudle_prox_ops ops; poison behind; } old = {
    { sizeof(pudle_prox_ops), PUDLE_VJP_OUTPUT, kernels, NULL, dead_zone }, POISON
};
static const pudle_desc desc = {
    .size = sizeof(pudle_desc), .kind = PUDLE_KIND_PROX, .name = "old_prox", .version = "1.0.0", .summary = "A soft threshold of ABI 1.0",
    .license = "MIT", .caps = PUDLE_PROX_CONVEX | PUDLE_PROX_SEPARABLE | PUDLE_PROX_INPLACE, .options = options,
    .option_size = sizeof(pudle_option), .params_size = sizeof(params), .ops = &old
};
PUDLE_PLUGIN(&desc);
