/* Projection on the codes >= 0, the prox of their indicator:   p = max(v, 0),   whatever the step.
 * At the kink v = 0 the derivative is taken as 0. No entry is made sparse beyond that: this is the rectifier as a prox. */
#include <pudle/plugin.h>

typedef struct params {
    char none; /* C has no empty struct */
} params;

PUDLE_PROX(nonnegative, params, 0,
    const bool off = v <= 0;
    *p = off ? 0 : v;
    *dv = off ? 0 : 1;
)
PUDLE_PENALTY(nonnegative, params, 0, *f = z < 0 ? INFINITY : 0;)
static const pudle_prox_ops ops = { PUDLE_PROX_OPS(nonnegative), .value = nonnegative_value };

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_PROX,
    .name = "nonnegative",
    .version = "1.0.0",
    .summary = "Projection on codes >= 0",
    .math = "argmin_p 1/2 ||p - v||^2  subject to p >= 0",
    .cite = "Parikh, Boyd 2014, Proximal Algorithms, doi:10.1561/2400000003",
    .license = "MIT",
    .caps = PUDLE_PROX_CONVEX | PUDLE_PROX_SEPARABLE | PUDLE_PROX_INPLACE | PUDLE_PROX_NONNEG,
    .params_size = sizeof(params),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
