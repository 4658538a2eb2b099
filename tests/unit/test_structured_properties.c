/* What holds of the operators that look at more than one entry whatever they compute: derivatives are those by differences and symmetric,
 * convex ones are firmly nonexpansive, float follows double, work in place changes nothing, and a NaN spoils what depends on it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "structured.h"

/* At v, whose prox must be in p. */
static void vjp(const trial *c, const pudle_view *g, const pudle_view *gv, const pudle_view *gtheta)
{
    const pudle_cview theta[2] = { pudle_const(&c->theta[0]), pudle_const(&c->theta[1]) };
    const pudle_cview v = pudle_const(&c->v), p = pudle_const(&c->p), up = pudle_const(g);
    assert_int_equal(c->kernel->vjp(c->self, NULL, 0.3, theta, c->ops->vjp_needs & PUDLE_VJP_INPUT ? &v : NULL,
                                    c->ops->vjp_needs & PUDLE_VJP_OUTPUT ? &p : NULL, &up, gv, gtheta), PUDLE_OK);
}

static double inner(const pudle_view *a, const pudle_view *b)
{
    double sum = 0;
    for (int64_t i = 0; i < fake_count(a); i++)
        sum += get(a, i) * get(b, i);
    return sum;
}

static pudle_view draw_like(const pudle_view *v)
{
    pudle_view g = fake_copy(v);
    for (int64_t i = 0; i < fake_count(v); i++)
        set(&g, i, normal());
    return g;
}

/* (dp/dx)' g for one number x of the input, by differences; false next to a kink, where left and right differ. */
static bool slope(const trial *c, const pudle_view *of, int64_t i, const pudle_view *g, double *out)
{
    const double x = get(of, i), h = 1e-6;
    pudle_view p = fake_copy(&c->p);
    double f[3];
    for (int k = 0; k < 3; k++) {
        set(of, i, x + (k - 1) * h);
        apply(c, &c->v, &p);
        f[k] = 0;
        for (int64_t j = 0; j < fake_count(g); j++)
            f[k] += get(g, j) * (get(&p, j) - get(&c->p, j));
    }
    set(of, i, x);
    free(p.data);
    *out = (f[2] - f[0]) / (2 * h);
    return fabs(f[2] - 2 * f[1] + f[0]) <= 1e-4 * h * (1 + fabs(*out));
}

static void check_derivative(trial *c)
{
    const int64_t n = fake_count(&c->v), levels = fake_count(&c->theta[0]);
    int skipped = 0, asked = 0;
    apply(c, &c->v, &c->p);
    pudle_view g = draw_like(&c->v), gv = fake_copy(&c->v), gtheta[2];
    for (int k = 0; k < 2; k++) {
        gtheta[k] = fake_view(PUDLE_F64, 1, &levels);
        for (int64_t i = 0; i < levels; i++)
            set(&gtheta[k], i, 1.5); /* added to */
    }
    for (int64_t i = 0; i < n; i++)
        set(&gv, i, NAN); /* overwritten */
    vjp(c, &g, &gv, c->op->levels ? gtheta : NULL);
    double want;
    for (int64_t i = 0; i < n; i += n > 200 ? 1 + below(8) : 1, asked++)
        if (!slope(c, &c->v, i, &g, &want))
            skipped++;
        else if (!(fabs(get(&gv, i) - want) <= 1e-6 * (1 + fabs(want))))
            fail_msg("%s variant %d: derivative %d is %.12g, by differences %.12g", c->op->name, c->variant, (int)i, get(&gv, i), want);
    for (int k = 0; k < c->op->levels; k++)
        for (int64_t i = 0; i < levels; i++, asked++)
            if (!slope(c, &c->theta[k], i, &g, &want))
                skipped++;
            else if (!(fabs(get(&gtheta[k], i) - 1.5 - want) <= 1e-5 * (1 + fabs(want))))
                fail_msg("%s variant %d: derivative of level %d, %d is %.12g, by differences %.12g", c->op->name, c->variant, k, (int)i,
                         get(&gtheta[k], i) - 1.5, want);
    assert_true(skipped <= 3 + asked / 50);

    pudle_view alone = fake_copy(&g); /* in place, and no gradient of the level: the same gv */
    vjp(c, &alone, &alone, NULL);
    assert_true(same_bits(&alone, &gv));
    free(alone.data);
    free(g.data);
    free(gv.data);
    free(gtheta[0].data);
    free(gtheta[1].data);
}

static void check_symmetric(trial *c)
{
    apply(c, &c->v, &c->p);
    pudle_view a = draw_like(&c->v), b = draw_like(&c->v), ja = fake_copy(&a), jb = fake_copy(&b);
    vjp(c, &a, &ja, NULL);
    vjp(c, &b, &jb, NULL);
    const double bound = c->v.dtype == PUDLE_F64 ? 1e-12 : 1e-4;
    assert_true(fabs(inner(&a, &jb) - inner(&b, &ja)) <= bound * (1 + sqrt(inner(&a, &a) * inner(&b, &b))));
    free(a.data);
    free(b.data);
    free(ja.data);
    free(jb.data);
}

static void check_firm(trial *c)
{
    if (!(c->op->caps & PUDLE_PROX_CONVEX))
        return;
    pudle_view v = fake_copy(&c->v), p = fake_copy(&c->v);
    for (int round = 0; round < 6; round++) {
        for (int64_t i = 0; i < fake_count(&v); i++)
            set(&v, i, get(&c->v, i) + pow(10, -round) * normal());
        apply(c, &c->v, &c->p);
        apply(c, &v, &p);
        double square = 0, product = 0;
        for (int64_t i = 0; i < fake_count(&v); i++) {
            const double dp = get(&p, i) - get(&c->p, i);
            square += dp * dp;
            product += dp * (get(&v, i) - get(&c->v, i));
        }
        assert_true(square <= product + (c->v.dtype == PUDLE_F64 ? 1e-13 : 1e-5) * (1 + product));
    }
    free(v.data);
    free(p.data);
}

