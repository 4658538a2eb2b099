/* The entry before the first is written. */
#define NAME "underrun"
#define AFTER put(out, -1, 0);
#include "prox.h"
