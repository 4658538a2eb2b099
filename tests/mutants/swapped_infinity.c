/* Minus infinity comes out as plus infinity. */
#define NAME "swapped_infinity"
#define VALUE (isinf(v) ? fabs(v) : fabs(v) <= t ? 0 : (v - copysign(t, v)) / DAMP)
#include "prox.h"
