/* Measures: assignment against brute force, the reference figures, and what must not change them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
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

static void shuffled(int64_t *order, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        order[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        const int64_t j = (int64_t)pudle_random_below(&rng, (uint64_t)i + 1), held = order[i];
        order[i] = order[j];
        order[j] = held;
    }
}

/* ---------------------------------------------------------------- assignment */

static double cheapest(const double *cost, int n, int row, unsigned taken)
{
    if (row == n)
        return 0;
    double best = INFINITY;
    for (int j = 0; j < n; j++)
        if (!(taken >> j & 1u))
            best = fmin(best, cost[row * n + j] + cheapest(cost, n, row + 1, taken | 1u << j));
    return best;
}

static double price(const double *cost, int64_t n, const int64_t *column)
{
    double sum = 0;
    char *seen = calloc((size_t)n, 1);
    assert_non_null(seen);
    for (int64_t i = 0; i < n; i++) {
        assert_in_range(column[i], 0, n - 1);
        assert_false(seen[column[i]]);
        seen[column[i]] = 1;
        sum += cost[i * n + column[i]];
    }
    free(seen);
    return sum;
}

/* Uniform costs, small integers (many ties), and negative ones. */
static void assignment_is_the_cheapest(void **state)
{
    (void)state;
    for (int n = 1; n <= 7; n++)
        for (int trial = 0; trial < 150; trial++) {
            double cost[49];
            int64_t column[7];
            for (int i = 0; i < n * n; i++)
                cost[i] = trial % 3 == 0 ? pudle_random_uniform(&rng) : trial % 3 == 1 ? (double)pudle_random_below(&rng, 4)
                                                                                        : 10 * pudle_random_normal(&rng);
            assert_int_equal(pd_assign(ctx, n, cost, column), PUDLE_OK);
            assert_near(price(cost, n, column), cheapest(cost, n, 0, 0), 1e-12);
        }
}

/* A cost r_i + c_j + noise that is zero on one permutation and positive elsewhere has that permutation as its optimum. */
static void large_assignment(void **state)
{
    (void)state;
    const int64_t n = 400;
    double *cost = pd_alloc((size_t)(n * n), sizeof *cost), *r = normals(n), *c = normals(n);
    int64_t *hidden = calloc((size_t)n, sizeof *hidden), *column = calloc((size_t)n, sizeof *column);
    assert_true(cost && hidden && column);
    shuffled(hidden, n);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            cost[i * n + j] = r[i] + c[j] + (hidden[i] == j ? 0 : 1e-3 + pudle_random_uniform(&rng));
    assert_int_equal(pd_assign(ctx, n, cost, column), PUDLE_OK);
    assert_memory_equal(column, hidden, (size_t)n * sizeof *column);
    free(cost);
    free(r);
    free(c);
    free(hidden);
    free(column);
}

static void assignment_refuses_nan(void **state)
{
    (void)state;
    const double cost[4] = { 0, 1, NAN, 2 };
    int64_t column[2] = { 7, 8 };
    assert_int_equal(pd_assign(ctx, 2, cost, column), PUDLE_ERR_ARG);
    assert_non_null(strstr(pd_error(ctx), "row 1, column 0"));
    assert_int_equal(column[0], 7);
    pd_error_clear(ctx);
}

/* ----------------------------------------------------------------- distances */

