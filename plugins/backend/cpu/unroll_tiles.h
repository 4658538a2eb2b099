/* The unroll of a dense dictionary whose Gram matrix stays in the cache. */
#ifndef BACKEND_CPU_UNROLL_TILES_H
#define BACKEND_CPU_UNROLL_TILES_H

#include <pudle/unroll.h>

extern const pudle_unroll_ops cpu_unroll_tiles_ops, cpu_unroll_tiles_wide_ops; /* the second in vectors of 512 bits, where WIDE_POSSIBLE */

#endif
