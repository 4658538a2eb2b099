/* The correlation of unroll_conv.c for two by two neighbours at once, by Winograd's minimal filtering F(2 x 2, 3 x 3). Included twice, with
 * REAL float and double, after unroll_conv_kernels.h.
 *
 * In one dimension, a filter's taps `stride` apart are cut into threes and twos ("segments"). Three of them meet the pixels d0 .. d3, so far apart, of two
 * neighbours:
 *
 *   d0 g0 + d1 g1 + d2 g2 = m0 + m1 + m2        m0 = (d0 - d2) g0                       m1 = (d1 + d2) (g0 + g1 + g2) / 2
 *   d1 g0 + d2 g1 + d3 g2 = m1 - m2 - m3        m2 = (d2 - d1) (g0 - g1 + g2) / 2       m3 = (d1 - d3) g2
 *
 * four products in place of six; and two of them, with three products in place of four,
 *
 *   d0 g0 + d1 g1 = m0 + m1                     m0 = (d0 - d1) g0                       m1 = d1 (g0 + g1)
 *   d1 g0 + d2 g1 = m1 - m3                     m3 = (d1 - d2) g1
 *
 * so that the same sums of m0 .. m3 ("slots") do for both, and are made once, after those over all segments and channels. No result has a pixel in it,
 * not even one that cancels, that its position does not see. In two dimensions 9 x 9 taps at stride 4 are 13 x 13 products for four positions in place of
 * 4 x 81. What an image and a filter bring to the products ("points") is made once for all atoms, and once for all positions.
 *
 * S. Winograd, Arithmetic Complexity of Computations (1980); A. Lavin and S. Gray, Fast Algorithms for Convolutional Neural Networks (2016).
 * Other points for more neighbours at once save more products and lose digits; these factors, 1 and 1/2, lose next to none. */

typedef WHOLE NAME(whole) __attribute__((vector_size(CONV_VECTOR), may_alias));
#define AT(p) (*(const NAME(loose) *)(const void *)(p))
#define TO(p) (*(NAME(loose) *)(void *)(p))

/* Are all entries numbers whose sums, times scale, stay finite? If not, the way goes by products for every position, where an infinite entry and one
 * that overflows become what they should. */
