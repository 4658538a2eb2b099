/* No functions. */
#define NAME "null_ops"
#define OPS NULL
#include "good.h"
