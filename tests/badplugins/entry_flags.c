/* Flags that nobody has defined. */
#define NAME "entry_flags"
#define ENTRY_FLAGS 4
#include "good.h"
