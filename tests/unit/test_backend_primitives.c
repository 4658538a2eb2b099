/* What the primitives of backends compute: the reference backend against naive sums and formulas, every other one against the
 * reference backend, on random odd shapes in both precisions. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/mman.h>

#include "backends.h"

/* -------------------------------------------------------------------- arrays */

static void expect_guards(const array *a, const char *what)
{
    const int32_t dtype = a->view.dtype;
    const int64_t all = (int64_t)(a->bytes / width_of(dtype));
    unsigned char *touched = calloc((size_t)all, 1);
    assert_non_null(touched);
    for (int64_t i = 0; i < count(a); i++)
        touched[place(&a->view, i) + GUARD] = 1;
    for (int64_t i = 0; i < all; i++)
        if (!touched[i] && read_at(a->memory, dtype, i) != guard)
            fail_msg("%s: wrote outside its array", what);
    free(touched);
}

/* Any rank; matrices with gaps half of the time; sizes 0, 1, odd, and now and then large. */
static array any_array(int32_t dtype)
{
    const int32_t rank = (int32_t)below(5);
    int64_t shape[PUDLE_MAX_RANK] = { 1, 1, 1, 1, 1, 1 };
    for (int32_t i = 0; i < rank; i++)
        shape[i] = below(10) == 0 ? 0 : 1 + below(rank <= 2 ? 37 : 7);
    if (rank == 1 && below(3) == 0)
        shape[0] = 50000 + below(60000);
    if (rank == 2 && below(3) == 0)
        shape[below(2)] = 1000 + below(9000);
    return make(dtype, rank, shape, below(2) ? below(9) : 0);
}

/* A second array of the same shape, gaps drawn anew. */
static array like(const array *a)
{
    return make(a->view.dtype, a->view.rank, a->view.shape, below(2) ? below(9) : 0);
}

/* Special values strewn in. */
static array spice(array a)
{
    static const double special[] = { 0.0, -0.0, NAN, INFINITY, -INFINITY };
    const int64_t n = count(&a);
    for (int i = 0; n && i < 8; i++)
        put(&a, below(n), special[below(5)]);
    return a;
}

/* ---------------------------------------------------------------------- gemm */

typedef struct product {
    bool ta, tb;
    double a, b;
    array A, B, C;
} product;

static double entry_of(const array *m, bool trans, int64_t i, int64_t j)
{
    return trans ? get(m, j * m->view.shape[1] + i) : get(m, i * m->view.shape[1] + j);
}

/* |got - naive| <= c eps sqrt(k) (|a| sum |A||B| + |b C|), the sum taken in double. */
static void expect_product(const product *p, const array *old, const char *name)
{
    const int64_t m = p->C.view.shape[0], n = p->C.view.shape[1], k = p->A.view.shape[p->ta ? 0 : 1];
    const double eps = epsilon(p->A.view.dtype);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = 0, size = 0;
            for (int64_t l = 0; l < k && p->a != 0; l++) {
                const double t = entry_of(&p->A, p->ta, i, l) * entry_of(&p->B, p->tb, l, j);
                sum += t;
                size += fabs(t);
            }
            const double c = p->b == 0 ? 0 : p->b * get(old, i * n + j), want = (p->a == 0 ? 0 : p->a * sum) + c;
            const double got = get(&p->C, i * n + j), bound = 4 * eps * sqrt((double)k + 4) * (fabs(p->a) * size + fabs(c));
            if (isnan(want) ? !isnan(got) : !(fabs(got - want) <= bound))
                fail_msg(
                    "%s: C(%lld, %lld) of (%lld, %lld, %lld) trans %d %d a %g b %g is %.9g, expected %.9g (bound %.2g)",
                    name, (long long)i, (long long)j, (long long)m, (long long)n, (long long)k, p->ta, p->tb, p->a,
                    p->b, got, want, bound);
        }
    expect_guards(&p->C, name);
}

