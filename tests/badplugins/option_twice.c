/* Two options of one name. */
#define NAME "option_twice"
#define EXTRA_OPTION { "lambda", PUDLE_REAL, 0, offsetof(params, spare), "0.5", 0, 0, NULL, NULL, "The same name." },
#include "good.h"
