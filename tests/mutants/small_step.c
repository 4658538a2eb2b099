/* Its derivative takes the step for no less than 0.02. */
#define NAME "small_step"
#define DERIVATIVE (fabs(v) <= t ? 0 : 1 / (1 + fmax(tau, 0.02) * o->mu))
#include "prox.h"
