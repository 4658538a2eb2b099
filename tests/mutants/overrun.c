/* One entry too many is written. */
#define NAME "overrun"
#define AFTER put(out, n, 0);
#include "prox.h"
