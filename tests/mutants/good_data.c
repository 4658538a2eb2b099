/* The control: nothing is wrong. */
#define NAME "good_data"
#include "data.h"
