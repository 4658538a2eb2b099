/* Kernels for REAL, included by kernels.cu once for float and once for double. Arrays have n entries; `cols` is 0 where no array has
 * gaps between its rows, and each has a row stride. */

PUDLE_KERNEL K(fill)(REAL *y, REAL value, long long n, long long cols, long long sy)
{
    PUDLE_ENTRIES(i, n)
        y[pudle_at(i, cols, sy)] = value;
}
PUDLE_CALLABLE(K(fill))

/* y <- a x + b y; keep = 0 leaves the old y unread */
PUDLE_KERNEL K(axpby)(REAL a, const REAL *x, REAL b, REAL *y, int keep, long long n, long long cols, long long sx, long long sy)
{
    PUDLE_ENTRIES(i, n) {
        const long long to = pudle_at(i, cols, sy);
        const REAL ax = a * x[pudle_at(i, cols, sx)];
        y[to] = keep ? ax + b * y[to] : ax;
    }
}
PUDLE_CALLABLE(K(axpby))

PUDLE_KERNEL K(sign)(const REAL *x, REAL *y, long long n, long long cols, long long sx, long long sy)
{
    PUDLE_ENTRIES(i, n) {
        const REAL v = x[pudle_at(i, cols, sx)];
        y[pudle_at(i, cols, sy)] = v > 0 ? (REAL)1 : v < 0 ? (REAL)-1 : v == 0 ? (REAL)0 : v;
    }
}
PUDLE_CALLABLE(K(sign))

/* partial[block] <- its part of <x, y>, products and sums in double */
PUDLE_KERNEL K(dot)(const REAL *x, const REAL *y, double *partial, long long n, long long cols, long long sx, long long sy)
{
    PUDLE_BLOCKS(b) {
        PUDLE_SHARED double part[PUDLE_BLOCK];
        PUDLE_THREADS(t, width) {
            double sum = 0;
            for (long long i = b * width + t; i < n; i += PUDLE_GRID * width)
                sum += (double)x[pudle_at(i, cols, sx)] * (double)y[pudle_at(i, cols, sy)];
            part[t] = sum;
        }
        PUDLE_SYNC;
        PUDLE_TREE(part)
        PUDLE_THREADS(t, width) if (t < 1 && width) partial[b] = part[0];
    }
}
PUDLE_CALLABLE(K(dot))

/* partial (2, grid): entries that are not 0, and entries that are not finite. Counts below 2^53 are exact in double. */
PUDLE_KERNEL K(census)(const REAL *x, double *partial, long long n, long long cols, long long sx)
{
    PUDLE_BLOCKS(b) {
        PUDLE_SHARED double filled[PUDLE_BLOCK];
        PUDLE_SHARED double bad[PUDLE_BLOCK];
        PUDLE_THREADS(t, width) {
            long long nonzero = 0, nonfinite = 0;
            for (long long i = b * width + t; i < n; i += PUDLE_GRID * width) {
                const REAL v = x[pudle_at(i, cols, sx)];
                nonzero += v != 0;
                nonfinite += !(v - v == 0);
            }
            filled[t] = (double)nonzero;
            bad[t] = (double)nonfinite;
        }
        PUDLE_SYNC;
        PUDLE_TREE(filled)
        PUDLE_TREE(bad)
        PUDLE_THREADS(t, width) if (t < 1 && width) {
            partial[b] = filled[0];
            partial[PUDLE_GRID + b] = bad[0];
        }
    }
}
PUDLE_CALLABLE(K(census))

/* Slices of `entries` numbers, number e of slice s at w[s * slice_step + e * entry_step], to the norm `norm`; a block takes `tile`
 * slices. The largest entry comes out of a slice before its squares are summed, so that none overflows or vanishes; a NaN or an
 * infinity shows in the sum. */
