/* The dead zone is promised half as wide again. */
#define NAME "wrong_dead_zone"
#define ZONE 1.5 * theta[0]
#include "prox.h"