static product draw_product(int32_t dtype, int64_t m, int64_t n, int64_t k, int variant)
{
    static const double a[] = { 1.0, -0.5, 0.0, 1.0 }, b[] = { 0.0, 1.0, -0.5 };
    product p = { .ta = variant & 1, .tb = variant & 2, .a = a[below(4)], .b = b[below(3)] };
    p.A = draw(matrix(dtype, p.ta ? k : m, p.ta ? m : k, below(2) ? below(8) : 0));
    p.B = draw(matrix(dtype, p.tb ? n : k, p.tb ? k : n, below(2) ? below(8) : 0));
    p.C = draw(matrix(dtype, m, n, below(2) ? below(8) : 0));
    if (p.b == 0)
        for (int64_t i = 0; i < count(&p.C); i++)
            put(&p.C, i, NAN);
    return p;
}

static void drop_product(product *p)
{
    drop(&p->A);
    drop(&p->B);
    drop(&p->C);
}

typedef struct lane_gemm {
    const backend *b;
    const product *p;
} lane_gemm;

static pudle_status gemm_on(const backend *b, pudle_exec *exec, const product *p)
{
    const pudle_cview A = pudle_const(&p->A.view), B = pudle_const(&p->B.view);
    return b->ops->gemm(exec, p->ta, p->tb, p->a, &A, &B, p->b, &p->C.view);
}

static pudle_status gemm_in_lane(void *ctx, pudle_exec *lane, int64_t index)
{
    const lane_gemm *g = ctx;
    (void)index;
    return gemm_on(g->b, lane, g->p);
}

static void try_product(int32_t dtype, int64_t m, int64_t n, int64_t k, int variant)
{
    for (int i = 0; i < present; i++)
        for (int in_lane = 0; in_lane < 2; in_lane++) {
            product p = draw_product(dtype, m, n, k, variant);
            array old = twin(&p.C);
            lane_gemm g = { &be[i], &p };
            assert_int_equal(
                in_lane ? be[i].ops->run(be[i].exec, 1, gemm_in_lane, &g) : gemm_on(&be[i], be[i].exec, &p), PUDLE_OK);
            expect_product(&p, &old, be[i].name);
            drop(&old);
            drop_product(&p);
        }
}

static void test_gemm(void **state)
{
    static const int64_t size[] = { 0, 1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 33, 64, 65 };
    const int64_t sizes = sizeof size / sizeof *size;
    (void)state;
    for (int t = 0; t < 2; t++)
        for (int variant = 0; variant < 4; variant++) {
            for (int i = 0; i < 30; i++)
                try_product(dtypes[t], size[below(sizes)], size[below(sizes)], size[below(sizes)], variant);
            try_product(dtypes[t], 1 + below(4), 200 + below(500), 1 + below(120), variant);
            try_product(dtypes[t], 260 + below(40), 515 + below(40), 1 + below(40), variant); /* several tiles */
        }
}

/* A matrix followed by memory that must not be touched, after the 64 bytes that a backend may add to what it allocates. */
typedef struct fenced {
    pudle_view view;
    unsigned char *block;
    size_t bytes;
} fenced;

static fenced fence(int32_t dtype, int64_t rows, int64_t cols, int64_t gap)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t size = (size_t)((rows - 1) * (cols + gap) + cols) * width_of(dtype) + 64;
    const size_t whole = (size + page - 1) / page * page;
    fenced f = { .bytes = whole + 16 * page };
    f.block = mmap(NULL, f.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(f.block != MAP_FAILED);
    assert_int_equal(mprotect(f.block + whole, 16 * page, PROT_NONE), 0);
    f.view = (pudle_view){ .data = f.block + whole - size, .dtype = dtype, .rank = 2 };
    f.view.shape[0] = rows;
    f.view.shape[1] = cols;
    f.view.stride[0] = cols + gap;
    f.view.stride[1] = 1;
    return f;
}

static void test_gemm_reads_inside(void **state)
{
    (void)state;
    for (int turn = 0; turn < 1500; turn++) {
        const int32_t dtype = dtypes[below(2)];
        const bool ta = below(2), tb = below(2);
        const int64_t m = 1 + below(40), n = below(6) ? 1 + below(60) : 1, k = 1 + below(60);
        const int64_t gap = below(2) ? below(200) : 0;
        fenced A = fence(dtype, ta ? k : m, ta ? m : k, gap), B = fence(dtype, tb ? n : k, tb ? k : n, gap);
        fenced C = fence(dtype, m, n, gap);
        const pudle_cview a = pudle_const(&A.view), b = pudle_const(&B.view);
        for (int i = 0; i < present; i++)
            assert_int_equal(be[i].ops->gemm(be[i].exec, ta, tb, 1.0, &a, &b, 0.0, &C.view), PUDLE_OK);
        munmap(A.block, A.bytes);
        munmap(B.block, B.bytes);
        munmap(C.block, C.bytes);
    }
}

