/* Magnitudes first, signs afterwards from an input that is no longer there. */
#define NAME "in_place_broken"
#define VALUE (fabs(v) <= t ? 0 : (fabs(v) - t) / DAMP)
#define AFTER for (int64_t i = 0; i < n; i++) put(out, i, copysign(pudle_entry(&(pudle_cview){ out->data, out->dtype, 1, { n }, { 1 } }, i), pudle_entry(in, i)));
#include "prox.h"
