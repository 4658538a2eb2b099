/* The elementwise operators against their definition: the minimum of 1/2 (q - v)^2 + penalty, searched for by brute force with
 * penalties written here; derivatives against differences; float against double; arrays against single entries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_host.h"

enum { DRAWS = 1500, LEVELS = 2 };

/* An operator with one choice of its options. extra: the value of the option that is no level, where there is one. */
typedef struct choice {
    const char *name;
    double (*penalty)(const struct choice *op, double z, const double *t); /* tau f(z), for z in the domain */
    double tau;
    const char *option, *value;      /* set beside the defaults; NULL: none */
    double extra;
    double low[LEVELS], high[LEVELS]; /* levels are drawn from here */
    bool nonnegative;                 /* set the option of that name */
} choice;

/* ------------------------------------------------- penalties, written naively */

static double f_none(const choice *op, double z, const double *t)
{
    return (void)op, (void)z, (void)t, 0;
}

static double f_elastic(const choice *op, double z, const double *t)
{
    return (void)op, t[0] * fabs(z) + 0.5 * t[1] * z * z;
}

static double f_ridge(const choice *op, double z, const double *t)
{
    return (void)op, 0.5 * t[0] * z * z;
}

static double f_count(const choice *op, double z, const double *t)
{
    return (void)op, z == 0 ? 0 : 0.5 * t[0] * t[0];
}

/* MCP and SCAD by the integral of their slopes, in steps on which the slope is linear. */
static double integral(double (*slope)(double x, double lambda, double extra), double z, double lambda, double extra, double knot)
{
    const double knots[] = { 0, fmin(lambda, knot), fmax(lambda, knot), INFINITY };
    double sum = 0;
    for (int i = 0; i < 3; i++) {
        const double from = knots[i], to = fmin(knots[i + 1], z);
        if (to > from)
            sum += (to - from) * slope((from + to) / 2, lambda, extra);
    }
    return sum;
}

static double slope_mcp(double x, double lambda, double gamma)
{
    return fmax(lambda - x / gamma, 0);
}

static double slope_scad(double x, double lambda, double a)
{
    return fmin(lambda, fmax(a * lambda - x, 0) / (a - 1));
}

static double f_mcp(const choice *op, double z, const double *t)
{
    const double lambda = t[0] / op->tau;
    return op->tau * integral(slope_mcp, fabs(z), lambda, op->extra, op->extra * lambda);
}

static double f_scad(const choice *op, double z, const double *t)
{
    const double lambda = t[0] / op->tau;
    return op->tau * integral(slope_scad, fabs(z), lambda, op->extra, op->extra * lambda);
}

static double f_firm(const choice *op, double z, const double *t)
{
    const double x = fabs(z);
    return (void)op, x > t[1] ? t[0] * t[1] / 2 : t[0] * x * (1 - x / (2 * t[1]));
}

static double f_half(const choice *op, double z, const double *t)
{
    return (void)op, t[0] * pow(fabs(z), 0.5);
}

static double f_two_thirds(const choice *op, double z, const double *t)
{
    return (void)op, t[0] * pow(fabs(z), 2.0 / 3);
}

static double f_log_sum(const choice *op, double z, const double *t)
{
    return t[0] * (log(fabs(z) + op->extra) - log(op->extra));
}

/* The integral from 0 of (sqrt(x^2 + 4 t^2) - x) / 2. */
static double f_garrote(const choice *op, double z, const double *t)
{
    const double x = fabs(z), root = sqrt(x * x + 4 * t[0] * t[0]);
    return (void)op, x * root / 4 + t[0] * t[0] * asinh(x / (2 * t[0])) - x * x / 4;
}

static double f_huber(const choice *op, double z, const double *t)
{
    const double x = fabs(z), d = op->extra;
    return t[0] * (x < d ? x * x / 2 : d * x - d * d / 2);
}

