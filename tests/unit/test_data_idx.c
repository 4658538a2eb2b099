/* Pictures and labels of MNIST (IDX files): good, damaged and cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "data_source.h"

enum { IMAGES = 12, PIXELS = 784 };
static char folder[256];

static uint8_t image_bytes[16 + IMAGES * PIXELS] = { 0, 0, 8, 3, 0, 0, 0, IMAGES, 0, 0, 0, 28, 0, 0, 0, 28 };
static uint8_t label_bytes[8 + IMAGES] = { 0, 0, 8, 1, 0, 0, 0, IMAGES };

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/pudle-data-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    for (int i = 0; i < IMAGES * PIXELS; i++)
        image_bytes[16 + i] = (uint8_t)(i * 7 + i / PIXELS);
    for (int i = 0; i < IMAGES; i++)
        label_bytes[8 + i] = (uint8_t)(i % 10);
    return mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static void put(const char *name, const uint8_t *bytes, size_t size, bool gz)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (gz) {
        gzFile f = gzopen(path, "wb");
        assert_non_null(f);
        assert_int_equal(gzwrite(f, bytes, (unsigned)size), size);
        gzclose(f);
    } else {
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        assert_int_equal(fwrite(bytes, 1, size, f), size);
        fclose(f);
    }
}

static void drop(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    unlink(path);
}

static const char *const train_names[] = { "train-images-idx3-ubyte", "train-labels-idx1-ubyte" };

static void put_pair(bool gz)
{
    put(train_names[0], image_bytes, sizeof image_bytes, gz);
    put(train_names[1], label_bytes, sizeof label_bytes, gz);
}

static void drop_pair(void)
{
    drop(train_names[0]);
    drop(train_names[1]);
}

static pudle_status describe_status(const opened *s, int32_t split)
{
    pudle_data_info info = { .size = sizeof info };
    return s->ops->describe(&fake_host, s->self, split, &info);
}

static void check_images(const opened *s, int32_t split, int64_t count, const int *which)
{
    assert_int_equal(describe(s, split).samples, count);
    assert_int_equal(describe(s, split).shape[0], PIXELS);
    int64_t index[IMAGES];
    for (int64_t i = 0; i < count; i++)
        index[i] = count - 1 - i;
    for (int32_t dtype = PUDLE_F32; dtype <= PUDLE_F64; dtype++) {
        pudle_view x = read_flat(s, split, dtype, count, index);
        for (int64_t i = 0; i < count; i++)
            for (int j = 0; j < PIXELS; j++) {
                const double e = image_bytes[16 + which[index[i]] * PIXELS + j] / 255.0;
                assert_true(get(&x, i * PIXELS + j) == (dtype == PUDLE_F64 ? e : (double)(float)e));
            }
        free(x.data);
    }
    int64_t labels[IMAGES];
    assert_int_equal(labels_of(s, split, count, index, labels), PUDLE_OK);
    for (int64_t i = 0; i < count; i++)
        assert_int_equal(labels[i], label_bytes[8 + which[index[i]]]);
    assert_int_equal(labels_of(s, split, 1, &count, labels), PUDLE_ERR_ARG);
    assert_int_equal(labels_of(s, !split, 1, index, labels), describe_status(s, !split));
}

static void test_idx_good(void **state)
{
    (void)state;
    static const int all[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 }, ones[] = { 1, 3, 11 };
    opened s;
    pudle_data_info info = { .size = sizeof info };
    for (int gz = 0; gz < 2; gz++) { /* a gzipped file without .gz in its name: told by its bytes */
        put_pair(gz);
        assert_int_equal(open_source("mnist", SETTINGS("path", folder), &s), PUDLE_OK);
        check_images(&s, PUDLE_SPLIT_TRAIN, IMAGES, all);
        assert_int_equal(s.ops->describe(&fake_host, s.self, PUDLE_SPLIT_TEST, &info), PUDLE_ERR_NOTFOUND);
        assert_non_null(strstr(fake.error, "t10k-images-idx3-ubyte"));
        pudle_view x = fake_view(PUDLE_F64, 2, (const int64_t[]){ 1, PIXELS });
        assert_int_equal(read_to(&s, PUDLE_SPLIT_TRAIN, 1, (const int64_t[]){ IMAGES }, &x, NULL), PUDLE_ERR_ARG);
        assert_int_equal(read_to(&s, PUDLE_SPLIT_TEST, 1, (const int64_t[]){ 0 }, &x, NULL), PUDLE_ERR_ARG);
        free(x.data);
        close_source(&s);
        assert_int_equal(open_source("mnist", SETTINGS("path", folder, "classes", "[3, 1]"), &s), PUDLE_OK);
        check_images(&s, PUDLE_SPLIT_TRAIN, 3, ones);
        close_source(&s);
        assert_int_equal(open_source("mnist", SETTINGS("path", folder, "classes", "[1, 3]", "limit", "2"), &s), PUDLE_OK);
        check_images(&s, PUDLE_SPLIT_TRAIN, 2, ones);
        close_source(&s);
        drop_pair();
    }
    for (int dotted = 0; dotted < 2; dotted++) { /* the test split alone */
        const char *images = dotted ? "t10k-images.idx3-ubyte" : "t10k-images-idx3-ubyte.gz";
        const char *labels = dotted ? "t10k-labels.idx1-ubyte.gz" : "t10k-labels-idx1-ubyte";
        put(images, image_bytes, sizeof image_bytes, !dotted);
        put(labels, label_bytes, sizeof label_bytes, dotted);
        assert_int_equal(open_source("mnist", SETTINGS("path", folder), &s), PUDLE_OK);
        check_images(&s, PUDLE_SPLIT_TEST, IMAGES, all);
        assert_int_equal(s.ops->describe(&fake_host, s.self, PUDLE_SPLIT_TRAIN, &info), PUDLE_ERR_NOTFOUND);
        close_source(&s);
        drop(images);
        drop(labels);
    }
    expect_error("mnist", SETTINGS("path", folder), PUDLE_ERR_NOTFOUND, folder);
    put(train_names[0], image_bytes, sizeof image_bytes, false); /* images without labels */
    expect_error("mnist", SETTINGS("path", folder), PUDLE_ERR_NOTFOUND, "train-labels-idx1-ubyte");
    drop_pair();
}