PUDLE_KERNEL K(normalize)(REAL *w, long long slices, long long entries, long long slice_step, long long entry_step, int tile, double norm)
{
    PUDLE_BLOCKS(b) {
        PUDLE_SHARED double most[PUDLE_BLOCK];
        PUDLE_SHARED double part[PUDLE_BLOCK];
        PUDLE_THREADS(t, width) {
            const long long s = b * tile + t % tile;
            double top = 0;
            for (long long e = t / tile; s < slices && e < entries; e += width / tile) {
                const double v = (double)w[s * slice_step + e * entry_step], a = v < 0 ? -v : v;
                top = a > top ? a : top;
            }
            most[t] = top;
        }
        PUDLE_SYNC;
        for (int half = PUDLE_WIDTH / 2; half >= tile; half /= 2) {
            PUDLE_THREADS(t, width) if (t < half && width)
                most[t] = most[t + half] > most[t] ? most[t + half] : most[t];
            PUDLE_SYNC;
        }
        PUDLE_THREADS(t, width) if (t < tile && width)
            most[t] = most[t] > 0 && most[t] - most[t] == 0 ? most[t] : 1;
        PUDLE_SYNC;
        PUDLE_THREADS(t, width) {
            const long long s = b * tile + t % tile;
            double sum = 0;
            for (long long e = t / tile; s < slices && e < entries; e += width / tile) {
                const double a = (double)w[s * slice_step + e * entry_step] / most[t % tile];
                sum += a * a;
            }
            part[t] = sum;
        }
        PUDLE_SYNC;
        for (int half = PUDLE_WIDTH / 2; half >= tile; half /= 2) {
            PUDLE_THREADS(t, width) if (t < half && width)
                part[t] += part[t + half];
            PUDLE_SYNC;
        }
        PUDLE_THREADS(t, width) {
            const long long s = b * tile + t % tile;
            const double length = most[t % tile] * sqrt(part[t % tile]), scale = norm / (length < 1e-12 ? 1e-12 : length);
            for (long long e = t / tile; s < slices && e < entries; e += width / tile) {
                const long long at = s * slice_step + e * entry_step;
                w[at] = (REAL)((double)w[at] * scale);
            }
        }
    }
}
PUDLE_CALLABLE(K(normalize))

/* outer (atoms, atoms) += z' u for few entries other than 0 in z and u (rows, atoms), which have their bits in words of 32 atoms (words, stride). A block
 * has 32 by 32 entries of outer, a thread four of a column. It takes 256 rows at a time, and of these the ones that have something for it. */
PUDLE_KERNEL K(outer)(const REAL *z, const REAL *u, const unsigned *z_bits, const unsigned *u_bits, REAL *outer, long long rows, long long stride,
                      long long atoms)
{
    const long long tiles = (atoms + 31) / 32;
    PUDLE_BLOCKS(b) {
        PUDLE_SHARED unsigned on[PUDLE_BLOCK / 32];
        PUDLE_SHARED unsigned bits[PUDLE_BLOCK];
        PUDLE_SHARED int list[PUDLE_BLOCK];
        const long long across = b / tiles, along = b % tiles; /* words of z, of u */
        for (long long from = 0; from < rows; from += PUDLE_BLOCK) {
            PUDLE_THREADS(t, width) {
                const bool here = from + t < rows && width;
                PUDLE_MARK(on, t, here && z_bits[across * stride + from + t] && u_bits[along * stride + from + t])
            }
            PUDLE_SYNC;
            PUDLE_THREADS(t, width) {
                if (width && (on[t / 32] >> t % 32 & 1)) {
                    const int place = pudle_before(on, t);
                    list[place] = t;
                    bits[place] = z_bits[across * stride + from + t];
                }
            }
            PUDLE_SYNC;
            int found = 0;
            for (int k = 0; k < PUDLE_WIDTH / 32; k++)
                found += PUDLE_COUNT(on[k]);
            PUDLE_THREADS(t, width) {
                const long long i = 32 * across + t / 32 * 4, j = 32 * along + t % 32;
                REAL sum[4] = { 0, 0, 0, 0 };
                for (int e = 0; e < found && j < atoms && width; e++) {
                    const unsigned four = bits[e] >> t / 32 * 4 & 15;
                    if (!four)
                        continue;
                    const long long at = (from + list[e]) * atoms;
                    const REAL by = u[at + j];
                    for (int k = 0; k < 4; k++)
                        if (four >> k & 1)
                            sum[k] += z[at + i + k] * by;
                }
                for (int k = 0; k < 4; k++)
                    if (sum[k] != 0)
                        outer[(i + k) * atoms + j] += sum[k];
            }
            PUDLE_SYNC;
        }
    }
}
PUDLE_CALLABLE(K(outer))

