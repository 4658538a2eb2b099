/* Its derivative takes the step for no more than 2. */
#define NAME "large_step"
#define DERIVATIVE (fabs(v) <= t ? 0 : 1 / (1 + fmin(tau, 2) * o->mu))
#include "prox.h"
