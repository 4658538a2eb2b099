/* Uses the symbol of a library it is linked with, and has none of its own. */
#include <pudle/plugin.h>

const void *whose(void);
const void *whose(void)
{
    return &pudle_plugin;
}
