/* Loops over one run of contiguous entries, for whatever the processor has. Included twice by arrays.c, with REAL float and double and NAME(x)
 * giving each function its suffix. No clone joins a product and a sum: an entry has the same bits wherever it stands in a
 * run, and on all processors. Arguments may be the same array (never partly overlapping ones), which `omp simd` allows and
 * `restrict` would not. Sums are double. */

PUDLE_CLONES static void NAME(fill)(REAL *y, int64_t n, REAL value)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = value;
}

PUDLE_CLONES static void NAME(axpby)(REAL a, const REAL *x, REAL b, REAL *y, int64_t n)
{
    if (b == 0) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            y[i] = a * x[i];
    } else {
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            y[i] = a * x[i] + b * y[i];
    }
}

PUDLE_CLONES static void NAME(sign)(const REAL *x, REAL *y, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const REAL v = x[i];
        y[i] = v == v ? (REAL)(v > 0) - (REAL)(v < 0) : v;
    }
}

/* No clones: longer vectors would add up in another order. */
static double NAME(dot)(const REAL *x, const REAL *y, int64_t n)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)y[i];
    return sum;
}

/* Counters of 64 bits would halve the vectors: those of a stretch have 32. */
PUDLE_CLONES static void NAME(census)(const REAL *x, int64_t n, int64_t *nonzero, int64_t *nonfinite)
{
    enum { STRETCH = 1 << 20 };
    for (int64_t from = 0; from < n; from += STRETCH) {
        const int64_t end = n - from < STRETCH ? n : from + STRETCH;
        int32_t filled = 0, bad = 0;
#pragma omp simd reduction(+ : filled, bad)
        for (int64_t i = from; i < end; i++) {
            filled += x[i] != 0;
            bad += !(x[i] - x[i] == 0); /* NaN and infinities */
        }
        *nonzero += filled;
        *nonfinite += bad;
    }
}

PUDLE_CLONES static void NAME(momentum)(REAL rate, REAL mu, const REAL *g, REAL *buf, REAL *w, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const REAL b = mu * buf[i] + g[i];
        buf[i] = b;
        w[i] -= rate * b;
    }
}

/* c1 = 1 - b1, c2 = 1 - b2, rate and root carry the bias corrections */
PUDLE_CLONES static void NAME(adam)(const double how[7], const REAL *g, REAL *m, REAL *v, REAL *w, int64_t n)
{
    const REAL b1 = (REAL)how[0], c1 = (REAL)how[1], b2 = (REAL)how[2], c2 = (REAL)how[3];
    const REAL rate = (REAL)how[4], root = (REAL)how[5], epsilon = (REAL)how[6];
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const REAL mi = b1 * m[i] + c1 * g[i], vi = b2 * v[i] + c2 * g[i] * g[i];
        m[i] = mi;
        v[i] = vi;
        w[i] -= rate * mi / (SQRT(vi) * root + epsilon);
    }
}

/* sum[j] += x_j^2 */
PUDLE_CLONES static void NAME(add_squares)(const REAL *x, double *restrict sum, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        sum[i] += (double)x[i] * (double)x[i];
}

/* x_j <- x_j scale[j], or scale[0] for all */
PUDLE_CLONES static void NAME(rescale)(REAL *x, const double *restrict scale, int64_t n, bool one)
{
    if (one) {
        const double s = scale[0];
        for (int64_t i = 0; i < n; i++)
            x[i] = (REAL)((double)x[i] * s);
    } else {
        for (int64_t i = 0; i < n; i++)
            x[i] = (REAL)((double)x[i] * scale[i]);
    }
}

/* sum[j] += x_j y_j */
PUDLE_CLONES static void NAME(add_products)(const REAL *x, const REAL *y, double *restrict sum, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        sum[i] += (double)x[i] * (double)y[i];
}

/* y_j <- y_j - share[j] x_j, or share[0] for all */
PUDLE_CLONES static void NAME(subtract_shares)(const REAL *x, REAL *restrict y, const double *restrict share, int64_t n, bool one)
{
    if (one) {
        const double s = share[0];
        for (int64_t i = 0; i < n; i++)
            y[i] = (REAL)((double)y[i] - s * (double)x[i]);
    } else {
        for (int64_t i = 0; i < n; i++)
            y[i] = (REAL)((double)y[i] - share[i] * (double)x[i]);
    }
}
