/* The primitives of a backend against plain loops in double, on matrices whose rows have gaps, in both precisions. */
#include "conform/parts.h"

enum { DRAWS = 24, MOST = 40 };
static const int32_t precisions[] = { PUDLE_F64, PUDLE_F32 };

/* A matrix in the backend's memory, rows `stride` apart, and what it holds. */
typedef struct matrix {
    int64_t rows, cols, stride;
    double *x;        /* (rows, cols) */
    pudle_view whole; /* with the gaps, which hold `gap` */
    pudle_view view;
    double *memory;   /* (rows, stride) */
} matrix;

static const double gap = 12345;

static bool matrix_new(pd_trial *t, pd_bench *b, int32_t dtype, int64_t rows, int64_t cols, double scale, matrix *m)
{
    *m = (matrix){ .rows = rows, .cols = cols, .stride = cols + (pd_below(t, 2) ? pd_below(t, 5) : 0) };
    const int64_t shape[2] = { rows, m->stride > 0 ? m->stride : 0 };
    m->x = pd_scratch(t, rows * cols);
    m->memory = pd_scratch(t, rows * m->stride);
    if (!m->x || !m->memory)
        return false;
    for (int64_t i = 0; i < rows * m->stride; i++)
        m->memory[i] = gap;
    for (int64_t i = 0; i < rows * cols; i++)
        m->memory[i / cols * m->stride + i % cols] = m->x[i] = isnan(scale) ? NAN : pd_single(scale * pd_normal(t));
    if (!pd_bench_put(b, dtype, 2, shape, m->memory, &m->whole))
        return false;
    m->view = m->whole;
    m->view.shape[1] = cols;
    m->view.stride[0] = m->stride;
    return true;
}

/* Back into x; the gaps must be as they were. */
static bool matrix_get(pd_trial *t, pd_bench *b, matrix *m)
{
    if (!pd_bench_get(b, &m->whole, m->memory))
        return false;
    for (int64_t i = 0; i < m->rows * m->stride; i++) {
        if (i % m->stride < m->cols)
            m->x[i / m->stride * m->cols + i % m->stride] = m->memory[i];
        else if (m->memory[i] != gap)
            return pd_fails(t, "it wrote between the rows of a matrix");
    }
    return true;
}

static void matrix_free(pd_bench *b, matrix *m)
{
    pd_bench_free(b, &m->whole);
}

/* ---------------------------------------------------------------- one primitive */

enum { FILL, COPY, AXPBY, SIGN, DOT, CENSUS, GEMM, NORMALIZE, TANGENT, MOMENTUM, ADAM };
static const char *const names[] = { "fill", "copy", "axpby", "sign", "dot", "census", "gemm", "normalize", "tangent", "momentum", "adam" };

typedef struct job {
    const pudle_backend_ops *ops;
    int what;
    double a, b;
    bool ta, tb;
    int32_t axis;
    pudle_cview x, y;
    const pudle_view *out, *m, *v;
    pudle_adam adam;
    double sum;
    int64_t nonzero, nonfinite;
} job;

static pudle_status do_job(void *ctx, pudle_exec *lane, int64_t index)
{
    job *j = ctx;
    (void)index;
    switch (j->what) {
    case FILL: return j->ops->fill(lane, j->a, j->out);
    case COPY: return j->ops->copy(lane, &j->x, j->out);
    case AXPBY: return j->ops->axpby(lane, j->a, &j->x, j->b, j->out);
    case SIGN: return j->ops->sign(lane, &j->x, j->out);
    case DOT: return j->ops->dot(lane, &j->x, &j->y, &j->sum);
    case CENSUS: return j->ops->census(lane, &j->x, &j->nonzero, &j->nonfinite);
    case GEMM: return j->ops->gemm(lane, j->ta, j->tb, j->a, &j->x, &j->y, j->b, j->out);
    case NORMALIZE: return j->ops->normalize(lane, j->axis, j->a, j->out);
    case TANGENT: return j->ops->tangent(lane, j->axis, &j->x, j->out);
    case MOMENTUM: return j->ops->momentum(lane, j->a, j->b, &j->x, j->m, j->out);
    default: return j->ops->adam(lane, &j->adam, &j->x, j->m, j->v, j->out);
    }
}

