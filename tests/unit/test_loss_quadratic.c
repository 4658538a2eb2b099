/* least_squares and lasso: values against plain sums, gradients and Hessians against finite differences, both precisions. */
#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "loss_trial.h"

static const char *const losses[] = { "least_squares", "lasso" };
static const double lambda = 0.7;

static void for_each_trial(void (*test)(trial *))
{
    static const struct { int32_t rank; int64_t extent[4]; } shapes[] = {
        { 2, { 7, 13 } }, { 2, { 1, 1 } }, { 2, { 0, 4 } }, { 4, { 2, 3, 5, 4 } },
    };
    for (int k = 0; k < 2; k++)
        for (int32_t dtype = PUDLE_F32; dtype <= PUDLE_F64; dtype++)
            for (int s = 0; s < 4; s++) {
                trial c = { .desc = fake_load("loss", losses[k]), .dtype = dtype };
                c.ops = c.desc->ops;
                c.kernel = c.ops->kernels[0];
                c.params = fake_params(c.desc, k ? SETTINGS("lambda", "0.7") : NULL);
                c.a = fake_view(dtype, shapes[s].rank, shapes[s].extent);
                c.b = fake_view(dtype, shapes[s].rank, shapes[s].extent);
                for (int64_t i = 0; i < fake_count(&c.a); i++) {
                    do
                        set(&c.a, i, normal());
                    while (fabs(get(&c.a, i)) < 0.02);
                    set(&c.b, i, normal());
                }
                test(&c);
                free(c.a.data);
                free(c.b.data);
                free(c.params);
            }
}

static void check_value(trial *c)
{
    double sum = 0;
    for (int64_t i = 0; i < fake_count(&c->a); i++)
        sum += pow(get(&c->a, i) - get(&c->b, i), 2) / 2;
    assert_true(fabs(value(c, &c->a) - sum) <= 1e-14 * (1 + sum)); /* in double whatever the type */
}

static void check_grad(trial *c)
{
    const double h = 1.0 / 1024; /* the loss is quadratic: central differences have no error but rounding */
    pudle_view g = fake_copy(&c->a), in_place = fake_copy(&c->a);
    grad(c, &c->a, &g);
    for (int64_t i = 0; i < fake_count(&c->a); i++) {
        const double a = get(&c->a, i);
        set(&c->a, i, a + h);
        const double up = value(c, &c->a), above = get(&c->a, i);
        set(&c->a, i, a - h);
        const double slope = (up - value(c, &c->a)) / (above - get(&c->a, i));
        set(&c->a, i, a);
        assert_true(fabs(get(&g, i) - slope) < (c->dtype == PUDLE_F64 ? 1e-9 : 1e-3));
    }
    grad(c, &in_place, &in_place);
    assert_true(same_bits(&in_place, &g));
    free(g.data);
    free(in_place.data);
}

static void check_hvp(trial *c)
{
    const double h = 0.5;
    pudle_view u = fake_copy(&c->a), hu = fake_copy(&c->a), moved = fake_copy(&c->a);
    pudle_view g0 = fake_copy(&c->a), g1 = fake_copy(&c->a);
    for (int64_t i = 0; i < fake_count(&u); i++) {
        set(&u, i, normal());
        set(&hu, i, NAN);
        set(&moved, i, get(&c->a, i) + h * get(&u, i));
    }
    const pudle_cview p = pudle_const(&c->a), t = pudle_const(&c->b), cu = pudle_const(&u);
    assert_int_equal(c->kernel->hvp(c->params, NULL, &p, &t, &cu, &hu), PUDLE_OK);
    grad(c, &c->a, &g0);
    grad(c, &moved, &g1);
    double constant = 0, change = 0, distance = 0, gradients = 0;
    for (int64_t i = 0; i < fake_count(&u); i++) {
        const double dg = get(&g1, i) - get(&g0, i), da = get(&moved, i) - get(&c->a, i);
        assert_true(fabs(get(&hu, i) - dg / h) < (c->dtype == PUDLE_F64 ? 1e-13 : 1e-5));
        change += dg * dg;
        distance += da * da;
        gradients += pow(get(&g0, i), 2) + pow(get(&g1, i), 2);
    }
    /* Both gradients are rounded, by an ulp of themselves and not of their difference. */
    const double rounding = (c->dtype == PUDLE_F64 ? DBL_EPSILON : FLT_EPSILON) * sqrt(gradients);
    assert_int_equal(c->ops->lipschitz(c->params, &t, &constant), PUDLE_OK);
    assert_true(constant == 1);
    assert_true(sqrt(change) <= constant * sqrt(distance) * (1 + 1e-12) + rounding);
    assert_int_equal(c->kernel->hvp(c->params, NULL, &p, &t, &cu, &u), PUDLE_OK); /* hu may be u */
    assert_true(same_bits(&u, &hu));
    free(u.data);
    free(hu.data);
    free(moved.data);
    free(g0.data);
    free(g1.data);
}

