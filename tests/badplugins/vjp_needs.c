/* Asks the tape for something unknown. */
#define NAME "vjp_needs"
#define VJP_NEEDS 7
#include "good.h"
