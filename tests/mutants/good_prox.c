/* The control: nothing is wrong. */
#define NAME "good_prox"
#include "prox.h"