static bool run_job(pd_trial *t, pd_bench *b, job *j)
{
    j->ops = b->ops;
    t->verdict->calling = names[j->what];
    const pudle_status s = pd_bench_run(b, do_job, j);
    return s ? pd_fails(t, "%s returned %s: %s", names[j->what], pd_status_text(s), t->host.said) : true;
}

static bool agrees(pd_trial *t, const char *what, double got, double wanted, double slack, int64_t i)
{
    if (fabs(got - wanted) <= slack || got == wanted || (isnan(got) && isnan(wanted)))
        return true;
    return pd_fails(t, "%s: entry %lld is %.9g; plain loops say %.9g", what, (long long)i, got, wanted);
}

/* A test on an open backend, drawn anew in both precisions. */
static bool each(pd_trial *t, int draws, bool (*test)(pd_trial *, pd_bench *, int32_t))
{
    for (int draw = 0; draw < 2; draw++) { /* opening may be costly: few instances */
        pd_bench b;
        bool good = pd_instance_draw(t, draw) && pd_bench_open(t, &b);
        for (int i = 0; i < draws / 2 && good; i++) {
            good = test(t, &b, precisions[i % 2]);
            pd_trial_clear(t);
        }
        if (t->alive && good)
            pd_bench_close(&b);
        if (!good)
            return false;
    }
    return true;
}

static int64_t extent(pd_trial *t)
{
    static const int64_t some[] = { 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65 };
    return pd_below(t, 3) ? some[pd_below(t, 15)] : pd_below(t, MOST);
}

/* --------------------------------------------------------------- elementwise */

static bool elementwise_at(pd_trial *t, pd_bench *b, int32_t dtype)
{
    matrix x, y;
    const int64_t rows = extent(t), cols = extent(t), n = rows * cols;
    const double a = pd_single(pd_normal(t)), c = pd_below(t, 3) ? pd_single(pd_normal(t)) : 0;
    const int what = (int)pd_below(t, 4);
    pd_drawn(t, "%s of (%lld, %lld), %s", names[what], (long long)rows, (long long)cols, pd_dtype_text(dtype));
    if (!matrix_new(t, b, dtype, rows, cols, 1, &x) || !matrix_new(t, b, dtype, rows, cols, what == AXPBY && c != 0 ? 1 : (double)NAN, &y))
        return false;
    if (what == SIGN && n) { /* signs of 0 and NaN as well */
        const int64_t at = pd_below(t, n);
        x.memory[at / cols * x.stride + at % cols] = x.x[at] = pd_below(t, 2) ? 0 : NAN;
        pd_bench_free(b, &x.whole);
        if (!pd_bench_put(b, dtype, 2, (const int64_t[]){ rows, x.stride }, x.memory, &x.whole))
            return false;
        x.view.data = x.whole.data;
    }
    double *wanted = pd_scratch(t, n);
    if (!wanted)
        return false;
    for (int64_t i = 0; i < n; i++)
        wanted[i] = what == FILL   ? a
                    : what == COPY ? x.x[i]
                    : what == SIGN ? pudle_sign_f64(x.x[i])
                                   : a * x.x[i] + (c != 0 ? c * y.x[i] : 0);
    job j = { .what = what, .a = a, .b = c, .x = pudle_const(&x.view), .out = &y.view };
    if (!run_job(t, b, &j) || !matrix_get(t, b, &y))
        return false;
    for (int64_t i = 0; i < n; i++)
        if (!agrees(t, names[what], y.x[i], wanted[i], pd_tolerance(dtype, 2) * (fabs(wanted[i]) + 1), i))
            return false;
    matrix_free(b, &x);
    matrix_free(b, &y);
    return true;
}

static bool elementwise(pd_trial *t)
{
    return each(t, 6 * DRAWS, elementwise_at);
}

/* ---------------------------------------------------------------- reductions */

