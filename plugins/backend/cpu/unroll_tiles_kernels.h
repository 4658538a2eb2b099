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
#undef TAKE
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

/* sum += sum over four layers of step gv, `count` entries. */
UNROLL_CLONES static void NAME(add_four)(REAL *sum, const REAL *const gv[4], const REAL step[4], int64_t count)
{
    const REAL *a = gv[0], *b = gv[1], *c = gv[2], *d = gv[3];
    for (int64_t k = 0; k < count; k++)
        sum[k] += step[0] * a[k] + step[1] * b[k] + step[2] * c[k] + step[3] * d[k];
}

/* ---------------------------------------------------------------- few atoms of one row */

/* The same atoms stand in `atom`, `count` of them, and in `bits` (of p). Compact rows are `width` long, padded to whole vectors with 0, and
 * are written up to a vector further. */

/* to[k] = row[atom[k]]; row may be read up to a vector further than p. */
static inline void NAME(pick)(REAL *to, const REAL *row, const uint64_t *bits, const uint16_t *atom, int64_t count, int64_t width, int64_t p)
{
#if TILES_VECTOR == 64
    (void)atom, (void)width, (void)count;
    for (int64_t k = 0; k < p; k += L) {
        const NAME(bits) mask = ((const NAME(bits) *)(const void *)bits)[k / L];
        LOOSE_PUT(to) = NAME(PRESS)(mask, LOOSE(row + k));
        to += __builtin_popcount(mask);
    }
    LOOSE_PUT(to) = (NAME(vector)){ 0 };
#else
    (void)bits, (void)p;
    for (int64_t k = 0; k < count; k++)
        to[k] = row[atom[k]];
    for (int64_t k = count; k < width; k++)
        to[k] = 0;
#endif
}

/* The Gram matrix (count, width) of some atoms. */
UNROLL_CLONES static void NAME(pick_gram)(REAL *to, const REAL *gram, int64_t ld, const uint64_t *bits, const uint16_t *atom, int64_t count,
                                          int64_t width, int64_t p)
{
    for (int64_t k = 0; k < count; k++)
        NAME(pick)(to + k * width, gram + atom[k] * ld, bits, atom, count, width, p);
}

/* outer[atom[i]][atom[k]] += from[i][k] */
UNROLL_CLONES static void NAME(put_outer)(REAL *outer, int64_t ld, const REAL *from, const uint64_t *bits, const uint16_t *atom, int64_t count,
                                          int64_t width, int64_t p)
{
    for (int64_t i = 0; i < count; i++) {
        REAL *to = outer + atom[i] * ld;
#if TILES_VECTOR == 64
        const REAL *next = from + i * width;
        for (int64_t k = 0; k < p; k += L) {
            const NAME(bits) mask = ((const NAME(bits) *)(const void *)bits)[k / L];
            PUT(to + k) += NAME(SPREAD)(mask, LOOSE(next));
            next += __builtin_popcount(mask);
        }
#else
        (void)bits, (void)p;
        for (int64_t k = 0; k < count; k++)
            to[atom[k]] += from[i * width + k];
#endif
    }
}

/* masked = jacobian * adjoint; adjoint = masked - step gram masked, N vectors. Two sets of sums where there are registers for them: one
 * of few vectors would wait for the multiply-add before. */
#define BACK(N)                                                                                          \
    case N: {                                                                                            \
        enum { SETS = (N) <= 6 ? 2 : 1 };                                                                \
        NAME(vector) part[SETS][N] = { { { 0 } } };                                                      \
        for (int i = 0; i < (N); i++)                                                                    \
            PUT(masked + i * L) = LOOSE(jacobian + i * L) * VEC(adjoint + i * L);                        \
        int64_t k = 0;                                                                                   \
        for (; k + SETS <= count; k += SETS)                                                             \
            for (int h = 0; h < SETS; h++)                                                               \
                for (int i = 0; i < (N); i++)                                                            \
                    part[h][i] -= masked[k + h] * VEC(gram + (k + h) * ((N) * L) + i * L);               \
        for (; k < count; k++)                                                                           \
            for (int i = 0; i < (N); i++)                                                                \
                part[0][i] -= masked[k] * VEC(gram + k * ((N) * L) + i * L);                             \
        for (int i = 0; i < (N); i++)                                                                    \
            PUT(adjoint + i * L) = VEC(masked + i * L) + step * (SETS == 2 ? part[0][i] + part[SETS - 1][i] : part[0][i]); \
        break;                                                                                           \
    }
static inline __attribute__((always_inline)) void NAME(back)(REAL *masked, REAL *adjoint, const REAL *jacobian, const REAL *gram, REAL step,
                                                             int64_t count, int64_t width)
{
    switch (width / L) {
        BACK(1)
        BACK(2)
        BACK(3)
        BACK(4)
        BACK(5)
        BACK(6)
        BACK(7)
        BACK(8)
        BACK(9)
        BACK(10)
        BACK(11)
        BACK(12)
    default:
        break;
    }
}
#undef BACK

/* outer[k] += sum over four layers of z[atom[k]] (step masked), N vectors from c on. */
#define FOUR(N)                                                              \
    do {                                                                     \
        NAME(vector) a[4][N];                                                \
        for (int h = 0; h < 4; h++)                                          \
            for (int k = 0; k < (N); k++)                                    \
                a[h][k] = step[h] * VEC(masked + h * width + c + k * L);     \
        for (int64_t e = 0; e < count; e++)                                  \
            ADD_FOUR(N, outer + e * width + c, atom[e]);                     \
        c += (N) * L;                                                        \
    } while (0)

/* A row back through `layers` layers by few atoms: atom, `count` of them, `width` padded to whole vectors. adjoint (width) is
 * d loss / d z after the last of them, and then before the first. jacobian and z belong to the last layer and to the code before it;
 * those of the layer before lie `apart` and z_apart entries below. outer (count, width) and total (width), the sum of step masked, gather.
 * masked: room for four rows. */
UNROLL_CLONES static void NAME(back_row)(REAL *adjoint, REAL *outer, REAL *total, REAL *masked, const REAL *jacobian, int64_t apart, const REAL *z,
                                         int64_t z_apart, const REAL *gram, const uint16_t *atom, int64_t count, int64_t width, const double *steps,
                                         int64_t layers)
{
    for (int64_t t = 0; t < layers; t += 4) {
        const REAL *from[4];
        REAL step[4];
        for (int64_t h = 0; h < 4; h++) {
            const int64_t at = t + h < layers ? t + h : t;
            from[h] = z - at * z_apart;
            step[h] = t + h < layers ? (REAL)steps[-at] : 0;
            if (t + h < layers)
                NAME(back)(masked + h * width, adjoint, jacobian - at * apart, gram, step[h], count, width);
            else
                memcpy(masked + h * width, masked, (size_t)width * sizeof(REAL));
        }
        int64_t c = 0;
#if TILES_VECTOR == 64
        while (width - c == 4 * L || width - c >= 7 * L)
            FOUR(4);
#endif
        if ((width - c) / L % 2 && width - c >= 3 * L)
            FOUR(3);
        while (c + 2 * L <= width)
            FOUR(2);
        if (c < width)
            FOUR(1);
        for (int64_t k = 0; k < width; k += L)
            for (int h = 0; h < 4; h++)
                PUT(total + k) += step[h] * VEC(masked + h * width + k);
    }
}
#undef FOUR
#undef ADD_FOUR

#undef L
#undef VEC
#undef PUT
#undef LOOSE
#undef LOOSE_PUT
