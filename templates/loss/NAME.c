/* @NAME@: a smooth loss that outliers pull at with bounded force (pseudo-Huber, as a start; put your own here). With
 * r = eta - x and s = sqrt(1 + (r/delta)^2):
 *     l = delta^2 (s - 1),   l' = r / s,   l'' = 1 / s^3 <= 1. */
#include <pudle/plugin.h>

typedef struct params {
    double delta;
} params;

static const pudle_option options[] = {
    { .name = "delta", .type = PUDLE_REAL, .flags = PUDLE_OPEN_MIN | PUDLE_OPEN_MAX, .offset = offsetof(params, delta), .dflt = "1.0",
      .min = 0, .max = INFINITY, .doc = "Residuals much larger than this count by their magnitude, smaller ones by their square." },
    { .name = NULL },
};

/* One entry: eta is the prediction D z, x the target, o the options. Set *f, *df and *ddf, its derivatives in eta, *mean, the mean of
 * x that eta stands for, and *ok: is x a target that the loss allows? The text before the body says in words which it does. */
PUDLE_LOSS(@NAME@, params, "any finite number",
    const real r = eta - x, q = r / (real)o->delta, s = pudle_sqrt(1 + q * q);
    *f = r * r / (1 + s);
    *df = r / s;
    *ddf = 1 / (s * s * s);
    *mean = eta;
    *ok = x - x == 0;
)
/* The largest second derivative there is, for step = "1/L". INFINITY would say that there is none, and the user must give a step. */
PUDLE_LIPSCHITZ(@NAME@, params, 1)
static const pudle_loss_ops ops = { PUDLE_LOSS_OPS(@NAME@), .pred_domain = "real", .target_domain = "real", .lipschitz = @NAME@_lipschitz };

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_LOSS,
    .name = "@NAME@",
    .version = "0.1.0",
    .summary = "Square near zero, magnitude far from it, smooth between",
    .math = "sum delta^2 (sqrt(1 + ((pred - target)/delta)^2) - 1)",
    .cite = "Charbonnier, Blanc-Feraud, Aubert, Barlaud 1997, doi:10.1109/83.551699",
    .license = "MIT",
    .caps = PUDLE_LOSS_CONVEX | PUDLE_LOSS_SEPARABLE,
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
