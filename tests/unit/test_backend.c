/* Backends: the reference backend against naive sums and formulas, every other one against the reference backend, on random
 * odd shapes in both precisions. The modules are loaded from $PUDLE_PLUGIN_PATH/backend as a host would. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/mman.h>

#include <pudle/plugin.h>

/* ------------------------------------------------------------- a fake host */

static pthread_mutex_t host_lock = PTHREAD_MUTEX_INITIALIZER;
static char said[2048];
static bool starve; /* alloc fails */

static void *host_alloc(void *ctx, size_t bytes)
{
    (void)ctx;
    return starve ? NULL : aligned_alloc(64, (bytes + 63) / 64 * 64);
}

static void host_free(void *ctx, void *memory)
{
    (void)ctx;
    free(memory);
}

static void host_log(void *ctx, int32_t level, const char *format, ...)
{
    char text[1024];
    va_list args;
    (void)ctx;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (level >= PUDLE_LOG_WARNING)
        print_message("# log: %s\n", text);
}

static pudle_status host_fail(void *ctx, pudle_status status, const char *format, ...)
{
    va_list args;
    (void)ctx;
    pthread_mutex_lock(&host_lock);
    va_start(args, format);
    vsnprintf(said, sizeof said, format, args);
    va_end(args);
    pthread_mutex_unlock(&host_lock);
    return status;
}

static const pudle_host host = { sizeof host, PUDLE_ABI_MAJOR, PUDLE_ABI_MINOR, NULL, host_alloc,
                                 host_free,   host_log,        host_fail,       NULL };

/* ------------------------------------------------------------------ backends */

#ifndef VECTORS
#define VECTORS 0 /* the option `vectors`: auto. The same tests are built again for narrow ones */
#endif

typedef struct cpu_params { /* as the option table of the module lays it out; checked on loading */
    int64_t threads;
    const char *arch;
    int32_t unroll, vectors;
} cpu_params;

typedef struct backend {
    char name[16];
    const pudle_backend_ops *ops;
    pudle_exec *exec;
} backend;

/* The reference, then what is compared with it. */
enum { REF, CPU1, CPU2, CPU3, BACKENDS };
static backend be[BACKENDS];
static int present;
static char why_absent[600];
static pudle_random dice;

static const pudle_desc *load(const char *name)
{
    const char *path = getenv("PUDLE_PLUGIN_PATH");
    char file[512];
    snprintf(file, sizeof file, "%.*s/backend/%s.so", path ? (int)strcspn(path, ":") : 1, path ? path : ".", name);
    if (access(file, R_OK) != 0) {
        snprintf(why_absent, sizeof why_absent, "%s does not exist", file);
        return NULL;
    }
    void *module = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!module) {
        print_error("%s\n", dlerror());
        fail();
    }
    const pudle_plugin_entry *entry = dlsym(module, "pudle_plugin");
    assert_non_null(entry);
    assert_int_equal(entry->magic, PUDLE_MAGIC);
    const pudle_desc *desc = entry->plugins[0];
    assert_int_equal(desc->kind, PUDLE_KIND_BACKEND);
    assert_string_equal(desc->name, name);
    return desc;
}

static int64_t below(int64_t n)
{
    return (int64_t)pudle_random_below(&dice, (uint64_t)n);
}

static double normal(void)
{
    return pudle_random_normal(&dice);
}

static void open_cpu(const pudle_desc *desc)
{
    static const cpu_params bad = { 1, "no_such_architecture", 0, 0 };
    assert_int_equal(desc->params_size, sizeof(cpu_params));
    const pudle_backend_ops *ops = desc->ops;
    pudle_exec *none = NULL;
    char *before = getenv("BLIS_ARCH_TYPE") ? strdup(getenv("BLIS_ARCH_TYPE")) : NULL;
    if (!before) { /* the variable goes before the option */
        said[0] = '\0';
        assert_int_equal(ops->open(&host, &bad, &none), PUDLE_ERR_CONFIG);
        assert_null(none);
        assert_non_null(strstr(said, "no_such_architecture"));
        print_message("# %s\n", said);
    }
    for (int threads = 1; threads <= 3; threads++) {
        const cpu_params params = { threads, "", 0, VECTORS };
        backend *b = &be[CPU1 + threads - 1];
        snprintf(b->name, sizeof b->name, "cpu/%d", threads);
        b->ops = ops;
        assert_int_equal(ops->open(&host, &params, &b->exec), PUDLE_OK);
    }
    if (before)
        assert_string_equal(getenv("BLIS_ARCH_TYPE"), before);
    else
        assert_null(getenv("BLIS_ARCH_TYPE"));
    if (!before) /* now BLIS is fixed */
        assert_int_equal(ops->open(&host, &bad, &none), PUDLE_ERR_CONFIG);
    free(before);
}

