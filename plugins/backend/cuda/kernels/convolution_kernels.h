/* Convolutions as products (tiles.h) for REAL: D codes, D' image, and the gradient of the filters; those of layers are the prox's (filters_kernels.h). Included by
 * kernels.cu once for float and once for double. */

/* The filters in the order of a product: matrix[e] <- d[place[e]], or 0 where place is -1 */
PUDLE_KERNEL K(arrange)(const REAL *d, const int *place, REAL *matrix, long long n)
{
    PUDLE_ENTRIES(i, n)
        matrix[i] = place[i] < 0 ? 0 : d[place[i]];
}
PUDLE_CALLABLE(K(arrange))

/* image <- sign D codes, and x where there is one */
struct K(image_result) {
    struct row { long long at; int top, left; };  /* the first pixel of a cell */
    struct column { int at, down, right; };       /* from there */
    typedef REAL input;
    const pudle_filters &f;
    const REAL *codes, *x;
    const REAL sign;
    REAL *image;
    PUDLE_MEMBER row row_of(int m) const
    {
        const int cells = f.cells[0] * f.cells[1], top = m % cells / f.cells[1] * f.group[0], left = m % cells % f.cells[1] * f.group[1];
        return { ((long long)(m / cells) * f.c * f.h + top) * f.w + left, top, left };
    }
    PUDLE_MEMBER column column_of(int n) const
    {
        const int c = pudle_divide(n, f.of_cell), rest = n - c * f.of_cell.d, down = pudle_divide(rest, f.of_wide), right = rest - down * f.of_wide.d;
        return { (c * f.h + down) * f.w + right, down, right };
    }
    PUDLE_MEMBER bool has(const row &to, const column &by) const { return to.top + by.down < f.h && to.left + by.right < f.w; }
    PUDLE_MEMBER input fetch(const row &to, const column &by) const { return x ? x[to.at + by.at] : 0; }
    PUDLE_MEMBER void put(const row &to, const column &by, input from, REAL sum) const { image[to.at + by.at] = x ? from + sign * sum : sign * sum; }
    PUDLE_MEMBER void again(int m, int n) const
    {
        const row to = row_of(m);
        const column by = column_of(n);
        if (has(to, by))
            put(to, by, fetch(to, by), pudle_pixel(f, codes, m / (f.cells[0] * f.cells[1]), pudle_divide(n, f.of_cell), to.top + by.down, to.left + by.right));
    }
};
PUDLE_TILES(REAL) K(image)(pudle_filters f, pudle_tile tile, int count, const REAL *codes, const REAL *x, int sign, REAL *image)
{
    PUDLE_BLOCKS(b) {
        PUDLE_SHARED pudle_few<REAL> room[PUDLE_ROOM(REAL) / 4];
        pudle_tile_of(room->at, b, tile, count, pudle_synthesis<REAL>(f, codes), K(image_result){ f, codes, x, (REAL)sign, image });
    }
}
PUDLE_CALLABLE(K(image))

/* codes += D' image */
struct K(codes_result) : pudle_on_codes {
    typedef int column;
    typedef REAL input;
    REAL *codes;
    PUDLE_MEMBER column column_of(int n) const { return along(n); }
    PUDLE_MEMBER input fetch(row to, column by) const { return codes[to + by]; }
    PUDLE_MEMBER void put(row to, column by, input was, REAL sum) const { codes[to + by] = was + sum; }
};
PUDLE_TILES(REAL) K(codes)(pudle_filters f, pudle_tile tile, int count, const REAL *images, REAL *codes)
{
    PUDLE_BLOCKS(b) {
        PUDLE_SHARED pudle_few<REAL> room[PUDLE_ROOM(REAL) / 4];
        PUDLE_SHARED pudle_few<int> under[PUDLE_TERMS(REAL) / 4 + 1];
        pudle_tile_of(room->at, b, tile, count, pudle_analysis<REAL>(f, images, under->at), K(codes_result){ { f }, codes });
    }
}
PUDLE_CALLABLE(K(codes))

/* The gradient of the filters: partial[split] (k, terms) <- its part of the sum over pairs, samples and positions of code times pixel. Splits have equal shares of
 * all positions, PUDLE_DEPTH at a time; a split is as many blocks as tiles. */
