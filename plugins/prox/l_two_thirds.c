/* l_2/3, the prox of f(z) = lambda sum_i |z_i|^(2/3), with t = tau lambda and c = 2t/3:   p = 0 for |v| <= 2 c^(3/4), and beyond
 *   p = v y^3,   y the largest root of  y^4 - y + r = 0,   r = c |v|^(-4/3),
 * which is p - v + c p^(-1/3) = 0 (v > 0) in units of v. By Ferrari:  y = (a + sqrt(2/a - a^2)) / 2,  a^2 / 2 = u + r / (3u) the real
 * root of m^3 - r m - 1/8 = 0,  u^3 = (1 + sqrt(1 - 256 (r/3)^3)) / 16. At the threshold 0 and c^(3/4) cost the same, and p jumps;
 * there p and its derivatives are taken as 0. Elsewhere  dp/dv = 1 / (1 - r / (3 y^4)),  dp/dt = -2/3 p^(-1/3) dp/dv.
 * nonnegative restricts f to z >= 0. */
#include <pudle/plugin.h>

typedef struct params {
    double lambda;
    bool nonnegative;
} params;

static const pudle_option options[] = {
    { .name = "lambda", .type = PUDLE_REAL, .flags = PUDLE_THRESHOLD | PUDLE_PER_STEP | PUDLE_OPEN_MAX,
      .offset = offsetof(params, lambda), .dflt = "0.1", .min = 0, .max = INFINITY,
      .doc = "Weight of the sum of powers 2/3; the threshold is 2 (2/3 step * lambda)^(3/4)." },
    { .name = "nonnegative", .type = PUDLE_BOOL, .offset = offsetof(params, nonnegative), .dflt = "false",
      .doc = "Keep codes >= 0." },
    { .name = NULL },
};

PUDLE_PROX(l_two_thirds, params, 1,
    const real x = o->nonnegative ? v : pudle_abs(v), c = t[0] * 2 / 3;
    *p = 0;
    *dv = 0;
    dt[0] = 0;
    if (!(x <= 2 * pudle_sqrt(c * pudle_sqrt(c)))) { /* few entries: the branch spares the others costly functions */
        const real root = pudle_cbrt(x), r = c / (x * root), k = r / 3, u = pudle_cbrt((1 + pudle_sqrt(1 - 256 * k * k * k)) / 16);
        const real a = pudle_sqrt(2 * (u + k / u)), y = (a + pudle_sqrt(2 / a - a * a)) / 2;
        *p = v * y * y * y;
        *dv = 1 / (1 - k / (y * y * y * y));
        dt[0] = -pudle_copysign(*dv, v) * 2 / (3 * root * y);
    }
)
PUDLE_PENALTY(l_two_thirds, params, 1,
    const real root = pudle_cbrt(pudle_abs(z));
    *f = o->nonnegative && z < 0 ? INFINITY : t[0] * root * root;
)

/* Where the threshold is computed, a little less: float rounds otherwise. */
static double dead_zone(const void *self, double tau, const double *theta)
{
    (void)self;
    (void)tau;
    return 2 * pow(theta[0] * 2 / 3, 0.75) * (1 - 1e-6);
}
static const pudle_prox_ops ops = { PUDLE_PROX_OPS(l_two_thirds), .value = l_two_thirds_value, .dead_zone = dead_zone };

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_PROX,
    .name = "l_two_thirds",
    .version = "1.0.0",
    .summary = "l_2/3: the prox of the sum of powers 2/3",
    .math = "argmin_p 1/2 ||p - v||^2 + tau lambda sum_i |p_i|^(2/3)",
    .cite = "Cao, Sun, Xu 2013, doi:10.1016/j.jvcir.2012.10.006",
    .license = "MIT",
    .caps = PUDLE_PROX_SEPARABLE | PUDLE_PROX_INPLACE,
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
