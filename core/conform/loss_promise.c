/* The domain of a loss, NaN, batches, precisions; and the list of all tests of a loss. */
#include "conform/parts.h"

enum { DRAWS = 40, LIMIT = 256 };
static const int32_t precisions[] = { PUDLE_F64, PUDLE_F32 };

static bool each_case(pd_trial *t, bool (*test)(pd_trial *, pd_loss_case *, int32_t))
{
    pd_loss_case c;
    for (int draw = 0; draw < DRAWS; draw++) {
        pd_trial_clear(t);
        if (!pd_loss_cases.open(t, &c, draw, LIMIT))
            return false;
        for (int k = 0; k < 2; k++)
            if (!test(t, &c, precisions[k]))
                return false;
    }
    return true;
}

/* -------------------------------------------------------------------- domain */

/* One batch of targets: refused with words, or accepted and then a loss that is a number. */
static bool judged(pd_trial *t, pd_loss_case *c, int *refused)
{
    void *mark = pd_mark(t);
    const pudle_view y = pd_view_new(t, PUDLE_F64, c->rank, c->shape, PD_PADDED, "target", c->target);
    const pudle_cview view = pudle_const(&y);
    double f = 0;
    pd_test_host_forget(&t->host);
    const pudle_status s =
        !c->ops->check_target ? PUDLE_OK : PD_IN(t, "check_target", c->ops->check_target(&t->host.table, t->self, &view));
    PD_OUT(t);
    pd_release(t, mark);
    *refused += s != PUDLE_OK;
    if (s && !t->host.said[0])
        return pd_fails(t, "check_target refuses %s and says nothing through host->fail", pd_target_family(c->family));
    if (s && s != PUDLE_ERR_ARG)
        return pd_fails(t, "check_target refuses %s with %s, not PUDLE_ERR_ARG", pd_target_family(c->family), pd_status_text(s));
    if (s)
        return true;
    if (!pd_loss_value(t, c, PUDLE_F64, c->pred, &f))
        return false;
    return isnan(f) ? pd_fails(t, "the targets (%s, the first is %g) are accepted, and the loss is NaN",
                               pd_target_family(c->family), c->target[0])
                    : true;
}

/* Numbers that few losses allow, one of them among others that are allowed. */
static const double strange[] = { -1, -0.5, 0.5, -3.25, 1.5, 1e6 + 0.5, 2 };
enum { STRANGE = sizeof strange / sizeof *strange };

static bool domain(pd_trial *t)
{
    const pudle_loss_ops *ops = t->desc->ops;
    const bool limited = ops->target_domain && *ops->target_domain && strncmp(ops->target_domain, "real", 4);
    pd_loss_case c;
    int refused = 0;
    if (limited && !ops->check_target)
        return pd_fails(t, "the domain of targets is \"%s\", and there is no check_target to hold anybody to it", ops->target_domain);
    for (int draw = 0; draw < DRAWS; draw++) {
        pd_trial_clear(t);
        if (!pd_loss_cases.open(t, &c, draw, LIMIT))
            return false;
        const double allowed = c.target[0];
        for (int i = 0; i < STRANGE; i++) {
            const int64_t at = pd_below(t, c.n);
            const double kept = c.target[at];
            c.target[at] = strange[i];
            if (!judged(t, &c, &refused))
                return false;
            c.target[at] = kept;
        }
        c.target[0] = allowed;
        for (c.family = 0; c.family < PD_TARGET_FAMILIES; c.family++) {
            pd_target_draw(t, c.family, c.rank, c.shape, c.target);
            if (!judged(t, &c, &refused))
                return false;
        }
    }
    if (limited && !refused)
        return pd_fails(t,
                        "the domain of targets is \"%s\", and check_target accepts -1, -3.25, 0.5, 1.5, 1000000.5 and all else",
                        ops->target_domain);
    return true;
}

/* ----------------------------------------------------------------------- NaN */

