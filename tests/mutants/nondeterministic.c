/* Every other call is a little different. */
#define NAME "nondeterministic"
#define MORE static int calls;
#define BEFORE calls++;
#define VALUE (fabs(v) <= t ? 0 : (v - copysign(t, v)) / DAMP * (1 + (calls & 1) * 1e-15))
#include "prox.h"
