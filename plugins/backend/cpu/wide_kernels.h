/* The products of wide.c for one type; included with REAL, NAME, LANES (entries of a vector), and the instructions. */

typedef void NAME(tile_of)(int64_t inner, REAL a, const REAL *A, int64_t row_step, int64_t inner_step, const REAL *B, int64_t ldb,
                           MASK last, REAL b, REAL *C, int64_t ldc);

/* A tile of C: `rows` rows of `vectors` vectors, of whose last one the entries in `last` alone exist. Both are constants where this is
 * inlined, and the sums stay in registers: for every k a few loads of B, a broadcast a row, and rows * vectors multiply-adds. */
WIDE_INLINE void NAME(tile)(int rows, int vectors, int64_t inner, REAL a, const REAL *A, int64_t row_step, int64_t inner_step, const REAL *B,
                            int64_t ldb, MASK last, REAL b, REAL *C, int64_t ldc)
{
    VECTOR sum[WIDE_ROWS][WIDE_VECTORS];
    UNROLL_ALL
    for (int i = 0; i < rows; i++)
        UNROLL_ALL
        for (int j = 0; j < vectors; j++)
            sum[i][j] = ZERO();
    for (int64_t k = 0; k < inner; k++) {
        VECTOR row[WIDE_VECTORS];
        UNROLL_ALL
        for (int j = 0; j < vectors; j++)
            row[j] = j + 1 < vectors ? LOAD(B + k * ldb + j * LANES) : LOAD_SOME(last, B + k * ldb + j * LANES);
        UNROLL_ALL
        for (int i = 0; i < rows; i++) {
            const VECTOR factor = SAME(A[i * row_step + k * inner_step]);
            UNROLL_ALL
            for (int j = 0; j < vectors; j++)
                sum[i][j] = FUSED(factor, row[j], sum[i][j]);
        }
    }
    const VECTOR va = SAME(a), vb = SAME(b);
    UNROLL_ALL
    for (int i = 0; i < rows; i++)
        UNROLL_ALL
        for (int j = 0; j < vectors; j++) {
            REAL *to = C + i * ldc + j * LANES;
            const MASK some = j + 1 < vectors ? (MASK)-1 : last;
            const VECTOR value = TIMES(va, sum[i][j]);
            STORE_SOME(to, some, b == 0 ? value : FUSED(vb, LOAD_SOME(some, to), value));
        }
}

#define TILE(R, V)                                                                                                                        \
    WIDE static void NAME(tile_##R##_##V)(int64_t inner, REAL a, const REAL *A, int64_t row_step, int64_t inner_step, const REAL *B,     \
                                          int64_t ldb, MASK last, REAL b, REAL *C, int64_t ldc)                                          \
    {                                                                                                                                     \
        NAME(tile)(R, V, inner, a, A, row_step, inner_step, B, ldb, last, b, C, ldc);                                                     \
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

#define TILES(R) { NAME(tile_##R##_1), NAME(tile_##R##_2), NAME(tile_##R##_3), NAME(tile_##R##_4) }
static NAME(tile_of) *const NAME(tiles)[WIDE_ROWS][WIDE_VECTORS] = { TILES(1), TILES(2), TILES(3), TILES(4), TILES(5), TILES(6) };
#undef TILES

void NAME(wide_product)(int64_t rows, int64_t cols, int64_t inner, REAL a, const REAL *A, int64_t row_step, int64_t inner_step,
                        const REAL *B, int64_t ldb, REAL b, REAL *C, int64_t ldc)
{
    const int64_t blocks = (rows + WIDE_ROWS - 1) / WIDE_ROWS, strip = WIDE_VECTORS * LANES;
    for (int64_t j = 0; j < cols; j += strip) {
        const int64_t wide = cols - j < strip ? cols - j : strip, vectors = (wide + LANES - 1) / LANES, whole = (vectors - 1) * LANES;
        const MASK last = (MASK)(((uint32_t)1 << (wide - whole)) - 1);
        for (int64_t k = 0; k < inner; k += WIDE_INNER) {
            const int64_t depth = inner - k < WIDE_INNER ? inner - k : WIDE_INNER;
            for (int64_t i = 0; i < blocks; i++) { /* of nearly equal height */
                const int64_t first = i * rows / blocks, height = (i + 1) * rows / blocks - first;
                NAME(tiles)[height - 1][vectors - 1](depth, a, A + first * row_step + k * inner_step, row_step, inner_step, B + k * ldb + j, ldb,
                                                    last, k ? 1 : b, C + first * ldc + j, ldc);
            }
        }
    }
}