/* D = D* with its columns permuted, negated and scaled: no distance after assignment, and match and sign undo it. */
static void permutation_and_signs_do_not_matter(void **state)
{
    (void)state;
    enum { M = 13, P = 29 };
    double *truth = normals(M * P), d[M * P], sign[P], flip[P];
    int64_t order[P], match[P];
    shuffled(order, P);
    for (int j = 0; j < P; j++)
        flip[j] = pudle_random_uniform(&rng) < 0.5 ? -1 : 1;
    for (int j = 0; j < P; j++)
        for (int i = 0; i < M; i++)
            d[i * P + order[j]] = flip[j] * (j + 1.0) * truth[i * P + j];
    const pudle_cview vd = pd_cmatrix(d, PUDLE_F64, M, P), vt = pd_cmatrix(truth, PUDLE_F64, M, P);
    pd_distance out;
    assert_int_equal(pd_distance_assigned(ctx, &vd, &vt, &out, match, sign), PUDLE_OK);
    assert_near(out.absolute, 0, 1e-14);
    assert_near(out.relative, 0, 1e-14);
    assert_near(out.sine_max, 0, 1e-14); /* the sine of a tiny angle does not cancel */
    for (int j = 0; j < P; j++) {
        assert_int_equal(match[j], order[j]);
        assert_true(sign[j] == flip[j]);
    }
    free(truth);
}

/* Two atoms at a known angle a: |d - d*| = 2 sin(a/2), sine = sin(a); a negated atom counts in fixed order only. */
static void known_angles(void **state)
{
    (void)state;
    const double a = 0.3, b = 1e-9;
    const double truth[4] = { 1, 0, 0, 1 }, d[4] = { cos(a), sin(b), sin(a), -cos(b) };
    const float single[4] = { 3, 0, 0, 2 };
    const pudle_cview vt = pd_cmatrix(truth, PUDLE_F64, 2, 2), vd = pd_cmatrix(d, PUDLE_F64, 2, 2);
    const pudle_cview vs = pd_cmatrix(single, PUDLE_F32, 2, 2);
    pd_distance fixed, assigned, same;
    assert_int_equal(pd_distance_fixed(ctx, &vd, &vt, &fixed), PUDLE_OK);
    assert_int_equal(pd_distance_assigned(ctx, &vd, &vt, &assigned, NULL, NULL), PUDLE_OK);
    const double one = 2 * sin(a / 2);
    assert_near(fixed.absolute, sqrt(one * one + 4), 1e-14);
    assert_near(fixed.relative, sqrt(one * one + 4) / sqrt(2), 1e-14);
    assert_near(assigned.absolute, one, 1e-14);
    assert_near(assigned.relative, one / sqrt(2), 1e-14);
    assert_near(fixed.sine_max, sin(a), 1e-14);
    assert_near(assigned.sine_max, sin(a), 1e-14);
    assert_near(assigned.sine_mean, (sin(a) + sin(b)) / 2, 1e-15);
    assert_near(assigned.sine_median, (sin(a) + sin(b)) / 2, 1e-15);
    assert_near(assigned.cosine_median, (cos(a) + cos(b)) / 2, 1e-15);
    assert_int_equal(pd_distance_fixed(ctx, &vs, &vt, &same), PUDLE_OK);
    assert_true(same.absolute == 0 && same.sine_max == 0);
}

static void zero_and_nan_atoms(void **state)
{
    (void)state;
    const double truth[4] = { 1, 0, 0, 1 }, zero[4] = { 1, 0, 0, 0 }, bad[4] = { NAN, 0, 0, 1 };
    const pudle_cview vt = pd_cmatrix(truth, PUDLE_F64, 2, 2), vz = pd_cmatrix(zero, PUDLE_F64, 2, 2);
    const pudle_cview vb = pd_cmatrix(bad, PUDLE_F64, 2, 2);
    pd_distance out;
    int64_t match[2];
    double value;
    assert_int_equal(pd_distance_assigned(ctx, &vz, &vt, &out, match, NULL), PUDLE_OK);
    assert_near(out.absolute, 1, 1e-15);
    assert_near(out.sine_max, 1, 1e-15);
    assert_int_equal(pd_distance_assigned(ctx, &vb, &vt, &out, match, NULL), PUDLE_OK);
    assert_true(isnan(out.absolute) && isnan(out.relative));
    assert_true(isnan(out.sine_mean) && isnan(out.sine_median) && isnan(out.sine_max) && isnan(out.cosine_mean) && isnan(out.cosine_median));
    assert_true(match[0] == 0 && match[1] == 1);
    assert_int_equal(pd_distance_fixed(ctx, &vb, &vt, &out), PUDLE_OK);
    assert_true(isnan(out.absolute) && isnan(out.sine_max));
    assert_int_equal(pd_coherence(ctx, &vb, &value), PUDLE_OK);
    assert_true(isnan(value));
    const pudle_cview other = pd_cmatrix(truth, PUDLE_F64, 1, 4);
    out.absolute = 7;
    assert_int_equal(pd_distance_fixed(ctx, &vt, &other, &out), PUDLE_ERR_ARG);
    assert_true(out.absolute == 7);
    pd_error_clear(ctx);
}

