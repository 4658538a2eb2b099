/* Distances of filters up to order, sign and shift, against every order and every lag on canvases of zeros. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <pudle/random.h>
#include "measure/measure.h"
#include "tensor/arrays.h"

static pd_context *ctx;
static pudle_random rng;

static void assert_near(double value, double expected, double tolerance)
{
    if (!(fabs(value - expected) <= tolerance * fmax(1, fabs(expected))))
        fail_msg("%.17g is not %.17g within %g", value, expected, tolerance);
}

static double *normals(int64_t count)
{
    double *a = pd_alloc((size_t)count, sizeof *a);
    assert_non_null(a);
    for (int64_t i = 0; i < count; i++)
        a[i] = pudle_random_normal(&rng);
    return a;
}

static int64_t below(int64_t n)
{
    return (int64_t)pudle_random_below(&rng, (uint64_t)n);
}

/* ------------------------------------------------------------- by brute force */

enum { SIDE = 64, ATOMS = 5 }; /* a filter and its moves fit on either side of the middle */
typedef struct shape { int64_t p, channels, height, width; } shape;

/* A filter of unit norm on a canvas of zeros, moved from its middle. */
static void place(const shape *s, const double *filter, int64_t down, int64_t right, int64_t channel, double canvas[SIDE][SIDE])
{
    double sum = 0;
    for (int64_t i = 0; i < s->channels * s->height * s->width; i++)
        sum += filter[i] * filter[i];
    memset(canvas, 0, sizeof(double[SIDE][SIDE]));
    for (int64_t y = 0; y < s->height; y++)
        for (int64_t x = 0; x < s->width; x++)
            canvas[SIDE / 2 + y + down][SIDE / 2 + x + right] = sum > 0 ? filter[(channel * s->height + y) * s->width + x] / sqrt(sum) : 0;
}

static double correlation_at(const shape *s, const double *d, const double *truth, int64_t down, int64_t right)
{
    static double still[SIDE][SIDE], moved[SIDE][SIDE];
    double sum = 0;
    for (int64_t c = 0; c < s->channels; c++) {
        place(s, truth, 0, 0, c, still);
        place(s, d, down, right, c, moved);
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE; x++)
                sum += still[y][x] * moved[y][x];
    }
    return sum;
}

static double largest_correlation(const shape *s, const double *d, const double *truth)
{
    double most = 0;
    for (int64_t y = 1 - s->height; y < s->height; y++)
        for (int64_t x = 1 - s->width; x < s->width; x++)
            most = fmax(most, fabs(correlation_at(s, d, truth, y, x)));
    return most;
}

/* The largest sum of correlations over all orders of the filters that are left. */
static double best_sum(const double c[ATOMS][ATOMS], int64_t p, int64_t j, unsigned taken)
{
    double best = j == p ? 0 : -1;
    for (int64_t k = 0; k < p && j < p; k++)
        if (!(taken >> k & 1u))
            best = fmax(best, c[j][k] + best_sum(c, p, j + 1, taken | 1u << k));
    return best;
}

static void every_order_and_every_lag(void **state)
{
    (void)state;
    for (int trial = 0; trial < 60; trial++) {
        const bool picture = trial % 2;
        const shape s = { 1 + below(ATOMS), 1 + below(3), picture ? 1 + below(6) : 1, 1 + below(picture ? 5 : 11) };
        const int64_t taps = s.channels * s.height * s.width, axes[4] = { s.p, s.channels, picture ? s.height : s.width, s.width };
        double *d = normals(s.p * taps), *truth = normals(s.p * taps), c[ATOMS][ATOMS], mean = 0, sign[ATOMS];
        int64_t match[ATOMS], lag[2 * ATOMS];
        if (trial % 5 == 0) /* many lags of equal correlation */
            for (int64_t i = 0; i < s.p * taps; i++)
                d[i] = (double)below(2);
        const pudle_cview vd = pd_cview(d, PUDLE_F64, picture ? 4 : 3, axes), vt = pd_cview(truth, PUDLE_F64, picture ? 4 : 3, axes);
        pd_distance out;
        assert_int_equal(pd_distance_shifted(ctx, &vd, &vt, &out, match, sign, lag), PUDLE_OK);
        for (int64_t j = 0; j < s.p; j++)
            for (int64_t k = 0; k < s.p; k++)
                c[j][k] = largest_correlation(&s, d + k * taps, truth + j * taps);
        for (int64_t j = 0; j < s.p; j++) {
            const double own = correlation_at(&s, d + match[j] * taps, truth + j * taps, lag[2 * j], lag[2 * j + 1]);
            assert_near(fabs(own), c[j][match[j]], 1e-13);
            assert_true(own * sign[j] >= 0);
            assert_true(picture || lag[2 * j] == 0);
            mean += fabs(own) / (double)s.p;
        }
        assert_near(mean, best_sum((const double(*)[ATOMS])c, s.p, 0, 0) / (double)s.p, 1e-13);
        assert_near(out.cosine_mean, mean, 1e-7); /* by way of a sine, which is less exact near 1 */
        if (trial % 5) {
            assert_near(out.absolute * out.absolute, 2 * (double)s.p * (1 - mean), 1e-12);
            assert_near(out.relative, out.absolute / sqrt((double)s.p), 1e-13);
        }
        free(d);
        free(truth);
    }
}

