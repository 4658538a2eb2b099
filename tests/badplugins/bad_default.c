/* The default lies outside the range. */
#define NAME "bad_default"
#define EXTRA_OPTION { "spare", PUDLE_REAL, 0, offsetof(params, spare), "2.5", 0, 1, NULL, NULL, "Too large." },
#include "good.h"
