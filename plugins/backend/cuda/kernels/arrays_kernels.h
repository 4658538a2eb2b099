/* Kernels of arrays for REAL, included by kernels.cu once for float and once for double. Arrays have n entries; `cols` is 0 where no array has
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

/* g -= <w, g>/<w, w> w in each slice; steps of w, then those of g. */
PUDLE_KERNEL K(tangent)(const REAL *w, REAL *g, long long slices, long long entries, long long w_slice, long long w_entry, long long g_slice, long long g_entry, int tile)
{
    PUDLE_BLOCKS(b) {
        PUDLE_SHARED double along[PUDLE_BLOCK];
        PUDLE_SHARED double squares[PUDLE_BLOCK];
        PUDLE_THREADS(t, width) {
            const long long s = b * tile + t % tile;
            double product = 0, square = 0;
            for (long long e = t / tile; s < slices && e < entries; e += width / tile) {
                const double a = (double)w[s * w_slice + e * w_entry];
                product += a * (double)g[s * g_slice + e * g_entry];
                square += a * a;
            }
            along[t] = product;
            squares[t] = square;
        }
        PUDLE_SYNC;
        for (int half = PUDLE_WIDTH / 2; half >= tile; half /= 2) {
            PUDLE_THREADS(t, width) if (t < half && width) {
                along[t] += along[t + half];
                squares[t] += squares[t + half];
            }
            PUDLE_SYNC;
        }
        PUDLE_THREADS(t, width) {
            const long long s = b * tile + t % tile;
            const double share = squares[t % tile] == 0 ? 0 : along[t % tile] / squares[t % tile];
            for (long long e = t / tile; s < slices && e < entries; e += width / tile) {
                const long long at = s * g_slice + e * g_entry;
                g[at] = (REAL)((double)g[at] - share * (double)w[s * w_slice + e * w_entry]);
            }
        }
    }
}
PUDLE_CALLABLE(K(tangent))

/* outer += z' u + u' z, symmetric (atoms, atoms) in tiles, for few entries other than 0 in z and u (rows, atoms), which have their bits in words of 32 atoms (words,
 * stride). A block has a tile, a thread four of a column. It adds up `some` rows at a time, and of these the ones that have something for it. Less than 2^32 entries. */
PUDLE_KERNEL K(outer)(const REAL *z, const REAL *u, const unsigned *z_bits, const unsigned *u_bits, REAL *outer, int rows, int some, int stride, int atoms)
{
    const unsigned tiles = (unsigned)(atoms + 31) / 32;
    PUDLE_BLOCKS(b) {
        PUDLE_SHARED pudle_marks on;
        PUDLE_SHARED unsigned bits[PUDLE_BLOCK];
        PUDLE_SHARED int list[PUDLE_BLOCK];
        PUDLE_OWN(unsigned, word, 1);
        const unsigned across = (unsigned)b / tiles, along = (unsigned)b % tiles;
        for (int from = 0; from < rows && across <= along; from += some) {
            for (int turn = 0; turn < 2; turn++) {
                const REAL *const left = turn ? u : z, *const right = turn ? z : u;
                const unsigned *const left_bits = turn ? u_bits : z_bits, *const right_bits = turn ? z_bits : u_bits;
                PUDLE_THREADS(t, width) {
                    const bool here = t < some && from + t < rows && width;
                    const unsigned ours = here ? left_bits[across * stride + from + t] : 0, theirs = here ? right_bits[along * stride + from + t] : 0;
                    word[PUDLE_ME(t)][0] = ours;
                    PUDLE_MARK(on, t, ours && theirs)
                }
                PUDLE_SYNC;
                PUDLE_THREADS(t, width) if (pudle_marked(on, t) && width) {
                    const int place = pudle_before(on, t);
                    list[place] = t;
                    bits[place] = word[PUDLE_ME(t)][0];
                }
                PUDLE_SYNC;
                const int found = pudle_all(on);
                PUDLE_THREADS(t, width) {
                    const unsigned i = 32 * across + t / 32 * 4, j = 32 * along + t % 32;
                    REAL *const four = outer + pudle_tile_at(i, j, tiles);
                    REAL sum[4] = { 0, 0, 0, 0 }, old[4];
                    for (int e = 0; e < found && j < (unsigned)atoms && width; e++) {
                        const unsigned mine = bits[e] >> t / 32 * 4 & 15;
                        if (!mine)
                            continue;
                        const unsigned at = (unsigned)(from + list[e]) * atoms;
                        const REAL by = right[at + j];
                        for (int k = 0; k < 4; k++)
                            if (mine >> k & 1)
                                sum[k] += left[at + i + k] * by;
                    }
                    for (int k = 0; k < 4; k++)
                        old[k] = sum[k] != 0 ? four[32 * k] : 0;
                    for (int k = 0; k < 4; k++)
                        if (sum[k] != 0)
                            four[32 * k] = old[k] + sum[k];
                }
                PUDLE_SYNC;
            }
        }
    }
}
PUDLE_CALLABLE(K(outer))

/* w (n, n) <- all of what outer has left. */
PUDLE_KERNEL K(unfold)(const REAL *outer, REAL *w, long long n)
{
    const unsigned tiles = (unsigned)(n + 31) / 32;
    PUDLE_ENTRIES(e, n * n) {
        const unsigned i = (unsigned)e / (unsigned)n, j = (unsigned)e % (unsigned)n;
        w[e] = outer[i / 32 <= j / 32 ? pudle_tile_at(i, j, tiles) : pudle_tile_at(j, i, tiles)];
    }
}
PUDLE_CALLABLE(K(unfold))

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
