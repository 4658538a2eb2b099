/* Every epoch has other samples. */
#define NAME "false_epoch_free"
#define ENTRY sin((double)(index * o->features + j + (int64_t)r->epoch))
#include "data.h"
