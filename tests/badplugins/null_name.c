/* No name. */
#define NAME NULL
#include "good.h"
