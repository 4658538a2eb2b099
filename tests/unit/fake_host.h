/* A small host for tests of plugins: loads a module from $PUDLE_PLUGIN_PATH, fills its options from text, counts memory,
 * records the last error, and offers arrays in memory as if they were files. Include after cmocka.h. */
#ifndef FAKE_HOST_H
#define FAKE_HOST_H

#include <dlfcn.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <pudle/plugin.h>

/* ------------------------------------------------------------------- host */

typedef struct fake_array {
    const char *path;
    int32_t rank;
    int64_t shape[PUDLE_MAX_RANK + 1];
    const double *values;
} fake_array;

static struct {
    char error[1024];
    long live;        /* blocks not yet freed */
    long until_empty; /* allocations that still succeed; negative: all */
    fake_array array[8];
    int arrays;
    bool no_arrays; /* pretend that the service does not exist */
} fake = { .until_empty = -1 };

static inline void *fake_alloc(void *ctx, size_t bytes)
{
    (void)ctx;
    if (fake.until_empty == 0)
        return NULL;
    if (fake.until_empty > 0)
        fake.until_empty--;
    void *memory = NULL;
    if (posix_memalign(&memory, 64, bytes ? bytes : 1))
        return NULL;
    memset(memory, 0xa5, bytes); /* not cleared, and it shows */
    fake.live++;
    return memory;
}

static inline void fake_free(void *ctx, void *memory)
{
    (void)ctx;
    fake.live -= memory != NULL;
    free(memory);
}

static inline PUDLE_PRINTF(3, 4) void fake_log(void *ctx, int32_t level, const char *format, ...)
{
    (void)ctx;
    (void)level;
    (void)format;
}

static inline PUDLE_PRINTF(3, 4) pudle_status fake_fail(void *ctx, pudle_status status, const char *format, ...)
{
    va_list args;
    (void)ctx;
    va_start(args, format);
    vsnprintf(fake.error, sizeof fake.error, format, args);
    va_end(args);
    return status;
}

struct pudle_array_file { const fake_array *array; };

static inline pudle_status fake_open(void *ctx, const char *path, pudle_array_file **file)
{
    for (int i = 0; i < fake.arrays; i++)
        if (!strcmp(fake.array[i].path, path)) {
            if (!(*file = fake_alloc(ctx, sizeof **file)))
                return fake_fail(ctx, PUDLE_ERR_NOMEM, "no memory");
            (*file)->array = &fake.array[i];
            return PUDLE_OK;
        }
    return fake_fail(ctx, PUDLE_ERR_NOTFOUND, "%s does not exist", path);
}

static inline int32_t fake_rank(const pudle_array_file *file)
{
    return file->array->rank;
}

static inline int64_t fake_extent(const pudle_array_file *file, int32_t axis)
{
    return file->array->shape[axis];
}

static inline pudle_status fake_read_row(void *ctx, const pudle_array_file *file, int64_t row, int32_t dtype, void *out)
{
    int64_t n = 1;
    (void)ctx;
    for (int32_t i = 1; i < file->array->rank; i++)
        n *= file->array->shape[i];
    for (int64_t i = 0; i < n; i++) {
        const double value = file->array->values[row * n + i];
        if (dtype == PUDLE_F64)
            ((double *)out)[i] = value;
        else
            ((float *)out)[i] = (float)value;
    }
    return PUDLE_OK;
}

static inline void fake_close(pudle_array_file *file)
{
    fake_free(NULL, file);
}

static const pudle_host_arrays fake_arrays = {
    sizeof(pudle_host_arrays), 0, fake_open, fake_rank, fake_extent, fake_read_row, fake_close,
};

static inline const void *fake_get_ext(void *ctx, const char *id)
{
    (void)ctx;
    return strcmp(id, PUDLE_HOST_ARRAYS) == 0 && !fake.no_arrays ? &fake_arrays : NULL;
}

static const pudle_host fake_host = {
    sizeof(pudle_host), PUDLE_ABI_MAJOR, PUDLE_ABI_MINOR, NULL, fake_alloc, fake_free, fake_log, fake_fail, fake_get_ext,
};

/* --------------------------------------------------------- plugins and options */

/** The first descriptor of $PUDLE_PLUGIN_PATH/KIND/NAME.so. */
static inline const pudle_desc *fake_load(const char *kind, const char *name)
{
    char path[4096];
    const char *folder = getenv("PUDLE_PLUGIN_PATH");
    snprintf(path, sizeof path, "%s/%s/%s.so", folder ? folder : "abi1", kind, name);
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!module)
        fail_msg("%s", dlerror());
    const pudle_plugin_entry *entry = dlsym(module, "pudle_plugin");
    assert_non_null(entry);
    assert_int_equal(entry->magic, PUDLE_MAGIC);
    assert_int_equal(entry->abi_major, PUDLE_ABI_MAJOR);
    assert_string_equal(entry->plugins[0]->name, name);
    return entry->plugins[0];
}

static inline const pudle_option *fake_option(const pudle_desc *desc, const char *name)
{
    for (const pudle_option *row = desc->options; row && row->name; row++)
        if (!strcmp(row->name, name))
            return row;
    fail_msg("%s has no option %s", desc->name, name);
    return NULL;
}

