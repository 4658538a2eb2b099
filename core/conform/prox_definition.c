/* A prox by its definition: the least of 1/2 ||q - v||^2 + tau f(q), and what follows from it. */
#include "conform/parts.h"

enum { DRAWS = 80, LIMIT = 256 };

static bool all_finite(const double *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}

static double distance2(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sum;
}

static bool apply_finite(pd_trial *t, const pd_prox_case *c, int32_t dtype, const double *v, double *p)
{
    if (!pd_prox_apply(t, c, dtype, v, p))
        return false;
    return all_finite(p, c->n) ? true : pd_fails(t, "apply, %s: p is not finite where v is", pd_dtype_text(dtype));
}

/* ------------------------------------------------------------------- optimal */

enum { NEAR, NEAR_ONE, TOWARDS, SHRUNK, ZERO, ITSELF, RANDOM, FLIPPED, ENTRY_OFF, RIVALS };

/* Another point that the prox must not be worse than. far: a point that the operator itself yields, so one that f allows. */
static void rival(pd_trial *t, const pd_prox_case *c, int what, double size, const double *p, const double *far, double *q)
{
    const int64_t one = pd_below(t, c->n);
    for (int64_t i = 0; i < c->n; i++) {
        switch (what) {
        case NEAR: q[i] = p[i] + size * c->scale * pd_normal(t); break;
        case NEAR_ONE: q[i] = i == one ? p[i] + size * c->scale * pd_normal(t) : p[i]; break;
        case TOWARDS: q[i] = p[i] + size * (far[i] - p[i]); break;
        case SHRUNK: q[i] = p[i] * (1 - size); break;
        case ZERO: q[i] = 0; break;
        case ITSELF: q[i] = c->v[i]; break;
        case RANDOM: q[i] = c->scale * pd_normal(t); break;
        case FLIPPED: q[i] = -p[i]; break;
        default: q[i] = i == one ? 0 : p[i]; break;
        }
    }
}

static bool optimal_at(pd_trial *t, const pd_prox_case *c, int32_t dtype)
{
    static const double sizes[] = { 1, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5 };
    double *p = pd_scratch(t, c->n), *q = pd_scratch(t, c->n), *far = pd_scratch(t, c->n), *other = pd_scratch(t, c->n), f = 0, g = 0;
    if (!p || !q || !far || !other)
        return false;
    pd_fill_normal(t, other, c->n, c->scale);
    if (!apply_finite(t, c, dtype, c->v, p) || !apply_finite(t, c, dtype, other, far) || !pd_prox_value(t, c, PUDLE_F64, p, &f))
        return false;
    if (!isfinite(f))
        return pd_fails(t, "the penalty is %g at p itself, %s", f, pd_dtype_text(dtype));
    const double cost = f + distance2(p, c->v, c->n) / 2;
    double size2 = 0;
    for (int64_t i = 0; i < c->n; i++)
        size2 += c->v[i] * c->v[i] + p[i] * p[i];
    for (int what = 0; what < RIVALS; what++)
        for (size_t s = 0; s < (what <= SHRUNK ? sizeof sizes / sizeof *sizes : 1); s++) {
            rival(t, c, what, sizes[s], p, far, q);
            if (!pd_prox_value(t, c, PUDLE_F64, q, &g))
                return false;
            const double theirs = g + distance2(q, c->v, c->n) / 2;
            /* 0 at both: a set that p must lie in, whose border value cannot tell more sharply than float rounds */
            const int32_t sharp = f == 0 && g == 0 ? PUDLE_F32 : dtype;
            if (!(cost <= theirs + pd_tolerance(sharp, c->n) * (fabs(f) + size2)))
                return pd_fails(
                    t,
                    "%s: tau f(p) + 1/2 ||p - v||^2 is %.9g at the p of apply and %.9g at another point (%s): p is not the least",
                    pd_dtype_text(dtype), cost, theirs,
                    what == ZERO      ? "0"
                    : what == ITSELF  ? "v"
                    : what == RANDOM  ? "a random one"
                    : what == FLIPPED ? "-p"
                                      : "near p");
        }
    return true;
}

bool pd_prox_optimal(pd_trial *t)
{
    pd_prox_case c;
    if (!((const pudle_prox_ops *)t->desc->ops)->value)
        return pd_skips(t, "it has no value, so its penalty is not known (PUDLE_PENALTY)");
    for (int draw = 0; draw < DRAWS; draw++) {
        pd_trial_clear(t);
        if (!pd_prox_cases.open(t, &c, draw, draw % 4 < 2 ? 12 : LIMIT) || !optimal_at(t, &c, PUDLE_F64) || !optimal_at(t, &c, PUDLE_F32))
            return false;
    }
    return true;
}

/* -------------------------------------------------- monotone, firmly nonexpansive */

/* Two points: far apart, near each other, or apart in one entry alone. */
static void second_point(pd_trial *t, const pd_prox_case *c, int draw, double *b)
{
    const double size = draw % 3 == 0 ? 1 : draw % 3 == 1 ? 0.05 : 0;
    const int64_t one = pd_below(t, c->n);
    for (int64_t i = 0; i < c->n; i++)
        b[i] = pd_single(c->v[i] + (size > 0 ? size : i == one) * c->scale * pd_normal(t));
}

static bool pairs_of(pd_trial *t, bool firmly)
{
    static const int32_t precisions[] = { PUDLE_F64, PUDLE_F32 };
    pd_prox_case c;
    for (int draw = 0; draw < 2 * DRAWS; draw++) {
        const int32_t dtype = precisions[draw / 2 % 2];
        pd_trial_clear(t);
        if (!pd_prox_cases.open(t, &c, draw, draw % 4 < 2 ? 12 : LIMIT))
            return false;
        double *b = pd_scratch(t, c.n), *p = pd_scratch(t, c.n), *q = pd_scratch(t, c.n), inner = 0, moved = 0, size = 0;
        if (!b || !p || !q)
            return false;
        second_point(t, &c, draw, b);
        if (!apply_finite(t, &c, dtype, c.v, p) || !apply_finite(t, &c, dtype, b, q))
            return false;
        for (int64_t i = 0; i < c.n; i++) {
            inner += (p[i] - q[i]) * (c.v[i] - b[i]);
            moved += (p[i] - q[i]) * (p[i] - q[i]);
            size += (fabs(p[i]) + fabs(q[i]) + fabs(c.v[i]) + fabs(b[i])) * (fabs(c.v[i] - b[i]) + fabs(p[i] - q[i]));
        }
        const double slack = pd_tolerance(dtype, c.n) * size;
        if (!firmly && !(inner >= -slack))
            return pd_fails(t, "%s: <prox(a) - prox(b), a - b> = %.9g is negative; no prox has that", pd_dtype_text(dtype), inner);
        if (firmly && !(inner >= moved - slack))
            return pd_fails(t,
                            "%s: ||prox(a) - prox(b)||^2 = %.9g exceeds <prox(a) - prox(b), a - b> = %.9g; no convex f has such "
                            "a prox: remove "
                            "PUDLE_PROX_CONVEX or mend apply",
                            pd_dtype_text(dtype), moved, inner);
    }
    return true;
}

bool pd_prox_monotone(pd_trial *t)
{
    return pairs_of(t, false);
}

bool pd_prox_nonexpansive(pd_trial *t)
{
    if (!(t->desc->caps & PUDLE_PROX_CONVEX))
        return pd_skips(t, "it does not declare PUDLE_PROX_CONVEX");
    return pairs_of(t, true);
}
