/* Samples centred and scaled: against sums written here, whatever their shape and precision; alone as in company; constants, gaps and targets; the way back; and
 * that batches and dictionaries that begin with samples get prepared ones. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "opened.h"
#include "tensor/arrays.h"
#include "train/prepare.h"

enum { MOST = 600 };

static char config_path[] = "/tmp/pudle-prepare-XXXXXX", x_path[] = "/tmp/pudle-prepare-x-XXXXXX", y_path[] = "/tmp/pudle-prepare-y-XXXXXX";

typedef struct shape { int32_t rank; int64_t extent[PUDLE_MAX_RANK], entries; } shape;

/* (count, ...), with two numbers in every channel at least. */
static shape random_shape(int32_t least)
{
    shape s = { .rank = (int32_t)between(least, 4), .extent = { between(1, 4) }, .entries = 1 };
    for (int32_t i = 1; i < s.rank; i++) {
        s.extent[i] = between(i == s.rank - 1 ? 2 : 1, 5);
        s.entries *= s.extent[i];
    }
    return s;
}

static pudle_view array(const shape *s, int32_t dtype)
{
    void *memory = pd_alloc((size_t)(s->extent[0] * s->entries), pudle_dtype_size(dtype));
    assert_non_null(memory);
    return pd_view(memory, dtype, s->rank, s->extent);
}

static double get(const pudle_view *v, int64_t i)
{
    const pudle_cview c = pudle_const(v);
    return pudle_entry(&c, i);
}

static void set(const pudle_view *v, int64_t i, double x)
{
    if (v->dtype == PUDLE_F64)
        ((double *)v->data)[i] = x;
    else
        ((float *)v->data)[i] = (float)x;
}

static pudle_view copy(const shape *s, const pudle_view *v)
{
    const pudle_view c = array(s, v->dtype);
    memcpy(c.data, v->data, (size_t)(s->extent[0] * s->entries) * pudle_dtype_size(v->dtype));
    return c;
}

static void fill(const shape *s, const pudle_view *v, double mean, double gaps)
{
    for (int64_t i = 0; i < s->extent[0] * s->entries; i++)
        set(v, i, pudle_random_uniform(&random_state) < gaps ? (double)NAN : mean + pudle_random_normal(&random_state));
}

static pd_data_params random_way(void)
{
    return (pd_data_params){ (int32_t)between(0, 2), (int32_t)between(0, 2), between(0, 1) ? 0 : 2 * pudle_random_uniform(&random_state) };
}

/* What the options say, sample by sample and in so many words. */
static void expect(const pd_data_params *how, const shape *s, const pudle_view *raw, int64_t row, double *mean, double *divisor)
{
    const int64_t channels = s->extent[1], each = s->entries / channels;
    double sums[8] = { 0 }, counts[8] = { 0 }, total = 0, all = 0, squares = 0;
    for (int64_t i = 0; i < s->entries; i++) {
        const double v = get(raw, row * s->entries + i);
        if (!isfinite(v))
            continue;
        sums[i / each] += v;
        counts[i / each]++;
        total += v;
        all++;
    }
    for (int64_t c = 0; c < channels; c++)
        mean[c] = how->center == PD_CENTER_SAMPLE ? total / fmax(all, 1) : how->center == PD_CENTER_CHANNEL ? sums[c] / fmax(counts[c], 1) : 0;
    for (int64_t i = 0; i < s->entries; i++) {
        const double v = get(raw, row * s->entries + i) - mean[i / each];
        squares += isfinite(v) ? v * v : 0;
    }
    *divisor = how->scale == PD_SCALE_NONE ? 1 : fmax(how->scale_floor, sqrt(how->scale == PD_SCALE_STD ? squares / fmax(all, 1) : squares));
    if (*divisor == 0)
        *divisor = 1;
}

static bool near(double a, double b, double tolerance)
{
    return (isnan(a) && isnan(b)) || (isinf(a) && a == b) || fabs(a - b) <= tolerance * (1 + fabs(b));
}

