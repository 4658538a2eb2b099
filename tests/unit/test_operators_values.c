/* The elementwise operators at special values, where they jump or bend, on whole arrays, outside their domain; and what their descriptors say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "operator_cases.h"

static void check_special(const trial *c)
{
    static const int32_t dtypes[] = { PUDLE_F32, PUDLE_F64 };
    for (int d = 0; d < 2; d++) {
        for (int i = 0; i < 50; i++) {
            double t[LEVELS], low, high;
            draw_float(c, t);
            domain(c, t, &low, &high);
            mapped m = map(c, dtypes[d], i % 2 ? NAN : -NAN, t);
            EXPECT(isnan(m.p), c, NAN, t, m);
            m = map(c, dtypes[d], INFINITY, t);
            EXPECT(m.p == high && !isnan(m.dv) && !isnan(m.dt[0]) && !isnan(m.dt[1]), c, INFINITY, t, m);
            m = map(c, dtypes[d], -INFINITY, t);
            EXPECT(m.p == low && !isnan(m.dv) && !isnan(m.dt[0]) && !isnan(m.dt[1]), c, -INFINITY, t, m);
            for (double v = 1e-30; v < 1e31; v *= 10) { /* nothing overflows on the way */
                m = map(c, dtypes[d], v, t);
                EXPECT(m.p >= low && m.p <= fmin(high, fmax(low, v * (1 + 1e-6))), c, v, t, m);
                EXPECT(isfinite(m.dv) && isfinite(m.dt[0]) && isfinite(m.dt[1]), c, v, t, m);
            }
            for (int k = 0; k < c->levels; k++) {
                double spoilt[LEVELS] = { t[0], t[1] };
                spoilt[k] = NAN;
                m = map(c, dtypes[d], 30, spoilt);
                EXPECT(m.p != 0, c, 30.0, spoilt, m);
            }
            if (c->levels == 1) { /* without weight only the domain is left */
                static const double none[LEVELS] = { 0, 0 };
                const double v = (float)(2 * normal());
                m = map(c, dtypes[d], v, none);
                EXPECT(fabs(m.p - (v < low ? low : v)) <= 1e-6 * fabs(v), c, v, none, m);
                EXPECT(v < low || fabs(m.dv - 1) <= 1e-6, c, v, none, m);
                EXPECT(map(c, dtypes[d], 0, none).p == 0, c, 0.0, none, m);
            }
        }
    }
}

/* The dead zone is mapped to exactly 0, its ends included; so are the derivatives there; and it is as wide as it can be. */
static void check_dead_zone(const trial *c)
{
    static const int32_t dtypes[] = { PUDLE_F32, PUDLE_F64 };
    for (int i = 0; i < DRAWS && c->ops->dead_zone; i++) {
        double t[LEVELS];
        const int32_t dtype = dtypes[i % 2];
        draw_float(c, t);
        const double zone = c->ops->dead_zone(c->params, c->op->tau, t);
        double v = i % 3 ? zone : zone * pudle_random_uniform(fake_random());
        if (dtype == PUDLE_F32 && (double)(float)v > v)
            v = nextafterf((float)v, 0);
        for (int sign = -1; sign <= 1; sign += 2) {
            const mapped m = map(c, dtype, sign * v, t);
            EXPECT(m.p == 0 && m.dv == 0, c, sign * v, t, m);
            EXPECT(c->surrogate || (m.dt[0] == 0 && m.dt[1] == 0), c, sign * v, t, m);
        }
        const bool compared = says(c, "log_sum") && sqrt(t[0]) > c->op->extra;
        const mapped m = map(c, dtype, zone * (1 + 1e-5), t);
        EXPECT(compared || m.p > 0, c, zone, t, m);
    }
}

/* Where two minima cost the same, 0 and the derivative 0: at the jumps whose place is known in closed form. */
static void test_jumps(void **state)
{
    (void)state;
    static const struct { const char *name; double t, at, beyond; } jumps[] = {
        { "l_half", 0.125, 0.375, 0.25 }, { "l_two_thirds", 0.09375, 0.25, 0.125 }, { "jumprelu", 0.25, 0.25, 0.25 }, { "hard_threshold_ste", 0.25, 0.25, 0.25 },
    };
    for (size_t i = 0; i < sizeof jumps / sizeof *jumps; i++) {
        const choice at = { .name = jumps[i].name, .tau = 0.3 };
        trial c = trial_make(&at);
        const double t[LEVELS] = { jumps[i].t, 0 };
        mapped m = map(&c, PUDLE_F64, jumps[i].at * (1 - 1e-12), t);
        assert_true(m.p == 0 && m.dv == 0);
        m = map(&c, PUDLE_F64, jumps[i].at * (1 + 1e-12), t);
        assert_true(fabs(m.p - jumps[i].beyond) < 1e-9);
        trial_free(&c);
    }
}

