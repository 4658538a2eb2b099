/* Claims a derivative and has none. */
#define NAME "no_vjp"
#define VJP NULL
#include "good.h"
