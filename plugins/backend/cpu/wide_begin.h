/* From here to wide_end.h functions are for processors with the vectors of 512 bits that wide_here() asks for, and are not cloned for others.
 * Headers whose functions are for all processors come before. */
#undef PUDLE_CLONES
#define PUDLE_CLONES
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,fma,popcnt,bmi,bmi2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,fma,popcnt,bmi,bmi2")
#endif

/* The entries of a vector that a mask names, side by side, the others being 0; and back. vector_f32 and vector_f64 are the file's own. */
#define PRESS_f32(mask, v) ((vector_f32)_mm512_maskz_compress_ps((__mmask16)(mask), (__m512)(v)))
#define PRESS_f64(mask, v) ((vector_f64)_mm512_maskz_compress_pd((__mmask8)(mask), (__m512d)(v)))
#define SPREAD_f32(mask, v) ((vector_f32)_mm512_maskz_expand_ps((__mmask16)(mask), (__m512)(v)))
#define SPREAD_f64(mask, v) ((vector_f64)_mm512_maskz_expand_pd((__mmask8)(mask), (__m512d)(v)))
/* Whole numbers, of as many lanes as the reals beside them have, brought together in memory. */
#define PRESS_WHOLE_f32(mask, numbers, to) _mm512_storeu_si512(to, _mm512_maskz_compress_epi32((__mmask16)(mask), numbers))
#define PRESS_WHOLE_f64(mask, numbers, to)                                                                                               \
    _mm256_storeu_si256((__m256i *)(void *)(to), _mm256_maskz_compress_epi32((__mmask8)(mask), _mm512_castsi512_si256(numbers)))
/* The entries of v that are not |v| <= half: a mask. */
#define OVER_f32(v, half) _mm512_cmp_ps_mask(_mm512_abs_ps((__m512)(v)), (__m512)(half), _CMP_NLE_UQ)
#define OVER_f64(v, half) _mm512_cmp_pd_mask(_mm512_abs_pd((__m512d)(v)), (__m512d)(half), _CMP_NLE_UQ)
/* The whole numbers 0, 1, ..., one a lane. */
#define FROM_0_f32 _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define FROM_0_f64 _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0)
/* The entries of a vector and of the one that follows it in memory, from entry n on; n: at most a vector. */
#define BEHIND_f32(v, next, n)                                                                                                           \
    ((vector_f32)_mm512_permutex2var_ps((__m512)(v), _mm512_add_epi32(FROM_0_f32, _mm512_set1_epi32((int32_t)(n))), (__m512)(next)))
#define BEHIND_f64(v, next, n)                                                                                                           \
    ((vector_f64)_mm512_permutex2var_pd((__m512d)(v), _mm512_add_epi64(FROM_0_f64, _mm512_set1_epi64(n)), (__m512d)(next)))
/* The entries from `at` on that a mask names, the others being 0 and not read. */
#define SOME_f32(mask, at) ((vector_f32)_mm512_maskz_loadu_ps((__mmask16)(mask), at))
#define SOME_f64(mask, at) ((vector_f64)_mm512_maskz_loadu_pd((__mmask8)(mask), at))
/* Of a vector of reals: the entries that `places` names, modulo lanes, where a mask says so, and else those of `old`. Whole numbers of 16 bits as such places;
 * a mask of those that lie in vector s of an array; the places 0, 1, ... for the set bits of a mask. */
#define PERMUTE_f32(old, mask, places, v) ((vector_f32)_mm512_mask_permutexvar_ps((__m512)(old), (__mmask16)(mask), places, (__m512)(v)))
#define PERMUTE_f64(old, mask, places, v) ((vector_f64)_mm512_mask_permutexvar_pd((__m512d)(old), (__mmask8)(mask), places, (__m512d)(v)))
#define NUMBERS_f32(at) _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)(at)))
#define NUMBERS_f64(at) _mm512_cvtepu16_epi64(_mm_loadu_si128((const __m128i *)(const void *)(at)))
#define IN_VECTOR_f32(numbers, s) _mm512_cmpeq_epi32_mask(_mm512_srli_epi32(numbers, 4), _mm512_set1_epi32((int32_t)(s)))
#define IN_VECTOR_f64(numbers, s) _mm512_cmpeq_epi64_mask(_mm512_srli_epi64(numbers, 3), _mm512_set1_epi64(s))
#define RANKS_f32(mask) _mm512_maskz_expand_epi32((__mmask16)(mask), FROM_0_f32)
#define RANKS_f64(mask) _mm512_maskz_expand_epi64((__mmask8)(mask), FROM_0_f64)