static int set_up(void **state)
{
    (void)state;
    const char *given = getenv("PUDLE_TEST_SEED");
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)now.tv_sec * 1000003u ^ (uint64_t)now.tv_nsec;
    print_message("# PUDLE_TEST_SEED=%" PRIu64 "\n", seed);
    dice = pudle_random_at(seed, 1, 0, 0);
    const pudle_desc *desc = load("ref");
    if (!desc) {
        print_message("# reference backend: %s\n", why_absent);
        return -1;
    }
    be[REF] = (backend){ "ref", desc->ops, NULL };
    if (be[REF].ops->open(&host, NULL, &be[REF].exec))
        return -1;
    present = 1;
    desc = load("cpu");
    if (desc) {
        open_cpu(desc);
        present = BACKENDS;
    } else {
        print_message("# cpu backend not tested: %s\n", why_absent);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < present; i++) {
        be[i].ops->close(be[i].exec);
        be[i].ops->close(NULL);
    }
    return 0;
}

static void need_cpu(void)
{
    if (present == 1) {
        print_message("# skipped: %s\n", why_absent);
        skip();
    }
}

/* -------------------------------------------------------------------- arrays */

/* An array with gaps after each row and guards around it, filled with numbers that must not change. */
typedef struct array {
    pudle_view view;
    unsigned char *memory;
    size_t bytes;
} array;

static const double guard = 12345.0;

static size_t width_of(int32_t dtype)
{
    return pudle_dtype_size(dtype);
}

static double read_at(const void *data, int32_t dtype, int64_t i)
{
    return dtype == PUDLE_F64 ? ((const double *)data)[i] : (double)((const float *)data)[i];
}

static void write_at(void *data, int32_t dtype, int64_t i, double x)
{
    if (dtype == PUDLE_F64)
        ((double *)data)[i] = x;
    else
        ((float *)data)[i] = (float)x;
}

enum { GUARD = 16 };

static array make(int32_t dtype, int32_t rank, const int64_t *shape, int64_t gap)
{
    array a;
    memset(&a, 0, sizeof a);
    a.view.dtype = dtype;
    a.view.rank = rank;
    int64_t stride = 1;
    for (int32_t i = rank - 1; i >= 0; i--) {
        a.view.shape[i] = shape[i];
        a.view.stride[i] = stride;
        stride *= shape[i];
        if (rank == 2 && i == 1)
            stride += gap;
    }
    if (rank == 2)
        stride = shape[0] * a.view.stride[0];
    const int64_t all = (rank ? stride : 1) + 2 * GUARD;
    a.bytes = (size_t)all * width_of(dtype);
    a.memory = malloc(a.bytes);
    assert_non_null(a.memory);
    for (int64_t i = 0; i < all; i++)
        write_at(a.memory, dtype, i, guard);
    a.view.data = a.memory + GUARD * width_of(dtype);
    return a;
}

static array matrix(int32_t dtype, int64_t rows, int64_t cols, int64_t gap)
{
    return make(dtype, 2, (const int64_t[]){ rows, cols }, gap);
}

static void drop(array *a)
{
    free(a->memory);
    memset(a, 0, sizeof *a);
}

static int64_t count(const array *a)
{
    const pudle_cview c = pudle_const(&a->view);
    return pudle_count(&c);
}

static int64_t place(const pudle_view *v, int64_t i)
{
    return v->rank == 2 ? i / v->shape[1] * v->stride[0] + i % v->shape[1] : i;
}

