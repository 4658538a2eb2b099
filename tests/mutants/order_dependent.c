/* A sample depends on the one that was read before it. */
#define NAME "order_dependent"
#define MORE static int64_t before;
#define ENTRY (j ? sin((double)(index * o->features + j)) : (double)before + 0 * (double)(before = index))
#include "data.h"
