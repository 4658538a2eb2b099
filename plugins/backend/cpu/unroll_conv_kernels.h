/* The arithmetic of unroll_conv.c on a band of code rows, in vectors of CONV_VECTOR bytes. Included twice, with REAL float and double.
 *
 * Three kinds of work. The correlation of all filters with all patches is a matrix product whose left factor is never packed: six
 * positions times two vectors of atoms are summed in twelve registers, while pixels are read where they lie. What follows the
 * support of a code works on one patch at a time, which is at most twelve vectors of registers; filters of more taps are taken in
 * pieces. And patches are cut out of the image, or added to it, a row of the filter at a time in vectors of 32 bytes: longer ones are longer than most rows. */

typedef REAL NAME(vector) __attribute__((vector_size(CONV_VECTOR)));
typedef REAL NAME(loose) __attribute__((vector_size(CONV_VECTOR), aligned(sizeof(REAL)), may_alias)); /* wherever it lies */
typedef REAL NAME(half) __attribute__((vector_size(16)));
typedef REAL NAME(row) __attribute__((vector_size(32)));
typedef REAL NAME(loose_row) __attribute__((vector_size(32), aligned(sizeof(REAL)), may_alias));
typedef WHOLE NAME(bits) __attribute__((vector_size(32)));
enum { NAME(LANES) = CONV_VECTOR / sizeof(REAL), NAME(BLOCK) = 2 * NAME(LANES), NAME(ROW) = 32 / sizeof(REAL) };

/* NAME(BLOCK) is a power of two: an index splits by shifts */
#define AT(p) (*(const NAME(loose) *)(const void *)(p))
#define TO(p) (*(NAME(loose) *)(void *)(p))
#define AT_ROW(p) (*(const NAME(loose_row) *)(const void *)(p))
#define TO_ROW(p) (*(NAME(loose_row) *)(void *)(p))

/* Nonzeros of a code or of an adjoint, and the image whose patches they meet. */
typedef struct NAME(conv_side) {
    const int64_t *start;
    const uint64_t *set;
    const int32_t *index;
    const REAL *value, *image;
} NAME(conv_side);

/* A code at some positions: which atoms, and the entries, one after the other. */
typedef struct NAME(code) {
    uint64_t *set;
    REAL *z;
} NAME(code);

/* A thread's room for CONV_TILE positions. */
typedef struct NAME(conv_room) {
    REAL *patch[2];   /* (CONV_TILE, ld) each, and CONV_PAD behind both */
    REAL *spread[2];  /* (atoms, 32) each: values of gv and z, 0 between uses */
    uint32_t *there;  /* (atoms): the positions where an atom has any, 0 between uses */
} NAME(conv_room);

/* out[i][0 .. BLOCK) = scale * sum over j of at[i][offset[j]] filters[j][0 .. BLOCK), for six i; or added to what is there. Rows of
 * filters lie `apart`, those of out `ld`. */
CONV_INLINE void NAME(six)(const bool add, const REAL *const at[6], const int64_t *offset, int64_t taps, const REAL *filters, int64_t apart,
                           REAL scale, REAL *out, int64_t ld)
{
    const REAL *a = at[0], *b = at[1], *c = at[2], *d = at[3], *e = at[4], *f = at[5];
    NAME(vector) s[6][2] = { 0 };
    for (int64_t j = 0; j < taps; j++, filters += apart) {
        const NAME(vector) w = AT(filters), x = AT(filters + NAME(LANES));
        const int64_t o = offset[j];
        s[0][0] += a[o] * w;
        s[0][1] += a[o] * x;
        s[1][0] += b[o] * w;
        s[1][1] += b[o] * x;
        s[2][0] += c[o] * w;
        s[2][1] += c[o] * x;
        s[3][0] += d[o] * w;
        s[3][1] += d[o] * x;
        s[4][0] += e[o] * w;
        s[4][1] += e[o] * x;
        s[5][0] += f[o] * w;
        s[5][1] += f[o] * x;
    }
    for (int i = 0; i < 6; i++) {
        REAL *to = out + i * ld;
        for (int half = 0; half < 2; half++, to += NAME(LANES)) {
            NAME(vector) sum = scale * s[i][half];
            if (add)
                sum += AT(to);
            TO(to) = sum;
        }
    }
}

