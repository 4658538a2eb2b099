/* NumPy files as a source. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "data_source.h"

static double values[2][60];

static void add_array(const char *path, int32_t rank, const int64_t *shape, const double *data)
{
    fake_array *a = &fake.array[fake.arrays++];
    *a = (fake_array){ .path = path, .rank = rank, .values = data };
    for (int32_t i = 0; i < rank; i++)
        a->shape[i] = shape[i];
}

static void test_npy_good(void **state)
{
    (void)state;
    fake.arrays = 0;
    for (int i = 0; i < 60; i++) {
        values[0][i] = i / 3.0;
        values[1][i] = -i;
    }
    add_array("x", 4, (const int64_t[]){ 5, 1, 3, 4 }, values[0]);
    add_array("y", 4, (const int64_t[]){ 5, 1, 3, 4 }, values[1]);
    add_array("test", 4, (const int64_t[]){ 2, 1, 3, 4 }, values[1]);
    opened s;
    for (int32_t dtype = PUDLE_F32; dtype <= PUDLE_F64; dtype++) {
        assert_int_equal(open_source("npy", SETTINGS("path", "x", "target", "y"), &s), PUDLE_OK);
        pudle_data_info info = describe(&s, PUDLE_SPLIT_TRAIN);
        assert_int_equal(info.rank, 3);
        assert_int_equal(info.samples, 5);
        assert_true(info.has_target);
        assert_true(info.shape[0] == 1 && info.shape[1] == 3 && info.shape[2] == 4 && info.target_shape[2] == 4);
        pudle_view x = fake_view(dtype, 4, (const int64_t[]){ 3, 1, 3, 4 }), y = fake_copy(&x);
        const int64_t index[] = { 4, 0, 2 };
        assert_int_equal(read_to(&s, PUDLE_SPLIT_TRAIN, 3, index, &x, &y), PUDLE_OK);
        assert_int_equal(read_to(&s, PUDLE_SPLIT_TRAIN, 3, index, &x, NULL), PUDLE_OK);
        for (int i = 0; i < 36; i++) {
            const double e = values[0][index[i / 12] * 12 + i % 12];
            assert_true(get(&x, i) == (dtype == PUDLE_F64 ? e : (double)(float)e));
            assert_true(get(&y, i) == values[1][index[i / 12] * 12 + i % 12]);
        }
        assert_int_equal(read_to(&s, PUDLE_SPLIT_TRAIN, 1, (const int64_t[]){ 5 }, &x, NULL), PUDLE_ERR_ARG);
        assert_int_equal(read_to(&s, PUDLE_SPLIT_TEST, 1, (const int64_t[]){ 0 }, &x, NULL), PUDLE_ERR_ARG);
        assert_int_equal(s.ops->describe(&fake_host, s.self, PUDLE_SPLIT_TEST, &info), PUDLE_ERR_NOTFOUND);
        assert_non_null(strstr(fake.error, "test_path"));
        free(x.data);
        free(y.data);
        close_source(&s);
    }
    assert_int_equal(open_source("npy", SETTINGS("path", "x", "test_path", "test"), &s), PUDLE_OK);
    assert_false(describe(&s, PUDLE_SPLIT_TRAIN).has_target);
    assert_int_equal(describe(&s, PUDLE_SPLIT_TEST).samples, 2);
    close_source(&s);
}

/* Ranges of rows of one file for all four roles, another shape, and gaps. */
static void test_npy_rows(void **state)
{
    (void)state;
    static double gaps[60];
    fake.arrays = 0;
    for (int i = 0; i < 60; i++) {
        values[0][i] = i;
        gaps[i] = i % 7 ? i : NAN;
    }
    add_array("x", 2, (const int64_t[]){ 5, 12 }, values[0]);
    add_array("gaps", 2, (const int64_t[]){ 5, 12 }, gaps);
    opened s;
    assert_int_equal(open_source("npy", SETTINGS("path", "x", "rows", "[0, 2]", "target_rows", "[1, 3]", "test_rows", "[2, 3]", "test_target_rows",
                                                 "[4, 5]", "shape", "[1, 3, 4]"), &s), PUDLE_OK);
    for (int32_t split = PUDLE_SPLIT_TRAIN; split <= PUDLE_SPLIT_TEST; split++) {
        const pudle_data_info info = describe(&s, split);
        assert_true(info.rank == 3 && info.shape[0] == 1 && info.shape[1] == 3 && info.shape[2] == 4 && info.target_shape[2] == 4);
        assert_true(info.samples == (split == PUDLE_SPLIT_TRAIN ? 2 : 1) && info.has_target);
        pudle_view x = fake_view(PUDLE_F64, 4, (const int64_t[]){ 1, 1, 3, 4 }), y = fake_copy(&x);
        const int64_t last = info.samples - 1;
        assert_int_equal(read_to(&s, split, 1, &last, &x, &y), PUDLE_OK);
        for (int i = 0; i < 12; i++)
            assert_true(get(&x, i) == (split == PUDLE_SPLIT_TRAIN ? 12 : 24) + i && get(&y, i) == (split == PUDLE_SPLIT_TRAIN ? 24 : 48) + i);
        assert_int_equal(read_to(&s, split, 1, &info.samples, &x, NULL), PUDLE_ERR_ARG);
        free(x.data);
        free(y.data);
    }
    close_source(&s);
    assert_int_equal(open_source("npy", SETTINGS("path", "gaps", "missing", "true"), &s), PUDLE_OK);
    pudle_view x = read_range(&s, PUDLE_SPLIT_TRAIN, 0, 1);
    assert_true(isnan(get(&x, 0)) && get(&x, 1) == 1 && isnan(get(&x, 7)));
    free(x.data);
    close_source(&s);
    expect_error("npy", SETTINGS("path", "gaps"), PUDLE_ERR_CONFIG, "missing = true");
    expect_error("npy", SETTINGS("path", "x", "rows", "[3]"), PUDLE_ERR_CONFIG, "rows takes two numbers");
    expect_error("npy", SETTINGS("path", "x", "test_rows", "[3, 3]"), PUDLE_ERR_CONFIG, "test_rows takes two numbers");
    expect_error("npy", SETTINGS("path", "x", "rows", "[3, 6]"), PUDLE_ERR_CONFIG, "has 5");
    expect_error("npy", SETTINGS("path", "x", "target_rows", "[0, 2]"), PUDLE_ERR_CONFIG, "axis 0");
    expect_error("npy", SETTINGS("path", "x", "shape", "[3, 3]"), PUDLE_ERR_CONFIG, "12 values");
    expect_error("npy", SETTINGS("path", "x", "test_target_rows", "[0, 2]"), PUDLE_ERR_CONFIG, "without test_path");
    expect_error("npy", SETTINGS("path", "x", "test_rows", "[0, 2]", "target_rows", "[0, 5]"), PUDLE_ERR_CONFIG, "without test_target");
}