static void by_the_definition(void **state)
{
    (void)state;
    for (int round = 0; round < MOST; round++) {
        const shape s = random_shape(2);
        const int32_t dtype = round % 2 ? PUDLE_F32 : PUDLE_F64;
        const double tolerance = dtype == PUDLE_F64 ? 1e-9 : 1e-5;
        const pd_data_params how = random_way();
        const bool targets = between(0, 1);
        const pudle_view x = array(&s, dtype), y = array(&s, dtype);
        fill(&s, &x, 3, round % 3 ? 0 : 0.3);
        fill(&s, &y, -1, 0);
        if (round % 5 == 0)
            set(&x, between(0, s.entries - 1), INFINITY);
        const pudle_view raw_x = copy(&s, &x), raw_y = copy(&s, &y);
        pd_prepare(&how, &x, targets ? &y : NULL);
        for (int64_t row = 0; row < s.extent[0]; row++) {
            double mean[8], divisor;
            expect(&how, &s, &raw_x, row, mean, &divisor);
            for (int64_t i = row * s.entries; i < (row + 1) * s.entries; i++) {
                const double m = mean[i % s.entries / (s.entries / s.extent[1])];
                assert_true(near(get(&x, i), (get(&raw_x, i) - m) / divisor, tolerance));
                assert_true(near(get(&y, i), targets ? (get(&raw_y, i) - m) / divisor : get(&raw_y, i), tolerance));
            }
        }
        const pudle_cview samples = pudle_const(&raw_x);
        pd_prepare_undo(&how, &samples, &x);
        for (int64_t i = 0; i < s.extent[0] * s.entries; i++)
            assert_true(near(get(&x, i), get(&raw_x, i), tolerance));
        free(x.data);
        free(y.data);
        free(raw_x.data);
        free(raw_y.data);
    }
}

static void alone_as_in_company(void **state)
{
    (void)state;
    for (int round = 0; round < MOST; round++) {
        shape s = random_shape(2), one = s;
        const pd_data_params how = random_way();
        const int32_t dtype = round % 2 ? PUDLE_F32 : PUDLE_F64;
        const pudle_view all = array(&s, dtype);
        fill(&s, &all, 1, 0.1);
        const int64_t row = between(0, s.extent[0] - 1);
        const size_t bytes = (size_t)s.entries * pudle_dtype_size(dtype);
        one.extent[0] = 1;
        const pudle_view single = array(&one, dtype);
        memcpy(single.data, (char *)all.data + (size_t)row * bytes, bytes);
        pd_prepare(&how, &all, NULL);
        pd_prepare(&how, &single, NULL);
        assert_memory_equal(single.data, (char *)all.data + (size_t)row * bytes, bytes);
        free(all.data);
        free(single.data);
    }
}

/* Whatever rounding does to the sum of equal numbers, nothing is left of them, and nothing is made of that. */
static void constants_become_zeros(void **state)
{
    (void)state;
    for (int round = 0; round < MOST; round++) {
        const shape s = random_shape(2);
        pd_data_params how = random_way();
        how.center = (int32_t)between(PD_CENTER_SAMPLE, PD_CENTER_CHANNEL);
        const pudle_view x = array(&s, round % 2 ? PUDLE_F32 : PUDLE_F64);
        const double level = 1e3 * pudle_random_normal(&random_state);
        for (int64_t i = 0; i < s.extent[0] * s.entries; i++)
            set(&x, i, i % 7 == 3 ? (double)NAN : level);
        pd_prepare(&how, &x, NULL);
        for (int64_t i = 0; i < s.extent[0] * s.entries; i++)
            assert_true(i % 7 == 3 ? isnan(get(&x, i)) : get(&x, i) == 0);
        free(x.data);
    }
}

/* A little noise around a constant stays little, where a floor says so; sizes at the ends of the range are sizes. */
static void floors_and_extremes(void **state)
{
    (void)state;
    const pd_data_params floored = { PD_CENTER_SAMPLE, PD_SCALE_STD, 0.5 }, plain = { PD_CENTER_SAMPLE, PD_SCALE_STD, 0 }, norm = { PD_CENTER_NONE, PD_SCALE_NORM, 0 };
    double a[] = { 4.99, 5.01, 4.99, 5.01 }, b[] = { 4.99, 5.01, 4.99, 5.01 }, huge[] = { 3e300, 4e300 }, tiny[] = { 3e-300, 4e-300 }, none[] = { NAN, NAN };
    const pudle_view va = pd_matrix(a, PUDLE_F64, 1, 4), vb = pd_matrix(b, PUDLE_F64, 1, 4), vh = pd_matrix(huge, PUDLE_F64, 1, 2),
                     vt = pd_matrix(tiny, PUDLE_F64, 1, 2), vn = pd_matrix(none, PUDLE_F64, 1, 2);
    pd_prepare(&floored, &va, NULL);
    pd_prepare(&plain, &vb, NULL);
    pd_prepare(&norm, &vh, NULL);
    pd_prepare(&norm, &vt, NULL);
    pd_prepare(&floored, &vn, NULL);
    assert_true(near(a[0], -0.02, 1e-12) && near(a[1], 0.02, 1e-12));
    assert_true(near(b[0], -1, 1e-12) && near(b[3], 1, 1e-12));
    assert_true(near(huge[0], 0.6, 1e-12) && near(tiny[1], 0.8, 1e-12));
    assert_true(isnan(none[0]) && isnan(none[1]));
}

