/* Transposed copies (transpose.h), by squares of a vector's width that are turned in registers: neighbours change places by pairs, then
 * pairs by pairs of pairs. */
#include "transpose.h"
#include "unroll_parts.h"

/* Compilers before these have no shuffles of vectors in common; they copy entry by entry. */
#if defined(__clang__) || (defined(__GNUC__) && __GNUC__ >= 12)
#define SHUFFLES
#endif

typedef float f32x8 __attribute__((vector_size(32)));
typedef float f32x8_loose __attribute__((vector_size(32), aligned(4), may_alias));
typedef double f64x4 __attribute__((vector_size(32)));
typedef double f64x4_loose __attribute__((vector_size(32), aligned(8), may_alias));

#ifdef SHUFFLES
static inline __attribute__((always_inline)) void square_f32(float *to, int64_t to_stride, const float *from, int64_t from_stride)
{
    f32x8 a[8], b[8];
    for (int i = 0; i < 8; i++)
        a[i] = *(const f32x8_loose *)(const void *)(from + i * from_stride);
    for (int i = 0; i < 8; i += 2) {
        b[i] = __builtin_shufflevector(a[i], a[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        b[i + 1] = __builtin_shufflevector(a[i], a[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    for (int i = 0; i < 8; i += 4)
        for (int k = 0; k < 2; k++) {
            a[i + 2 * k] = __builtin_shufflevector(b[i + k], b[i + k + 2], 0, 1, 8, 9, 4, 5, 12, 13);
            a[i + 2 * k + 1] = __builtin_shufflevector(b[i + k], b[i + k + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    for (int i = 0; i < 4; i++) {
        *(f32x8_loose *)(void *)(to + i * to_stride) = __builtin_shufflevector(a[i], a[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        *(f32x8_loose *)(void *)(to + (i + 4) * to_stride) = __builtin_shufflevector(a[i], a[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}

static inline __attribute__((always_inline)) void square_f64(double *to, int64_t to_stride, const double *from, int64_t from_stride)
{
    f64x4 a[4], b[4];
    for (int i = 0; i < 4; i++)
        a[i] = *(const f64x4_loose *)(const void *)(from + i * from_stride);
    for (int i = 0; i < 4; i += 2) {
        b[i] = __builtin_shufflevector(a[i], a[i + 1], 0, 4, 2, 6);
        b[i + 1] = __builtin_shufflevector(a[i], a[i + 1], 1, 5, 3, 7);
    }
    for (int i = 0; i < 2; i++) {
        *(f64x4_loose *)(void *)(to + i * to_stride) = __builtin_shufflevector(b[i], b[i + 2], 0, 1, 4, 5);
        *(f64x4_loose *)(void *)(to + (i + 2) * to_stride) = __builtin_shufflevector(b[i], b[i + 2], 2, 3, 6, 7);
    }
}
#else
#define SQUARE(NAME, REAL, N)                                                                             \
    static inline void NAME(REAL *to, int64_t to_stride, const REAL *from, int64_t from_stride)           \
    {                                                                                                     \
        for (int i = 0; i < (N); i++)                                                                     \
            for (int j = 0; j < (N); j++)                                                                 \
                to[j * to_stride + i] = from[i * from_stride + j];                                        \
    }
SQUARE(square_f32, float, 8)
SQUARE(square_f64, double, 4)
#endif

/* Compiled for several processors under a name of its own: clang before 15 gives clones that others call another one. */
#define TRANSPOSE(NAME, REAL, N, square)                                                                                              \
    UNROLL_CLONES static void NAME##_here(REAL *to, int64_t to_stride, const REAL *from, int64_t from_stride, int64_t rows, int64_t cols) \
    {                                                                                                                                 \
        int64_t j = 0;                                                                                                                \
        for (; j + (N) <= cols; j += (N)) {                                                                                           \
            int64_t i = 0;                                                                                                            \
            for (; i + (N) <= rows; i += (N))                                                                                         \
                square(to + j * to_stride + i, to_stride, from + i * from_stride + j, from_stride);                                   \
            for (; i < rows; i++)                                                                                                     \
                for (int x = 0; x < (N); x++)                                                                                         \
                    to[(j + x) * to_stride + i] = from[i * from_stride + j + x];                                                      \
        }                                                                                                                             \
        for (; j < cols; j++)                                                                                                         \
            for (int64_t i = 0; i < rows; i++)                                                                                        \
                to[j * to_stride + i] = from[i * from_stride + j];                                                                    \
    }                                                                                                                                 \
    void NAME(REAL *to, int64_t to_stride, const REAL *from, int64_t from_stride, int64_t rows, int64_t cols)                         \
    {                                                                                                                                 \
        NAME##_here(to, to_stride, from, from_stride, rows, cols);                                                                    \
    }
TRANSPOSE(cpu_transpose_f32, float, 8, square_f32)
TRANSPOSE(cpu_transpose_f64, double, 4, square_f64)
