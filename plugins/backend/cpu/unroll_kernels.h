/* The arithmetic of unroll.c on single rows, in vectors of UNROLL_VECTOR bytes. Included twice, with REAL float and double. All arrays are
 * aligned, and widths and strides are multiples of UNROLL_PAD entries: whole vectors. */

typedef REAL NAME(vector) __attribute__((vector_size(UNROLL_VECTOR)));
typedef REAL NAME(loose) __attribute__((vector_size(UNROLL_VECTOR), aligned(sizeof(REAL)), may_alias));
enum { NAME(LANES) = UNROLL_VECTOR / sizeof(REAL), NAME(FEATURES) = 8 * NAME(LANES) }; /* whose sums stay in registers */

#define VEC(at) (*(const NAME(vector) *)(const void *)(at))
#define PUT(at) (*(NAME(vector) *)(void *)(at))
#define L NAME(LANES)

/* out[c .. c + N vectors) = FIRST + sum over k < count of coef[k] times what lies from FROM on; the sums stay in registers while the rows go by.
 * FIRST is told c and i, the vector's number; FROM c and k. */
#define SUM_SOME(N, FIRST, FROM)                                       \
    do {                                                               \
        NAME(vector) sum[N];                                           \
        for (int i = 0; i < (N); i++)                                  \
            sum[i] = (FIRST);                                          \
        for (int64_t k = 0; k < count; k++) {                          \
            const REAL *from = (FROM);                                 \
            for (int i = 0; i < (N); i++)                              \
                sum[i] += coef[k] * VEC(from + i * L);                 \
        }                                                              \
        for (int i = 0; i < (N); i++)                                  \
            PUT(out + c + i * L) = sum[i];                             \
        c += (N) * L;                                                  \
    } while (0)
/* The same for c in [0, width). */
#define SUM(FIRST, FROM)                                               \
    do {                                                               \
        int64_t c = 0;                                                 \
        while (c + 8 * L <= width)                                     \
            SUM_SOME(8, FIRST, FROM);                                  \
        if (c + 6 * L <= width)                                        \
            SUM_SOME(6, FIRST, FROM);                                  \
        if (c + 4 * L <= width)                                        \
            SUM_SOME(4, FIRST, FROM);                                  \
        if (c + 2 * L <= width)                                        \
            SUM_SOME(2, FIRST, FROM);                                  \
        if (c < width)                                                 \
            SUM_SOME(1, FIRST, FROM);                                  \
    } while (0)

/* out[c] = base[c] + sum over k of coef[k] row[index[k]][c], for c in [0, width); rows lie `stride` apart. */
UNROLL_CLONES static void NAME(combine)(REAL *out, const REAL *base, const REAL *row, int64_t stride, int64_t width, int64_t count,
                                       const int32_t *index, const REAL *coef)
{
    SUM(VEC(base + c + i * L), row + index[k] * stride + c);
}

/* out[c] = sum over k of coef[k] row[k][first + c], for c in [0, width). */
UNROLL_CLONES static void NAME(sum_rows)(REAL *out, const REAL *const *row, int64_t first, int64_t width, int64_t count, const REAL *coef)
{
    SUM((NAME(vector)){ 0 }, row[k] + first + c);
}

/* out[c] = sum over k of coef[k] gram[k][c], for c in [0, width), where rows follow each other. */
static inline __attribute__((always_inline)) void NAME(multiply)(REAL *out, const REAL *coef, const REAL *gram, int64_t count, int64_t width)
{
    SUM((NAME(vector)){ 0 }, gram + k * width + c);
}

/* to[index[k]][c] += coef[k] * row[c], for c in [0, width). */
UNROLL_CLONES static void NAME(spread)(REAL *to, int64_t stride, const REAL *row, int64_t width, int64_t count, const int32_t *index,
                                      const REAL *coef)
{
    int64_t c = 0;
    for (; c + 8 * L <= width; c += 8 * L) {
        NAME(vector) part[8];
        for (int i = 0; i < 8; i++)
            part[i] = VEC(row + c + i * L);
        for (int64_t k = 0; k < count; k++) {
            REAL *at = to + index[k] * stride + c;
            for (int i = 0; i < 8; i++)
                PUT(at + i * L) += coef[k] * part[i];
        }
    }
    for (; c < width; c += L) {
        const NAME(vector) part = VEC(row + c);
        for (int64_t k = 0; k < count; k++)
            PUT(to + index[k] * stride + c) += coef[k] * part;
    }
}