static bool reductions_at(pd_trial *t, pd_bench *b, int32_t dtype)
{
    matrix x, y;
    const int64_t rows = extent(t), cols = extent(t), n = rows * cols;
    double dot = 0, size = 0;
    int64_t nonzero = 0, bad = 0;
    pd_drawn(t, "dot and census of (%lld, %lld), %s", (long long)rows, (long long)cols, pd_dtype_text(dtype));
    if (!matrix_new(t, b, dtype, rows, cols, 1, &x) || !matrix_new(t, b, dtype, rows, cols, 1, &y))
        return false;
    for (int64_t i = 0; i < n; i++) {
        dot += x.x[i] * y.x[i];
        size += fabs(x.x[i] * y.x[i]);
    }
    job j = { .what = DOT, .x = pudle_const(&x.view), .y = pudle_const(&y.view) };
    if (!run_job(t, b, &j) || !agrees(t, "dot", j.sum, dot, pd_tolerance(PUDLE_F64, n) * size, 0)) /* sums are double whatever the arrays */
        return false;
    for (int64_t i = 0; i < n; i++) { /* zeros of either sign, infinities, NaN */
        static const double special[] = { 0, -0.0, INFINITY, -INFINITY, NAN };
        const double value = pd_below(t, 3) ? special[pd_below(t, 5)] : x.x[i];
        x.memory[i / cols * x.stride + i % cols] = value;
        nonzero += value != 0;
        bad += !isfinite(value);
    }
    pd_bench_free(b, &x.whole);
    if (!pd_bench_put(b, dtype, 2, (const int64_t[]){ rows, x.stride }, x.memory, &x.whole))
        return false;
    x.view.data = x.whole.data;
    j = (job){ .what = CENSUS, .x = pudle_const(&x.view) };
    if (!run_job(t, b, &j))
        return false;
    if (j.nonzero != nonzero || j.nonfinite != bad)
        return pd_fails(t, "census counts %lld nonzero and %lld not finite; there are %lld and %lld", (long long)j.nonzero,
                        (long long)j.nonfinite, (long long)nonzero, (long long)bad);
    matrix_free(b, &x);
    matrix_free(b, &y);
    return true;
}

static bool reductions(pd_trial *t)
{
    return each(t, 2 * DRAWS, reductions_at);
}

/* Results that may be put off are there after sync; and those that may not, at once, whatever still waits. */
typedef struct deferral {
    const pudle_backend_ops *ops;
    pudle_cview step, sum;
    const pudle_view *to;
    int64_t count;
    double *square, last, at_once; /* (count); one after them, and what it was when its call returned */
    int64_t *nonzero, *nonfinite;
} deferral;

/* The array changes between its sums: put off is the result, not the work. */
static pudle_status do_deferral(void *ctx, pudle_exec *lane, int64_t index)
{
    deferral *d = ctx;
    pudle_status s = PUDLE_OK;
    (void)index;
    d->ops->defer(lane, true);
    for (int64_t i = 0; i < d->count && !s; i++) {
        s = d->ops->dot(lane, &d->sum, &d->sum, &d->square[i]);
        if (!s)
            s = d->ops->census(lane, &d->sum, &d->nonzero[i], &d->nonfinite[i]);
        if (!s)
            s = d->ops->axpby(lane, 1, &d->step, 1, d->to);
    }
    d->ops->defer(lane, false);
    if (!s)
        s = d->ops->dot(lane, &d->sum, &d->sum, &d->last);
    d->at_once = d->last;
    return s;
}

