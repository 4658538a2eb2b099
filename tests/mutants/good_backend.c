/* The control: nothing is replaced. */
#define NAME "good_backend"
#define MORE
#define REPLACE
#include "backend.h"
