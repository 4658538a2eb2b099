/* The elementwise operators for tests: penalties written naively, every operator with choices of its options, and what the kernels make of one entry. Include
 * after cmocka.h. */
#ifndef TESTS_OPERATOR_CASES_H
#define TESTS_OPERATOR_CASES_H

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

static inline double f_none(const choice *op, double z, const double *t)
{
    return (void)op, (void)z, (void)t, 0;
}

static inline double f_elastic(const choice *op, double z, const double *t)
{
    return (void)op, t[0] * fabs(z) + 0.5 * t[1] * z * z;
}

static inline double f_ridge(const choice *op, double z, const double *t)
{
    return (void)op, 0.5 * t[0] * z * z;
}

static inline double f_count(const choice *op, double z, const double *t)
{
    return (void)op, z == 0 ? 0 : 0.5 * t[0] * t[0];
}

/* MCP and SCAD by the integral of their slopes, in steps on which the slope is linear. */
static inline double integral(double (*slope)(double x, double lambda, double extra), double z, double lambda, double extra, double knot)
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

static inline double slope_mcp(double x, double lambda, double gamma)
{
    return fmax(lambda - x / gamma, 0);
}

static inline double slope_scad(double x, double lambda, double a)
{
    return fmin(lambda, fmax(a * lambda - x, 0) / (a - 1));
}

static inline double f_mcp(const choice *op, double z, const double *t)
{
    const double lambda = t[0] / op->tau;
    return op->tau * integral(slope_mcp, fabs(z), lambda, op->extra, op->extra * lambda);
}

static inline double f_scad(const choice *op, double z, const double *t)
{
    const double lambda = t[0] / op->tau;
    return op->tau * integral(slope_scad, fabs(z), lambda, op->extra, op->extra * lambda);
}

static inline double f_firm(const choice *op, double z, const double *t)
{
    const double x = fabs(z);
    return (void)op, x > t[1] ? t[0] * t[1] / 2 : t[0] * x * (1 - x / (2 * t[1]));
}

static inline double f_half(const choice *op, double z, const double *t)
{
    return (void)op, t[0] * pow(fabs(z), 0.5);
}

static inline double f_two_thirds(const choice *op, double z, const double *t)
{
    return (void)op, t[0] * pow(fabs(z), 2.0 / 3);
}

static inline double f_log_sum(const choice *op, double z, const double *t)
{
    return t[0] * (log(fabs(z) + op->extra) - log(op->extra));
}

/* The integral from 0 of (sqrt(x^2 + 4 t^2) - x) / 2. */
static inline double f_garrote(const choice *op, double z, const double *t)
{
    const double x = fabs(z), root = sqrt(x * x + 4 * t[0] * t[0]);
    return (void)op, x * root / 4 + t[0] * t[0] * asinh(x / (2 * t[0])) - x * x / 4;
}

static inline double f_huber(const choice *op, double z, const double *t)
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

static inline mapped map(const trial *c, int32_t dtype, double v, const double *t)
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

static inline bool says(const trial *c, const char *name)
{
    return strcmp(c->op->name, name) == 0;
}

static inline void domain(const trial *c, const double *t, double *low, double *high)
{
    *low = c->op->nonnegative || says(c, "nonnegative") || says(c, "jumprelu") ? 0 : says(c, "box") ? t[0] : -INFINITY;
    *high = says(c, "nonpositive") ? 0 : says(c, "box") ? t[1] : INFINITY;
}

/* Of every tenth entry the value is near 0, of every tenth it is large. */
static inline double draw(const trial *c, double *t)
{
    for (int k = 0; k < LEVELS; k++)
        t[k] = c->op->low[k] + (c->op->high[k] - c->op->low[k]) * pudle_random_uniform(fake_random());
    const double kind = pudle_random_uniform(fake_random());
    return kind < 0.001 ? 0 : normal() * (kind < 0.1 ? 0.05 : kind < 0.2 ? 20 : 1.5);
}

static inline trial trial_make(const choice *op)
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

static inline void trial_free(trial *c)
{
    free(c->params);
    free(c->room);
}

/* A draw that float holds exactly. The store is volatile because some versions of gcc lose the rounding in vector code. */
static inline double draw_float(const trial *c, double *t)
{
    volatile float rounded = (float)draw(c, t);
    const double v = rounded;
    for (int k = 0; k < LEVELS; k++) {
        rounded = (float)t[k];
        t[k] = rounded;
    }
    return v;
}

static inline void for_each_op(void (*test)(const trial *))
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

#define TEST_EACH(NAME)                   \
    static void test_##NAME(void **state) \
    {                                     \
        (void)state;                      \
        for_each_op(check_##NAME);        \
    }

#endif