static bool nan_at(pd_trial *t, pd_loss_case *c, int32_t dtype)
{
    double *x = pd_scratch(t, c->n), *g = pd_scratch(t, c->n), f = 0;
    if (!x || !g)
        return false;
    memcpy(x, c->pred, (size_t)c->n * sizeof *x);
    const int64_t at = pd_below(t, c->n);
    x[at] = NAN;
    if (!pd_loss_value(t, c, dtype, x, &f) || !pd_loss_grad(t, c, dtype, x, g))
        return false;
    if (!isnan(f))
        return pd_fails(t, "%s: pred[%lld] is NaN and value is %g", pd_dtype_text(dtype), (long long)at, f);
    if (!isnan(g[at]))
        return pd_fails(t, "%s: pred[%lld] is NaN and grad[%lld] is %g", pd_dtype_text(dtype), (long long)at, (long long)at, g[at]);
    for (int64_t i = 0; i < c->n && t->desc->caps & PUDLE_LOSS_SEPARABLE; i++)
        if (i != at && isnan(g[i]))
            return pd_fails(t, "%s: grad[%lld] is NaN, pred[%lld] alone was, and the loss is declared separable",
                            pd_dtype_text(dtype), (long long)i, (long long)at);
    return true;
}

static bool nan_kept(pd_trial *t)
{
    return each_case(t, nan_at);
}

/* ------------------------------------------------------------------- samples */

static bool samples_at(pd_trial *t, pd_loss_case *c, int32_t dtype)
{
    double *g = pd_scratch(t, c->n), *one_g = pd_scratch(t, c->sample), f, one_f, sum = 0, size = 0;
    if (!g || !one_g || !pd_loss_value(t, c, dtype, c->pred, &f) || !pd_loss_grad(t, c, dtype, c->pred, g))
        return false;
    pd_loss_case one = *c;
    one.shape[0] = 1;
    one.n = c->sample;
    for (int64_t b = 0; b < c->shape[0]; b++) {
        one.target = c->target + b * c->sample;
        if (!pd_loss_value(t, &one, dtype, c->pred + b * c->sample, &one_f) ||
            !pd_loss_grad(t, &one, dtype, c->pred + b * c->sample, one_g))
            return false;
        sum += one_f;
        size += fabs(one_f);
        for (int64_t i = 0; i < c->sample; i++)
            if (!(fabs(one_g[i] - g[b * c->sample + i]) <= pd_tolerance(dtype, c->sample) * (fabs(one_g[i]) + 1)))
                return pd_fails(t, "%s: grad of entry %lld of sample %lld is %.9g in the batch and %.9g alone",
                                pd_dtype_text(dtype), (long long)i, (long long)b, g[b * c->sample + i], one_g[i]);
    }
    if (!(fabs(sum - f) <= pd_tolerance(dtype, c->n) * (size + 1)))
        return pd_fails(t, "%s: value of the batch is %.9g, those of its samples sum to %.9g", pd_dtype_text(dtype), f, sum);
    return true;
}

static bool samples(pd_trial *t)
{
    return each_case(t, samples_at);
}

/* ----------------------------------------------------------------- precision */

static bool mean_of(pd_trial *t, const pd_loss_case *c, int32_t dtype, double *m)
{
    const pudle_view p = pd_view_new(t, dtype, c->rank, c->shape, PD_PADDED, "pred", c->pred),
                     out = pd_view_new(t, dtype, c->rank, c->shape, PD_PADDED, "m", NULL);
    const pudle_cview view = pudle_const(&p);
    const pudle_status s = !p.data || !out.data ? PUDLE_ERR_NOMEM : PD_IN(t, "mean", c->kernel->mean(t->self, NULL, &view, &out));
    PD_OUT(t);
    if (s)
        return pd_fails(t, "mean, %s, returned %s", pd_dtype_text(dtype), pd_status_text(s));
    pd_view_get(&out, m);
    return true;
}

/* Rounding of the prediction moves a gradient by the curvature, which is taken from two neighbours. */
static bool near_each_other(pd_trial *t, const pd_loss_case *c, const double *exact, const double *other, const double *low,
                            const double *high, const char *what)
{
    for (int64_t i = 0; i < c->n; i++) {
        const double slack =
            4 * pd_tolerance(PUDLE_F32, c->sample) * (fabs(exact[i]) + fabs(c->target[i]) + 1) + 4 * fabs(high[i] - low[i]);
        if (!(fabs(exact[i] - other[i]) <= slack))
            return pd_fails(t, "%s[%lld] is %.9g in f32 and %.9g in f64 at pred = %.9g", what, (long long)i, other[i], exact[i],
                            c->pred[i]);
    }
    return true;
}

