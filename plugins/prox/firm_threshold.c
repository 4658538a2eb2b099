/* Firm threshold:   p = 0 for |v| <= t0;   sign(v) t1 (|v| - t0) / (t1 - t0) for |v| <= t1;   v beyond,
 * the prox of  t0 |z| - z^2 t0 / (2 t1) for |z| <= t1, t0 t1 / 2 beyond. Both levels are thresholds themselves, not scaled by the
 * step (mcp is the same operator by weights). Should learning carry t0 to t1 or above, the minimiser is taken: the hard
 * threshold at sqrt(t0 t1). nonnegative: the same for v > 0, and 0 for v <= 0. At kinks the inner part's derivative is taken. */
#include <pudle/plugin.h>

typedef struct params {
    double lower, upper;
    bool nonnegative;
} params;

static const pudle_option options[] = {
    { .name = "lower", .type = PUDLE_REAL, .flags = PUDLE_THRESHOLD | PUDLE_OPEN_MAX,
      .offset = offsetof(params, lower), .dflt = "0.1", .min = 0, .max = INFINITY,
      .doc = "Entries whose magnitude does not exceed this become 0, whatever the step." },
    { .name = "upper", .type = PUDLE_REAL, .flags = PUDLE_THRESHOLD | PUDLE_OPEN_MAX,
      .offset = offsetof(params, upper), .dflt = "0.3", .min = 0, .max = INFINITY,
      .doc = "Entries whose magnitude exceeds this are kept as they are; larger than lower." },
    { .name = "nonnegative", .type = PUDLE_BOOL, .offset = offsetof(params, nonnegative), .dflt = "false",
      .doc = "Keep codes >= 0." },
    { .name = NULL },
};

PUDLE_PROX(firm_threshold, params, 2,
    const real x = o->nonnegative ? v : pudle_abs(v), sign = pudle_copysign(1, v), gap = t[1] - t[0], slope = t[1] / gap;
    const bool off = x <= (t[0] < t[1] ? t[0] : pudle_sqrt(t[0] * t[1])), keep = x > t[1];
    *p = off ? 0 : keep ? v : (v - sign * t[0]) * slope;
    *dv = off ? 0 : keep ? 1 : slope;
    dt[0] = off || keep ? 0 : -sign * slope * (t[1] - x) / gap;
    dt[1] = off || keep ? 0 : -sign * t[0] / gap * (x - t[0]) / gap;
)
PUDLE_PENALTY(firm_threshold, params, 2,
    const real a = pudle_abs(z);
    *f = o->nonnegative && z < 0 ? INFINITY : a >= t[1] ? t[0] * t[1] / 2 : t[0] * a - a * a * t[0] / (2 * t[1]);
)

/* Where the threshold is computed, a little less: float rounds otherwise. */
static double dead_zone(const void *self, double tau, const double *theta)
{
    (void)self;
    (void)tau;
    return theta[0] < theta[1] ? theta[0] : sqrt(theta[0] * theta[1]) * (1 - 1e-6);
}
static const pudle_prox_ops ops = { PUDLE_PROX_OPS(firm_threshold), .value = firm_threshold_value, .dead_zone = dead_zone };

static pudle_status check(const pudle_host *host, const void *self)
{
    const params *o = self;
    if (o->lower < o->upper)
        return PUDLE_OK;
    return host->fail(host->ctx, PUDLE_ERR_CONFIG, "lower = %g is not below upper = %g: raise upper, or use hard_threshold for one level",
                      o->lower, o->upper);
}

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_PROX,
    .name = "firm_threshold",
    .version = "1.0.0",
    .summary = "Firm threshold: between soft and hard, by two thresholds",
    .math = "0 for |v| <= lower, sign(v) upper (|v| - lower) / (upper - lower) for |v| <= upper, v beyond",
    .cite = "Gao, Bruce 1997, Statistica Sinica 7, 855-874",
    .license = "MIT",
    .caps = PUDLE_PROX_SEPARABLE | PUDLE_PROX_INPLACE,
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .check = check,
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
