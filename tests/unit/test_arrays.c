/* tests/unit/test_arrays.c - arrays in files: round trips, every element type of NumPy, damage of every kind,
 * atomic writing. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tensor/arrays.h"

static pd_context *ctx;
static char folder[64];
static pudle_random dice;

static const char *in_folder(const char *name)
{
    static char path[32][512]; /* a path stays good for 31 more calls */
    static int turn;
    turn = (turn + 1) % 32;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static void put_file(const char *path, const void *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

static unsigned char *get_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    *size = (size_t)ftell(f);
    rewind(f);
    unsigned char *data = malloc(*size + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, *size, f), *size);
    fclose(f);
    return data;
}

/* The call failed with this status and a message that has both texts in it. */
static void assert_failed(pudle_status status, pudle_status wanted, const char *file, const char *text)
{
    if (status != wanted || !strstr(pd_error(ctx), file) || !strstr(pd_error(ctx), text))
        fail_msg("status %d (wanted %d), message \"%s\" (wanted \"%s\" and \"%s\")", (int)status, (int)wanted, pd_error(ctx),
                 file, text);
    pd_error_clear(ctx);
}

static void assert_worked(pudle_status status)
{
    if (status != PUDLE_OK)
        fail_msg("status %d: %s", (int)status, pd_error(ctx));
}

static int files_in_folder(void)
{
    int count = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e = readdir(d); e; e = readdir(d))
        count += e->d_name[0] != '.';
    closedir(d);
    return count;
}

static void empty_folder(void)
{
    DIR *d = opendir(folder);
    if (!d)
        return;
    for (struct dirent *e = readdir(d); e; e = readdir(d))
        if (e->d_name[0] != '.')
            unlink(in_folder(e->d_name));
    closedir(d);
}

static int setup(void **state)
{
    const char *said = getenv("PUDLE_TEST_SEED");
    struct timespec now;
    (void)state;
    clock_gettime(CLOCK_REALTIME, &now);
    const uint64_t seed = said ? strtoull(said, NULL, 10) : (uint64_t)now.tv_sec * 1000003u + (uint64_t)now.tv_nsec;
    printf("# PUDLE_TEST_SEED=%llu\n", (unsigned long long)seed);
    dice = pudle_random_at(seed, 1, 0, 0);
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.40s/pudle-arrays-XXXXXX", tmp ? tmp : "/tmp");
    ctx = pd_context_create();
    pd_log_level(ctx, PUDLE_LOG_WARNING + 1);
    return ctx && mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    empty_folder();
    rmdir(folder);
    pd_context_destroy(ctx);
    return 0;
}

static int clean(void **state)
{
    (void)state;
    empty_folder();
    pd_error_clear(ctx);
    return 0;
}

/* ---------------------------------------------------------------- builders */

typedef struct blob { unsigned char *data; size_t size, room; } blob;

static void add(blob *b, const void *data, size_t size)
{
    if (b->size + size > b->room) {
        b->room = (b->size + size) * 2;
        b->data = realloc(b->data, b->room);
        assert_non_null(b->data);
    }
    if (size)
        memcpy(b->data + b->size, data, size);
    b->size += size;
}

static void add_le(blob *b, int bytes, uint64_t value)
{
    for (int i = 0; i < bytes; i++) {
        const unsigned char c = (unsigned char)(value >> 8 * i);
        add(b, &c, 1);
    }
}

/* A .npy file with this dictionary and these bytes of elements. */
static blob npy_file(unsigned version, const char *dictionary, const void *elements, size_t bytes)
{
    blob b = { 0 };
    const unsigned char head[8] = { 0x93, 'N', 'U', 'M', 'P', 'Y', (unsigned char)version, 0 };
    add(&b, head, 8);
    add_le(&b, version == 1 ? 2 : 4, strlen(dictionary));
    add(&b, dictionary, strlen(dictionary));
    add(&b, elements, bytes);
    return b;
}

static void put_npy(const char *path, const char *dictionary, const void *elements, size_t bytes)
{
    blob b = npy_file(1, dictionary, elements, bytes);
    put_file(path, b.data, b.size);
    free(b.data);
}

static uint32_t crc32_of(const unsigned char *p, size_t n)
{
    uint32_t c = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        for (int k = 0; k < 8; k++)
            c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
    }
    return ~c;
}

/* A stored-only zip of one member, plain or with every zip64 field there is. */
static blob zip_of(const char *name, const blob *member, bool wide, unsigned method, unsigned flags)
{
    blob b = { 0 };
    const uint32_t crc = crc32_of(member->data, member->size), narrow = wide ? 0xffffffffu : (uint32_t)member->size;
    add_le(&b, 4, 0x04034b50);
    add_le(&b, 2, 45);
    add_le(&b, 2, flags);
    add_le(&b, 2, method);
    add_le(&b, 4, 0);
    add_le(&b, 4, crc);
    add_le(&b, 4, narrow);
    add_le(&b, 4, narrow);
    add_le(&b, 2, strlen(name));
    add_le(&b, 2, 5); /* an extra field of another kind */
    add(&b, name, strlen(name));
    add(&b, "\x55\x54\1\0x", 5);
    add(&b, member->data, member->size);
    const size_t start = b.size;
    add_le(&b, 4, 0x02014b50);
    add_le(&b, 4, 45 << 16 | 45);
    add_le(&b, 2, flags);
    add_le(&b, 2, method);
    add_le(&b, 4, 0);
    add_le(&b, 4, crc);
    add_le(&b, 4, narrow);
    add_le(&b, 4, narrow);
    add_le(&b, 2, strlen(name));
    add_le(&b, 2, wide ? 5 + 28 : 0);
    add_le(&b, 8, 0);
    add_le(&b, 2, 0);
    add_le(&b, 4, wide ? 0xffffffffu : 0);
    add(&b, name, strlen(name));
    if (wide) {
        add(&b, "\x55\x54\1\0x", 5);
        add_le(&b, 2, 1);
        add_le(&b, 2, 24);
        add_le(&b, 8, member->size);
        add_le(&b, 8, member->size);
        add_le(&b, 8, 0);
    }
    const size_t end = b.size;
    if (wide) {
        add_le(&b, 4, 0x06064b50);
        add_le(&b, 8, 44);
        add_le(&b, 4, 45 << 16 | 45);
        add_le(&b, 8, 0);
        add_le(&b, 8, 1);
        add_le(&b, 8, 1);
        add_le(&b, 8, end - start);
        add_le(&b, 8, start);
        add_le(&b, 4, 0x07064b50);
        add_le(&b, 4, 0);
        add_le(&b, 8, end);
        add_le(&b, 4, 1);
    }
    add_le(&b, 4, 0x06054b50);
    add_le(&b, 4, 0);
    add_le(&b, 4, wide ? 0xffffffffu : 1 << 16 | 1);
    add_le(&b, 4, wide ? 0xffffffffu : end - start);
    add_le(&b, 4, wide ? 0xffffffffu : start);
    add_le(&b, 2, 3);
    add(&b, "hey", 3); /* a comment */
    return b;
}

