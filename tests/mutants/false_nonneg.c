/* Negative entries stay negative. */
#define NAME "false_nonneg"
#define CAPS PUDLE_PROX_CONVEX | PUDLE_PROX_SEPARABLE | PUDLE_PROX_INPLACE | PUDLE_PROX_NONNEG
#include "prox.h"