static bool precision_at(pd_trial *t, pd_loss_case *c, int32_t dtype)
{
    double *a[5], f, f32;
    if (dtype == PUDLE_F32) /* both are compared in one go */
        return true;
    for (int i = 0; i < 5; i++)
        if (!(a[i] = pd_scratch(t, c->n)))
            return false;
    for (int64_t i = 0; i < c->n; i++) {
        a[3][i] = c->pred[i] - 8 * (double)FLT_EPSILON * (fabs(c->pred[i]) + 0.1);
        a[4][i] = c->pred[i] + 8 * (double)FLT_EPSILON * (fabs(c->pred[i]) + 0.1);
    }
    double *low = pd_scratch(t, c->n), *high = pd_scratch(t, c->n);
    if (!low || !high || !pd_loss_value(t, c, PUDLE_F64, c->pred, &f) || !pd_loss_value(t, c, PUDLE_F32, c->pred, &f32))
        return false;
    if (!(fabs(f - f32) <= pd_tolerance(PUDLE_F32, c->n) * (fabs(f) + (double)c->n)))
        return pd_fails(t, "value is %.9g in f32 and %.9g in f64", f32, f);
    if (!pd_loss_grad(t, c, PUDLE_F64, c->pred, a[0]) || !pd_loss_grad(t, c, PUDLE_F32, c->pred, a[1]) ||
        !pd_loss_grad(t, c, PUDLE_F64, a[3], low) || !pd_loss_grad(t, c, PUDLE_F64, a[4], high) ||
        !near_each_other(t, c, a[0], a[1], low, high, "grad"))
        return false;
    if (!c->kernel->hvp)
        return true;
    return pd_loss_hvp(t, c, PUDLE_F64, c->pred, c->u, a[0]) && pd_loss_hvp(t, c, PUDLE_F32, c->pred, c->u, a[1]) &&
           pd_loss_hvp(t, c, PUDLE_F64, a[3], c->u, low) && pd_loss_hvp(t, c, PUDLE_F64, a[4], c->u, high) &&
           near_each_other(t, c, a[0], a[1], low, high, "hvp");
}

static bool precision(pd_trial *t)
{
    return each_case(t, precision_at);
}

static bool mean_at(pd_trial *t, pd_loss_case *c, int32_t dtype)
{
    double *m = pd_scratch(t, c->n);
    if (!m || !mean_of(t, c, dtype, m))
        return false;
    for (int64_t i = 0; i < c->n; i++)
        if (!isfinite(m[i]))
            return pd_fails(t, "%s: the mean at pred = %g is %g", pd_dtype_text(dtype), c->pred[i], m[i]);
    return true;
}

static bool mean(pd_trial *t)
{
    const pd_loss_case c = { .kernel = ((const pudle_loss_ops *)t->desc->ops)->kernels[0] };
    return pd_loss_has_mean(&c) ? each_case(t, mean_at) : pd_skips(t, "it has no mean");
}

static bool source(pd_trial *t)
{
    const pudle_loss_ops *ops = t->desc->ops;
    const pudle_source *code = PUDLE_HAS(ops, pudle_loss_ops, code_source) ? ops->code_source : NULL;
    if (code && !ops->kernels[0]->code_value)
        return pd_fails(t, "a source for a penalty on the code, and the host kernel has no code_value");
    if (code && (code->levels != 0 || !code->body || !*code->body))
        return pd_fails(t, "the source of a penalty has a body and no levels; it has %d", (int)code->levels);
    if (!PUDLE_HAS(ops, pudle_loss_ops, source) || !ops->source)
        return pd_skips(t, "it keeps no source for devices");
    if (ops->source->levels != 0 || !ops->source->body || !*ops->source->body)
        return pd_fails(t, "the source of a loss has a body and no levels; it has %d", (int)ops->source->levels);
    if (!(t->desc->caps & PUDLE_LOSS_SEPARABLE))
        return pd_fails(t, "a source for one entry, and PUDLE_LOSS_SEPARABLE is not declared");
    return pd_knows_options(t, ops->source->body) && (!code || !code->body || pd_knows_options(t, code->body));
}

