/* Only a kernel for an accelerator. */
#define NAME "no_host_kernel"
#define TARGET "cuda"
#include "good.h"
