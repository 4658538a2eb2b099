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

static pudle_status code_value(const void *self, pudle_exec *exec, const pudle_cview *z, double *sum)
{
    const params *o = self;
    const int64_t n = pudle_count(z);
    double total = 0;
    (void)exec;
    if (z->dtype == PUDLE_F64) {
        const double *code = z->data;
        for (int64_t i = 0; i < n; i++)
            total += fabs(code[i]);
    } else {
        const float *code = z->data;
        for (int64_t i = 0; i < n; i++)
            total += (double)fabsf(code[i]);
    }
    *sum = o->lambda * total;
    return PUDLE_OK;
}

static pudle_status code_grad(const void *self, pudle_exec *exec, const pudle_cview *z, const pudle_view *g)
{
    const params *o = self;
    const int64_t n = pudle_count(z);
    (void)exec;
    if (z->dtype == PUDLE_F64) {
        const double *code = z->data;
        double *out = g->data;
        for (int64_t i = 0; i < n; i++)
            out[i] += o->lambda * pudle_sign(code[i]);
    } else {
        const float *code = z->data, lambda = (float)o->lambda;
        float *out = g->data;
        for (int64_t i = 0; i < n; i++)
            out[i] += lambda * pudle_sign(code[i]);
    }
    return PUDLE_OK;
}

static const pudle_loss_kernel host = {
    .size = sizeof(pudle_loss_kernel),
    .target = "host",
    .value = squares_value,
    .grad = squares_grad,
    .hvp = squares_hvp,
    .code_value = code_value,
    .code_grad = code_grad,
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
