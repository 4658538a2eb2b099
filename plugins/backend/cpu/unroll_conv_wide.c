/* unroll_conv.c once more, in vectors of 512 bits, for processors that have them: half of the loads and multiply-adds. */
#include "unroll_conv.h"
#include "unroll_parts.h"
#include "wide.h"

#ifdef WIDE_POSSIBLE
#include <immintrin.h>
#include <stdlib.h>
#undef PUDLE_CLONES
#define PUDLE_CLONES
#define CONV_VECTOR 64
#define CONV_OPS cpu_unroll_conv_wide_ops
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,fma,popcnt"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,fma,popcnt")
#endif
#include "unroll_conv.c"
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
