/* The correlation of unroll_conv.c for two by two neighbours at once, by Winograd's minimal filtering F(2 x 2, 3 x 3). Included twice, with
 * REAL float and double, after unroll_conv_kernels.h.
 *
 * In one dimension, a filter's taps `stride` apart, three at a time (g0, g1, g2), meet the pixels d0 .. d3, so far apart, of two neighbours:
 *
 *   d0 g0 + d1 g1 + d2 g2 = m0 + m1 + m2        m0 = (d0 - d2) g0                       m1 = (d1 + d2) (g0 + g1 + g2) / 2
 *   d1 g0 + d2 g1 + d3 g2 = m1 - m2 - m3        m2 = (d2 - d1) (g0 - g1 + g2) / 2       m3 = (d1 - d3) g2
 *
 * four products in place of six; with two taps m3 is 0, and they are three in place of four. The sums come after those over all threes and
 * twos ("segments") and channels. In two dimensions 9 x 9 taps at stride 4 are 13 x 13 products for four positions in place of 4 x 81.
 * An image's sums and differences ("points") are made once for all atoms, a filter's once for all positions.
 *
 * S. Winograd, Arithmetic Complexity of Computations (1980); A. Lavin and S. Gray, Fast Algorithms for Convolutional Neural Networks (2016).
 * Other points for more neighbours at once save more products and lose digits; these factors, 1 and 1/2, lose next to none. */

/* The points of one dimension: d[plus] + sign d[minus], in strides. The last is of threes alone. */
#define POINT_FIRST(i) ((i) == 0 ? 0 : (i) == 2 ? 2 : 1)
#define POINT_OTHER(i) ((i) == 2 ? 1 : (i) == 3 ? 3 : 2)

#define AT(p) (*(const NAME(loose) *)(const void *)(p))
#define TO(p) (*(NAME(loose) *)(void *)(p))

/* Are all entries numbers whose sums stay finite? What is not would spread over its block; so it is left to products for every position. */
CONV_CLONES static bool NAME(pair_moderate)(const REAL *image, int64_t count)
{
    enum { LANES = NAME(LANES) };
    const REAL large = (REAL)1e8; /* what overflows when multiplied by it gives a NaN when multiplied by 0, and so does a NaN */
    NAME(vector) seen[4] = { 0 };
    REAL all = 0;
    int64_t i = 0;
    for (; i + 4 * LANES <= count; i += 4 * LANES)
        for (int k = 0; k < 4; k++)
            seen[k] += large * AT(image + i + k * LANES) * (REAL)0;
    for (; i < count; i++)
        all += large * image[i] * (REAL)0;
    seen[0] += seen[1] + (seen[2] + seen[3]);
    for (int k = 0; k < LANES; k++)
        all += seen[0][k];
    return all == 0;
}

/* The points of a row of sums, that are there for every pixel: p, and what follows `dx`, 2 dx and 3 dx behind it. */
#define POINTS(p, q, r, s)                                                                                                               \
    do {                                                                                                                                 \
        TO(one + x) = p - r;                                                                                                             \
        TO(two + x) = q + r;                                                                                                             \
        TO(three + x) = r - q;                                                                                                           \
        TO(four + x) = q - s;                                                                                                            \
    } while (0)

/* The points of an image, times scale, for `count` blocks that follow each other: `image` is where the first begins. */
CONV_CLONES static void NAME(pair_image)(const conv_pairs *g, const REAL *image, int64_t count, REAL scale, REAL *to)
{
    enum { LANES = NAME(LANES) };
    const int64_t dx = g->stride[1], dy = g->stride[0] * g->width, need = 2 * dx * (count - 1) + g->reach;
    REAL *one = to, *two = to + g->plane, *three = two + g->plane, *four = three + g->plane;
    for (int64_t i = 0; i < g->rows; i++, one += g->pitch, two += g->pitch, three += g->pitch, four += g->pitch) {
        const conv_pair_row row = g->row[i];
        const REAL *a = image + row.at + POINT_FIRST(row.point) * dy, *b = image + row.at + POINT_OTHER(row.point) * dy;
        const REAL other = row.point == 1 ? scale : -scale;
#define SUM(at) (scale * AT(a + (at)) + other * AT(b + (at)))
#if CONV_VECTOR == 64
        if (3 * dx <= LANES) {
            NAME(vector) p = SUM(0);
            for (int64_t x = 0; x < need; x += LANES) {
                const NAME(vector) next = SUM(x + LANES), q = NAME(BEHIND)(p, next, dx), r = NAME(BEHIND)(p, next, 2 * dx), s = NAME(BEHIND)(p, next, 3 * dx);
                POINTS(p, q, r, s);
                p = next;
            }
            continue;
        }
#endif
        for (int64_t x = 0; x < need; x += LANES) {
            const NAME(vector) p = SUM(x), q = SUM(x + dx), r = SUM(x + 2 * dx), s = SUM(x + 3 * dx);
            POINTS(p, q, r, s);
        }
#undef SUM
    }
}
#undef POINTS

