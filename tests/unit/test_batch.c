/* Batches on their way from a source to the backend: samples, targets and true codes are those that were asked for, whether they were read ahead,
 * something else was, or nothing; and a batch that cannot be read does no harm to the next. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "opened.h"
#include "tensor/arrays.h"

enum { SAMPLES = 60, FEATURES = 7, MOST = 25 };

static char config_path[] = "/tmp/pudle-batch-XXXXXX", x_path[] = "/tmp/pudle-batch-x-XXXXXX", y_path[] = "/tmp/pudle-batch-y-XXXXXX";

static void write_numbers(const char *path, double from)
{
    double values[SAMPLES * FEATURES];
    for (int i = 0; i < SAMPLES * FEATURES; i++)
        values[i] = from + i;
    const pudle_cview v = pd_cmatrix(values, PUDLE_F64, SAMPLES, FEATURES);
    assert_int_equal(pd_npy_write(ctx, path, &v), PUDLE_OK);
}

/* Sources with targets, with true codes, and with neither. */
static void open_source(int which, opened *o)
{
    FILE *f = fopen(config_path, "w");
    assert_non_null(f);
    fprintf(f, "backend: { name = \"%s\"; };\nprecision = \"%s\";\n", which % 2 ? "ref" : "cpu", which % 2 ? "f32" : "f64");
    if (which == 0)
        fprintf(f, "data: { name = \"npy\"; path = \"%s\"; target = \"%s\"; };\n", x_path, y_path);
    else
        fprintf(f, "data: { name = \"synthetic\"; samples = %d; features = %d; atoms = 9; sparsity = 2; noise_std = 0.1; seed = 3; };\n", SAMPLES, FEATURES);
    fprintf(f, "model: { dictionary: { kind = \"dense\"; atoms = 9; }; layers = 2; step = 0.1; gradient = \"%s\"; };\n"
               "prox: { name = \"soft_threshold\"; };\nloss: { name = \"least_squares\"; };\ntrain: { epochs = 1; };\n", which == 1 ? "oracle" : "ae");
    assert_int_equal(fclose(f), 0);
    if (pd_settings_load(ctx, config_path, NULL, 0, &o->settings) || pd_problem_open(ctx, o->settings, NULL, &o->pb) || pd_problem_initialise(&o->pb))
        fail_msg("%s", pd_error(ctx));
}

static int64_t ask(int64_t *index, int64_t most)
{
    const int64_t count = between(1, most);
    for (int64_t i = 0; i < count; i++)
        index[i] = between(0, SAMPLES - 1);
    return count;
}

/* What the backend holds of a batch is the same in both. */
static void same(opened *a, opened *b, const pudle_cview *one, const pudle_cview *two)
{
    assert_true(!one->data == !two->data);
    if (!one->data)
        return;
    const pudle_view v = pd_view((void *)(uintptr_t)one->data, one->dtype, one->rank, one->shape);
    const pudle_view w = pd_view((void *)(uintptr_t)two->data, two->dtype, two->rank, two->shape);
    double *x = doubles(&a->pb, &v), *y = doubles(&b->pb, &w);
    assert_memory_equal(x, y, (size_t)pudle_count(one) * sizeof *x);
    free(x);
    free(y);
}

static void reading_ahead_changes_nothing(void **state)
{
    (void)state;
    for (int which = 0; which < 4; which++) {
        opened plain, ahead;
        open_source(which, &plain);
        open_source(which, &ahead);
        int64_t most = 3;
        for (int round = 0; round < 200; round++) {
            int64_t index[MOST], other[MOST];
            if (round % 40 == 39) /* buffers grow, sometimes while something is being read */
                most = most + 5 < MOST ? most + 5 : MOST;
            const int64_t count = ask(index, most), unasked = ask(other, most);
            const uint64_t epoch = (uint64_t)between(0, 2);
            pd_batch one, two;
            if (between(0, 2))
                pd_problem_ahead(&ahead.pb, PUDLE_SPLIT_TRAIN, epoch, index, count);
            if (!between(0, 3))
                pd_problem_ahead(&ahead.pb, PUDLE_SPLIT_TRAIN, epoch, other, unasked);
            if (pd_problem_batch(&plain.pb, PUDLE_SPLIT_TRAIN, epoch, index, count, &one) ||
                pd_problem_batch(&ahead.pb, PUDLE_SPLIT_TRAIN, epoch, index, count, &two))
                fail_msg("%s", pd_error(ctx));
            assert_true(one.count == count && two.count == count);
            same(&plain, &ahead, &one.x, &two.x);
            same(&plain, &ahead, &one.y, &two.y);
            same(&plain, &ahead, &one.truth, &two.truth);
            assert_true(which != 0 || one.y.data);
            assert_true(which != 1 || one.truth.data);
            assert_memory_equal(two.index, index, (size_t)count * sizeof *index);
        }
        pd_problem_ahead(&ahead.pb, PUDLE_SPLIT_TRAIN, 0, (const int64_t[]){ 1, 2 }, 2); /* and closed while it reads */
        close_problem(&plain);
        close_problem(&ahead);
    }
}

static void a_batch_that_cannot_be_read(void **state)
{
    (void)state;
    opened o;
    pd_batch batch;
    const int64_t good[] = { 3, 1 }, bad[] = { 3, SAMPLES };
    open_source(0, &o);
    assert_int_equal(pd_problem_batch(&o.pb, PUDLE_SPLIT_TRAIN, 0, (const int64_t[]){ 5, 6 }, 2, &batch), PUDLE_OK);
    for (int round = 0; round < 3; round++) {
        pd_problem_ahead(&o.pb, PUDLE_SPLIT_TRAIN, 0, bad, 2);
        assert_int_equal(pd_problem_batch(&o.pb, PUDLE_SPLIT_TRAIN, 0, bad, 2, &batch), PUDLE_ERR_ARG);
        assert_int_equal(pd_error_count(ctx), 1); /* told once */
        assert_non_null(strstr(pd_error(ctx), "60"));
        pd_error_clear(ctx);
        if (round)
            pd_problem_ahead(&o.pb, PUDLE_SPLIT_TRAIN, 0, good, 2);
        assert_int_equal(pd_problem_batch(&o.pb, PUDLE_SPLIT_TRAIN, 0, good, 2, &batch), PUDLE_OK);
        const pudle_view v = pd_view((void *)(uintptr_t)batch.x.data, batch.x.dtype, batch.x.rank, batch.x.shape);
        double *x = doubles(&o.pb, &v);
        assert_true(x[0] == 3 * FEATURES && x[FEATURES] == FEATURES);
        free(x);
    }
    close_problem(&o);
}

static char *const paths[] = { config_path, x_path, y_path };

static int set_up(void **state)
{
    (void)state;
    if (begin_tests(paths, 3))
        return 1;
    write_numbers(x_path, 0);
    write_numbers(y_path, 0.5);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return end_tests(paths, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(reading_ahead_changes_nothing), cmocka_unit_test(a_batch_that_cannot_be_read) };
    return cmocka_run_group_tests_name("batch", tests, set_up, tear_down);
}