/* w (n, n) <- w + w' */
PUDLE_KERNEL K(symmetric)(REAL *w, long long n)
{
    PUDLE_ENTRIES(e, n * n) {
        const long long i = e / n, j = e % n;
        if (i <= j)
            w[i * n + j] = w[j * n + i] = w[i * n + j] + w[j * n + i];
    }
}
PUDLE_CALLABLE(K(symmetric))

/* The filters in the order of a product: matrix[e] <- d[place[e]], or 0 where place is -1 */
PUDLE_KERNEL K(arrange)(const REAL *d, const int *place, REAL *matrix, long long n)
{
    PUDLE_ENTRIES(i, n)
        matrix[i] = place[i] < 0 ? 0 : d[place[i]];
}
PUDLE_CALLABLE(K(arrange))

/* image <- sign D codes, and x where there is one */
struct K(image_result) {
    struct cell { int n, row, col; };
    const pudle_filters &f;
    const REAL *codes, *x;
    const REAL sign;
    REAL *image;
    PUDLE_MEMBER cell begin(int m) const
    {
        const int cells = f.cells[0] * f.cells[1], row = m % cells / f.cells[1] * f.group[0], col = m % cells % f.cells[1] * f.group[1];
        return { m / cells, row, col };
    }
    PUDLE_MEMBER void put(const cell &to, int n, REAL sum) const
    {
        const int group = f.group[0] * f.group[1], c = n / group, row = to.row + n % group / f.group[1], col = to.col + n % f.group[1];
        const long long i = (((long long)to.n * f.c + c) * f.h + row) * f.w + col;
        if (row < f.h && col < f.w)
            image[i] = x ? x[i] + sign * sum : sign * sum;
    }
    PUDLE_MEMBER void again(const cell &to, int n) const
    {
        const int group = f.group[0] * f.group[1], row = to.row + n % group / f.group[1], col = to.col + n % f.group[1];
        if (row < f.h && col < f.w)
            put(to, n, pudle_pixel(f, codes, to.n, n / group, row, col));
    }
};
PUDLE_KERNEL K(image)(pudle_filters f, pudle_tile tile, int count, const REAL *codes, const REAL *x, int sign, REAL *image)
{
    PUDLE_BLOCKS(b) {
        PUDLE_SHARED pudle_four<REAL> room[PUDLE_ROOM(REAL) / 4];
        pudle_tile_of(room->at, b, tile, count, pudle_synthesis<REAL>(f, codes), K(image_result){ f, codes, x, (REAL)sign, image });
    }
}
PUDLE_CALLABLE(K(image))

/* codes += D' image */
struct K(codes_result) {
    typedef pudle_code_cell cell;
    const pudle_filters &f;
    REAL *codes;
    PUDLE_MEMBER cell begin(int m) const { return pudle_code_at(f, m); }
    PUDLE_MEMBER void put(const cell &to, int n, REAL sum) const { codes[to.at + (long long)n * f.p * f.q] += sum; }
    PUDLE_MEMBER void again(const cell &, int) const {} /* every term is the definition's */
};
PUDLE_KERNEL K(codes)(pudle_filters f, pudle_tile tile, int count, const REAL *images, REAL *codes)
{
    PUDLE_BLOCKS(b) {
        PUDLE_SHARED pudle_four<REAL> room[PUDLE_ROOM(REAL) / 4];
        pudle_tile_of(room->at, b, tile, count, pudle_analysis<REAL>(f, images), K(codes_result){ f, codes });
    }
}
PUDLE_CALLABLE(K(codes))

/* The gradient of the filters: partial[split] (k, terms) <- its part of the sum over pairs, samples and positions of code times pixel. Splits have equal shares of
 * all positions, PUDLE_DEPTH at a time; a split is as many blocks as tiles. */
