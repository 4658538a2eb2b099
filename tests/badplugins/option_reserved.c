/* An option that would hide the name of the plugin itself. */
#define NAME "option_reserved"
#define EXTRA_OPTION { "name", PUDLE_REAL, 0, offsetof(params, spare), "0.5", 0, 0, NULL, NULL, "Taken." },
#include "good.h"