/* v[q][k] = scale <w_k, the patch at position q>, for `count` positions, a multiple of six. filters: blocks of BLOCK atoms, each
 * (taps, BLOCK). */
CONV_CLONES static void NAME(correlate)(const REAL *image, const int64_t *position, int64_t count, const int64_t *offset, int64_t taps,
                                        const REAL *filters, int64_t blocks, REAL scale, REAL *v, int64_t ld)
{
    for (int64_t k = 0; k < blocks; k++, filters += taps * NAME(BLOCK), v += NAME(BLOCK))
        for (int64_t q = 0; q < count; q += 6) {
            const REAL *at[6];
            for (int i = 0; i < 6; i++)
                at[i] = image + position[q + i];
            NAME(six)(false, at, offset, taps, filters, NAME(BLOCK), scale, v + q * ld, ld);
        }
}

/* y <- scale x + so_far, which may be y, or NULL for zeros */
CONV_CLONES static void NAME(add_row)(REAL scale, const REAL *x, const REAL *so_far, int64_t count, REAL *y)
{
    if (!so_far && scale == 1)
        memcpy(y, x, (size_t)count * sizeof *y);
    else if (!so_far)
        for (int64_t i = 0; i < count; i++)
            y[i] = scale * x[i];
    else
        for (int64_t i = 0; i < count; i++)
            y[i] = so_far[i] + scale * x[i];
}

/* Of the last vector of a filter's row, the lanes that belong to the row. */
CONV_INLINE void NAME(last_lanes)(const conv_shape *g, NAME(bits) *mask)
{
    for (int i = 0; i < NAME(ROW); i++)
        (*mask)[i] = i < g->rest ? -1 : 0;
}

CONV_INLINE void NAME(cut_rows)(const conv_shape g, const int64_t full, const int64_t rest, const bool singly, const REAL *from, REAL scale,
                                const NAME(bits) *last, REAL *patch)
{
    for (int64_t i = 0; i < g.rows; i++, patch += rest) {
        const REAL *at = from + g.row[i];
        for (int64_t k = 0; k < full; k++, at += NAME(ROW), patch += NAME(ROW))
            TO_ROW(patch) = scale * AT_ROW(at);
        if (!singly)
            TO_ROW(patch) = (NAME(row))((NAME(bits))(scale * AT_ROW(at)) & *last);
        for (int64_t k = 0; k < rest && singly; k++)
            patch[k] = scale * at[k];
    }
}

CONV_INLINE void NAME(paste_rows)(const conv_shape g, const int64_t full, const int64_t rest, const bool singly, const REAL *patch,
                                  const NAME(bits) *last, REAL *to)
{
    for (int64_t i = 0; i < g.rows; i++, patch += rest) {
        REAL *at = to + g.row[i];
        for (int64_t k = 0; k < full; k++, at += NAME(ROW), patch += NAME(ROW))
            TO_ROW(at) += AT_ROW(patch);
        if (!singly)
            TO_ROW(at) += (NAME(row))((NAME(bits))AT_ROW(patch) & *last);
        for (int64_t k = 0; k < rest && singly; k++)
            at[k] += patch[k];
    }
}

/* What a row is made of as constants, where it is a usual one: less than a vector, or one and an entry. */
#define BY_ROWS(CALL)                                                                                                                    \
    do {                                                                                                                                 \
        if (g.full == 0 && !g.singly)                                                                                                    \
            CALL(0, g.rest, false);                                                                                                      \
        else if (g.full == 1 && g.rest == 1)                                                                                             \
            CALL(1, 1, true);                                                                                                            \
        else                                                                                                                             \
            CALL(g.full, g.rest, g.singly);                                                                                              \
    } while (0)

/* The patch at `from`, scaled. A row's last vector goes over its end, where the next row follows, or zeros. */
CONV_INLINE void NAME(cut)(const conv_shape g, const REAL *from, REAL scale, const NAME(bits) *last, REAL *patch)
{
#define CALL(full, rest, singly) NAME(cut_rows)(g, full, rest, singly, from, scale, last, patch)
    BY_ROWS(CALL);
#undef CALL
}