/* A .safetensors file with this header and these bytes. */
static void put_safetensors(const char *path, const char *header, const void *data, size_t bytes)
{
    blob b = { 0 };
    add_le(&b, 8, strlen(header));
    add(&b, header, strlen(header));
    add(&b, data, bytes);
    put_file(path, b.data, b.size);
    free(b.data);
}

static void fill_random(void *data, int32_t dtype, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (dtype == PUDLE_F64)
            ((double *)data)[i] = pudle_random_normal(&dice);
        else
            ((float *)data)[i] = (float)pudle_random_normal(&dice);
}

/* --------------------------------------------------------------------- npy */

static void round_trip(int32_t dtype, int32_t rank, const int64_t *shape)
{
    double data[3000] = { 0 };
    pd_array a;
    const pudle_cview v = pd_cview(data, dtype, rank, shape);
    const int64_t count = pudle_count(&v);
    fill_random(data, dtype, count);
    if (count > 2) {
        if (dtype == PUDLE_F64)
            memcpy(data, (const double[2]){ NAN, -INFINITY }, 16);
        else
            memcpy(data, (const float[2]){ NAN, -INFINITY }, 8);
    }
    assert_worked(pd_npy_write(ctx, in_folder("a.npy"), &v));
    assert_worked(pd_array_read(ctx, in_folder("a.npy"), dtype, &a));
    assert_int_equal(a.view.rank, rank);
    assert_int_equal(a.view.dtype, dtype);
    for (int32_t i = 0; i < rank; i++)
        assert_int_equal(a.view.shape[i], shape[i]);
    assert_memory_equal(a.view.data, data, (size_t)count * pudle_dtype_size(dtype));
    assert_int_equal((uintptr_t)a.view.data % 64, 0);
    pd_array_free(&a);
    assert_null(a.view.data);
    pd_array_free(&a);
    pd_array_free(NULL);
}

static void npy_round_trips(void **state)
{
    const int64_t shapes[][6] = { { 1, 1, 1, 1, 1, 1 }, { 7, 5, 3, 2, 2, 2 }, { 0, 5, 3, 1, 1, 1 }, { 2, 0, 3, 1, 1, 1 } };
    (void)state;
    for (size_t s = 0; s < 4; s++)
        for (int32_t rank = 0; rank <= 6; rank++) {
            round_trip(PUDLE_F32, rank, shapes[s]);
            round_trip(PUDLE_F64, rank, shapes[s]);
        }
    size_t size;
    const double six[6] = { 1, 2, 3, 4, 5, 6 };
    const pudle_cview v = pd_cmatrix(six, PUDLE_F64, 2, 3);
    assert_worked(pd_npy_write(ctx, in_folder("six.npy"), &v));
    unsigned char *bytes = get_file(in_folder("six.npy"), &size);
    assert_int_equal(size, 128 + 48);
    assert_memory_equal(bytes, "\x93NUMPY\1\0\x76\0{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }", 69);
    assert_int_equal(bytes[127], '\n');
    free(bytes);
}

static void strided_views(void **state)
{
    double grid[6 * 7];
    pd_array a;
    (void)state;
    for (int i = 0; i < 42; i++)
        grid[i] = i;
    pudle_cview v = pd_cmatrix(grid + 8, PUDLE_F64, 4, 3); /* a window of a (6, 7) matrix */
    v.stride[0] = 7;
    assert_worked(pd_npy_write(ctx, in_folder("a.npy"), &v));
    assert_worked(pd_array_read(ctx, in_folder("a.npy"), PUDLE_F32, &a));
    for (int i = 0; i < 12; i++)
        assert_true(((float *)a.view.data)[i] == (float)grid[8 + i / 3 * 7 + i % 3]);
    pd_array_free(&a);
    v = pd_cview(grid, PUDLE_F64, 3, (const int64_t[3]){ 7, 3, 2 }); /* transposed, split */
    v.stride[0] = 1;
    v.stride[1] = 14;
    v.stride[2] = 7;
    assert_worked(pd_npy_write(ctx, in_folder("a.npy"), &v));
    assert_worked(pd_array_read(ctx, in_folder("a.npy"), PUDLE_F64, &a));
    for (int i = 0; i < 42; i++)
        assert_true(((double *)a.view.data)[i] == grid[i / 6 + i % 6 * 7]);
    pd_array_free(&a);

    const pudle_view whole = pd_matrix(grid, PUDLE_F64, 6, 7), some = pd_rows(&whole, 2, 3);
    const pudle_cview whole_c = pudle_const(&whole), some_c = pd_crows(&whole_c, 2, 3);
    assert_ptr_equal(some.data, grid + 14);
    assert_ptr_equal(some_c.data, grid + 14);
    assert_int_equal(some.shape[0], 3);
    assert_int_equal(some_c.shape[0], 3);
    assert_int_equal(some.stride[0], 7);
}

/* Every element type, both byte orders, both memory orders: the values are small, so every type but bool holds them. */
static void npy_types(void **state)
{
    static const struct { const char *name; int bytes; char kind; } type[] = {
        { "b1", 1, 'b' }, { "i1", 1, 'i' }, { "i2", 2, 'i' }, { "i4", 4, 'i' }, { "i8", 8, 'i' }, { "u1", 1, 'u' },
        { "u2", 2, 'u' }, { "u4", 4, 'u' }, { "u8", 8, 'u' }, { "f2", 2, 'f' }, { "f4", 4, 'f' }, { "f8", 8, 'f' },
    };
    static const int values[6] = { 0, 1, 2, 3, 100, -3 };
    static const uint16_t halves[6] = { 0x0000, 0x3c00, 0x4000, 0x4200, 0x5640, 0xc200 };
    (void)state;
    for (size_t t = 0; t < sizeof type / sizeof *type; t++)
        for (int how = 0; how < 4; how++) {
            const bool big = how & 1, fortran = how & 2;
            unsigned char elements[48];
            double expected[6];
            for (int place = 0; place < 6; place++) {
                /* C index of the element stored here, shape (2, 3) */
                const int i = fortran ? place % 2 * 3 + place / 2 : place;
                int value = values[i];
                uint64_t bits;
                if (type[t].kind == 'b')
                    value = value != 0;
                else if (type[t].kind == 'u' && value < 0)
                    value = 77;
                expected[i] = value;
                if (type[t].kind != 'f')
                    bits = (uint64_t)(int64_t)value;
                else if (type[t].bytes == 2)
                    bits = halves[i];
                else if (type[t].bytes == 4) {
                    const float f = (float)value;
                    uint32_t b;
                    memcpy(&b, &f, 4);
                    bits = b;
                } else {
                    const double d = value;
                    memcpy(&bits, &d, 8);
                }
                for (int k = 0; k < type[t].bytes; k++)
                    elements[place * type[t].bytes + (big ? type[t].bytes - 1 - k : k)] = (unsigned char)(bits >> 8 * k);
            }
            char dictionary[128];
            snprintf(dictionary, sizeof dictionary, "{'descr': '%c%s', 'fortran_order': %s, 'shape': (2, 3), }\n",
                     type[t].bytes == 1 ? '|' : big ? '>' : '<', type[t].name, fortran ? "True" : "False");
            put_npy(in_folder("t.npy"), dictionary, elements, (size_t)(6 * type[t].bytes));
            for (int32_t dtype = PUDLE_F32; dtype <= PUDLE_F64; dtype++) {
                pd_array a;
                assert_worked(pd_array_read(ctx, in_folder("t.npy"), dtype, &a));
                assert_int_equal(a.view.shape[0], 2);
                assert_int_equal(a.view.shape[1], 3);
                for (int i = 0; i < 6; i++) {
                    const double got = dtype == PUDLE_F64 ? ((double *)a.view.data)[i] : (double)((float *)a.view.data)[i];
                    if (got != expected[i])
                        fail_msg("%s: entry %d is %g, not %g", dictionary, i, got, expected[i]);
                }
                pd_array_free(&a);
            }
        }
}

