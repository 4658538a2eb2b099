/* What a prox declares in its caps and its header, and the list of all tests of a prox. */
#include "conform/parts.h"

enum { DRAWS = 40, LIMIT = 256 };
static const int32_t precisions[] = { PUDLE_F64, PUDLE_F32 };

/* Each case in both precisions. */
static bool each_case(pd_trial *t, int64_t limit, bool (*test)(pd_trial *, pd_prox_case *, int32_t))
{
    pd_prox_case c;
    for (int draw = 0; draw < DRAWS; draw++) {
        pd_trial_clear(t);
        if (!pd_prox_cases.open(t, &c, draw, limit))
            return false;
        for (int k = 0; k < 2; k++)
            if (!test(t, &c, precisions[k]))
                return false;
    }
    return true;
}

static bool lacks(const pd_trial *t, uint64_t cap)
{
    return !(t->desc->caps & cap);
}

/* ----------------------------------------------------------------- dead zone */

static bool dead_zone_at(pd_trial *t, pd_prox_case *c, int32_t dtype)
{
    double *x = pd_scratch(t, c->n), *p = pd_scratch(t, c->n), *zone = pd_scratch(t, c->atoms);
    if (!x || !p || !zone)
        return false;
    for (int64_t a = 0; a < c->atoms; a++) {
        double theta[PD_LEVELS] = { 0 };
        for (int k = 0; k < c->levels; k++)
            theta[k] = c->level[k][c->per_atom ? a : 0];
        zone[a] = PD_IN(t, "dead_zone", c->ops->dead_zone(t->self, c->tau, theta));
        PD_OUT(t);
        if (!(zone[a] >= 0))
            return pd_fails(t, "dead_zone returned %g", zone[a]);
    }
    for (int64_t i = 0; i < c->n; i++) {
        const double z = zone[i / c->inner % c->atoms], at = isfinite(z) ? z : 100;
        x[i] = pd_single(at * (pd_below(t, 3) ? 2 * pd_uniform(t) - 1 : 1.5 * pd_normal(t)));
        if (pd_below(t, 8) == 0) /* just inside */
            x[i] = pd_single(at * (1 - 4 * (double)FLT_EPSILON) * (pd_below(t, 2) ? 1 : -1));
    }
    if (!pd_prox_apply(t, c, dtype, x, p))
        return false;
    for (int64_t i = 0; i < c->n; i++) {
        const double z = zone[i / c->inner % c->atoms];
        if (fabs(x[i]) < z && p[i] != 0)
            return pd_fails(t, "%s: |v| = %.9g lies in the dead zone of %.9g, and p is %.9g, not 0", pd_dtype_text(dtype),
                            fabs(x[i]), z, p[i]);
    }
    return true;
}

static bool dead_zone(pd_trial *t)
{
    return ((const pudle_prox_ops *)t->desc->ops)->dead_zone ? each_case(t, LIMIT, dead_zone_at) : pd_skips(t, "it has no dead_zone");
}

/* ------------------------------------------------------------------ NaN, Inf */

static bool nan_at(pd_trial *t, pd_prox_case *c, int32_t dtype)
{
    double *x = pd_scratch(t, c->n), *p = pd_scratch(t, c->n);
    if (!x || !p)
        return false;
    memcpy(x, c->v, (size_t)c->n * sizeof *x);
    x[pd_below(t, c->n)] = NAN;
    for (int64_t i = 0; i < c->n; i++)
        if (pd_below(t, 16) == 0)
            x[i] = NAN;
    if (!pd_prox_apply(t, c, dtype, x, p))
        return false;
    for (int64_t i = 0; i < c->n; i++) {
        if (isnan(x[i]) && !isnan(p[i]))
            return pd_fails(t, "%s: v[%lld] is NaN and p[%lld] is %g: a NaN is hidden", pd_dtype_text(dtype), (long long)i,
                            (long long)i, p[i]);
        if (!lacks(t, PUDLE_PROX_SEPARABLE) && isnan(p[i]) && !isnan(x[i]))
            return pd_fails(t, "%s: p[%lld] is NaN, v[%lld] = %g is not, and each entry is said to stand alone",
                            pd_dtype_text(dtype), (long long)i, (long long)i, x[i]);
    }
    return true;
}

