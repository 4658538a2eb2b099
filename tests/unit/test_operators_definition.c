/* The elementwise operators against their definition: the minimum of 1/2 (q - v)^2 + penalty, searched for by brute force; float against double;
 * derivatives against differences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "operator_cases.h"

/* -------------------------------------------------------------- optimality */

static double cost(const trial *c, double q, double v, const double *t)
{
    return (q - v) * (q - v) / 2 + c->op->penalty(c->op, q, t);
}

/* The smallest cost: on a grid over the domain, then by golden section around its best point; and at 0, where penalties jump. */
static double least_cost(const trial *c, double v, const double *t)
{
    enum { GRID = 400 };
    const double golden = (sqrt(5.0) - 1) / 2;
    double low, high, best = INFINITY, at = 0;
    domain(c, t, &low, &high);
    const double zero = low <= 0 && high >= 0 ? cost(c, 0, v, t) : INFINITY;
    low = fmax(low, fmin(v, 0) - 2);
    high = fmin(high, fmax(v, 0) + 2);
    const double cell = (high - low) / GRID;
    for (int i = 0; i <= GRID; i++) {
        const double q = low + i * cell, one = cost(c, q, v, t);
        if (one < best) {
            best = one;
            at = q;
        }
    }
    double a = fmax(low, at - cell), b = fmin(high, at + cell);
    for (int i = 0; i < 60; i++) {
        const double x = b - golden * (b - a), y = a + golden * (b - a), fx = cost(c, x, v, t), fy = cost(c, y, v, t);
        best = fmin(best, fmin(fx, fy));
        if (fx <= fy)
            b = y;
        else
            a = x;
    }
    return fmin(fmin(best, zero), fmin(cost(c, a, v, t), cost(c, b, v, t)));
}

static void check_optimal(const trial *c)
{
    for (int i = 0; i < DRAWS; i++) {
        double t[LEVELS], low, high;
        const double v = draw(c, t);
        const mapped m = map(c, PUDLE_F64, v, t);
        domain(c, t, &low, &high);
        EXPECT(m.p >= low && m.p <= high, c, v, t, m);
        EXPECT(cost(c, m.p, v, t) <= least_cost(c, v, t) + 1e-13 * (1 + v * v), c, v, t, m);
    }
}

/* Double is right by the test above; float stays near it, but where a rounding error of v decides. */
static void check_float(const trial *c)
{
    int near = 0;
    for (int i = 0; i < DRAWS; i++) {
        double t[LEVELS];
        const double v = draw_float(c, t);
        const mapped m = map(c, PUDLE_F64, v, t), f = map(c, PUDLE_F32, v, t), a = map(c, PUDLE_F64, v * (1 + 1e-5), t),
                     b = map(c, PUDLE_F64, v * (1 - 1e-5), t);
        const bool edge = fabs(a.p - b.p) > 1e-3 * (1 + fabs(v)) || fabs(a.dv - b.dv) > 1e-3 * (1 + fabs(m.dv)) ||
                          fabs(a.dt[0] - b.dt[0]) > 1e-2 || fabs(a.dt[1] - b.dt[1]) > 1e-2;
        near += edge;
        EXPECT(edge || fabs(f.p - m.p) <= 2e-6 * (1 + fabs(v)), c, v, t, f);
        EXPECT(edge || fabs(f.dv - m.dv) <= 2e-3 * (1 + fabs(m.dv)), c, v, t, f);
        for (int k = 0; k < c->levels; k++)
            EXPECT(edge || fabs(f.dt[k] - m.dt[k]) <= 2e-3 * (1 + fabs(m.dt[k])), c, v, t, f);
    }
    assert_true(near < DRAWS / 20);
}

/* Every prox is monotone; that of a convex penalty firmly nonexpansive. Without a side it favours, it is odd. */
static void check_monotone(const trial *c)
{
    const bool odd = !c->op->nonnegative && !says(c, "box") && !says(c, "nonnegative") && !says(c, "nonpositive") && !says(c, "jumprelu");
    for (int i = 0; i < DRAWS; i++) {
        double t[LEVELS], again[LEVELS];
        const double v = draw(c, t), w = i % 2 ? draw(c, again) : v + 0.01 * normal();
        const mapped m = map(c, PUDLE_F64, v, t), n = map(c, PUDLE_F64, w, t);
        const double dp = m.p - n.p, dv = v - w;
        EXPECT(dp * dv >= -1e-12, c, v, t, m);
        if (c->desc->caps & PUDLE_PROX_CONVEX)
            EXPECT(dp * dp <= dp * dv + 1e-12, c, v, t, m);
        if (odd)
            EXPECT(map(c, PUDLE_F64, -v, t).p == -m.p, c, v, t, m);
    }
}

/* ------------------------------------------------------------- derivatives */

/* One-sided slopes that differ tell of a kink or a jump between, where nothing is compared. */
static bool same_slope(double below, double at, double above, double h, double derivative, bool *edge)
{
    const double left = (at - below) / h, right = (above - at) / h, apart = fabs(left - right);
    *edge = apart > 1e-3 * (1 + fabs(left));
    return *edge || fabs(derivative - (left + right) / 2) <= 1e-6 * (1 + fabs(derivative)) + apart;
}

static void check_derivative(const trial *c)
{
    const double h = 1.0 / (1 << 20);
    int edges = 0;
    for (int i = 0; i < DRAWS; i++) {
        double t[LEVELS];
        bool edge;
        const double v = draw(c, t);
        const mapped m = map(c, PUDLE_F64, v, t);
        EXPECT(same_slope(map(c, PUDLE_F64, v - h, t).p, m.p, map(c, PUDLE_F64, v + h, t).p, h, m.dv, &edge), c, v, t, m);
        edges += edge;
        for (int k = 0; k < c->levels && !c->surrogate; k++) {
            double up[LEVELS] = { t[0], t[1] }, down[LEVELS] = { t[0], t[1] };
            up[k] += h;
            down[k] -= h;
            EXPECT(same_slope(map(c, PUDLE_F64, v, down).p, m.p, map(c, PUDLE_F64, v, up).p, h, m.dt[k], &edge), c, v, t, m);
            edges += edge;
        }
    }
    assert_true(edges < DRAWS / 50);
}

/* The stand-in is what differences of a smoothed operator would be: minus the level over the width, in a window around it. */
static void check_straight_through(const trial *c)
{
    for (int i = 0; i < DRAWS && c->surrogate; i++) {
        double t[LEVELS];
        const double width = c->op->extra, v = i % 2 ? draw(c, t) : draw(c, t) * 0 + t[0] + 0.3 * normal();
        const bool two_sided = says(c, "hard_threshold_ste");
        const double from = (two_sided ? fabs(v) : v) - t[0], expected = from > -width / 2 && from < width / 2 ? -t[0] / width : 0;
        const mapped m = map(c, PUDLE_F64, v, t);
        EXPECT(fabs(m.dt[0] - (two_sided && v < 0 ? -expected : expected)) < 1e-12, c, v, t, m);
    }
}

TEST_EACH(optimal)
TEST_EACH(float)
TEST_EACH(monotone)
TEST_EACH(derivative)
TEST_EACH(straight_through)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_optimal),
        cmocka_unit_test(test_float),
        cmocka_unit_test(test_monotone),
        cmocka_unit_test(test_derivative),
        cmocka_unit_test(test_straight_through),
    };
    fake_random();
    return cmocka_run_group_tests_name("operators: definition", tests, NULL, NULL);
}
