/* Convolutions as products of matrices, one factor of which is gathered: a block of PUDLE_BLOCK threads works out a tile of
 *   out(m, n) = sum over k of left(m, k) right(k, n),
 * with factors brought to shared memory some terms k at a time. unroll_filters.h says what is a convolution in this form; convolution_kernels.h and filters_kernels.h
 * say what becomes of out(m, n). Included after grid.h. */
#define PUDLE_ROOM(real) (45056 / (int)sizeof(real)) /* numbers of both factors in shared memory, of the 48 KiB that can be had without asking */
#define PUDLE_TERMS(real) (PUDLE_ROOM(real) / 12)    /* terms that are there at a time, at most: those of the smallest tile */
#define PUDLE_DEPTH(real) (256 / (int)sizeof(real))  /* and of a sum over positions */
/* How the threads share a tile: 1 << row_bits of them along m, each with `each` (1 or 4) numbers, and 1 << col_bits along n, each with 4. Those that are left
 * over take their share of the terms of the same numbers. Rows of a thread are 1 << row_bits apart, and in shared memory its numbers of a term lie together. row_bits is
 * 4 where each is 4 and 3 where it is 1; and for the gradient 4 or 2. */
struct pudle_tile { int each, row_bits, col_bits; };
#define PUDLE_BLOCK_BITS 8 /* of PUDLE_BLOCK */
/* A division by d of what is less than 2^32 / d. */
struct pudle_divisor { int d; unsigned by; };
/* Filters (k, c, r, s) at a stride on images (n, c, h, w) and codes (n, k, p, q), and D once more as matrices (unroll_filters.h). */
struct pudle_filters {
    const void *analysis, *synthesis; /* (terms, filters); (taps k, pixels): rows of k and `slots` numbers, and then zeros up to the width of a tile */
    int filters, pixels; /* these widths */
    int k, c, h, w, r, s, p, q, terms, taps, slots;
    int stride[2], jump[2], group[2], cells[2]; /* a cell is group[0] by group[1] pixels, and the next one's positions are jump on; cells of an image */
    pudle_divisor of_k, of_across, of_s, of_rs; /* filters; taps of a row of them; pixels of a filter's row, and of a channel */
    pudle_divisor of_wide, of_cell; /* pixels of a cell's row, and of a channel */
};
/* What the gradient of the filters is a sum over: codes (samples, k, p, q) beside images (samples, c, h, w); none: samples 0. */
struct pudle_pairs { const void *codes[3], *images[3]; int samples[3]; };
/* Numbers that lie together, and are read together. */
template <typename real, int count = 4> struct alignas(count == 1 ? sizeof(real) : 16) pudle_few { real at[count]; };
template <int count, typename real> PUDLE_DEVICE pudle_few<real, count> pudle_read(const real *from) { return *(const pudle_few<real, count> *)from; }

PUDLE_DEVICE int pudle_divide(int e, pudle_divisor of)
{
    return of.d == 1 ? e : (int)((unsigned long long)e * of.by >> 32);
}

/* Where the first pixel under position m of any sample is. */
PUDLE_DEVICE long long pudle_window(const pudle_filters &f, int m)
{
    const int n = m / (f.p * f.q), i = m % (f.p * f.q) / f.q, j = m % f.q;
    return ((long long)n * f.c * f.h + i * f.stride[0]) * f.w + j * f.stride[1];
}

/* Of term e of a filter: where its pixel is from there. */
PUDLE_DEVICE int pudle_under(const pudle_filters &f, int e)
{
    const int c = pudle_divide(e, f.of_rs), rest = e - c * f.of_rs.d, row = pudle_divide(rest, f.of_s);
    return (c * f.h + row) * f.w + rest - row * f.of_s.d;
}

/* A number from the device's memory to shared memory, or 0; there once PUDLE_ARRIVED has been passed by who brought it, and a barrier by all. Many are on their
 * way at a time. */
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
template <typename real> PUDLE_DEVICE void pudle_bring(real *to, const real *from, bool here)
{
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"((unsigned)__cvta_generic_to_shared(to)), "l"(from), "n"((int)sizeof(real)),
                 "r"(here ? (int)sizeof(real) : 0) : "memory");
}
PUDLE_DEVICE void pudle_bring_bytes(void *to, const void *from) /* 16 */
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"((unsigned)__cvta_generic_to_shared(to)), "l"(from) : "memory");
}
template <typename real> PUDLE_DEVICE void pudle_bring_four(real *to, const real *from)
{
    for (int i = 0; i < 4; i += 16 / (int)sizeof(real))
        pudle_bring_bytes(to + i, from + i);
}
#define PUDLE_ARRIVED asm volatile("cp.async.wait_all;" ::: "memory")
#else
template <typename real> PUDLE_DEVICE void pudle_bring(real *to, const real *from, bool here)
{
    *to = here ? *from : (real)0;
}
template <typename real> PUDLE_DEVICE void pudle_bring_four(real *to, const real *from)
{
    *(pudle_few<real> *)to = pudle_read<4>(from);
}
#define PUDLE_ARRIVED (void)0
#endif

