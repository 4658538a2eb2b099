/* Binomial with the logit link: x successes in n trials, each with probability 1 / (1 + e^-eta); log n over x is left out,
 *   l = n log(1 + e^eta) - x eta,   l' = n sigmoid(eta) - x,   l'' = n sigmoid(eta) sigmoid(-eta) <= n/4. */
#include <pudle/plugin.h>

typedef struct params {
    double trials;
} params;

static const pudle_option options[] = {
    { .name = "trials", .type = PUDLE_REAL, .flags = PUDLE_OPEN_MAX, .offset = offsetof(params, trials), .dflt = "1",
      .min = 1, .max = INFINITY,
      .doc = "Trials n behind every count." },
    { .name = NULL },
};

PUDLE_LOSS(binomial, params, "whole numbers from 0 to trials",
    const real p = pudle_sigmoid(eta), n = (real)o->trials;
    *f = n * pudle_log1p(pudle_exp(-pudle_abs(eta))) + (n * pudle_max(eta, 0) - x * eta);
    *df = n * p - x;
    *ddf = n * p * pudle_sigmoid(-eta);
    *mean = n * p;
    *ok = x >= 0 && x <= n && x == pudle_floor(x);
)
PUDLE_LIPSCHITZ(binomial, params, o->trials / 4)
static const pudle_loss_ops ops = { PUDLE_LOSS_OPS(binomial), .pred_domain = "real: log-odds", .target_domain = "0, 1, .. trials",
                                    .lipschitz = binomial_lipschitz };

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_LOSS,
    .name = "binomial",
    .version = "1.0.0",
    .summary = "Negative log-likelihood of numbers of successes",
    .math = "sum trials log(1 + e^pred) - target pred",
    .cite = "McCullagh, Nelder 1989, Generalized Linear Models, doi:10.1007/978-1-4899-3242-6",
    .license = "MIT",
    .caps = PUDLE_LOSS_CONVEX | PUDLE_LOSS_SEPARABLE,
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
