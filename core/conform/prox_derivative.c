/* The derivatives of a prox against finite differences, in double; float is compared with double elsewhere. */
#include "conform/parts.h"

enum { DRAWS = 48, LIMIT = 48 };

static double weigh(const double *g, const double *p, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += g[i] * p[i];
    return sum;
}

/* g' (p(x + h) - p(x)) entry by entry, so that large sums that cancel do not drown it. */
static double change(const double *g, const double *p, const double *p0, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += g[i] * (p[i] - p0[i]);
    return sum;
}

static bool no_derivative(const pd_trial *t)
{
    const pudle_prox_ops *ops = t->desc->ops;
    return ops->vjp_needs == PUDLE_VJP_NONE || !ops->kernels[0]->vjp;
}

static double norm_inf(const double *x, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++)
        most = fabs(x[i]) > most ? fabs(x[i]) : most;
    return most;
}

/* ---------------------------------------------------------------------- in v */

static bool derivative_at(pd_trial *t, pd_prox_case *c, pd_differences *all)
{
    double *p0 = pd_scratch(t, c->n), *p = pd_scratch(t, c->n), *gv = pd_scratch(t, c->n), *x = pd_scratch(t, c->n);
    if (!p0 || !p || !gv || !x || !pd_prox_apply(t, c, PUDLE_F64, c->v, p0) || !pd_prox_vjp(t, c, PUDLE_F64, c->v, c->g, gv, NULL))
        return false;
    memcpy(x, c->v, (size_t)c->n * sizeof *x);
    const double scale = norm_inf(c->g, c->n);
    for (int64_t i = 0; i < c->n; i++) {
        const double h = PD_STEP * fmax(fabs(c->v[i]), c->scale);
        x[i] = c->v[i] + h;
        if (!pd_prox_apply(t, c, PUDLE_F64, x, p))
            return false;
        const double right = change(c->g, p, p0, c->n) / (x[i] - c->v[i]);
        x[i] = c->v[i] - h;
        if (!pd_prox_apply(t, c, PUDLE_F64, x, p))
            return false;
        const double left = change(c->g, p, p0, c->n) / (x[i] - c->v[i]);
        x[i] = c->v[i];
        if (!pd_difference_compare(t, all, "gv", i, gv[i], right, left, scale, c->v[i]))
            return false;
    }
    return true;
}

bool pd_prox_derivative(pd_trial *t)
{
    pd_prox_case c;
    pd_differences all = { 0, 0 };
    if (no_derivative(t))
        return pd_skips(t, "it declares no derivative (PUDLE_VJP_NONE)");
    for (int draw = 0; draw < DRAWS; draw++) {
        pd_trial_clear(t);
        if (!pd_prox_cases.open(t, &c, draw, LIMIT) || !derivative_at(t, &c, &all))
            return false;
    }
    return pd_difference_enough(t, &all, "p in v");
}

/* ----------------------------------------------------------------- in levels */

/* A level that can be moved to both sides. */
static bool inside(const pd_prox_case *c, int k, double level, double h)
{
    return level - 10 * h > c->level_min[k] && level + 10 * h < c->level_max[k];
}

static bool level_at(pd_trial *t, pd_prox_case *c, int k, int64_t a, double claimed, const double *p0, double *p, pd_differences *all)
{
    const double level = c->level[k][a], h = PD_STEP * fmax(fabs(level), 0.1);
    char name[32];
    double side[2];
    if (!inside(c, k, level, h))
        return true;
    for (int s = 0; s < 2; s++) {
        c->level[k][a] = s == 0 ? level + h : level - h;
        const double step = c->level[k][a] - level;
        const bool good = pd_prox_apply(t, c, PUDLE_F64, c->v, p);
        c->level[k][a] = level;
        if (!good)
            return false;
        side[s] = change(c->g, p, p0, c->n) / step;
    }
    snprintf(name, sizeof name, "gtheta[%d]", k);
    return pd_difference_compare(t, all, name, a, claimed, side[0], side[1], norm_inf(c->g, c->n), level);
}