static void coherence(void **state)
{
    (void)state;
    enum { M = 11, P = 150 }; /* more than two blocks */
    double *d = normals(M * P), expected = 0, found = 0;
    for (int i = 0; i < P; i++)
        for (int j = 0; j < P; j++) {
            double ij = 0, ii = 0, jj = 0;
            for (int k = 0; k < M; k++) {
                ij += d[k * P + i] * d[k * P + j];
                ii += d[k * P + i] * d[k * P + i];
                jj += d[k * P + j] * d[k * P + j];
            }
            if (i != j)
                expected = fmax(expected, fabs(ij) / sqrt(ii * jj));
        }
    const pudle_cview v = pd_cmatrix(d, PUDLE_F64, M, P), one = pd_cmatrix(d, PUDLE_F64, M, 1);
    assert_int_equal(pd_coherence(ctx, &v, &found), PUDLE_OK);
    assert_near(found, expected, 1e-14);
    assert_int_equal(pd_coherence(ctx, &one, &found), PUDLE_OK);
    assert_true(found == 0);
    free(d);
}

/* p = 2000 noisy atoms in a hidden order: right, and in seconds. */
static void two_thousand_atoms(void **state)
{
    (void)state;
    enum { M = 64, P = 2000 };
    double *truth = normals((int64_t)M * P), *d = normals((int64_t)M * P);
    int64_t *order = calloc(P, sizeof *order), *match = calloc(P, sizeof *match);
    assert_true(order && match);
    shuffled(order, P);
    for (int j = 0; j < P; j++)
        for (int i = 0; i < M; i++)
            d[i * P + order[j]] = 0.3 * d[i * P + order[j]] - truth[i * P + j];
    const pudle_cview vd = pd_cmatrix(d, PUDLE_F64, M, P), vt = pd_cmatrix(truth, PUDLE_F64, M, P);
    pd_distance out;
    const clock_t start = clock();
    assert_int_equal(pd_distance_assigned(ctx, &vd, &vt, &out, match, NULL), PUDLE_OK);
    print_message("# assignment of %d atoms: %.2f s\n", P, (double)(clock() - start) / CLOCKS_PER_SEC);
    assert_memory_equal(match, order, P * sizeof *match);
    free(truth);
    free(d);
    free(order);
    free(match);
}

/* --------------------------------------------------------- reference figures */

static bool read_reference(const char *name, pd_array *out)
{
    const char *top = getenv("top_srcdir");
    char path[4096];
    snprintf(path, sizeof path, "%s/../shared/reference/fixtures/x_metrics/%s.npy", top ? top : ".", name);
    if (access(path, R_OK))
        return false;
    assert_int_equal(pd_array_read(ctx, path, PUDLE_F64, out), PUDLE_OK);
    return true;
}

/* The figures of the authors' functions, as they stand in the index of the reference cases. Where their functions do
 * something that ours do not, the test does it to our figure:
 * - sine_distance returns its maximum in single precision;
 * - sine_distance_permute takes sqrt(1 - c^2 + 1e-10) as cost, then the square root of the cost once more. */
