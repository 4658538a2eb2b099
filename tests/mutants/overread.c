/* One entry too many is read. */
#define NAME "overread"
#define AFTER { volatile double x = pudle_entry(in, n); (void)x; }
#include "prox.h"