/* Add a patch to the image at `to`. */
CONV_INLINE void NAME(paste)(const conv_shape g, const REAL *patch, const NAME(bits) *last, REAL *to)
{
#define CALL(full, rest, singly) NAME(paste_rows)(g, full, rest, singly, patch, last, to)
    BY_ROWS(CALL);
#undef CALL
}

/* out[i][0 .. n vectors) = the sum of coef w over the atoms of the i-th set, for `some` i; coef: theirs, one after the other. Returns what
 * follows it. */
CONV_INLINE const REAL *NAME(sum_rows)(const int n, int64_t some, REAL *out, int64_t apart, const REAL *w, int64_t ld, const uint64_t *set, int64_t words,
                                       const REAL *coef)
{
    for (int64_t i = 0; i < some; i++, out += apart) {
        NAME(vector) s[12];
        for (int k = 0; k < n; k++)
            s[k] = (NAME(vector)){ 0 };
        for (int64_t b = 0; b < words; b++)
            for (uint64_t left = *set++; left; left &= left - 1) {
                const REAL c = *coef++, *row = w + (64 * b + __builtin_ctzll(left)) * ld;
                PARTS_OPAQUE(row); /* one address, with the vectors behind it: left to itself gcc keeps one for each */
                for (int k = 0; k < n; k++)
                    s[k] += c * AT(row + k * NAME(LANES));
            }
        for (int k = 0; k < n; k++)
            TO(out + k * NAME(LANES)) = s[k];
    }
    return coef;
}

/* The sums of four vectors' entries. */
CONV_INLINE void NAME(totals)(const NAME(vector) s[4], REAL out[4])
{
    NAME(half) h[4];
    for (int i = 0; i < 4; i++) {
        const union { NAME(vector) whole; NAME(half) part[CONV_VECTOR / 16]; } u = { s[i] };
        h[i] = u.part[0] + u.part[1];
        for (int k = 2; k < CONV_VECTOR / 16; k += 2)
            h[i] += u.part[k] + u.part[k + 1];
    }
    CONV_ACROSS(h, out);
}

/* out[k] += <patch, w[index[k]]> over n vectors. Four at a time: their sums do not wait for each other, and share the instructions
 * that add up lanes. */
CONV_INLINE void NAME(dot_rows)(const int n, const REAL *patch, const REAL *w, int64_t ld, int64_t count, const int32_t *index, REAL *out)
{
    NAME(vector) p[12];
    for (int i = 0; i < n; i++)
        p[i] = AT(patch + i * NAME(LANES));
    for (int64_t k = 0; k < count; k += 4) {
        const int64_t end = count - 1;
        const REAL *a = w + ATOM(index[k]) * ld, *b = w + ATOM(index[k + 1 < end ? k + 1 : end]) * ld;
        const REAL *c = w + ATOM(index[k + 2 < end ? k + 2 : end]) * ld, *d = w + ATOM(index[k + 3 < end ? k + 3 : end]) * ld;
        PARTS_OPAQUE(a);
        PARTS_OPAQUE(b);
        PARTS_OPAQUE(c);
        PARTS_OPAQUE(d);
        NAME(vector) s[4] = { p[0] * AT(a), p[0] * AT(b), p[0] * AT(c), p[0] * AT(d) };
        for (int i = 1; i < n; i++) {
            s[0] += p[i] * AT(a + i * NAME(LANES));
            s[1] += p[i] * AT(b + i * NAME(LANES));
            s[2] += p[i] * AT(c + i * NAME(LANES));
            s[3] += p[i] * AT(d + i * NAME(LANES));
        }
        REAL total[4];
        NAME(totals)(s, total);
        for (int i = 0; i < 4 && k + i < count; i++)
            out[k + i] += total[i];
    }
}