static bool nan_kept(pd_trial *t)
{
    return each_case(t, LIMIT, nan_at);
}

/* At infinity a prox may be infinite, finite where f is bounded, or unknown, but it does not change sides, nor harm other entries. */
static bool infinite_at(pd_trial *t, pd_prox_case *c, int32_t dtype)
{
    double *x = pd_scratch(t, c->n), *p = pd_scratch(t, c->n), *p0 = pd_scratch(t, c->n);
    if (!x || !p || !p0)
        return false;
    memcpy(x, c->v, (size_t)c->n * sizeof *x);
    const int64_t at = pd_below(t, c->n);
    x[at] = pd_below(t, 2) ? INFINITY : -INFINITY;
    if (!pd_prox_apply(t, c, dtype, x, p) || !pd_prox_apply(t, c, dtype, c->v, p0))
        return false;
    if (isinf(p[at]) && p[at] != x[at])
        return pd_fails(t, "%s: v = %g gives p = %g", pd_dtype_text(dtype), x[at], p[at]);
    for (int64_t i = 0; i < c->n && !lacks(t, PUDLE_PROX_SEPARABLE); i++)
        if (i != at && !pd_same_number(p[i], p0[i]))
            return pd_fails(t, "%s: v[%lld] = %g changes p[%lld] from %g to %g", pd_dtype_text(dtype), (long long)at, x[at],
                            (long long)i, p0[i], p[i]);
    return true;
}

static bool infinite(pd_trial *t)
{
    return each_case(t, LIMIT, infinite_at);
}

/* ---------------------------------------------------------------------- caps */

static bool nonneg_at(pd_trial *t, pd_prox_case *c, int32_t dtype)
{
    double *p = pd_scratch(t, c->n);
    if (!p || !pd_prox_apply(t, c, dtype, c->v, p))
        return false;
    for (int64_t i = 0; i < c->n; i++)
        if (!(p[i] >= 0))
            return pd_fails(t, "%s: v = %g gives p = %g", pd_dtype_text(dtype), c->v[i], p[i]);
    return true;
}

static bool nonneg(pd_trial *t)
{
    return lacks(t, PUDLE_PROX_NONNEG) ? pd_skips(t, "it does not declare PUDLE_PROX_NONNEG") : each_case(t, LIMIT, nonneg_at);
}

/* One entry moves, in apply and in what vjp makes of one entry of g; all others must stay to the bit. */
static bool separable_at(pd_trial *t, pd_prox_case *c, int32_t dtype)
{
    double *x = pd_scratch(t, c->n), *p = pd_scratch(t, c->n), *p0 = pd_scratch(t, c->n), *unit = pd_scratch(t, c->n);
    if (!x || !p || !p0 || !unit || !pd_prox_apply(t, c, dtype, c->v, p0))
        return false;
    for (int trial = 0; trial < 6; trial++) {
        const int64_t at = pd_below(t, c->n);
        memcpy(x, c->v, (size_t)c->n * sizeof *x);
        x[at] = trial % 2 ? pd_single(c->scale * pd_normal(t)) : pd_single(20 * c->scale * pd_normal(t));
        if (!pd_prox_apply(t, c, dtype, x, p))
            return false;
        for (int64_t i = 0; i < c->n; i++)
            if (i != at && !pd_same_number(p[i], p0[i]))
                return pd_fails(t, "%s: v[%lld] going from %g to %g changes p[%lld] from %.9g to %.9g", pd_dtype_text(dtype),
                                (long long)at, c->v[at], x[at], (long long)i, p0[i], p[i]);
        if (!c->kernel->vjp || c->ops->vjp_needs == PUDLE_VJP_NONE)
            continue;
        memset(unit, 0, (size_t)c->n * sizeof *unit);
        unit[at] = 1;
        if (!pd_prox_vjp(t, c, dtype, c->v, unit, p, NULL))
            return false;
        for (int64_t i = 0; i < c->n; i++)
            if (i != at && p[i] != 0)
                return pd_fails(t, "%s: dp[%lld]/dv[%lld] is %g", pd_dtype_text(dtype), (long long)at, (long long)i, p[i]);
    }
    return true;
}