static void test_npy_labels(void **state)
{
    (void)state;
    static const double classes[5] = { 3, 0, 7, 7, 1 }, wrong[2][5] = { { 0, 1, 0.5, 1, 1 }, { 0, -1, 0, 0, 0 } };
    int64_t labels[3];
    opened s;
    fake.arrays = 0;
    add_array("x", 2, (const int64_t[]){ 5, 4 }, values[0]);
    add_array("classes", 1, (const int64_t[]){ 5 }, classes);
    assert_int_equal(open_source("npy", SETTINGS("path", "x", "labels", "classes", "rows", "[1, 5]", "test_rows", "[0, 2]", "test_labels", "classes"), &s), PUDLE_OK);
    assert_int_equal(labels_of(&s, PUDLE_SPLIT_TRAIN, 3, (const int64_t[]){ 3, 0, 1 }, labels), PUDLE_OK);
    assert_true(labels[0] == 1 && labels[1] == 0 && labels[2] == 7);
    assert_int_equal(labels_of(&s, PUDLE_SPLIT_TEST, 1, (const int64_t[]){ 0 }, labels), PUDLE_OK);
    assert_int_equal(labels[0], 3);
    assert_int_equal(labels_of(&s, PUDLE_SPLIT_TRAIN, 1, (const int64_t[]){ 4 }, labels), PUDLE_ERR_ARG);
    close_source(&s);
    assert_int_equal(open_source("npy", SETTINGS("path", "x", "labels", "classes", "test_rows", "[3, 5]"), &s), PUDLE_OK); /* of the rows of one file */
    assert_int_equal(labels_of(&s, PUDLE_SPLIT_TEST, 1, (const int64_t[]){ 1 }, labels), PUDLE_OK);
    assert_int_equal(labels[0], 1);
    close_source(&s);
    assert_int_equal(open_source("npy", SETTINGS("path", "x"), &s), PUDLE_OK);
    assert_int_equal(labels_of(&s, PUDLE_SPLIT_TRAIN, 1, (const int64_t[]){ 4 }, labels), PUDLE_OK);
    assert_int_equal(labels[0], PUDLE_NO_LABEL);
    assert_int_equal(labels_of(&s, PUDLE_SPLIT_TEST, 1, (const int64_t[]){ 0 }, labels), PUDLE_ERR_NOTFOUND);
    close_source(&s);
    add_array("half", 1, (const int64_t[]){ 5 }, wrong[0]);
    add_array("below", 1, (const int64_t[]){ 5 }, wrong[1]);
    add_array("short", 1, (const int64_t[]){ 4 }, classes);
    expect_error("npy", SETTINGS("path", "x", "labels", "half"), PUDLE_ERR_CONFIG, "label 2 is 0.5");
    expect_error("npy", SETTINGS("path", "x", "labels", "below"), PUDLE_ERR_CONFIG, "label 1 is -1");
    expect_error("npy", SETTINGS("path", "x", "labels", "short"), PUDLE_ERR_CONFIG, "one for each row of x");
    expect_error("npy", SETTINGS("path", "x", "labels", "x"), PUDLE_ERR_CONFIG, "(5)");
    opened refused = { .desc = fake_load("data", "npy") };
    refused.params = fake_params(refused.desc, SETTINGS("path", "x", "test_labels", "classes"));
    assert_int_equal(refused.desc->check(&fake_host, refused.params), PUDLE_ERR_CONFIG);
    assert_non_null(strstr(fake.error, "test_labels"));
    free(refused.params);
}