static bool levels_at(pd_trial *t, pd_prox_case *c, pd_differences *all)
{
    const int64_t count = pd_prox_level_count(c);
    double *p0 = pd_scratch(t, c->n), *p = pd_scratch(t, c->n), *gv = pd_scratch(t, c->n), *gtheta = pd_scratch(t, count * c->levels);
    if (!p0 || !p || !gv || !gtheta || !pd_prox_apply(t, c, PUDLE_F64, c->v, p0) || !pd_prox_vjp(t, c, PUDLE_F64, c->v, c->g, gv, gtheta))
        return false;
    for (int k = 0; k < c->levels; k++)
        for (int64_t a = 0; a < count; a++)
            if (!level_at(t, c, k, a, gtheta[k * count + a], p0, p, all))
                return false;
    return true;
}

bool pd_prox_levels(pd_trial *t)
{
    pd_prox_case c;
    pd_differences all = { 0, 0 };
    if (no_derivative(t))
        return pd_skips(t, "it declares no derivative (PUDLE_VJP_NONE)");
    if (t->desc->caps & PUDLE_PROX_SURROGATE)
        return pd_skips(t, "the derivatives for its levels are stand-ins (PUDLE_PROX_SURROGATE)");
    for (int draw = 0; draw < 2 * DRAWS; draw++) {
        pd_trial_clear(t);
        if (!pd_prox_cases.open(t, &c, draw, LIMIT))
            return false;
        if (c.levels == 0)
            return pd_skips(t, "it has no levels");
        if (!levels_at(t, &c, &all))
            return false;
    }
    return pd_difference_enough(t, &all, "p in the levels");
}

/* ------------------------------------------------------------------ jacobian */

/* A prox is the gradient of a convex function, so its Jacobian is symmetric; with f convex its eigenvalues are in [0, 1]. */
bool pd_prox_jacobian(pd_trial *t)
{
    pd_prox_case c;
    if (no_derivative(t))
        return pd_skips(t, "it declares no derivative (PUDLE_VJP_NONE)");
    for (int draw = 0; draw < 2 * DRAWS; draw++) {
        pd_trial_clear(t);
        if (!pd_prox_cases.open(t, &c, draw, 256))
            return false;
        double *a = pd_scratch(t, c.n), *b = pd_scratch(t, c.n), *ja = pd_scratch(t, c.n), *jb = pd_scratch(t, c.n);
        if (!a || !b || !ja || !jb)
            return false;
        pd_fill_normal(t, a, c.n, 1);
        pd_fill_normal(t, b, c.n, 1);
        if (!pd_prox_vjp(t, &c, PUDLE_F64, c.v, a, ja, NULL) || !pd_prox_vjp(t, &c, PUDLE_F64, c.v, b, jb, NULL))
            return false;
        const double one = weigh(ja, b, c.n), two = weigh(jb, a, c.n), aja = weigh(a, ja, c.n), aa = weigh(a, a, c.n);
        const double size = sqrt((weigh(ja, ja, c.n) + aa) * (weigh(b, b, c.n) + weigh(jb, jb, c.n))),
                     slack = 1e3 * pd_tolerance(PUDLE_F64, c.n);
        if (!(fabs(one - two) <= slack * size))
            return pd_fails(t,
                            "the Jacobian that vjp applies is not symmetric: <J'a, b> = %.9g, <J'b, a> = %.9g; that of a prox is",
                            one, two);
        if (t->desc->caps & PUDLE_PROX_CONVEX && !(aja >= -slack * aa && aja <= (1 + slack) * aa))
            return pd_fails(t, "<a, J'a> / <a, a> = %.9g lies outside [0, 1], where that of a convex f lies", aja / aa);
    }
    return true;
}
