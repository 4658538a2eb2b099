/* The derivatives of a loss against finite differences, and what is declared of its shape. All in double. */
#include "conform/parts.h"

enum { DRAWS = 30, LIMIT = 48, WIDE = 256 };

static double inner(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static bool each_case(pd_trial *t, int draws, int64_t limit, bool (*test)(pd_trial *, pd_loss_case *, pd_differences *),
                      pd_differences *all)
{
    pd_loss_case c;
    for (int draw = 0; draw < draws; draw++) {
        pd_trial_clear(t);
        if (!pd_loss_cases.open(t, &c, draw, limit) || !test(t, &c, all))
            return false;
    }
    return true;
}

/* ------------------------------------------------------------------ gradient */

static bool gradient_at(pd_trial *t, pd_loss_case *c, pd_differences *all)
{
    double *g = pd_scratch(t, c->n), *x = pd_scratch(t, c->n), f0, f[2], scale = 0.1;
    if (!g || !x || !pd_loss_grad(t, c, PUDLE_F64, c->pred, g) || !pd_loss_value(t, c, PUDLE_F64, c->pred, &f0))
        return false;
    if (!isfinite(f0))
        return pd_fails(t, "value is %g at finite predictions of size about 1", f0);
    memcpy(x, c->pred, (size_t)c->n * sizeof *x);
    for (int64_t i = 0; i < c->n; i++) {
        const double h = 4 * PD_STEP;
        for (int s = 0; s < 2; s++) {
            x[i] = c->pred[i] + (s ? -h : h);
            if (!pd_loss_value(t, c, PUDLE_F64, x, &f[s]))
                return false;
            f[s] = (f[s] - f0) / (x[i] - c->pred[i]);
        }
        x[i] = c->pred[i];
        /* what is lost when a sum of size f0 is rounded */
        if (!pd_difference_compare(t, all, "grad", i, g[i], f[0], f[1], scale + 1e-5 * fabs(f0), c->pred[i]))
            return false;
    }
    return true;
}

bool pd_loss_gradient(pd_trial *t)
{
    pd_differences all = { 0, 0 };
    return each_case(t, DRAWS, LIMIT, gradient_at, &all) && pd_difference_enough(t, &all, "value");
}

/* ----------------------------------------------------------------- curvature */

/* u is one entry at a time, then all together. */
static bool curvature_at(pd_trial *t, pd_loss_case *c, pd_differences *all)
{
    double *x = pd_scratch(t, c->n), *u = pd_scratch(t, c->n), *hu = pd_scratch(t, c->n), *g0 = pd_scratch(t, c->n),
           *g[2] = { pd_scratch(t, c->n), pd_scratch(t, c->n) };
    if (!x || !u || !hu || !g0 || !g[1] || !pd_loss_grad(t, c, PUDLE_F64, c->pred, g0))
        return false;
    for (int64_t one = 0; one <= c->n; one++) {
        for (int64_t i = 0; i < c->n; i++)
            u[i] = one == c->n ? c->u[i] : i == one;
        if (!pd_loss_hvp(t, c, PUDLE_F64, c->pred, u, hu))
            return false;
        for (int s = 0; s < 2; s++) {
            for (int64_t i = 0; i < c->n; i++)
                x[i] = c->pred[i] + (s ? -PD_STEP : PD_STEP) * u[i];
            if (!pd_loss_grad(t, c, PUDLE_F64, x, g[s]))
                return false;
        }
        for (int64_t i = 0; i < c->n; i++)
            if (!pd_difference_compare(t, all, "hvp", i, hu[i], (g[0][i] - g0[i]) / PD_STEP, (g0[i] - g[1][i]) / PD_STEP,
                                       0.1 + 1e-4 * fabs(g0[i]), c->pred[i]))
                return false;
    }
    return true;
}

static bool no_hvp(const pd_trial *t)
{
    return !((const pudle_loss_ops *)t->desc->ops)->kernels[0]->hvp;
}

bool pd_loss_curvature(pd_trial *t)
{
    pd_differences all = { 0, 0 };
    if (no_hvp(t))
        return pd_skips(t, "it has no hvp");
    return each_case(t, DRAWS, LIMIT, curvature_at, &all) && pd_difference_enough(t, &all, "grad");
}

static bool symmetric_at(pd_trial *t, pd_loss_case *c, pd_differences *all)
{
    double *w = pd_scratch(t, c->n), *hu = pd_scratch(t, c->n), *hw = pd_scratch(t, c->n);
    (void)all;
    if (!w || !hu || !hw)
        return false;
    pd_fill_normal(t, w, c->n, 1);
    if (!pd_loss_hvp(t, c, PUDLE_F64, c->pred, c->u, hu) || !pd_loss_hvp(t, c, PUDLE_F64, c->pred, w, hw))
        return false;
    const double a = inner(hu, w, c->n), b = inner(hw, c->u, c->n), n = (double)c->n;
    if (!(fabs(a - b) <= 16 * pd_tolerance(PUDLE_F64, c->n) * (sqrt(inner(hu, hu, c->n) * inner(w, w, c->n)) + n * 1e-3)))
        return pd_fails(t, "the Hessian that hvp applies is not symmetric: <H u, w> = %.9g, <u, H w> = %.9g", a, b);
    if (t->desc->caps & PUDLE_LOSS_CONVEX && !(inner(hu, c->u, c->n) >= -pd_tolerance(PUDLE_F64, c->n) * n))
        return pd_fails(t, "<u, H u> = %.9g is negative, and PUDLE_LOSS_CONVEX is declared", inner(hu, c->u, c->n));
    return true;
}

bool pd_loss_symmetric(pd_trial *t)
{
    return no_hvp(t) ? pd_skips(t, "it has no hvp") : each_case(t, 2 * DRAWS, WIDE, symmetric_at, NULL);
}

/* ----------------------------------------------------------------- Lipschitz */

static pudle_status constant_of(pd_trial *t, const pd_loss_case *c, bool any, double *constant)
{
    void *mark = pd_mark(t);
    const pudle_view y = pd_view_new(t, PUDLE_F64, c->rank, c->shape, PD_PADDED, "target", c->target);
    const pudle_cview view = pudle_const(&y);
    const pudle_status s = !y.data ? PUDLE_ERR_NOMEM : PD_IN(t, "lipschitz", c->ops->lipschitz(t->self, any ? NULL : &view, constant));
    PD_OUT(t);
    pd_release(t, mark);
    return s;
}

/* Pairs that differ in one entry or in all, near 0, near the target, and far out: the largest curvature may lie anywhere. */
static bool bounded(pd_trial *t, const pd_loss_case *c, double constant)
{
    static const double scales[] = { 0.01, 0.5, 2, 6 };
    double *a = pd_scratch(t, c->n), *b = pd_scratch(t, c->n), *ga = pd_scratch(t, c->n), *gb = pd_scratch(t, c->n);
    if (!a || !b || !ga || !gb)
        return false;
    for (int pair = 0; pair < 48; pair++) {
        const int64_t one = pd_below(t, c->n);
        const double scale = scales[pair % 4], step = pair % 3 ? 0.05 : 1;
        for (int64_t i = 0; i < c->n; i++) {
            a[i] = (pair & 8 ? c->target[i] : 0) + scale * pd_normal(t);
            b[i] = a[i] + (pair & 16 ? i == one : 1) * step * pd_normal(t);
        }
        if (!pd_loss_grad(t, c, PUDLE_F64, a, ga) || !pd_loss_grad(t, c, PUDLE_F64, b, gb))
            return false;
        double up = 0, down = 0, size = 0;
        for (int64_t i = 0; i < c->n; i++) {
            up += (ga[i] - gb[i]) * (ga[i] - gb[i]);
            down += (a[i] - b[i]) * (a[i] - b[i]);
            size += (ga[i] * ga[i] + gb[i] * gb[i]) * DBL_EPSILON * DBL_EPSILON * 256;
        }
        if (!(sqrt(up) <= constant * (1 + 1e-9) * sqrt(down) + sqrt(size)))
            return pd_fails(t, "||grad(a) - grad(b)|| = %.9g is more than L = %.9g times ||a - b|| = %.9g", sqrt(up), constant, sqrt(down));
    }
    return true;
}

static bool lipschitz_at(pd_trial *t, pd_loss_case *c, pd_differences *given)
{
    double constant = NAN, any = NAN;
    const pudle_status s = constant_of(t, c, false, &constant), s_any = constant_of(t, c, true, &any);
    if (s && s != PUDLE_ERR_UNSUPPORTED)
        return pd_fails(t, "lipschitz returned %s", pd_status_text(s));
    if (!s_any && (s || !(any >= constant * (1 - 1e-12))))
        return pd_fails(t, "lipschitz says %.9g for any target, and %.9g for these (%s)", any, constant, pd_status_text(s));
    if (s)
        return true;
    given->compared++;
    if (!(constant >= 0) || !isfinite(constant))
        return pd_fails(t, "lipschitz returned the constant %g; where there is none it returns PUDLE_ERR_UNSUPPORTED", constant);
    return bounded(t, c, constant);
}

bool pd_loss_lipschitz(pd_trial *t)
{
    pd_differences given = { 0, 0 };
    if (!((const pudle_loss_ops *)t->desc->ops)->lipschitz)
        return pd_skips(t, "it has no lipschitz");
    if (!each_case(t, 2 * DRAWS, WIDE, lipschitz_at, &given))
        return false;
    return given.compared ? true : pd_skips(t, "it says that there is no constant");
}

/* -------------------------------------------------------------- declared shape */

static bool convex_at(pd_trial *t, pd_loss_case *c, pd_differences *all)
{
    double *b = pd_scratch(t, c->n), *m = pd_scratch(t, c->n), *ga = pd_scratch(t, c->n), *gb = pd_scratch(t, c->n), fa, fb, fm,
           rise = 0, size = 0;
    (void)all;
    if (!b || !m || !ga || !gb)
        return false;
    for (int64_t i = 0; i < c->n; i++) {
        b[i] = c->pred[i] + 2 * pd_normal(t);
        m[i] = (c->pred[i] + b[i]) / 2;
    }
    if (!pd_loss_value(t, c, PUDLE_F64, c->pred, &fa) || !pd_loss_value(t, c, PUDLE_F64, b, &fb) ||
        !pd_loss_value(t, c, PUDLE_F64, m, &fm) || !pd_loss_grad(t, c, PUDLE_F64, c->pred, ga) ||
        !pd_loss_grad(t, c, PUDLE_F64, b, gb))
        return false;
    if (!(fm <= (fa + fb) / 2 + pd_tolerance(PUDLE_F64, c->n) * (fabs(fa) + fabs(fb) + 1)))
        return pd_fails(t, "the loss is %.9g half way between points where it is %.9g and %.9g", fm, fa, fb);
    for (int64_t i = 0; i < c->n; i++) {
        rise += (ga[i] - gb[i]) * (c->pred[i] - b[i]);
        size += (fabs(ga[i]) + fabs(gb[i])) * fabs(c->pred[i] - b[i]);
    }
    return rise >= -pd_tolerance(PUDLE_F64, c->n) * size ? true : pd_fails(t, "<grad(a) - grad(b), a - b> = %.9g is negative", rise);
}

bool pd_loss_convex(pd_trial *t)
{
    return t->desc->caps & PUDLE_LOSS_CONVEX ? each_case(t, 4 * DRAWS, WIDE, convex_at, NULL)
                                             : pd_skips(t, "it does not declare PUDLE_LOSS_CONVEX");
}

static bool quadratic_at(pd_trial *t, pd_loss_case *c, pd_differences *all)
{
    double *b = pd_scratch(t, c->n), *ha = pd_scratch(t, c->n), *hb = pd_scratch(t, c->n);
    (void)all;
    if (!b || !ha || !hb)
        return false;
    pd_fill_normal(t, b, c->n, 3);
    if (!pd_loss_hvp(t, c, PUDLE_F64, c->pred, c->u, ha) || !pd_loss_hvp(t, c, PUDLE_F64, b, c->u, hb))
        return false;
    for (int64_t i = 0; i < c->n; i++)
        if (!(fabs(ha[i] - hb[i]) <= pd_tolerance(PUDLE_F64, c->n) * (fabs(ha[i]) + 1)))
            return pd_fails(t, "hvp[%lld] is %.9g at one prediction and %.9g at another", (long long)i, ha[i], hb[i]);
    return true;
}

bool pd_loss_quadratic(pd_trial *t)
{
    if (!(t->desc->caps & PUDLE_LOSS_QUADRATIC))
        return pd_skips(t, "it does not declare PUDLE_LOSS_QUADRATIC");
    return no_hvp(t) ? pd_fails(t, "PUDLE_LOSS_QUADRATIC is declared and there is no hvp")
                     : each_case(t, 2 * DRAWS, WIDE, quadratic_at, NULL);
}

static bool separable_at(pd_trial *t, pd_loss_case *c, pd_differences *all)
{
    double *x = pd_scratch(t, c->n), *g0 = pd_scratch(t, c->n), *g = pd_scratch(t, c->n), *u = pd_scratch(t, c->n);
    (void)all;
    if (!x || !g0 || !g || !u || !pd_loss_grad(t, c, PUDLE_F64, c->pred, g0))
        return false;
    for (int trial = 0; trial < 6; trial++) {
        const int64_t at = pd_below(t, c->n);
        memcpy(x, c->pred, (size_t)c->n * sizeof *x);
        x[at] += 2 * pd_normal(t);
        if (!pd_loss_grad(t, c, PUDLE_F64, x, g))
            return false;
        for (int64_t i = 0; i < c->n; i++)
            if (i != at && g[i] != g0[i])
                return pd_fails(t, "pred[%lld] changes grad[%lld] from %.9g to %.9g", (long long)at, (long long)i, g0[i], g[i]);
        memset(u, 0, (size_t)c->n * sizeof *u);
        u[at] = 1;
        if (no_hvp(t))
            continue;
        if (!pd_loss_hvp(t, c, PUDLE_F64, c->pred, u, g))
            return false;
        for (int64_t i = 0; i < c->n; i++)
            if (i != at && g[i] != 0)
                return pd_fails(t, "the Hessian is not diagonal: its entry (%lld, %lld) is %g", (long long)i, (long long)at, g[i]);
    }
    return true;
}

bool pd_loss_separable(pd_trial *t)
{
    return t->desc->caps & PUDLE_LOSS_SEPARABLE ? each_case(t, 2 * DRAWS, WIDE, separable_at, NULL)
                                                : pd_skips(t, "it does not declare PUDLE_LOSS_SEPARABLE");
}

/* ---------------------------------------------------------------------- code */

static bool code_at(pd_trial *t, pd_loss_case *c, pd_differences *all)
{
    double *z = pd_scratch(t, c->n), *g = pd_scratch(t, c->n), *x = pd_scratch(t, c->n), f0, f[2];
    if (!z || !g || !x)
        return false;
    for (int64_t i = 0; i < c->n; i++) {
        z[i] = pd_below(t, 12) ? pd_normal(t) : 0; /* codes are sparse; a penalty has its kink at 0 */
        g[i] = 0.5; /* added to */
    }
    if (!pd_loss_penalty(t, c, PUDLE_F64, z, &f0) || !pd_loss_penalty_grad(t, c, PUDLE_F64, z, g))
        return false;
    memcpy(x, z, (size_t)c->n * sizeof *x);
    for (int64_t i = 0; i < c->n; i++) {
        for (int s = 0; s < 2; s++) {
            x[i] = z[i] + (s ? -PD_STEP : PD_STEP);
            if (!pd_loss_penalty(t, c, PUDLE_F64, x, &f[s]))
                return false;
            f[s] = (f[s] - f0) / (x[i] - z[i]);
        }
        x[i] = z[i];
        if (!pd_difference_compare(t, all, "code_grad", i, g[i] - 0.5, f[0], f[1], 1e-2 + 1e-4 * fabs(f0), z[i]))
            return false;
    }
    return true;
}

bool pd_loss_code(pd_trial *t)
{
    pd_differences all = { 0, 0 };
    if (!((const pudle_loss_ops *)t->desc->ops)->kernels[0]->code_value)
        return pd_skips(t, "it has no penalty on the code");
    return each_case(t, DRAWS, LIMIT, code_at, &all) && pd_difference_enough(t, &all, "code_value");
}