/* One NaN in A spoils its row of C and no other. */
static void test_gemm_nan(void **state)
{
    (void)state;
    for (int i = 0; i < present; i++)
        for (int t = 0; t < 2; t++) {
            product p = draw_product(dtypes[t], 9, 21, 14, (int)below(4));
            p.a = 1;
            p.b = 0;
            const int64_t row = below(9), col = below(14);
            put(&p.A, p.ta ? col * 9 + row : row * 14 + col, NAN);
            assert_int_equal(gemm_on(&be[i], be[i].exec, &p), PUDLE_OK);
            for (int64_t k = 0; k < 9 * 21; k++)
                assert_int_equal(isnan(get(&p.C, k)) != 0, k / 21 == row);
            drop_product(&p);
        }
}

/* --------------------------------------------------------------- elementwise */

static void test_elementwise(void **state)
{
    (void)state;
    for (int t = 0; t < 2; t++)
        for (int turn = 0; turn < 60; turn++) {
            array x = spice(draw(any_array(dtypes[t]))), y = draw(like(&x));
            const pudle_cview cx = pudle_const(&x.view);
            const double a = below(4) ? normal() : 0, b = below(3) ? normal() : 0, value = normal(),
                         tol = 4 * epsilon(dtypes[t]);
            if (b == 0)
                y = spice(y);
            for (int i = 0; i < present; i++) {
                const pudle_backend_ops *o = be[i].ops;
                double scale = 1; /* the two terms may cancel: their sum is as exact as they are large */
                array filled = twin(&y), copied = twin(&y), summed = twin(&y), signs = twin(&y), want = twin(&y);
                assert_int_equal(o->fill(be[i].exec, value, &filled.view), PUDLE_OK);
                assert_int_equal(o->copy(be[i].exec, &cx, &copied.view), PUDLE_OK);
                assert_int_equal(o->axpby(be[i].exec, a, &cx, b, &summed.view), PUDLE_OK);
                assert_int_equal(o->sign(be[i].exec, &cx, &signs.view), PUDLE_OK);
                for (int64_t k = 0; k < count(&y); k++) {
                    const double v = get(&x, k);
                    double e = a * v + (b == 0 ? 0 : b * get(&y, k));
                    if (dtypes[t] == PUDLE_F32)
                        e = (double)((float)a * (float)v + (b == 0 ? 0.0f : (float)b * (float)get(&y, k)));
                    put(&want, k, e);
                    const double terms = fabs(a * v) + (b == 0 ? 0 : fabs(b * get(&y, k)));
                    scale = isfinite(terms) && terms > scale ? terms : scale;
                    assert_true(get(&filled, k) == (dtypes[t] == PUDLE_F32 ? (double)(float)value : value));
                    assert_true(get(&copied, k) == v || isnan(v));
                    assert_true(isnan(v) ? isnan(get(&signs, k)) && isnan(get(&copied, k))
                                         : get(&signs, k) == (v > 0) - (v < 0));
                }
                expect_close(&summed, &want, tol * scale, be[i].name);
                array *const all[] = { &filled, &copied, &summed, &signs, &want };
                for (size_t k = 0; k < 5; k++) {
                    expect_guards(all[k], be[i].name);
                    drop(all[k]);
                }
            }
            drop(&x);
            drop(&y);
        }
}

/* x and y may be one array. */
static void test_axpby_in_place(void **state)
{
    (void)state;
    for (int i = 0; i < present; i++)
        for (int t = 0; t < 2; t++) {
            array x = draw(matrix(dtypes[t], 1 + below(50), 1 + below(500), below(5))), want = twin(&x);
            const pudle_cview cx = pudle_const(&x.view);
            for (int64_t k = 0; k < count(&x); k++)
                put(&want, k, 0.75 * get(&x, k));
            assert_int_equal(be[i].ops->axpby(be[i].exec, 0.25, &cx, 0.5, &x.view), PUDLE_OK);
            expect_close(&x, &want, 16 * epsilon(dtypes[t]), be[i].name);
            drop(&x);
            drop(&want);
        }
}

