/* unroll_tiles.c once more, in vectors of 512 bits, for processors that have them: half of the loads and multiply-adds. */
#include "unroll.h"
#include "unroll_gram.h"
#include "unroll_parts.h"
#include "unroll_tiles.h"
#include "wide.h"

#ifdef WIDE_POSSIBLE
#include <immintrin.h>
#include <unistd.h>
#undef UNROLL_CLONES
#define UNROLL_CLONES
#undef PUDLE_CLONES
#define PUDLE_CLONES
#define TILES_VECTOR 64
#define TILES_OPS cpu_unroll_tiles_wide_ops
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,fma,popcnt"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,fma,popcnt")
#endif
#include "unroll_tiles.c"
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