/* g += the sum over the positions in `there` of a[j] p[j] + b[j] r[j], n vectors each */
CONV_INLINE void NAME(add_outer)(const int n, REAL *g, const REAL *p, const REAL *r, int64_t ld, uint32_t there, const REAL *a, const REAL *b)
{
    NAME(vector) s[12];
    for (int i = 0; i < n; i++)
        s[i] = AT(g + i * NAME(LANES));
    for (; there; there &= there - 1) {
        const int j = __builtin_ctz(there);
        const REAL x = a[j], y = b[j], *one = p + j * ld, *two = r + j * ld;
        PARTS_OPAQUE(one);
        PARTS_OPAQUE(two);
        for (int i = 0; i < n; i++) {
            s[i] += x * AT(one + i * NAME(LANES));
            s[i] += y * AT(two + i * NAME(LANES));
        }
    }
    for (int i = 0; i < n; i++)
        TO(g + i * NAME(LANES)) = s[i];
}

/* The number of vectors as a constant, so that they stay in registers. */
#define PIECES(n, CALL)                                                                                                                  \
    switch (n) {                                                                                                                         \
    case 1: CALL(1); break;                                                                                                              \
    case 2: CALL(2); break;                                                                                                              \
    case 3: CALL(3); break;                                                                                                              \
    case 4: CALL(4); break;                                                                                                              \
    case 5: CALL(5); break;                                                                                                              \
    case 6: CALL(6); break;                                                                                                              \
    case 7: CALL(7); break;                                                                                                              \
    case 8: CALL(8); break;                                                                                                              \
    case 9: CALL(9); break;                                                                                                              \
    case 10: CALL(10); break;                                                                                                            \
    case 11: CALL(11); break;                                                                                                            \
    default: CALL(12); break;                                                                                                            \
    }

#if CONV_VECTOR == 64
/* Add the patches of a block of positions, one behind the other, to the image at `to`: a row of all four in one vector. */
CONV_INLINE void NAME(paste_block)(const conv_shape *g, const REAL *patch, REAL *to)
{
    const uint32_t left = (1U << g->across) - 1, right = left << g->next[1];
    const int64_t size = g->padded, down = g->next[0];
    const REAL *upper = patch, *lower = patch + 2 * size;
    for (int64_t c = 0; c < g->rows; c += g->height, upper += g->height * g->across, lower += g->height * g->across) {
        REAL *at = to + g->row[c];
        for (int64_t y = 0; y < g->height + down; y++, at += g->pitch) {
            NAME(vector) sum = AT(at);
            if (y < g->height) {
                const REAL *p = upper + y * g->across;
                sum += NAME(SOME)(left, p) + NAME(SOME)(right, p + size - g->next[1]);
            }
            if (y >= down) {
                const REAL *p = lower + (y - down) * g->across;
                sum += NAME(SOME)(left, p) + NAME(SOME)(right, p + size - g->next[1]);
            }
            TO(at) = sum;
        }
    }
}
#endif

/* The same for the blocks among the first `count` positions, where rows are short enough; returns how many positions that were. */
CONV_INLINE int64_t NAME(paste_blocks)(const conv_shape *g, const REAL *patches, const int64_t *position, const uint64_t *set, int64_t words, int64_t count,
                                       REAL *image)
{
#if CONV_VECTOR == 64
    if (g->across + g->next[1] <= NAME(LANES) && count > 0) {
        for (int64_t first = 0; first < 8; first += 4) /* neighbours not one after the other */
            for (int64_t i = first; i < count; i += 8)
                if (set_size(set + i * words, 4 * words))
                    NAME(paste_block)(g, patches + i * g->padded, image + position[i]);
        return count;
    }
#endif
    (void)g, (void)patches, (void)position, (void)set, (void)words, (void)count, (void)image;
    return 0;
}

/* image += the sum of coef w over positions and the atoms of their sets, each at its position; patches: (CONV_TILE, padded). The first `paired`
 * positions are blocks of four. A tile's patches are summed before the first is pasted, and neighbours in the image are not pasted one after the
 * other: what was just written is not there yet for a read of other pieces. */