static bool deferred_at(pd_trial *t, pd_bench *b, int32_t dtype)
{
    enum { FEW = 12, MANY = 700 };
    const int64_t count = pd_below(t, 4) ? 1 + pd_below(t, FEW) : MANY, rows = 1 + pd_below(t, MOST), cols = 1 + pd_below(t, MOST), n = rows * cols;
    matrix x, y;
    pd_drawn(t, "%lld sums of (%lld, %lld), %s", (long long)count, (long long)rows, (long long)cols, pd_dtype_text(dtype));
    double *square = pd_scratch(t, count + 1);
    int64_t *counts = (int64_t *)(void *)pd_scratch(t, 2 * count); /* as large */
    if (!square || !counts || !matrix_new(t, b, dtype, rows, cols, 1, &x) || !matrix_new(t, b, dtype, rows, cols, 1, &y))
        return false;
    deferral d = { .ops = b->ops, .step = pudle_const(&x.view), .sum = pudle_const(&y.view), .to = &y.view, .count = count, .square = square,
                   .last = NAN, .nonzero = counts, .nonfinite = counts + count };
    t->verdict->calling = "defer";
    const pudle_status s = pd_bench_run(b, do_deferral, &d);
    if (s)
        return pd_fails(t, "a deferred sum returned %s: %s", pd_status_text(s), t->host.said);
    square[count] = d.at_once;
    for (int64_t i = 0; i <= count; i++) {
        double wanted = 0;
        int64_t nonzero = 0;
        for (int64_t k = 0; k < n; k++) {
            wanted += y.x[k] * y.x[k];
            nonzero += y.x[k] != 0;
            y.x[k] = dtype == PUDLE_F64 ? y.x[k] + x.x[k] : pd_single(y.x[k] + x.x[k]);
        }
        if (!agrees(t, i < count ? "deferred dot" : "dot after deferred ones", square[i], wanted, pd_tolerance(PUDLE_F64, n) * wanted, i))
            return false;
        if (i < count && (counts[i] != nonzero || counts[count + i] != 0))
            return pd_fails(t, "deferred census %lld counts %lld nonzero and %lld not finite; there are %lld and 0", (long long)i,
                            (long long)counts[i], (long long)counts[count + i], (long long)nonzero);
    }
    matrix_free(b, &x);
    matrix_free(b, &y);
    return true;
}

static bool deferred(pd_trial *t)
{
    const pudle_backend_ops *ops = t->desc->ops;
    if (!PUDLE_HAS(ops, pudle_backend_ops, defer) || !ops->defer)
        return pd_skips(t, "it has no defer: every result is there at once");
    return each(t, DRAWS, deferred_at);
}

/* ---------------------------------------------------------------------- gemm */

static bool gemm_of(pd_trial *t, pd_bench *b, int32_t dtype, bool nan)
{
    const int64_t rows = extent(t), inner = extent(t), cols = extent(t);
    matrix x, y, z;
    job j = { .what = GEMM,
              .ta = pd_below(t, 2),
              .tb = pd_below(t, 2),
              .a = pd_single(pd_normal(t)),
              .b = nan ? 0 : pd_single(pd_normal(t)) };
    pd_drawn(t, "C (%lld, %lld) <- %g op(A) op(B) + %g C, inner extent %lld%s%s, %s", (long long)rows, (long long)cols, j.a, j.b,
             (long long)inner, j.ta ? ", A transposed" : "", j.tb ? ", B transposed" : "", pd_dtype_text(dtype));
    if (!matrix_new(t, b, dtype, j.ta ? inner : rows, j.ta ? rows : inner, 1, &x) ||
        !matrix_new(t, b, dtype, j.tb ? cols : inner, j.tb ? inner : cols, 1, &y) ||
        !matrix_new(t, b, dtype, rows, cols, nan ? (double)NAN : 1, &z))
        return false;
    double *wanted = pd_scratch(t, rows * cols), *size = pd_scratch(t, rows * cols);
    if (!wanted || !size)
        return false;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < cols; k++) {
            double sum = 0, most = 0;
            for (int64_t l = 0; l < inner; l++) {
                const double term = x.x[j.ta ? l * rows + i : i * inner + l] * y.x[j.tb ? k * inner + l : l * cols + k];
                sum += term;
                most += fabs(term);
            }
            wanted[i * cols + k] = j.a * sum + (nan ? 0 : j.b * z.x[i * cols + k]);
            size[i * cols + k] = fabs(j.a) * most + (nan ? 0 : fabs(j.b * z.x[i * cols + k]));
        }
    j.x = pudle_const(&x.view);
    j.y = pudle_const(&y.view);
    j.out = &z.view;
    if (!run_job(t, b, &j) || !matrix_get(t, b, &z))
        return false;
    for (int64_t i = 0; i < rows * cols; i++)
        if (!agrees(t, "gemm", z.x[i], wanted[i], pd_tolerance(dtype, inner) * (size[i] + 1e-30), i))
            return false;
    matrix_free(b, &x);
    matrix_free(b, &y);
    matrix_free(b, &z);
    return true;
}

static bool gemm_at(pd_trial *t, pd_bench *b, int32_t dtype) { return gemm_of(t, b, dtype, false); }
static bool gemm_nan_at(pd_trial *t, pd_bench *b, int32_t dtype) { return gemm_of(t, b, dtype, true); }
static bool gemm(pd_trial *t) { return each(t, 3 * DRAWS, gemm_at); }
static bool gemm_nan(pd_trial *t) { return each(t, 2 * DRAWS, gemm_nan_at); }

