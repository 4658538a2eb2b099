/* The entries of an atom are counted by a division. */
#define NAME "crash_on_empty"
#define BEFORE { volatile int64_t each = n / s.atoms; (void)each; }
#include "prox.h"
