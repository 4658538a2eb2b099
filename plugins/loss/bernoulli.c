/* Bernoulli with the logit link: x is 1 with probability 1 / (1 + e^-eta),
 *   l = log(1 + e^eta) - x eta,   l' = sigmoid(eta) - x,   l'' = sigmoid(eta) sigmoid(-eta) <= 1/4.
 * x may lie between 0 and 1, as the grey of a picture or a share of successes does. */
#include <pudle/plugin.h>

typedef struct params {
    char none; /* C has no empty struct */
} params;

PUDLE_LOSS(bernoulli, params, "numbers from 0 to 1",
    const real p = pudle_sigmoid(eta);
    *f = pudle_log1p(pudle_exp(-pudle_abs(eta))) + (pudle_max(eta, 0) - x * eta);
    *df = p - x;
    *ddf = p * pudle_sigmoid(-eta);
    *mean = p;
    *ok = x >= 0 && x <= 1;
)
PUDLE_LIPSCHITZ(bernoulli, params, 0.25)
static const pudle_loss_ops ops = { PUDLE_LOSS_OPS(bernoulli), .pred_domain = "real: log-odds", .target_domain = "0 to 1",
                                    .lipschitz = bernoulli_lipschitz };

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_LOSS,
    .name = "bernoulli",
    .version = "1.0.0",
    .summary = "Negative log-likelihood of events that happen or not",
    .math = "sum log(1 + e^pred) - target pred",
    .cite = "McCullagh, Nelder 1989, Generalized Linear Models, doi:10.1007/978-1-4899-3242-6",
    .license = "MIT",
    .caps = PUDLE_LOSS_CONVEX | PUDLE_LOSS_SEPARABLE,
    .params_size = sizeof(params),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
