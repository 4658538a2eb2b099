/* A name that no config could hold. */
#define NAME "Shouting-Name"
#include "good.h"
