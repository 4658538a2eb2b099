/* One entry more is described than is read. */
#define NAME "describe_lies"
#define FEATURES o->features + 1
#include "data.h"
