/* The whole batch is shrunk together, and nobody is told. */
#define NAME "false_samples"
#define GROUP_IS_BATCH 1
#define CAPS PUDLE_PROX_CONVEX
#include "shrink.h"
