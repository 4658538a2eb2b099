/* From here to wide_end.h functions are for processors with the vectors of 512 bits that wide_here() asks for, and are not cloned for others.
 * Headers whose functions are for all processors come before. */
#undef PUDLE_CLONES
#define PUDLE_CLONES
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,fma,popcnt"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,fma,popcnt")
#endif
