/* The default is text where a number is wanted. */
#define NAME "default_type"
#define EXTRA_OPTION { "spare", PUDLE_REAL, 0, offsetof(params, spare), "many", 0, 0, NULL, NULL, "No number." },
#include "good.h"