static bool separable(pd_trial *t)
{
    return lacks(t, PUDLE_PROX_SEPARABLE) ? pd_skips(t, "it does not declare PUDLE_PROX_SEPARABLE") : each_case(t, LIMIT, separable_at);
}

/* A batch cut into samples gives the same: blocks of any size are what backends work on. */
static bool samples_at(pd_trial *t, pd_prox_case *c, int32_t dtype)
{
    double *p = pd_scratch(t, c->n), *q = pd_scratch(t, c->n);
    if (!p || !q || !pd_prox_apply(t, c, dtype, c->v, p))
        return false;
    pd_prox_case one = *c;
    one.shape[0] = 1;
    one.n = c->sample;
    for (int64_t b = 0; b < c->shape[0]; b++) {
        if (!pd_prox_apply(t, &one, dtype, c->v + b * c->sample, q))
            return false;
        for (int64_t i = 0; i < c->sample; i++) { /* the end of a vector loop may round otherwise */
            const double whole = p[b * c->sample + i];
            if (!pd_near_number(q[i], whole, pd_tolerance(dtype, c->sample) * (fabs(whole) + c->scale)))
                return pd_fails(t,
                                "%s: sample %lld of a batch of %lld, entry %lld, is %.9g, and %.9g when it is the only one; if "
                                "that is meant, "
                                "declare PUDLE_PROX_BATCH_COUPLED",
                                pd_dtype_text(dtype), (long long)b, (long long)c->shape[0], (long long)i, whole, q[i]);
        }
    }
    return true;
}

static bool samples(pd_trial *t)
{
    return lacks(t, PUDLE_PROX_BATCH_COUPLED) ? each_case(t, LIMIT, samples_at) : pd_skips(t, "it couples the samples of a batch");
}

/* -------------------------------------------------------------------- levels */

/* One level for all, or the same for each atom. */
static bool per_atom_at(pd_trial *t, pd_prox_case *c, int32_t dtype)
{
    if (c->per_atom || c->levels == 0)
        return true;
    pd_prox_case each = *c;
    double *p = pd_scratch(t, c->n), *q = pd_scratch(t, c->n), *gv = pd_scratch(t, c->n), *ga = pd_scratch(t, c->levels),
           *gb = pd_scratch(t, c->atoms * c->levels);
    each.per_atom = true;
    for (int k = 0; k < c->levels; k++) {
        if (!(each.level[k] = pd_scratch(t, c->atoms)))
            return false;
        for (int64_t a = 0; a < c->atoms; a++)
            each.level[k][a] = c->level[k][0];
    }
    if (pd_prox_refuses(t, &each))
        return pd_skips(t, "it refuses levels for each atom");
    if (!p || !q || !gv || !ga || !gb || !pd_prox_apply(t, c, dtype, c->v, p) || !pd_prox_apply(t, &each, dtype, c->v, q))
        return false;
    for (int64_t i = 0; i < c->n; i++)
        if (!pd_near_number(p[i], q[i], pd_tolerance(dtype, 1) * (fabs(p[i]) + c->scale)))
            return pd_fails(t, "%s: p[%lld] is %.9g with one level for all, and %.9g with the same level for each atom",
                            pd_dtype_text(dtype), (long long)i, p[i], q[i]);
    if (!c->kernel->vjp || c->ops->vjp_needs == PUDLE_VJP_NONE)
        return true;
    if (!pd_prox_vjp(t, c, dtype, c->v, c->g, gv, ga) || !pd_prox_vjp(t, &each, dtype, c->v, c->g, gv, gb))
        return false;
    for (int k = 0; k < c->levels; k++) {
        double sum = 0, size = 1;
        for (int64_t a = 0; a < c->atoms; a++) {
            sum += gb[k * c->atoms + a];
            size += fabs(gb[k * c->atoms + a]);
        }
        if (c->level[k][0] == c->level_min[k] || c->level[k][0] == c->level_max[k])
            continue; /* the end of its range, where a derivative may be a choice */
        if (!pd_near_number(sum, ga[k], 16 * pd_tolerance(dtype, c->n) * size))
            return pd_fails(t, "%s: the gradient of level %d is %.9g for one level and sums to %.9g over levels of the atoms",
                            pd_dtype_text(dtype), k, ga[k], sum);
    }
    return true;
}

