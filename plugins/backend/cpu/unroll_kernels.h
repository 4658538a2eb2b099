/* The arithmetic of unroll.c on one row of a block. Included twice, with REAL float and double. */

typedef REAL NAME(vector) __attribute__((vector_size(32)));
enum { NAME(LANES) = 32 / sizeof(REAL) };

/* out[c] = base[c] + sum over k of coef[k] row[index[k]][c], for c in [0, width); rows lie `stride` apart. width and stride are
 * multiples of UNROLL_PAD entries, all arrays aligned. The sums of eight vectors stay in registers while the rows go by. */
PUDLE_CLONES static void NAME(combine)(REAL *out, const REAL *base, const REAL *row, int64_t stride, int64_t width, int64_t count,
                                       const int32_t *index, const REAL *coef)
{
    int64_t c = 0;
    for (; c + 8 * NAME(LANES) <= width; c += 8 * NAME(LANES)) {
        NAME(vector) sum[8];
        for (int i = 0; i < 8; i++)
            sum[i] = *(const NAME(vector) *)(const void *)(base + c + i * NAME(LANES));
        for (int64_t k = 0; k < count; k++) {
            const REAL *from = row + index[k] * stride + c;
            for (int i = 0; i < 8; i++)
                sum[i] += coef[k] * *(const NAME(vector) *)(const void *)(from + i * NAME(LANES));
        }
        for (int i = 0; i < 8; i++)
            *(NAME(vector) *)(void *)(out + c + i * NAME(LANES)) = sum[i];
    }
    for (; c < width; c += 2 * NAME(LANES)) {
        NAME(vector) a = *(const NAME(vector) *)(const void *)(base + c), b = *(const NAME(vector) *)(const void *)(base + c + NAME(LANES));
        for (int64_t k = 0; k < count; k++) {
            const REAL *from = row + index[k] * stride + c;
            a += coef[k] * *(const NAME(vector) *)(const void *)from;
            b += coef[k] * *(const NAME(vector) *)(const void *)(from + NAME(LANES));
        }
        *(NAME(vector) *)(void *)(out + c) = a;
        *(NAME(vector) *)(void *)(out + c + NAME(LANES)) = b;
    }
}

/* to[index[k]][c] += coef[k] * row[c], for c in [0, width). */
PUDLE_CLONES static void NAME(spread)(REAL *to, int64_t stride, const REAL *row, int64_t width, int64_t count, const int32_t *index,
                                      const REAL *coef)
{
    for (int64_t k = 0; k < count; k++) {
        REAL *at = to + index[k] * stride;
        for (int64_t c = 0; c < width; c += NAME(LANES))
            *(NAME(vector) *)(void *)(at + c) += coef[k] * *(const NAME(vector) *)(const void *)(row + c);
    }
}

/* The entries of v, among the first `count`, that the prox does not surely map to 0: not |v| <= dead, so a NaN is among them.
 * dead: one half-width, or one an entry (along). Most stretches hold none, and are passed over whole. */
PUDLE_CLONES static int64_t NAME(collect)(const REAL *v, int64_t count, const REAL *dead, bool along, int32_t *index, REAL *value)
{
    enum { STRETCH = 16 };
    int64_t found = 0;
    for (int64_t from = 0; from < count; from += STRETCH) { /* v is padded with zeros */
        int any = 0;
        if (along)
            for (int i = 0; i < STRETCH; i++)
                any |= !((v[from + i] < 0 ? -v[from + i] : v[from + i]) <= dead[from + i]);
        else
            for (int i = 0; i < STRETCH; i++)
                any |= !((v[from + i] < 0 ? -v[from + i] : v[from + i]) <= dead[0]);
        if (!any)
            continue;
        const int64_t end = from + STRETCH < count ? from + STRETCH : count;
        for (int64_t i = from; i < end; i++) {
            index[found] = (int32_t)i;
            value[found] = v[i];
            found += !((v[i] < 0 ? -v[i] : v[i]) <= dead[along ? i : 0]);
        }
    }
    return found;
}
