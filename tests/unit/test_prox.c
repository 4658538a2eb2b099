/* The thresholding operators against independent formulas, the definition of a prox, and finite differences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_host.h"

typedef struct op {
    const char *name;
    double (*value)(double v, double t);    /* two-sided, written naively */
    double (*penalty)(double q, double t);  /* tau f(q) */
} op;

static double naive_soft(double v, double t)
{
    return v > t ? v - t : v < -t ? v + t : 0;
}

static double naive_hard(double v, double t)
{
    return v > t || v < -t ? v : 0;
}

static double penalty_soft(double q, double t)
{
    return t * fabs(q);
}

static double penalty_hard(double q, double t)
{
    return q != 0 ? t * t / 2 : 0;
}

static const op operators[] = {
    { "soft_threshold", naive_soft, penalty_soft },
    { "hard_threshold", naive_hard, penalty_hard },
};

typedef struct trial {
    const op *op;
    const pudle_desc *desc;
    const pudle_prox_ops *ops;
    const pudle_prox_kernel *kernel;
    void *params;
    bool nonnegative;
    pudle_view theta, v, p;
    pudle_code_shape shape;
} trial;

static const struct { int32_t rank; int64_t extent[4]; } shapes[] = {
    { 2, { 17, 59 } }, { 2, { 1, 1 } }, { 2, { 0, 5 } }, { 2, { 3, 0 } }, { 4, { 3, 5, 4, 3 } }, { 4, { 2, 3, 1, 1 } },
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static double level_of(const trial *c, int64_t i)
{
    return get(&c->theta, fake_count(&c->theta) > 1 ? i / c->shape.inner % c->shape.atoms : 0);
}

static void apply(const trial *c, const pudle_view *v, const pudle_view *p)
{
    const pudle_cview theta = pudle_const(&c->theta), in = pudle_const(v);
    assert_int_equal(c->kernel->apply(c->params, NULL, 0.3, &theta, &in, p), PUDLE_OK);
}

static void vjp(const trial *c, const pudle_view *g, const pudle_view *gv, const pudle_view *gtheta)
{
    const pudle_cview theta = pudle_const(&c->theta), in = pudle_const(&c->v), up = pudle_const(g);
    assert_int_equal(c->kernel->vjp(c->params, NULL, 0.3, &theta, &in, NULL, &up, gv, gtheta), PUDLE_OK);
}

/* v keeps clear of the kink, so that differences of width 1e-3 stay on one side. */
static void fill(trial *c)
{
    for (int64_t i = 0; i < fake_count(&c->theta); i++)
        set(&c->theta, i, 0.2 + pudle_random_uniform(fake_random()));
    for (int64_t i = 0; i < fake_count(&c->v); i++)
        do
            set(&c->v, i, 1.5 * normal());
        while (fabs(fabs(get(&c->v, i)) - level_of(c, i)) < 5e-3);
}

static void for_each_trial(void (*test)(trial *))
{
    for (size_t k = 0; k < sizeof operators / sizeof *operators; k++) {
        const pudle_desc *desc = fake_load("prox", operators[k].name);
        for (int variant = 0; variant < 8 * SHAPES; variant++) {
            const int32_t dtype = variant & 1 ? PUDLE_F64 : PUDLE_F32;
            const int s = variant / 8;
            trial c = { .op = &operators[k], .desc = desc, .ops = desc->ops, .nonnegative = (variant & 2) != 0 };
            c.kernel = c.ops->kernels[0];
            c.params = fake_params(desc, SETTINGS("nonnegative", c.nonnegative ? "true" : "false"));
            c.v = fake_view(dtype, shapes[s].rank, shapes[s].extent);
            c.p = fake_view(dtype, shapes[s].rank, shapes[s].extent);
            c.theta = fake_view(dtype, 1, &(int64_t){ variant & 4 ? shapes[s].extent[1] : 1 });
            const pudle_cview v = pudle_const(&c.v);
            c.shape = pudle_code_shape_of(&v);
            fill(&c);
            test(&c);
            free(c.v.data);
            free(c.p.data);
            free(c.theta.data);
            free(c.params);
        }
    }
}

static double expected(const trial *c, int64_t i)
{
    const double v = get(&c->v, i);
    return c->nonnegative && v < 0 ? 0 : c->op->value(v, level_of(c, i));
}

static void check_value(trial *c)
{
    const double eps = c->v.dtype == PUDLE_F64 ? 2.3e-16 : 1.2e-7;
    apply(c, &c->v, &c->p);
    for (int64_t i = 0; i < fake_count(&c->v); i++)
        assert_true(fabs(get(&c->p, i) - expected(c, i)) <= eps * fabs(get(&c->v, i)));
}

/* p minimises 1/2 (q - v)^2 + tau f(q): no q on a grid, nor 0, does better. */
static void check_optimal(trial *c)
{
    apply(c, &c->v, &c->p);
    for (int64_t i = 0; i < fake_count(&c->v); i++) {
        const double v = get(&c->v, i), p = get(&c->p, i), t = level_of(c, i);
        const double best = (p - v) * (p - v) / 2 + c->op->penalty(p, t);
        for (double q = c->nonnegative ? 0 : -6; q <= 6; q += 0.01)
            assert_true(best <= (q - v) * (q - v) / 2 + c->op->penalty(q, t) + 1e-5);
        assert_true(best <= v * v / 2 + 1e-6);
        assert_true(!c->nonnegative || p >= 0);
    }
}

static double weighted(const trial *c, const pudle_view *g)
{
    double sum = 0;
    apply(c, &c->v, &c->p);
    for (int64_t i = 0; i < fake_count(g); i++)
        sum += get(g, i) * get(&c->p, i);
    return sum;
}

/* Both operators are piecewise linear, so central differences of any width that crosses no kink are exact. */
static void check_derivative(trial *c)
{
    const double h = 1.0 / 1024, tolerance = c->v.dtype == PUDLE_F64 ? 1e-9 : 2e-3;
    const int64_t n = fake_count(&c->v), levels = fake_count(&c->theta);
    pudle_view g = fake_copy(&c->v), gv = fake_copy(&c->v), gtheta = fake_view(PUDLE_F64, 1, &levels);
    for (int64_t i = 0; i < n; i++) {
        set(&g, i, normal());
        set(&gv, i, NAN); /* overwritten */
    }
    for (int64_t k = 0; k < levels; k++)
        set(&gtheta, k, 1.5); /* added to */
    vjp(c, &g, &gv, &gtheta);

    for (int64_t i = 0; i < n; i++) {
        const double v = get(&c->v, i);
        set(&c->v, i, v + h);
        apply(c, &c->v, &c->p);
        const double up = get(&c->p, i), above = get(&c->v, i);
        set(&c->v, i, v - h);
        apply(c, &c->v, &c->p);
        const double slope = (up - get(&c->p, i)) / (above - get(&c->v, i));
        set(&c->v, i, v);
        assert_true(fabs(get(&gv, i) - slope * get(&g, i)) <= tolerance * (1 + fabs(get(&g, i))));
    }
    for (int64_t k = 0; k < levels && n; k++) {
        const double t = get(&c->theta, k);
        set(&c->theta, k, t + h);
        const double up = weighted(c, &g), above = get(&c->theta, k);
        set(&c->theta, k, t - h);
        const double slope = (up - weighted(c, &g)) / (above - get(&c->theta, k));
        set(&c->theta, k, t);
        assert_true(fabs(get(&gtheta, k) - 1.5 - slope) <= tolerance * 20);
    }

    pudle_view alone = fake_copy(&g); /* in place, and no gradient of the level: the same gv */
    vjp(c, &alone, &alone, NULL);
    assert_true(same_bits(&alone, &gv));
    free(alone.data);
    alone = fake_copy(&g);
    pudle_view again = fake_view(PUDLE_F64, 1, &levels);
    vjp(c, &alone, &alone, &again);
    assert_true(same_bits(&alone, &gv));
    for (int64_t k = 0; k < levels; k++)
        assert_true(fabs(get(&again, k) + 1.5 - get(&gtheta, k)) < 1e-9);
    free(alone.data);
    free(again.data);
    free(g.data);
    free(gv.data);
    free(gtheta.data);
}

static void check_in_place(trial *c)
{
    pudle_view v = fake_copy(&c->v);
    apply(c, &c->v, &c->p);
    apply(c, &v, &v);
    assert_true(same_bits(&v, &c->p));
    free(v.data);
}

/* A NaN stays where it is and nowhere else; infinities stay; a NaN level spoils what it touches. */
static void check_nan(trial *c)
{
    const int64_t n = fake_count(&c->v);
    for (int64_t i = 0; i < n; i++)
        if (i % 3 == 0)
            set(&c->v, i, i % 2 ? NAN : -NAN);
        else if (i % 7 == 0)
            set(&c->v, i, INFINITY);
    apply(c, &c->v, &c->p);
    for (int64_t i = 0; i < n; i++) {
        assert_int_equal(!!isnan(get(&c->p, i)), i % 3 == 0);
        assert_int_equal(!!isinf(get(&c->p, i)), i % 3 && i % 7 == 0);
    }
    for (int64_t k = 0; k < fake_count(&c->theta); k++)
        set(&c->theta, k, NAN);
    apply(c, &c->v, &c->p);
    for (int64_t i = 0; i < n; i++)
        assert_true(get(&c->p, i) != 0);
}

/* At |v| = t both give 0, and so do the derivatives; a float further out they do not. Below the dead zone: exactly 0. */
static void check_kink(trial *c)
{
    const int64_t n = fake_count(&c->v);
    const double t = 0.25;
    const int64_t levels = fake_count(&c->theta);
    assert_true(c->ops->dead_zone(c->params, 0.3, (const double[]){ t }) == t);
    for (int64_t k = 0; k < levels; k++)
        set(&c->theta, k, t);
    pudle_view g = fake_copy(&c->v), gtheta = fake_view(PUDLE_F64, 1, &levels);
    for (int64_t i = 0; i < n; i++) {
        set(&c->v, i, i % 3 == 0 ? t : i % 3 == 1 ? -t : t * (2 * pudle_random_uniform(fake_random()) - 1));
        set(&g, i, 1);
    }
    apply(c, &c->v, &c->p);
    vjp(c, &g, &g, &gtheta);
    for (int64_t i = 0; i < n; i++) {
        assert_true(get(&c->p, i) == 0);
        assert_true(get(&g, i) == 0);
    }
    for (int64_t k = 0; k < levels; k++)
        assert_true(get(&gtheta, k) == 0);
    for (int64_t i = 0; i < n; i++)
        set(&c->v, i, t * (1 + 1e-6));
    apply(c, &c->v, &c->p);
    for (int64_t i = 0; i < n; i++)
        assert_true(get(&c->p, i) > 0);
    free(g.data);
    free(gtheta.data);
}

static void test_value(void **state)
{
    (void)state;
    for_each_trial(check_value);
}

static void test_optimal(void **state)
{
    (void)state;
    for_each_trial(check_optimal);
}

static void test_derivative(void **state)
{
    (void)state;
    for_each_trial(check_derivative);
}

static void test_in_place(void **state)
{
    (void)state;
    for_each_trial(check_in_place);
}

static void test_nan(void **state)
{
    (void)state;
    for_each_trial(check_nan);
}

static void test_kink(void **state)
{
    (void)state;
    for_each_trial(check_kink);
}

static void test_descriptors(void **state)
{
    (void)state;
    const pudle_desc *soft = fake_load("prox", "soft_threshold"), *hard = fake_load("prox", "hard_threshold");
    assert_int_equal(soft->caps, PUDLE_PROX_CONVEX | PUDLE_PROX_SEPARABLE | PUDLE_PROX_INPLACE);
    assert_int_equal(hard->caps, PUDLE_PROX_SEPARABLE | PUDLE_PROX_INPLACE);
    const uint32_t both = PUDLE_THRESHOLD | PUDLE_PER_STEP;
    assert_int_equal(fake_option(soft, "lambda")->flags & both, both);
    assert_int_equal(fake_option(hard, "threshold")->flags & both, PUDLE_THRESHOLD);
    assert_int_equal(((const pudle_prox_ops *)soft->ops)->vjp_needs, PUDLE_VJP_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptors), cmocka_unit_test(test_value),    cmocka_unit_test(test_optimal),
        cmocka_unit_test(test_derivative),  cmocka_unit_test(test_in_place), cmocka_unit_test(test_nan),
        cmocka_unit_test(test_kink),
    };
    fake_random();
    return cmocka_run_group_tests_name("prox", tests, NULL, NULL);
}