template <int ROW_BITS> PUDLE_DEVICE void K(filters_of)(REAL *room, const REAL **code, const REAL **image, long long b, const pudle_filters &f, const pudle_tile &tile,
                                                        const pudle_pairs &pairs, int splits, REAL *partial)
{
    const int depth = PUDLE_DEPTH(REAL), rows = 1 << ROW_BITS, high = 4 * rows, wide_bits = 2 + tile.col_bits, wide = 1 << wide_bits, pitch = high + 1, plane = f.p * f.q;
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
            code[t] = (const REAL *)(pair == 0 ? pairs.codes[0] : pair == 1 ? pairs.codes[1] : pairs.codes[2]) + pudle_code_at(f, own).at;
            image[t] = pudle_analysis<REAL>(f, (const REAL *)(pair == 0 ? pairs.images[0] : pair == 1 ? pairs.images[1] : pairs.images[2])).at(own);
        }
        PUDLE_SYNC;
        PUDLE_THREADS(t, width) {
            const int e = t & (depth - 1), n = t & (wide - 1), term = pudle_under(f, before + n < f.terms ? before + n : 0), some = all - step * depth;
            for (int m = t / depth; m < high; m += width / depth)
                pudle_bring(room + e * pitch + m, code[e] + (long long)(above + m < f.k ? above + m : 0) * plane, above + m < f.k && e < some);
            for (int k = t >> wide_bits; k < depth; k += width >> wide_bits)
                pudle_bring(right + (k << wide_bits) + n, image[k] + term, before + n < f.terms && k < some);
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
PUDLE_KERNEL K(filters)(pudle_filters f, pudle_tile tile, pudle_pairs pairs, int splits, REAL *partial)
{
    PUDLE_BLOCKS(b) {
        PUDLE_SHARED pudle_four<REAL> room[PUDLE_ROOM(REAL) / 4];
        PUDLE_SHARED const REAL *code[PUDLE_DEPTH(REAL)];
        PUDLE_SHARED const REAL *image[PUDLE_DEPTH(REAL)];
        if (tile.row_bits == 4)
            K(filters_of)<4>(room->at, code, image, b, f, tile, pairs, splits, partial);
        else
            K(filters_of)<2>(room->at, code, image, b, f, tile, pairs, splits, partial);
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

/* buf <- mu buf + g;  w <- w - rate buf */
PUDLE_KERNEL K(momentum)(REAL rate, REAL mu, const REAL *g, REAL *buf, REAL *w, long long n, long long cols, long long sg, long long sb, long long sw)
{
    PUDLE_ENTRIES(i, n) {
        const long long ib = pudle_at(i, cols, sb), iw = pudle_at(i, cols, sw);
        const REAL step = mu * buf[ib] + g[pudle_at(i, cols, sg)];
        buf[ib] = step;
        w[iw] -= rate * step;
    }
}
PUDLE_CALLABLE(K(momentum))

/* The formula stands at pudle_adam in pudle/backend.h; rate comes divided by 1 - b1^k, root is sqrt(1 - b2^k). In double, as the
 * second moments of small gradients leave the range of float. */
PUDLE_KERNEL K(adam)(double rate, double b1, double b2, double root, double epsilon, const REAL *g, REAL *m, REAL *v, REAL *w, long long n,
                     long long cols, long long sg, long long sm, long long sv, long long sw)
{
    PUDLE_ENTRIES(i, n) {
        const long long im = pudle_at(i, cols, sm), iv = pudle_at(i, cols, sv), iw = pudle_at(i, cols, sw);
        const double gi = (double)g[pudle_at(i, cols, sg)];
        m[im] = (REAL)(b1 * (double)m[im] + (1 - b1) * gi);
        v[iv] = (REAL)(b2 * (double)v[iv] + (1 - b2) * gi * gi);
        w[iw] = (REAL)((double)w[iw] - rate * (double)m[im] / (sqrt((double)v[iv]) / root + epsilon));
    }
}
PUDLE_CALLABLE(K(adam))
