/* Negative binomial with the log link: counts with mean e^eta and variance e^eta + e^(2 eta) / r, more scattered than Poisson's.
 * What does not depend on eta is left out; with h = eta - log r,
 *   l = (x + r) log(r + e^eta) - x eta,   l' = (x + r) sigmoid(h) - x,   l'' = (x + r) sigmoid(h) sigmoid(-h) <= (x + r) / 4. */
#include <pudle/plugin.h>

typedef struct params {
    double r;
} params;

static const pudle_option options[] = {
    { .name = "r", .type = PUDLE_REAL, .flags = PUDLE_OPEN_MIN | PUDLE_OPEN_MAX, .offset = offsetof(params, r), .dflt = "1",
      .min = 0, .max = INFINITY,
      .doc = "Dispersion: the variance is mean + mean^2 / r; large values come near the Poisson law." },
    { .name = NULL },
};

PUDLE_LOSS(negative_binomial, params, "numbers >= 0",
    const real r = (real)o->r, shift = pudle_log(r), h = eta - shift;
    const bool high = h > 0;
    *f = (x + r) * pudle_log1p(pudle_exp(-pudle_abs(h))) + (high ? r * h : -x * h) + r * shift;
    *df = high ? r - (x + r) * pudle_sigmoid(-h) : (x + r) * pudle_sigmoid(h) - x;
    *ddf = (x + r) * pudle_sigmoid(h) * pudle_sigmoid(-h);
    *mean = pudle_exp(eta);
    *ok = x >= 0 && x - x == 0;
)
PUDLE_LIPSCHITZ(negative_binomial, params, (x + o->r) / 4)
static const pudle_loss_ops ops = { PUDLE_LOSS_OPS(negative_binomial), .pred_domain = "real: log of the mean", .target_domain = "counts: >= 0",
                                    .lipschitz = negative_binomial_lipschitz };

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_LOSS,
    .name = "negative_binomial",
    .version = "1.0.0",
    .summary = "Negative log-likelihood of overdispersed counts, log link",
    .math = "sum (target + r) log(r + e^pred) - target pred",
    .cite = "Hilbe 2011, Negative Binomial Regression, doi:10.1017/CBO9780511973420",
    .license = "MIT",
    .caps = PUDLE_LOSS_CONVEX | PUDLE_LOSS_SEPARABLE,
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
