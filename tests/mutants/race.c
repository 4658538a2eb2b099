/* The input is kept in static memory while the output is made. */
#define NAME "race"
#define MORE static double kept[1 << 20];
#define BEFORE for (int64_t i = 0; i < n; i++) kept[i] = pudle_entry(in, i);
#define VALUE (fabs(kept[i]) <= t ? 0 * v : (kept[i] - copysign(t, kept[i])) / DAMP)
#include "prox.h"
