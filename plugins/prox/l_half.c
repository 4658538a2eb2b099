/* l_1/2, the prox of f(z) = lambda sum_i |z_i|^(1/2), with t = tau lambda:   p = 0 for |v| <= 3/2 t^(2/3), and beyond
 *   p = v y,   y = 2/3 (1 + cos(2/3 acos(-3 sqrt(3)/4 r))),   r = t |v|^(-3/2),
 * the largest root of p - v + t / (2 sqrt(p)) = 0 (v > 0). At the threshold 0 and t^(2/3) cost the same, and p jumps; there p and
 * its derivatives are taken as 0. Elsewhere, by the equation:  dp/dv = 1 / (1 - r y^(-3/2) / 4),  dp/dt = -dp/dv / (2 sqrt(p)).
 * nonnegative restricts f to z >= 0. */
#include <pudle/plugin.h>

typedef struct params {
    double lambda;
    bool nonnegative;
} params;

static const pudle_option options[] = {
    { .name = "lambda", .type = PUDLE_REAL, .flags = PUDLE_THRESHOLD | PUDLE_PER_STEP | PUDLE_OPEN_MAX,
      .offset = offsetof(params, lambda), .dflt = "0.1", .min = 0, .max = INFINITY,
      .doc = "Weight of the sum of square roots; the threshold is 3/2 (step * lambda)^(2/3)." },
    { .name = "nonnegative", .type = PUDLE_BOOL, .offset = offsetof(params, nonnegative), .dflt = "false",
      .doc = "Keep codes >= 0." },
    { .name = NULL },
};

PUDLE_PROX(l_half, params, 1,
    const real x = o->nonnegative ? v : pudle_abs(v), c = pudle_cbrt(t[0]);
    *p = 0;
    *dv = 0;
    dt[0] = 0;
    if (!(x <= c * c * 3 / 2)) { /* few entries: the branch spares the others costly functions */
        const real r = t[0] / (x * pudle_sqrt(x)), y = (1 + pudle_cos(pudle_acos((real)-1.2990381056766580 * r) * 2 / 3)) * 2 / 3;
        *p = v * y;
        *dv = 1 / (1 - r / (4 * y * pudle_sqrt(y)));
        dt[0] = -pudle_copysign(*dv, v) / (2 * pudle_sqrt(x * y));
    }
)
PUDLE_PENALTY(l_half, params, 1, *f = o->nonnegative && z < 0 ? INFINITY : t[0] * pudle_sqrt(pudle_abs(z));)

/* Where the threshold is computed, a little less: float rounds otherwise. */
static double dead_zone(const void *self, double tau, const double *theta)
{
    (void)self;
    (void)tau;
    return 1.5 * cbrt(theta[0]) * cbrt(theta[0]) * (1 - 1e-6);
}
static const pudle_prox_ops ops = { PUDLE_PROX_OPS(l_half), .value = l_half_value, .dead_zone = dead_zone };

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_PROX,
    .name = "l_half",
    .version = "1.0.0",
    .summary = "l_1/2: the prox of the sum of square roots",
    .math = "argmin_p 1/2 ||p - v||^2 + tau lambda sum_i |p_i|^(1/2)",
    .cite = "Xu, Chang, Xu, Zhang 2012, doi:10.1109/TNNLS.2012.2197412",
    .license = "MIT",
    .caps = PUDLE_PROX_SEPARABLE | PUDLE_PROX_INPLACE,
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