static double get(const array *a, int64_t i)
{
    return read_at(a->view.data, a->view.dtype, place(&a->view, i));
}

static void put(array *a, int64_t i, double x)
{
    write_at(a->view.data, a->view.dtype, place(&a->view, i), x);
}

static array draw(array a)
{
    for (int64_t i = 0; i < count(&a); i++)
        put(&a, i, normal());
    return a;
}

static array twin(const array *a)
{
    array b = *a;
    b.memory = malloc(a->bytes);
    assert_non_null(b.memory);
    memcpy(b.memory, a->memory, a->bytes);
    b.view.data = b.memory + GUARD * width_of(a->view.dtype);
    return b;
}

/* Entries within tolerance of the expected ones (NaN where NaN), everything else in the memory as before. */
static void expect_close(const array *got, const array *want, double tolerance, const char *what)
{
    for (int64_t i = 0; i < count(got); i++) {
        const double g = get(got, i), w = get(want, i);
        if (isnan(w) ? !isnan(g) : !(g == w || fabs(g - w) <= tolerance * (1 + fabs(w))))
            fail_msg("%s: entry %lld of (%lld, %lld) is %.17g, expected %.17g", what, (long long)i,
                     (long long)got->view.shape[0], (long long)got->view.shape[1], g, w);
    }
}

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

static double epsilon(int32_t dtype)
{
    return dtype == PUDLE_F64 ? DBL_EPSILON : (double)FLT_EPSILON;
}

static const int32_t dtypes[2] = { PUDLE_F32, PUDLE_F64 };

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

/* ----------------------------------------------------------------------- run */

enum { LANES = 41 };

typedef struct roll {
    int calls[LANES];
    pudle_exec *seen[LANES];
    pudle_status answer[LANES];
} roll;

static pudle_status sign_in(void *ctx, pudle_exec *lane, int64_t index)
{
    roll *r = ctx;
    r->calls[index]++;
    r->seen[index] = lane;
    return r->answer[index];
}

static void test_run(void **state)
{
    (void)state;
    for (int i = 0; i < present; i++) {
        roll r;
        memset(&r, 0, sizeof r);
        assert_int_equal(be[i].ops->run(be[i].exec, LANES, sign_in, &r), PUDLE_OK);
        for (int k = 0; k < LANES; k++) {
            assert_int_equal(r.calls[k], 1);
            assert_ptr_not_equal(r.seen[k], be[i].exec);
        }
        r.answer[7] = PUDLE_ERR_IO;
        r.answer[23] = PUDLE_ERR_NUMERIC;
        r.answer[40] = PUDLE_ERR_ARG;
        assert_int_equal(be[i].ops->run(be[i].exec, LANES, sign_in, &r), PUDLE_ERR_IO);
        for (int k = 0; k < LANES; k++)
            assert_int_equal(r.calls[k], 2);
        assert_int_equal(be[i].ops->run(be[i].exec, 0, sign_in, &r), PUDLE_OK);
        assert_int_equal(be[i].ops->run(be[i].exec, -1, sign_in, &r), PUDLE_ERR_ARG);
        assert_int_equal(be[i].ops->run(be[i].exec, 2, NULL, &r), PUDLE_ERR_ARG);
        assert_int_equal(be[i].ops->sync(be[i].exec), PUDLE_OK);
    }
}

/* What training does: lanes sum outer products of their blocks, the root adds the lanes in order and takes a step. */
typedef struct training {
    const backend *b;
    const array *x, *z;
    array sum[8];
    double loss[8];
} training;

static pudle_status lane_sum(void *ctx, pudle_exec *lane, int64_t index)
{
    training *w = ctx;
    const pudle_backend_ops *o = w->b->ops;
    pudle_status s = o->fill(lane, 0.0, &w->sum[index].view);
    for (int block = 0; block < 3 && !s; block++) {
        pudle_cview x = pudle_const(&w->x->view), z = pudle_const(&w->z->view);
        const int64_t first = (index * 3 + block) * 11;
        x.data = (const char *)x.data + (size_t)(first * x.stride[0]) * width_of(x.dtype);
        z.data = (const char *)z.data + (size_t)(first * z.stride[0]) * width_of(z.dtype);
        x.shape[0] = z.shape[0] = 11;
        double part = 0;
        s = o->gemm(lane, true, false, 0.3, &x, &z, 1.0, &w->sum[index].view);
        if (!s)
            s = o->dot(lane, &x, &x, &part);
        w->loss[index] += part;
    }
    return s;
}

