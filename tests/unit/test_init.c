/* Dictionaries to begin with: unit columns, repeatability, closeness to what they are made from, and refusals. */
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
#include "train/init.h"

static pd_context *ctx;
static uint64_t seed;

#include "memory_source.h"

static double *doubles(int64_t count)
{
    double *a = pd_alloc((size_t)count, sizeof *a);
    assert_non_null(a);
    return a;
}

static void assert_unit_columns(const double *d, int64_t m, int64_t p)
{
    for (int64_t j = 0; j < p; j++) {
        double sum = 0;
        for (int64_t i = 0; i < m; i++)
            sum += d[i * p + j] * d[i * p + j];
        assert_true(fabs(sum - 1) < 1e-14);
    }
}

static void random_atoms(void **state)
{
    (void)state;
    enum { M = 40, P = 60 };
    double a[M * P], b[M * P], coherence = 0;
    assert_int_equal(pd_init_random(ctx, seed, M, P, a), PUDLE_OK);
    assert_int_equal(pd_init_random(ctx, seed, M, P, b), PUDLE_OK);
    assert_unit_columns(a, M, P);
    assert_memory_equal(a, b, sizeof a);
    assert_int_equal(pd_init_random(ctx, seed + 1, M, P, b), PUDLE_OK);
    assert_true(memcmp(a, b, sizeof a) != 0);
    const pudle_cview v = pd_cmatrix(a, PUDLE_F64, M, P);
    assert_int_equal(pd_coherence(ctx, &v, &coherence), PUDLE_OK);
    assert_true(coherence > 0.2 && coherence < 0.95); /* no two atoms alike */
}

/* Sample k is (k+1) times a vector that names it; every third one is zero. */
static void atoms_from_samples(void **state)
{
    (void)state;
    enum { N = 30, M = 21, P = 20 };
    double x[N * M] = { 0 }, d[M * P], again[M * P];
    for (int k = 0, name = 0; k < N; k++)
        if (k % 3)
            x[k * M + name++] = k + 1;
    memory from = { x, M, -1 };
    const pd_sample_source source = { N, M, read_memory, &from, false };
    assert_int_equal(pd_init_samples(ctx, &source, seed, P, d), PUDLE_OK);
    for (int j = 0; j < P; j++)
        for (int i = 0; i < M; i++)
            assert_true(d[i * P + j] == 0 || d[i * P + j] == 1);
    for (int i = 0; i < 20; i++) { /* each of the twenty usable samples exactly once */
        double sum = 0;
        for (int j = 0; j < P; j++)
            sum += d[i * P + j];
        assert_true(sum == 1);
    }
    assert_int_equal(pd_init_samples(ctx, &source, seed, P, again), PUDLE_OK);
    assert_memory_equal(d, again, sizeof d);
}

static void samples_that_will_not_do(void **state)
{
    (void)state;
    double x[6] = { 1, 0, 0, 0, 0, 2 }, d[6] = { 7 };
    memory from = { x, 2, -1 };
    const pd_sample_source source = { 3, 2, read_memory, &from, false };
    assert_int_equal(pd_init_samples(ctx, &source, seed, 3, d), PUDLE_ERR_CONFIG);
    assert_non_null(strstr(pd_error(ctx), "needs 3 samples that are not zero, there are 2 among 3: lower"));
    const pd_sample_source windows = { 3, 2, read_memory, &from, true };
    assert_int_equal(pd_init_samples(ctx, &windows, seed, 3, d), PUDLE_ERR_CONFIG);
    assert_non_null(strstr(pd_error(ctx), "drawn anew every epoch"));
    pd_error_clear(ctx);
    x[4] = NAN;
    assert_int_equal(pd_init_samples(ctx, &source, seed, 3, d), PUDLE_ERR_NUMERIC);
    assert_non_null(strstr(pd_error(ctx), "sample 2 is not finite"));
    pd_error_clear(ctx);
    from.fails = 1;
    assert_int_equal(pd_init_samples(ctx, &source, seed, 3, d), PUDLE_ERR_IO);
    pd_error_clear(ctx);
    assert_true(d[0] == 7);
}

