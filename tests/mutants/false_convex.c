/* The hard threshold sold as convex. */
#define NAME "false_convex"
#define VALUE (fabs(v) <= t ? 0 : v)
#define DERIVATIVE (fabs(v) <= t ? 0 : 1)
#define LEVEL 0
#define PENALTY (z != 0 ? t * t / 2 : 0)
#include "prox.h"