static void npy_extremes(void **state)
{
    const int64_t whole[3] = { INT64_MIN, INT64_MAX, (INT64_C(1) << 53) + 1 };
    const uint64_t natural[1] = { UINT64_MAX };
    const uint16_t half[6] = { 0x0001, 0x03ff, 0x7bff, 0x7c00, 0xfc00, 0x7e00 };
    pd_array a;
    (void)state;
    put_npy(in_folder("i.npy"), "{'descr':'=i8','shape':(3L,),\"fortran_order\":False}", whole, sizeof whole);
    assert_worked(pd_array_read(ctx, in_folder("i.npy"), PUDLE_F64, &a));
    for (int i = 0; i < 3; i++)
        assert_true(((double *)a.view.data)[i] == (double)whole[i]);
    pd_array_free(&a);
    put_npy(in_folder("u.npy"), "{'descr': '=u8', 'fortran_order': True, 'shape': ()}", natural, sizeof natural);
    assert_worked(pd_array_read(ctx, in_folder("u.npy"), PUDLE_F32, &a));
    assert_int_equal(a.view.rank, 0);
    assert_true(((float *)a.view.data)[0] == 0x1p64f);
    pd_array_free(&a);
    put_npy(in_folder("h.npy"), "{'descr': '=f2', 'fortran_order': False, 'shape': (6,)}", half, sizeof half);
    assert_worked(pd_array_read(ctx, in_folder("h.npy"), PUDLE_F64, &a));
    const double *h = a.view.data;
    assert_true(h[0] == 0x1p-24 && h[1] == 1023 * 0x1p-24 && h[2] == 65504 && h[3] == INFINITY && h[4] == -INFINITY);
    assert_true(isnan(h[5]));
    pd_array_free(&a);
    for (unsigned version = 2; version <= 3; version++) {
        blob b = npy_file(version, "{'descr': '=f2', 'fortran_order': False, 'shape': (1, 6)}", half, sizeof half);
        put_file(in_folder("v.npy"), b.data, b.size);
        assert_worked(pd_array_read(ctx, in_folder("v.npy"), PUDLE_F32, &a));
        pd_array_free(&a);
        free(b.data);
    }
}

static void npy_refused(void **state)
{
    static const struct { const char *dictionary; pudle_status status; const char *text; } bad[] = {
        { "{'descr': '|O', 'fortran_order': False, 'shape': (2,)}", PUDLE_ERR_CONFIG, "Python objects" },
        { "{'descr': '<c16', 'fortran_order': False, 'shape': (1,)}", PUDLE_ERR_CONFIG, "'<c16'" },
        { "{'descr': '<f16', 'fortran_order': False, 'shape': (1,)}", PUDLE_ERR_CONFIG, "astype" },
        { "{'descr': '<U2', 'fortran_order': False, 'shape': (2,)}", PUDLE_ERR_CONFIG, "element type" },
        { "{'descr': '<M8[ns]', 'fortran_order': False, 'shape': (2,)}", PUDLE_ERR_CONFIG, "element type" },
        { "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (2,)}", PUDLE_ERR_CONFIG, "structured" },
        { "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 2)}", PUDLE_ERR_CONFIG, "7 axes" },
        { "{'descr': '<f8', 'fortran_order': False, 'shape': (3,)}", PUDLE_ERR_IO, "cut short" },
        { "{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}", PUDLE_ERR_IO, "8 bytes follow" },
        { "{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", PUDLE_ERR_IO, "impossible shape" },
        { "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 4611686018427387904, 4)}", PUDLE_ERR_IO,
          "impossible shape" },
        { "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,)}", PUDLE_ERR_IO, "unreadable 'shape'" },
        { "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}", PUDLE_ERR_IO,
          "promises 8000000000000 bytes" },
        { "{'descr': '<f8', 'fortran_order': False, 'shape': (-2,)}", PUDLE_ERR_IO, "unreadable 'shape'" },
        { "{'descr': '<f8', 'fortran_order': False, 'shape': 2}", PUDLE_ERR_IO, "unreadable 'shape'" },
        { "{'descr': '<f8', 'fortran_order': 0, 'shape': (2,)}", PUDLE_ERR_IO, "fortran_order" },
        { "{'descr': '<f8', 'shape': (2,)}", PUDLE_ERR_IO, "lacks" },
        { "{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': (2,)}", PUDLE_ERR_IO, "twice" },
        { "{'descr': '<f8', 'fortran_order': False, 'shape': (2,)} + 1", PUDLE_ERR_IO, "after the closing" },
        { "{'descr': '<f8', 'fortran_order': False, 'shape': (2,)", PUDLE_ERR_IO, "cut short" },
        { "{'descr': open('x'), 'fortran_order': False, 'shape': (2,)}", PUDLE_ERR_IO, "unreadable 'descr'" },
        { "{'color': '<f8', 'fortran_order': False, 'shape': (2,)}", PUDLE_ERR_IO, "a key other than" },
        { "", PUDLE_ERR_IO, "does not start" },
    };
    const double two[2] = { 1, 2 };
    pd_array a = { .view = { .rank = 77 } };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_npy(in_folder("bad.npy"), bad[i].dictionary, two, sizeof two);
        assert_failed(pd_array_read(ctx, in_folder("bad.npy"), PUDLE_F64, &a), bad[i].status, "bad.npy", bad[i].text);
    }
    blob b = npy_file(4, "{}", two, 16);
    put_file(in_folder("bad.npy"), b.data, b.size);
    free(b.data);
    assert_failed(pd_array_read(ctx, in_folder("bad.npy"), PUDLE_F64, &a), PUDLE_ERR_CONFIG, "bad.npy", "version 4");
    put_file(in_folder("bad.npy"), "hello, world", 12);
    assert_failed(pd_array_read(ctx, in_folder("bad.npy"), PUDLE_F64, &a), PUDLE_ERR_CONFIG, "bad.npy", "not a NumPy file");
    put_file(in_folder("bad.npy"), "", 0);
    assert_failed(pd_array_read(ctx, in_folder("bad.npy"), PUDLE_F64, &a), PUDLE_ERR_CONFIG, "bad.npy", "not a NumPy file");
    assert_failed(pd_array_read(ctx, in_folder("none.npy"), PUDLE_F64, &a), PUDLE_ERR_NOTFOUND, "none.npy", "no such file");
    assert_failed(pd_array_read(ctx, folder, PUDLE_F64, &a), PUDLE_ERR_IO, folder, "is a folder");
    assert_failed(pd_array_read(ctx, "/dev/null", PUDLE_F64, &a), PUDLE_ERR_IO, "/dev/null", "not a regular file");
    assert_failed(pd_array_read(ctx, in_folder("bad.npy"), 9, &a), PUDLE_ERR_ARG, "bad.npy", "element type 9");
    assert_int_equal(a.view.rank, 77); /* outputs are written only on success */

    pudle_cview v = pd_cmatrix(two, PUDLE_F64, 1, 2);
    v.dtype = 5;
    assert_failed(pd_npy_write(ctx, in_folder("w.npy"), &v), PUDLE_ERR_ARG, "w.npy", "element type 5");
    v = pd_cmatrix(NULL, PUDLE_F64, 1, 2);
    assert_failed(pd_npy_write(ctx, in_folder("w.npy"), &v), PUDLE_ERR_ARG, "w.npy", "no data");
    v = pd_cmatrix(two, PUDLE_F64, 1, -2);
    assert_failed(pd_npy_write(ctx, in_folder("w.npy"), &v), PUDLE_ERR_ARG, "w.npy", "axis 1");
}