/* The paper's far initialisation: noise 0.1 at m = 50, p = 100 is a relative error of 0.61; its close one 0.02. */
static void near_the_truth(void **state)
{
    (void)state;
    enum { M = 50, P = 100 };
    double *truth = doubles(M * P), *d = doubles(M * P);
    assert_int_equal(pd_init_random(ctx, seed + 1, M, P, truth), PUDLE_OK);
    const pudle_cview vt = pd_cmatrix(truth, PUDLE_F64, M, P), vd = pd_cmatrix(d, PUDLE_F64, M, P);
    const double noise[] = { 0.1, 0.02, 0.005 };
    pd_distance error;
    for (int i = 0; i < 3; i++) {
        const double expected = sqrt(2 - 2 / sqrt(1 + M * noise[i] * noise[i]));
        assert_int_equal(pd_init_truth(ctx, &vt, noise[i], seed, d), PUDLE_OK);
        assert_unit_columns(d, M, P);
        assert_int_equal(pd_distance_fixed(ctx, &vd, &vt, &error), PUDLE_OK);
        print_message("# noise %g: relative error %.4f, expected about %.4f\n", noise[i], error.relative, expected);
        assert_true(fabs(error.relative - expected) < 0.08 * expected);
    }
    assert_int_equal(pd_init_truth(ctx, &vt, 0, seed, d), PUDLE_OK);
    assert_int_equal(pd_distance_fixed(ctx, &vd, &vt, &error), PUDLE_OK);
    assert_true(error.relative < 1e-15);
    for (int i = 0; i < M; i++)
        truth[i * P + 3] = 0;
    assert_int_equal(pd_init_truth(ctx, &vt, 0, seed, d), PUDLE_ERR_NUMERIC);
    assert_non_null(strstr(pd_error(ctx), "atom 3 has norm 0"));
    pd_error_clear(ctx);
    free(truth);
    free(d);
}

/* ------------------------------------------------------------------ pairwise */

/* x = D* z: orthogonal D* (m, m), s nonzeros of random sign, amplitudes N(5, 1). */
static void planted(int64_t m, int64_t s, int64_t n, double *truth, double *x)
{
    pudle_random r = pudle_random_at(seed, 1, 0, 0);
    for (int64_t j = 0; j < m; j++)
        for (int pass = -1; pass < 2; pass++) { /* fill, then Gram and Schmidt twice */
            double norm = 0;
            for (int64_t i = 0; i < m && pass < 0; i++)
                truth[i * m + j] = pudle_random_normal(&r);
            for (int64_t b = 0; b < j && pass >= 0; b++) {
                double along = 0;
                for (int64_t i = 0; i < m; i++)
                    along += truth[i * m + b] * truth[i * m + j];
                for (int64_t i = 0; i < m; i++)
                    truth[i * m + j] -= along * truth[i * m + b];
            }
            for (int64_t i = 0; i < m; i++)
                norm += truth[i * m + j] * truth[i * m + j];
            for (int64_t i = 0; i < m; i++)
                truth[i * m + j] /= sqrt(norm);
        }
    for (int64_t k = 0; k < n; k++) {
        int64_t support[16];
        for (int64_t c = 0; c < s; c++) {
            bool fresh = false;
            while (!fresh) {
                support[c] = (int64_t)pudle_random_below(&r, (uint64_t)m);
                fresh = true;
                for (int64_t b = 0; b < c; b++)
                    fresh = fresh && support[b] != support[c];
            }
            const double z = (pudle_random_below(&r, 2) ? 1 : -1) * (5 + pudle_random_normal(&r));
            for (int64_t i = 0; i < m; i++)
                x[k * m + i] += z * truth[i * m + support[c]];
        }
    }
}

