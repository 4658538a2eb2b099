/* Samples without a class have a label of their own making. */
#define NAME "odd_label"
#define LABEL (index % 3 - 2)
#include "data.h"
