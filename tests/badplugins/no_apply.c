/* A kernel without its function. */
#define NAME "no_apply"
#define APPLY NULL
#include "good.h"
