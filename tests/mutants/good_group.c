/* The control of the two others: a group for each sample, declared as it is. */
#define NAME "good_group"
#define GROUP_IS_BATCH 0
#define CAPS PUDLE_PROX_CONVEX
#include "shrink.h"