/* One thread's share of `terms` terms: left (terms, pitch), where the rows of a thread lie together; right (terms, 4 << COL_BITS). */
template <int EACH, int ROW_BITS, int COL_BITS, typename real>
PUDLE_DEVICE void pudle_multiply_wide(const real *left, int pitch, const real *right, int terms, int t, real *sum)
{
    const int row = t & ((1 << ROW_BITS) - 1), col = t >> ROW_BITS & ((1 << COL_BITS) - 1), wide = 4 << COL_BITS;
    const int part = t >> (ROW_BITS + COL_BITS), parts = PUDLE_BLOCK >> (ROW_BITS + COL_BITS);
    const real *a = left + part * pitch + EACH * row, *b = right + part * wide + 4 * col;
    PUDLE_UNROLL_BY(4)
    for (int k = part; k < terms; k += parts, a += parts * pitch, b += parts * wide) {
        const pudle_few<real, EACH> down = pudle_read<EACH>(a);
        const pudle_few<real> along = pudle_read<4>(b);
        PUDLE_UNROLL
        for (int i = 0; i < EACH; i++)
            for (int j = 0; j < 4; j++)
                sum[4 * i + j] += down.at[i] * along.at[j];
    }
}
/* Of whichever width, which is the compiler's to know, lest every number has an address to be worked out. */
template <int EACH, int ROW_BITS, typename real>
PUDLE_DEVICE void pudle_multiply(const real *left, int pitch, const real *right, int terms, int col_bits, int t, real *sum)
{
    switch (col_bits) {
    case 0: return pudle_multiply_wide<EACH, ROW_BITS, 0>(left, pitch, right, terms, t, sum);
    case 1: return pudle_multiply_wide<EACH, ROW_BITS, 1>(left, pitch, right, terms, t, sum);
    case 2: return pudle_multiply_wide<EACH, ROW_BITS, 2>(left, pitch, right, terms, t, sum);
    case 3: return pudle_multiply_wide<EACH, ROW_BITS, 3>(left, pitch, right, terms, t, sum);
    default: return pudle_multiply_wide<EACH, ROW_BITS, 4>(left, pitch, right, terms, t, sum);
    }
}

/* Before: numbers of all threads, of which 1 << bits have the same part of the terms. After: those of the first part are the sums over all parts, in order. A
 * macro, for it has a barrier inside. */
#define PUDLE_JOIN(EACH, room, bits, sum) \
    if ((bits) < PUDLE_BLOCK_BITS) { \
        PUDLE_THREADS(t, width) for (int i = 0; i < 4 * EACH && width; i++) room[i * PUDLE_BLOCK + t] = sum[PUDLE_ME(t)][i]; \
        PUDLE_SYNC; \
        PUDLE_THREADS(t, width) if (t < 1 << (bits) && width) \
            PUDLE_UNROLL_BY(1) \
            for (int e = t + (1 << (bits)); e < PUDLE_BLOCK; e += 1 << (bits)) \
                PUDLE_UNROLL \
                for (int i = 0; i < 4 * EACH; i++) \
                    sum[PUDLE_ME(t)][i] += room[i * PUDLE_BLOCK + e]; \
    }

/* Factors, as pudle_product asks for them. at(m): where row m of the left one begins. prepare(t, first, last): thread t's share of what all rows have to know of the
 * terms first ... last - 1; behind a barrier, left(to, gap, at(m), part, parts, first, last) brings one part of these terms of a row, term k to to[(k - first) gap].
 * The right one is a matrix (terms, pitch), of which there are `results` columns. */