/* Float against double on the same numbers; apply and vjp. */
static void check_float(trial *c)
{
    trial d = *c;
    const int64_t n = fake_count(&c->v), levels = fake_count(&c->theta[0]);
    pudle_view g = draw_like(&c->v), wide = fake_view(PUDLE_F64, c->v.rank, c->v.shape), gv = fake_copy(&g), wide_gv = fake_copy(&wide);
    pudle_view gtheta[4];
    d.v = fake_copy(&wide);
    d.p = fake_copy(&wide);
    for (int64_t i = 0; i < n; i++) {
        set(&d.v, i, get(&c->v, i));
        set(&wide, i, get(&g, i));
    }
    for (int k = 0; k < 2; k++) {
        d.theta[k] = fake_view(PUDLE_F64, 1, &levels);
        gtheta[k] = fake_view(PUDLE_F64, 1, &levels);
        gtheta[k + 2] = fake_view(PUDLE_F64, 1, &levels);
        for (int64_t i = 0; i < levels; i++)
            set(&d.theta[k], i, get(&c->theta[k], i));
    }
    apply(c, &c->v, &c->p);
    apply(&d, &d.v, &d.p);
    vjp(c, &g, &gv, c->op->levels ? gtheta : NULL);
    vjp(&d, &wide, &wide_gv, c->op->levels ? gtheta + 2 : NULL);
    for (int64_t i = 0; i < n; i++) {
        assert_true(fabs(get(&c->p, i) - get(&d.p, i)) <= 1e-5);
        assert_true(fabs(get(&gv, i) - get(&wide_gv, i)) <= 1e-4);
    }
    for (int k = 0; k < c->op->levels; k++)
        for (int64_t i = 0; i < levels; i++)
            assert_true(fabs(get(&gtheta[k], i) - get(&gtheta[k + 2], i)) <= 1e-3);
    pudle_view *const all[] = { &g, &wide, &gv, &wide_gv, &d.v, &d.p, &d.theta[0], &d.theta[1], &gtheta[0], &gtheta[1], &gtheta[2], &gtheta[3] };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]->data);
}

static void check_in_place(trial *c)
{
    pudle_view v = fake_copy(&c->v);
    apply(c, &c->v, &c->p);
    apply(c, &v, &v);
    assert_true(same_bits(&v, &c->p));
    free(v.data);
}

static int64_t group_of(const trial *c, int64_t atom)
{
    int64_t g = 0;
    while (atom >= c->size[g])
        atom -= c->size[g++];
    return g;
}

static bool reached(const trial *c, int64_t i, int64_t nan)
{
    const int64_t sample = i / (c->shape.atoms * c->shape.inner), nan_sample = nan / (c->shape.atoms * c->shape.inner);
    const bool position = i % c->shape.inner == nan % c->shape.inner;
    switch (c->op->reach) {
    case ENTRY: return i == nan;
    case GROUP: return sample == nan_sample && position && group_of(c, atom_at(c, i)) == group_of(c, atom_at(c, nan));
    case SET: return sample == nan_sample && (position || !c->position);
    default: return i / c->last == nan / c->last;
    }
}

/* NaN spoils what depends on it and nothing else, forward and back; so does a level that is NaN. */
static void check_nan(trial *c)
{
    const int64_t n = fake_count(&c->v);
    if (n == 0)
        return;
    const int64_t at[2] = { below(n), below(n) };
    set(&c->v, at[0], NAN);
    set(&c->v, at[1], -NAN);
    apply(c, &c->v, &c->p);
    for (int64_t i = 0; i < n; i++)
        assert_int_equal(!!isnan(get(&c->p, i)), reached(c, i, at[0]) || reached(c, i, at[1]));
    assert_true(isnan(value(c, &c->p)));
    pudle_view g = draw_like(&c->v);
    set(&c->v, at[0], 1);
    set(&c->v, at[1], 1);
    apply(c, &c->v, &c->p);
    for (int64_t i = 0; i < n; i++)
        set(&g, i, NAN);
    vjp(c, &g, &g, NULL);
    for (int64_t i = 0; i < n; i++)
        assert_true(get(&c->p, i) == 0 || isnan(get(&g, i)));
    free(g.data);
    for (int k = 0; k < 2; k++)
        for (int64_t i = 0; i < fake_count(&c->theta[k]); i++)
            set(&c->theta[k], i, NAN);
    apply(c, &c->v, &c->p);
    for (int64_t i = 0; i < n && c->op->levels; i++)
        assert_true(isnan(get(&c->p, i)) || (c->op->reference == slow_atomwise && get(&c->p, i) != 0));
}

TEST(derivative, PUDLE_F64)
TEST(symmetric, 0)
TEST(firm, 0)
TEST(float, PUDLE_F32)
TEST(in_place, 0)
TEST(nan, 0)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_derivative, fresh),
        cmocka_unit_test_setup(test_symmetric, fresh),
        cmocka_unit_test_setup(test_firm, fresh),
        cmocka_unit_test_setup(test_float, fresh),
        cmocka_unit_test_setup(test_in_place, fresh),
        cmocka_unit_test_setup(test_nan, fresh),
    };
    fake_random();
    return cmocka_run_group_tests_name("structured_properties", tests, NULL, NULL);
}
