/* @NAME@, the prox of f(z) = lambda ||z||_1 + mu/2 ||z||^2 (the elastic net, as a start; put your own here):
 *     p = sign(v) max(|v| - t, 0) / (1 + tau mu),   t = tau lambda.
 * At the kink |v| = t the derivative is taken as 0. */
#include <pudle/plugin.h>

typedef struct params {
    double lambda, mu;
} params;

static const pudle_option options[] = {
    { .name = "lambda", .type = PUDLE_REAL, .flags = PUDLE_THRESHOLD | PUDLE_PER_STEP | PUDLE_OPEN_MAX,
      .offset = offsetof(params, lambda), .dflt = "0.1", .min = 0, .max = INFINITY, .doc = "Weight of the l1 norm." },
    { .name = "mu", .type = PUDLE_REAL, .flags = PUDLE_OPEN_MAX, .offset = offsetof(params, mu), .dflt = "0.01", .min = 0,
      .max = INFINITY, .doc = "Weight of half the squared norm." },
    { .name = NULL },
};

/* One entry: v is the input, t[0] the level tau lambda, tau the step, o the options. Set *p, *dv = dp/dv, dt[0] = dp/dt[0]. */
PUDLE_PROX(@NAME@, params, 1,
    const bool off = pudle_abs(v) <= t[0];
    const real damp = 1 + tau * (real)o->mu, level = pudle_copysign(t[0], v), sign = pudle_copysign(1, v);
    *p = off ? 0 : (v - level) / damp;
    *dv = off ? 0 : 1 / damp;
    dt[0] = off ? 0 : -sign / damp;
)
/* tau f(z) of one entry: `pudle plugins check` tests the prox against it. */
PUDLE_PENALTY(@NAME@, params, 1, *f = t[0] * pudle_abs(z) + tau * o->mu / 2 * z * z;)
static const pudle_prox_ops ops = { PUDLE_PROX_OPS(@NAME@), .value = @NAME@_value, .dead_zone = pudle_dead_zone_level };

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_PROX,
    .name = "@NAME@",
    .version = "0.1.0",
    .summary = "The l1 norm and half the squared norm",
    .math = "argmin_p 1/2 ||p - v||^2 + tau (lambda ||p||_1 + mu/2 ||p||^2)",
    .cite = "Zou, Hastie 2005, doi:10.1111/j.1467-9868.2005.00503.x",
    .license = "MIT",
    .caps = PUDLE_PROX_CONVEX | PUDLE_PROX_SEPARABLE | PUDLE_PROX_INPLACE,
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
