/* The arithmetic of unroll_tiles.c on the rows of a tile, in vectors of TILES_VECTOR bytes. Included twice, with REAL float and double.
 *
 * Rows lie p entries apart, so that operators see one array (rows, p), and p need not be whole vectors: a row is written across its
 * end into the next one, which is written later (the rows go up, and the columns of the end come first), or into the TILE_PAD entries
 * behind the tile. Rows of G and of the outer products are ld apart, whole vectors. */

typedef REAL NAME(vector) __attribute__((vector_size(TILES_VECTOR)));
typedef REAL NAME(loose) __attribute__((vector_size(TILES_VECTOR), aligned(sizeof(REAL)), may_alias)); /* anywhere */
enum { NAME(LANES) = TILES_VECTOR / sizeof(REAL) };

#define L NAME(LANES)
#define VEC(at) (*(const NAME(vector) *)(const void *)(at))
#define PUT(at) (*(NAME(vector) *)(void *)(at))
#define LOOSE(at) (*(const NAME(loose) *)(const void *)(at))
#define LOOSE_PUT(at) (*(NAME(loose) *)(void *)(at))

/* How many panels the columns are done in: as few as registers allow for, 13 sums; or more, where their strips of G then stay in the
 * nearest cache, of which they have `room` bytes, and are not too narrow. One more is not worth it in wide vectors, for much of G is in that
 * cache all the same, and each panel has its own ends of loops to mispredict (50 x 100 on a processor with 32 KiB of it: 3 to 7 % of a pass). */
static inline int64_t NAME(panels_of)(int64_t p, int64_t vectors, int64_t room)
{
    const int64_t least = (vectors + 12) / 13, near = (p * vectors * TILES_VECTOR + room - 1) / room;
    return near > least + (TILES_VECTOR == 64) && vectors * TILES_VECTOR >= 192 * near ? near : least;
}

/* Columns [c, c + N vectors) of all rows; the sums stay in registers. Panels of few vectors have two sets, for a sum would else wait for its own
 * last multiply-add. Wider ones are bound by loads: there an index that is loaded before the address is known costs as much as two vectors, so
 * which entries are other than 0 is read from words of bits. They are not unrolled: strips from behind the nearest cache are to be read row after
 * row by the same instructions, which the processor then foresees. How many entries a word has is counted first, so that a mispredicted end of
 * its loop is found early. */
#define TAKE(set, N)                                                                                   \
    do {                                                                                               \
        const uint64_t j = begin + (unsigned)__builtin_ctzll(left);                                    \
        for (int k = 0; k < (N); k++)                                                                  \
            sum[set][k] -= from[j] * VEC((const char *)strip + j * apart + k * (int64_t)sizeof(NAME(vector))); \
        left &= left - 1;                                                                              \
    } while (0)
#define PANEL(N)                                                                                       \
    case N: {                                                                                          \
        enum { SETS = (N) <= 4 ? 2 : 1 };                                                              \
        uint64_t apart = sizeof(NAME(vector)) * (N); /* from row to row of the strip */                \
        PARTS_OPAQUE(apart); /* a multiplication by what is not known is one instruction, not five */  \
        for (int64_t i = 0; i < rows; i++) {                                                           \
            NAME(vector) sum[SETS][N] = { { { 0 } } };                                                 \
            const REAL *from = z + i * p, *old = from + c;                                             \
            REAL *to = out + i * p + c;                                                                \
            for (int k = 0; k < (N); k++)                                                              \
                sum[0][k] = START(base + i * ld + c + k * L);                                          \
            for (int64_t w = 0; w < words; w++) {                                                      \
                const uint64_t begin = 64 * (uint64_t)w;                                               \
                uint64_t left = word_of(bits[i * words + w]);                                          \
                int n = bits_set(left);                                                                \
                for (; SETS == 2 && n >= 4; n -= 4) {                                                  \
                    TAKE(0, N);                                                                        \
                    TAKE(SETS - 1, N);                                                                 \
                    TAKE(0, N);                                                                        \
                    TAKE(SETS - 1, N);                                                                 \
                }                                                                                      \
                for (; n; n--)                                                                         \
                    TAKE(0, N);                                                                        \
            }                                                                                          \
            PARTS_OPAQUE(old); /* else gcc makes an address for each vector, and keeps some in vector registers */ \
            PARTS_OPAQUE(to);                                                                          \
            for (int k = 0; k < (N); k++)                                                              \
                LOOSE_PUT(to + k * L) =                                                                \
                    LOOSE(old + k * L) + step * (SETS == 2 ? sum[0][k] + sum[SETS - 1][k] : sum[0][k]); \
        }                                                                                              \
        break;                                                                                         \
    }
#define PANELS                                                                          \
    const int64_t vectors = (p + L - 1) / L, panels = NAME(panels_of)(p, vectors, room);      \
    for (int64_t panel = panels - 1; panel >= 0; panel--) {                             \
        const int64_t first = panel * vectors / panels, c = first * L;                  \
        const REAL *strip = gram + c * p;                                               \
        switch ((panel + 1) * vectors / panels - first) {                               \
            PANEL(1)                                                                    \
            PANEL(2)                                                                    \
            PANEL(3)                                                                    \
            PANEL(4)                                                                    \
            PANEL(5)                                                                    \
            PANEL(6)                                                                    \
            PANEL(7)                                                                    \
            PANEL(8)                                                                    \
            PANEL(9)                                                                    \
            PANEL(10)                                                                   \
            PANEL(11)                                                                   \
            PANEL(12)                                                                   \
            PANEL(13)                                                                   \
        default:                                                                        \
            break;                                                                      \
        }                                                                               \
    }

