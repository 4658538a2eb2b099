/* The value is taken from the output before the output is written. */
#define NAME "old_output"
#define VALUE (fabs(v) <= t ? 0 * pudle_entry(&(pudle_cview){ out->data, out->dtype, 1, { n }, { 1 } }, i) : (v - copysign(t, v)) / DAMP)
#include "prox.h"