/* ----------------------------------------------------------------- normalize */

static bool normalize_at(pd_trial *t, pd_bench *b, int32_t dtype)
{
    const int64_t rows = 1 + pd_below(t, MOST), cols = 1 + pd_below(t, MOST);
    const int32_t axis = (int32_t)pd_below(t, 2);
    const double norm = 0.25 + pd_uniform(t);
    matrix w;
    pd_drawn(t, "normalize (%lld, %lld) along axis %d to %g, %s", (long long)rows, (long long)cols, (int)axis, norm, pd_dtype_text(dtype));
    if (!matrix_new(t, b, dtype, rows, cols, exp(3 * pd_normal(t)), &w))
        return false;
    double *wanted = pd_scratch(t, rows * cols);
    if (!wanted)
        return false;
    const int64_t slices = axis ? cols : rows, length = axis ? rows : cols;
    for (int64_t s = 0; s < slices; s++) {
        double sum = 0;
        for (int64_t i = 0; i < length; i++)
            sum += pow(w.x[axis ? i * cols + s : s * cols + i], 2);
        for (int64_t i = 0; i < length; i++) {
            const int64_t at = axis ? i * cols + s : s * cols + i;
            wanted[at] = w.x[at] * norm / fmax(sqrt(sum), 1e-12);
        }
    }
    job j = { .what = NORMALIZE, .axis = axis, .a = norm, .out = &w.view };
    if (axis == 0 && w.stride != w.cols) /* filters are contiguous */
        return matrix_free(b, &w), true;
    if (!run_job(t, b, &j) || !matrix_get(t, b, &w))
        return false;
    for (int64_t i = 0; i < rows * cols; i++)
        if (!agrees(t, "normalize", w.x[i], wanted[i], pd_tolerance(dtype, length) * norm, i))
            return false;
    matrix_free(b, &w);
    return true;
}

static bool normalize(pd_trial *t)
{
    return each(t, 2 * DRAWS, normalize_at);
}

static bool tangent_at(pd_trial *t, pd_bench *b, int32_t dtype)
{
    const int64_t rows = 1 + pd_below(t, MOST), cols = 1 + pd_below(t, MOST);
    const int32_t axis = (int32_t)pd_below(t, 2);
    matrix w, g;
    pd_drawn(t, "tangent of (%lld, %lld) along axis %d, %s", (long long)rows, (long long)cols, (int)axis, pd_dtype_text(dtype));
    if (!matrix_new(t, b, dtype, rows, cols, exp(pd_normal(t)), &w) || !matrix_new(t, b, dtype, rows, cols, 1, &g))
        return false;
    double *wanted = pd_scratch(t, rows * cols), *slack = pd_scratch(t, rows * cols);
    if (!wanted || !slack)
        return false;
    const int64_t slices = axis ? cols : rows, length = axis ? rows : cols;
    for (int64_t s = 0; s < slices; s++) {
        double along = 0, squares = 0, sizes = 0;
        for (int64_t i = 0; i < length; i++) {
            const int64_t at = axis ? i * cols + s : s * cols + i;
            along += w.x[at] * g.x[at];
            sizes += fabs(w.x[at] * g.x[at]);
            squares += w.x[at] * w.x[at];
        }
        for (int64_t i = 0; i < length; i++) {
            const int64_t at = axis ? i * cols + s : s * cols + i;
            wanted[at] = g.x[at] - (squares > 0 ? along / squares : 0) * w.x[at];
            slack[at] = pd_tolerance(dtype, length) * (fabs(g.x[at]) + (squares > 0 ? sizes / squares : 0) * fabs(w.x[at]));
        }
    }
    job j = { .what = TANGENT, .axis = axis, .x = pudle_const(&w.view), .out = &g.view };
    if (!run_job(t, b, &j) || !matrix_get(t, b, &g))
        return false;
    for (int64_t i = 0; i < rows * cols; i++)
        if (!agrees(t, "tangent", g.x[i], wanted[i], slack[i], i))
            return false;
    matrix_free(b, &w);
    matrix_free(b, &g);
    return true;
}

