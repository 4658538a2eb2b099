/* Minimax concave penalty:   f(z) = lambda |z| - z^2 / (2 gamma) for |z| <= gamma lambda, gamma lambda^2 / 2 beyond.
 * With t = tau lambda and gamma > tau, which makes the problem of one entry convex:
 *   p = 0 for |v| <= t;   sign(v) (|v| - t) / (1 - tau / gamma) for |v| <= gamma lambda;   v beyond.
 * For gamma <= tau the middle part is gone and p jumps: 0 for |v| <= lambda sqrt(tau gamma), v beyond. That is the minimiser
 * still, but the step is then too long for the penalty: choose gamma well above it. nonnegative restricts f to z >= 0.
 * At kinks the inner part's derivative is taken. Derivatives in t are at fixed tau. */
#include <pudle/plugin.h>

typedef struct params {
    double lambda, gamma;
    bool nonnegative;
} params;

static const pudle_option options[] = {
    { .name = "lambda", .type = PUDLE_REAL, .flags = PUDLE_THRESHOLD | PUDLE_PER_STEP | PUDLE_OPEN_MAX,
      .offset = offsetof(params, lambda), .dflt = "0.1", .min = 0, .max = INFINITY,
      .doc = "Slope of the penalty at 0; small entries shrink by step * lambda in every layer." },
    { .name = "gamma", .type = PUDLE_REAL, .flags = PUDLE_OPEN_MIN | PUDLE_OPEN_MAX, .offset = offsetof(params, gamma), .dflt = "3.0",
      .min = 0, .max = INFINITY, .doc = "Entries beyond gamma * lambda are not shrunk; keep it above the step. The larger, the more like l1." },
    { .name = "nonnegative", .type = PUDLE_BOOL, .offset = offsetof(params, nonnegative), .dflt = "false",
      .doc = "Keep codes >= 0." },
    { .name = NULL },
};

PUDLE_PROX(mcp, params, 1,
    const real x = o->nonnegative ? v : pudle_abs(v), ratio = (real)o->gamma / tau, slope = ratio / (ratio - 1);
    const bool off = x <= t[0] * pudle_min(pudle_sqrt(ratio), 1), keep = x > t[0] * ratio;
    const real level = pudle_copysign(t[0], v), sign = pudle_copysign(1, v);
    *p = off ? 0 : keep ? v : (v - level) * slope;
    *dv = off ? 0 : keep ? 1 : slope;
    dt[0] = off || keep ? 0 : -sign * slope;
)
PUDLE_PENALTY(mcp, params, 1,
    const real a = pudle_abs(z), knot = t[0] * o->gamma / tau;
    *f = o->nonnegative && z < 0 ? INFINITY : a > knot ? t[0] * knot / 2 : t[0] * a - a * a * tau / (2 * o->gamma);
)

/* Where the threshold is computed, a little less: float rounds otherwise. */
static double dead_zone(const void *self, double tau, const double *theta)
{
    const double ratio = ((const params *)self)->gamma / tau;
    return ratio >= 1 ? theta[0] : theta[0] * sqrt(ratio) * (1 - 1e-6);
}
static const pudle_prox_ops ops = { PUDLE_PROX_OPS(mcp), .value = mcp_value, .dead_zone = dead_zone };

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_PROX,
    .name = "mcp",
    .version = "1.0.0",
    .summary = "Minimax concave penalty: shrinks small entries, leaves large ones",
    .math = "argmin_p 1/2 ||p - v||^2 + tau sum_i f(p_i),  f' = (lambda - |z| / gamma)_+",
    .cite = "Zhang 2010, doi:10.1214/09-AOS729",
    .license = "MIT",
    .caps = PUDLE_PROX_SEPARABLE | PUDLE_PROX_INPLACE,
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