static void reference_figures(void **state)
{
    (void)state;
    pd_array a = { 0 }, b = { 0 }, permuted = { 0 };
    if (!read_reference("A", &a) || !read_reference("B", &b) || !read_reference("Bperm", &permuted)) {
        print_message("# skipped: no reference cases in ../shared\n");
        skip();
    }
    const pudle_cview va = pd_array_const(&a), vb = pd_array_const(&b), vp = pd_array_const(&permuted);
    pd_distance fixed, assigned;
    assert_int_equal(pd_distance_fixed(ctx, &vb, &va, &fixed), PUDLE_OK);
    assert_int_equal(pd_distance_assigned(ctx, &vp, &va, &assigned, NULL, NULL), PUDLE_OK);
    assert_near(fixed.absolute, 7.765331133466001, 1e-12);
    assert_near(fixed.relative, 1.4177490094321628, 1e-12);
    assert_near(fixed.sine_max, 0.9999999737766118, 1e-12);
    assert_true((double)(float)fixed.sine_max == 1.0);
    assert_near(assigned.absolute, 2.268515907904381, 1e-12);
    assert_near(sqrt(sqrt(assigned.sine_max * assigned.sine_max + 1e-10)), 0.7071371450659295, 1e-12);
    pd_array_free(&a);
    pd_array_free(&b);
    pd_array_free(&permuted);
}

/* --------------------------------------------------------------------- codes */

/* In two blocks, of which the figures know nothing. */
static pd_recovery recovered(const pudle_cview *z, const pudle_cview *truth, double tolerance, const int64_t *match, const double *sign)
{
    const int64_t n = z->shape[0], first = 1 + (int64_t)pudle_random_below(&rng, (uint64_t)n - 1);
    pd_recovery_tally tally = { 0 };
    for (int part = 0; part < 2; part++) {
        const pudle_cview zs = pd_crows(z, part ? first : 0, part ? n - first : first), ts = pd_crows(truth, part ? first : 0, part ? n - first : first);
        assert_int_equal(pd_recovery_add(ctx, &zs, &ts, tolerance, match, sign, &tally), PUDLE_OK);
    }
    return pd_recovery_of(&tally);
}

static void support_and_signs(void **state)
{
    (void)state;
    /* sample 0 right; 1: a false alarm; 2: a miss and a wrong sign; 3: nothing there, nothing found */
    const double truth[16] = { 1, 0, -2, 0, /**/ 0, 3, 0, 0, /**/ 1, 1, 0, 0, /**/ 0, 0, 0, 0 };
    const double z[16] = { 2, 0, -2, 1e-6, /**/ 1, 3, 0, 0, /**/ -1, 0, 0, 0, /**/ 0, 0, 0, 0 };
    const pudle_cview vt = pd_cmatrix(truth, PUDLE_F64, 4, 4), vz = pd_cmatrix(z, PUDLE_F64, 4, 4);
    pd_recovery r = recovered(&vz, &vt, 1e-3, NULL, NULL);
    assert_near(r.precision, 4.0 / 5, 1e-15);
    assert_near(r.recall, 4.0 / 5, 1e-15);
    assert_near(r.f1, 8.0 / 10, 1e-15);
    assert_near(r.hamming, 2.0 / 4, 1e-15);
    assert_near(r.exact, 2.0 / 4, 1e-15);
    assert_near(r.l2, (sqrt(1 + 1e-12) + 1 + sqrt(5)) / 4, 1e-14);
    assert_near(r.relative, sqrt(7 + 1e-12) / 4, 1e-14);
    r = recovered(&vz, &vt, 0, NULL, NULL);
    assert_near(r.precision, 4.0 / 6, 1e-15); /* 1e-6 is now a nonzero */
    double bad[16];
    memcpy(bad, z, sizeof bad);
    bad[5] = NAN;
    const pudle_cview vb = pd_cmatrix(bad, PUDLE_F64, 4, 4);
    r = recovered(&vb, &vt, 0, NULL, NULL);
    assert_true(isnan(r.precision) && isnan(r.exact) && isnan(r.l2) && isnan(r.relative));
}

