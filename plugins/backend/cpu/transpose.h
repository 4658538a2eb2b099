/* plugins/backend/cpu/transpose.h - transposed copies. */
#ifndef BACKEND_CPU_TRANSPOSE_H
#define BACKEND_CPU_TRANSPOSE_H

#include <stdint.h>

/** to[j][i] = from[i][j] for i < rows, j < cols; rows of `to` and `from` lie so many entries apart. The two do not overlap. */
void cpu_transpose_f32(float *to, int64_t to_stride, const float *from, int64_t from_stride, int64_t rows, int64_t cols);
void cpu_transpose_f64(double *to, int64_t to_stride, const double *from, int64_t from_stride, int64_t rows, int64_t cols);

#endif
