/* A kind that does not exist. */
#define NAME "unknown_kind"
#define KIND 9
#include "good.h"
