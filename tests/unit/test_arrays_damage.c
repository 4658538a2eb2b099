/* Files of arrays that are wrong: what is not supported or contradicts itself is refused with a reason, and damage of every kind is an
 * error that names the file or goes unnoticed, never worse. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "array_files.h"

/* ----------------------------------------------------------------- refusals */

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(npy_refused), TEST(safetensors_refused), TEST(fuzz),
    };
    return cmocka_run_group_tests_name("arrays_damage", tests, setup, teardown);
}