static bool tangent(pd_trial *t)
{
    const pudle_backend_ops *ops = t->desc->ops;
    if (!PUDLE_HAS(ops, pudle_backend_ops, tangent) || !ops->tangent)
        return pd_skips(t, "it has no tangent: train.tangent is refused");
    return each(t, 2 * DRAWS, tangent_at);
}

/* ---------------------------------------------------------------- optimisers */

static bool optimisers_at(pd_trial *t, pd_bench *b, int32_t dtype)
{
    const int64_t rows = 1 + pd_below(t, MOST), cols = 1 + pd_below(t, MOST), n = rows * cols;
    const bool adam = pd_below(t, 2);
    matrix g, w, m, v;
    pd_drawn(t, "%s on (%lld, %lld), %s", adam ? "adam" : "momentum", (long long)rows, (long long)cols, pd_dtype_text(dtype));
    if (!matrix_new(t, b, dtype, rows, cols, 1, &g) || !matrix_new(t, b, dtype, rows, cols, 1, &w) ||
        !matrix_new(t, b, dtype, rows, cols, 1, &m) || !matrix_new(t, b, dtype, rows, cols, 1, &v))
        return false;
    if (g.stride != cols || w.stride != cols || m.stride != cols || v.stride != cols) { /* optimiser steps work on contiguous arrays */
        matrix *all[] = { &g, &w, &m, &v };
        for (int i = 0; i < 4; i++)
            matrix_free(b, all[i]);
        return true;
    }
    const double rate = 0.01 + 0.1 * pd_uniform(t), mu = 0.9, b1 = 0.9, b2 = 0.99, epsilon = 1e-8;
    const int64_t k = 1 + pd_below(t, 20);
    double *wanted = pd_scratch(t, n);
    if (!wanted)
        return false;
    for (int64_t i = 0; i < n; i++)
        v.memory[i] = v.x[i] = fabs(v.x[i]) + 0.01; /* second moments */
    pd_bench_free(b, &v.whole);
    if (!pd_bench_put(b, dtype, 2, (const int64_t[]){ rows, cols }, v.memory, &v.whole))
        return false;
    v.view.data = v.whole.data;
    for (int64_t i = 0; i < n; i++) {
        const double first = b1 * m.x[i] + (1 - b1) * g.x[i], second = b2 * v.x[i] + (1 - b2) * g.x[i] * g.x[i];
        wanted[i] = adam ? w.x[i] - rate / (1 - pow(b1, (double)k)) * first / (sqrt(second) / sqrt(1 - pow(b2, (double)k)) + epsilon)
                         : w.x[i] - rate * (mu * m.x[i] + g.x[i]);
    }
    job j = { .what = adam ? ADAM : MOMENTUM, .a = rate, .b = mu, .x = pudle_const(&g.view), .m = &m.view, .v = &v.view, .out = &w.view,
              .adam = { sizeof(pudle_adam), 0, rate, b1, b2, epsilon, k } };
    if (!run_job(t, b, &j) || !matrix_get(t, b, &w))
        return false;
    for (int64_t i = 0; i < n; i++)
        if (!agrees(t, names[j.what], w.x[i], wanted[i], pd_tolerance(dtype, 4) * (fabs(wanted[i]) + 1), i))
            return false;
    matrix *all[] = { &g, &w, &m, &v };
    for (int i = 0; i < 4; i++)
        matrix_free(b, all[i]);
    return true;
}

static bool optimisers(pd_trial *t)
{
    return each(t, 4 * DRAWS, optimisers_at);
}

/* ------------------------------------------------------------- life and lanes */

/* One allocation of open after the other fails, until all succeed. */
static bool open_starved(pd_trial *t)
{
    const pudle_backend_ops *ops = t->desc->ops;
    const long before = t->host.live;
    for (long n = 0; n < 100; n++) {
        pudle_exec *exec = NULL;
        pd_test_host_forget(&t->host);
        t->host.until_empty = n;
        const pudle_status s = PD_IN(t, "open", ops->open(&t->host.table, t->self, &exec));
        PD_OUT(t);
        t->host.until_empty = -1;
        if (!s) {
            ops->close(exec);
            return true; /* it took no more than n blocks */
        }
        if (s != PUDLE_ERR_NOMEM || !t->host.said[0] || t->host.live != before)
            return pd_fails(t, "allocation %ld fails in open, and it returns %s, says \"%s\", and keeps %ld blocks", n + 1, pd_status_text(s),
                            t->host.said, t->host.live - before);
    }
    return true;
}

