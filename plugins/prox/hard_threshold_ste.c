/* Hard threshold whose level can be learned:   p = v where |v| > t, else 0,   the prox of the count of nonzeros with weight t^2/2.
 * Value and derivative in v are those of hard_threshold, and the level t is not scaled by the step. The derivative in t, 0
 * almost everywhere, is replaced by the straight-through estimate  -sign(v) (t / width) K((|v| - t) / width),  K(u) = 1 for
 * |u| < 1/2, else 0. It is a plugin of its own because only here does a level's derivative stand in for the true one. The
 * non-negative form is jumprelu. */
#include <pudle/plugin.h>

typedef struct params {
    double threshold, width;
} params;

static const pudle_option options[] = {
    { .name = "threshold", .type = PUDLE_REAL, .flags = PUDLE_THRESHOLD | PUDLE_OPEN_MAX,
      .offset = offsetof(params, threshold), .dflt = "0.1", .min = 0, .max = INFINITY,
      .doc = "Entries whose magnitude does not exceed this become 0, whatever the step." },
    { .name = "width", .type = PUDLE_REAL, .flags = PUDLE_OPEN_MIN | PUDLE_OPEN_MAX, .offset = offsetof(params, width), .dflt = "0.1",
      .min = 0, .max = INFINITY, .doc = "Width, around the threshold, of the window whose entries move a learned threshold." },
    { .name = NULL },
};

PUDLE_PROX(hard_threshold_ste, params, 1,
    const bool off = pudle_abs(v) <= t[0], far = pudle_abs(pudle_abs(v) - t[0]) >= (real)o->width / 2;
    *p = off ? 0 : v;
    *dv = off ? 0 : 1;
    dt[0] = far ? 0 : -pudle_copysign(t[0], v) / (real)o->width;
)
PUDLE_PENALTY(hard_threshold_ste, params, 1, *f = z != 0 ? t[0] * t[0] / 2 : 0;)
static const pudle_prox_ops ops = { PUDLE_PROX_OPS(hard_threshold_ste), .value = hard_threshold_ste_value, .dead_zone = pudle_dead_zone_level };

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_PROX,
    .name = "hard_threshold_ste",
    .version = "1.0.0",
    .summary = "Hard threshold with a straight-through derivative of its level",
    .math = "argmin_p 1/2 ||p - v||^2 + threshold^2/2 ||p||_0",
    .cite = "Blumensath, Davies 2008, doi:10.1007/s00041-008-9035-z; Bengio, Leonard, Courville 2013, arXiv:1308.3432",
    .license = "MIT",
    .caps = PUDLE_PROX_SEPARABLE | PUDLE_PROX_INPLACE | PUDLE_PROX_SURROGATE,
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