static void pairwise_finds_the_atoms(void **state)
{
    (void)state;
    enum { M = 30, S = 2, N = 3000 };
    double *truth = doubles(M * M), *x = doubles((int64_t)N * M), *d = doubles(M * M), *again = doubles(M * M);
    double *smaller = doubles((int64_t)N * M);
    planted(M, S, N, truth, x);
    memory from = { x, M, -1 };
    pd_sample_source source = { N, M, read_memory, &from, false };
    const pd_pairwise how = { .sparsity = S, .pairs = 1500 };
    int64_t found = 0, match[M];
    assert_int_equal(pd_init_pairwise(ctx, &source, &how, seed, M, d, &found), PUDLE_OK);
    assert_unit_columns(d, M, M);
    const pudle_cview vd = pd_cmatrix(d, PUDLE_F64, M, M), vt = pd_cmatrix(truth, PUDLE_F64, M, M);
    pd_distance error;
    assert_int_equal(pd_distance_assigned(ctx, &vd, &vt, &error, match, NULL), PUDLE_OK);
    print_message("# found %d of %d atoms, sine to the true ones: mean %.3f, median %.3f, max %.3f\n", (int)found, M,
                  error.sine_mean, error.sine_median, error.sine_max);
    assert_true(found >= M * 9 / 10);
    assert_true(error.sine_median < 0.2);

    for (int64_t i = 0; i < (int64_t)N * M; i++) /* the unit of the data does not matter: a power of two changes no bit */
        smaller[i] = x[i] / 1024;
    from.x = smaller;
    assert_int_equal(pd_init_pairwise(ctx, &source, &how, seed, M, again, NULL), PUDLE_OK);
    assert_memory_equal(d, again, M * M * sizeof *d);
    free(truth);
    free(x);
    free(d);
    free(again);
    free(smaller);
}

static void pairwise_refusals(void **state)
{
    (void)state;
    enum { M = 8, N = 50, P = 8 };
    double *x = doubles(N * M), d[M * P] = { 7 };
    int64_t found = 5;
    memory from = { x, M, -1 };
    pd_sample_source source = { N, M, read_memory, &from, false };
    pd_pairwise how = { .sparsity = 0, .pairs = 10 };
    assert_int_equal(pd_init_pairwise(ctx, &source, &how, seed, P, d, &found), PUDLE_ERR_CONFIG);
    assert_non_null(strstr(pd_error(ctx), "model.dictionary.sparsity = 0"));
    pd_error_clear(ctx);
    how.sparsity = 2;
    assert_int_equal(pd_init_pairwise(ctx, &source, &how, seed, P, d, &found), PUDLE_ERR_NUMERIC); /* all zero */
    assert_non_null(strstr(pd_error(ctx), "zero"));
    pd_error_clear(ctx);
    pudle_random r = pudle_random_at(seed, 2, 0, 0);
    for (int i = 0; i < N * M; i++)
        x[i] = pudle_random_normal(&r);
    x[17] = NAN;
    assert_int_equal(pd_init_pairwise(ctx, &source, &how, seed, P, d, &found), PUDLE_ERR_NUMERIC);
    assert_non_null(strstr(pd_error(ctx), "not finite"));
    pd_error_clear(ctx);
    x[17] = 0;
    for (int i = 0; i < N * M; i++) /* all samples alike: M has rank one, so there is one atom to find and nothing else */
        x[i] = i % M == 0;
    how.sparsity = 8;
    assert_int_equal(pd_init_pairwise(ctx, &source, &how, seed, P, d, &found), PUDLE_OK); /* one atom, seven random ones */
    assert_int_equal(found, 1);
    assert_true(fabs(fabs(d[0]) - 1) < 1e-12);
    assert_unit_columns(d, M, P);
    free(x);
}

static void pairwise_with_one_feature(void **state)
{
    (void)state;
    const double x[4] = { 1, -2, 3, 1 };
    double d[2];
    int64_t found = 0;
    memory from = { x, 1, -1 };
    pd_sample_source source = { 4, 1, read_memory, &from, false };
    const pd_pairwise how = { .sparsity = 1, .pairs = 20 };
    assert_int_equal(pd_init_pairwise(ctx, &source, &how, seed, 1, d, &found), PUDLE_OK);
    assert_true(found == 1 && fabs(d[0]) == 1);
}

static int set_up(void **state)
{
    (void)state;
    const char *given = getenv("PUDLE_TEST_SEED");
    seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 1000003u + (uint64_t)getpid();
    print_message("# seed %llu (set PUDLE_TEST_SEED to repeat)\n", (unsigned long long)seed);
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
        cmocka_unit_test(random_atoms),
        cmocka_unit_test(atoms_from_samples),
        cmocka_unit_test(samples_that_will_not_do),
        cmocka_unit_test(near_the_truth),
        cmocka_unit_test(pairwise_finds_the_atoms),
        cmocka_unit_test(pairwise_refusals),
        cmocka_unit_test(pairwise_with_one_feature),
    };
    return cmocka_run_group_tests_name("init", tests, set_up, tear_down);
}