CONV_CLONES static void NAME(synthesize)(const conv_shape *shape, const REAL *w, const int64_t *position, int64_t positions, int64_t paired,
                                         const uint64_t *set, int64_t words, const REAL *coef, REAL *patches, REAL *image)
{
    const conv_shape own = *shape, *g = &own; /* what is copied no store can change */
    const int64_t vectors = g->padded / NAME(LANES);
    NAME(bits) last;
    NAME(last_lanes)(g, &last);
    for (int64_t tile = 0; tile < positions; tile += CONV_TILE, set += CONV_TILE * words) {
        const int64_t some = positions - tile < CONV_TILE ? positions - tile : CONV_TILE;
        const REAL *end = coef;
        for (int64_t from = 0; from < vectors; from += g->piece) {
            const int64_t n = vectors - from < g->piece ? vectors - from : g->piece, at = from * NAME(LANES);
#define CALL(N) end = NAME(sum_rows)(N, some, patches + at, g->padded, w + at, g->ld, set, words, coef)
            PIECES(n, CALL)
#undef CALL
        }
        coef = end;
        const int64_t done = NAME(paste_blocks)(g, patches, position + tile, set, words, paired - tile < some ? paired - tile : some, image);
        for (int64_t first = 0; first < g->overlap; first++)
            for (int64_t i = done + first; i < some; i += g->overlap)
                if (set_size(set + i * words, words))
                    NAME(paste)(own, patches + i * g->padded, &last, image + position[tile + i]);
    }
}

/* The same where codes are not sparse: a product of all atoms at `count` positions, z (positions, apart), a multiple of six of which are
 * readable, with the filters; patches: (positions, ld). */
CONV_CLONES static void NAME(synthesize_all)(const conv_shape *shape, const REAL *w, const int64_t *position, int64_t count, const int64_t *each,
                                             int64_t atoms, const REAL *z, int64_t apart, REAL *patches, REAL *image)
{
    const conv_shape own = *shape;
    NAME(bits) last;
    NAME(last_lanes)(&own, &last);
    for (int64_t from = 0; from < own.ld; from += NAME(BLOCK))
        for (int64_t q = 0; q < count; q += 6) {
            const REAL *at[6];
            for (int i = 0; i < 6; i++)
                at[i] = z + (q + i) * apart;
            NAME(six)(false, at, each, atoms, w + from, own.ld, 1, patches + q * own.ld + from, own.ld);
        }
    for (int64_t q = 0; q < count; q++)
        NAME(paste)(own, patches + q * own.ld, &last, image + position[q]);
}

/* up += <w[index], patch> for the nonzeros of z at a position. */
CONV_INLINE void NAME(products)(const conv_shape *g, const REAL *w, const REAL *patch, int64_t count, const int32_t *index, REAL *up)
{
    const int64_t vectors = g->padded / NAME(LANES);
    for (int64_t from = 0; from < vectors && count; from += g->piece) {
        const int64_t n = vectors - from < g->piece ? vectors - from : g->piece, at = from * NAME(LANES);
#define CALL(N) NAME(dot_rows)(N, patch + at, w + at, g->ld, count, index, up)
        PIECES(n, CALL)
#undef CALL
    }
}

/* The layer's adjoint at all positions of a band: gw[k] += scale (gv patch(now->image) + z patch(before->image)), and, where up is
 * not NULL, up = gv + scale <w_k, patch(before->image)> on the support of z. */