/* ------------------------------------------------------------ known answers */

/* Filters with zeros around them, which can be moved without a loss: order, signs, sizes and lags are undone, whatever the strides and the precision. */
static void what_moved_them_is_found(void **state)
{
    (void)state;
    enum { P = 9, C = 2, H = 8, W = 11, TAPS = C * H * W };
    static double truth[P][C][H][W], d[C][H][W][P];
    static float single[P][C][H][W];
    int64_t order[P], match[P], lag[2 * P], by[P][2];
    double sign[P];
    memset(truth, 0, sizeof truth);
    memset(d, 0, sizeof d);
    for (int64_t j = 0; j < P; j++) {
        order[j] = (j * 4 + 1) % P;
        by[j][0] = below(5) - 2;
        by[j][1] = below(7) - 3;
        for (int64_t c = 0; c < C; c++)
            for (int64_t y = 2; y < H - 2; y++)
                for (int64_t x = 3; x < W - 3; x++) {
                    truth[j][c][y][x] = single[j][c][y][x] = (float)pudle_random_normal(&rng);
                    d[c][y - by[j][0]][x - by[j][1]][order[j]] = (j % 2 ? -1 : 1) * (double)(1 + j) * truth[j][c][y][x];
                }
    }
    const int64_t axes[4] = { P, C, H, W };
    pudle_cview vd = pd_cview(d, PUDLE_F64, 4, axes);
    const pudle_cview vt = pd_cview(truth, PUDLE_F64, 4, axes), vs = pd_cview(single, PUDLE_F32, 4, axes);
    vd.stride[0] = 1;
    for (int i = 1; i < 4; i++)
        vd.stride[i] *= P;
    for (int precision = 0; precision < 2; precision++) {
        pd_distance out;
        assert_int_equal(pd_distance_shifted(ctx, &vd, precision ? &vs : &vt, &out, match, sign, lag), PUDLE_OK);
        assert_near(out.absolute, 0, 1e-14);
        assert_near(out.sine_max, 0, 1e-14); /* no cancellation */
        for (int64_t j = 0; j < P; j++) {
            assert_int_equal(match[j], order[j]);
            assert_true(sign[j] == (j % 2 ? -1 : 1));
            assert_true(lag[2 * j] == by[j][0] && lag[2 * j + 1] == by[j][1]);
        }
    }
}

/* Nothing wraps around, and what is moved out counts: (3, 0, 0, 4), moved so that its end lies on (0, 1, 0, 0), leaves 3/5 outside. */
static void what_is_moved_out_counts(void **state)
{
    (void)state;
    const double d[4] = { 3, 0, 0, 4 }, truth[4] = { 0, 1, 0, 0 };
    const int64_t axes[3] = { 1, 1, 4 };
    const pudle_cview vd = pd_cview(d, PUDLE_F64, 3, axes), vt = pd_cview(truth, PUDLE_F64, 3, axes);
    pd_distance out;
    int64_t lag[2];
    double sign;
    assert_int_equal(pd_distance_shifted(ctx, &vd, &vt, &out, NULL, &sign, lag), PUDLE_OK);
    assert_true(lag[0] == 0 && lag[1] == -2 && sign == 1);
    assert_near(out.cosine_mean, 0.8, 1e-15);
    assert_near(out.absolute, sqrt(0.36 + 0.04), 1e-15);
}

/* One entry a filter leaves no lag but 0, and the figures are those of a matrix. */
static void without_lags_as_a_matrix(void **state)
{
    (void)state;
    enum { P = 12, M = 7 };
    double *d = normals(P * M), *truth = normals(P * M), sign[P], other_sign[P];
    int64_t match[P], other[P], lag[2 * P];
    const int64_t axes[4] = { P, M, 1, 1 };
    const pudle_cview vd = pd_cview(d, PUDLE_F64, 4, axes), vt = pd_cview(truth, PUDLE_F64, 4, axes);
    pudle_cview md = pd_cmatrix(d, PUDLE_F64, M, P), mt = pd_cmatrix(truth, PUDLE_F64, M, P);
    md.stride[0] = mt.stride[0] = 1;
    md.stride[1] = mt.stride[1] = M;
    pd_distance out, plain;
    assert_int_equal(pd_distance_shifted(ctx, &vd, &vt, &out, match, sign, lag), PUDLE_OK);
    assert_int_equal(pd_distance_assigned(ctx, &md, &mt, &plain, other, other_sign), PUDLE_OK);
    assert_memory_equal(match, other, sizeof match);
    assert_memory_equal(sign, other_sign, sizeof sign);
    assert_near(out.absolute, plain.absolute, 1e-14);
    assert_near(out.sine_median, plain.sine_median, 1e-14);
    assert_near(out.cosine_mean, plain.cosine_mean, 1e-14);
    for (int i = 0; i < 2 * P; i++)
        assert_int_equal(lag[i], 0);
    free(d);
    free(truth);
}

