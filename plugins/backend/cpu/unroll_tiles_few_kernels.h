/* The arithmetic of a window of unroll_tiles.c: few atoms of one row. Included twice, with REAL float and double, after unroll_tiles_kernels.h.
 *
 * Compact rows have an entry for each of these atoms and are `width` long, padded to whole vectors with 0. */

/* The atoms of a row. */
typedef struct NAME(few) {
    const uint16_t *atom; /* `count` of them; up to `width` may be read */
    const uint64_t *bits; /* the same, as bits of all atoms */
    int64_t count, width;
#if TILES_VECTOR == 64
    /* Vector c of a compact row has entries from the vectors first[c] .. past[c] - 1 of the whole row: those of mask[c][s] from vector s, at the places that
     * place[c] says. */
    __m512i place[WINDOW_VECTORS];
    int64_t first[WINDOW_VECTORS], past[WINDOW_VECTORS];
    NAME(bits) mask[WINDOW_VECTORS][UNROLL_FEW_ATOMS / L];
#endif
} NAME(few);

static void NAME(find_few)(NAME(few) *f, const uint16_t *atom, const uint64_t *bits, int64_t count, int64_t width)
{
    f->atom = atom;
    f->bits = bits;
    f->count = count;
    f->width = width;
#if TILES_VECTOR == 64
    for (int64_t c = 0; c * L < width; c++) {
        const int64_t from = c * L, some = count - from < L ? count - from : L;
        f->place[c] = NAME(NUMBERS)(atom + from);
        f->first[c] = atom[from] / L;
        f->past[c] = atom[from + some - 1] / L + 1;
        for (int64_t s = f->first[c]; s < f->past[c]; s++)
            f->mask[c][s] = (NAME(bits))(NAME(IN_VECTOR)(f->place[c], s) & ((1u << some) - 1));
    }
#endif
}

/* to[k] = row[atom[k]]; row may be read up to a vector further than p. A permutation takes a third of what bringing entries side by side one vector after the other
 * does. */
static inline __attribute__((always_inline)) void NAME(pick)(REAL *to, const REAL *row, const NAME(few) *f)
{
#if TILES_VECTOR == 64
    for (int64_t c = 0; c * L < f->width; c++) {
        NAME(vector) v = { 0 };
        for (int64_t s = f->first[c]; s < f->past[c]; s++)
            v = NAME(PERMUTE)(v, f->mask[c][s], f->place[c], LOOSE(row + s * L));
        PUT(to + c * L) = v;
    }
#else
    for (int64_t k = 0; k < f->count; k++)
        to[k] = row[f->atom[k]];
    for (int64_t k = f->count; k < f->width; k++)
        to[k] = 0;
#endif
}

/* Rows that lie `apart` entries from each other, the first `count` of them, to compact rows to_apart entries from each other. */
UNROLL_CLONES static void NAME(pick_rows)(REAL *to, int64_t to_apart, const REAL *row, int64_t apart, int64_t count, const NAME(few) *f)
{
    for (int64_t i = 0; i < count; i++)
        NAME(pick)(to + i * to_apart, row + i * apart, f);
}

/* The Gram matrix (count, width) of some atoms. */
UNROLL_CLONES static void NAME(pick_gram)(REAL *to, const REAL *gram, int64_t ld, const NAME(few) *f)
{
    for (int64_t k = 0; k < f->count; k++)
        NAME(pick)(to + k * f->width, gram + f->atom[k] * ld, f);
}

/* outer[atom[i]][atom[k]] += from[i][k]; `from` may be read up to a vector further. */
UNROLL_CLONES static void NAME(put_outer)(REAL *outer, int64_t ld, const REAL *from, const NAME(few) *f, int64_t p)
{
#if TILES_VECTOR == 64
    for (int64_t k = 0, at = 0; k < p; k += L) {
        const NAME(bits) mask = ((const NAME(bits) *)(const void *)f->bits)[k / L];
        const __m512i places = NAME(RANKS)(mask);
        for (int64_t i = 0; i < f->count; i++)
            PUT(outer + f->atom[i] * ld + k) += NAME(PERMUTE)((NAME(vector)){ 0 }, mask, places, LOOSE(from + i * f->width + at));
        at += __builtin_popcount(mask);
    }
#else
    (void)p;
    for (int64_t i = 0; i < f->count; i++)
        for (int64_t k = 0; k < f->count; k++)
            outer[f->atom[i] * ld + f->atom[k]] += from[i * f->width + k];
#endif
}