/* At bends that are no threshold: the side that the file says. */
static void test_bends(void **state)
{
    (void)state;
    static const struct { const char *name; double t[LEVELS], v; mapped expected; } bends[] = {
        { "nonnegative", { 0 }, 0, { 0, 0, { 0 } } },
        { "nonpositive", { 0 }, 0, { 0, 0, { 0 } } },
        { "box", { -0.5, 0.75 }, 0.75, { 0.75, 0, { 0, 0 } } },
        { "box", { -0.5, 0.75 }, -0.5, { -0.5, 0, { 0, 0 } } },
        { "box", { 0.75, -0.5 }, 0.1, { -0.5, 0, { 0, 1 } } }, /* bounds that learning has crossed: the upper one */
        { "box", { 0.75, -0.5 }, -9, { -0.5, 0, { 0, 1 } } },
        { "mcp", { 0.25 }, 1.5, { 1.5, 1.2, { -1.2 } } },              /* tau = 1/2, gamma = 3: gamma lambda = 3/2 */
        { "firm_threshold", { 0.25, 0.75 }, -0.75, { -0.75, 1.5, { 0, 0.5 } } },
        { "huber_penalty", { 0.5 }, 1.5, { 1, 2.0 / 3, { -2.0 / 3 } } },
    };
    for (size_t i = 0; i < sizeof bends / sizeof *bends; i++) {
        const choice at = { .name = bends[i].name, .tau = 0.5 };
        trial c = trial_make(&at);
        const mapped m = map(&c, PUDLE_F64, bends[i].v, bends[i].t), e = bends[i].expected;
        if (fabs(m.p - e.p) > 1e-12 || fabs(m.dv - e.dv) > 1e-12 || fabs(m.dt[0] - e.dt[0]) > 1e-12 || fabs(m.dt[1] - e.dt[1]) > 1e-12)
            fail_msg("%s, row %d: p = %g, dp/dv = %g, dp/dt = %g, %g", bends[i].name, (int)i, m.p, m.dv, m.dt[0], m.dt[1]);
        trial_free(&c);
    }
}

/* ------------------------------------------------------------------ arrays */

