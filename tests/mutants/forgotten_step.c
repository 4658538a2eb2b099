/* The damping does not know the step; value, derivative and level agree with each other. */
#define NAME "forgotten_step"
#define DAMP (1 + o->mu)
#include "prox.h"
