/* Least squares over the entries that are there: a NaN in the target marks one that is missing, which adds nothing and pulls nowhere.
 * Encoder and dictionary see the others alone, and D z fills the gap. A NaN of the prediction still goes through. */
#include <pudle/plugin.h>

typedef struct params {
    char none; /* C has no empty struct */
} params;

PUDLE_LOSS(masked_least_squares, params, "finite numbers, or NaN for what is missing",
    const bool there = x == x;
    const real r = there ? eta - x : eta - eta;
    *f = r * r / 2;
    *df = r;
    *ddf = there ? 1 : 0;
    *mean = eta;
    *ok = !there || x - x == 0;
)
PUDLE_LIPSCHITZ(masked_least_squares, params, 1)
static const pudle_loss_ops ops = { PUDLE_LOSS_OPS(masked_least_squares), .pred_domain = "real", .target_domain = "real, NaN: missing",
                                    .lipschitz = masked_least_squares_lipschitz };

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_LOSS,
    .name = "masked_least_squares",
    .version = "1.0.0",
    .summary = "Half the sum of squared differences where the target is not NaN",
    .math = "1/2 sum (pred - target)^2 over the entries whose target is not NaN",
    .cite = "Mairal, Elad, Sapiro 2008, doi:10.1109/TIP.2007.911828",
    .license = "MIT",
    .caps = PUDLE_LOSS_CONVEX | PUDLE_LOSS_SEPARABLE | PUDLE_LOSS_QUADRATIC,
    .params_size = sizeof(params),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