/* --------------------------------------------------------------------- npz */

static void npz_round_trip(void **state)
{
    double a[50] = { 0 };
    float b[12] = { 0 };
    double *large = malloc(200000 * sizeof *large);
    const int64_t three[3] = { 2, 3, 2 };
    const pudle_cview arrays[3] = { pd_cmatrix(a, PUDLE_F64, 5, 10), pd_cview(b, PUDLE_F32, 3, three),
                                    pd_cmatrix(large, PUDLE_F64, 500, 400) };
    const char *const names[3] = { "a", "sub/b", "gr\303\266\303\237er" };
    pd_array got;
    (void)state;
    assert_non_null(large);
    fill_random(a, PUDLE_F64, 50);
    fill_random(b, PUDLE_F32, 12);
    fill_random(large, PUDLE_F64, 200000);
    const char *path = in_folder("x.npz");
    char name[600];
    assert_worked(pd_npz_write(ctx, path, 3, names, arrays));
    for (int i = 0; i < 3; i++)
        for (int suffix = 0; suffix < 2; suffix++) {
            snprintf(name, sizeof name, "%s:%s%s", path, names[i], suffix ? ".npy" : "");
            assert_worked(pd_array_read(ctx, name, arrays[i].dtype, &got));
            assert_int_equal(got.view.rank, arrays[i].rank);
            const pudle_cview g = pd_array_const(&got);
            assert_int_equal(pudle_count(&g), pudle_count(&arrays[i]));
            assert_memory_equal(g.data, arrays[i].data, (size_t)pudle_count(&g) * pudle_dtype_size(g.dtype));
            pd_array_free(&got);
        }
    snprintf(name, sizeof name, "%s:c", path);
    assert_failed(pd_array_read(ctx, name, PUDLE_F64, &got), PUDLE_ERR_NOTFOUND, "x.npz", "it holds a, sub/b, ");
    assert_failed(pd_array_read(ctx, path, PUDLE_F64, &got), PUDLE_ERR_CONFIG, "x.npz", "say which");
    snprintf(name, sizeof name, "%s:", path);
    assert_failed(pd_array_read(ctx, name, PUDLE_F64, &got), PUDLE_ERR_CONFIG, "x.npz:", "must follow the colon");

    size_t first, second; /* equal arrays, equal bytes */
    unsigned char *one = get_file(path, &first);
    assert_worked(pd_npz_write(ctx, path, 3, names, arrays));
    unsigned char *two = get_file(path, &second);
    assert_int_equal(first, second);
    assert_memory_equal(one, two, first);
    free(one);
    free(two);

    assert_worked(pd_npz_write(ctx, in_folder("one.npz"), 1, names, arrays));
    assert_worked(pd_array_read(ctx, in_folder("one.npz"), PUDLE_F64, &got));
    assert_memory_equal(got.view.data, a, sizeof a);
    pd_array_free(&got);
    assert_worked(pd_npz_write(ctx, in_folder("zero.npz"), 0, NULL, NULL));
    assert_failed(pd_array_read(ctx, in_folder("zero.npz"), PUDLE_F64, &got), PUDLE_ERR_NOTFOUND, "zero.npz",
                  "holds no array");
    const char *const twice[2] = { "a", "a" };
    assert_failed(pd_npz_write(ctx, path, 2, twice, arrays), PUDLE_ERR_ARG, "x.npz", "two arrays are named 'a'");
    const char *const none[1] = { "" };
    assert_failed(pd_npz_write(ctx, path, 1, none, arrays), PUDLE_ERR_ARG, "x.npz", "name of array 0");
    assert_worked(pd_npy_write(ctx, in_folder("y.npz"), &arrays[0]));
    snprintf(name, sizeof name, "%s:q", in_folder("y.npz"));
    assert_failed(pd_array_read(ctx, name, PUDLE_F64, &got), PUDLE_ERR_CONFIG, "y.npz", "no .npz archive");
    free(large);
}

static void npz_foreign(void **state)
{
    const double two[2] = { 1.5, -2.5 };
    blob npy = npy_file(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (2,)}", two, 16);
    pd_array a;
    (void)state;
    for (int wide = 0; wide < 2; wide++) {
        blob zip = zip_of("arr_0.npy", &npy, wide, 0, 0);
        put_file(in_folder("f.npz"), zip.data, zip.size);
        assert_worked(pd_array_read(ctx, in_folder("f.npz"), PUDLE_F64, &a));
        assert_memory_equal(a.view.data, two, 16);
        pd_array_free(&a);
        zip.data[30 + 9 + 5 + npy.size - 1] ^= 1; /* the last byte of the member */
        put_file(in_folder("f.npz"), zip.data, zip.size);
        assert_failed(pd_array_read(ctx, in_folder("f.npz"), PUDLE_F64, &a), PUDLE_ERR_IO, "f.npz", "CRC-32");
        free(zip.data);
    }
    blob zip = zip_of("arr_0.npy", &npy, false, 12, 0);
    put_file(in_folder("f.npz"), zip.data, zip.size);
    assert_failed(pd_array_read(ctx, in_folder("f.npz"), PUDLE_F64, &a), PUDLE_ERR_CONFIG, "f.npz", "method 12");
    free(zip.data);
    zip = zip_of("arr_0.npy", &npy, false, 0, 1);
    put_file(in_folder("f.npz"), zip.data, zip.size);
    assert_failed(pd_array_read(ctx, in_folder("f.npz"), PUDLE_F64, &a), PUDLE_ERR_CONFIG, "f.npz", "encrypted");
    free(zip.data);
    zip = zip_of("notes.txt", &npy, false, 0, 0);
    put_file(in_folder("f.npz"), zip.data, zip.size);
    assert_failed(pd_array_read(ctx, in_folder("f.npz"), PUDLE_F64, &a), PUDLE_ERR_NOTFOUND, "f.npz", "holds no array");
    free(zip.data);
    free(npy.data);
    npy = npy_file(1, "{'descr': '|O', 'fortran_order': False, 'shape': (2,)}", two, 16);
    zip = zip_of("arr_0.npy", &npy, false, 0, 0);
    put_file(in_folder("f.npz"), zip.data, zip.size);
    assert_failed(pd_array_read(ctx, in_folder("f.npz"), PUDLE_F64, &a), PUDLE_ERR_CONFIG, "f.npz", "Python objects");
    free(zip.data);
    free(npy.data);
}