/* ------------------------------------------------------------------- targets */

typedef struct lane_call { pd_trial *t; const pd_bench *b; pudle_view pred, target, u, g, hu, code; double f, penalty; bool hvp, code_too; } lane_call;

static pudle_status on_lane(void *ctx, pudle_exec *lane, int64_t index)
{
    lane_call *w = ctx;
    const pudle_instance loss = { w->t->desc, w->t->self };
    const pudle_cview pred = pudle_const(&w->pred), target = pudle_const(&w->target), u = pudle_const(&w->u);
    (void)index;
    pudle_status s = w->b->ops->loss_value(lane, &loss, &pred, &target, &w->f);
    if (!s)
        s = w->b->ops->loss_grad(lane, &loss, &pred, &target, &w->g);
    if (!s && w->hvp)
        s = w->b->ops->loss_hvp(lane, &loss, &pred, &target, &u, &w->hu);
    if (!s && w->code_too)
        s = w->b->ops->code_value(lane, &loss, &u, &w->penalty);
    return s || !w->code_too ? s : w->b->ops->code_grad(lane, &loss, &u, &w->code);
}

/* What a loss gives: value, gradient, curvature along u; and for the code u the penalty, and pred plus its gradient. */
typedef struct loss_results { double f, *g, *hu, penalty, *code; } loss_results;

static bool through_backend(pd_trial *t, pd_bench *b, const pd_loss_case *c, int32_t dtype, loss_results *r)
{
    lane_call w = { .t = t, .b = b, .hvp = c->kernel->hvp != NULL, .code_too = c->kernel->code_value != NULL };
    const double *from[] = { c->pred, c->target, c->u, NULL, NULL, c->pred };
    pudle_view *all[] = { &w.pred, &w.target, &w.u, &w.g, &w.hu, &w.code };
    bool good = true;
    for (int i = 0; i < 6 && good; i++)
        good = pd_bench_put(b, dtype, c->rank, c->shape, from[i], all[i]);
    const pudle_status s = good ? pd_bench_run(b, on_lane, &w) : PUDLE_OK;
    if (s)
        good = pd_fails(t, "through the backend %s: %s; %s", t->how->backend, pd_status_text(s), t->host.said);
    good = good && pd_bench_get(b, &w.g, r->g) && (!w.hvp || pd_bench_get(b, &w.hu, r->hu)) && (!w.code_too || pd_bench_get(b, &w.code, r->code));
    r->f = w.f;
    r->penalty = w.penalty;
    for (int i = 0; i < 6; i++)
        pd_bench_free(b, all[i]);
    return good;
}

static bool on_host(pd_trial *t, const pd_loss_case *c, int32_t dtype, loss_results *r)
{
    memcpy(r->code, c->pred, (size_t)c->n * sizeof *r->code);
    return pd_loss_value(t, c, dtype, c->pred, &r->f) && pd_loss_grad(t, c, dtype, c->pred, r->g) &&
           (!c->kernel->hvp || pd_loss_hvp(t, c, dtype, c->pred, c->u, r->hu)) &&
           (!c->kernel->code_value || (pd_loss_penalty(t, c, dtype, c->u, &r->penalty) && pd_loss_penalty_grad(t, c, dtype, c->u, r->code)));
}

/* One number from each side, allowed to differ by `slack` of `size`. */
static bool number_agrees(pd_trial *t, const char *what, int64_t i, int32_t dtype, double host, double backend, double slack, double size)
{
    if (fabs(host - backend) <= slack * (fabs(host) + size))
        return true;
    return pd_fails(t, "%s[%lld], %s, is %.9g through the backend and %.9g on the host", what, (long long)i, pd_dtype_text(dtype), backend, host);
}

