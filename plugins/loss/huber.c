/* Huber: least squares near 0, a straight line beyond delta, so that a wild value pulls no harder than one at delta. With r = eta - x,
 *   l = r^2/2 for |r| <= delta, else delta (|r| - delta/2);   l' = r clipped to +-delta;   l'' = 1 inside, 0 outside. */
#include <pudle/plugin.h>

typedef struct params {
    double delta;
} params;

static const pudle_option options[] = {
    { .name = "delta", .type = PUDLE_REAL, .flags = PUDLE_OPEN_MIN | PUDLE_OPEN_MAX, .offset = offsetof(params, delta), .dflt = "1",
      .min = 0, .max = INFINITY,
      .doc = "Residual from which on the loss grows along a straight line." },
    { .name = NULL },
};

PUDLE_LOSS(huber, params, "finite numbers",
    const real d = (real)o->delta, r = eta - x, a = pudle_abs(r);
    const bool far = a > d;
    *f = far ? d * (a - d / 2) : r * r / 2;
    *df = far ? pudle_copysign(d, r) : r;
    *ddf = far ? 0 : 1;
    *mean = eta;
    *ok = x - x == 0;
)
PUDLE_LIPSCHITZ(huber, params, 1)
static const pudle_loss_ops ops = { PUDLE_LOSS_OPS(huber), .pred_domain = "real", .target_domain = "real", .lipschitz = huber_lipschitz };

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_LOSS,
    .name = "huber",
    .version = "1.0.0",
    .summary = "Squared differences where small, absolute ones where large",
    .math = "sum r^2/2 if |r| <= delta, else delta (|r| - delta/2),  r = pred - target",
    .cite = "Huber 1964, doi:10.1214/aoms/1177703732",
    .license = "MIT",
    .caps = PUDLE_LOSS_CONVEX | PUDLE_LOSS_SEPARABLE,
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
