/* The gradient of the level replaces what the other samples left there. */
#define NAME "level_overwritten"
#define ADD_TO =
#include "prox.h"