/* One byte changed in a good pair. */
static void expect_damage(uint8_t *bytes, size_t size, const char *name, size_t at, uint8_t value, const char *part)
{
    const uint8_t was = bytes[at];
    put_pair(false);
    bytes[at] = value;
    for (int gz = 0; gz < 2; gz++) {
        put(name, bytes, size, gz);
        expect_error("mnist", SETTINGS("path", folder), PUDLE_ERR_IO, part);
        assert_non_null(strstr(fake.error, name));
    }
    bytes[at] = was;
    drop_pair();
}

static void test_idx_damaged(void **state)
{
    (void)state;
    expect_damage(image_bytes, sizeof image_bytes, train_names[0], 2, 0x0d, "magic");
    expect_damage(image_bytes, sizeof image_bytes, train_names[0], 3, 1, "0x00000803");
    expect_damage(image_bytes, sizeof image_bytes, train_names[0], 11, 27, "byte 8");
    expect_damage(image_bytes, sizeof image_bytes, train_names[0], 12, 1, "byte 12");
    expect_damage(image_bytes, sizeof image_bytes, train_names[0], 4, 0xff, "too short"); /* 4 thousand million images */
    expect_damage(image_bytes, sizeof image_bytes, train_names[0], 7, IMAGES - 1, "does not end");
    expect_damage(image_bytes, sizeof image_bytes, train_names[0], 7, 0, "0 samples");
    expect_damage(label_bytes, sizeof label_bytes, train_names[1], 8 + 5, 10, "byte 13: label 10");
    expect_damage(label_bytes, sizeof label_bytes, train_names[1], 0, 1, "magic");
    put_pair(false);
    label_bytes[7] = IMAGES - 2;
    put(train_names[1], label_bytes, sizeof label_bytes - 2, true);
    label_bytes[7] = IMAGES;
    expect_error("mnist", SETTINGS("path", folder), PUDLE_ERR_IO, "10 labels");
    drop_pair();
    put(train_names[0], image_bytes, sizeof image_bytes, true);
    label_bytes[8 + 9] = 8;
    put(train_names[1], label_bytes, sizeof label_bytes, true);
    label_bytes[8 + 9] = 9;
    expect_error("mnist", SETTINGS("path", folder, "classes", "[9]"), PUDLE_ERR_CONFIG, "classes");
    drop_pair();
    char pipe[512];
    snprintf(pipe, sizeof pipe, "%s/%s", folder, train_names[0]);
    put_pair(false);
    drop(train_names[0]);
    assert_int_equal(mkfifo(pipe, 0600), 0); /* nobody writes to it: it is not waited for */
    expect_error("mnist", SETTINGS("path", folder), PUDLE_ERR_IO, "it is not a file");
    drop_pair();
    put_pair(true);
    for (long given = 0; given < 3; given++) {
        fake.until_empty = given;
        expect_error("mnist", SETTINGS("path", folder), PUDLE_ERR_NOMEM, "memory");
    }
    fake.until_empty = -1;
    drop_pair();
}

