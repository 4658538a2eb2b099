/* No version. */
#define NAME "no_version"
#define VERSION NULL
#include "good.h"
