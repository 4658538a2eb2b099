/* A range that holds no number. */
#define NAME "option_range"
#define EXTRA_OPTION { "spare", PUDLE_REAL, 0, offsetof(params, spare), "0.5", 2, 1, NULL, NULL, "Empty." },
#include "good.h"
