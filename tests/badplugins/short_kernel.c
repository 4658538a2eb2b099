/* The kernel is smaller than any version of it. */
#define NAME "short_kernel"
#define KERNEL_SIZE 24
#include "good.h"
