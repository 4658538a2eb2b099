/* JumpReLU, the prox of the count of nonzeros with weight t^2/2 on z >= 0:   p = v where v > t, else 0.
 * The level t >= 0 is the threshold itself, not scaled by the step. The derivative in v is 1 where v is kept, 0 elsewhere. The
 * derivative in t is 0 almost everywhere, so nothing could be learned from it; in its place stands the straight-through
 * estimate  -(t / width) K((v - t) / width),  K(u) = 1 for |u| < 1/2, else 0,  which is 0 at the edges of the window. */
#include <pudle/plugin.h>

typedef struct params {
    double threshold, width;
} params;

static const pudle_option options[] = {
    { .name = "threshold", .type = PUDLE_REAL, .flags = PUDLE_THRESHOLD | PUDLE_OPEN_MAX,
      .offset = offsetof(params, threshold), .dflt = "0.1", .min = 0, .max = INFINITY,
      .doc = "Entries that do not exceed this become 0, whatever the step." },
    { .name = "width", .type = PUDLE_REAL, .flags = PUDLE_OPEN_MIN | PUDLE_OPEN_MAX, .offset = offsetof(params, width), .dflt = "0.1",
      .min = 0, .max = INFINITY, .doc = "Width, around the threshold, of the window whose entries move a learned threshold." },
    { .name = NULL },
};

PUDLE_PROX(jumprelu, params, 1,
    const bool off = v <= t[0], far = pudle_abs(v - t[0]) >= (real)o->width / 2;
    *p = off ? 0 : v;
    *dv = off ? 0 : 1;
    dt[0] = far ? 0 : -t[0] / (real)o->width;
)
PUDLE_PENALTY(jumprelu, params, 1, *f = z < 0 ? INFINITY : z > 0 ? t[0] * t[0] / 2 : 0;)
static const pudle_prox_ops ops = { PUDLE_PROX_OPS(jumprelu), .value = jumprelu_value, .dead_zone = pudle_dead_zone_level };

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_PROX,
    .name = "jumprelu",
    .version = "1.0.0",
    .summary = "JumpReLU: non-negative hard threshold that can be learned, straight through",
    .math = "argmin_p 1/2 ||p - v||^2 + threshold^2/2 ||p||_0  subject to p >= 0",
    .cite = "Rajamanoharan et al. 2024, arXiv:2407.14435",
    .license = "MIT",
    .caps = PUDLE_PROX_SEPARABLE | PUDLE_PROX_INPLACE | PUDLE_PROX_NONNEG | PUDLE_PROX_SURROGATE,
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
