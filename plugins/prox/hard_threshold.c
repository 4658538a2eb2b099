/* Hard threshold, the prox of the count of nonzeros with weight t^2/2:   p = v where |v| > t, else 0;
 * with nonnegative:                                                      p = v where v > t, else 0.
 * The level t is the threshold itself, not scaled by the step. The derivative is 1 where v is kept and 0 elsewhere; the
 * jump at |v| = t has none, so the derivative with respect to t is 0. */
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

PUDLE_PROX(hard_threshold, params, 1,
    const bool off = (o->nonnegative ? v : pudle_abs(v)) <= t[0];
    *p = off ? 0 : v;
    *dv = off ? 0 : 1;
    dt[0] = 0;
)
PUDLE_PENALTY(hard_threshold, params, 1, *f = o->nonnegative && z < 0 ? INFINITY : z != 0 ? t[0] * t[0] / 2 : 0;)
static const pudle_prox_ops ops = { PUDLE_PROX_OPS(hard_threshold), .value = hard_threshold_value, .dead_zone = pudle_dead_zone_level };

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_PROX,
    .name = "hard_threshold",
    .version = "1.0.0",
    .summary = "Hard threshold: the prox of the l0 penalty, two-sided or non-negative",
    .math = "argmin_p 1/2 ||p - v||^2 + threshold^2/2 ||p||_0",
    .cite = "Blumensath, Davies 2008, doi:10.1007/s00041-008-9035-z",
    .license = "MIT",
    .caps = PUDLE_PROX_SEPARABLE | PUDLE_PROX_INPLACE,
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
