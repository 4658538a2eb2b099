/* Two kinds in one file, both of them wrong: every descriptor is checked. */
#define NAME "two_in_one"
#define CAPS PUDLE_PROX_CONVEX | PUDLE_PROX_SEPARABLE | PUDLE_PROX_INPLACE | PUDLE_PROX_NONNEG
#include <pudle/plugin.h>
#undef PUDLE_PLUGIN
#define PUDLE_PLUGIN(d) static const pudle_desc *const first = d
#include "prox.h"

PUDLE_LOSS(fourth, params, "real", *f = eta * eta * eta * eta; *df = 4 * eta * eta * eta; *ddf = 12 * eta * eta; *mean = eta; *ok = true;)
static const pudle_loss_ops fourth_ops = { PUDLE_LOSS_OPS(fourth), .target_domain = "real" };
static const pudle_desc second = {
    .size = sizeof(pudle_desc), .kind = PUDLE_KIND_LOSS, .name = NAME, .version = "1", .summary = "For tests of the conformance suite", .license = "MIT",
    .caps = PUDLE_LOSS_CONVEX | PUDLE_LOSS_SEPARABLE | PUDLE_LOSS_QUADRATIC, .option_size = sizeof(pudle_option), .params_size = sizeof(params), .ops = &fourth_ops,
};
static const pudle_desc *const both[] = { &desc, &second, NULL };
const pudle_plugin_entry pudle_plugin = { PUDLE_MAGIC, PUDLE_ABI_MAJOR, PUDLE_ABI_MINOR, sizeof(pudle_plugin_entry), 0, both };