/* The sum of a vector's entries, half to half: one after the other would take longer than what they are sums of. By address: clang does not
 * pass vectors that not all processors have. */
static inline __attribute__((always_inline)) REAL NAME(total)(const NAME(vector) *v)
{
    typedef REAL quarter __attribute__((vector_size(UNROLL_VECTOR / 4), may_alias));
    const quarter *q = (const quarter *)v, sum = (q[0] + q[1]) + (q[2] + q[3]);
    REAL total = 0;
    for (int j = 0; j < L / 4; j++)
        total += sum[j];
    return total;
}

/* out[k] = <row[index[k]], x> over [0, width), N rows at a time. */
#define DOTS(N)                                                                \
    do {                                                                       \
        NAME(vector) sum[N][2] = { { { 0 } } };                                \
        const REAL *at[N];                                                     \
        int64_t c = 0;                                                         \
        for (int i = 0; i < (N); i++)                                          \
            at[i] = row + index[k + i] * stride;                               \
        for (; c + 2 * L <= width; c += 2 * L) {                               \
            const NAME(vector) a = VEC(x + c), b = VEC(x + c + L);             \
            for (int i = 0; i < (N); i++) {                                    \
                sum[i][0] += a * VEC(at[i] + c);                               \
                sum[i][1] += b * VEC(at[i] + c + L);                           \
            }                                                                  \
        }                                                                      \
        for (int i = 0; i < (N); i++) {                                        \
            if (c < width)                                                     \
                sum[i][0] += VEC(x + c) * VEC(at[i] + c);                      \
            sum[i][0] += sum[i][1];                                            \
            out[k + i] = NAME(total)(&sum[i][0]);                              \
        }                                                                      \
        k += (N);                                                              \
    } while (0)
UNROLL_CLONES static void NAME(dots)(REAL *out, const REAL *x, const REAL *row, int64_t stride, int64_t width, int64_t count,
                                    const int32_t *index)
{
    int64_t k = 0;
    while (k + 4 <= count)
        DOTS(4);
    while (k < count)
        DOTS(1);
}
#undef DOTS

/* The entries of v, among the first `count`, that the prox does not surely map to 0: not |v| <= dead, so a NaN is among them.
 * dead: one half-width, or one an entry (along). */
#if UNROLL_VECTOR == 64
static int64_t NAME(collect)(const REAL *v, int64_t count, const REAL *dead, bool along, int32_t *index, REAL *value)
{
    const __m512i first = FROM_0_f32;
    const NAME(vector) same = dead[0] - (NAME(vector)){ 0 };
    int64_t found = 0;
    for (int64_t from = 0; from < count; from += L) {
        NAME(vector) half = same;
        if (along)
            half = VEC(dead + from);
        uint32_t over = NAME(OVER)(VEC(v + from), half);
        if (count - from < L)
            over &= (1u << (count - from)) - 1;
        NAME(PRESS_WHOLE)(over, _mm512_add_epi32(first, _mm512_set1_epi32((int32_t)from)), index + found);
        *(NAME(loose) *)(void *)(value + found) = NAME(PRESS)(over, VEC(v + from));
        found += __builtin_popcount(over);
    }
    return found;
}
#else
/* A stretch of 16 becomes a mask of 16 bits, and its set bits are gone through. */
PUDLE_CLONES static int64_t NAME(collect)(const REAL *v, int64_t count, const REAL *dead, bool along, int32_t *index, REAL *value)
{
    enum { STRETCH = 16 };
    int64_t found = 0;
    for (int64_t from = 0; from < count; from += STRETCH) { /* v is padded with zeros, which are dropped at the end */
        uint8_t out[STRETCH];
        if (along)
            for (int i = 0; i < STRETCH; i++)
                out[i] = !((v[from + i] < 0 ? -v[from + i] : v[from + i]) <= dead[from + i]);
        else
            for (int i = 0; i < STRETCH; i++)
                out[i] = !((v[from + i] < 0 ? -v[from + i] : v[from + i]) <= dead[0]);
        uint32_t mask = parts_mask(out);
        if (count - from < STRETCH)
            mask &= (1u << (count - from)) - 1;
        for (; mask; mask &= mask - 1) {
            const int64_t i = from + __builtin_ctz(mask);
            index[found] = (int32_t)i;
            value[found++] = v[i];
        }
    }
    return found;
}
#endif

