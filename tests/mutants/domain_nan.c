/* A target is allowed for which the loss is not a number. */
#define NAME "domain_nan"
#define F (pudle_softplus(eta) - x * eta + 0 * pudle_log(x + (real)0.25))
#define OK ((x >= 0 && x <= 1) || x == -1)
#include "loss.h"
