/* plugins/backend/cpu/wide_bytes.h - products of bytes in vectors of 512 bits, for the processors that have instructions for them: four times
 * as many multiply-adds as of single precision. */
#ifndef BACKEND_CPU_WIDE_BYTES_H
#define BACKEND_CPU_WIDE_BYTES_H

#include <stdbool.h>
#include <stdint.h>

enum {
    BYTES_PANEL = 16,          /* columns of B that lie side by side */
    BYTES_GROUP = 4,           /* inner indices of one column that lie side by side */
    BYTES_ZERO = 128,          /* what stands for 0 in B */
    BYTES_LONGEST = 65536      /* inner indices: with more, a sum of 255 * 127 could leave 32 bits */
};

/** Does this processor have them: AVX-512 VNNI, beside what wide_here() asks for? */
bool bytes_here(void);

/** C (rows, 16 panels) <- A B. A (rows, 4 groups) has signed bytes, its rows lda apart (a multiple of 4); B unsigned ones, by panels, groups,
 *  16 columns and 4 inner indices, at an address that is a multiple of 64; C whole numbers, ldc apart. All sizes >= 1, and 4 groups at
 *  most BYTES_LONGEST: the sums are exact. On the calling thread. */
void bytes_product(int64_t rows, int64_t panels, int64_t groups, const int8_t *A, int64_t lda, const uint8_t *B, int32_t *C, int64_t ldc);

#endif