static bool per_atom(pd_trial *t)
{
    pudle_option row;
    for (int i = 0; pd_option_at(t->desc, i, &row); i++)
        if (row.flags & PUDLE_THRESHOLD)
            return each_case(t, LIMIT, per_atom_at);
    return pd_skips(t, "it has no levels");
}

static bool source(pd_trial *t)
{
    const pudle_prox_ops *ops = t->desc->ops;
    if (!PUDLE_HAS(ops, pudle_prox_ops, source) || !ops->source)
        return pd_skips(t, "it keeps no source for devices");
    if (!ops->source->body || !*ops->source->body)
        return pd_fails(t, "the source is empty");
    if (lacks(t, PUDLE_PROX_SEPARABLE))
        return pd_fails(t, "a source for one entry, and PUDLE_PROX_SEPARABLE is not declared");
    return pd_knows_options(t, ops->source->body);
}

/* ----------------------------------------------------------------- precision */

/* What rounding of the arguments alone does to p, seen on a few neighbours; large where p jumps. */
static bool spread_of(pd_trial *t, const pd_prox_case *c, bool vjp, const double *exact, double *spread)
{
    pd_prox_case near = *c;
    double *x = pd_scratch(t, c->n), *p = pd_scratch(t, c->n);
    const int64_t count = pd_prox_level_count(c);
    for (int k = 0; k < c->levels; k++)
        if (!(near.level[k] = pd_scratch(t, count)))
            return false;
    if (!x || !p)
        return false;
    for (int m = 0; m < 8; m++) {
        const double sign = m % 2 ? -1 : 1;
        for (int64_t i = 0; i < c->n; i++)
            x[i] = c->v[i] * (1 + sign * (m < 4 ? 1 : pd_normal(t)) * 8 * (double)FLT_EPSILON);
        for (int k = 0; k < c->levels; k++)
            for (int64_t a = 0; a < count; a++)
                near.level[k][a] = c->level[k][a] * (1 + (m / 2 % 2 ? -sign : sign) * 4 * (double)FLT_EPSILON);
        if (!(vjp ? pd_prox_vjp(t, &near, PUDLE_F64, x, c->g, p, NULL) : pd_prox_apply(t, &near, PUDLE_F64, x, p)))
            return false;
        for (int64_t i = 0; i < c->n; i++)
            spread[i] = fmax(spread[i], fabs(p[i] - exact[i]));
    }
    return true;
}

static bool close_enough(pd_trial *t, const pd_prox_case *c, const double *exact, const double *other, const double *spread, double scale,
                         const char *what, const char *against)
{
    for (int64_t i = 0; i < c->n; i++)
        if (!pd_near_number(other[i], exact[i], 2 * pd_tolerance(PUDLE_F32, c->sample) * (fabs(exact[i]) + scale) + 4 * spread[i]))
            return pd_fails(t, "entry %lld of %s is %.9g in %s, and %.9g in f64 on the host", (long long)i, what, other[i],
                            against, exact[i]);
    return true;
}

static bool has_vjp(const pd_prox_case *c)
{
    return c->kernel->vjp && c->ops->vjp_needs != PUDLE_VJP_NONE;
}

