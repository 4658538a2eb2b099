/* Needs something that only a later host has. */
#define NAME "next_minor"
#define ENTRY_MINOR (PUDLE_ABI_MINOR + 1)
#include "good.h"
