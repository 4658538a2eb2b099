/* One line of tv1d.c. Included twice, with REAL float and double and NAME(x) giving each function its suffix. Sums are double. */

static void NAME(tv_fill)(REAL *p, int64_t from, int64_t to, double value)
{
    for (int64_t i = from; i < to; i++)
        p[i] = (REAL)value;
}

/* p may be v: what is written is not read again. */
static void NAME(tv_line)(const REAL *v, REAL *p, int64_t n, double t)
{
    double all = 0;
    for (int64_t i = 0; i < n; i++)
        all += (double)v[i];
    if (t != t || !(all - all == 0)) {
        NAME(tv_fill)(p, 0, n, (double)NAN);
        return;
    }
    /* The path stands at (begin, S_begin + side). */
    double side = 0;
    for (int64_t begin = 0; begin < n;) {
        double low = -(double)INFINITY, high = (double)INFINITY, sum = 0; /* slopes that stay within so far */
        int64_t low_end = n, high_end = n, end = n;
        double slope = 0, next = 0;
        for (int64_t i = begin; i < n; i++) {
            const double length = (double)(i - begin + 1), slack = i + 1 < n ? t : 0; /* the path ends at S_n itself */
            sum += (double)v[i];
            const double least = (sum - slack - side) / length, most = (sum + slack - side) / length;
            if (least > high) {
                slope = high, end = high_end, next = t;
                break;
            }
            if (most < low) {
                slope = low, end = low_end, next = -t;
                break;
            }
            if (least >= low)
                low = least, low_end = i + 1;
            if (most <= high)
                high = most, high_end = i + 1;
            slope = most;
        }
        NAME(tv_fill)(p, begin, end, slope);
        begin = end;
        side = next;
    }
}

/* Returns (dp/dt)' g. Each block of equal p is read before it is written: gv may be g. */
static double NAME(tv_line_vjp)(const REAL *p, const REAL *g, REAL *gv, int64_t n)
{
    double total = 0;
    for (int64_t begin = 0, end; begin < n; begin = end) {
        double sum = 0;
        for (end = begin; end < n && (end == begin || p[end] == p[begin]); end++)
            sum += (double)g[end];
        const double mean = sum / (double)(end - begin);
        const REAL before = begin > 0 ? p[begin] - p[begin - 1] : 0, after = end < n ? p[end] - p[begin] : 0;
        total += mean * (double)(pudle_sign(after) - pudle_sign(before));
        for (int64_t i = begin; i < end; i++)
            gv[i] = (REAL)mean;
    }
    return total;
}
