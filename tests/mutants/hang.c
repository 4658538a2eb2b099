/* A search that never ends when a NaN is what it looks for. */
#define NAME "hang"
#define BEFORE for (int64_t i = 0; i < n; i++) { volatile double x = pudle_entry(in, i); while (x != x) x = x + 1; }
#include "prox.h"