static const struct { int32_t rank; int64_t extent[4]; } shapes[] = {
    { 2, { 17, 59 } }, { 2, { 1, 1 } }, { 2, { 0, 5 } }, { 2, { 3, 0 } }, { 4, { 3, 5, 4, 3 } }, { 4, { 2, 3, 1, 1 } }, { 3, { 2, 7, 33 } },
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

typedef struct arrays {
    pudle_view v, p, g, gv, theta[LEVELS], gtheta[LEVELS];
    pudle_code_shape shape;
} arrays;

static void arrays_make(const trial *c, arrays *a, int32_t dtype, int s, int per_atom)
{
    double t[LEVELS];
    a->v = fake_view(dtype, shapes[s].rank, shapes[s].extent);
    a->p = fake_copy(&a->v);
    a->g = fake_copy(&a->v);
    for (int k = 0; k < c->levels; k++) { /* per_atom has a bit for each level: they may differ */
        const int64_t extent = per_atom >> k & 1 ? shapes[s].extent[1] : 1;
        a->theta[k] = fake_view(dtype, 1, &extent);
        a->gtheta[k] = fake_view(PUDLE_F64, 1, &extent);
        for (int64_t i = 0; i < extent; i++) {
            draw(c, t);
            set(&a->theta[k], i, t[k]);
            set(&a->gtheta[k], i, 1.5); /* added to */
        }
    }
    for (int64_t i = 0; i < fake_count(&a->v); i++) {
        set(&a->v, i, draw(c, t));
        set(&a->g, i, normal());
        set(&a->p, i, NAN);
    }
    a->gv = fake_copy(&a->p);
    const pudle_cview v = pudle_const(&a->v);
    a->shape = pudle_code_shape_of(&v);
}

static void arrays_free(const trial *c, arrays *a)
{
    for (int k = 0; k < c->levels; k++) {
        free(a->theta[k].data);
        free(a->gtheta[k].data);
    }
    free(a->v.data);
    free(a->p.data);
    free(a->g.data);
    free(a->gv.data);
}

static void compare_arrays(const trial *c, const arrays *a, double penalty)
{
    const double eps = a->v.dtype == PUDLE_F64 ? 1e-12 : 1e-5;
    double sum[LEVELS][64] = { { 0 } }, size[LEVELS][64] = { { 0 } }, expected = 0;
    for (int64_t i = 0; i < fake_count(&a->v); i++) {
        double t[LEVELS] = { 0 };
        int64_t at[LEVELS] = { 0 };
        for (int k = 0; k < c->levels; k++) {
            at[k] = fake_count(&a->theta[k]) > 1 ? i / a->shape.inner % a->shape.atoms : 0;
            t[k] = get(&a->theta[k], at[k]);
        }
        const double v = get(&a->v, i), g = get(&a->g, i);
        const mapped m = map(c, a->v.dtype, v, t);
        EXPECT(fabs(get(&a->p, i) - m.p) <= eps * (1 + fabs(m.p)), c, v, t, m);
        EXPECT(fabs(get(&a->gv, i) - m.dv * g) <= eps * (1 + fabs(m.dv * g)), c, v, t, m);
        expected += c->op->penalty(c->op, get(&a->p, i), t);
        for (int k = 0; k < c->levels; k++) {
            sum[k][at[k]] += m.dt[k] * g;
            size[k][at[k]] += fabs(m.dt[k] * g);
        }
    }
    for (int k = 0; k < c->levels; k++)
        for (int64_t j = 0; j < fake_count(&a->gtheta[k]); j++)
            assert_true(fabs(get(&a->gtheta[k], j) - 1.5 - sum[k][j]) <= eps * (1 + size[k][j]));
    assert_true(fabs(penalty - expected) <= 1e-12 * (1 + fabs(expected)));
}

/* Whole arrays give what single entries do; the same bits in place, and without the levels' gradient. */
static void check_arrays(const trial *c)
{
    for (int variant = 0; variant < 8 * SHAPES; variant++) {
        arrays a;
        pudle_cview theta[LEVELS];
        double penalty = NAN;
        arrays_make(c, &a, variant & 1 ? PUDLE_F64 : PUDLE_F32, variant / 8, variant >> 1 & 3);
        for (int k = 0; k < c->levels; k++)
            theta[k] = pudle_const(&a.theta[k]);
        const pudle_cview v = pudle_const(&a.v), g = pudle_const(&a.g), p = pudle_const(&a.p);
        assert_int_equal(c->kernel->apply(c->params, NULL, c->op->tau, theta, &v, &a.p), PUDLE_OK);
        assert_int_equal(c->kernel->vjp(c->params, NULL, c->op->tau, theta, &v, NULL, &g, &a.gv, a.gtheta), PUDLE_OK);
        assert_int_equal(c->ops->value(c->params, c->op->tau, theta, &p, &penalty), PUDLE_OK);
        compare_arrays(c, &a, penalty);

        pudle_view same = fake_copy(&a.v);
        const pudle_cview from = pudle_const(&same);
        assert_int_equal(c->kernel->apply(c->params, NULL, c->op->tau, theta, &from, &same), PUDLE_OK);
        assert_true(same_bits(&same, &a.p));
        free(same.data);
        same = fake_copy(&a.g);
        const pudle_cview up = pudle_const(&same);
        assert_int_equal(c->kernel->vjp(c->params, NULL, c->op->tau, theta, &v, NULL, &up, &same, NULL), PUDLE_OK);
        assert_true(same_bits(&same, &a.gv));
        free(same.data);
        arrays_free(c, &a);
    }
}

/* Outside its domain a penalty is infinite. */
static void check_domain(const trial *c)
{
    double t[LEVELS], low, high, f;
    draw(c, t);
    domain(c, t, &low, &high);
    const double outside[] = { low - 0.01, high + 0.01 };
    for (int i = 0; i < 2; i++) {
        pudle_cview theta[LEVELS];
        for (int k = 0; k < c->levels; k++)
            theta[k] = (pudle_cview){ &t[k], PUDLE_F64, 1, { 1 }, { 1 } };
        const pudle_cview z = { &outside[i], PUDLE_F64, 2, { 1, 1 }, { 1, 1 } };
        if (isfinite(outside[i])) {
            assert_int_equal(c->ops->value(c->params, c->op->tau, theta, &z, &f), PUDLE_OK);
            assert_true(f == (double)INFINITY);
        }
    }
}

/* ------------------------------------------------------------- descriptors */

static pudle_status checked(const char *name, const char *const *settings)
{
    const pudle_desc *desc = fake_load("prox", name);
    void *params = fake_params(desc, settings);
    fake.error[0] = 0;
    const pudle_status s = desc->check ? desc->check(&fake_host, params) : PUDLE_OK;
    free(params);
    return s;
}

static void test_options_together(void **state)
{
    (void)state;
    assert_int_equal(checked("box", SETTINGS("lower", "-1", "upper", "-1")), PUDLE_OK);
    assert_int_equal(checked("box", SETTINGS("lower", "2")), PUDLE_ERR_CONFIG);
    assert_non_null(strstr(fake.error, "lower = 2 is above upper = 1"));
    assert_int_equal(checked("box", SETTINGS("upper", "nan")), PUDLE_ERR_CONFIG);
    assert_int_equal(checked("firm_threshold", SETTINGS(NULL)), PUDLE_OK);
    assert_int_equal(checked("firm_threshold", SETTINGS("lower", "0.3")), PUDLE_ERR_CONFIG);
    assert_non_null(strstr(fake.error, "lower = 0.3 is not below upper = 0.3"));
}

static void test_descriptors(void **state)
{
    (void)state;
    const uint64_t plain = PUDLE_PROX_SEPARABLE | PUDLE_PROX_INPLACE, convex = plain | PUDLE_PROX_CONVEX;
    const uint64_t surrogate = plain | PUDLE_PROX_SURROGATE;
    const struct { const char *name; uint64_t caps; int per_step, absolute; bool dead_zone; } rows[] = {
        { "nonnegative", convex | PUDLE_PROX_NONNEG, 0, 0, false },
        { "nonpositive", convex, 0, 0, false },
        { "elastic_net", convex, 2, 0, true },
        { "ridge", convex, 1, 0, false },
        { "box", convex, 0, 2, false },
        { "jumprelu", surrogate | PUDLE_PROX_NONNEG, 0, 1, true },
        { "hard_threshold_ste", surrogate, 0, 1, true },
        { "mcp", plain, 1, 0, true },
        { "scad", plain, 1, 0, true },
        { "firm_threshold", plain, 0, 2, true },
        { "l_half", plain, 1, 0, true },
        { "l_two_thirds", plain, 1, 0, true },
        { "log_sum", plain, 1, 0, true },
        { "garrote", plain, 0, 1, true },
        { "huber_penalty", convex, 1, 0, false },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const pudle_desc *desc = fake_load("prox", rows[i].name);
        const pudle_prox_ops *ops = desc->ops;
        int per_step = 0, absolute = 0;
        assert_true(desc->caps == rows[i].caps);
        for (const pudle_option *row = desc->options; row && row->name; row++) {
            per_step += (row->flags & PUDLE_PER_STEP) != 0;
            absolute += (row->flags & PUDLE_THRESHOLD) && !(row->flags & PUDLE_PER_STEP);
        }
        assert_int_equal(per_step, rows[i].per_step);
        assert_int_equal(absolute, rows[i].absolute);
        assert_true((ops->dead_zone != NULL) == rows[i].dead_zone);
        assert_non_null(ops->value);
        assert_non_null(ops->source);
        assert_int_equal(ops->source->levels, per_step + absolute);
    }
}

TEST_EACH(special)
TEST_EACH(dead_zone)
TEST_EACH(arrays)
TEST_EACH(domain)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_options_together),
        cmocka_unit_test(test_special),
        cmocka_unit_test(test_dead_zone),
        cmocka_unit_test(test_jumps),
        cmocka_unit_test(test_bends),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_domain),
    };
    fake_random();
    return cmocka_run_group_tests_name("operators: values", tests, NULL, NULL);
}
