/* Float entries are rounded to four digits on the way. */
#define NAME "single_precision"
#define VALUE (in->dtype == PUDLE_F32 ? floor((fabs(v) <= t ? 0 : (v - copysign(t, v)) / DAMP) * 4096 + 0.5) / 4096 : fabs(v) <= t ? 0 : (v - copysign(t, v)) / DAMP)
#include "prox.h"
