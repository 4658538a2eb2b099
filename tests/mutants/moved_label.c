/* A label belongs to the place in the request, not to the sample. */
#define NAME "moved_label"
#define LABEL k
#include "data.h"