static bool open_close(pd_trial *t)
{
    for (int draw = 0; draw < 3; draw++) {
        pd_bench b;
        char text[256];
        void *memory = NULL;
        if (!pd_instance_draw(t, draw))
            return false;
        const long before = t->host.live;
        if (!pd_bench_open(t, &b))
            return false;
        memset(text, 'x', sizeof text);
        PD_IN(t, "describe", b.ops->describe(b.exec, text, 16));
        if (!memchr(text, '\0', 16))
            return pd_fails(t, "describe given room for 16 characters does not end its text there");
        PD_IN(t, "describe", b.ops->describe(b.exec, text, sizeof text));
        PD_OUT(t);
        if (!*text)
            return pd_fails(t, "describe says nothing");
        if (b.ops->alloc(b.exec, 100, &memory) || !memory || (uintptr_t)memory % 64)
            return pd_fails(t, "alloc gives no memory aligned to 64 bytes (%p)", memory);
        b.ops->free(b.exec, memory);
        b.ops->free(b.exec, NULL);
        pd_bench_close(&b);
        if (t->host.live != before)
            return pd_fails(t, "%ld blocks taken with host->alloc are not freed by close", t->host.live - before);
        if (!open_starved(t))
            return false;
    }
    return true;
}

static bool plan(pd_trial *t)
{
    pd_bench b;
    if (!pd_instance_draw(t, 0) || !pd_bench_open(t, &b))
        return false;
    for (int i = 0; i < 200; i++) {
        const pudle_work work = { .size = sizeof work,
                                  .dtype = precisions[i % 2],
                                  .samples = 1 + pd_below(t, 1000),
                                  .features = 1 + pd_below(t, 4000),
                                  .code = 1 + pd_below(t, 4000),
                                  .layers = 1 + pd_below(t, 40),
                                  .whole = i % 5 == 0 };
        int64_t rows = 0, lanes = 0;
        const pudle_status s = PD_IN(t, "plan", b.ops->plan(b.exec, &work, &rows, &lanes));
        PD_OUT(t);
        if (s || rows < 1 || lanes < 1)
            return pd_fails(t, "plan for %lld samples returned %s, %lld rows, %lld lanes", (long long)work.samples,
                            pd_status_text(s), (long long)rows, (long long)lanes);
        if (work.whole && rows < work.samples)
            return pd_fails(t, "plan cuts a batch of %lld samples, which the prox couples, into blocks of %lld",
                            (long long)work.samples, (long long)rows);
    }
    pd_bench_close(&b);
    return true;
}

typedef struct lane_log { int count[32]; pthread_mutex_t lock; int64_t fail_at; } lane_log;

static pudle_status log_lane(void *ctx, pudle_exec *lane, int64_t index)
{
    lane_log *log = ctx;
    if (index < 0 || index >= 32 || !lane)
        return PUDLE_ERR_INTERNAL;
    pthread_mutex_lock(&log->lock);
    log->count[index]++;
    pthread_mutex_unlock(&log->lock);
    return log->fail_at >= 0 && index == log->fail_at  ? PUDLE_ERR_IO
           : log->fail_at >= 0 && index > log->fail_at ? PUDLE_ERR_NUMERIC
                                                       : PUDLE_OK;
}

static bool lanes(pd_trial *t)
{
    pd_bench b;
    if (!pd_instance_draw(t, 0) || !pd_bench_open(t, &b))
        return false;
    for (int64_t n = 1; n <= 32; n += 1 + pd_below(t, 5)) {
        lane_log log = { .fail_at = -1 };
        pthread_mutex_init(&log.lock, NULL);
        pudle_status s = b.ops->run(b.exec, n, log_lane, &log);
        if (s)
            return pd_fails(t, "run of %lld lanes returned %s", (long long)n, pd_status_text(s));
        for (int64_t i = 0; i < 32; i++)
            if (log.count[i] != (i < n))
                return pd_fails(t, "run of %lld lanes calls lane %lld %d times", (long long)n, (long long)i, log.count[i]);
        log.fail_at = n / 2;
        s = b.ops->run(b.exec, n, log_lane, &log);
        if (s != PUDLE_ERR_IO)
            return pd_fails(t, "lane %lld of %lld is the first to fail, with PUDLE_ERR_IO, and run returns %s",
                            (long long)(n / 2), (long long)n, pd_status_text(s));
        if (b.ops->sync(b.exec))
            return pd_fails(t, "sync fails after a lane did");
    }
    pd_bench_close(&b);
    return true;
}

