/* An option of no known type. */
#define NAME "option_type"
#define EXTRA_OPTION { "spare", 77, 0, offsetof(params, spare), NULL, 0, 0, NULL, NULL, "Of no type." },
#include "good.h"