static bool precision(pd_trial *t)
{
    pd_prox_case c;
    for (int draw = 0; draw < DRAWS; draw++) {
        pd_trial_clear(t);
        if (!pd_prox_cases.open(t, &c, draw, LIMIT))
            return false;
        for (int vjp = 0; vjp < 1 + has_vjp(&c); vjp++) {
            double *exact = pd_scratch(t, c.n), *p = pd_scratch(t, c.n), *spread = pd_scratch(t, c.n);
            if (!exact || !p || !spread)
                return false;
            if (!(vjp ? pd_prox_vjp(t, &c, PUDLE_F64, c.v, c.g, exact, NULL) && pd_prox_vjp(t, &c, PUDLE_F32, c.v, c.g, p, NULL)
                      : pd_prox_apply(t, &c, PUDLE_F64, c.v, exact) && pd_prox_apply(t, &c, PUDLE_F32, c.v, p)))
                return false;
            if (!spread_of(t, &c, vjp, exact, spread) || !close_enough(t, &c, exact, p, spread, vjp ? 1 : c.scale, vjp ? "gv" : "p", "f32"))
                return false;
        }
    }
    return true;
}

/* ------------------------------------------------------------------- targets */

typedef struct lane_call {
    pd_trial *t;
    const pd_bench *b;
    const pd_prox_case *c;
    const pudle_cview *theta;
    pudle_view v, p, g, gv;
    bool vjp;
} lane_call;

static pudle_status on_lane(void *ctx, pudle_exec *lane, int64_t index)
{
    const lane_call *w = ctx;
    const pudle_instance prox = { w->t->desc, w->t->self };
    const pudle_cview v = pudle_const(&w->v), p = pudle_const(&w->p), g = pudle_const(&w->g);
    (void)index;
    const pudle_status s = w->b->ops->prox_apply(lane, &prox, w->c->tau, w->theta, &v, &w->p);
    return s || !w->vjp ? s : w->b->ops->prox_vjp(lane, &prox, w->c->tau, w->theta, &v, &p, &g, &w->gv, NULL);
}

static bool through_backend(pd_trial *t, pd_bench *b, const pd_prox_case *c, int32_t dtype, double *p, double *gv)
{
    pudle_view theta[PD_LEVELS] = { { 0 } };
    pudle_cview ctheta[PD_LEVELS];
    const int64_t count = pd_prox_level_count(c);
    lane_call w = { .t = t, .b = b, .c = c, .theta = ctheta, .vjp = has_vjp(c) };
    bool good = pd_bench_put(b, dtype, c->rank, c->shape, c->v, &w.v) && pd_bench_put(b, dtype, c->rank, c->shape, NULL, &w.p) &&
                pd_bench_put(b, dtype, c->rank, c->shape, c->g, &w.g) && pd_bench_put(b, dtype, c->rank, c->shape, NULL, &w.gv);
    for (int k = 0; k < c->levels && good; k++) {
        good = pd_bench_put(b, dtype, 1, &count, c->level[k], &theta[k]);
        ctheta[k] = pudle_const(&theta[k]);
    }
    const pudle_status s = good ? pd_bench_run(b, on_lane, &w) : PUDLE_OK;
    if (s)
        good = pd_fails(t, "through the backend %s: %s; %s", t->how->backend, pd_status_text(s), t->host.said);
    good = good && pd_bench_get(b, &w.p, p) && (!w.vjp || pd_bench_get(b, &w.gv, gv));
    pudle_view *all[] = { &w.v, &w.p, &w.g, &w.gv };
    for (int i = 0; i < 4; i++)
        pd_bench_free(b, all[i]);
    for (int k = 0; k < c->levels; k++)
        pd_bench_free(b, &theta[k]);
    return good;
}