static void check_code(trial *c)
{
    if (!c->kernel->code_value) {
        assert_null(c->kernel->code_grad);
        assert_string_equal(c->desc->name, "least_squares");
        return;
    }
    const double h = 1.0 / 256;
    const int64_t n = fake_count(&c->a);
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += lambda * fabs(get(&c->a, i));
    assert_true(fabs(code_value(c) - sum) <= 1e-13 * (1 + sum));

    pudle_view g = fake_copy(&c->a);
    for (int64_t i = 0; i < n; i++)
        set(&g, i, 3); /* added to */
    const pudle_cview z = pudle_const(&c->a);
    assert_int_equal(c->kernel->code_grad(c->params, NULL, &z, &g), PUDLE_OK);
    for (int64_t i = 0; i < n; i++) {
        const double a = get(&c->a, i);
        set(&c->a, i, a + h);
        const double up = code_value(c), above = get(&c->a, i);
        set(&c->a, i, a - h);
        const double slope = (up - code_value(c)) / (above - get(&c->a, i));
        set(&c->a, i, a);
        assert_true(fabs(get(&g, i) - 3 - slope) < (c->dtype == PUDLE_F64 ? 1e-9 : 1e-5));
    }
    for (int64_t i = 0; i < n; i++) {
        set(&g, i, 3);
        set(&c->a, i, i % 2 ? NAN : -0.0);
    }
    assert_int_equal(c->kernel->code_grad(c->params, NULL, &z, &g), PUDLE_OK);
    for (int64_t i = 0; i < n; i++)
        assert_true(i % 2 ? isnan(get(&g, i)) : get(&g, i) == 3); /* sign(0) = 0, sign(NaN) = NaN */
    free(g.data);
}

static void check_nan(trial *c)
{
    const int64_t n = fake_count(&c->a);
    pudle_view g = fake_copy(&c->a);
    if (n)
        set(&c->a, n / 2, NAN);
    grad(c, &c->a, &g);
    for (int64_t i = 0; i < n; i++)
        assert_int_equal(!!isnan(get(&g, i)), i == n / 2);
    assert_int_equal(!!isnan(value(c, &c->a)), n > 0);
    free(g.data);
}

static void test_value(void **state)
{
    (void)state;
    for_each_trial(check_value);
}

static void test_grad(void **state)
{
    (void)state;
    for_each_trial(check_grad);
}

static void test_hvp(void **state)
{
    (void)state;
    for_each_trial(check_hvp);
}

static void test_code(void **state)
{
    (void)state;
    for_each_trial(check_code);
}

static void test_nan(void **state)
{
    (void)state;
    for_each_trial(check_nan);
}

/* A float accumulator would be off in the third digit. */
static void test_long_sum(void **state)
{
    (void)state;
    const int64_t n = 4000000;
    trial c = { .desc = fake_load("loss", "lasso"), .dtype = PUDLE_F32 };
    c.ops = c.desc->ops;
    c.kernel = c.ops->kernels[0];
    c.params = fake_params(c.desc, SETTINGS("lambda", "0.7"));
    c.a = fake_view(PUDLE_F32, 1, &n);
    c.b = fake_view(PUDLE_F32, 1, &n);
    for (int64_t i = 0; i < n; i++)
        set(&c.a, i, 0.1);
    const double x = (double)0.1f;
    assert_true(fabs(value(&c, &c.a) / ((double)n * x * x / 2) - 1) < 1e-9);
    assert_true(fabs(code_value(&c) / ((double)n * x * lambda) - 1) < 1e-9);
    free(c.a.data);
    free(c.b.data);
    free(c.params);
}

static void test_descriptors(void **state)
{
    (void)state;
    const uint64_t caps = PUDLE_LOSS_CONVEX | PUDLE_LOSS_QUADRATIC | PUDLE_LOSS_SEPARABLE;
    for (int k = 0; k < 2; k++)
        assert_int_equal(fake_load("loss", losses[k])->caps, caps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_value),
        cmocka_unit_test(test_grad),
        cmocka_unit_test(test_hvp),
        cmocka_unit_test(test_code),
        cmocka_unit_test(test_nan),
        cmocka_unit_test(test_long_sum),
        cmocka_unit_test(test_descriptors),
    };
    fake_random();
    return cmocka_run_group_tests_name("losses: quadratic", tests, NULL, NULL);
}
