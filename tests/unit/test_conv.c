/* Convolutions of the backends: apply and adjoint are adjoint to each other, the filter gradient is the derivative of <r, D z>, cpu
 * agrees with ref, and the threads do not change a bit; on random odd shapes, strides 1 to 5, 1 to 3 channels, in one and two
 * dimensions, both precisions. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <unistd.h>

#include "fake_host.h"

typedef struct side { const pudle_backend_ops *ops; pudle_exec *exec; } side;
enum { REF, ONE, TWO, SIDES }; /* the reference; cpu on one and on two threads */
static side sides[SIDES];
static int present;

static int64_t between(int64_t low, int64_t high)
{
    return low + (int64_t)pudle_random_below(fake_random(), (uint64_t)(high - low + 1));
}

static pudle_conv random_conv(void)
{
    pudle_conv c = { .size = sizeof c, .atoms = between(1, 9), .channels = between(1, 3) };
    const bool line = between(0, 3) == 0;
    for (int i = 0; i < 2; i++) {
        c.kernel[i] = i == 0 && line ? 1 : between(1, 9);
        c.stride[i] = i == 0 && line ? 1 : between(1, 5);
        c.data[i] = i == 0 && line ? 1 : c.kernel[i] + between(0, 40);
        c.code[i] = (c.data[i] - c.kernel[i]) / c.stride[i] + 1;
    }
    return c;
}

/* A matrix with the backend: rows `gap` entries longer than they need be. */
static pudle_view matrix(const side *s, int32_t dtype, int64_t rows, int64_t cols, int64_t gap)
{
    pudle_view v = { .dtype = dtype, .rank = 2, .shape = { rows, cols }, .stride = { cols + gap, 1 } };
    assert_int_equal(s->ops->alloc(s->exec, (size_t)(rows * (cols + gap)) * pudle_dtype_size(dtype), &v.data), PUDLE_OK);
    memset(v.data, 0xff, (size_t)(rows * (cols + gap)) * pudle_dtype_size(dtype)); /* NaN: what b = 0 must not read */
    return v;
}

static int64_t place(const pudle_view *v, int64_t i)
{
    return i / v->shape[1] * v->stride[0] + i % v->shape[1];
}

static double at(const pudle_view *v, int64_t i)
{
    return get(v, place(v, i));
}

static void fill(pudle_view *v, const double *values)
{
    for (int64_t i = 0; i < fake_count(v); i++)
        set(v, place(v, i), values[i]);
}

static double *normals(int64_t n)
{
    double *x = malloc(sizeof *x * (size_t)n);
    assert_non_null(x);
    for (int64_t i = 0; i < n; i++)
        x[i] = (double)(float)normal(); /* the same numbers in both precisions */
    return x;
}

static double inner(const pudle_view *a, const pudle_view *b)
{
    double sum = 0;
    for (int64_t i = 0; i < fake_count(a); i++)
        sum += at(a, i) * at(b, i);
    return sum;
}

typedef struct results { pudle_view u, v, g; } results;

static results compute(const side *s, const pudle_conv *c, int32_t dtype, int64_t n, int64_t gap, const double *w, const double *z, const double *r,
                       pudle_view *wv, pudle_view *zv, pudle_view *rv)
{
    const int64_t taps = c->channels * c->kernel[0] * c->kernel[1], code = c->atoms * c->code[0] * c->code[1];
    const int64_t pixels = c->channels * c->data[0] * c->data[1];
    *wv = matrix(s, dtype, c->atoms, taps, 0);
    *zv = matrix(s, dtype, n, code, gap);
    *rv = matrix(s, dtype, n, pixels, gap);
    results o = { matrix(s, dtype, n, pixels, gap), matrix(s, dtype, n, code, gap), matrix(s, dtype, c->atoms, taps, 0) };
    fill(wv, w);
    fill(zv, z);
    fill(rv, r);
    const pudle_cview cw = pudle_const(wv), cz = pudle_const(zv), cr = pudle_const(rv);
    assert_int_equal(s->ops->conv_apply(s->exec, c, &cw, &cz, &o.u), PUDLE_OK);
    assert_int_equal(s->ops->conv_adjoint(s->exec, c, &cw, 1.0, &cr, 0.0, &o.v), PUDLE_OK);
    assert_int_equal(s->ops->fill(s->exec, 0.0, &o.g), PUDLE_OK);
    assert_int_equal(s->ops->conv_gradient(s->exec, c, 1.0, &cr, &cz, &o.g), PUDLE_OK);
    return o;
}