static size_t packed(const char *name, uint8_t *to, size_t room)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    const size_t size = fread(to, 1, room, f);
    fclose(f);
    assert_true(size < room);
    return size;
}

/* A file cut anywhere is refused; one with any byte changed is refused or read, and nothing else happens. */
static void test_idx_fuzz(void **state)
{
    (void)state;
    static uint8_t whole[2][20000], broken[20000];
    opened s;
    for (int gz = 0; gz < 2; gz++) {
        put_pair(gz);
        size_t size[2];
        for (int f = 0; f < 2; f++)
            size[f] = packed(train_names[f], whole[f], sizeof whole[f]);
        for (int f = 0; f < 2; f++) {
            const size_t step = size[f] > 400 ? size[f] / 300 : 1;
            for (size_t cut = 0; cut < size[f]; cut += cut < 40 || cut + 40 > size[f] ? 1 : step) {
                put(train_names[f], whole[f], cut, false);
                expect_error("mnist", SETTINGS("path", folder), PUDLE_ERR_IO, train_names[f]);
            }
            int refused = 0;
            for (int round = 0; round < 400; round++) {
                memcpy(broken, whole[f], size[f]);
                for (uint64_t flips = 1 + pudle_random_below(fake_random(), 3); flips; flips--)
                    broken[pudle_random_below(fake_random(), round % 2 ? 16 : size[f])] ^=
                        (uint8_t)(1 + pudle_random_below(fake_random(), 255));
                put(train_names[f], broken, size[f], false);
                if (open_source("mnist", SETTINGS("path", folder), &s)) {
                    refused++;
                    free(s.params);
                    assert_int_equal(fake.live, 0);
                } else {
                    close_source(&s);
                }
            }
            printf("# %s, %s: %d of 400 damaged files refused\n", train_names[f], gz ? "gzipped" : "raw", refused);
            put(train_names[f], whole[f], size[f], false);
        }
        drop_pair();
    }
}

static void test_mnist_real(void **state)
{
    (void)state;
    char path[4096];
    const char *top = getenv("top_srcdir");
    snprintf(path, sizeof path, "%s/../shared/data/mnist", top ? top : ".");
    if (access(path, R_OK)) {
        printf("# skipped: %s is not there\n", path);
        skip();
    }
    opened s;
    assert_int_equal(open_source("mnist", SETTINGS("path", path), &s), PUDLE_OK);
    assert_int_equal(describe(&s, PUDLE_SPLIT_TRAIN).samples, 60000);
    assert_int_equal(describe(&s, PUDLE_SPLIT_TEST).samples, 10000);
    double sum = 0;
    for (int64_t part = 0; part < 60; part++) {
        pudle_view x = read_range(&s, PUDLE_SPLIT_TRAIN, part * 1000, 1000);
        for (int64_t i = 0; i < 1000 * PIXELS; i++)
            sum += get(&x, i);
        free(x.data);
    }
    near(sum / 60000 / PIXELS, 0.1306604762738429, 1e-9); /* the mean of the training images, 0.1307 */
    close_source(&s);
    assert_int_equal(open_source("mnist", SETTINGS("path", path, "classes", "[0, 1, 2, 3, 4]"), &s), PUDLE_OK);
    assert_int_equal(describe(&s, PUDLE_SPLIT_TRAIN).samples, 30596);
    assert_int_equal(describe(&s, PUDLE_SPLIT_TEST).samples, 5139);
    close_source(&s);
}

static void test_descriptor(void **state)
{
    (void)state;
    expect_epoch_free("mnist", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptor),
        cmocka_unit_test(test_idx_good),
        cmocka_unit_test(test_idx_damaged),
        cmocka_unit_test(test_idx_fuzz),
        cmocka_unit_test(test_mnist_real),
    };
    fake_random();
    return cmocka_run_group_tests_name("data: mnist", tests, make_folder, drop_folder);
}
