/* No comparison holds for a NaN, so it becomes 0. */
#define NAME "hidden_nan"
#define VALUE (fabs(v) > t ? (v - copysign(t, v)) / DAMP : 0)
#include "prox.h"
