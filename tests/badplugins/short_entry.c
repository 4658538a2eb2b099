/* The entry is smaller than any version of it. */
#define NAME "short_entry"
#define ENTRY_SIZE 16
#include "good.h"