#if TILES_VECTOR == 64
/* Which of a row's few atoms it uses, in `count` codes whose bits, `words` of 64 each, are `apart` from each other: as bits of the compact row, whole words each. */
static void NAME(compact_bits)(uint64_t *to, const uint64_t *bits, int64_t apart, int64_t count, const NAME(few) *f, int64_t words)
{
    const int64_t own = (f->width + 63) / 64;
    memset(to, 0, (size_t)(count * own) * sizeof *to);
    int at = 0;
    for (int64_t w = 0; w < words; w++) {
        const uint64_t few = f->bits[w];
        const int n = bits_set(few), low = at % 64;
        uint64_t *first = to + at / 64;
        for (int64_t h = 0; n && h < count; h++) {
            const uint64_t some = _pext_u64(bits[h * apart + w], few);
            first[h * own] |= some << low;
            if (low + n > 64)
                first[h * own + 1] |= some >> (64 - low);
        }
        at += n;
    }
}
#endif

/* masked = jacobian * adjoint; adjoint = masked - step gram masked, N vectors; with momentum masked = jacobian (adjoint + (1 + b) ahead), adjoint = -b ahead,
 * ahead = masked - step gram masked. In vectors of 512 bits only by those rows of gram that `set` names: where a
 * code is 0 the operator's derivative is 0 as well, by the contract of dead_zone, and so is masked. Others have no quick way from the bits of all atoms to those of few, and
 * take all rows. Several sets of sums, where there are registers for them: one of few vectors would wait for the multiply-add before. */
#define WORDS(N) (((N) * L + 63) / 64)
#if TILES_VECTOR == 64
#define SUM_ROWS(N)                                                                  \
    for (int w = 0; w < WORDS(N); w++) {                                             \
        const uint64_t begin = 64 * (uint64_t)w, apart = sizeof(NAME(vector)) * (N); \
        uint64_t left = set[(t + h) * WORDS(N) + w];                                 \
        int n = bits_set(left);                                                      \
        for (; SETS == 4 && n >= 4; n -= 4) {                                        \
            TAKE(0, N);                                                              \
            TAKE(SETS / 3, N);                                                       \
            TAKE(SETS / 2, N);                                                       \
            TAKE(SETS - 1, N);                                                       \
        }                                                                            \
        for (; n; n--)                                                               \
            TAKE(0, N);                                                              \
    }
#else
#define SUM_ROWS(N)                                                                  \
    int64_t j = 0;                                                                   \
    for (; j + SETS <= count; j += SETS)                                             \
        for (int q = 0; q < SETS; q++)                                               \
            for (int k = 0; k < (N); k++)                                            \
                sum[q][k] -= from[j + q] * VEC(strip + (j + q) * (N) * L + k * L);   \
    for (; j < count; j++)                                                           \
        for (int k = 0; k < (N); k++)                                                \
            sum[0][k] -= from[j] * VEC(strip + j * (N) * L + k * L);
#endif
#define BACK(N)                                                                                                        \
    do {                                                                                                               \
        enum { SETS = TILES_VECTOR < 64 ? ((N) <= 6 ? 2 : 1) : (N) <= 4 ? 4 : 1 };                                     \
        NAME(vector) sum[SETS][N] = { { { 0 } } };                                                                     \
        const REAL *from = masked + h * (N) * L, *strip = gram, *slopes = jacobian + (t + h) * apart_of;               \
        REAL *const began = momentum ? ahead : adjoint; /* of where the layer began */                                 \
        if (momentum)                                                                                                  \
            for (int k = 0; k < (N); k++)                                                                              \
                PUT(adjoint + k * L) += (REAL)(1 + momentum[-(t + h)]) * VEC(ahead + k * L);                           \
        for (int k = 0; k < (N); k++)                                                                                  \
            PUT(masked + (h * (N) + k) * L) = VEC(slopes + k * L) * VEC(adjoint + k * L);                              \
        if (momentum)                                                                                                  \
            for (int k = 0; k < (N); k++)                                                                              \
                PUT(adjoint + k * L) = (REAL)-momentum[-(t + h)] * VEC(ahead + k * L);                                 \
        SUM_ROWS(N)                                                                                                    \
        for (int k = 0; k < (N); k++) {                                                                                \
            for (int q = 1; q < SETS; q++)                                                                             \
                sum[0][k] += sum[q][k];                                                                                \
            PUT(began + k * L) = VEC(from + k * L) + step[h] * sum[0][k];                                              \
        }                                                                                                              \
    } while (0)

/* outer[j] += sum over four layers of z[atom[j]] (step masked), M vectors from c on. */
#define FOUR(N, M)                                                                \
    do {                                                                          \
        const REAL *const *from = codes;                                          \
        NAME(vector) a[4][M];                                                     \
        for (int h = 0; h < 4; h++)                                               \
            for (int k = 0; k < (M); k++)                                         \
                a[h][k] = step[h] * VEC(masked + h * (N) * L + c + k * L);        \
        EACH_USED(N, ADD_FOUR(M, outer + j * (N) * L + c, f->atom[j]))            \
        c += (M) * L;                                                             \
    } while (0)
