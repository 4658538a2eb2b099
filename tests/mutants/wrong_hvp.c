/* The curvature of half the argument. */
#define NAME "wrong_hvp"
#define DDF (pudle_sigmoid(eta) * pudle_sigmoid(-eta) / 2)
#include "loss.h"
