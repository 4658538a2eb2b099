/* Levels of convolutional codes are read as if the codes were dense. */
#define NAME "conv_level"
#define ATOM (i % s.atoms)
#include "prox.h"
