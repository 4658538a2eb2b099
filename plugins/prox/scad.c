/* Smoothly clipped absolute deviation:   f' = lambda for z <= lambda, (a lambda - z) / (a - 1) up to a lambda, 0 beyond (z > 0).
 * With t = tau lambda and a > 1 + tau, which makes the problem of one entry convex:
 *   p = sign(v) max(|v| - t, 0) for |v| <= lambda + t;   ((a - 1) v - sign(v) a t) / (a - 1 - tau) for |v| <= a lambda;   v beyond.
 * For a <= 1 + tau (steps of 1 and more) the middle part is gone and p jumps to v where both ways cost the same: at
 * lambda (1 + tau + a) / 2, or from 0 at lambda sqrt(tau (1 + a)) if tau > 1 + a. nonnegative restricts f to z >= 0.
 * At kinks the inner part's derivative is taken. Derivatives in t are at fixed tau. */
#include <pudle/plugin.h>

typedef struct params {
    double lambda, a;
    bool nonnegative;
} params;

static const pudle_option options[] = {
    { .name = "lambda", .type = PUDLE_REAL, .flags = PUDLE_THRESHOLD | PUDLE_PER_STEP | PUDLE_OPEN_MAX,
      .offset = offsetof(params, lambda), .dflt = "0.1", .min = 0, .max = INFINITY,
      .doc = "Slope of the penalty at 0; small entries shrink by step * lambda in every layer." },
    { .name = "a", .type = PUDLE_REAL, .flags = PUDLE_OPEN_MIN | PUDLE_OPEN_MAX, .offset = offsetof(params, a), .dflt = "3.7",
      .min = 2, .max = INFINITY, .doc = "Entries beyond a * lambda are not shrunk; nearer the l1 norm the larger it is." },
    { .name = "nonnegative", .type = PUDLE_BOOL, .offset = offsetof(params, nonnegative), .dflt = "false",
      .doc = "Keep codes >= 0." },
    { .name = NULL },
};

PUDLE_PROX(scad, params, 1,
    const real x = o->nonnegative ? v : pudle_abs(v), sign = pudle_copysign(1, v), a = (real)o->a, lambda = t[0] / tau;
    const real last = a > 1 + tau ? lambda * a : tau <= 1 + a ? lambda * (1 + tau + a) / 2 : lambda * pudle_sqrt(tau * (1 + a));
    const bool off = x <= pudle_min(t[0], last), soft = x <= pudle_min(lambda + t[0], last), keep = x > last;
    const real slope = (a - 1) / (a - 1 - tau), pull = a / (a - 1 - tau);
    *p = off ? 0 : soft ? v - sign * t[0] : keep ? v : slope * v - sign * pull * t[0];
    *dv = off ? 0 : soft || keep ? 1 : slope;
    dt[0] = off || (keep && !soft) ? 0 : soft ? -sign : -sign * pull;
)
PUDLE_PENALTY(scad, params, 1,
    const real x = pudle_abs(z), a = o->a, lambda = t[0] / tau;
    const real middle = (2 * a * lambda * x - x * x - lambda * lambda) / (2 * (a - 1)), end = lambda * lambda * (a + 1) / 2;
    *f = o->nonnegative && z < 0 ? INFINITY : x <= lambda ? t[0] * x : tau * (x > a * lambda ? end : middle);
)

/* Where the threshold is computed, a little less: float rounds otherwise. */
static double dead_zone(const void *self, double tau, const double *theta)
{
    const double jump = sqrt((1 + ((const params *)self)->a) / tau);
    return jump >= 1 ? theta[0] : theta[0] * jump * (1 - 1e-6);
}
static const pudle_prox_ops ops = { PUDLE_PROX_OPS(scad), .value = scad_value, .dead_zone = dead_zone };

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_PROX,
    .name = "scad",
    .version = "1.0.0",
    .summary = "SCAD: soft threshold for small entries, none for large ones",
    .math = "argmin_p 1/2 ||p - v||^2 + tau sum_i f(p_i),  f' = min(lambda, (a lambda - |z|)_+ / (a - 1))",
    .cite = "Fan, Li 2001, doi:10.1198/016214501753382273",
    .license = "MIT",
    .caps = PUDLE_PROX_SEPARABLE | PUDLE_PROX_INPLACE,
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
