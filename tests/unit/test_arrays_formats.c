/* Arrays read from files: round trips of .npy, .npz and .safetensors, every element type of NumPy, files of other programs, and the
 * service that reads rows. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "array_files.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(npy_round_trips), TEST(strided_views), TEST(npy_types), TEST(npy_extremes), TEST(npz_round_trip),
        TEST(npz_foreign), TEST(npz_colon_in_name), TEST(safetensors_round_trip), TEST(safetensors_foreign),
        TEST(host_rows), TEST(host_sparse),
    };
    return cmocka_run_group_tests_name("arrays_formats", tests, setup, teardown);
}