static void train(const backend *b, int32_t dtype, const array *x, const array *z, array *out, double *loss)
{
    training w = { .b = b, .x = x, .z = z };
    for (int i = 0; i < 8; i++)
        w.sum[i] = matrix(dtype, 61, 83, 0);
    assert_int_equal(b->ops->run(b->exec, 8, lane_sum, &w), PUDLE_OK);
    *loss = 0;
    for (int i = 0; i < 8; i++) {
        const pudle_cview part = pudle_const(&w.sum[i].view);
        assert_int_equal(b->ops->axpby(b->exec, 0.125, &part, i ? 1.0 : 0.0, &out->view), PUDLE_OK);
        *loss += w.loss[i];
        drop(&w.sum[i]);
    }
    assert_int_equal(b->ops->normalize(b->exec, 1, 1.0, &out->view), PUDLE_OK);
}

static void test_same_bits(void **state)
{
    (void)state;
    need_cpu();
    for (int t = 0; t < 2; t++) {
        const int32_t dtype = dtypes[t];
        array x = draw(matrix(dtype, 264, 61, 3)), z = draw(matrix(dtype, 264, 83, 0)), out[BACKENDS];
        array A = draw(matrix(dtype, 611, 173, 5)), B = draw(matrix(dtype, 1201, 173, 0)), C[BACKENDS], S[BACKENDS];
        array long_one = draw(make(dtype, 1, (const int64_t[]){ 300001 }, 0));
        const pudle_cview cA = pudle_const(&A.view), cB = pudle_const(&B.view), cl = pudle_const(&long_one.view);
        double loss[BACKENDS], dot[BACKENDS];
        for (int i = 0; i < BACKENDS; i++) {
            out[i] = matrix(dtype, 61, 83, 0);
            C[i] = matrix(dtype, 611, 1201, 0);
            train(&be[i], dtype, &x, &z, &out[i], &loss[i]);
            assert_int_equal(be[i].ops->gemm(be[i].exec, false, true, 1.0, &cA, &cB, 0.0, &C[i].view), PUDLE_OK);
            assert_int_equal(be[i].ops->normalize(be[i].exec, 0, 1.0, &C[i].view), PUDLE_OK);
            assert_int_equal(be[i].ops->normalize(be[i].exec, 1, 1.0, &C[i].view), PUDLE_OK);
            S[i] = matrix(dtype, 611, 1201, 2);
            const pudle_cview cC = pudle_const(&C[i].view);
            assert_int_equal(be[i].ops->axpby(be[i].exec, 1.7, &cC, 0.0, &S[i].view), PUDLE_OK);
            assert_int_equal(be[i].ops->momentum(be[i].exec, 0.1, 0.9, &cC, &S[i].view, &C[i].view), PUDLE_OK);
            assert_int_equal(be[i].ops->dot(be[i].exec, &cl, &cl, &dot[i]), PUDLE_OK);
        }
        expect_close(&out[CPU1], &out[REF], 40 * epsilon(dtype), "trained");
        expect_close(&S[CPU1], &S[REF], 40 * epsilon(dtype), "state");
        expect_close(&C[CPU1], &C[REF], 40 * epsilon(dtype), "matrix");
        for (int i = CPU2; i < BACKENDS; i++) {
            assert_memory_equal(out[CPU1].memory, out[i].memory, out[i].bytes);
            assert_memory_equal(C[CPU1].memory, C[i].memory, C[i].bytes);
            assert_memory_equal(S[CPU1].memory, S[i].memory, S[i].bytes);
            assert_memory_equal(&loss[CPU1], &loss[i], sizeof(double));
            assert_memory_equal(&dot[CPU1], &dot[i], sizeof(double));
        }
        for (int i = 0; i < BACKENDS; i++) {
            drop(&out[i]);
            drop(&C[i]);
            drop(&S[i]);
        }
        array *const all[] = { &x, &z, &A, &B, &long_one };
        for (size_t k = 0; k < 5; k++)
            drop(all[k]);
    }
}

