/* Projection on a box, the prox of its indicator:   p = min(max(v, lower), upper),   whatever the step.
 * Both bounds are levels, and a bound can be learned: dp/dlower = 1 where v < lower, dp/dupper = 1 where v > upper. At a bound
 * itself the derivatives are taken as 0. Should learning carry lower above upper, p = upper everywhere. */
#include <pudle/plugin.h>

typedef struct params {
    double lower, upper;
} params;

static const pudle_option options[] = {
    { .name = "lower", .type = PUDLE_REAL, .flags = PUDLE_THRESHOLD,
      .offset = offsetof(params, lower), .dflt = "0.0", .min = -INFINITY, .max = INFINITY,
      .doc = "Smallest value of a code, whatever the step." },
    { .name = "upper", .type = PUDLE_REAL, .flags = PUDLE_THRESHOLD,
      .offset = offsetof(params, upper), .dflt = "1.0", .min = -INFINITY, .max = INFINITY,
      .doc = "Largest value of a code, whatever the step; at least lower." },
    { .name = NULL },
};

PUDLE_PROX(box, params, 2,
    const real raised = v < t[0] ? t[0] : v;
    const bool low = v < t[0] && !(t[0] > t[1]), high = raised > t[1];
    *p = high ? t[1] : raised;
    *dv = v <= t[0] || v >= t[1] ? 0 : 1;
    dt[0] = low ? 1 : 0;
    dt[1] = high ? 1 : 0;
)
PUDLE_PENALTY(box, params, 2, *f = z < t[0] || z > t[1] ? INFINITY : 0;)
static const pudle_prox_ops ops = { PUDLE_PROX_OPS(box), .value = box_value };

/* Equal bounds are allowed: they fix the code. */
static pudle_status check(const pudle_host *host, const void *self)
{
    const params *o = self;
    if (o->lower <= o->upper)
        return PUDLE_OK;
    return host->fail(host->ctx, PUDLE_ERR_CONFIG, "lower = %g is above upper = %g: set lower <= upper", o->lower, o->upper);
}

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_PROX,
    .name = "box",
    .version = "1.0.0",
    .summary = "Projection on a box: codes between two bounds",
    .math = "argmin_p 1/2 ||p - v||^2  subject to lower <= p <= upper",
    .cite = "Parikh, Boyd 2014, Proximal Algorithms, doi:10.1561/2400000003",
    .license = "MIT",
    .caps = PUDLE_PROX_CONVEX | PUDLE_PROX_SEPARABLE | PUDLE_PROX_INPLACE,
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .check = check,
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