static bool targets(pd_trial *t)
{
    const pudle_prox_kernel *const *kernels = ((const pudle_prox_ops *)t->desc->ops)->kernels;
    pd_prox_case c;
    pd_bench b;
    if (!pd_bench_open_named(t, kernels[1] ? kernels[1]->target : NULL, &b))
        return false;
    bool good = true;
    for (int draw = 0; draw < DRAWS && good; draw++) {
        pd_trial_clear(t);
        good = pd_prox_cases.open(t, &c, draw, LIMIT);
        for (int k = 0; k < 2 && good; k++) {
            double *exact[2] = { pd_scratch(t, c.n), pd_scratch(t, c.n) }, *got[2] = { pd_scratch(t, c.n), pd_scratch(t, c.n) },
                   *spread[2] = { pd_scratch(t, c.n), pd_scratch(t, c.n) };
            good = exact[1] && got[1] && spread[1] && pd_prox_apply(t, &c, PUDLE_F64, c.v, exact[0]) &&
                   spread_of(t, &c, false, exact[0], spread[0]) && through_backend(t, &b, &c, precisions[k], got[0], got[1]) &&
                   close_enough(t, &c, exact[0], got[0], spread[0], c.scale, "p", t->how->backend);
            if (good && has_vjp(&c))
                good = pd_prox_vjp(t, &c, PUDLE_F64, c.v, c.g, exact[1], NULL) && spread_of(t, &c, true, exact[1], spread[1]) &&
                       close_enough(t, &c, exact[1], got[1], spread[1], 1, "gv", t->how->backend);
        }
    }
    pd_bench_close(&b);
    return good;
}

/* --------------------------------------------------------------------- tests */

static bool output(pd_trial *t) { return pd_contract_output(t, &pd_prox_cases); }
static bool empty(pd_trial *t) { return pd_contract_empty(t, &pd_prox_cases); }
static bool bounds(pd_trial *t) { return pd_contract_bounds(t, &pd_prox_cases); }
static bool inputs(pd_trial *t) { return pd_contract_inputs(t, &pd_prox_cases); }
static bool deterministic(pd_trial *t) { return pd_contract_deterministic(t, &pd_prox_cases); }
static bool threads(pd_trial *t) { return pd_contract_threads(t, &pd_prox_cases); }

static bool in_place(pd_trial *t)
{
    return lacks(t, PUDLE_PROX_INPLACE) ? pd_skips(t, "it does not declare PUDLE_PROX_INPLACE") : pd_contract_in_place(t, &pd_prox_cases);
}

const pd_test pd_prox_tests[] = {
    { "output", "p and gv are overwritten whole, gtheta is added to", output },
    { "optimal", "p makes tau f(p) + 1/2 ||p - v||^2 least", pd_prox_optimal },
    { "monotone", "<prox(a) - prox(b), a - b> >= 0", pd_prox_monotone },
    { "nonexpansive", "||prox(a) - prox(b)||^2 <= <prox(a) - prox(b), a - b>, as f is declared convex", pd_prox_nonexpansive },
    { "derivative", "vjp is the derivative of apply", pd_prox_derivative },
    { "levels", "gtheta is the derivative of apply for the levels", pd_prox_levels },
    { "jacobian", "the Jacobian is symmetric; with f convex its eigenvalues lie in [0, 1]", pd_prox_jacobian },
    { "dead_zone", "every |v| below dead_zone becomes exactly 0", dead_zone },
    { "nan", "a NaN comes out where it went in; of a separable prox nowhere else", nan_kept },
    { "infinite", "an infinite entry does not change sides or harm others", infinite },
    { "nonneg", "p >= 0", nonneg },
    { "separable", "an entry of v acts on its entry of p alone", separable },
    { "samples", "samples of a batch do not act on each other", samples },
    { "per_atom", "one level for all is the same level for each atom", per_atom },
    { "precision", "f32 agrees with f64", precision },
    { "in_place", "p may lie on v, gv on g", in_place },
    { "empty", "arrays without entries do no harm", empty },
    { "bounds", "nothing outside its arrays is touched", bounds },
    { "inputs", "inputs and the instance are not written", inputs },
    { "deterministic", "the same call gives the same bits", deterministic },
    { "threads", "many threads may use one instance at the same time", threads },
    { "source", "the source kept for devices is of one entry, and reads options of the table", source },
    { "targets", "every kernel agrees with the host kernel", targets },
    { NULL, NULL, NULL },
};