static void test_plan(void **state)
{
    (void)state;
    for (int turn = 0; turn < 300; turn++) {
        const pudle_work work = { .size = sizeof work, .dtype = dtypes[below(2)],
                                  .samples = 1 + below(below(2) ? 100 : 100000), .features = 1 + below(5000),
                                  .code = 1 + below(9000), .layers = 1 + below(100),
                                  .whole = below(5) == 0 };
        int64_t rows[BACKENDS], lanes[BACKENDS];
        for (int i = 0; i < present; i++) {
            assert_int_equal(be[i].ops->plan(be[i].exec, &work, &rows[i], &lanes[i]), PUDLE_OK);
            assert_true(rows[i] >= 1 && lanes[i] >= 1 && lanes[i] <= 16);
            if (work.whole)
                assert_true(rows[i] == work.samples && lanes[i] == 1);
            const double dictionary = (double)(work.dtype == PUDLE_F64 ? 8 : 4) * (double)work.features * (double)work.code;
            const bool one = work.samples <= 256 && dictionary > 1048576; /* few rows would each bring all of it through the cache */
            if (!work.whole && work.samples >= 48 && !one)
                assert_true(lanes[i] >= 2 && rows[i] < work.samples && rows[i] <= 256);
            if (i > CPU1)
                assert_true(rows[i] == rows[CPU1] && lanes[i] == lanes[CPU1]);
        }
    }
    if (present == 1)
        return;
    int64_t rows, lanes;
    pudle_work wide = { .size = sizeof wide, .dtype = PUDLE_F32, .samples = 50, .features = 1000, .code = 1500 };
    wide.layers = 100;
    pudle_work many = wide, images = wide;
    many.samples = 10000;
    many.features = 50;
    many.code = 100;
    images.samples = 4;
    images.features = 16641;
    images.code = 61504;
    assert_int_equal(be[CPU1].ops->plan(be[CPU1].exec, &wide, &rows, &lanes), PUDLE_OK);
    assert_true(rows == 50 && lanes == 1);
    assert_int_equal(be[CPU1].ops->plan(be[CPU1].exec, &many, &rows, &lanes), PUDLE_OK);
    assert_true(rows >= 32 && rows * 2 * 100 * 4 * 100 <= 4 << 20 && lanes == 16); /* z and v of all layers stay in the cache */
    many.code = 600;
    assert_int_equal(be[CPU1].ops->plan(be[CPU1].exec, &many, &rows, &lanes), PUDLE_OK);
    assert_true(rows >= 48 && rows <= 256 && rows * 600 / 2 * 4 * 100 <= 16 << 20 && lanes == 16);
    assert_int_equal(be[CPU1].ops->plan(be[CPU1].exec, &images, &rows, &lanes), PUDLE_OK);
    assert_true(rows == 1 && lanes == 4);
}

/* -------------------------------------------------------------- wrong arguments */

#define REFUSED(call)                                   \
    do {                                                \
        said[0] = '\0';                                 \
        assert_int_equal((call), PUDLE_ERR_ARG);        \
        assert_true(strlen(said) > 10);                 \
    } while (0)