/* A colon in a real file's name is no separator. */
static void npz_colon_in_name(void **state)
{
    const double two[2] = { 1.5, -2.5 };
    const pudle_cview v = pd_cview(two, PUDLE_F64, 1, (const int64_t[1]){ 2 });
    pd_array a;
    (void)state;
    assert_worked(pd_npy_write(ctx, in_folder("odd.npz:x"), &v));
    assert_worked(pd_array_read(ctx, in_folder("odd.npz:x"), PUDLE_F64, &a));
    pd_array_free(&a);
}

/* ------------------------------------------------------------- safetensors */

static void write_checkpoint(const char *path, const double w[6], const float b[5])
{
    const int64_t five[1] = { 5 };
    const pd_tensor tensors[4] = { { "b", pd_cview(b, PUDLE_F32, 1, five) },
                                   { "step/\"quoted\"", pd_cview(w, PUDLE_F64, 0, NULL) },
                                   { "w", pd_cmatrix(w, PUDLE_F64, 2, 3) },
                                   { "none", pd_cmatrix(NULL, PUDLE_F32, 0, 3) } };
    const pd_meta metas[2] = { { "format", "pt" }, { "config", "a = \"b\\c\";\n\ttau = 1/L" } };
    assert_worked(pd_safetensors_write(ctx, path, 4, tensors, 2, metas));
}

static void safetensors_round_trip(void **state)
{
    double w[6];
    float b[5];
    pd_safetensors *file;
    (void)state;
    fill_random(w, PUDLE_F64, 6);
    fill_random(b, PUDLE_F32, 5);
    w[0] = NAN;
    const char *path = in_folder("c.safetensors");
    write_checkpoint(path, w, b);
    assert_worked(pd_safetensors_read(ctx, path, &file));
    assert_string_equal(pd_safetensors_meta(file, "format"), "pt");
    assert_string_equal(pd_safetensors_meta(file, "config"), "a = \"b\\c\";\n\ttau = 1/L");
    assert_int_equal(strlen(pd_safetensors_meta(file, "sha256")), 64);
    assert_null(pd_safetensors_meta(file, "nothing"));
    assert_null(pd_safetensors_tensor(file, "nothing"));
    assert_null(pd_safetensors_tensor(file, "__metadata__"));
    const pudle_cview *v = pd_safetensors_tensor(file, "w");
    assert_non_null(v);
    assert_true(v->dtype == PUDLE_F64 && v->rank == 2 && v->shape[0] == 2 && v->shape[1] == 3 && v->stride[0] == 3);
    assert_memory_equal(v->data, w, sizeof w);
    assert_int_equal((uintptr_t)v->data % 8, 0);
    v = pd_safetensors_tensor(file, "b");
    assert_true(v && v->dtype == PUDLE_F32 && v->rank == 1 && v->shape[0] == 5);
    assert_memory_equal(v->data, b, sizeof b);
    v = pd_safetensors_tensor(file, "step/\"quoted\"");
    assert_true(v && v->rank == 0);
    assert_memory_equal(v->data, w, 8);
    v = pd_safetensors_tensor(file, "none");
    assert_true(v && v->rank == 2 && v->shape[0] == 0 && v->shape[1] == 3);
    pd_safetensors_free(file);
    pd_safetensors_free(NULL);

    const pudle_cview scalar = pd_cview(w, PUDLE_F64, 0, NULL);
    const pd_tensor twice[2] = { { "w", scalar }, { "w", scalar } }, reserved[1] = { { "__metadata__", scalar } };
    const pd_meta digest[1] = { { "sha256", "x" } }, keys[2] = { { "k", "1" }, { "k", "2" } };
    assert_failed(pd_safetensors_write(ctx, path, 2, twice, 0, NULL), PUDLE_ERR_ARG, "c.safetensors", "two tensors");
    assert_failed(pd_safetensors_write(ctx, path, 1, reserved, 0, NULL), PUDLE_ERR_ARG, "c.safetensors", "reserves");
    assert_failed(pd_safetensors_write(ctx, path, 1, twice, 1, digest), PUDLE_ERR_ARG, "c.safetensors", "written by pudle");
    assert_failed(pd_safetensors_write(ctx, path, 1, twice, 2, keys), PUDLE_ERR_ARG, "c.safetensors",
                  "two metadata entries");
    assert_worked(pd_safetensors_write(ctx, path, 0, NULL, 0, NULL));
    assert_worked(pd_safetensors_read(ctx, path, &file));
    pd_safetensors_free(file);
}

static void safetensors_foreign(void **state)
{
    const double zero[1] = { 0.25 };
    unsigned char data[12];
    pd_safetensors *file;
    (void)state;
    memset(data, 0, 4);
    memcpy(data + 4, zero, 8);
    put_safetensors(in_folder("f"), "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                                    "\"b\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[4,12]}}  ", data, 12);
    assert_worked(pd_safetensors_read(ctx, in_folder("f"), &file)); /* not aligned, no metadata, no digest */
    const pudle_cview *b = pd_safetensors_tensor(file, "b");
    assert_non_null(b);
    assert_int_equal((uintptr_t)b->data % 8, 0);
    assert_true(*(const double *)b->data == 0.25);
    assert_null(pd_safetensors_meta(file, "format"));
    pd_safetensors_free(file);
}