#define WEIGHT { 0.05, 0 }, { 1.2, 0 }
static const choice operators[] = {
    { "nonnegative", f_none, 0.3, NULL, NULL, 0, { 0 }, { 0 }, false },
    { "nonpositive", f_none, 0.3, NULL, NULL, 0, { 0 }, { 0 }, false },
    { "elastic_net", f_elastic, 0.3, NULL, NULL, 0, { 0.05, 0.05 }, { 1.2, 1.5 }, false },
    { "elastic_net", f_elastic, 0.3, NULL, NULL, 0, { 0.05, 0.05 }, { 1.2, 1.5 }, true },
    { "ridge", f_ridge, 0.3, NULL, NULL, 0, WEIGHT, false },
    { "ridge", f_ridge, 0.3, NULL, NULL, 0, WEIGHT, true },
    { "box", f_none, 0.3, NULL, NULL, 0, { -1, 0.1 }, { 0, 1.5 }, false },
    { "box", f_none, 0.3, NULL, NULL, 0, { 0.3, 0.9 }, { 0.8, 1.5 }, false },
    { "jumprelu", f_count, 0.3, "width", "0.25", 0.25, WEIGHT, false },
    { "hard_threshold_ste", f_count, 0.3, "width", "0.25", 0.25, WEIGHT, false },
    { "mcp", f_mcp, 0.3, NULL, NULL, 3, WEIGHT, false },
    { "mcp", f_mcp, 0.3, NULL, NULL, 3, WEIGHT, true },
    { "mcp", f_mcp, 0.3, "gamma", "0.31", 0.31, WEIGHT, false },
    { "mcp", f_mcp, 0.3, "gamma", "0.1", 0.1, WEIGHT, false }, /* gamma < tau: jumps */
    { "mcp", f_mcp, 0.3, "gamma", "0.1", 0.1, WEIGHT, true },
    { "scad", f_scad, 0.3, NULL, NULL, 3.7, WEIGHT, false },
    { "scad", f_scad, 0.3, NULL, NULL, 3.7, WEIGHT, true },
    { "scad", f_scad, 1.3, "a", "2.1", 2.1, WEIGHT, false }, /* a < 1 + tau: jumps from the soft part */
    { "scad", f_scad, 1.3, "a", "2.1", 2.1, WEIGHT, true },
    { "scad", f_scad, 5, "a", "2.1", 2.1, WEIGHT, false }, /* tau > 1 + a: jumps from 0 */
    { "firm_threshold", f_firm, 0.3, NULL, NULL, 0, { 0.05, 0.7 }, { 0.6, 1.8 }, false },
    { "firm_threshold", f_firm, 0.3, NULL, NULL, 0, { 0.05, 0.7 }, { 0.6, 1.8 }, true },
    { "firm_threshold", f_firm, 0.3, NULL, NULL, 0, { 0.7, 0.05 }, { 1.8, 0.6 }, false }, /* carried past each other */
    { "l_half", f_half, 0.3, NULL, NULL, 0, WEIGHT, false },
    { "l_half", f_half, 0.3, NULL, NULL, 0, WEIGHT, true },
    { "l_two_thirds", f_two_thirds, 0.3, NULL, NULL, 0, WEIGHT, false },
    { "l_two_thirds", f_two_thirds, 0.3, NULL, NULL, 0, WEIGHT, true },
    { "log_sum", f_log_sum, 0.3, NULL, NULL, 1, { 0.05, 0 }, { 0.9, 0 }, false },
    { "log_sum", f_log_sum, 0.3, "epsilon", "20", 20, WEIGHT, true },
    { "log_sum", f_log_sum, 0.3, "epsilon", "0.2", 0.2, WEIGHT, false }, /* sqrt(t) > epsilon: jumps */
    { "log_sum", f_log_sum, 0.3, "epsilon", "0.01", 0.01, WEIGHT, true },
    { "garrote", f_garrote, 0.3, NULL, NULL, 0, WEIGHT, false },
    { "garrote", f_garrote, 0.3, NULL, NULL, 0, WEIGHT, true },
    { "huber_penalty", f_huber, 0.3, NULL, NULL, 1, WEIGHT, false },
    { "huber_penalty", f_huber, 0.3, "delta", "0.2", 0.2, WEIGHT, true },
};

/* -------------------------------------------------------------- one entry */

typedef struct trial {
    const choice *op;
    const pudle_desc *desc;
    const pudle_prox_ops *ops;
    const pudle_prox_kernel *kernel;
    void *params;
    int levels;
    bool surrogate;
    void *room; /* for the arrays of one entry */
} trial;

/* What the kernels make of one entry. */
typedef struct mapped { double p, dv, dt[LEVELS]; } mapped;

static mapped map(const trial *c, int32_t dtype, double v, const double *t)
{
    double *room = c->room; /* v, p, g or gv, levels, their gradients */
    pudle_view entry = { &room[0], dtype, 2, { 1, 1 }, { 1, 1 } }, p = entry, g = entry, gtheta[LEVELS];
    pudle_cview theta[LEVELS];
    const pudle_view scalar = { NULL, dtype, 1, { 1 }, { 1 } };
    p.data = &room[1];
    g.data = &room[2];
    set(&entry, 0, v);
    set(&g, 0, 1);
    for (int k = 0; k < c->levels; k++) {
        pudle_view level = scalar;
        level.data = &room[3 + k];
        set(&level, 0, t[k]);
        theta[k] = pudle_const(&level);
        gtheta[k] = scalar;
        gtheta[k].dtype = PUDLE_F64;
        gtheta[k].data = &room[3 + LEVELS + k];
        set(&gtheta[k], 0, 0);
    }
    const pudle_cview in = pudle_const(&entry), up = pudle_const(&g);
    assert_int_equal(c->kernel->apply(c->params, NULL, c->op->tau, theta, &in, &p), PUDLE_OK);
    assert_int_equal(c->kernel->vjp(c->params, NULL, c->op->tau, theta, &in, NULL, &up, &g, gtheta), PUDLE_OK);
    mapped m = { get(&p, 0), get(&g, 0), { 0 } };
    for (int k = 0; k < c->levels; k++)
        m.dt[k] = get(&gtheta[k], 0);
    return m;
}