static void test_arguments(void **state)
{
    (void)state;
    for (int i = 0; i < present; i++) {
        const pudle_backend_ops *o = be[i].ops;
        pudle_exec *x = be[i].exec;
        array a = draw(matrix(PUDLE_F32, 4, 6, 0)), b = draw(matrix(PUDLE_F32, 6, 5, 2)),
              c = draw(matrix(PUDLE_F32, 4, 5, 0));
        array d = draw(matrix(PUDLE_F64, 4, 6, 0)), cube = draw(make(PUDLE_F32, 3, (const int64_t[]){ 2, 3, 4 }, 0));
        const pudle_cview A = pudle_const(&a.view), B = pudle_const(&b.view), D = pudle_const(&d.view);
        pudle_view bad;
        double sum;
        int64_t n, m;
        REFUSED(o->gemm(x, false, false, 1, &A, &A, 0, &c.view));
        REFUSED(o->gemm(x, true, false, 1, &A, &B, 0, &c.view));
        REFUSED(o->gemm(x, false, false, 1, &A, &B, 0, &a.view));
        REFUSED(o->gemm(x, false, false, 1, &D, &B, 0, &c.view));
        REFUSED(o->gemm(x, false, false, 1, NULL, &B, 0, &c.view));
        REFUSED(o->gemm(x, false, false, 1, &A, &B, 0, NULL));
        array square = draw(matrix(PUDLE_F32, 6, 6, 0));
        const pudle_cview S = pudle_const(&square.view);
        REFUSED(o->gemm(x, false, false, 1, &S, &S, 0, &square.view));
        drop(&square);
        bad = a.view;
        bad.stride[0] = 5;
        REFUSED(o->fill(x, 1, &bad));
        bad = a.view;
        bad.stride[1] = 2;
        REFUSED(o->fill(x, 1, &bad));
        bad = a.view;
        bad.dtype = 7;
        REFUSED(o->fill(x, 1, &bad));
        bad = a.view;
        bad.shape[0] = -1;
        REFUSED(o->fill(x, 1, &bad));
        bad = a.view;
        bad.shape[0] = bad.shape[1] = INT64_MAX / 2;
        REFUSED(o->fill(x, 1, &bad));
        bad = a.view;
        bad.data = NULL;
        REFUSED(o->fill(x, 1, &bad));
        bad = a.view;
        bad.rank = PUDLE_MAX_RANK + 1;
        REFUSED(o->fill(x, 1, &bad));
        bad = cube.view;
        bad.stride[0] += 1;
        REFUSED(o->fill(x, 1, &bad));
        REFUSED(o->fill(x, 1, NULL));
        REFUSED(o->copy(x, &A, &b.view));
        REFUSED(o->copy(x, NULL, &b.view));
        REFUSED(o->axpby(x, 1, &D, 1, &a.view));
        REFUSED(o->axpby(x, 1, &A, 1, NULL));
        REFUSED(o->sign(x, &A, &cube.view));
        REFUSED(o->dot(x, &A, &B, &sum));
        REFUSED(o->dot(x, &A, &A, NULL));
        REFUSED(o->census(x, NULL, &n, &m));
        REFUSED(o->census(x, &A, NULL, &m));
        REFUSED(o->normalize(x, 2, 1, &a.view));
        REFUSED(o->normalize(x, 1, 1, &cube.view));
        REFUSED(o->normalize(x, 1, NAN, &a.view));
        REFUSED(o->momentum(x, 1, 1, &A, &a.view, &b.view));
        pudle_adam how = { sizeof how, 0, 1, 0.9, 0.999, 1e-8, 0 };
        REFUSED(o->adam(x, &how, &A, &a.view, &a.view, &a.view));
        how.update = 1;
        how.beta1 = 1;
        REFUSED(o->adam(x, &how, &A, &a.view, &a.view, &a.view));
        REFUSED(o->adam(x, NULL, &A, &a.view, &a.view, &a.view));
        REFUSED(o->plan(x, NULL, &n, &m));
        REFUSED(o->upload(x, NULL, a.view.data, 4));
        REFUSED(o->alloc(x, 4, NULL));
        REFUSED(o->prox_apply(x, NULL, 1, NULL, &A, &a.view));
        REFUSED(o->loss_value(x, NULL, &A, &A, &sum));
        assert_int_equal(o->fill(NULL, 1, &a.view), PUDLE_ERR_ARG);
        array *const all[] = { &a, &b, &c, &d, &cube };
        for (size_t k = 0; k < 5; k++)
            drop(all[k]);
    }
}

/* -------------------------------------------------------------- memory, plugins */