template <int ROW_BITS> PUDLE_DEVICE void K(filters_of)(REAL *room, const REAL **code, const REAL **image, long long b, const pudle_filters &f, const pudle_tile &tile,
                                                        const pudle_pairs &pairs, int splits, REAL *partial)
{
    const int depth = PUDLE_DEPTH(REAL), rows = 1 << ROW_BITS, high = 4 * rows, wide_bits = 2 + tile.col_bits, wide = 1 << wide_bits, pitch = high + 4, plane = f.p * f.q;
    const int across = (f.terms + wide - 1) >> wide_bits, tiles = across * ((f.k + high - 1) / high);
    const int one = pairs.samples[0] * plane, two = one + pairs.samples[1] * plane, all = two + pairs.samples[2] * plane, steps = (all + depth - 1) / depth;
    REAL *const right = room + depth * pitch;
    const int split = (int)(b / tiles), above = (int)(b % tiles / across) * high, before = (int)(b % tiles % across) << wide_bits;
    const int last = (int)((long long)steps * (split + 1) / splits);
    PUDLE_OWN(REAL, sum, 16);
    PUDLE_THREADS(t, width) for (int i = 0; i < 16 && t < width; i++) sum[PUDLE_ME(t)][i] = 0;
    for (int step = (int)((long long)steps * split / splits); step < last; step++) {
        PUDLE_THREADS(t, width) if (t < depth && width) {
            const int e = step * depth + t < all ? step * depth + t : 0, pair = e < one ? 0 : e < two ? 1 : 2, own = pair == 0 ? e : pair == 1 ? e - one : e - two;
            code[t] = (const REAL *)(pair == 0 ? pairs.codes[0] : pair == 1 ? pairs.codes[1] : pairs.codes[2]) + pudle_on_codes::row_at(f, own);
            image[t] = (const REAL *)(pair == 0 ? pairs.images[0] : pair == 1 ? pairs.images[1] : pairs.images[2]) + pudle_window(f, own);
        }
        PUDLE_SYNC;
        PUDLE_THREADS(t, width) {
            const int e = t % 8 + t / 32 * 8 % depth, i = t / 8 % 4, m = t / 4 / depth, parts = PUDLE_BLOCK / 4 / depth; /* a warp has 8 terms of 4 rows, for 32 banks */
            const int some = all - step * depth, under = e < some && width ? f.k - above - i * rows : 0; /* terms, and rows of this one, that are there */
            const REAL *from = code[e] + (long long)(above + i * rows + m) * plane;
            REAL *to = room + e * pitch + 4 * m + i;
            PUDLE_UNROLL_BY(4)
            for (int row = m; row < rows; row += parts, from += (long long)parts * plane, to += 4 * parts)
                pudle_bring(to, from, row < under);
            const int n = t & (wide - 1), term = pudle_under(f, before + n < f.terms ? before + n : 0), here = before + n < f.terms ? some : 0;
            for (int k = 4 * (t >> wide_bits); k < depth; k += 4 * PUDLE_BLOCK >> wide_bits) {
                const pudle_few<const REAL *> four = pudle_read<4>(image + k);
                PUDLE_UNROLL
                for (int j = 0; j < 4; j++)
                    pudle_bring(right + ((k + j) << wide_bits) + n, four.at[j] + term, k + j < here);
            }
            PUDLE_ARRIVED;
        }
        PUDLE_SYNC;
        PUDLE_THREADS(t, width) if (width) pudle_multiply<4, ROW_BITS>(room, pitch, right, depth, tile.col_bits, t, sum[PUDLE_ME(t)]);
        PUDLE_SYNC;
    }
    PUDLE_JOIN(4, room, ROW_BITS + tile.col_bits, sum)
    PUDLE_THREADS(t, width) if (t < 1 << (ROW_BITS + tile.col_bits) && width) {
        PUDLE_UNROLL
        for (int i = 0; i < 16; i++) {
            const int m = above + i / 4 * rows + t % rows, n = before + 4 * (t / rows) + i % 4;
            if (m < f.k && n < f.terms)
                partial[((long long)split * f.k + m) * f.terms + n] = sum[PUDLE_ME(t)][i];
        }
    }
}
PUDLE_TILES(REAL) K(filters)(pudle_filters f, pudle_tile tile, pudle_pairs pairs, int splits, REAL *partial)
{
    PUDLE_BLOCKS(b) {
        PUDLE_SHARED pudle_few<REAL> room[PUDLE_ROOM(REAL) / 4];
        PUDLE_SHARED const REAL *code[PUDLE_DEPTH(REAL)];
        PUDLE_SHARED pudle_few<const REAL *> image[PUDLE_DEPTH(REAL) / 4];
        if (tile.row_bits == 4)
            K(filters_of)<4>(room->at, code, image->at, b, f, tile, pairs, splits, partial);
        else
            K(filters_of)<2>(room->at, code, image->at, b, f, tile, pairs, splits, partial);
    }
}
PUDLE_CALLABLE(K(filters))

/* out += the parts (parts, n), one after the other, in double */
PUDLE_KERNEL K(parts)(const REAL *partial, int parts, REAL *out, long long n)
{
    PUDLE_ENTRIES(i, n) {
        double sum = 0;
        PUDLE_UNROLL_BY(16) /* so many are on their way at a time */
        for (int p = 0; p < parts; p++)
            sum += (double)partial[p * n + i];
        out[i] = (REAL)((double)out[i] + sum);
    }
}
PUDLE_CALLABLE(K(parts))