CONV_CLONES static void NAME(back_through)(const conv_shape *shape, const REAL *w, int64_t atoms, const int64_t *position, int64_t positions,
                                           const NAME(conv_room) *room, const NAME(conv_side) *now, const NAME(conv_side) *before, REAL scale,
                                           REAL *up, REAL *gw)
{
    const conv_shape own = *shape, *g = &own;
    const int64_t vectors = g->padded / NAME(LANES);
    const bool both = before->start[positions] > 0;
    REAL *one = room->patch[0], *two = both ? room->patch[1] : one, *a = room->spread[0], *b = room->spread[1];
    uint32_t *there = room->there;
    NAME(bits) last;
    NAME(last_lanes)(g, &last);
    for (int64_t q = 0; q < positions; q += CONV_TILE) {
        const int64_t tile = positions - q < CONV_TILE ? positions - q : CONV_TILE;
        for (int64_t j = 0; j < tile; j++)
            NAME(cut)(own, now->image + position[q + j], scale, &last, one + j * g->padded);
        for (int64_t j = 0; j < tile && both; j++)
            NAME(cut)(own, before->image + position[q + j], scale, &last, two + j * g->padded);
        for (int64_t k = now->start[q]; k < now->start[q + tile]; k++) {
            const int32_t i = now->index[k];
            a[i] = now->value[k];
            there[ATOM(i)] |= (uint32_t)1 << PLACE(i);
        }
        for (int64_t k = before->start[q]; k < before->start[q + tile] && up; k++)
            up[k] = a[before->index[k]];
        for (int64_t j = 0; j < tile && up; j++)
            NAME(products)(g, w, two + j * g->padded, before->start[q + j + 1] - before->start[q + j], before->index + before->start[q + j],
                           up + before->start[q + j]);
        for (int64_t k = before->start[q]; k < before->start[q + tile]; k++) {
            const int32_t i = before->index[k];
            b[i] = before->value[k];
            there[ATOM(i)] |= (uint32_t)1 << PLACE(i);
        }
        for (int64_t from = 0; from < vectors; from += g->piece) {
            const int64_t n = vectors - from < g->piece ? vectors - from : g->piece, at = from * NAME(LANES);
#define CALL(N)                                                                                                                          \
    for (int64_t k = 0; k < atoms; k++)                                                                                                  \
        if (there[k])                                                                                                                    \
        NAME(add_outer)(N, gw + k * g->padded + at, one + at, two + at, g->padded, there[k], a + 32 * k, b + 32 * k)
            PIECES(n, CALL)
#undef CALL
        }
        memset(a, 0, (size_t)(atoms * 32) * sizeof *a);
        memset(b, 0, (size_t)(atoms * 32) * sizeof *b);
        memset(there, 0, (size_t)atoms * sizeof *there);
    }
}

/* sums[k][j] += scale * the sum over `count` positions q of values[q][k] <tap j of the patch at q>, for all atoms k and taps j, as a
 * product whose left factor is never packed. values: (positions, ld); sums: blocks of BLOCK atoms, each (taps up to a multiple of
 * six, BLOCK); offset: of as many taps. */
CONV_CLONES static void NAME(correlate_back)(const REAL *image, const int64_t *position, int64_t count, const int64_t *offset, int64_t taps,
                                             const REAL *values, int64_t ld, REAL scale, REAL *sums)
{
    for (int64_t k = 0; k < ld; k += NAME(BLOCK), values += NAME(BLOCK))
        for (int64_t j = 0; j < taps; j += 6, sums += 6 * NAME(BLOCK)) {
            const REAL *at[6];
            for (int i = 0; i < 6; i++)
                at[i] = image + offset[j + i];
            NAME(six)(true, at, position, count, values, ld, scale, sums, NAME(BLOCK));
        }
}

/* The entries at `count` positions as a matrix (positions, ld). */
static void NAME(densify)(const uint64_t *set, int64_t words, int64_t count, const REAL *value, int64_t ld, REAL *to)
{
    memset(to, 0, (size_t)(count * ld) * sizeof *to);
    for (int64_t i = 0; i < count; i++, to += ld)
        for (int64_t b = 0; b < words; b++)
            for (uint64_t left = *set++; left; left &= left - 1)
                to[64 * b + __builtin_ctzll(left)] = *value++;
}

/* up = gv + what the correlation has left in v, both (positions, ld), on the support of z. */
static void NAME(pick)(const NAME(conv_side) *before, int64_t first, int64_t count, const REAL *gv, const REAL *v, int64_t ld, REAL *up)
{
    for (int64_t k = before->start[first]; k < before->start[first + count]; k++) {
        const int64_t i = PLACE(before->index[k]) * ld + ATOM(before->index[k]);
        up[k] = gv[i] + v[i];
    }
}

/* to += scale * value on the atoms that both sets mark: value are the entries of `all`, `to` those of `some` */
CONV_CLONES static void NAME(add_common)(const uint64_t *all, const REAL *value, REAL scale, const uint64_t *some, int64_t words, REAL *to)
{
    for (int64_t i = 0; i < words; value += __builtin_popcountll(all[i]), to += __builtin_popcountll(some[i]), i++)
        for (uint64_t left = all[i] & some[i]; left; left &= left - 1) {
            const uint64_t below = (left & -left) - 1;
            to[__builtin_popcountll(some[i] & below)] += scale * value[__builtin_popcountll(all[i] & below)];
        }
}

