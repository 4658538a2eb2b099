/* Gamma of shape k with the log link: positive numbers with mean e^eta and variance e^(2 eta) / k. k = 1 is the exponential law.
 * What does not depend on eta is left out,
 *   l = k (x e^-eta + eta),   l' = k (1 - x e^-eta),   l'' = k x e^-eta,
 * so there is no Lipschitz constant: the step must be a number. */
#include <pudle/plugin.h>

typedef struct params {
    double shape;
} params;

static const pudle_option options[] = {
    { .name = "shape", .type = PUDLE_REAL, .flags = PUDLE_OPEN_MIN | PUDLE_OPEN_MAX, .offset = offsetof(params, shape), .dflt = "1",
      .min = 0, .max = INFINITY,
      .doc = "Shape k of the law; the larger, the less the numbers scatter." },
    { .name = NULL },
};

PUDLE_LOSS(gamma, params, "numbers above 0",
    const real k = (real)o->shape, r = x * pudle_exp(-eta);
    *f = k * (r + eta);
    *df = k * (1 - r);
    *ddf = k * r;
    *mean = pudle_exp(eta);
    *ok = x > 0 && x - x == 0;
)
static const pudle_loss_ops ops = { PUDLE_LOSS_OPS(gamma), .pred_domain = "real: log of the mean", .target_domain = "above 0" };

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_LOSS,
    .name = "gamma",
    .version = "1.0.0",
    .summary = "Negative log-likelihood of positive numbers, log link",
    .math = "sum shape (target e^-pred + pred)",
    .cite = "McCullagh, Nelder 1989, Generalized Linear Models, doi:10.1007/978-1-4899-3242-6",
    .license = "MIT",
    .caps = PUDLE_LOSS_CONVEX | PUDLE_LOSS_SEPARABLE,
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