static void safetensors_refused(void **state)
{
    static const struct { const char *header; pudle_status status; const char *text; } bad[] = {
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
          "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", PUDLE_ERR_IO, "'a' and 'b' overlap" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
          "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]}}", PUDLE_ERR_IO, "before tensor 'b'" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", PUDLE_ERR_IO, "last 4 bytes" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}", PUDLE_ERR_IO, "bytes 0 to 16 of the 12" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[8,4]}}", PUDLE_ERR_IO, "bytes 8 to 4" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[-12,0]}}", PUDLE_ERR_IO, "no legal 'data_offsets'" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0]}}", PUDLE_ERR_IO, "no legal 'data_offsets'" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12,12]}}", PUDLE_ERR_IO, "no legal 'data_offsets'" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,12]}}", PUDLE_ERR_IO, "8 bytes by its shape, 12" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,0]}}", PUDLE_ERR_IO,
          "impossible" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[0,4611686018427387904,4],\"data_offsets\":[0,0]}}", PUDLE_ERR_IO,
          "impossible" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,12]}}", PUDLE_ERR_IO,
          "impossible" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[-3],\"data_offsets\":[0,12]}}", PUDLE_ERR_IO, "no legal 'shape'" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[3.0],\"data_offsets\":[0,12]}}", PUDLE_ERR_IO, "no legal 'shape'" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,3],\"data_offsets\":[0,12]}}", PUDLE_ERR_CONFIG, "7 axes" },
        { "{\"a\":{\"dtype\":\"BF16\",\"shape\":[6],\"data_offsets\":[0,12]}}", PUDLE_ERR_CONFIG, "'BF16'" },
        { "{\"a\":{\"shape\":[3],\"data_offsets\":[0,12]}}", PUDLE_ERR_IO, "no 'dtype'" },
        { "{\"a\":null}", PUDLE_ERR_IO, "no 'dtype'" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]},}", PUDLE_ERR_IO, "wrong JSON" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[3]", PUDLE_ERR_IO, "ends too early" },
        { "{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}", PUDLE_ERR_IO, "wrong JSON" },
        { "{} {}", PUDLE_ERR_IO, "wrong JSON at byte 11" },
        { "[1]", PUDLE_ERR_CONFIG, "not a .safetensors file" },
        { "{\"__metadata__\":7}", PUDLE_ERR_IO, "not an object" },
        { "{\"__metadata__\":{\"k\":7}}", PUDLE_ERR_IO, "'k' is not text" },
        { "{\"__metadata__\":{\"sha256\":\"00\"},\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]}}",
          PUDLE_ERR_IO, "checksum differs: the file is damaged" },
    };
    const float three[3] = { 1, 2, 3 };
    double w[6] = { 0 };
    float b[5] = { 0 };
    pd_safetensors *file = NULL;
    size_t size;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_safetensors(in_folder("bad.st"), bad[i].header, three, sizeof three);
        assert_failed(pd_safetensors_read(ctx, in_folder("bad.st"), &file), bad[i].status, "bad.st", bad[i].text);
    }
    put_file(in_folder("bad.st"), "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10);
    assert_failed(pd_safetensors_read(ctx, in_folder("bad.st"), &file), PUDLE_ERR_CONFIG, "bad.st", "not a .safetensors");
    put_file(in_folder("bad.st"), "\x09\0\0\0\0\0\0\0{}", 10);
    assert_failed(pd_safetensors_read(ctx, in_folder("bad.st"), &file), PUDLE_ERR_IO, "bad.st", "cut short");
    assert_failed(pd_safetensors_read(ctx, in_folder("none"), &file), PUDLE_ERR_NOTFOUND, "none", "no such file");
    const char *path = in_folder("c.st");
    write_checkpoint(path, w, b);
    unsigned char *bytes = get_file(path, &size);
    bytes[size - 1] ^= 0x10;
    put_file(path, bytes, size);
    assert_failed(pd_safetensors_read(ctx, path, &file), PUDLE_ERR_IO, "c.st", "checksum differs: the file is damaged");
    bytes[size - 1] ^= 0x10;
    for (size_t i = 0; i < size; i++) { /* every byte counts: lengths, names, counters, numbers */
        bytes[i] ^= 1;
        put_file(path, bytes, size);
        if (!pd_safetensors_read(ctx, path, &file)) { /* only by losing the digest's own name, which its readers look for */
            assert_null(pd_safetensors_meta(file, "sha256"));
            pd_safetensors_free(file);
            file = NULL;
        }
        pd_error_clear(ctx);
        bytes[i] ^= 1;
    }
    assert_null(file);
    free(bytes);
}

/* -------------------------------------------------------------------- fuzz */

static int readable; /* reads of damaged files that worked */

/* Read by every way there is; a success must be consistent, so its elements are touched. */
static void read_all_ways(const char *path, bool safetensors)
{
    pd_array a;
    pd_safetensors *file;
    pudle_array_file *rows;
    void *host = pd_host(ctx)->ctx;
    if (safetensors) {
        if (pd_safetensors_read(ctx, path, &file) == PUDLE_OK) {
            readable++;
            const pudle_cview *v = pd_safetensors_tensor(file, "w");
            double sum = 0;
            for (int64_t i = 0; v && i < pudle_count(v); i++)
                sum += v->dtype == PUDLE_F64 ? ((const double *)v->data)[i] : (double)((const float *)v->data)[i];
            assert_true(sum == sum || sum != sum);
            pd_safetensors_free(file);
        } else
            assert_non_null(strstr(pd_error(ctx), path));
        pd_error_clear(ctx);
        return;
    }
    if (pd_array_read(ctx, path, PUDLE_F32, &a) == PUDLE_OK) {
        readable++;
        pd_array_free(&a);
    } else
        assert_non_null(strstr(pd_error(ctx), path));
    pd_error_clear(ctx);
    if (pd_host_arrays.open(host, path, &rows) == PUDLE_OK) {
        int64_t size = 1;
        for (int32_t i = 1; i < pd_host_arrays.rank(rows); i++)
            size *= pd_host_arrays.extent(rows, i);
        double *row = size < 100000 ? malloc((size_t)size * 8 + 8) : NULL;
        for (int64_t i = 0; row && i < pd_host_arrays.extent(rows, 0) && i < 100; i++)
            assert_worked(pd_host_arrays.read_row(host, rows, i, PUDLE_F64, row));
        free(row);
        pd_host_arrays.close(rows);
    }
    pd_error_clear(ctx);
}

/* Cut at every length, flip every byte in a random way, then random damage in several places. */
static void damage(const char *path, bool safetensors, int rounds)
{
    size_t size;
    unsigned char *good = get_file(path, &size), *bad = malloc(size);
    assert_non_null(bad);
    readable = 0;
    for (size_t n = 0; n < size; n++) {
        put_file(path, good, n);
        read_all_ways(path, safetensors);
    }
    assert_int_equal(readable, 0);
    for (size_t i = 0; i < size; i++) {
        memcpy(bad, good, size);
        bad[i] ^= (unsigned char)(1 + pudle_random_below(&dice, 255));
        put_file(path, bad, size);
        read_all_ways(path, safetensors);
    }
    for (int r = 0; r < rounds; r++) {
        memcpy(bad, good, size);
        for (uint64_t k = 1 + pudle_random_below(&dice, 6); k > 0; k--) {
            static const unsigned char nasty[] = { 0x00, 0xff, 0x7f, 0x80, '9', '0', '{', '(', '"', '\'' };
            bad[pudle_random_below(&dice, size)] = nasty[pudle_random_below(&dice, sizeof nasty)];
        }
        put_file(path, bad, size);
        read_all_ways(path, safetensors);
    }
    put_file(path, good, size);
    readable = 0;
    read_all_ways(path, safetensors);
    assert_int_equal(readable, 1);
    free(good);
    free(bad);
}