static bool target_at(pd_trial *t, pd_bench *b, const pd_loss_case *c, int32_t dtype)
{
    loss_results host = { .f = 0 }, got = { .f = 0 };
    double **const rooms[] = { &host.g, &host.hu, &host.code, &got.g, &got.hu, &got.code };
    for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++)
        if (!(*rooms[i] = pd_scratch(t, c->n)))
            return false;
    if (!on_host(t, c, dtype, &host) || !through_backend(t, b, c, dtype, &got))
        return false;
    const double slack = 4 * pd_tolerance(dtype, c->sample);
    const bool code = c->kernel->code_value != NULL;
    bool good = number_agrees(t, "value", 0, dtype, host.f, got.f, slack, (double)c->n) &&
                (!code || number_agrees(t, "code_value", 0, dtype, host.penalty, got.penalty, slack, (double)c->n));
    for (int64_t i = 0; i < c->n && good; i++)
        good = number_agrees(t, "grad", i, dtype, host.g[i], got.g[i], slack, fabs(c->target[i]) + 1) &&
               (!c->kernel->hvp || number_agrees(t, "hvp", i, dtype, host.hu[i], got.hu[i], slack, 1)) &&
               (!code || number_agrees(t, "code_grad", i, dtype, host.code[i], got.code[i], slack, fabs(c->pred[i]) + 1));
    return good;
}

static bool targets(pd_trial *t)
{
    const pudle_loss_kernel *const *kernels = ((const pudle_loss_ops *)t->desc->ops)->kernels;
    pd_loss_case c;
    pd_bench b;
    if (!pd_bench_open_named(t, kernels[1] ? kernels[1]->target : NULL, &b))
        return false;
    bool good = true;
    for (int draw = 0; draw < DRAWS && good; draw++) {
        pd_trial_clear(t);
        good = pd_loss_cases.open(t, &c, draw, LIMIT) && target_at(t, &b, &c, precisions[draw % 2]);
    }
    pd_bench_close(&b);
    return good;
}

/* --------------------------------------------------------------------- tests */

static bool output(pd_trial *t) { return pd_contract_output(t, &pd_loss_cases); }
static bool empty(pd_trial *t) { return pd_contract_empty(t, &pd_loss_cases); }
static bool in_place(pd_trial *t) { return pd_contract_in_place(t, &pd_loss_cases); }
static bool bounds(pd_trial *t) { return pd_contract_bounds(t, &pd_loss_cases); }
static bool inputs(pd_trial *t) { return pd_contract_inputs(t, &pd_loss_cases); }
static bool deterministic(pd_trial *t) { return pd_contract_deterministic(t, &pd_loss_cases); }
static bool threads(pd_trial *t) { return pd_contract_threads(t, &pd_loss_cases); }

const pd_test pd_loss_tests[] = {
    { "output", "results are overwritten whole; the gradient of the code is added to", output },
    { "domain", "targets outside the domain are refused with a reason; inside it the loss is a number", domain },
    { "gradient", "grad is the derivative of value", pd_loss_gradient },
    { "curvature", "hvp is the derivative of grad", pd_loss_curvature },
    { "symmetric", "the Hessian is symmetric, and with a convex loss not negative", pd_loss_symmetric },
    { "lipschitz", "||grad(a) - grad(b)|| <= L ||a - b||", pd_loss_lipschitz },
    { "convex", "the loss is convex in pred", pd_loss_convex },
    { "quadratic", "the Hessian does not depend on pred", pd_loss_quadratic },
    { "separable", "the Hessian is diagonal", pd_loss_separable },
    { "code", "code_grad is the derivative of code_value", pd_loss_code },
    { "mean", "the mean is finite", mean },
    { "nan", "a NaN in pred comes out", nan_kept },
    { "samples", "the loss of a batch is the sum of those of its samples", samples },
    { "precision", "f32 agrees with f64", precision },
    { "in_place", "g and m may lie on pred, hu on u", in_place },
    { "empty", "arrays without entries do no harm", empty },
    { "bounds", "nothing outside its arrays is touched", bounds },
    { "inputs", "inputs and the instance are not written", inputs },
    { "deterministic", "the same call gives the same bits", deterministic },
    { "threads", "many threads may use one instance at the same time", threads },
    { "source", "the source kept for devices is that of a loss", source },
    { "targets", "every kernel agrees with the host kernel", targets },
    { NULL, NULL, NULL },
};
