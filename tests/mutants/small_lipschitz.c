/* The constant is too small. */
#define NAME "small_lipschitz"
#define CONSTANT 0.2
#include "loss.h"
