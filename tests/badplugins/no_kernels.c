/* No list of kernels. */
#define NAME "no_kernels"
#define KERNELS NULL
#include "good.h"