/* A bit for each entry of b + along (b - a), 16 to a mask: is it other than at most `level` in magnitude (a NaN is)? For `count` entries in whole masks. */
#if UNROLL_VECTOR == 64
static void NAME(mark_outside)(uint16_t *mask, const REAL *b, const REAL *a, REAL along, REAL level, int64_t count)
{
    const NAME(vector) half = level - (NAME(vector)){ 0 };
    for (int64_t from = 0; from < count; from += 16) {
        uint32_t over = 0;
        for (int i = 0; i < 16; i += L)
            over |= (uint32_t)NAME(OVER)(VEC(b + from + i) + along * (VEC(b + from + i) - VEC(a + from + i)), half) << i;
        mask[from / 16] = (uint16_t)over;
    }
}
#else
PUDLE_CLONES static void NAME(mark_outside)(uint16_t *mask, const REAL *b, const REAL *a, REAL along, REAL level, int64_t count)
{
    for (int64_t from = 0; from < count; from += 16) {
        uint8_t out[16];
        for (int i = 0; i < 16; i++) {
            const REAL x = b[from + i] + along * (b[from + i] - a[from + i]);
            out[i] = !((x < 0 ? -x : x) <= level);
        }
        mask[from / 16] = (uint16_t)parts_mask(out);
    }
}
#endif

/* Where x is other than 0, among `width` entries. */
PUDLE_CLONES static int64_t NAME(nonzeros)(const REAL *x, int64_t width, int32_t *index)
{
    int64_t found = 0;
    for (int64_t from = 0; from < width; from += 16) {
        uint8_t out[16];
        for (int i = 0; i < 16; i++)
            out[i] = x[from + i] != 0;
        for (uint32_t mask = parts_mask(out); mask; mask &= mask - 1)
            index[found++] = (int32_t)from + __builtin_ctz(mask);
    }
    return found;
}

/* The distance of x from the line through b and a, all of `width` entries, the nearest point being b + h (b - a); not less than what squares
 * that underflow hide. */
UNROLL_CLONES static double NAME(off_line)(const REAL *x, const REAL *b, const REAL *a, int64_t width, double *h)
{
    NAME(vector) along = { 0 }, length = { 0 }, off = { 0 };
    for (int64_t c = 0; c < width; c += L) {
        const NAME(vector) e = VEC(b + c) - VEC(a + c);
        along += e * (VEC(x + c) - VEC(b + c));
        length += e * e;
    }
    const REAL size = NAME(total)(&length), far = size > 0 ? NAME(total)(&along) / size : 0;
    for (int64_t c = 0; c < width; c += L) {
        const NAME(vector) d = VEC(x + c) - VEC(b + c) - far * (VEC(b + c) - VEC(a + c));
        off += d * d;
    }
    *h = (double)far;
    return sqrt((double)NAME(total)(&off) + (double)width * NAME(least));
}

/* ||b - a||^2 */
UNROLL_CLONES static double NAME(distance)(const REAL *b, const REAL *a, int64_t width)
{
    NAME(vector) sum = { 0 };
    for (int64_t c = 0; c < width; c += L)
        sum += (VEC(b + c) - VEC(a + c)) * (VEC(b + c) - VEC(a + c));
    return (double)NAME(total)(&sum);
}

/* The largest |x|, of `width` entries; infinity where there is one, and no number where an entry is none. By their bits: without the sign's they are
 * in the order of what they stand for, infinity behind all numbers, and what is no number behind that. */
PUDLE_CLONES static REAL NAME(extent)(const REAL *x, int64_t width)
{
    typedef WHOLE __attribute__((may_alias)) bits;
    const WHOLE all_but_sign = (WHOLE)(sizeof(WHOLE) == 4 ? INT32_MAX : INT64_MAX);
    WHOLE most = 0;
    for (int64_t c = 0; c < width; c++) {
        const WHOLE size = ((const bits *)(const void *)x)[c] & all_but_sign;
        most = size > most ? size : most;
    }
    REAL extent;
    memcpy(&extent, &most, sizeof extent);
    return extent;
}

/* to = the whole numbers nearest to x / unit. Returns the sum of squares of x - unit to, as far as it does not underflow. */
UNROLL_CLONES static double NAME(round_all)(REAL *to, const REAL *x, int64_t width, REAL unit)
{
    const REAL by = 1 / unit, shift = (REAL)(1.5 / NAME(epsilon)); /* beside which nothing is left behind the point */
    NAME(vector) off = { 0 };
    for (int64_t c = 0; c < width; c += L) {
        const NAME(vector) whole = (by * VEC(x + c) + shift) - shift, d = VEC(x + c) - unit * whole;
        off += d * d;
        PUT(to + c) = whole;
    }
    return (double)NAME(total)(&off);
}

