/* The stride of the option table is too small. */
#define NAME "short_option"
#define OPTION_SIZE 24
#include "good.h"
