/* An enum with nothing to choose. */
#define NAME "enum_choices"
#define EXTRA_OPTION { "choice", PUDLE_ENUM, 0, offsetof(params, choice), NULL, 0, 0, NULL, NULL, "Between what?" },
#include "good.h"