/* D' image: m is a position of any sample, n a filter, and terms are the pixels under it. All positions see them at the same places, which `under` has. */
template <typename real> struct pudle_analysis {
    typedef const real *place;
    const pudle_filters &f;
    const real *images, *right;
    int *under;
    int terms, results, pitch;
    PUDLE_MEMBER pudle_analysis(const pudle_filters &filters, const real *from, int *room)
        : f(filters), images(from), right((const real *)f.analysis), under(room), terms(f.terms), results(f.k), pitch(f.filters) {}
    PUDLE_MEMBER place at(int m) const { return images + pudle_window(f, m); }
    PUDLE_MEMBER void prepare(int t, int first, int last) const
    {
        PUDLE_UNROLL_BY(1)
        for (int k = first + t; k < last; k += PUDLE_BLOCK)
            under[k - first] = pudle_under(f, k);
    }
    PUDLE_MEMBER void left(real *to, int gap, place from, int part, int parts, int first, int last) const
    {
        to += 4 * part * gap;
        PUDLE_UNROLL_BY(2)
        for (int q = part; 4 * q < last - first; q += parts, to += 4 * parts * gap) { /* a part is every parts-th four */
            const pudle_few<int> four = pudle_read<4>(under + 4 * q);
            PUDLE_UNROLL
            for (int i = 0; i < 4; i++)
                if (4 * q + i < last - first)
                    pudle_bring(to + i * gap, from + four.at[i], true);
        }
    }
};

/* D codes: m is a cell of any sample, n one of its pixels in a channel, and terms are the codes that reach it: k of each tap. Tap a, of dimension d, is
 * jump[d] - 1 - a positions from the first one of a cell. */
template <typename real> struct pudle_synthesis {
    struct place { const real *from; int row, col; };
    const pudle_filters &f;
    const real *codes, *right;
    int terms, results, pitch;
    PUDLE_MEMBER pudle_synthesis(const pudle_filters &filters, const real *from)
        : f(filters), codes(from), right((const real *)f.synthesis), terms(f.taps * f.k), results(f.slots), pitch(f.pixels) {}
    PUDLE_MEMBER place at(int m) const
    {
        const int cells = f.cells[0] * f.cells[1], n = m / cells, i = m % cells / f.cells[1] * f.jump[0], j = m % cells % f.cells[1] * f.jump[1];
        return { codes + (long long)n * f.k * f.p * f.q, i + f.jump[0] - 1, j + f.jump[1] - 1 };
    }
    PUDLE_MEMBER void prepare(int, int, int) const {}
    PUDLE_MEMBER void left(real *to, int gap, const place &cell, int part, int parts, int first, int last) const
    {
        const int plane = f.p * f.q;
        to += part * gap;
        for (int k = first + part; k < last;) { /* those of one tap */
            const int tap = pudle_divide(k, f.of_k), above = pudle_divide(tap, f.of_across), i = cell.row - above, j = cell.col - (tap - above * f.of_across.d);
            const bool inside = (unsigned)i < (unsigned)f.p && (unsigned)j < (unsigned)f.q;
            const int end = (tap + 1) * f.k < last ? (tap + 1) * f.k : last;
            const real *from = cell.from + (inside ? (k - tap * f.k) * plane + i * f.q + j : 0);
            const long long on = inside ? (long long)parts * plane : 0;
            PUDLE_UNROLL_BY(4)
            for (; k < end; k += parts, to += parts * gap, from += on)
                pudle_bring(to, from, inside);
        }
    }
};

/* D codes at one pixel, by the definition: where the zeros in the matrix have met a code that is no finite number. */
template <typename real> PUDLE_DEVICE real pudle_pixel(const pudle_filters &f, const real *codes, int n, int c, int y, int x)
{
    const int above = y - f.r + 1, before = x - f.s + 1;
    real sum = 0;
    PUDLE_UNROLL_BY(1)
    for (int i = above > 0 ? (above + f.stride[0] - 1) / f.stride[0] : 0; i < f.p && i * f.stride[0] <= y; i++)
        PUDLE_UNROLL_BY(1)
        for (int j = before > 0 ? (before + f.stride[1] - 1) / f.stride[1] : 0; j < f.q && j * f.stride[1] <= x; j++)
            PUDLE_UNROLL_BY(1)
            for (int k = 0; k < f.k; k++)
                sum += codes[(((long long)n * f.k + k) * f.p + i) * f.q + j] *
                       ((const real *)f.analysis)[(long long)((c * f.r + y - i * f.stride[0]) * f.s + x - j * f.stride[1]) * f.filters + k];
    return sum;
}

/* Tile b of a product with `count` rows. result: what becomes of the numbers. row_of(m) and column_of(n) are what it has to know of them, has(row, column) whether
 * there is such a number; fetch(row, column) is what it reads, for all numbers of a row before the first is stored, lest each waits for memory by itself; and put(row,
 * column, what was fetched, sum). again(m, n) comes after all, where a sum is no finite number. */
