/* A loss that is not convex and says that it is. */
#define NAME "false_convex_loss"
#define F (pudle_cos(eta))
#define DF (-pudle_cos(eta - (real)1.5707963267948966))
#define DDF (-pudle_cos(eta))
#define CONSTANT 1
#include "loss.h"