static void release(const side *s, results *o, pudle_view *w, pudle_view *z, pudle_view *r)
{
    void *const memory[] = { o->u.data, o->v.data, o->g.data, w->data, z->data, r->data };
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        s->ops->free(s->exec, memory[i]);
}

static void close_to(const pudle_view *a, const pudle_view *b, double bound, const char *what)
{
    double scale = 0, worst = 0;
    for (int64_t i = 0; i < fake_count(a); i++) {
        scale = fmax(scale, fabs(at(b, i)));
        worst = fmax(worst, isnan(at(a, i)) ? INFINITY : fabs(at(a, i) - at(b, i)));
    }
    if (!(worst <= bound * (1 + scale)))
        fail_msg("%s: off by %.3g, scale %.3g", what, worst, scale);
}

static void one_shape(int32_t dtype)
{
    const pudle_conv c = random_conv();
    const int64_t n = between(1, 3), gap = between(0, 5), taps = c.channels * c.kernel[0] * c.kernel[1];
    const int64_t code = c.atoms * c.code[0] * c.code[1], pixels = c.channels * c.data[0] * c.data[1];
    const double eps = dtype == PUDLE_F64 ? 2.3e-16 : 1.2e-7, bound = 8 * eps * sqrt((double)(taps + code));
    double *w = normals(c.atoms * taps), *z = normals(n * code), *r = normals(n * pixels);
    results o[SIDES];
    pudle_view wv[SIDES], zv[SIDES], rv[SIDES];
    for (int i = 0; i < present; i++) {
        o[i] = compute(&sides[i], &c, dtype, n, gap, w, z, r, &wv[i], &zv[i], &rv[i]);
        const double a = inner(&o[i].u, &rv[i]), b = inner(&zv[i], &o[i].v), d = inner(&wv[i], &o[i].g);
        const double size = 1 + sqrt(inner(&o[i].u, &o[i].u) * inner(&rv[i], &rv[i]));
        if (!(fabs(a - b) <= 16 * eps * size * sqrt((double)taps)) || !(fabs(a - d) <= 16 * eps * size * sqrt((double)(taps + code))))
            fail_msg("<Dz, r> = %.17g, <z, D'r> = %.17g, <w, gradient> = %.17g (atoms %lld, channels %lld, %lld x %lld at %lld x %lld)", a, b, d,
                     (long long)c.atoms, (long long)c.channels, (long long)c.kernel[0], (long long)c.kernel[1], (long long)c.stride[0],
                     (long long)c.stride[1]);
        close_to(&o[i].u, &o[REF].u, bound, "apply");
        close_to(&o[i].v, &o[REF].v, bound, "adjoint");
        close_to(&o[i].g, &o[REF].g, bound, "gradient");
    }
    for (int64_t i = 0; present == SIDES && i < fake_count(&o[ONE].u); i++)
        assert_true(at(&o[ONE].u, i) == at(&o[TWO].u, i));
    for (int64_t i = 0; present == SIDES && i < fake_count(&o[ONE].v); i++)
        assert_true(at(&o[ONE].v, i) == at(&o[TWO].v, i));
    for (int64_t i = 0; present == SIDES && i < fake_count(&o[ONE].g); i++)
        assert_true(at(&o[ONE].g, i) == at(&o[TWO].g, i));
    for (int i = 0; i < present; i++)
        release(&sides[i], &o[i], &wv[i], &zv[i], &rv[i]);
    free(w);
    free(z);
    free(r);
}

static void random_shapes_f64(void **state)
{
    (void)state;
    for (int round = 0; round < 60; round++)
        one_shape(PUDLE_F64);
}

