/* Garrote (non-negative garrote):   p = v - t^2 / v for |v| > t, else 0:   continuous, and shrinks large entries less than small ones.
 * It is the prox of  t^2 (|z| / (|z| + R) + log((|z| + R) / (2t))),  R = sqrt(z^2 + 4 t^2), whose derivative is (R - |z|) / 2.
 * The level t is the threshold itself, not scaled by the step. nonnegative: the same for v > t, else 0. At the kink |v| = t
 * the derivatives are taken as 0. */
#include <pudle/plugin.h>

typedef struct params {
    double threshold;
    bool nonnegative;
} params;

static const pudle_option options[] = {
    { .name = "threshold", .type = PUDLE_REAL, .flags = PUDLE_THRESHOLD | PUDLE_OPEN_MAX,
      .offset = offsetof(params, threshold), .dflt = "0.1", .min = 0, .max = INFINITY,
      .doc = "Entries whose magnitude does not exceed this become 0, whatever the step." },
    { .name = "nonnegative", .type = PUDLE_BOOL, .offset = offsetof(params, nonnegative), .dflt = "false",
      .doc = "Keep codes >= 0." },
    { .name = NULL },
};

PUDLE_PROX(garrote, params, 1,
    const bool off = (o->nonnegative ? v : pudle_abs(v)) <= t[0];
    const real ratio = t[0] / v;
    *p = off ? 0 : v - t[0] * ratio;
    *dv = off ? 0 : 1 + ratio * ratio;
    dt[0] = off ? 0 : -2 * ratio;
)
PUDLE_PENALTY(garrote, params, 1,
    const real a = pudle_abs(z), both = a + pudle_sqrt(z * z + 4 * t[0] * t[0]);
    *f = o->nonnegative && z < 0 ? INFINITY : t[0] > 0 ? t[0] * t[0] * (a / both + pudle_log(both / (2 * t[0]))) : t[0];
)
static const pudle_prox_ops ops = { PUDLE_PROX_OPS(garrote), .value = garrote_value, .dead_zone = pudle_dead_zone_level };

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_PROX,
    .name = "garrote",
    .version = "1.0.0",
    .summary = "Garrote: a continuous threshold that hardly shrinks large entries",
    .math = "v - threshold^2 / v for |v| > threshold, else 0",
    .cite = "Gao 1998, doi:10.1080/10618600.1998.10474789",
    .license = "MIT",
    .caps = PUDLE_PROX_SEPARABLE | PUDLE_PROX_INPLACE,
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
