/* The curvature is said not to depend on the prediction. */
#define NAME "false_quadratic"
#define CAPS PUDLE_LOSS_CONVEX | PUDLE_LOSS_SEPARABLE | PUDLE_LOSS_QUADRATIC
#include "loss.h"