CONV_CLONES static bool NAME(pair_moderate)(const REAL *image, int64_t count, REAL scale)
{
    enum { LANES = NAME(LANES) };
    /* what overflows when multiplied by `large` gives a NaN when multiplied by 0, and so does a NaN */
    const REAL size = scale < 0 ? -scale : scale, large = (REAL)1e8 * (size > 1 ? size : 1);
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

/* The points along a row of sums, that are there for every pixel: p, and what follows `dx`, 2 dx and 3 dx behind it. */
#define POINTS(p, q, r, s)                                                                                                               \
    do {                                                                                                                                 \
        const NAME(whole) here = among ? *(const NAME(whole) *)(const void *)(three + x) : (NAME(whole)){ 0 };                           \
        const NAME(vector) third = among ? (NAME(vector))((NAME(whole))r & here) : r;                                                    \
        TO(to[0] + x) = among ? p - (NAME(vector))((NAME(whole))third | ((NAME(whole))q & ~here)) : p - r;                               \
        TO(to[1] + x) = q + third;                                                                                                       \
        TO(to[2] + x) = r - q;                                                                                                           \
        TO(to[3] + x) = q - s;                                                                                                           \
        if (!among) {                                                                                                                    \
            TO(to[4] + x) = p - q;                                                                                                       \
            TO(to[5] + x) = q;                                                                                                           \
        }                                                                                                                                \
    } while (0)

/* The points of an image, times scale, for `count` blocks that follow each other: `image` is where the first begins. among: those of twos lie
 * among those of threes, in the same planes. */
CONV_INLINE void NAME(pair_image_of)(const conv_pairs *g, const bool among, const REAL *image, int64_t count, REAL scale, REAL *points)
{
    enum { LANES = NAME(LANES) };
    const int64_t dx = g->stride[1], dy = g->stride[0] * g->width, need = 2 * dx * (count - 1) + g->reach;
    const REAL *three = g->three;
    for (int64_t i = 0; i < g->rows; i++, points += g->pitch) {
        const conv_pair_row row = g->row[i];
        const conv_pair_point *point = &conv_pair_points[row.point];
        const REAL *a = image + row.at + point->first * dy, *b = image + row.at + point->other * dy;
        const REAL one = scale * (REAL)point->one, two = scale * (REAL)point->two;
        REAL *to[PAIR_PLANES];
        for (int k = 0; k < PAIR_PLANES; k++)
            to[k] = points + k * g->plane;
#define SUM(at) (one * AT(a + (at)) + two * AT(b + (at)))
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

CONV_CLONES static void NAME(pair_image)(const conv_pairs *g, const REAL *image, int64_t count, REAL scale, REAL *points)
{
    if (g->twos == 0)
        NAME(pair_image_of)(g, true, image, count, scale, points);
    else
        NAME(pair_image_of)(g, false, image, count, scale, points);
}

/* All products of one slot of the rows for three blocks, added up over the slots along rows, into v: four positions of a block, then those of the next. */
CONV_INLINE const REAL *NAME(pair_slot)(const int slot, const REAL *const at[3], int64_t plane, int64_t twos, const int64_t *offset, int64_t threes, int64_t all,
                                        const REAL *filters, REAL *v, int64_t ld)
{
    enum { LANES = NAME(LANES), H = CONV_PAIR_VECTORS };
    const REAL *a = at[0], *b = at[1], *c = at[2];
    NAME(vector) s[PAIR_SLOTS][3][H] = { 0 };
#define PRODUCTS(k, from)                                                                                                                \
    for (int h = 0; h < H; h++, filters += LANES) {                                                                                      \
        NAME(vector) w = AT(filters);                                                                                                    \
        CONV_KEEP(w);                                                                                                                    \
        s[k][0][h] += a[o + (from) * plane] * w;                                                                                         \
        s[k][1][h] += b[o + (from) * plane] * w;                                                                                         \
        s[k][2][h] += c[o + (from) * plane] * w;                                                                                         \
    }
    for (int64_t j = 0; j < threes; j++) {
        const int64_t o = offset[j];
        PRODUCTS(0, 0)
        PRODUCTS(1, 1)
        PRODUCTS(2, 2)
        PRODUCTS(3, 3)
    }
    for (int64_t j = threes; j < all; j++) {
        const int64_t o = offset[j];
        PRODUCTS(0, twos)
        PRODUCTS(1, twos + 1)
        PRODUCTS(3, 2) /* d2 - d1, times the negative */
    }
#undef PRODUCTS
    for (int i = 0; i < 3; i++)
        for (int h = 0; h < H; h++) {
            const NAME(vector) x = s[0][i][h] + (s[1][i][h] + s[2][i][h]), y = s[1][i][h] - s[2][i][h] - s[3][i][h];
            REAL *left = v + 4 * i * ld + h * LANES, *right = left + ld, *left_below = right + ld, *right_below = left_below + ld;
            if (slot == 0) {
                TO(left) = x;
                TO(right) = y;
            } else if (slot < 3) {
                TO(left) = AT(left) + x;
                TO(right) = AT(right) + y;
            }
            if (slot == 1) {
                TO(left_below) = x;
                TO(right_below) = y;
            } else if (slot > 1) {
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
            w = NAME(pair_slot)(0, at + i, g->plane, g->twos, g->offset[0], g->threes[0], g->all[0], w, to, ld);
            w = NAME(pair_slot)(1, at + i, g->plane, g->twos, g->offset[1], g->threes[1], g->all[1], w, to, ld);
            w = NAME(pair_slot)(2, at + i, g->plane, g->twos, g->offset[2], g->threes[2], g->all[2], w, to, ld);
            w = NAME(pair_slot)(3, at + i, g->plane, g->twos, g->offset[3], g->threes[3], g->all[3], w, to, ld);
        }
}

/* One point of a filter, both ways, for a vector of atoms; taps: the first of both segments, and from tap to tap of these. */
CONV_INLINE void NAME(pair_filter)(const double y[3], const double x[3], double sign, const REAL *taps, int64_t down, int64_t along, REAL *to)
{
    NAME(vector) sum = { 0 };
    for (int64_t i = 0; i < 3; i++)
        for (int64_t j = 0; j < 3; j++)
            if (y[i] != 0 && x[j] != 0)
                sum += (REAL)(sign * y[i] * x[j]) * AT(taps + i * down + j * along);
    TO(to) = sum;
}

/* The filters' points in the order in which pair_products() meets them. blocks: the filters as correlate() wants them. */
CONV_CLONES static void NAME(pair_filters)(const conv_pairs *g, const REAL *blocks, int64_t ld, REAL *to)
{
    enum { LANES = NAME(LANES), BLOCK = NAME(BLOCK), H = CONV_PAIR_VECTORS };
    const conv_segments *x = &g->segment[1];
    const int64_t down = g->stride[0] * g->across * BLOCK, along = g->stride[1] * BLOCK;
    for (int64_t k = 0; k < ld; k += H * LANES)
        for (int slot = 0; slot < PAIR_SLOTS; slot++)
            for (int twos = 0; twos < 2; twos++)
                for (int64_t i = g->first[slot]; i < g->first[slot + 1]; i++)
                    for (int64_t j = x->start[twos]; j < x->start[twos + 1]; j++) {
                        const REAL *taps = blocks + (k / BLOCK * g->taps + g->row[i].tap + x->at[j]) * BLOCK + k % BLOCK;
                        for (int point = twos ? PAIR_SLOTS : 0; point < (twos ? PAIR_POINTS : PAIR_SLOTS); point++)
                            for (int h = 0; h < H; h++, to += LANES)
                                NAME(pair_filter)(conv_pair_points[g->row[i].point].factor, conv_pair_points[point].factor, point == PAIR_POINTS - 1 ? -1 : 1,
                                                  taps + h * LANES, down, along, to);
                    }
}

#undef AT
#undef TO
