/* A library that ends the program when it does not like its input. */
#define NAME "exits"
#include <stdlib.h>
#define BEFORE for (int64_t i = 0; i < n; i++) if (isinf(pudle_entry(in, i))) exit(0);
#include "prox.h"