static void zero_and_nan_filters(void **state)
{
    (void)state;
    const double truth[6] = { 1, 2, 3, 3, 0, 1 }, zero[6] = { 3, 0, 1, 0, 0, 0 }, bad[6] = { 3, 0, 1, 0, NAN, 0 };
    const int64_t axes[3] = { 2, 1, 3 }, other[3] = { 2, 3, 1 }, five[5] = { 2, 1, 3, 1, 1 };
    const pudle_cview vt = pd_cview(truth, PUDLE_F64, 3, axes), vz = pd_cview(zero, PUDLE_F64, 3, axes), vb = pd_cview(bad, PUDLE_F64, 3, axes);
    const pudle_cview vo = pd_cview(truth, PUDLE_F64, 3, other), matrix = pd_cmatrix(truth, PUDLE_F64, 2, 3), v5 = pd_cview(truth, PUDLE_F64, 5, five);
    int64_t match[2], lag[4] = { 9, 9, 9, 9 };
    pd_distance out;
    assert_int_equal(pd_distance_shifted(ctx, &vz, &vt, &out, match, NULL, lag), PUDLE_OK);
    assert_true(match[0] == 1 && match[1] == 0 && lag[0] == 0 && lag[1] == 0);
    assert_near(out.absolute, 1, 1e-15);
    assert_near(out.sine_max, 1, 1e-15);
    assert_int_equal(pd_distance_shifted(ctx, &vb, &vt, &out, match, NULL, lag), PUDLE_OK);
    assert_true(isnan(out.absolute) && isnan(out.relative) && isnan(out.sine_mean) && isnan(out.sine_max) && isnan(out.cosine_mean));
    assert_true(match[0] == 0 && match[1] == 1);
    out.absolute = 7;
    assert_int_equal(pd_distance_shifted(ctx, &vo, &vt, &out, match, NULL, lag), PUDLE_ERR_ARG);
    assert_int_equal(pd_distance_shifted(ctx, &matrix, &matrix, &out, match, NULL, lag), PUDLE_ERR_ARG);
    assert_int_equal(pd_distance_shifted(ctx, &v5, &v5, &out, match, NULL, lag), PUDLE_ERR_ARG);
    assert_true(out.absolute == 7);
    pd_error_clear(ctx);
}

/* 64 filters of 9 x 9 are compared in no time. */
static void usual_sizes(void **state)
{
    (void)state;
    const int64_t axes[4] = { 64, 1, 9, 9 };
    double *d = normals(64 * 81), *truth = normals(64 * 81);
    const pudle_cview vd = pd_cview(d, PUDLE_F64, 4, axes), vt = pd_cview(truth, PUDLE_F64, 4, axes);
    pd_distance out;
    const clock_t start = clock();
    assert_int_equal(pd_distance_shifted(ctx, &vd, &vt, &out, NULL, NULL, NULL), PUDLE_OK);
    print_message("# 64 filters of 9 x 9: %.3f s\n", (double)(clock() - start) / CLOCKS_PER_SEC);
    free(d);
    free(truth);
}

static int set_up(void **state)
{
    (void)state;
    const char *given = getenv("PUDLE_TEST_SEED");
    const uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 1000003u + (uint64_t)getpid();
    print_message("# seed %llu (set PUDLE_TEST_SEED to repeat)\n", (unsigned long long)seed);
    rng = pudle_random_at(seed, 1, 0, 0);
    ctx = pd_context_create();
    return !ctx;
}

static int tear_down(void **state)
{
    (void)state;
    pd_context_destroy(ctx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_order_and_every_lag),
        cmocka_unit_test(what_moved_them_is_found),
        cmocka_unit_test(what_is_moved_out_counts),
        cmocka_unit_test(without_lags_as_a_matrix),
        cmocka_unit_test(zero_and_nan_filters),
        cmocka_unit_test(usual_sizes),
    };
    return cmocka_run_group_tests_name("shift", tests, set_up, tear_down);
}
