/* Built for the next, incompatible version of the contract. */
#define NAME "next_major"
#define ENTRY_MAJOR (PUDLE_ABI_MAJOR + 1)
#include "good.h"
