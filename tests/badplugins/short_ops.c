/* The table of functions is smaller than any version of it. */
#define NAME "short_ops"
#define OPS_SIZE 16
#include "good.h"