static void test_memory(void **state)
{
    (void)state;
    for (int i = 0; i < present; i++) {
        double in[37], out[37];
        void *block = NULL, *none = NULL;
        for (int k = 0; k < 37; k++)
            in[k] = normal();
        assert_int_equal(be[i].ops->alloc(be[i].exec, sizeof in, &block), PUDLE_OK);
        assert_int_equal((uintptr_t)block % 64, 0);
        assert_int_equal(be[i].ops->upload(be[i].exec, block, in, sizeof in), PUDLE_OK);
        assert_int_equal(be[i].ops->download(be[i].exec, out, block, sizeof out), PUDLE_OK);
        assert_memory_equal(in, out, sizeof in);
        assert_int_equal(be[i].ops->upload(be[i].exec, NULL, NULL, 0), PUDLE_OK);
        be[i].ops->free(be[i].exec, block);
        be[i].ops->free(be[i].exec, NULL);
        starve = true;
        pudle_exec *exec = NULL;
        const cpu_params params = { 2, "", 0, VECTORS };
        assert_int_equal(be[i].ops->alloc(be[i].exec, 100, &none), PUDLE_ERR_NOMEM);
        assert_null(none);
        assert_int_equal(be[i].ops->open(&host, i == REF ? NULL : (const void *)&params, &exec), PUDLE_ERR_NOMEM);
        assert_null(exec);
        starve = false;
        char text[1024], cut[20];
        be[i].ops->describe(be[i].exec, text, sizeof text);
        assert_non_null(strstr(text, "threads"));
        be[i].ops->describe(be[i].exec, cut, sizeof cut);
        assert_int_equal(strlen(cut), sizeof cut - 1);
        assert_null(be[i].ops->get_ext(be[i].exec, "pudle.none/1"));
        assert_string_equal(be[i].ops->targets[0], "host");
        if (i == CPU1)
            for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
                print_message("# %s\n", line);
    }
}

typedef struct no_params { int32_t none; } no_params;
PUDLE_PROX(shrink, no_params, 1,
    const real a = v < 0 ? -v : v;
    *p = a <= t[0] ? 0 : v < 0 ? v + t[0] : v - t[0];
    *dv = a <= t[0] ? 0 : 1;
    dt[0] = a <= t[0] ? 0 : v < 0 ? 1 : -1;
)
static const pudle_prox_ops shrink_ops = { PUDLE_PROX_OPS(shrink) };

static pudle_status half_value(const void *self, pudle_exec *exec, const pudle_cview *pred, const pudle_cview *target,
                               double *sum)
{
    (void)self;
    (void)exec;
    *sum = 0;
    for (int64_t i = 0; i < pudle_count(pred); i++) {
        const double r = read_at(pred->data, pred->dtype, i) - read_at(target->data, target->dtype, i);
        *sum += 0.5 * r * r;
    }
    return PUDLE_OK;
}

static pudle_status half_grad(const void *self, pudle_exec *exec, const pudle_cview *pred, const pudle_cview *target,
                              const pudle_view *g)
{
    (void)self;
    (void)exec;
    for (int64_t i = 0; i < pudle_count(pred); i++)
        write_at(g->data, g->dtype, i, read_at(pred->data, pred->dtype, i) - read_at(target->data, target->dtype, i));
    return PUDLE_OK;
}

