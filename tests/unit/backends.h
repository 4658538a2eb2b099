/* The reference backend, and the cpu backend with one, two and three threads, loaded from $PUDLE_PLUGIN_PATH/backend as a host would;
 * arrays with guards around them. For tests of backends; what not all of them call is inline. Include after cmocka.h. */
#ifndef TESTS_BACKENDS_H
#define TESTS_BACKENDS_H

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

static inline int64_t below(int64_t n)
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

static inline array twin(const array *a)
{
    array b = *a;
    b.memory = malloc(a->bytes);
    assert_non_null(b.memory);
    memcpy(b.memory, a->memory, a->bytes);
    b.view.data = b.memory + GUARD * width_of(a->view.dtype);
    return b;
}

/* Entries within tolerance of the expected ones (NaN where NaN), everything else in the memory as before. */
static inline void expect_close(const array *got, const array *want, double tolerance, const char *what)
{
    for (int64_t i = 0; i < count(got); i++) {
        const double g = get(got, i), w = get(want, i);
        if (isnan(w) ? !isnan(g) : !(g == w || fabs(g - w) <= tolerance * (1 + fabs(w))))
            fail_msg("%s: entry %lld of (%lld, %lld) is %.17g, expected %.17g", what, (long long)i,
                     (long long)got->view.shape[0], (long long)got->view.shape[1], g, w);
    }
}

static inline double epsilon(int32_t dtype)
{
    return dtype == PUDLE_F64 ? DBL_EPSILON : (double)FLT_EPSILON;
}

static const int32_t dtypes[2] = { PUDLE_F32, PUDLE_F64 };

#endif