static void test_npy_errors(void **state)
{
    (void)state;
    static double bad[60];
    fake.arrays = 0;
    bad[31] = NAN;
    bad[50] = INFINITY;
    add_array("x", 2, (const int64_t[]){ 5, 12 }, values[0]);
    add_array("short", 2, (const int64_t[]){ 4, 12 }, values[0]);
    add_array("narrow", 2, (const int64_t[]){ 5, 11 }, values[0]);
    add_array("deep", 3, (const int64_t[]){ 5, 3, 4 }, values[0]);
    add_array("line", 1, (const int64_t[]){ 60 }, values[0]);
    add_array("empty", 2, (const int64_t[]){ 0, 12 }, values[0]);
    add_array("bad", 2, (const int64_t[]){ 5, 12 }, bad);
    add_array("seven", 7, (const int64_t[]){ 1, 1, 1, 1, 1, 1, 1 }, values[0]);
    expect_error("npy", SETTINGS("path", "nowhere"), PUDLE_ERR_NOTFOUND, "nowhere");
    expect_error("npy", SETTINGS("path", "line"), PUDLE_ERR_CONFIG, "rank 1");
    expect_error("npy", SETTINGS("path", "seven"), PUDLE_ERR_CONFIG, "rank 7");
    expect_error("npy", SETTINGS("path", "empty"), PUDLE_ERR_CONFIG, "empty");
    expect_error("npy", SETTINGS("path", "bad"), PUDLE_ERR_CONFIG, "row 2 holds NaN");
    expect_error("npy", SETTINGS("path", "x", "target", "bad"), PUDLE_ERR_CONFIG, "bad: row 2");
    bad[31] = 0;
    expect_error("npy", SETTINGS("path", "bad"), PUDLE_ERR_CONFIG, "row 4 holds an infinite value");
    expect_error("npy", SETTINGS("path", "x", "target", "short"), PUDLE_ERR_CONFIG, "axis 0");
    expect_error("npy", SETTINGS("path", "x", "target", "narrow"), PUDLE_ERR_CONFIG, "axis 1");
    expect_error("npy", SETTINGS("path", "x", "target", "deep"), PUDLE_ERR_CONFIG, "rank 3");
    expect_error("npy", SETTINGS("path", "x", "test_path", "narrow"), PUDLE_ERR_CONFIG, "axis 1");
    expect_error("npy", SETTINGS("path", "x", "test_target", "x"), PUDLE_ERR_CONFIG, "without test_path");
    expect_error("npy", SETTINGS("path", "x", "target", "x", "test_path", "x"), PUDLE_ERR_CONFIG, "without test_target");
    expect_error("npy", SETTINGS("path", "x", "test_path", "x", "test_target", "x"), PUDLE_ERR_CONFIG, "without target");
    for (long given = 0; given < 3; given++) {
        fake.until_empty = given;
        expect_error("npy", SETTINGS("path", "x", "target", "x"), PUDLE_ERR_NOMEM, "memory");
    }
    fake.until_empty = -1;
    fake.no_arrays = true;
    expect_error("npy", SETTINGS("path", "x"), PUDLE_ERR_UNSUPPORTED, PUDLE_HOST_ARRAYS);
    fake.no_arrays = false;
}

static void test_descriptor(void **state)
{
    (void)state;
    expect_epoch_free("npy", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptor),
        cmocka_unit_test(test_npy_good),
        cmocka_unit_test(test_npy_rows),
        cmocka_unit_test(test_npy_labels),
        cmocka_unit_test(test_npy_errors),
    };
    fake_random();
    return cmocka_run_group_tests_name("data: npy", tests, NULL, NULL);
}