/* Whole numbers as bytes; returns their sum. */
PUDLE_CLONES static int32_t NAME(to_bytes)(int8_t *to, const REAL *whole, int64_t width)
{
    int32_t sum = 0;
    for (int64_t c = 0; c < width; c++) {
        const int32_t one = (int32_t)whole[c];
        to[c] = (int8_t)one;
        sum += one;
    }
    return sum;
}

/* w = x - b - h (b - a), of `width` entries, and sums = { ||w||^2, ||x||^2 + ||b||^2 }. */
UNROLL_CLONES static void NAME(beside_line)(REAL *w, const REAL *x, const REAL *b, const REAL *a, REAL h, int64_t width, double sums[2])
{
    NAME(vector) rest = { 0 }, all = { 0 };
    for (int64_t c = 0; c < width; c += L) {
        const NAME(vector) d = VEC(x + c) - VEC(b + c) - h * (VEC(b + c) - VEC(a + c));
        rest += d * d;
        all += VEC(x + c) * VEC(x + c) + VEC(b + c) * VEC(b + c);
        PUT(w + c) = d;
    }
    sums[0] = (double)NAME(total)(&rest);
    sums[1] = (double)NAME(total)(&all);
}

/* corr_j, of an evaluation a that is over, becomes b_j + along (b_j - corr_j) - worth unit_j (product_j - zero). */
PUDLE_CLONES static void NAME(join)(REAL *corr, const REAL *b, REAL along, const REAL *unit, REAL worth, const int32_t *product, int32_t zero, int64_t count)
{
    for (int64_t j = 0; j < count; j++)
        corr[j] = b[j] + along * (b[j] - corr[j]) - worth * unit[j] * (REAL)(product[j] - zero);
}

/* score[j]: the larger of |b_j + h (b_j - a_j)| for h = near and h = far: the largest in between, on a line through a and b. */
PUDLE_CLONES static void NAME(look_along)(REAL *score, const REAL *b, const REAL *a, REAL near, REAL far, int64_t count)
{
    for (int64_t j = 0; j < count; j++) {
        const REAL change = b[j] - a[j], here = b[j] + near * change, there = b[j] + far * change;
        const REAL one = here < 0 ? -here : here, other = there < 0 ? -there : there;
        score[j] = one > other ? one : other;
    }
}

/* to[index[k]] = value, for k < count. */
static void NAME(set_at)(REAL *to, const int32_t *index, int64_t count, REAL value)
{
    for (int64_t k = 0; k < count; k++)
        to[index[k]] = value;
}

/* How many scores are not at most `level`: a NaN is counted. */
PUDLE_CLONES static int64_t NAME(count_above)(const REAL *score, REAL level, int64_t count)
{
    int32_t above = 0;
    for (int64_t j = 0; j < count; j++)
        above += !(score[j] <= level);
    return above;
}

UNROLL_CLONES static void NAME(add)(REAL *to, const REAL *x, int64_t count)
{
    for (int64_t j = 0; j < count; j++)
        to[j] += x[j];
}

/* The largest of `count` numbers >= 0; a NaN makes it infinite. */
PUDLE_CLONES static REAL NAME(largest)(const REAL *x, int64_t count)
{
    REAL most = 0;
    int32_t bad = 0;
    for (int64_t j = 0; j < count; j++) {
        most = x[j] > most ? x[j] : most;
        bad |= x[j] != x[j];
    }
    return bad ? (REAL)INFINITY : most;
}

UNROLL_CLONES static void NAME(scaled)(REAL *out, REAL by, const REAL *x, int64_t width)
{
    for (int64_t c = 0; c < width; c += L)
        PUT(out + c) = by * VEC(x + c);
}

/* y = (1 + b) z - b before: where the layer behind z begins. (Tiles have an extrapolate of their own, and clang wants one of a name.) */
UNROLL_CLONES static void NAME(extrapolate_row)(REAL *y, const REAL *z, const REAL *before, REAL b, int64_t count)
{
    for (int64_t k = 0; k < count; k++)
        y[k] = (1 + b) * z[k] - b * before[k];
}

/* The same back: up = u + (1 + b) w, which is all that the loss has of z_t, and u = -b w, which it has of z_{t-1} by way of y_t. */
UNROLL_CLONES static void NAME(turn_back)(REAL *up, REAL *u, const REAL *w, REAL b, int64_t width)
{
    for (int64_t c = 0; c < width; c += L) {
        PUT(up + c) = VEC(u + c) + (1 + b) * VEC(w + c);
        PUT(u + c) = -b * VEC(w + c);
    }
}

