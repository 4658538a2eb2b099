/* An option that nobody explains. */
#define NAME "option_undocumented"
#define EXTRA_OPTION { "spare", PUDLE_REAL, 0, offsetof(params, spare), "0.5", 0, 0, NULL, NULL, NULL },
#include "good.h"
