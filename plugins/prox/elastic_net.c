/* Elastic net, the prox of f(z) = lambda ||z||_1 + mu/2 ||z||^2:
 *   p = sign(v) max(|v| - t0, 0) / (1 + t1),   t0 = tau lambda,  t1 = tau mu;
 * with nonnegative, of f restricted to z >= 0:   p = max(v - t0, 0) / (1 + t1).
 * Both weights are levels. At the kink |v| = t0 the derivatives are taken as 0. */
#include <pudle/plugin.h>

typedef struct params {
    double lambda, mu;
    bool nonnegative;
} params;

static const pudle_option options[] = {
    { .name = "lambda", .type = PUDLE_REAL, .flags = PUDLE_THRESHOLD | PUDLE_PER_STEP | PUDLE_OPEN_MAX,
      .offset = offsetof(params, lambda), .dflt = "0.1", .min = 0, .max = INFINITY,
      .doc = "Weight of the l1 norm; an entry shrinks by step * lambda in every layer." },
    { .name = "mu", .type = PUDLE_REAL, .flags = PUDLE_THRESHOLD | PUDLE_PER_STEP | PUDLE_OPEN_MAX,
      .offset = offsetof(params, mu), .dflt = "0.1", .min = 0, .max = INFINITY,
      .doc = "Weight of half the squared norm; an entry is divided by 1 + step * mu in every layer." },
    { .name = "nonnegative", .type = PUDLE_BOOL, .offset = offsetof(params, nonnegative), .dflt = "false",
      .doc = "Keep codes >= 0." },
    { .name = NULL },
};

PUDLE_PROX(elastic_net, params, 2,
    const bool off = (o->nonnegative ? v : pudle_abs(v)) <= t[0];
    const real damp = 1 + t[1], level = pudle_copysign(t[0], v), sign = pudle_copysign(1, v), q = (v - level) / damp;
    *p = off ? 0 : q;
    *dv = off ? 0 : 1 / damp;
    dt[0] = off ? 0 : -sign / damp;
    dt[1] = off ? 0 : -q / damp;
)
PUDLE_PENALTY(elastic_net, params, 2, *f = o->nonnegative && z < 0 ? INFINITY : t[0] * pudle_abs(z) + t[1] / 2 * z * z;)
static const pudle_prox_ops ops = { PUDLE_PROX_OPS(elastic_net), .value = elastic_net_value, .dead_zone = pudle_dead_zone_level };

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_PROX,
    .name = "elastic_net",
    .version = "1.0.0",
    .summary = "Elastic net: the l1 norm and half the squared norm, two-sided or non-negative",
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