/* g = G dz for dz = z - z_b, all of `width` entries, of which `count` are atoms; and sums = { dz'g, dz'change,
 * ||dz||^2 + ||g||^2 }. */
UNROLL_CLONES static void NAME(stray)(REAL *g, REAL *dz, REAL *x, const REAL *z, const REAL *zb, const REAL *gram, const REAL *change,
                                     const int32_t *active, int64_t actives, int64_t width, REAL sums[3])
{
    NAME(vector) size = { 0 }, along = { 0 }, rounding = { 0 };
    for (int64_t c = 0; c < width; c += L)
        PUT(dz + c) = VEC(z + c) - VEC(zb + c);
    for (int64_t k = 0; k < actives; k++)
        x[k] = dz[active[k]];
    NAME(multiply)(g, x, gram, actives, width);
    for (int64_t c = 0; c < width; c += L) {
        const NAME(vector) d = VEC(dz + c), v = VEC(g + c);
        size += d * v;
        along += d * VEC(change + c);
        rounding += d * d + v * v;
    }
    sums[0] = NAME(total)(&size);
    sums[1] = NAME(total)(&along);
    sums[2] = NAME(total)(&rounding);
}

/* v = z + step (c - g) */
UNROLL_CLONES static void NAME(stretch_input)(REAL *v, const REAL *z, REAL step, const REAL *c, const REAL *g, int64_t width)
{
    for (int64_t k = 0; k < width; k += L)
        PUT(v + k) = VEC(z + k) + step * (VEC(c + k) - VEC(g + k));
}

/* u = gv - step G gv, and sum += step gv, where gv is 0 but for active atoms; x and work hold `width` entries. */
UNROLL_CLONES static void NAME(stretch_back)(REAL *u, REAL *sum, REAL *x, REAL *work, const REAL *gv, REAL step, const REAL *gram,
                                            const int32_t *active, int64_t actives, int64_t width)
{
    for (int64_t k = 0; k < actives; k++)
        x[k] = gv[active[k]];
    NAME(multiply)(work, x, gram, actives, width);
    for (int64_t k = 0; k < width; k += L) {
        PUT(u + k) = VEC(gv + k) - step * VEC(work + k);
        PUT(sum + k) += step * VEC(gv + k);
    }
}

/* to[k] += sum over i of step[i] z[i][active[k]] gv[i], four layers at once, so that `to` is read and written once for them. */
#define OUTER(N)                                                               \
    do {                                                                       \
        NAME(vector) part[4][N];                                               \
        for (int i = 0; i < 4; i++)                                            \
            for (int j = 0; j < (N); j++)                                      \
                part[i][j] = step[i] * VEC(gv + i * width + c + j * L);        \
        for (int64_t k = 0; k < actives; k++) {                                \
            REAL *at = to + k * width + c;                                     \
            NAME(vector) sum[N];                                               \
            for (int j = 0; j < (N); j++)                                      \
                sum[j] = VEC(at + j * L);                                      \
            for (int i = 0; i < 4; i++)                                        \
                for (int j = 0; j < (N); j++)                                  \
                    sum[j] += z[i][active[k]] * part[i][j];                    \
            for (int j = 0; j < (N); j++)                                      \
                PUT(at + j * L) = sum[j];                                      \
        }                                                                      \
        c += (N) * L;                                                          \
    } while (0)
UNROLL_CLONES static void NAME(outer_four)(REAL *to, const int32_t *active, int64_t actives, int64_t width, const REAL *const z[4], const REAL *gv,
                                          const REAL step[4])
{
    int64_t c = 0;
    while (c + 2 * L <= width)
        OUTER(2);
    if (c < width)
        OUTER(1);
}
#undef OUTER

/* ||x||^2, in double. */
UNROLL_CLONES static double NAME(square)(const REAL *x, int64_t count)
{
    double part[16] = { 0 };
    int64_t i = 0;
    for (; i + 16 <= count; i += 16)
        for (int k = 0; k < 16; k++)
            part[k] += (double)x[i + k] * (double)x[i + k];
    for (; i < count; i++)
        part[0] += (double)x[i] * (double)x[i];
    double sum = 0;
    for (int k = 0; k < 16; k++)
        sum += part[k];
    return sum;
}

#undef SUM
#undef SUM_SOME
#undef VEC
#undef PUT
#undef L
