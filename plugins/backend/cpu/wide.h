/* plugins/backend/cpu/wide.h - matrix products in vectors of 512 bits, for the processors that have them. */
#ifndef BACKEND_CPU_WIDE_H
#define BACKEND_CPU_WIDE_H

#include <stdbool.h>
#include <stdint.h>

/* Can the compiler make them, and products of bytes (wide_bytes.h), and ask the processor? clang says that it is gcc 4. */
#if defined(__x86_64__) && (defined(__clang__) || (defined(__GNUC__) && __GNUC__ >= 8))
#define WIDE_POSSIBLE
#endif

/* Before a loop over a tile's rows or vectors, whose number is a constant: the sums are to be registers, not an array. */
#if defined(__clang__)
#define UNROLL_ALL _Pragma("clang loop unroll(full)")
#else
#define UNROLL_ALL _Pragma("GCC unroll 8")
#endif

/** Does this processor have them: AVX-512 F, BW, VL and DQ, with FMA, POPCNT, BMI and BMI2? */
bool wide_here(void);

/** C (rows, cols) <- a A B + b C; b = 0 ignores old C, even NaN. Entry (i, k) of A is at A[i row_step + k inner_step]; B (inner, cols)
 *  and C lie by rows, ldb and ldc entries apart. All sizes >= 1. On the calling thread; how C is cut into calls does not change a bit. */
void wide_product_f32(int64_t rows, int64_t cols, int64_t inner, float a, const float *A, int64_t row_step, int64_t inner_step,
                      const float *B, int64_t ldb, float b, float *C, int64_t ldc);
void wide_product_f64(int64_t rows, int64_t cols, int64_t inner, double a, const double *A, int64_t row_step, int64_t inner_step,
                      const double *B, int64_t ldb, double b, double *C, int64_t ldc);

#endif
