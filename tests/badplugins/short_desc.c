/* The descriptor is smaller than any version of it. */
#define NAME "short_desc"
#define DESC_SIZE offsetof(pudle_desc, get_ext)
#include "good.h"
