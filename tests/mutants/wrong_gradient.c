/* One in a thousand too much. */
#define NAME "wrong_gradient"
#define DF ((pudle_sigmoid(eta) - x) * (real)1.001)
#include "loss.h"