/* All products of one point of the rows for three blocks, added up over the points along rows, into v: four positions of a block, then those of the next. */
CONV_INLINE const REAL *NAME(pair_point)(const int point, const REAL *const at[3], int64_t plane, const int64_t *offset, int64_t threes, int64_t all,
                                         const REAL *filters, REAL *v, int64_t ld)
{
    enum { LANES = NAME(LANES), H = CONV_PAIR_VECTORS };
    const REAL *a = at[0], *b = at[1], *c = at[2];
    NAME(vector) s[4][3][H] = { 0 };
#define PRODUCTS(e)                                                                                                                      \
    for (int h = 0; h < H; h++, filters += LANES) {                                                                                      \
        NAME(vector) w = AT(filters);                                                                                               \
        CONV_KEEP(w);                                                                                                                    \
        s[e][0][h] += a[o + (e) * plane] * w;                                                                                            \
        s[e][1][h] += b[o + (e) * plane] * w;                                                                                            \
        s[e][2][h] += c[o + (e) * plane] * w;                                                                                            \
    }
    for (int64_t j = 0; j < threes; j++) {
        const int64_t o = offset[j];
        PRODUCTS(0)
        PRODUCTS(1)
        PRODUCTS(2)
        PRODUCTS(3)
    }
    for (int64_t j = threes; j < all; j++) {
        const int64_t o = offset[j];
        PRODUCTS(0)
        PRODUCTS(1)
        PRODUCTS(2)
    }
#undef PRODUCTS
    for (int i = 0; i < 3; i++)
        for (int h = 0; h < H; h++) {
            const NAME(vector) x = s[0][i][h] + (s[1][i][h] + s[2][i][h]), y = s[1][i][h] - s[2][i][h] - s[3][i][h];
            REAL *left = v + 4 * i * ld + h * LANES, *right = left + ld, *left_below = right + ld, *right_below = left_below + ld;
            if (point == 0) {
                TO(left) = x;
                TO(right) = y;
            } else if (point < 3) {
                TO(left) = AT(left) + x;
                TO(right) = AT(right) + y;
            }
            if (point == 1) {
                TO(left_below) = x;
                TO(right_below) = y;
            } else if (point > 1) {
                TO(left_below) = AT(left_below) - x;
                TO(right_below) = AT(right_below) - y;
            }
        }
    return filters;
}

/* v (positions, ld) <- all correlations of `count` blocks, whose points begin at at[]; at and v have room for a multiple of three. */
CONV_CLONES static void NAME(pair_products)(const conv_pairs *g, const REAL *const *at, int64_t count, const REAL *filters, REAL *v, int64_t ld)
{
    enum { ATOMS = CONV_PAIR_VECTORS * NAME(LANES) };
    for (int64_t k = 0; k < ld; k += ATOMS, filters += g->products * ATOMS)
        for (int64_t i = 0; i < count; i += 3) {
            const REAL *w = filters;
            REAL *to = v + 4 * i * ld + k;
            w = NAME(pair_point)(0, at + i, g->plane, g->offset[0], g->threes[0], g->all[0], w, to, ld);
            w = NAME(pair_point)(1, at + i, g->plane, g->offset[1], g->threes[1], g->all[1], w, to, ld);
            w = NAME(pair_point)(2, at + i, g->plane, g->offset[2], g->threes[2], g->all[2], w, to, ld);
            w = NAME(pair_point)(3, at + i, g->plane, g->offset[3], g->threes[3], g->all[3], w, to, ld);
        }
}

/* One point of a filter, both ways, for a vector of atoms; taps: the segment's own first, and from row to row and along rows where the others are. */
CONV_INLINE void NAME(pair_filter)(const double y[3], const double x[3], int64_t rows, int64_t cols, const REAL *taps, int64_t down, int64_t along,
                                   REAL *to)
{
    NAME(vector) sum = { 0 };
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            sum += (REAL)(y[i] * x[j]) * AT(taps + i * down + j * along);
    TO(to) = sum;
}

/* The filters' points in the order in which pair_products() meets them. blocks: the filters as correlate() wants them. */
CONV_CLONES static void NAME(pair_filters)(const conv_pairs *g, const REAL *blocks, int64_t ld, REAL *to)
{
    static const double factor[PAIR_POINTS][3] = { { 1, 0, 0 }, { 0.5, 0.5, 0.5 }, { 0.5, -0.5, 0.5 }, { 0, 0, 1 } };
    enum { LANES = NAME(LANES), BLOCK = NAME(BLOCK), H = CONV_PAIR_VECTORS };
    const conv_segments *y = &g->segment[0], *x = &g->segment[1];
    for (int64_t k = 0; k < ld; k += H * LANES)
        for (int point = 0; point < PAIR_POINTS; point++)
            for (int twos = 0; twos < 2; twos++)
                for (int64_t i = 0; i < g->channels * (point < 3 ? y->all : y->threes); i++)
                    for (int64_t j = twos ? x->threes : 0; j < (twos ? x->all : x->threes); j++) {
                        const int64_t segments = point < 3 ? y->all : y->threes, row = i % segments, down = g->stride[0] * g->kernel[1];
                        const int64_t tap = (i / segments * g->kernel[0] + y->at[row]) * g->kernel[1] + x->at[j];
                        const REAL *taps = blocks + (k / BLOCK * g->taps + tap) * BLOCK + k % BLOCK;
                        for (int along = 0; along < (twos ? 3 : 4); along++)
                            for (int h = 0; h < H; h++, to += LANES)
                                NAME(pair_filter)(factor[point], factor[along], row < y->threes ? 3 : 2, twos ? 2 : 3, taps + h * LANES, down * BLOCK,
                                                  g->stride[1] * BLOCK, to);
                    }
}

#undef AT
#undef TO
