/* Entries of a sample are shrunk together, and each is said to stand alone. */
#define NAME "false_separable"
#define GROUP_IS_BATCH 0
#define CAPS PUDLE_PROX_CONVEX | PUDLE_PROX_SEPARABLE
#include "shrink.h"