static void test_reductions(void **state)
{
    (void)state;
    for (int t = 0; t < 2; t++)
        for (int turn = 0; turn < 60; turn++) {
            array x = draw(any_array(dtypes[t])), y = draw(like(&x));
            const int64_t n = count(&x);
            for (int64_t k = 0; k < n; k++)
                if (below(3) == 0)
                    put(&x, k, 0);
            double sum = 0, size = 0;
            for (int64_t k = 0; k < n; k++) {
                sum += get(&x, k) * get(&y, k);
                size += fabs(get(&x, k) * get(&y, k));
            }
            array z = spice(twin(&x));
            int64_t filled = 0, bad = 0;
            for (int64_t k = 0; k < n; k++) {
                filled += get(&z, k) != 0;
                bad += !isfinite(get(&z, k));
            }
            const pudle_cview cx = pudle_const(&x.view), cy = pudle_const(&y.view), cz = pudle_const(&z.view);
            for (int i = 0; i < present; i++) {
                double got = NAN;
                int64_t nonzero = -1, nonfinite = -1;
                assert_int_equal(be[i].ops->dot(be[i].exec, &cx, &cy, &got), PUDLE_OK);
                assert_true(fabs(got - sum) <= 4 * DBL_EPSILON * sqrt((double)n + 1) * size); /* double in both precisions */
                assert_int_equal(be[i].ops->census(be[i].exec, &cz, &nonzero, &nonfinite), PUDLE_OK);
                assert_int_equal(nonzero, filled);
                assert_int_equal(nonfinite, bad);
                if (n) {
                    array s = twin(&x);
                    put(&s, below(n), NAN);
                    const pudle_cview cs = pudle_const(&s.view);
                    assert_int_equal(be[i].ops->dot(be[i].exec, &cs, &cy, &got), PUDLE_OK);
                    assert_true(isnan(got));
                    drop(&s);
                }
            }
            drop(&x);
            drop(&y);
            drop(&z);
        }
}

/* ----------------------------------------------------------------- optimisers */

static void test_momentum(void **state)
{
    (void)state;
    const double rate = 0.1, mu = 0.9;
    for (int i = 0; i < present; i++)
        for (int t = 0; t < 2; t++) {
            array g = draw(any_array(dtypes[t])), buf = draw(like(&g)), w = draw(like(&g)), want_buf = twin(&buf),
                  want_w = twin(&w);
            const pudle_cview cg = pudle_const(&g.view);
            for (int64_t k = 0; k < count(&g); k++) {
                put(&want_buf, k, mu * get(&buf, k) + get(&g, k));
                put(&want_w, k, get(&w, k) - rate * get(&want_buf, k));
            }
            assert_int_equal(be[i].ops->momentum(be[i].exec, rate, mu, &cg, &buf.view, &w.view), PUDLE_OK);
            expect_close(&buf, &want_buf, 16 * epsilon(dtypes[t]), be[i].name);
            expect_close(&w, &want_w, 16 * epsilon(dtypes[t]), be[i].name);
            expect_guards(&buf, be[i].name);
            expect_guards(&w, be[i].name);
            array *const all[] = { &g, &buf, &w, &want_buf, &want_w };
            for (size_t k = 0; k < 5; k++)
                drop(all[k]);
        }
}

