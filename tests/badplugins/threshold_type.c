/* A threshold that is a whole number. */
#define NAME "threshold_type"
#define EXTRA_OPTION { "spare", PUDLE_INT, PUDLE_THRESHOLD, offsetof(params, spare), "1", 0, 9, NULL, NULL, "Whole." },
#include "good.h"