static void shapes_with_nothing_left(void **state)
{
    const pd_data_params sample = { PD_CENTER_SAMPLE, 0, 0 }, channel = { PD_CENTER_CHANNEL, 0, 0 };
    (void)state;
    assert_int_equal(pd_prepare_check(ctx, &sample, 1, (const int64_t[]){ 2 }), PUDLE_OK);
    assert_int_equal(pd_prepare_check(ctx, &channel, 2, (const int64_t[]){ 3, 2 }), PUDLE_OK);
    assert_int_equal(pd_error_count(ctx), 0);
    assert_int_equal(pd_prepare_check(ctx, &sample, 2, (const int64_t[]){ 1, 1 }), PUDLE_ERR_CONFIG);
    assert_int_equal(pd_prepare_check(ctx, &channel, 1, (const int64_t[]){ 9 }), PUDLE_ERR_CONFIG);
    assert_int_equal(pd_prepare_check(ctx, &channel, 3, (const int64_t[]){ 3, 1, 1 }), PUDLE_ERR_CONFIG);
    pd_error_clear(ctx);
}

/* ------------------------------------------------------------ through a problem */

enum { SAMPLES = 12, FEATURES = 6 };

static void write_numbers(const char *path, double *values, double mean)
{
    for (int i = 0; i < SAMPLES * FEATURES; i++)
        values[i] = mean + pudle_random_normal(&random_state);
    const pudle_cview v = pd_cmatrix(values, PUDLE_F64, SAMPLES, FEATURES);
    assert_int_equal(pd_npy_write(ctx, path, &v), PUDLE_OK);
}

static void all_that_is_read(void **state)
{
    double x[SAMPLES * FEATURES], y[SAMPLES * FEATURES];
    const pd_data_params how = { PD_CENTER_CHANNEL, PD_SCALE_STD, 0.01 };
    opened o = { 0 };
    pd_batch batch;
    (void)state;
    write_numbers(x_path, x, 2);
    write_numbers(y_path, y, 2);
    FILE *f = fopen(config_path, "w");
    assert_non_null(f);
    fprintf(f, "precision = \"f64\"; backend: { name = \"ref\"; };\n"
               "data: { name = \"npy\"; path = \"%s\"; target = \"%s\"; shape = [2, 3]; center = \"channel\"; scale = \"std\"; scale_floor = 0.01; };\n"
               "model: { dictionary: { atoms = 12; init = \"samples\"; }; layers = 2; step = 0.1; };\nprox: { name = \"soft_threshold\"; };\n"
               "loss: { name = \"least_squares\"; };\ntrain: { epochs = 1; };\n", x_path, y_path);
    assert_int_equal(fclose(f), 0);
    if (pd_settings_load(ctx, config_path, NULL, 0, &o.settings) || pd_problem_open(ctx, o.settings, NULL, &o.pb) || pd_problem_initialise(&o.pb) ||
        pd_problem_first(&o.pb, PUDLE_SPLIT_TRAIN, 0, SAMPLES, &batch))
        fail_msg("%s", pd_error(ctx));
    const int64_t extent[] = { SAMPLES, 2, 3 };
    const pudle_view own_x = pd_view(x, PUDLE_F64, 3, extent), own_y = pd_view(y, PUDLE_F64, 3, extent);
    pd_prepare(&how, &own_x, &own_y);
    assert_memory_equal(o.pb.host.x, x, sizeof x);
    assert_memory_equal(o.pb.host.y, y, sizeof y);
    double *d = doubles(&o.pb, &o.pb.net.dictionary.value); /* every sample, in some order, of norm 1 */
    for (int k = 0; k < SAMPLES; k++) {
        double best = 0, size = 0;
        for (int i = 0; i < FEATURES; i++)
            size += x[k * FEATURES + i] * x[k * FEATURES + i];
        for (int j = 0; j < SAMPLES; j++) {
            double product = 0;
            for (int i = 0; i < FEATURES; i++)
                product += d[i * SAMPLES + j] * x[k * FEATURES + i];
            best = fmax(best, product / sqrt(size));
        }
        assert_true(fabs(best - 1) < 1e-12);
    }
    free(d);
    close_problem(&o);
}

static char *const paths[] = { config_path, x_path, y_path };

static int set_up(void **state)
{
    (void)state;
    return begin_tests(paths, 3);
}

static int tear_down(void **state)
{
    (void)state;
    return end_tests(paths, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_the_definition),     cmocka_unit_test(alone_as_in_company),      cmocka_unit_test(constants_become_zeros),
        cmocka_unit_test(floors_and_extremes),   cmocka_unit_test(shapes_with_nothing_left), cmocka_unit_test(all_that_is_read),
    };
    return cmocka_run_group_tests_name("prepare", tests, set_up, tear_down);
}
