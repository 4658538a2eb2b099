/* Poisson with the log link: counts with mean e^eta; log x! is left out,
 *   l = e^eta - x eta,   l' = e^eta - x,   l'' = e^eta.
 * x need not be whole: counts divided by an exposure c have the likelihood of the counts, divided by c, with eta less by log c.
 *
 * e^eta has no bounded slope, so there is no Lipschitz constant. With `clip` the mean goes on as a straight line from there,
 *   mean = e^clip (1 + s),   l = e^clip (1 + s + s^2/2) - x eta,   l'' = e^clip,   s = eta - clip > 0,
 * which keeps l convex and twice differentiable, and makes e^clip the constant. */
#include <pudle/plugin.h>

typedef struct params {
    double clip;
} params;

static const pudle_option options[] = {
    { .name = "clip", .type = PUDLE_REAL, .offset = offsetof(params, clip), .dflt = "1000",
      .min = -1000, .max = 1000,
      .doc = "Natural parameter beyond which the mean grows along a straight line, so that L = exp(clip) exists; above all that the data asks for. 1000, the default, is never reached: then \"c/L\" has no meaning as a step." },
    { .name = NULL },
};

PUDLE_LOSS(poisson, params, "numbers >= 0",
    const real least = pudle_min(eta, (real)o->clip), e = pudle_exp(least), s = eta - least;
    const bool over = s > 0;
    *f = (over ? e * (1 + s + s * s / 2) : e) - x * eta;
    *mean = over ? e * (1 + s) : e;
    *df = *mean - x;
    *ddf = e;
    *ok = x >= 0 && x - x == 0;
)
PUDLE_LIPSCHITZ(poisson, params, exp(o->clip))
static const pudle_loss_ops ops = { PUDLE_LOSS_OPS(poisson), .pred_domain = "real: log of the mean", .target_domain = "counts, or counts over an exposure: >= 0",
                                    .lipschitz = poisson_lipschitz };

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_LOSS,
    .name = "poisson",
    .version = "1.0.0",
    .summary = "Negative log-likelihood of counts, log link",
    .math = "sum e^pred - target pred",
    .cite = "McCullagh, Nelder 1989, Generalized Linear Models, doi:10.1007/978-1-4899-3242-6",
    .license = "MIT",
    .caps = PUDLE_LOSS_CONVEX | PUDLE_LOSS_SEPARABLE,
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
