/* The derivative for the level has lost its sign. */
#define NAME "wrong_level"
#define LEVEL (fabs(v) <= t ? 0 : -1 / DAMP)
#include "prox.h"
