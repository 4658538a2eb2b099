/* The unroll of a dense dictionary whose Gram matrix stays in the cache. */
#ifndef BACKEND_CPU_UNROLL_SMALL_H
#define BACKEND_CPU_UNROLL_SMALL_H

#include <pudle/unroll.h>

extern const pudle_unroll_ops cpu_unroll_small_ops;

#endif
