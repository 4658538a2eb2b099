/* The control: nothing is wrong. */
#define NAME "good"
#include "good.h"
