/* An instance that counts its calls. */
#define NAME "writes_itself"
#define BEFORE { volatile double *count = (volatile double *)(uintptr_t)&o->mu; *count = *count; }
#include "prox.h"