static inline void fake_parse(const pudle_option *row, const char *text, char *params)
{
    static double reals[64][4]; /* a ring: few tests hold many lists at once */
    static int64_t ints[64][16];
    static int next;
    char *to = params + row->offset, *end;
    const char *at = text ? text + strspn(text, "[ ,") : "";
    int count = 0;
    if (row->type == PUDLE_BOOL) {
        *(bool *)to = text && !strcmp(text, "true");
    } else if (row->type == PUDLE_INT) {
        *(int64_t *)to = text ? strtoll(text, NULL, 10) : 0;
    } else if (row->type == PUDLE_REAL) {
        *(double *)to = text ? strtod(text, NULL) : 0;
    } else if (row->type == PUDLE_ENUM) {
        const char *choice = strstr(row->choices, text);
        int32_t bars = 0;
        assert_non_null(choice);
        for (const char *c = row->choices; c < choice; c++)
            bars += *c == '|';
        *(int32_t *)to = bars;
    } else if (row->type == PUDLE_REAL_LIST) {
        double *list = reals[next = (next + 1) % 64];
        for (; *at && *at != ']' && count < 4; at = end + strspn(end, " ,"))
            list[count++] = strtod(at, &end);
        *(pudle_real_list *)to = (pudle_real_list){ list, count };
    } else if (row->type == PUDLE_INT_LIST) {
        int64_t *list = ints[next = (next + 1) % 64];
        for (; *at && *at != ']' && count < 16; at = end + strspn(end, " ,"))
            list[count++] = strtoll(at, &end, 10);
        *(pudle_int_list *)to = (pudle_int_list){ list, count };
    } else {
        *(const char **)to = text;
    }
}

/** Params with defaults, then "name", "value" pairs up to NULL. Free with free(). */
static inline void *fake_params(const pudle_desc *desc, const char *const *settings)
{
    char *params = calloc(1, desc->params_size ? desc->params_size : 1);
    assert_non_null(params);
    for (const pudle_option *row = desc->options; row && row->name; row++)
        fake_parse(row, row->dflt, params);
    for (; settings && *settings; settings += 2)
        fake_parse(fake_option(desc, settings[0]), settings[1], params);
    return params;
}
#define SETTINGS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/** check, then create, as the core does. */
static inline pudle_status fake_create(const pudle_desc *desc, const void *params, void **self)
{
    const pudle_status s = desc->check ? desc->check(&fake_host, params) : PUDLE_OK;
    return s ? s : desc->create(&fake_host, params, self);
}

/* -------------------------------------------------------------- views, numbers */

/** A contiguous view over new memory, to be freed with free(v.data). */
static inline pudle_view fake_view(int32_t dtype, int32_t rank, const int64_t *shape)
{
    pudle_view v = { .dtype = dtype, .rank = rank };
    int64_t n = 1;
    for (int32_t i = rank - 1; i >= 0; i--) {
        v.shape[i] = shape[i];
        v.stride[i] = n;
        n *= shape[i];
    }
    v.data = calloc((size_t)n + 1, pudle_dtype_size(dtype));
    assert_non_null(v.data);
    return v;
}

static inline int64_t fake_count(const pudle_view *v)
{
    const pudle_cview c = pudle_const(v);
    return pudle_count(&c);
}

static inline double get(const pudle_view *v, int64_t i)
{
    return v->dtype == PUDLE_F64 ? ((const double *)v->data)[i] : (double)((const float *)v->data)[i];
}

static inline void set(const pudle_view *v, int64_t i, double value)
{
    if (v->dtype == PUDLE_F64)
        ((double *)v->data)[i] = value;
    else
        ((float *)v->data)[i] = (float)value;
}

static inline pudle_view fake_copy(const pudle_view *v)
{
    pudle_view c = fake_view(v->dtype, v->rank, v->shape);
    memcpy(c.data, v->data, (size_t)fake_count(v) * pudle_dtype_size(v->dtype));
    return c;
}

static inline bool same_bits(const pudle_view *a, const pudle_view *b)
{
    return memcmp(a->data, b->data, (size_t)fake_count(a) * pudle_dtype_size(a->dtype)) == 0;
}

/** Random numbers of this run: a fresh seed, printed, or $PUDLE_TEST_SEED. */
static inline pudle_random *fake_random(void)
{
    static pudle_random r;
    static bool ready;
    if (!ready) {
        const char *given = getenv("PUDLE_TEST_SEED");
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        const uint64_t clock = (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
        const uint64_t seed = given ? strtoull(given, NULL, 10) : clock;
        printf("# PUDLE_TEST_SEED=%llu\n", (unsigned long long)seed);
        r = pudle_random_at(seed, 0, 0, 0);
        ready = true;
    }
    return &r;
}

static inline double normal(void)
{
    return pudle_random_normal(fake_random());
}

/** What a failed test leaves behind is no failure of the next one. */
static inline int fresh(void **state)
{
    (void)state;
    fake.live = 0;
    return 0;
}

#endif
