/* An option that the core has in the same group. */
#define NAME "option_of_core"
#define EXTRA_OPTION { "decay", PUDLE_REAL, 0, offsetof(params, spare), "0.5", 0, 0, NULL, NULL, "Taken." },
#include "good.h"
