/* Matrix products of a B that lies by rows, in vectors of 512 bits (wide.h).
 *
 * Why they are here beside BLIS: its thin kernels, which multiply without packing, are for AVX2; on a processor that computes twice as
 * much in vectors of 512 bits they reach half of it, and its kernels for AVX-512 pack both factors, which costs a product of few rows
 * more than it gains (docs/decisions/0011).
 *
 * A tile of 6 rows and 4 vectors fills 24 of the 32 registers with sums; a broadcast of A serves four multiply-adds, and a vector of B
 * six. Nothing is packed: a strip of B, WIDE_INNER rows of 256 bytes, stays in the second-level cache while the rows of A go by. */
#include "wide.h"

#ifdef WIDE_POSSIBLE
#include <immintrin.h>

enum { WIDE_ROWS = 6, WIDE_VECTORS = 4, WIDE_INNER = 256 };

#define WIDE __attribute__((target("avx512f")))
#define WIDE_INLINE WIDE __attribute__((always_inline)) static inline

bool wide_here(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2");
}

#define REAL float
#define NAME(x) x##_f32
#define LANES 16
#define VECTOR __m512
#define MASK __mmask16
#define ZERO _mm512_setzero_ps
#define SAME _mm512_set1_ps
#define LOAD _mm512_loadu_ps
#define LOAD_SOME _mm512_maskz_loadu_ps
#define STORE_SOME _mm512_mask_storeu_ps
#define TIMES _mm512_mul_ps
#define FUSED _mm512_fmadd_ps
#include "wide_kernels.h"
#undef REAL
#undef NAME
#undef LANES
#undef VECTOR
#undef MASK
#undef ZERO
#undef SAME
#undef LOAD
#undef LOAD_SOME
#undef STORE_SOME
#undef TIMES
#undef FUSED

#define REAL double
#define NAME(x) x##_f64
#define LANES 8
#define VECTOR __m512d
#define MASK __mmask8
#define ZERO _mm512_setzero_pd
#define SAME _mm512_set1_pd
#define LOAD _mm512_loadu_pd
#define LOAD_SOME _mm512_maskz_loadu_pd
#define STORE_SOME _mm512_mask_storeu_pd
#define TIMES _mm512_mul_pd
#define FUSED _mm512_fmadd_pd
#include "wide_kernels.h"

#else

bool wide_here(void)
{
    return false;
}

#define NONE(NAME, REAL)                                                                                                                   \
    void NAME(int64_t rows, int64_t cols, int64_t inner, REAL a, const REAL *A, int64_t row_step, int64_t inner_step, const REAL *B,       \
              int64_t ldb, REAL b, REAL *C, int64_t ldc)                                                                                   \
    {                                                                                                                                      \
        (void)rows, (void)cols, (void)inner, (void)a, (void)A, (void)row_step, (void)inner_step, (void)B, (void)ldb, (void)b, (void)C;     \
        (void)ldc;                                                                                                                         \
    }
NONE(wide_product_f32, float)
NONE(wide_product_f64, double)
#endif
