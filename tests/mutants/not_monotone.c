/* Large entries become 0, small ones stay: the prox of nothing. */
#define NAME "not_monotone"
#define CAPS PUDLE_PROX_SEPARABLE | PUDLE_PROX_INPLACE
#define VALUE (fabs(v) > t ? 0 * v : v)
#define DERIVATIVE (fabs(v) > t ? 0 : 1)
#define LEVEL 0
#define ZONE 0 * theta[0]
#define NO_PENALTY
#include "prox.h"
