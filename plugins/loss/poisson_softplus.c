/* Poisson whose mean is mu = log(1 + e^eta): about e^eta where small, about eta where large. With S = sigmoid(eta), q = S / mu,
 *   l = mu - x log mu,   l' = S - x q,   l'' = S (1 - S) + x q (q + S - 1),
 * convex, and l'' <= 1/4 + 0.16714 x. Below eta = -6 q comes from its series in e = e^eta (coefficients of Adams and Bashforth),
 *   q = 1 - e/2 + 5 e^2/12 - 3 e^3/8 + 251 e^4/720,
 * because S + q - 1 would lose its digits; below -30 log mu is eta to the last digit. */
#include <pudle/plugin.h>

typedef struct params {
    char none; /* C has no empty struct */
} params;

PUDLE_LOSS(poisson_softplus, params, "numbers >= 0",
    const real e = pudle_exp(-pudle_abs(eta)), mu = pudle_softplus(eta), p = pudle_sigmoid(eta);
    const bool low = eta < -6;
    const real direct = p / mu, near = 1 - e * ((real)0.5 - e * ((real)5 / 12 - e * ((real)0.375 - e * ((real)251 / 720))));
    const real q = low ? near : direct;
    const real fall = low ? e * ((real)0.5 - e * ((real)5 / 6 - e * ((real)1.125 - e * ((real)251 / 180)))) : direct * (direct - pudle_sigmoid(-eta));
    *f = mu - x * (eta < -30 ? eta : pudle_log(mu));
    *df = p - x * q;
    *ddf = p * pudle_sigmoid(-eta) + x * fall;
    *mean = mu;
    *ok = x >= 0 && x - x == 0;
)
PUDLE_LIPSCHITZ(poisson_softplus, params, 0.25 + 0.16714 * x)
static const pudle_loss_ops ops = { PUDLE_LOSS_OPS(poisson_softplus), .pred_domain = "real: the mean is log(1 + e^pred)",
                                    .target_domain = "counts, or counts over an exposure: >= 0", .lipschitz = poisson_softplus_lipschitz };

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_LOSS,
    .name = "poisson_softplus",
    .version = "1.0.0",
    .summary = "Negative log-likelihood of counts, softplus link",
    .math = "sum mu - target log mu,  mu = log(1 + e^pred)",
    .cite = "McCullagh, Nelder 1989, Generalized Linear Models, doi:10.1007/978-1-4899-3242-6",
    .license = "MIT",
    .caps = PUDLE_LOSS_CONVEX | PUDLE_LOSS_SEPARABLE,
    .params_size = sizeof(params),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
