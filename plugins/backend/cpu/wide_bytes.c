/* Products of bytes (wide_bytes.h). As in wide.c a tile of 6 rows and 4 vectors of C stays in registers; a vector of B holds four inner
 * indices of 16 columns, and an instruction multiplies them by four of A's row, and adds. */
#include "wide_bytes.h"
#include "wide.h"

#ifdef WIDE_POSSIBLE
#include <immintrin.h>
#include <string.h>

enum { TILE_ROWS = 6, TILE_PANELS = 4 };

#define BYTES __attribute__((target("avx512f,avx512vnni")))

bool bytes_here(void)
{
    return wide_here() && __builtin_cpu_supports("avx512vnni");
}

typedef void tile_of(int64_t groups, const int8_t *A, int64_t lda, const uint8_t *B, int32_t *C, int64_t ldc);

/* `rows` and `panels` are constants where this is inlined. */
BYTES __attribute__((always_inline)) static inline void tile(int rows, int panels, int64_t groups, const int8_t *A, int64_t lda, const uint8_t *B,
                                                             int32_t *C, int64_t ldc)
{
    __m512i sum[TILE_ROWS][TILE_PANELS];
    UNROLL_ALL
    for (int i = 0; i < rows; i++)
        UNROLL_ALL
        for (int j = 0; j < panels; j++)
            sum[i][j] = _mm512_setzero_si512();
    for (int64_t k = 0; k < groups; k++) {
        __m512i columns[TILE_PANELS];
        UNROLL_ALL
        for (int j = 0; j < panels; j++)
            columns[j] = _mm512_load_si512(B + (j * groups + k) * BYTES_PANEL * BYTES_GROUP);
        UNROLL_ALL
        for (int i = 0; i < rows; i++) {
            int32_t four;
            memcpy(&four, A + i * lda + k * BYTES_GROUP, sizeof four);
            const __m512i factor = _mm512_set1_epi32(four);
            UNROLL_ALL
            for (int j = 0; j < panels; j++) /* by name: gcc 12 sends the sums of its intrinsic through memory */
                __asm__("vpdpbusd %2, %1, %0" : "+v"(sum[i][j]) : "v"(columns[j]), "v"(factor));
        }
    }
    UNROLL_ALL
    for (int i = 0; i < rows; i++)
        UNROLL_ALL
        for (int j = 0; j < panels; j++)
            _mm512_storeu_si512(C + i * ldc + j * BYTES_PANEL, sum[i][j]);
}

#define TILE(R, P)                                                                                                                 \
    BYTES static void tile_##R##_##P(int64_t groups, const int8_t *A, int64_t lda, const uint8_t *B, int32_t *C, int64_t ldc)     \
    {                                                                                                                              \
        tile(R, P, groups, A, lda, B, C, ldc);                                                                                     \
    }
#define TILES(R) TILE(R, 1) TILE(R, 2) TILE(R, 3) TILE(R, 4)
TILES(1)
TILES(2)
TILES(3)
TILES(4)
TILES(5)
TILES(6)
#undef TILES
#undef TILE

#define TILES(R) { tile_##R##_1, tile_##R##_2, tile_##R##_3, tile_##R##_4 }
static tile_of *const tiles[TILE_ROWS][TILE_PANELS] = { TILES(1), TILES(2), TILES(3), TILES(4), TILES(5), TILES(6) };
#undef TILES

void bytes_product(int64_t rows, int64_t panels, int64_t groups, const int8_t *A, int64_t lda, const uint8_t *B, int32_t *C, int64_t ldc)
{
    const int64_t blocks = (rows + TILE_ROWS - 1) / TILE_ROWS;
    for (int64_t q = 0; q < panels; q += TILE_PANELS) {
        const int64_t wide = panels - q < TILE_PANELS ? panels - q : TILE_PANELS;
        for (int64_t i = 0; i < blocks; i++) { /* of nearly equal height */
            const int64_t first = i * rows / blocks, height = (i + 1) * rows / blocks - first;
            tiles[height - 1][wide - 1](groups, A + first * lda, lda, B + q * groups * BYTES_PANEL * BYTES_GROUP, C + first * ldc + q * BYTES_PANEL, ldc);
        }
    }
}

#else

bool bytes_here(void)
{
    return false;
}

void bytes_product(int64_t rows, int64_t panels, int64_t groups, const int8_t *A, int64_t lda, const uint8_t *B, int32_t *C, int64_t ldc)
{
    (void)rows, (void)panels, (void)groups, (void)A, (void)lda, (void)B, (void)C, (void)ldc;
}
#endif
