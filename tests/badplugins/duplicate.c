/* One plugin listed twice. */
#define NAME "duplicate"
#define ENTRY_LIST &desc, &desc, NULL
#include "good.h"
