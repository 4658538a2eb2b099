/* The reference backend with one function replaced, REPLACE(ops), as it is loaded. */
#ifndef BACKEND_H
#define BACKEND_H

#include <pudle/plugin.h>
#undef PUDLE_PLUGIN
#define PUDLE_PLUGIN(d) static const pudle_desc *const original = d
#include "ref.c"

MORE
static pudle_backend_ops mutant_ops;
static pudle_desc mutant;
__attribute__((constructor)) static void mutate(void)
{
    memcpy(&mutant_ops, original->ops, sizeof mutant_ops);
    memcpy(&mutant, original, sizeof mutant);
    REPLACE
    mutant.ops = &mutant_ops;
    mutant.name = NAME;
}
static const pudle_desc *const mutants[] = { &mutant, NULL };
const pudle_plugin_entry pudle_plugin = { PUDLE_MAGIC, PUDLE_ABI_MAJOR, PUDLE_ABI_MINOR, sizeof(pudle_plugin_entry), 0, mutants };

#endif