static bool says(const trial *c, const char *name)
{
    return strcmp(c->op->name, name) == 0;
}

static void domain(const trial *c, const double *t, double *low, double *high)
{
    *low = c->op->nonnegative || says(c, "nonnegative") || says(c, "jumprelu") ? 0 : says(c, "box") ? t[0] : -INFINITY;
    *high = says(c, "nonpositive") ? 0 : says(c, "box") ? t[1] : INFINITY;
}

/* Of every tenth entry the value is near 0, of every tenth it is large. */
static double draw(const trial *c, double *t)
{
    for (int k = 0; k < LEVELS; k++)
        t[k] = c->op->low[k] + (c->op->high[k] - c->op->low[k]) * pudle_random_uniform(fake_random());
    const double kind = pudle_random_uniform(fake_random());
    return kind < 0.001 ? 0 : normal() * (kind < 0.1 ? 0.05 : kind < 0.2 ? 20 : 1.5);
}

static trial trial_make(const choice *op)
{
    const pudle_desc *desc = fake_load("prox", op->name);
    trial c = { .op = op, .desc = desc, .ops = desc->ops, .room = calloc(3 + 2 * LEVELS, sizeof(double)) };
    const char *settings[5] = { NULL };
    int n = 0;
    if (op->option) {
        settings[n++] = op->option;
        settings[n++] = op->value;
    }
    if (op->nonnegative) {
        settings[n++] = "nonnegative";
        settings[n++] = "true";
    }
    c.kernel = c.ops->kernels[0];
    c.params = fake_params(desc, settings);
    c.surrogate = (desc->caps & PUDLE_PROX_SURROGATE) != 0;
    for (const pudle_option *row = desc->options; row && row->name; row++)
        c.levels += (row->flags & PUDLE_THRESHOLD) != 0;
    assert_true(c.levels <= LEVELS);
    assert_non_null(c.room);
    return c;
}

static void trial_free(trial *c)
{
    free(c->params);
    free(c->room);
}

/* A draw that float holds exactly. The store is volatile because some versions of gcc lose the rounding in vector code. */
static double draw_float(const trial *c, double *t)
{
    volatile float rounded = (float)draw(c, t);
    const double v = rounded;
    for (int k = 0; k < LEVELS; k++) {
        rounded = (float)t[k];
        t[k] = rounded;
    }
    return v;
}

static void for_each_op(void (*test)(const trial *))
{
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        trial c = trial_make(&operators[i]);
        test(&c);
        trial_free(&c);
    }
}

#define EXPECT(condition, c, v, t, m)                                                                                          \
    do {                                                                                                                       \
        if (!(condition))                                                                                                      \
            fail_msg("%s (case %d): not %s at v = %.17g, t = %.17g, %.17g: p = %.17g, dp/dv = %.17g, dp/dt = %.17g, %.17g",    \
                     (c)->op->name, (int)((c)->op - operators), #condition, v, (t)[0], (t)[1], (m).p, (m).dv, (m).dt[0], (m).dt[1]); \
    } while (0)

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

/* --------------------------------------------------- special values, dead zone */

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

#define TEST_EACH(NAME)                   \
    static void test_##NAME(void **state) \
    {                                     \
        (void)state;                      \
        for_each_op(check_##NAME);        \
    }
TEST_EACH(optimal)
TEST_EACH(float)
TEST_EACH(monotone)
TEST_EACH(derivative)
TEST_EACH(straight_through)
TEST_EACH(special)
TEST_EACH(dead_zone)
TEST_EACH(arrays)
TEST_EACH(domain)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptors), cmocka_unit_test(test_options_together), cmocka_unit_test(test_optimal),
        cmocka_unit_test(test_float),       cmocka_unit_test(test_monotone),         cmocka_unit_test(test_derivative),
        cmocka_unit_test(test_straight_through), cmocka_unit_test(test_special),     cmocka_unit_test(test_dead_zone),
        cmocka_unit_test(test_jumps),       cmocka_unit_test(test_bends),            cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_domain),
    };
    fake_random();
    return cmocka_run_group_tests_name("operators", tests, NULL, NULL);
}
