/* Two options in one place. */
#define NAME "option_overlap"
#define EXTRA_OPTION { "spare", PUDLE_INT, 0, offsetof(params, lambda), "1", 0, 0, NULL, NULL, "The same place." },
#include "good.h"
