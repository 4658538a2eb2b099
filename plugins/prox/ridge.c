/* Ridge, the prox of f(z) = mu/2 ||z||^2:           p = v / (1 + t),   t = tau mu;
 * with nonnegative, of f restricted to z >= 0:      p = max(v, 0) / (1 + t), whose derivatives at v = 0 are taken as 0.
 * It makes no entry zero: codes are dense. */
#include <pudle/plugin.h>

typedef struct params {
    double mu;
    bool nonnegative;
} params;

static const pudle_option options[] = {
    { .name = "mu", .type = PUDLE_REAL, .flags = PUDLE_THRESHOLD | PUDLE_PER_STEP | PUDLE_OPEN_MAX,
      .offset = offsetof(params, mu), .dflt = "0.1", .min = 0, .max = INFINITY,
      .doc = "Weight of half the squared norm; an entry is divided by 1 + step * mu in every layer." },
    { .name = "nonnegative", .type = PUDLE_BOOL, .offset = offsetof(params, nonnegative), .dflt = "false",
      .doc = "Keep codes >= 0." },
    { .name = NULL },
};

PUDLE_PROX(ridge, params, 1,
    const bool off = o->nonnegative && v <= 0;
    const real damp = 1 + t[0], q = v / damp;
    *p = off ? 0 : q;
    *dv = off ? 0 : 1 / damp;
    dt[0] = off ? 0 : -q / damp;
)
PUDLE_PENALTY(ridge, params, 1, *f = o->nonnegative && z < 0 ? INFINITY : t[0] / 2 * z * z;)
static const pudle_prox_ops ops = { PUDLE_PROX_OPS(ridge), .value = ridge_value };

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_PROX,
    .name = "ridge",
    .version = "1.0.0",
    .summary = "Ridge: the prox of half the squared norm, two-sided or non-negative",
    .math = "argmin_p 1/2 ||p - v||^2 + tau mu/2 ||p||^2",
    .cite = "Hoerl, Kennard 1970, doi:10.1080/00401706.1970.10488634",
    .license = "MIT",
    .caps = PUDLE_PROX_CONVEX | PUDLE_PROX_SEPARABLE | PUDLE_PROX_INPLACE,
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
