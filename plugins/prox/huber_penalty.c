/* Huber penalty, the prox of f(z) = lambda sum_i h(z_i),  h(z) = z^2 / 2 for |z| <= delta, delta (|z| - delta / 2) beyond.
 * With t = tau lambda:   p = v / (1 + t) for |v| <= delta (1 + t);   v - sign(v) t delta beyond.
 * Small entries shrink in proportion, large ones by a constant; none becomes 0. At the kink |v| = delta (1 + t) the inner part's
 * derivatives are taken. nonnegative restricts f to z >= 0, with derivatives 0 for v <= 0. */
#include <pudle/plugin.h>

typedef struct params {
    double lambda, delta;
    bool nonnegative;
} params;

static const pudle_option options[] = {
    { .name = "lambda", .type = PUDLE_REAL, .flags = PUDLE_THRESHOLD | PUDLE_PER_STEP | PUDLE_OPEN_MAX,
      .offset = offsetof(params, lambda), .dflt = "0.1", .min = 0, .max = INFINITY,
      .doc = "Weight of the penalty." },
    { .name = "delta", .type = PUDLE_REAL, .flags = PUDLE_OPEN_MIN | PUDLE_OPEN_MAX, .offset = offsetof(params, delta), .dflt = "1.0",
      .min = 0, .max = INFINITY, .doc = "Codes up to this magnitude see half the square, larger ones delta times the magnitude." },
    { .name = "nonnegative", .type = PUDLE_BOOL, .offset = offsetof(params, nonnegative), .dflt = "false",
      .doc = "Keep codes >= 0." },
    { .name = NULL },
};

PUDLE_PROX(huber_penalty, params, 1,
    const bool off = o->nonnegative && v <= 0, inner = pudle_abs(v) <= (real)o->delta * (1 + t[0]);
    const real delta = pudle_copysign((real)o->delta, v), damp = 1 + t[0];
    *p = off ? 0 : inner ? v / damp : v - t[0] * delta;
    *dv = off ? 0 : inner ? 1 / damp : 1;
    dt[0] = off ? 0 : inner ? -v / damp / damp : -delta;
)
PUDLE_PENALTY(huber_penalty, params, 1,
    const real a = pudle_abs(z), d = o->delta;
    *f = o->nonnegative && z < 0 ? INFINITY : t[0] * (a <= d ? a * a / 2 : d * (a - d / 2));
)
static const pudle_prox_ops ops = { PUDLE_PROX_OPS(huber_penalty), .value = huber_penalty_value };

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_PROX,
    .name = "huber_penalty",
    .version = "1.0.0",
    .summary = "Huber penalty: ridge for small entries, a constant shrinkage for large ones",
    .math = "argmin_p 1/2 ||p - v||^2 + tau lambda sum_i h(p_i),  h' = z clipped to [-delta, delta]",
    .cite = "Huber 1964, doi:10.1214/aoms/1177703732",
    .license = "MIT",
    .caps = PUDLE_PROX_CONVEX | PUDLE_PROX_SEPARABLE | PUDLE_PROX_INPLACE,
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
