/* Least squares: l = 1/2 ||pred - target||^2, gradient pred - target, Hessian the identity. */
#include "squares.h"

static const pudle_loss_kernel host = {
    .size = sizeof(pudle_loss_kernel),
    .target = "host",
    .value = squares_value,
    .grad = squares_grad,
    .hvp = squares_hvp,
};
static const pudle_loss_kernel *const kernels[] = { &host, NULL };

static const pudle_loss_ops ops = {
    .size = sizeof(pudle_loss_ops),
    .pred_domain = "real",
    .target_domain = "real",
    .kernels = kernels,
    .lipschitz = squares_lipschitz,
    .source = &squares_source,
};

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_LOSS,
    .name = "least_squares",
    .version = "1.0.0",
    .summary = "Half the sum of squared differences",
    .math = "1/2 ||pred - target||^2",
    .license = "MIT",
    .caps = PUDLE_LOSS_CONVEX | PUDLE_LOSS_QUADRATIC | PUDLE_LOSS_SEPARABLE,
    .option_size = sizeof(pudle_option),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
