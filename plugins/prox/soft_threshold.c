/* Soft threshold, the prox of f(z) = lambda ||z||_1:   p = sign(v) max(|v| - t, 0),   t = tau lambda;
 * with nonnegative, of f restricted to z >= 0:         p = max(v - t, 0).
 * At the kink |v| = t the derivative is taken as 0. */
#include <pudle/plugin.h>

typedef struct params {
    double lambda;
    bool nonnegative;
} params;

static const pudle_option options[] = {
    { .name = "lambda", .type = PUDLE_REAL, .flags = PUDLE_THRESHOLD | PUDLE_PER_STEP | PUDLE_OPEN_MAX,
      .offset = offsetof(params, lambda), .dflt = "0.1", .min = 0, .max = INFINITY,
      .doc = "Weight of the l1 norm; an entry shrinks by step * lambda in every layer." },
    { .name = "nonnegative", .type = PUDLE_BOOL, .offset = offsetof(params, nonnegative), .dflt = "false",
      .doc = "Keep codes >= 0." },
    { .name = NULL },
};

PUDLE_PROX(soft_threshold, params, 1,
    const bool off = (o->nonnegative ? v : pudle_abs(v)) <= t[0];
    const real level = pudle_copysign(t[0], v), sign = pudle_copysign(1, v);
    *p = v - (off ? v : level);
    *dv = off ? 0 : 1;
    dt[0] = off ? 0 : -sign;
)
PUDLE_PENALTY(soft_threshold, params, 1, *f = o->nonnegative && z < 0 ? INFINITY : t[0] * pudle_abs(z);)
static const pudle_prox_ops ops = { PUDLE_PROX_OPS(soft_threshold), .value = soft_threshold_value, .dead_zone = pudle_dead_zone_level };

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_PROX,
    .name = "soft_threshold",
    .version = "1.0.0",
    .summary = "Soft threshold: the prox of the l1 norm, two-sided or non-negative",
    .math = "argmin_p 1/2 ||p - v||^2 + tau lambda ||p||_1",
    .cite = "Daubechies, Defrise, De Mol 2004, doi:10.1002/cpa.20042",
    .license = "MIT",
    .caps = PUDLE_PROX_CONVEX | PUDLE_PROX_SEPARABLE | PUDLE_PROX_INPLACE,
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