#if TILES_VECTOR == 64
#define EACH_USED(N, ...)                                                         \
    for (int w = 0; w < WORDS(N); w++) {                                          \
        uint64_t left = any[w];                                                   \
        for (int n = bits_set(left); n; n--, left &= left - 1) {                  \
            const int64_t j = 64 * w + __builtin_ctzll(left);                     \
            __VA_ARGS__;                                                          \
        }                                                                         \
    }
#define USED(N)                                                                   \
    uint64_t any[WORDS(N)];                                                       \
    for (int w = 0; w < WORDS(N); w++) {                                          \
        any[w] = 0;                                                               \
        for (int64_t h = 1; h <= some; h++)                                       \
            any[w] |= set[(t + h) * WORDS(N) + w];                                \
    }
#define FOURS(N)                                                                  \
    while ((N) * L - c == 4 * L || (N) * L - c >= 7 * L)                          \
        FOUR(N, 4);                                                               \
    if (((N) - c / L) % 2 && (N) * L - c >= 3 * L)                                \
        FOUR(N, 3);
#else
#define EACH_USED(N, ...)                                                         \
    for (int64_t j = 0; j < count; j++)                                           \
        __VA_ARGS__;
#define USED(N) (void)set;
#define FOURS(N)                                                                  \
    if (((N) - c / L) % 2 && (N) * L - c >= 3 * L)                                \
        FOUR(N, 3);
#endif

#define ROW(N)                                                                                \
    case N:                                                                                   \
        for (int64_t t = 0; t < layers; t += 4) {                                             \
            const int64_t some = layers - t < 4 ? layers - t : 4;                             \
            const REAL *codes[4];                                                             \
            REAL step[4];                                                                     \
            USED(N)                                                                           \
            for (int64_t h = 0; h < 4; h++) {                                                 \
                const int64_t at = h < some ? t + h : t;                                      \
                codes[h] = z - at * z_apart;                                                  \
                step[h] = h < some ? (REAL)steps[-at] : 0;                                    \
                if (h < some)                                                                 \
                    BACK(N);                                                                  \
                else                                                                          \
                    memcpy(masked + h * (N) * L, masked, (size_t)((N) * L) * sizeof(REAL));   \
            }                                                                                 \
            int64_t c = 0;                                                                    \
            FOURS(N)                                                                          \
            while (c + 2 * L <= (N) * L)                                                      \
                FOUR(N, 2);                                                                   \
            if (c < (N) * L)                                                                  \
                FOUR(N, 1);                                                                   \
            for (int64_t k = 0; k < (N) * L; k += L)                                          \
                for (int h = 0; h < 4; h++)                                                   \
                    PUT(total + k) += step[h] * VEC(masked + h * (N) * L + k);                \
        }                                                                                     \
        break;

/* A row back through `layers` layers by few atoms. adjoint (width) is d loss / d z after the last of them, and then before the first. jacobian, apart_of entries from
 * layer to layer, and set, the bits of layers + 1 codes, begin with the last, and so does steps, which goes down; gram is (count, width); z is the code before it, and those of the layers before lie z_apart entries below. outer
 * (count, width) and total (width), the sum of step masked, gather. masked: room for four rows. momentum: NULL, or of the layers as steps is; then ahead is d loss / d y, and
 * adjoint without its part in that, before and after; and z is y. */
UNROLL_CLONES static void NAME(back_row)(REAL *adjoint, REAL *ahead, REAL *outer, REAL *total, REAL *masked, const REAL *jacobian, int64_t apart_of,
                                         const uint64_t *set, const REAL *z, int64_t z_apart, const REAL *gram, const NAME(few) *f, const double *steps,
                                         const double *momentum, int64_t layers)
{
#if TILES_VECTOR < 64
    const int64_t count = f->count;
#endif
    switch (f->width / L) {
        ROW(1)
        ROW(2)
        ROW(3)
        ROW(4)
        ROW(5)
        ROW(6)
        ROW(7)
        ROW(8)
        ROW(9)
        ROW(10)
        ROW(11)
        ROW(12)
    default:
        break;
    }
}
#undef ROW
#undef FOURS
#undef USED
#undef EACH_USED
#undef FOUR
#undef BACK
#undef SUM_ROWS
#undef WORDS
#undef ADD_FOUR
#undef TAKE
#undef L
#undef VEC
#undef PUT
#undef LOOSE
#undef LOOSE_PUT
