/* The gradient at codes fitted again, against least squares by elimination for each sample. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "elimination.h"
#include "implicit_problems.h"

/* gradient += share (D z' - x) z'', z' the least squares fit of x on the support of z. */
static void add_sample(const double *d, const double *x, const double *z, int64_t m, int64_t p, double share, double *gradient)
{
    int64_t support[64], n = 0;
    double a[64 * 64], fit[64];
    for (int64_t j = 0; j < p; j++)
        if (z[j] != 0)
            support[n++] = j;
    for (int64_t i = 0; i < n; i++) {
        fit[i] = 0;
        for (int64_t f = 0; f < m; f++)
            fit[i] += d[f * p + support[i]] * x[f];
        for (int64_t k = 0; k < n; k++) {
            a[i * n + k] = 0;
            for (int64_t f = 0; f < m; f++)
                a[i * n + k] += d[f * p + support[i]] * d[f * p + support[k]];
        }
    }
    eliminate(n, 1, a, fit);
    for (int64_t f = 0; f < m; f++) {
        double r = -x[f];
        for (int64_t i = 0; i < n; i++)
            r += d[f * p + support[i]] * fit[i];
        for (int64_t i = 0; i < n; i++)
            gradient[f * p + support[i]] += share * r * fit[i];
    }
}

/* What the estimator should say of a problem, from its codes; and what it says. */
static void compare(const setup *s, double offset, const char *what)
{
    opened o;
    open_problem(s, &o);
    pd_problem *pb = &o.pb;
    const int64_t n = pb->train.samples, m = pb->net.map.features, p = pb->net.map.code;
    pd_batch batch;
    void *code = NULL;
    assert_int_equal(pd_problem_first(pb, PUDLE_SPLIT_TRAIN, 0, n, &batch), PUDLE_OK);
    assert_int_equal(pb->be->alloc(pb->exec, (size_t)(n * p) * pudle_dtype_size(pb->dtype), &code), PUDLE_OK);
    pd_pass pass = { .gradient = true, .code = pd_matrix(code, pb->dtype, n, p) };
    if (pd_network_run(&pb->net, &batch, &pass))
        fail_msg("%s", pd_error(ctx));
    const pudle_view samples = pd_matrix((void *)batch.x.data, pb->dtype, n, m);
    double *d = doubles(pb, &pb->net.dictionary.value), *x = doubles(pb, &samples), *z = doubles(pb, &pass.code), *got = doubles(pb, &pb->net.dictionary.grad);
    double *wanted = calloc((size_t)(m * p), sizeof *wanted);
    assert_non_null(wanted);
    for (int64_t i = 0; i < n * m; i++)
        x[i] -= offset;
    for (int64_t i = 0; i < n; i++)
        add_sample(d, x + i * m, z + i * p, m, p, 1.0 / (double)n, wanted);
    const double off = relative_norm(got, wanted, m * p, 1e-6), bound = pb->dtype == PUDLE_F64 ? 1e-10 : 1e-4;
    if (!(off <= bound))
        fail_msg("%s, seed %lld, %lld x %lld: off by %.3g", what, (long long)s->seed, (long long)m, (long long)p, off);
    assert_int_equal(pass.ill_conditioned, 0);
    assert_true(isnan(pass.fixed_point));
    pb->be->free(pb->exec, code);
    free(wanted);
    free(got);
    free(z);
    free(x);
    free(d);
    close_problem(&o);
}

/* Operators with and without curvature, of one entry and of groups, few layers and many, both precisions; more dimensions than atoms, so that every support
 * is well conditioned. */
static void fits_again(void **state)
{
    (void)state;
    static const char *const proxes[] = { "name = \"soft_threshold\"; lambda = 0.4;", "name = \"hard_threshold\"; threshold = 0.2;",
                                          "name = \"elastic_net\"; lambda = 0.3; mu = 0.5;", "name = \"group_soft_threshold\"; size = 2; lambda = 0.3;",
                                          "name = \"soft_threshold\"; lambda = 0.3; nonnegative = true;" };
    for (int round = 0; round < 40; round++) {
        setup s = { .backend = backends[round % 2], .precision = round % 4 < 2 ? "f64" : "f32", .gradient = "refit", .prox = proxes[round % 5],
                    .n = between(1, 40), .m = between(24, 40), .p = 2 * between(1, 10), .layers = between(1, 30), .seed = between(1, 1000000), .threads = 1 };
        const bool lifted = round % 3 == 0;
        s.loss = lifted ? "name = \"least_squares\"; offset = 0.3;" : NULL;
        compare(&s, lifted ? 0.3 : 0, s.prox);
    }
}

/* Two atoms that are one: no fit, an error that says what to do; or the code as it is, which is dec. */
static void dependent_atoms(void **state)
{
    (void)state;
    setup s = { .backend = "ref", .gradient = "refit", .n = 5, .m = 6, .p = 12, .layers = 3, .seed = between(1, 1000000),
                .prox = "name = \"soft_threshold\"; lambda = 0.0;" };
    double *got[2];
    opened o;
    pd_pass pass = { .gradient = true };
    open_problem(&s, &o);
    assert_int_equal(try_run(&o.pb, &pass), PUDLE_ERR_NUMERIC);
    assert_non_null(strstr(pd_error(ctx), "code fitted again"));
    assert_non_null(strstr(pd_error(ctx), "ill_conditioned"));
    pd_error_clear(ctx);
    close_problem(&o);
    for (int k = 0; k < 2; k++) {
        s.gradient = k ? "dec" : "refit";
        s.ill = k ? NULL : "skip";
        pass = (pd_pass){ .gradient = true };
        open_problem(&s, &o);
        run(&o.pb, &pass);
        assert_int_equal(pass.ill_conditioned, k ? 0 : 5);
        got[k] = doubles(&o.pb, &o.pb.net.dictionary.grad);
        close_problem(&o);
    }
    assert_true(relative_norm(got[0], got[1], s.m * s.p, 1e-6) <= 1e-12);
    free(got[0]);
    free(got[1]);
}

/* The same bits on any number of threads. */
static void threads(void **state)
{
    (void)state;
    double *got[2];
    for (int k = 0; k < 2; k++) {
        setup s = { .backend = "cpu", .gradient = "refit", .n = 300, .m = 40, .p = 30, .layers = 10, .seed = 11, .threads = k ? 3 : 1 };
        opened o;
        pd_pass pass = { .gradient = true };
        open_problem(&s, &o);
        run(&o.pb, &pass);
        got[k] = doubles(&o.pb, &o.pb.net.dictionary.grad);
        close_problem(&o);
    }
    assert_memory_equal(got[0], got[1], sizeof(double) * 40 * 30);
    free(got[0]);
    free(got[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(fits_again), cmocka_unit_test(dependent_atoms), cmocka_unit_test(threads) };
    return cmocka_run_group_tests_name("refit", tests, set_up, tear_down);
}