static void fuzz(void **state)
{
    double w[24];
    float b[5];
    (void)state;
    fill_random(w, PUDLE_F64, 24);
    fill_random(b, PUDLE_F32, 5);
    const pudle_cview v = pd_cmatrix(w, PUDLE_F64, 4, 6);
    assert_worked(pd_npy_write(ctx, in_folder("z.npy"), &v));
    damage(in_folder("z.npy"), false, 1000);
    put_npy(in_folder("y.npy"), "{'descr': '>i2', 'fortran_order': True, 'shape': (3, 2, 2), }\n", w, 24);
    damage(in_folder("y.npy"), false, 1000);
    const char *const name[1] = { "w" };
    assert_worked(pd_npz_write(ctx, in_folder("z.npz"), 1, name, &v));
    damage(in_folder("z.npz"), false, 1000);
    blob npy = npy_file(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (2,)}", w, 16);
    blob zip = zip_of("a.npy", &npy, true, 0, 0);
    free(npy.data);
    zip.size -= 3; /* no comment here: cut off it would do no harm */
    zip.data[zip.size - 2] = 0;
    put_file(in_folder("w.npz"), zip.data, zip.size);
    free(zip.data);
    damage(in_folder("w.npz"), false, 1000);
    write_checkpoint(in_folder("z.st"), w, b);
    damage(in_folder("z.st"), true, 1000);
}

/* --------------------------------------------------------- atomic, digests */

