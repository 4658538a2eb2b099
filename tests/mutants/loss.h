/* A correct loss, logistic with targets in [0, 1]:  f = log(1 + exp(eta)) - x eta.  Each mutant changes one thing of it. */
#ifndef LOSS_H
#define LOSS_H

#include <pudle/plugin.h>

#ifndef CAPS
#define CAPS PUDLE_LOSS_CONVEX | PUDLE_LOSS_SEPARABLE
#endif
#ifndef F
#define F (pudle_softplus(eta) - x * eta)
#endif
#ifndef DF
#define DF (pudle_sigmoid(eta) - x)
#endif
#ifndef DDF
#define DDF (pudle_sigmoid(eta) * pudle_sigmoid(-eta))
#endif
#ifndef OK
#define OK (x >= 0 && x <= 1)
#endif
#ifndef CONSTANT
#define CONSTANT 0.25
#endif
#ifndef CHECK_TARGET
#define CHECK_TARGET logistic_check_target
#endif
#ifndef MORE
#define MORE
#endif

typedef struct params { double unused; } params;

PUDLE_LOSS(logistic, params, "numbers from 0 to 1",
    *f = F;
    *df = DF;
    *ddf = DDF;
    *mean = pudle_sigmoid(eta);
    *ok = OK;
)
PUDLE_LIPSCHITZ(logistic, params, CONSTANT)
MORE

static const pudle_loss_ops ops = {
    .size = sizeof(pudle_loss_ops), .pred_domain = "real", .target_domain = "numbers from 0 to 1", .kernels = logistic_kernels,
    .lipschitz = logistic_lipschitz, .check_target = CHECK_TARGET, .source = &logistic_source,
};
static const pudle_desc desc = {
    .size = sizeof(pudle_desc), .kind = PUDLE_KIND_LOSS, .name = NAME, .version = "1", .summary = "For tests of the conformance suite", .license = "MIT",
    .caps = CAPS, .option_size = sizeof(pudle_option), .params_size = sizeof(params), .ops = &ops,
};
PUDLE_PLUGIN(&desc);

#endif