/* Codes in another order with other signs, put back by match and sign; f32 against f64 and a strided view. */
static void codes_in_another_order(void **state)
{
    (void)state;
    enum { N = 6, P = 9 };
    double truth[N * P], sign[P];
    float z[P * N]; /* (p, n), read through strides as (n, p) */
    int64_t match[P];
    shuffled(match, P);
    for (int j = 0; j < P; j++)
        sign[j] = pudle_random_uniform(&rng) < 0.5 ? -1 : 1;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < P; j++) {
            truth[i * P + j] = (double)pudle_random_below(&rng, 3) - 1;
            z[match[j] * N + i] = (float)(sign[j] * truth[i * P + j]);
        }
    pudle_cview vz = pd_cmatrix(z, PUDLE_F32, N, P);
    vz.stride[0] = 1;
    vz.stride[1] = N;
    const pudle_cview vt = pd_cmatrix(truth, PUDLE_F64, N, P);
    pd_recovery r = recovered(&vz, &vt, 0, match, sign);
    assert_true(r.precision == 1 && r.recall == 1 && r.f1 == 1 && r.hamming == 0 && r.exact == 1 && r.l2 == 0);
}

/* --------------------------------------------------------------------- images */

static void psnr(void **state)
{
    (void)state;
    const double clean[4] = { 0, 0.5, 0.25, 0.5 }, noisy[4] = { -3, 0.6, 0.25, 0.4 }, bright[4] = { 0, 2, 0.25, 0.5 };
    const double black[4] = { 0 }, bad[4] = { 0, NAN, 0, 0 };
    const int64_t shape[3] = { 1, 2, 2 };
    const pudle_cview vc = pd_cview(clean, PUDLE_F64, 3, shape), vn = pd_cview(noisy, PUDLE_F64, 3, shape);
    const pudle_cview v2 = pd_cview(bright, PUDLE_F64, 3, shape), v0 = pd_cview(black, PUDLE_F64, 3, shape);
    const pudle_cview vb = pd_cview(bad, PUDLE_F64, 3, shape);
    pd_psnr r;
    assert_int_equal(pd_psnr_measure(ctx, &vn, &vc, &r), PUDLE_OK); /* -3 is clamped to 0: mean squared error 0.02/4 */
    assert_near(r.unit, -10 * log10(0.005), 1e-13);
    assert_near(r.maximum, 10 * log10(0.25 / 0.005), 1e-13);
    assert_int_equal(pd_psnr_measure(ctx, &v2, &vc, &r), PUDLE_OK); /* 2 is clamped to 1 */
    assert_near(r.unit, -10 * log10(0.25 / 4), 1e-13);
    assert_int_equal(pd_psnr_measure(ctx, &vc, &vc, &r), PUDLE_OK);
    assert_true(isinf(r.unit) && r.unit > 0 && isinf(r.maximum));
    assert_int_equal(pd_psnr_measure(ctx, &vc, &v0, &r), PUDLE_OK);
    assert_true(isfinite(r.unit) && isnan(r.maximum));
    assert_int_equal(pd_psnr_measure(ctx, &vb, &vc, &r), PUDLE_OK);
    assert_true(isnan(r.unit) && isnan(r.maximum));
    const pudle_cview flat = pd_cmatrix(clean, PUDLE_F64, 1, 4);
    assert_int_equal(pd_psnr_measure(ctx, &flat, &vc, &r), PUDLE_ERR_ARG);
    pd_error_clear(ctx);
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
        cmocka_unit_test(assignment_is_the_cheapest),
        cmocka_unit_test(large_assignment),
        cmocka_unit_test(assignment_refuses_nan),
        cmocka_unit_test(permutation_and_signs_do_not_matter),
        cmocka_unit_test(known_angles),
        cmocka_unit_test(zero_and_nan_atoms),
        cmocka_unit_test(coherence),
        cmocka_unit_test(two_thousand_atoms),
        cmocka_unit_test(reference_figures),
        cmocka_unit_test(support_and_signs),
        cmocka_unit_test(codes_in_another_order),
        cmocka_unit_test(psnr),
    };
    return cmocka_run_group_tests_name("measure", tests, set_up, tear_down);
}