static void test_adam(void **state)
{
    (void)state;
    pudle_adam how = { sizeof how, 0, 1e-2, 0.9, 0.999, 1e-8, 1 };
    for (int i = 0; i < present; i++)
        for (int t = 0; t < 2; t++) {
            array g = any_array(dtypes[t]), w = draw(like(&g)), m = like(&g), v = like(&g);
            for (int64_t k = 0; k < count(&g); k++) {
                put(&m, k, 0);
                put(&v, k, 0);
            }
            array wm = twin(&m), wv = twin(&v), ww = twin(&w);
            for (int64_t k = 1; k <= 5; k++) {
                how.update = k;
                g = draw(g);
                const pudle_cview cg = pudle_const(&g.view);
                for (int64_t j = 0; j < count(&g); j++) {
                    const double gj = get(&g, j);
                    put(&wm, j, 0.9 * get(&wm, j) + 0.1 * gj);
                    put(&wv, j, 0.999 * get(&wv, j) + 0.001 * gj * gj);
                    put(&ww, j, get(&ww, j) - 1e-2 / (1 - pow(0.9, (double)k)) * get(&wm, j) /
                                                  (sqrt(get(&wv, j)) / sqrt(1 - pow(0.999, (double)k)) + 1e-8));
                }
                assert_int_equal(be[i].ops->adam(be[i].exec, &how, &cg, &m.view, &v.view, &w.view), PUDLE_OK);
            }
            expect_close(&m, &wm, 16 * epsilon(dtypes[t]), be[i].name);
            expect_close(&v, &wv, 16 * epsilon(dtypes[t]), be[i].name);
            expect_close(&w, &ww, 16 * epsilon(dtypes[t]), be[i].name);
            array *const all[] = { &g, &w, &m, &v, &wm, &wv, &ww };
            for (size_t k = 0; k < 7; k++) {
                expect_guards(all[k], be[i].name);
                drop(all[k]);
            }
        }
}

/* ------------------------------------------------------------------ normalize */

static double slice_norm(const array *w, int32_t axis, int64_t slice)
{
    const int64_t slices = w->view.shape[axis], entries = count(w) / slices;
    long double sum = 0;
    for (int64_t k = 0; k < entries; k++) {
        const long double x = (long double)get(w, axis == 1 ? k * slices + slice : slice * entries + k);
        sum += x * x;
    }
    return (double)sqrtl(sum);
}

static void set_slice(array *w, int32_t axis, int64_t slice, double value)
{
    const int64_t slices = w->view.shape[axis], entries = count(w) / slices;
    for (int64_t k = 0; k < entries; k++)
        put(w, axis == 1 ? k * slices + slice : slice * entries + k, value);
}

static void test_normalize(void **state)
{
    (void)state;
    for (int turn = 0; turn < 24; turn++)
        for (int t = 0; t < 2; t++)
            for (int32_t axis = 0; axis < 2; axis++) {
                const bool filters = axis == 0 && turn % 3 == 0;
                const int64_t shape[] = { filters ? 6 + below(9) : 6 + below(300),
                                          filters ? 1 + below(3) : 6 + below(300), 3, 5 };
                array w = draw(make(dtypes[t], filters ? 4 : 2, shape, turn % 2 ? below(7) : 0));
                const double norm = turn % 4 ? 1.0 : 2.5, huge = dtypes[t] == PUDLE_F64 ? 1e200 : 1e30;
                set_slice(&w, axis, 0, 0.0);
                set_slice(&w, axis, 1, NAN);
                set_slice(&w, axis, 2, 1e-30);
                set_slice(&w, axis, 3, huge);
                put(&w, axis == 1 ? 4 : 4 * (count(&w) / shape[0]), NAN); /* one entry of slice 4 */
                array start = twin(&w), reference = twin(&w);
                assert_int_equal(be[REF].ops->normalize(be[REF].exec, axis, norm, &reference.view), PUDLE_OK);
                for (int i = 0; i < present; i++) {
                    array got = twin(&start);
                    assert_int_equal(be[i].ops->normalize(be[i].exec, axis, norm, &got.view), PUDLE_OK);
                    expect_close(&got, &reference, 16 * epsilon(dtypes[t]), be[i].name);
                    expect_guards(&got, be[i].name);
                    for (int64_t s = 0; s < got.view.shape[axis]; s++) {
                        const double length = slice_norm(&got, axis, s), before = slice_norm(&start, axis, s);
                        if (s == 1 || s == 4)
                            assert_true(isnan(length));
                        else if (s == 0)
                            assert_true(length == 0);
                        else if (s == 2)
                            assert_true(fabs(length - before / 1e-12 * norm) <= 1e-6 * length);
                        else
                            assert_true(fabs(length - norm) <= 16 * epsilon(dtypes[t]) * norm);
                    }
                    drop(&got);
                }
                drop(&w);
                drop(&start);
                drop(&reference);
            }
    for (int i = 0; i < present; i++)
        for (int32_t axis = 0; axis < 2; axis++) { /* nothing to do */
            array none = matrix(PUDLE_F32, axis ? 0 : 4, axis ? 4 : 0, 0);
            assert_int_equal(be[i].ops->normalize(be[i].exec, axis, 1.0, &none.view), PUDLE_OK);
            drop(&none);
        }
}

