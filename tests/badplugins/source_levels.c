/* Its body reads a level, and no option is one. */
#include <pudle/plugin.h>

typedef struct params { double lambda; } params;

static const pudle_option options[] = {
    { .name = "lambda", .type = PUDLE_REAL, .flags = PUDLE_OPEN_MAX, .offset = offsetof(params, lambda), .dflt = "0.1",
      .min = 0, .max = INFINITY, .doc = "Weight." },
    { .name = NULL },
};

PUDLE_PROX(source_levels, params, 1,
    const bool off = pudle_abs(v) <= t[0];
    *p = off ? 0 : v - pudle_copysign(t[0], v);
    *dv = off ? 0 : 1;
    dt[0] = off ? 0 : -pudle_copysign(1, v);
)
PUDLE_PENALTY(source_levels, params, 1, *f = t[0] * pudle_abs(z);)
static const pudle_prox_ops ops = { PUDLE_PROX_OPS(source_levels), .value = source_levels_value };

static const pudle_desc desc = {
    .size = sizeof(pudle_desc), .kind = PUDLE_KIND_PROX, .name = "source_levels", .version = "1.0.0", .summary = "A soft threshold", .license = "MIT",
    .caps = PUDLE_PROX_SEPARABLE | PUDLE_PROX_INPLACE, .options = options, .option_size = sizeof(pudle_option),
    .params_size = sizeof(params), .ops = &ops,
};
PUDLE_PLUGIN(&desc);
