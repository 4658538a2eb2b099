/* The member of an option is called otherwise than the option: on a device there is none of that name. */
#include <pudle/plugin.h>

typedef struct params { double lambda, shrink; } params;

static const pudle_option options[] = {
    { .name = "lambda", .type = PUDLE_REAL, .flags = PUDLE_THRESHOLD | PUDLE_PER_STEP | PUDLE_OPEN_MAX, .offset = offsetof(params, lambda), .dflt = "0.1",
      .min = 0, .max = INFINITY, .doc = "Weight." },
    { .name = "scale", .type = PUDLE_REAL, .offset = offsetof(params, shrink), .dflt = "0.5", .min = 0.1, .max = 1, .doc = "What is left of an entry." },
    { .name = NULL },
};

PUDLE_PROX(other_member, params, 1,
    const bool off = pudle_abs(v) <= t[0];
    *p = off ? 0 : (v - pudle_copysign(t[0], v)) * (real)o->shrink;
    *dv = off ? 0 : (real)o->shrink;
    dt[0] = off ? 0 : -pudle_copysign(1, v) * (real)o->shrink;
)
PUDLE_PENALTY(other_member, params, 1, *f = t[0] * pudle_abs(z) + (1 / o->shrink - 1) * z * z / 2;)
static const pudle_prox_ops ops = { PUDLE_PROX_OPS(other_member), .value = other_member_value };

static const pudle_desc desc = {
    .size = sizeof(pudle_desc), .kind = PUDLE_KIND_PROX, .name = "other_member", .version = "1.0.0", .summary = "A soft threshold", .license = "MIT",
    .caps = PUDLE_PROX_SEPARABLE | PUDLE_PROX_INPLACE, .options = options, .option_size = sizeof(pudle_option),
    .params_size = sizeof(params), .ops = &ops,
};
PUDLE_PLUGIN(&desc);