/* -------------------------------------------------------------------- tangent */

/* Entry k of a slice. */
static int64_t place_of(const array *w, int32_t axis, int64_t slice, int64_t k)
{
    const int64_t slices = w->view.shape[axis], entries = count(w) / slices;
    return axis == 1 ? k * slices + slice : slice * entries + k;
}

static void test_tangent(void **state)
{
    (void)state;
    for (int turn = 0; turn < 24; turn++)
        for (int t = 0; t < 2; t++)
            for (int32_t axis = 0; axis < 2; axis++) {
                const bool filters = axis == 0 && turn % 3 == 0;
                const int64_t shape[] = { filters ? 3 + below(9) : 3 + below(300), filters ? 1 + below(3) : 3 + below(300), 3, 5 };
                array w = draw(make(dtypes[t], filters ? 4 : 2, shape, turn % 2 ? below(7) : 0)), g = draw(make(dtypes[t], filters ? 4 : 2, shape, turn % 4 > 1 ? below(7) : 0));
                const pudle_cview at = pudle_const(&w.view);
                set_slice(&w, axis, 0, 0.0); /* leaves g as it is */
                set_slice(&g, axis, 1, NAN);
                for (int i = 0; i < present; i++) {
                    array got = twin(&g);
                    assert_int_equal(be[i].ops->tangent(be[i].exec, axis, &at, &got.view), PUDLE_OK);
                    expect_guards(&got, be[i].name);
                    for (int64_t s = 0; s < shape[axis]; s++) {
                        const int64_t entries = count(&w) / shape[axis];
                        long double along = 0, squares = 0, most = 0;
                        for (int64_t k = 0; k < entries; k++) {
                            const int64_t e = place_of(&w, axis, s, k);
                            along += (long double)get(&w, e) * (long double)get(&g, e);
                            squares += (long double)get(&w, e) * (long double)get(&w, e);
                            most = fmaxl(most, fabsl((long double)get(&w, e)));
                        }
                        const long double share = squares > 0 ? along / squares : 0;
                        for (int64_t k = 0; k < entries; k++) {
                            const int64_t e = place_of(&w, axis, s, k);
                            const long double wanted = (long double)get(&g, e) - share * (long double)get(&w, e);
                            const long double slack = 8 * (long double)epsilon(dtypes[t]) * (fabsl((long double)get(&g, e)) + fabsl(share) * most) + 1e-13L * most;
                            if (s == 1)
                                assert_true(isnan(get(&got, e)));
                            else
                                assert_true(s == 0 ? get(&got, e) == get(&g, e) : fabsl((long double)get(&got, e) - wanted) <= slack);
                        }
                    }
                    drop(&got);
                }
                drop(&w);
                drop(&g);
            }
    for (int i = 0; i < present; i++)
        for (int32_t axis = 0; axis < 2; axis++) { /* nothing to do */
            array none = matrix(PUDLE_F32, axis ? 0 : 4, axis ? 4 : 0, 0);
            const pudle_cview at = pudle_const(&none.view);
            assert_int_equal(be[i].ops->tangent(be[i].exec, axis, &at, &none.view), PUDLE_OK);
            drop(&none);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gemm),           cmocka_unit_test(test_gemm_reads_inside), cmocka_unit_test(test_gemm_nan),
        cmocka_unit_test(test_elementwise),    cmocka_unit_test(test_axpby_in_place),    cmocka_unit_test(test_reductions),
        cmocka_unit_test(test_momentum),       cmocka_unit_test(test_adam),              cmocka_unit_test(test_normalize),
        cmocka_unit_test(test_tangent),
    };
    return cmocka_run_group_tests_name("backend_primitives", tests, set_up, tear_down);
}