static void atomic_writing(void **state)
{
    pd_atomic *file;
    size_t size;
    struct stat info;
    (void)state;
    const char *path = in_folder("state.bin");
    put_file(path, "old", 3);
    chmod(path, 0640);
    assert_worked(pd_atomic_open(ctx, path, &file));
    fputs("new and longer", pd_atomic_stream(file));
    fflush(pd_atomic_stream(file));
    unsigned char *bytes = get_file(path, &size);
    assert_int_equal(size, 3);
    assert_memory_equal(bytes, "old", 3);
    free(bytes);
    pd_atomic_abandon(file);
    pd_atomic_abandon(NULL);
    bytes = get_file(path, &size);
    assert_int_equal(size, 3);
    assert_memory_equal(bytes, "old", 3);
    free(bytes);
    assert_int_equal(files_in_folder(), 1);

    assert_worked(pd_atomic_open(ctx, path, &file));
    fputs("new", pd_atomic_stream(file));
    assert_worked(pd_atomic_commit(ctx, file));
    bytes = get_file(path, &size);
    assert_memory_equal(bytes, "new", 3);
    free(bytes);
    assert_int_equal(files_in_folder(), 1);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0640);

    const mode_t mask = umask(027); /* a fresh file obeys the umask */
    assert_worked(pd_atomic_open(ctx, in_folder("fresh"), &file));
    assert_worked(pd_atomic_commit(ctx, file));
    umask(mask);
    assert_int_equal(stat(in_folder("fresh"), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0640);

    assert_int_equal(symlink("fresh", in_folder("link")), 0); /* a link stays a link */
    assert_worked(pd_atomic_open(ctx, in_folder("link"), &file));
    fputs("through", pd_atomic_stream(file));
    assert_worked(pd_atomic_commit(ctx, file));
    assert_int_equal(lstat(in_folder("link"), &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    bytes = get_file(in_folder("fresh"), &size);
    assert_int_equal(size, 7);
    free(bytes);

    assert_failed(pd_atomic_open(ctx, in_folder("no/such/file"), &file), PUDLE_ERR_IO, "no/such/file", "make the folder");
    assert_failed(pd_atomic_open(ctx, folder, &file), PUDLE_ERR_IO, folder, "a folder");
    assert_failed(pd_atomic_open(ctx, "/dev/null", &file), PUDLE_ERR_IO, "/dev/null", "not a regular file");
}

/* A write error that nobody looked at makes the commit fail and leaves the old file. */
static void failed_write(void **state)
{
    pd_atomic *file;
    size_t size;
    (void)state;
    const char *path = in_folder("state.bin");
    put_file(path, "old", 3);
    assert_worked(pd_atomic_open(ctx, path, &file));
    fputs("new", pd_atomic_stream(file));
    assert_int_equal(close(fileno(pd_atomic_stream(file))), 0); /* the flush will meet a closed file */
    assert_failed(pd_atomic_commit(ctx, file), PUDLE_ERR_IO, "state.bin", "untouched");
    unsigned char *bytes = get_file(path, &size);
    assert_int_equal(size, 3);
    assert_memory_equal(bytes, "old", 3);
    free(bytes);
    assert_int_equal(files_in_folder(), 1);
}

static void digests(void **state)
{
    char hex[65];
    (void)state;
    pd_sha256("abc", 3, hex); /* FIPS 180-2, example B.1 */
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    put_file(in_folder("empty"), "", 0);
    assert_worked(pd_sha256_file(ctx, in_folder("empty"), hex));
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    put_file(in_folder("abc"), "abc", 3);
    assert_worked(pd_sha256_file(ctx, in_folder("abc"), hex));
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_failed(pd_sha256_file(ctx, in_folder("none"), hex), PUDLE_ERR_NOTFOUND, "none", "no such file");
}

/* ------------------------------------------------------------ host service */

static void host_rows(void **state)
{
    int16_t elements[24]; /* shape (4, 3, 2), both orders, big-endian is covered above */
    void *host = pd_host(ctx)->ctx;
    pudle_array_file *file;
    double row[6];
    float row32[6];
    (void)state;
    for (int fortran = 0; fortran < 2; fortran++) {
        for (int i = 0; i < 24; i++) {
            const int r = i / 6, j = i / 2 % 3, k = i % 2;
            elements[fortran ? r + 4 * (j + 3 * k) : i] = (int16_t)(i - 12);
        }
        put_npy(in_folder("r.npy"), fortran ? "{'descr': '=i2', 'fortran_order': True, 'shape': (4, 3, 2)}"
                                            : "{'descr': '=i2', 'fortran_order': False, 'shape': (4, 3, 2)}",
                elements, sizeof elements);
        assert_worked(pd_host_arrays.open(host, in_folder("r.npy"), &file));
        assert_int_equal(pd_host_arrays.rank(file), 3);
        assert_int_equal(pd_host_arrays.extent(file, 0), 4);
        assert_int_equal(pd_host_arrays.extent(file, 2), 2);
        for (int64_t r = 3; r >= 0; r--) {
            assert_worked(pd_host_arrays.read_row(host, file, r, PUDLE_F64, row));
            assert_worked(pd_host_arrays.read_row(host, file, r, PUDLE_F32, row32));
            for (int i = 0; i < 6; i++)
                assert_true(row[i] == (double)(r * 6 + i - 12) && (double)row32[i] == row[i]);
        }
        assert_failed(pd_host_arrays.read_row(host, file, 4, PUDLE_F64, row), PUDLE_ERR_ARG, "r.npy", "rows are 0 to 3");
        assert_failed(pd_host_arrays.read_row(host, file, -1, PUDLE_F64, row), PUDLE_ERR_ARG, "r.npy", "row -1");
        assert_failed(pd_host_arrays.read_row(host, file, 0, 3, row), PUDLE_ERR_ARG, "r.npy", "element type 3");
        pd_host_arrays.close(file);
    }
    const double two[2] = { 4, 5 };
    const pudle_cview v = pd_cview(two, PUDLE_F64, 1, (const int64_t[1]){ 2 });
    const char *const name[1] = { "t" };
    assert_worked(pd_npz_write(ctx, in_folder("r.npz"), 1, name, &v));
    assert_worked(pd_host_arrays.open(host, in_folder("r.npz:t"), &file));
    unlink(in_folder("r.npz"));
    assert_int_equal(pd_host_arrays.rank(file), 1);
    assert_worked(pd_host_arrays.read_row(host, file, 1, PUDLE_F64, row));
    assert_true(row[0] == 5);
    pd_host_arrays.close(file);
    pd_host_arrays.close(NULL);
    assert_failed(pd_host_arrays.open(host, in_folder("none.npy"), &file), PUDLE_ERR_NOTFOUND, "none.npy", "no such file");
}

/* A file larger than memory would bear: 40 GB of zeros that take no room on the disk. */
static void host_sparse(void **state)
{
    void *host = pd_host(ctx)->ctx;
    pudle_array_file *file;
    double row[4] = { 1, 1, 1, 1 };
    (void)state;
    blob b = npy_file(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2500000000, 4)}\n", NULL, 0);
    const char *path = in_folder("sparse.npy");
    put_file(path, b.data, b.size);
    const int long_enough = truncate(path, (off_t)b.size + 40000000000);
    free(b.data);
    if (long_enough != 0)
        skip();
    assert_worked(pd_host_arrays.open(host, path, &file));
    assert_int_equal(pd_host_arrays.extent(file, 0), 2500000000);
    assert_worked(pd_host_arrays.read_row(host, file, 2499999999, PUDLE_F64, row));
    assert_true(row[0] == 0 && row[3] == 0);
    pd_host_arrays.close(file);
}

/* ---------------------------------------------------------------- pictures */

static void assert_png(const char *path, int64_t width, int64_t height, int colour)
{
    size_t size;
    unsigned char *p = get_file(path, &size);
    assert_true(size > 33);
    assert_memory_equal(p, "\x89PNG\r\n\x1a\n", 8);
    assert_int_equal((int64_t)p[16] << 24 | p[17] << 16 | p[18] << 8 | p[19], width);
    assert_int_equal((int64_t)p[20] << 24 | p[21] << 16 | p[22] << 8 | p[23], height);
    assert_int_equal(p[24], 8);
    assert_int_equal(p[25], colour);
    free(p);
}

static int64_t png_width(const char *path)
{
    size_t size;
    unsigned char *p = get_file(path, &size);
    const int64_t width = (int64_t)p[16] << 24 | p[17] << 16 | p[18] << 8 | p[19];
    free(p);
    return width;
}

static void pictures(void **state)
{
    const uint8_t pixels[18] = { 0, 50, 100, 150, 200, 250 };
    double tiles[64 * 27];
    (void)state;
    assert_worked(pd_png_write(ctx, in_folder("g.png"), 3, 2, 1, pixels));
    assert_png(in_folder("g.png"), 3, 2, 0);
    assert_worked(pd_png_write(ctx, in_folder("c.png"), 3, 2, 3, pixels));
    assert_png(in_folder("c.png"), 3, 2, 2);
    assert_failed(pd_png_write(ctx, in_folder("g.png"), 3, 2, 2, pixels), PUDLE_ERR_ARG, "g.png", "2 channels");
    assert_failed(pd_png_write(ctx, in_folder("g.png"), 0, 2, 1, pixels), PUDLE_ERR_ARG, "g.png", "0 by 2");
    assert_failed(pd_png_write(ctx, in_folder("no/g.png"), 3, 2, 1, pixels), PUDLE_ERR_IO, "no/g.png", "make the folder");

    fill_random(tiles, PUDLE_F64, 64 * 27);
    tiles[3] = NAN;
    tiles[4] = INFINITY;
    const pudle_cview grey = pd_cmatrix(tiles, PUDLE_F64, 10, 12), rgb = pd_cmatrix(tiles, PUDLE_F64, 64, 27);
    /* 5 x 2 tiles of 8 x 6 pixels, lines between and around them */
    assert_worked(pd_mosaic_write(ctx, in_folder("m.png"), &grey, 1, 3, 4, 5, 2));
    assert_png(in_folder("m.png"), 1 + 5 * 9, 1 + 2 * 7, 0);
    assert_worked(pd_mosaic_write(ctx, in_folder("r.png"), &rgb, 3, 3, 3, 0, 0));
    assert_png(in_folder("r.png"), png_width(in_folder("r.png")), png_width(in_folder("r.png")), 2);
    assert_true(png_width(in_folder("r.png")) >= 800 && png_width(in_folder("r.png")) <= 1200);
    for (int64_t count = 1; count <= 64; count++) {
        const pudle_cview some = pd_crows(&rgb, 0, count);
        assert_worked(pd_mosaic_write(ctx, in_folder("s.png"), &some, 3, 3, 3, 0, 0));
        const int64_t width = png_width(in_folder("s.png"));
        assert_true(width >= 800 && width <= 1200);
    }
    assert_failed(pd_mosaic_write(ctx, in_folder("m.png"), &grey, 1, 3, 5, 0, 0), PUDLE_ERR_ARG, "m.png", "(1, 3, 5)");
    assert_failed(pd_mosaic_write(ctx, in_folder("m.png"), &grey, 2, 3, 2, 0, 0), PUDLE_ERR_ARG, "m.png", "2 channels");
    assert_failed(pd_mosaic_write(ctx, in_folder("m.png"), &grey, 1, 3, 4, 0, 4000), PUDLE_ERR_ARG, "m.png", "too large");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, clean)
    const struct CMUnitTest tests[] = {
        TEST(npy_round_trips), TEST(strided_views), TEST(npy_types), TEST(npy_extremes), TEST(npy_refused),
        TEST(npz_round_trip), TEST(npz_foreign), TEST(npz_colon_in_name), TEST(safetensors_round_trip),
        TEST(safetensors_foreign), TEST(safetensors_refused), TEST(fuzz), TEST(atomic_writing), TEST(failed_write),
        TEST(digests), TEST(host_rows), TEST(host_sparse), TEST(pictures),
    };
    return cmocka_run_group_tests_name("arrays", tests, setup, teardown);
}
