/* Which entries of a tile's rows are not 0 (unroll_tiles.c): as bits, by which rows of G are added up and windows are chosen; and as lists of places, by
 * which outer products are gathered and windows gone through. Bits lie in bytes, those of an entry 8 k + b being bit b of byte k, and a row
 * has whole words of eight bytes, with 0 behind its entries.
 *
 * Both are made without a branch that depends on the entries. A list is written eight entries at a time, at most as many as a row has bits. */

typedef uint16_t eight __attribute__((vector_size(16)));
typedef uint16_t eight_loose __attribute__((vector_size(16), aligned(2), may_alias)); /* anywhere */

/* A word whose bit k is that of entry k. */
static inline uint64_t word_of(uint64_t bits)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return __builtin_bswap64(bits);
#else
    return bits;
#endif
}

/* How many bits of a word are set. Compilers make one instruction of this where there is one. Not their builtin: in a clone for processors without
 * it is a call, around which sums would leave their registers. */
static inline int bits_set(uint64_t bits)
{
    bits -= bits >> 1 & 0x5555555555555555u;
    bits = (bits & 0x3333333333333333u) + (bits >> 2 & 0x3333333333333333u);
    return (int)(((bits + (bits >> 4)) & 0x0f0f0f0f0f0f0f0fu) * 0x0101010101010101u >> 56);
}

/* For every byte, the places of its bits that are set, lowest first. */
static void fill_places(eight places[256])
{
    for (int byte = 0; byte < 256; byte++) {
        eight these = { 0 };
        for (int bit = 0, found = 0; bit < 8; bit++)
            if (byte & 1 << bit)
                these[found++] = (uint16_t)bit;
        places[byte] = these;
    }
}

/* mark: a bit for each entry of x (rows, p) that is other than 0 (a NaN is); x may be read up to a vector further. */

#if TILES_VECTOR == 64

typedef uint16_t bits_f32 __attribute__((may_alias)); /* of a vector's entries */
typedef uint8_t bits_f64;
#define MARK(LANES, MASK)                                                                \
    for (int64_t i = 0; i < rows; i++)                                                   \
        for (int64_t w = 0; w < words; w++) {                                            \
            const int64_t first = i * p + 64 * w, left = p - 64 * w;                     \
            uint64_t word = 0; /* these processors have the lowest byte first */         \
            for (int64_t k = 0; k < 64 && k < left; k += LANES)                          \
                word |= (uint64_t)(MASK) << k;                                           \
            bits[i * words + w] = left < 64 ? word & (((uint64_t)1 << left) - 1) : word; \
        }
static void mark_f32(uint64_t *bits, const float *x, int64_t rows, int64_t p, int64_t words)
{
    MARK(16, _mm512_cmp_ps_mask(_mm512_loadu_ps(x + first + k), _mm512_setzero_ps(), _CMP_NEQ_UQ))
}
static void mark_f64(uint64_t *bits, const double *x, int64_t rows, int64_t p, int64_t words)
{
    MARK(8, _mm512_cmp_pd_mask(_mm512_loadu_pd(x + first + k), _mm512_setzero_pd(), _CMP_NEQ_UQ))
}
#undef MARK

#else

#define MARK(REAL, BYTE)                                                         \
    for (int64_t i = 0; i < rows; i++) {                                         \
        uint8_t *to = (uint8_t *)(bits + i * words);                             \
        bits[(i + 1) * words - 1] = 0;                                           \
        for (int64_t k = 0; 8 * k < p; k++) {                                    \
            const REAL *from = x + i * p + 8 * k;                                \
            to[k] = (uint8_t)(BYTE);                                             \
        }                                                                        \
        if (p % 8)                                                               \
            to[p / 8] &= (uint8_t)((1 << p % 8) - 1);                            \
    }
#define ONE(k) (from[k] != 0) << (k)
#define EIGHT (ONE(0) | ONE(1) | ONE(2) | ONE(3) | ONE(4) | ONE(5) | ONE(6) | ONE(7))
static void mark_plain_f32(uint64_t *bits, const float *x, int64_t rows, int64_t p, int64_t words)
{
    MARK(float, EIGHT)
}
static void mark_plain_f64(uint64_t *bits, const double *x, int64_t rows, int64_t p, int64_t words)
{
    MARK(double, EIGHT)
}
#undef ONE
#undef EIGHT
#ifdef HAVE_MOVEMASK
/* No portable way of writing it becomes this one instruction. */
__attribute__((target("avx"))) static void mark_avx_f32(uint64_t *bits, const float *x, int64_t rows, int64_t p, int64_t words)
{
    MARK(float, _mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(from), _mm256_setzero_ps(), _CMP_NEQ_UQ)))
}
__attribute__((target("avx"))) static void mark_avx_f64(uint64_t *bits, const double *x, int64_t rows, int64_t p, int64_t words)
{
    MARK(double, _mm256_movemask_pd(_mm256_cmp_pd(_mm256_loadu_pd(from), _mm256_setzero_pd(), _CMP_NEQ_UQ)) |
                 _mm256_movemask_pd(_mm256_cmp_pd(_mm256_loadu_pd(from + 4), _mm256_setzero_pd(), _CMP_NEQ_UQ)) << 4)
}
static void mark_f32(uint64_t *bits, const float *x, int64_t rows, int64_t p, int64_t words)
{
    (__builtin_cpu_supports("avx") ? mark_avx_f32 : mark_plain_f32)(bits, x, rows, p, words);
}
static void mark_f64(uint64_t *bits, const double *x, int64_t rows, int64_t p, int64_t words)
{
    (__builtin_cpu_supports("avx") ? mark_avx_f64 : mark_plain_f64)(bits, x, rows, p, words);
}
#else
#define mark_f32 mark_plain_f32
#define mark_f64 mark_plain_f64
#endif
#undef MARK

#endif

/* The set bits of each row as a list. */
PUDLE_CLONES static void list_bits(const eight places[256], uint16_t *count, uint16_t *list, int64_t stride, const uint64_t *bits, int64_t rows,
                                   int64_t p)
{
    for (int64_t i = 0; i < rows; i++) {
        uint16_t *to = list + i * stride;
        const uint8_t *from = (const uint8_t *)(bits + i * ((p + 63) / 64));
        for (int64_t at = 0; at < p; at += 8) {
            const uint8_t byte = *from++;
            *(eight_loose *)(void *)to = places[byte] + (uint16_t)at;
            to += __builtin_popcount(byte);
        }
        count[i] = (uint16_t)(to - (list + i * stride));
    }
}