static void test_plugins(void **state)
{
    static const pudle_desc prox_desc = {
        .size = sizeof prox_desc, .kind = PUDLE_KIND_PROX, .name = "shrink", .ops = &shrink_ops
    };
    static const pudle_loss_kernel half = { .size = sizeof half, .target = "host", .value = half_value, .grad = half_grad };
    static const pudle_loss_kernel *const kernels[] = { &half, NULL };
    static const pudle_loss_ops half_ops = { .size = sizeof half_ops, .kernels = kernels };
    static const pudle_desc loss_desc = {
        .size = sizeof loss_desc, .kind = PUDLE_KIND_LOSS, .name = "half", .ops = &half_ops
    };
    static const pudle_prox_kernel other = { .size = sizeof other, .target = "elsewhere" };
    static const pudle_prox_kernel *const others[] = { &other, NULL };
    static const pudle_prox_ops foreign_ops = { .size = sizeof foreign_ops, .kernels = others };
    static const pudle_desc foreign_desc = {
        .size = sizeof foreign_desc, .kind = PUDLE_KIND_PROX, .name = "foreign", .ops = &foreign_ops
    };
    no_params nothing = { 0 };
    const pudle_instance prox = { &prox_desc, &nothing }, loss = { &loss_desc, NULL }, foreign = { &foreign_desc, NULL };
    (void)state;
    for (int i = 0; i < present; i++)
        for (int t = 0; t < 2; t++) {
            const pudle_backend_ops *o = be[i].ops;
            pudle_exec *x = be[i].exec;
            array v = draw(matrix(dtypes[t], 5, 7, 0)), p = matrix(dtypes[t], 5, 7, 0), g = draw(matrix(dtypes[t], 5, 7, 0));
            array gaps = draw(matrix(dtypes[t], 5, 7, 2)), level = make(dtypes[t], 0, NULL, 0);
            put(&level, 0, 0.5);
            const pudle_cview cv = pudle_const(&v.view), cg = pudle_const(&g.view), theta = pudle_const(&level.view);
            const pudle_cview cgaps = pudle_const(&gaps.view);
            assert_int_equal(o->prox_apply(x, &prox, 1, &theta, &cv, &p.view), PUDLE_OK);
            for (int64_t k = 0; k < 35; k++)
                assert_true(fabs(get(&p, k) - (fabs(get(&v, k)) <= 0.5 ? 0 : get(&v, k) - copysign(0.5, get(&v, k)))) <
                            1e-6);
            assert_int_equal(o->prox_vjp(x, &prox, 1, &theta, &cv, NULL, &cg, &p.view, NULL), PUDLE_OK);
            for (int64_t k = 0; k < 35; k++)
                assert_true(get(&p, k) == (fabs(get(&v, k)) <= 0.5 ? 0 : get(&g, k)));
            REFUSED(o->prox_vjp(x, &prox, 1, &theta, NULL, NULL, &cg, &p.view, NULL));
            REFUSED(o->prox_apply(x, &prox, 1, &theta, &cgaps, &p.view));
            REFUSED(o->prox_apply(x, &loss, 1, &theta, &cv, &p.view));
            assert_int_equal(o->prox_apply(x, &foreign, 1, &theta, &cv, &p.view), PUDLE_ERR_UNSUPPORTED);
            double sum = -1, want = 0;
            for (int64_t k = 0; k < 35; k++)
                want += 0.5 * pow(get(&v, k) - get(&g, k), 2);
            assert_int_equal(o->loss_value(x, &loss, &cv, &cg, &sum), PUDLE_OK);
            assert_true(fabs(sum - want) < 1e-5 * want);
            assert_int_equal(o->loss_grad(x, &loss, &cv, &cg, &p.view), PUDLE_OK);
            assert_true(fabs(get(&p, 3) - (get(&v, 3) - get(&g, 3))) < 1e-6);
            REFUSED(o->loss_value(x, &loss, &cv, &cgaps, &sum));
            assert_int_equal(o->loss_hvp(x, &loss, &cv, &cg, &cg, &p.view), PUDLE_ERR_UNSUPPORTED);
            array before = twin(&p);
            assert_int_equal(o->code_value(x, &loss, &cv, &sum), PUDLE_OK); /* this loss has no penalty on the code */
            assert_true(sum == 0);
            assert_int_equal(o->code_grad(x, &loss, &cv, &p.view), PUDLE_OK);
            assert_memory_equal(before.memory, p.memory, p.bytes);
            array *const all[] = { &v, &p, &g, &gaps, &level, &before };
            for (size_t k = 0; k < 6; k++)
                drop(all[k]);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gemm),        cmocka_unit_test(test_gemm_reads_inside),
        cmocka_unit_test(test_gemm_nan),   cmocka_unit_test(test_elementwise),
        cmocka_unit_test(test_axpby_in_place), cmocka_unit_test(test_reductions), cmocka_unit_test(test_momentum),
        cmocka_unit_test(test_adam),        cmocka_unit_test(test_normalize),  cmocka_unit_test(test_run),
        cmocka_unit_test(test_same_bits),   cmocka_unit_test(test_plan),       cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_memory),      cmocka_unit_test(test_plugins),
    };
    return cmocka_run_group_tests_name("backend", tests, set_up, tear_down);
}
