/* Log-sum penalty, the prox of f(z) = lambda sum_i log(1 + |z_i| / epsilon), with t = tau lambda and w = |v| + epsilon:
 *   p = 0 or  p = sign(v) (|v| - epsilon + R) / 2,   R = sqrt(w^2 - 4t),  the larger root of  p - v + t / (p + epsilon) = 0.
 * For sqrt(t) <= epsilon the problem of one entry is convex, and p = 0 just for |v| <= t / epsilon. Otherwise p jumps, somewhere
 * between 2 sqrt(t) - epsilon and t / epsilon: there the two costs are compared, and 0 is taken where they are equal.
 * dp/dv = (1 + w / R) / 2,  dp/dt = -sign(v) / R;  0 where p = 0. nonnegative restricts f to z >= 0. */
#include <pudle/plugin.h>

typedef struct params {
    double lambda, epsilon;
    bool nonnegative;
} params;

static const pudle_option options[] = {
    { .name = "lambda", .type = PUDLE_REAL, .flags = PUDLE_THRESHOLD | PUDLE_PER_STEP | PUDLE_OPEN_MAX,
      .offset = offsetof(params, lambda), .dflt = "0.1", .min = 0, .max = INFINITY,
      .doc = "Weight of the penalty, whose slope at 0 is lambda / epsilon." },
    { .name = "epsilon", .type = PUDLE_REAL, .flags = PUDLE_OPEN_MIN | PUDLE_OPEN_MAX, .offset = offsetof(params, epsilon), .dflt = "1.0",
      .min = 0, .max = INFINITY, .doc = "Scale of the logarithm; entries much smaller see an l1 norm, larger ones are hardly shrunk." },
    { .name = "nonnegative", .type = PUDLE_BOOL, .offset = offsetof(params, nonnegative), .dflt = "false",
      .doc = "Keep codes >= 0." },
    { .name = NULL },
};

PUDLE_PROX(log_sum, params, 1,
    const real x = o->nonnegative ? v : pudle_abs(v), e = (real)o->epsilon, w = x + e, d = x - e;
    const real least = 2 * pudle_sqrt(t[0]), end = t[0] / e;
    *p = 0;
    *dv = 0;
    dt[0] = 0;
    if (!(x <= (t[0] <= e * e ? end : least - e))) { /* few entries: the branch spares the others costly functions */
        const real root = pudle_sqrt(pudle_max((1 - least / w) * (1 + least / w), 0));
        const real q = pudle_max(d >= 0 ? (d + w * root) / 2 : 2 * (x * e - t[0]) / (w * root - d), 0);
        const bool off = x <= end && q * (q / 2 - x) + t[0] * pudle_log1p(q / e) >= 0; /* 0 costs no more */
        *p = off ? 0 : pudle_copysign(q, v);
        *dv = off ? 0 : (1 + 1 / root) / 2;
        dt[0] = off ? 0 : -pudle_copysign(1, v) / (w * root);
    }
)
PUDLE_PENALTY(log_sum, params, 1, *f = o->nonnegative && z < 0 ? INFINITY : t[0] * pudle_log1p(pudle_abs(z) / o->epsilon);)

/* Where p jumps, this is the end of what is certain without comparing costs. A little less: float rounds otherwise. */
static double dead_zone(const void *self, double tau, const double *theta)
{
    const double e = ((const params *)self)->epsilon, t = theta[0];
    (void)tau;
    return (t <= e * e ? t / e : fmax(2 * sqrt(t) - e, 0)) * (1 - 1e-6);
}
static const pudle_prox_ops ops = { PUDLE_PROX_OPS(log_sum), .value = log_sum_value, .dead_zone = dead_zone };

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_PROX,
    .name = "log_sum",
    .version = "1.0.0",
    .summary = "Log-sum penalty: nearly l1 for small entries, nearly none for large ones",
    .math = "argmin_p 1/2 ||p - v||^2 + tau lambda sum_i log(1 + |p_i| / epsilon)",
    .cite = "Candes, Wakin, Boyd 2008, doi:10.1007/s00041-008-9045-x",
    .license = "MIT",
    .caps = PUDLE_PROX_SEPARABLE | PUDLE_PROX_INPLACE,
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