#if CONV_VECTOR == 32
/* v += scale * a code before, over a tile; z: its entries, one after the other */
static void NAME(add_code)(const uint64_t *set, int64_t words, int64_t count, REAL scale, const REAL *z, int64_t ld, REAL *v)
{
    for (int64_t i = 0; i < count; i++, v += ld)
        for (int64_t b = 0; b < words; b++)
            for (uint64_t left = *set++; left; left &= left - 1)
                v[64 * b + __builtin_ctzll(left)] += scale * *z++;
}

/* The entries of v, among the first `count`, that the prox does not surely map to 0: not |v| <= dead, so a NaN is among them. They are
 * brought to the front of `value`, `set` marks them, and `index`, where it is not NULL, numbers them, with their place in the tile.
 * There is room for `count` entries and a vector more. */
CONV_CLONES static int64_t NAME(collect)(const REAL *v, int64_t count, const REAL *dead, bool along, int32_t place, uint64_t *set, int32_t *index,
                                         REAL *value)
{
    int64_t found = 0;
    for (int64_t from = 0; from < count; from += 64) {
        const int64_t end = count - from < 64 ? count : from + 64;
        uint64_t now = 0;
        for (int64_t i = from; i < end; i++) {
            const uint64_t in = !((v[i] < 0 ? -v[i] : v[i]) <= dead[along ? i : 0]);
            value[found] = v[i];
            if (index)
                index[found] = (int32_t)(32 * i) + place;
            now |= in << (i - from);
            found += (int64_t)in;
        }
        *set++ = now;
    }
    return found;
}
#else
/* collect() by instructions that bring the entries of a mask to the front, for all `some` positions of v (some, ld), after as many
 * codes before, `last` or (1 + b) last - b old, were added by those that put them back. start, where it is not NULL: where the next position's begin. */
CONV_INLINE int64_t NAME(collect_tile)(const int codes, const bool along, const REAL *v, int64_t ld, int64_t some, int64_t count, const REAL *dead,
                                       NAME(code) last, NAME(code) old, REAL b, uint64_t *set, int64_t *start, int32_t *index, REAL *value)
{
    const uint32_t all = (1U << NAME(LANES)) - 1;
    const NAME(vector) same = dead[0] - (NAME(vector)){ 0 };
    int64_t found = 0;
    for (int64_t q = 0; q < some; q++, v += ld) {
        for (int64_t from = 0; from < count; from += 64, set++) {
            const int64_t end = count - from < 64 ? count : from + 64;
            uint64_t is = codes > 0 ? *last.set++ : 0, was = codes > 1 ? *old.set++ : 0, now = 0;
            for (int64_t i = from; i < end; i += NAME(LANES), is >>= NAME(LANES), was >>= NAME(LANES)) {
                const uint32_t there = count - i < NAME(LANES) ? (1U << (count - i)) - 1 : all;
                NAME(vector) x = AT(v + i), half = same;
                if (along)
                    half = AT(dead + i);
                if (codes > 0) {
                    const NAME(vector) z = NAME(SPREAD)(is & all, AT(last.z));
                    x += codes > 1 ? (1 + b) * z - b * NAME(SPREAD)(was & all, AT(old.z)) : z;
                    last.z += __builtin_popcountll(is & all);
                    old.z += codes > 1 ? __builtin_popcountll(was & all) : 0;
                }
                const uint32_t over = there & NAME(OVER)(x, half);
                if (index)
                    NAME(PRESS_WHOLE)(over, numbers_from((int32_t)(32 * i + q)), index + found);
                TO(value + found) = NAME(PRESS)(over, x);
                found += __builtin_popcount(over);
                now |= (uint64_t)over << (i - from);
            }
            *set = now;
        }
        if (start)
            start[q + 1] = start[0] + found;
    }
    return found;
}
#endif

#undef AT
#undef TO
#undef AT_ROW
#undef TO_ROW
#undef PIECES
#undef BY_ROWS
