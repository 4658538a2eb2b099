/* The descriptor has another name than the file. */
#define NAME "my_other_name"
#include "good.h"
