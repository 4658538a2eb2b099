/* A tenth too much. */
#define NAME "wrong_derivative"
#define DERIVATIVE (fabs(v) <= t ? 0 : 1.1 / DAMP)
#include "prox.h"