/* ------------------------------------------------------------------- errors */

static bool complains(pd_trial *t, pd_bench *b, job *j, const char *what)
{
    j->ops = b->ops;
    pd_test_host_forget(&t->host);
    t->verdict->calling = names[j->what];
    const pudle_status s = pd_bench_run(b, do_job, j);
    if (!s)
        return pd_fails(t, "%s: nobody complains, neither the call nor sync", what);
    return t->host.said[0] ? true : pd_fails(t, "%s: %s without a reason through host->fail", what, pd_status_text(s));
}

static bool errors(pd_trial *t)
{
    pd_bench b;
    matrix x, y, z, w;
    if (!pd_instance_draw(t, 0) || !pd_bench_open(t, &b) || !matrix_new(t, &b, PUDLE_F64, 3, 5, 1, &x) ||
        !matrix_new(t, &b, PUDLE_F64, 4, 5, 1, &y) || !matrix_new(t, &b, PUDLE_F64, 3, 4, 1, &z) ||
        !matrix_new(t, &b, PUDLE_F32, 3, 5, 1, &w))
        return false;
    job inner = { .what = GEMM, .a = 1, .x = pudle_const(&x.view), .y = pudle_const(&y.view), .out = &z.view },
        copy = { .what = COPY, .x = pudle_const(&x.view), .out = &y.view },
        mixed = { .what = COPY, .x = pudle_const(&x.view), .out = &w.view },
        dot = { .what = DOT, .x = pudle_const(&x.view), .y = pudle_const(&y.view) },
        axis = { .what = NORMALIZE, .axis = 7, .a = 1, .out = &x.view };
    if (!complains(t, &b, &inner, "gemm of (3, 5) and (4, 5), not transposed") || !complains(t, &b, &copy, "copy of (3, 5) to (4, 5)") ||
        !complains(t, &b, &mixed, "copy of f64 to f32") || !complains(t, &b, &dot, "dot of (3, 5) and (4, 5)") ||
        !complains(t, &b, &axis, "normalize along axis 7"))
        return false;
    matrix *all[] = { &x, &y, &z, &w };
    for (int i = 0; i < 4; i++)
        matrix_free(&b, all[i]);
    pd_bench_close(&b);
    return true;
}

const pd_test pd_backend_tests[] = {
    { "open", "open and close leave no memory behind, nor does an open that fails; describe and alloc keep to their sizes",
      open_close },
    { "plan", "a batch is cut into blocks of at least one sample, and not at all where the prox couples it", plan },
    { "lanes", "run calls each lane once and returns the first error by number", lanes },
    { "elementwise", "fill, copy, axpby and sign agree with plain loops, on rows with gaps", elementwise },
    { "reductions", "dot sums in double; census counts", reductions },
    { "deferred", "sums that may be deferred are there after sync, and others at once", deferred },
    { "gemm", "gemm agrees with plain loops, on rows with gaps", gemm },
    { "overwrite", "with b = 0 gemm ignores what was in C, NaN included", gemm_nan },
    { "normalize", "slices get their norm", normalize },
    { "tangent", "slices of a gradient lose their part along the weights", tangent },
    { "optimisers", "momentum and adam agree with their formulas", optimisers },
    { "convolution", "conv_apply, conv_adjoint and conv_gradient agree with plain loops", pd_backend_convolution },
    { "adjoint", "<conv(z), r> = <z, adjoint(r)>", pd_backend_adjoint },
    { "plugins", "prox and loss kernels are called with what they are promised", pd_backend_plugins },
    { "errors", "shapes and precisions that do not fit are refused with a reason, at once or at sync", errors },
    { NULL, NULL, NULL },
};
