/* The control: nothing is wrong. */
#define NAME "good_loss"
#include "loss.h"
