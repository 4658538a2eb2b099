/* Lasso as a training objective: least squares in pred plus an l1 penalty on the code,
 *   l = 1/2 ||pred - target||^2 + lambda ||z||_1.
 * The penalty's gradient is lambda sign(z), with sign(0) = 0. */
#include "squares.h"

typedef struct params {
    double lambda;
} params;

static const pudle_option options[] = {
    { .name = "lambda", .type = PUDLE_REAL, .flags = PUDLE_OPEN_MAX, .offset = offsetof(params, lambda), .dflt = "0.1",
      .min = 0, .max = INFINITY, .doc = "Weight of the l1 norm of the code." },
    { .name = NULL },
};

PUDLE_CODE_PENALTY(lasso, params, *f = (real)o->lambda * pudle_abs(z); *df = (real)o->lambda * pudle_sign(z);)

static const pudle_loss_kernel host = {
    .size = sizeof(pudle_loss_kernel),
    .target = "host",
    .value = squares_value,
    .grad = squares_grad,
    .hvp = squares_hvp,
    .code_value = lasso_code_value,
    .code_grad = lasso_code_grad,
};
static const pudle_loss_kernel *const kernels[] = { &host, NULL };

static const pudle_loss_ops ops = {
    .size = sizeof(pudle_loss_ops),
    .pred_domain = "real",
    .target_domain = "real",
    .kernels = kernels,
    .lipschitz = squares_lipschitz,
    .source = &squares_source,
    .code_source = &lasso_code_source,
};

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_LOSS,
    .name = "lasso",
    .version = "1.0.0",
    .summary = "Half the sum of squared differences plus an l1 penalty on the code",
    .math = "1/2 ||pred - target||^2 + lambda ||z||_1",
    .cite = "Tibshirani 1996, doi:10.1111/j.2517-6161.1996.tb02080.x",
    .license = "MIT",
    .caps = PUDLE_LOSS_CONVEX | PUDLE_LOSS_QUADRATIC | PUDLE_LOSS_SEPARABLE,
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
