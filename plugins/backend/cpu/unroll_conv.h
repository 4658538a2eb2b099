/* plugins/backend/cpu/unroll_conv.h - the unroll of a convolutional dictionary; see unroll_conv.c for how. */
#ifndef BACKEND_CPU_UNROLL_CONV_H
#define BACKEND_CPU_UNROLL_CONV_H

#include <pudle/unroll.h>

extern const pudle_unroll_ops cpu_unroll_conv_ops, cpu_unroll_conv_wide_ops; /* the second in vectors of 512 bits, where WIDE_POSSIBLE */

#endif
