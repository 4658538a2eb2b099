/* An option behind the end of the params. */
#define NAME "option_outside"
#define PARAMS_SIZE sizeof(double)
#define EXTRA_OPTION { "spare", PUDLE_REAL, 0, offsetof(params, spare), "0.5", 0, 0, NULL, NULL, "Outside." },
#include "good.h"
