/* Built for an older, incompatible version of the contract. */
#define NAME "older_major"
#define ENTRY_MAJOR (PUDLE_ABI_MAJOR - 1)
#include "good.h"