/* G by strips of the columns that a panel takes, so that one stays in the nearest cache while the rows of a tile go by. */
static void NAME(cut)(REAL *strips, const REAL *gram, int64_t p, int64_t ld, int64_t room)
{
    const int64_t vectors = (p + L - 1) / L, panels = NAME(panels_of)(p, vectors, room);
    for (int64_t panel = 0; panel < panels; panel++) {
        const int64_t first = panel * vectors / panels * L, width = (panel + 1) * vectors / panels * L - first;
        for (int64_t j = 0; j < p; j++)
            memcpy(strips + first * p + j * width, gram + j * ld + first, (size_t)width * sizeof(REAL));
    }
}

/* A layer: out = z + step (base - G z), where `bits`, `words` a row, say which entries of z are other than 0. */
#define START(at) VEC(at)
UNROLL_CLONES static void NAME(descend)(REAL *out, const REAL *z, const uint64_t *bits, int64_t words, const REAL *base, REAL step,
                                        const REAL *gram, int64_t rows, int64_t p, int64_t ld, int64_t room)
{
    PANELS
}
#undef START
/* Its adjoint: out = z - step G z. */
#define START(at) (NAME(vector)){ 0 }
UNROLL_CLONES static void NAME(ascend)(REAL *out, const REAL *z, const uint64_t *bits, int64_t words, REAL step, const REAL *gram,
                                       int64_t rows, int64_t p, int64_t room)
{
    PANELS
}
#undef START
#undef PANEL
#undef PANELS

/* Columns of a row of `outer`: at += sum over four layers h of from[h][j] a[h], N vectors. */
#define ADD_FOUR(N, at, j)                                                    \
    do {                                                                      \
        REAL *to = (at);                                                      \
        NAME(vector) sum[N];                                                  \
        for (int k = 0; k < (N); k++)                                         \
            sum[k] = VEC(to + k * L);                                         \
        for (int h = 0; h < 4; h++)                                           \
            for (int k = 0; k < (N); k++)                                     \
                sum[k] += from[h][j] * a[h][k];                               \
        for (int k = 0; k < (N); k++)                                         \
            PUT(to + k * L) = sum[k];                                         \
    } while (0)

#define OUTER(N)                                                              \
    for (int64_t i = 0; i < rows; i++) {                                      \
        NAME(vector) a[4][N];                                                 \
        const REAL *from[4];                                                  \
        for (int h = 0; h < 4; h++) {                                         \
            from[h] = z[h] + i * p;                                           \
            for (int k = 0; k < (N); k++)                                     \
                a[h][k] = step[h] * LOOSE(gv[h] + i * p + c + k * L);         \
        }                                                                     \
        for (int64_t e = 0; e < count[i]; e++)                                \
            ADD_FOUR(N, outer + list[i * stride + e] * ld + c, list[i * stride + e]); \
    }

/* outer += sum over four layers and all rows of step z gv', for the entries of z that `list` names. Few columns at a time, so that those of
 * all atoms stay in the cache. */
UNROLL_CLONES static void NAME(gather)(REAL *outer, const REAL *const z[4], const REAL *const gv[4], const REAL step[4], const uint16_t *count,
                                      const uint16_t *list, int64_t stride, int64_t rows, int64_t p, int64_t ld)
{
    int64_t c = 0;
#if TILES_VECTOR == 64
    for (; c + 3 * L < p; c += 4 * L) {
        OUTER(4)
    }
    if (c + 2 * L < p) {
        OUTER(3)
        return;
    }
#endif
    for (; c + L < p; c += 2 * L) {
        OUTER(2)
    }
    if (c < p) {
        OUTER(1)
    }
}
#undef OUTER

/* y = z + b (z - before), `count` entries. */
UNROLL_CLONES static void NAME(extrapolate)(REAL *y, const REAL *z, const REAL *before, REAL b, int64_t count)
{
    for (int64_t k = 0; k < count; k++)
        y[k] = (1 + b) * z[k] - b * before[k];
}

/* y = a x + c y */
UNROLL_CLONES static void NAME(add_scaled)(REAL *y, REAL a, const REAL *x, REAL c, int64_t count)
{
    for (int64_t k = 0; k < count; k++)
        y[k] = a * x[k] + (c != 0 ? c * y[k] : 0);
}

/* sum += sum over four layers of step gv, `count` entries. */
UNROLL_CLONES static void NAME(add_four)(REAL *sum, const REAL *const gv[4], const REAL step[4], int64_t count)
{
    const REAL *a = gv[0], *b = gv[1], *c = gv[2], *d = gv[3];
    for (int64_t k = 0; k < count; k++)
        sum[k] += step[0] * a[k] + step[1] * b[k] + step[2] * c[k] + step[3] * d[k];
}