static void random_shapes_f32(void **state)
{
    (void)state;
    for (int round = 0; round < 60; round++)
        one_shape(PUDLE_F32);
}

/* v = a D'r + b v, with NaN in the old v when b = 0. */
static void adjoint_scales(void **state)
{
    (void)state;
    const pudle_conv c = { .size = sizeof c, .atoms = 3, .channels = 2, .kernel = { 3, 2 }, .stride = { 2, 1 }, .data = { 8, 7 }, .code = { 3, 6 } };
    double *w = normals(3 * 12), *z = normals(54), *r = normals(112);
    for (int i = 0; i < present; i++) {
        pudle_view wv, zv, rv;
        results o = compute(&sides[i], &c, PUDLE_F64, 1, 0, w, z, r, &wv, &zv, &rv);
        pudle_view v = matrix(&sides[i], PUDLE_F64, 1, 54, 0);
        const pudle_cview cw = pudle_const(&wv), cr = pudle_const(&rv);
        fill(&v, z);
        assert_int_equal(sides[i].ops->conv_adjoint(sides[i].exec, &c, &cw, -0.5, &cr, 2.0, &v), PUDLE_OK);
        for (int64_t k = 0; k < 54; k++)
            assert_true(fabs(at(&v, k) - (2.0 * z[k] - 0.5 * at(&o.v, k))) <= 1e-13 * (1 + fabs(z[k])));
        sides[i].ops->free(sides[i].exec, v.data);
        release(&sides[i], &o, &wv, &zv, &rv);
    }
    free(w);
    free(z);
    free(r);
}

static void wrong_shapes_are_refused(void **state)
{
    (void)state;
    const pudle_conv good = { .size = sizeof good, .atoms = 3, .channels = 2, .kernel = { 3, 2 }, .stride = { 2, 1 }, .data = { 8, 7 }, .code = { 3, 6 } };
    pudle_conv bad[4] = { good, good, good, good };
    bad[0].code[0] = 4;
    bad[1].stride[1] = 0;
    bad[2].kernel[0] = 9;
    bad[3].atoms = 4;
    for (int i = 0; i < present; i++) {
        pudle_view w = matrix(&sides[i], PUDLE_F64, 3, 12, 0), z = matrix(&sides[i], PUDLE_F64, 1, 54, 0), u = matrix(&sides[i], PUDLE_F64, 1, 112, 0);
        const pudle_cview cw = pudle_const(&w), cz = pudle_const(&z);
        for (int k = 0; k < 4; k++)
            assert_int_equal(sides[i].ops->conv_apply(sides[i].exec, &bad[k], &cw, &cz, &u), PUDLE_ERR_ARG);
        sides[i].ops->free(sides[i].exec, w.data);
        sides[i].ops->free(sides[i].exec, z.data);
        sides[i].ops->free(sides[i].exec, u.data);
    }
}

static void open_side(const char *name, const char *threads)
{
    const pudle_desc *desc = fake_load("backend", name);
    static void *params[SIDES];
    params[present] = fake_params(desc, SETTINGS("threads", threads));
    sides[present].ops = desc->ops;
    assert_int_equal(sides[present].ops->open(&fake_host, params[present], &sides[present].exec), PUDLE_OK);
    present++;
}

static int set_up(void **state)
{
    (void)state;
    char path[4096];
    const char *folder = getenv("PUDLE_PLUGIN_PATH");
    snprintf(path, sizeof path, "%s/backend/cpu.so", folder ? folder : "abi1");
    open_side("ref", "1");
    if (access(path, R_OK) == 0) {
        open_side("cpu", "1");
        open_side("cpu", "2");
    } else {
        printf("# the cpu backend was not built: ref alone is tested\n");
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < present; i++)
        sides[i].ops->close(sides[i].exec);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(random_shapes_f64), cmocka_unit_test(random_shapes_f32), cmocka_unit_test(adjoint_scales),
                                        cmocka_unit_test(wrong_shapes_are_refused) };
    return cmocka_run_group_tests_name("convolution", tests, set_up, tear_down);
}