template <int EACH, int ROW_BITS, typename real, typename factors, typename result>
PUDLE_DEVICE void pudle_product(real *room, long long b, int col_bits, int count, const factors &f, const result &out)
{
    const int high = EACH << ROW_BITS, wide = 4 << col_bits, rows = 1 << ROW_BITS;
    const int depth = PUDLE_ROOM(real) / (high + wide), across = (f.results + wide - 1) / wide;
    const int above = (int)(b / across) * high, before = (int)(b % across) * wide;
    real *const right = room + depth * high;
    PUDLE_OWN(real, sum, 4 * EACH);
    PUDLE_OWN(typename factors::place, place, 1);
    PUDLE_THREADS(t, width) {
        const int m = above + t % high;
        place[PUDLE_ME(t)][0] = f.at(m < count && width ? m : 0);
        for (int i = 0; i < 4 * EACH; i++)
            sum[PUDLE_ME(t)][i] = 0;
        f.prepare(t, 0, f.terms < depth ? f.terms : depth);
    }
    PUDLE_SYNC;
    for (int first = 0; first < f.terms; first += depth) {
        const int last = f.terms - first < depth ? f.terms : first + depth, next = f.terms - last < depth ? f.terms : last + depth;
        PUDLE_THREADS(t, width) if (width) {
            const int m = t % high, n = 4 * t & (wide - 1), parts = PUDLE_BLOCK >> col_bits, part = t >> col_bits;
            const real *from = f.right + (long long)(first + part) * f.pitch + before + n;
            real *to = right + (part << (2 + col_bits)) + n;
            f.left(room + m % rows * EACH + m / rows, high, place[PUDLE_ME(t)][0], t / high, PUDLE_BLOCK / high, first, last);
            PUDLE_UNROLL_BY(4)
            for (int e = part; e < last - first; e += parts, from += (long long)parts * f.pitch, to += 4 * PUDLE_BLOCK)
                pudle_bring_four(to, from);
            PUDLE_ARRIVED;
        }
        PUDLE_SYNC;
        PUDLE_THREADS(t, width) if (width) {
            pudle_multiply<EACH, ROW_BITS>(room, high, right, last - first, col_bits, t, sum[PUDLE_ME(t)]);
            f.prepare(t, last, next);
        }
        PUDLE_SYNC;
    }
    PUDLE_JOIN(EACH, room, ROW_BITS + col_bits, sum)
    PUDLE_THREADS(t, width) if (t < 1 << (ROW_BITS + col_bits) && width) {
        const int first = above + t % rows, n = before + 4 * (t / rows);
        typename result::column column[4];
        bool finite = true;
        PUDLE_UNROLL
        for (int j = 0; j < 4; j++)
            column[j] = out.column_of(n + j < f.results ? n + j : 0);
        PUDLE_UNROLL
        for (int i = 0; i < EACH; i++) {
            const int m = first + i * rows;
            const typename result::row row = out.row_of(m < count ? m : 0);
            typename result::input in[4];
            bool here[4];
            PUDLE_UNROLL
            for (int j = 0; j < 4; j++) {
                here[j] = m < count && n + j < f.results && out.has(row, column[j]);
                if (here[j])
                    in[j] = out.fetch(row, column[j]);
            }
            PUDLE_UNROLL
            for (int j = 0; j < 4; j++) {
                const real s = sum[PUDLE_ME(t)][4 * i + j];
                finite = finite && s - s == 0;
                if (here[j])
                    out.put(row, column[j], in[j], s);
            }
        }
        PUDLE_UNROLL_BY(1)
        for (int e = 0; e < 4 * EACH && !finite; e++) /* rare: one copy of it */
            if (first + e / 4 * rows < count && n + e % 4 < f.results)
                out.again(first + e / 4 * rows, n + e % 4);
    }
}

/* A tile of whichever kind. */
template <typename real, typename factors, typename result>
PUDLE_DEVICE void pudle_tile_of(real *room, long long b, const pudle_tile &tile, int count, const factors &f, const result &out)
{
    if (tile.each == 1)
        pudle_product<1, 3>(room, b, tile.col_bits, count, f, out);
    else
        pudle_product<4, 4>(room, b, tile.col_bits, count, f, out);
}

/* A result that is as large as codes (n, k, p, q): D' image. */
struct pudle_on_codes {
    typedef long long row; /* the entry of the first filter at position m */
    const pudle_filters &f;
    static PUDLE_MEMBER row row_at(const pudle_filters &f, int m)
    {
        const int plane = f.p * f.q;
        return (long long)(m / plane) * f.k * plane + m % plane;
    }
    PUDLE_MEMBER row row_of(int m) const { return row_at(f, m); }
    PUDLE_MEMBER int along(int n) const { return n * f.p * f.q; }
    template <typename column> PUDLE_MEMBER bool has(row, const column &) const { return true; }
    PUDLE_MEMBER void again(int, int) const {} /* every term is the definition's */
};
