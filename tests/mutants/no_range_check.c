/* A sample that does not exist is made up. */
#define NAME "no_range_check"
#define INDEX_OK index < INT64_MAX
#include "data.h"
