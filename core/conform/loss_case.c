/* Cases of a loss: an instance, a shape, predictions, and targets of the first family that its check_target accepts. */
#include "conform/parts.h"

enum { SHAPES_TRIED = 400 };
enum { REAL, POSITIVE, COUNTS, BINARY, FRACTIONS, SHARES, ONE_OF };

const char *pd_target_family(int family)
{
    static const char *const names[] = { "real numbers", "positive numbers", "counts", "0 and 1", "fractions between 0 and 1",
                                         "shares that sum to 1 along the second axis", "a single 1 along the second axis" };
    return names[family];
}

/* Shares, or a single 1, along the second axis. */
static void draw_along(pd_trial *t, bool single, int32_t rank, const int64_t *shape, double *x)
{
    const int64_t across = shape[1], inner = rank == 4 ? shape[2] * shape[3] : 1;
    for (int64_t b = 0; b < shape[0]; b++)
        for (int64_t i = 0; i < inner; i++) {
            double *row = x + b * across * inner + i, sum = 0;
            const int64_t one = across > 0 ? pd_below(t, across) : 0;
            for (int64_t k = 0; k < across; k++)
                sum += row[k * inner] = single ? k == one : 1 + (double)pd_below(t, 1000);
            for (int64_t k = 0; k < across; k++)
                row[k * inner] = pd_single(row[k * inner] / sum);
        }
}

void pd_target_draw(pd_trial *t, int family, int32_t rank, const int64_t *shape, double *x)
{
    int64_t n = 1;
    for (int32_t i = 0; i < rank; i++)
        n *= shape[i];
    if (family >= SHARES) {
        draw_along(t, family == ONE_OF, rank, shape, x);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        const double u = pd_uniform(t), normal = pd_normal(t);
        x[i] = pd_single(family == REAL       ? 2 * normal
                         : family == POSITIVE ? exp(normal)
                         : family == COUNTS   ? floor(8 * u * u)
                         : family == BINARY   ? u < 0.5
                                              : u);
    }
}

static bool target_accepted(pd_trial *t, const pd_loss_case *c, const double *x)
{
    void *mark = pd_mark(t);
    const pudle_view v = pd_view_new(t, PUDLE_F64, c->rank, c->shape, PD_PADDED, "target", x);
    const pudle_cview view = pudle_const(&v);
    const pudle_status s = !v.data ? PUDLE_ERR_NOMEM : PD_IN(t, "check_target", c->ops->check_target(&t->host.table, t->self, &view));
    PD_OUT(t);
    pd_release(t, mark);
    return s == PUDLE_OK;
}

static bool draw_targets(pd_trial *t, pd_loss_case *c)
{
    if (!c->ops->check_target) {
        pd_target_draw(t, c->family = REAL, c->rank, c->shape, c->target);
        return true;
    }
    for (c->family = 0; c->family < PD_TARGET_FAMILIES; c->family++) {
        pd_target_draw(t, c->family, c->rank, c->shape, c->target);
        if (target_accepted(t, c, c->target)) {
            pd_test_host_forget(&t->host);
            return true;
        }
    }
    if (c->n == 0) { /* no targets, none refused */
        c->family = REAL;
        return true;
    }
    return pd_fails(
        t, "check_target refuses real and positive numbers, counts, 0 and 1, fractions, shares and a single 1; the last with: %s",
        t->host.said);
}

static bool refresh_case(pd_trial *t, void *c_)
{
    pd_loss_case *c = c_;
    static const double scales[] = { 0.02, 0.5, 1, 2 };
    pd_fill_normal(t, c->pred, c->n, scales[pd_below(t, 4)]);
    pd_fill_normal(t, c->u, c->n, 1);
    return draw_targets(t, c);
}

static pudle_status value_status(pd_trial *t, const pd_loss_case *c, int32_t dtype, const double *pred, double *f)
{
    void *mark = pd_mark(t);
    const pudle_view p = pd_view_new(t, dtype, c->rank, c->shape, PD_PADDED, "pred", pred),
                     y = pd_view_new(t, dtype, c->rank, c->shape, PD_PADDED, "target", c->target);
    const pudle_cview cp = pudle_const(&p), cy = pudle_const(&y);
    const pudle_status s = !p.data || !y.data ? PUDLE_ERR_NOMEM : PD_IN(t, "value", c->kernel->value(t->self, NULL, &cp, &cy, f));
    PD_OUT(t);
    pd_release(t, mark);
    return s;
}

static bool open_case(pd_trial *t, void *c_, int draw, int64_t limit)
{
    pd_loss_case *c = c_;
    pudle_status s = PUDLE_OK;
    *c = (pd_loss_case){ .ops = t->desc->ops };
    c->kernel = c->ops->kernels[0];
    if (!pd_instance_draw(t, draw))
        return false;
    for (int tried = 0; tried < SHAPES_TRIED; tried++) {
        char shape[64];
        double f;
        void *mark = pd_mark(t);
        pd_shape_draw(t, limit, &c->rank, c->shape);
        c->sample = c->shape[1] * (c->rank == 4 ? c->shape[2] * c->shape[3] : 1);
        c->n = c->shape[0] * c->sample;
        c->pred = pd_scratch(t, c->n);
        c->target = pd_scratch(t, c->n);
        c->u = pd_scratch(t, c->n);
        if (!c->pred || !c->target || !c->u)
            return false;
        pd_shape_text(shape, sizeof shape, c->rank, c->shape);
        pd_drawn(t, "pred %s", shape);
        if (!refresh_case(t, c))
            return false;
        pd_drawn(t, "pred %s, targets: %s", shape, pd_target_family(c->family));
        if (limit == 0)
            return true;
        s = value_status(t, c, PUDLE_F64, c->pred, &f);
        if (s != PUDLE_ERR_ARG && s != PUDLE_ERR_UNSUPPORTED)
            return s ? pd_fails(t, "value returned %s", pd_status_text(s)) : true;
        pd_release(t, mark);
    }
    return pd_fails(t, "value refuses every one of %d shapes with %s", SHAPES_TRIED, pd_status_text(s));
}

/* ------------------------------------------------------------------- running */

bool pd_loss_value(pd_trial *t, const pd_loss_case *c, int32_t dtype, const double *pred, double *f)
{
    const pudle_status s = value_status(t, c, dtype, pred, f);
    return s ? pd_fails(t, "value, %s, returned %s", pd_dtype_text(dtype), pd_status_text(s)) : true;
}

/* grad (u NULL) or hvp. */
static bool derived(pd_trial *t, const pd_loss_case *c, int32_t dtype, const double *pred, const double *u, double *out)
{
    void *mark = pd_mark(t);
    const pudle_view p = pd_view_new(t, dtype, c->rank, c->shape, PD_PADDED, "pred", pred),
                     y = pd_view_new(t, dtype, c->rank, c->shape, PD_PADDED, "target", c->target),
                     w = pd_view_new(t, dtype, c->rank, c->shape, PD_PADDED, "u", u ? u : pred),
                     g = pd_view_new(t, dtype, c->rank, c->shape, PD_PADDED, "g", NULL);
    const pudle_cview cp = pudle_const(&p), cy = pudle_const(&y), cu = pudle_const(&w);
    pudle_status s = PUDLE_ERR_NOMEM;
    if (p.data && y.data && w.data && g.data) {
        s = u ? PD_IN(t, "hvp", c->kernel->hvp(t->self, NULL, &cp, &cy, &cu, &g))
              : PD_IN(t, "grad", c->kernel->grad(t->self, NULL, &cp, &cy, &g));
        PD_OUT(t);
        pd_view_get(&g, out);
    }
    pd_release(t, mark);
    return s ? pd_fails(t, "%s, %s, returned %s", u ? "hvp" : "grad", pd_dtype_text(dtype), pd_status_text(s)) : true;
}

bool pd_loss_grad(pd_trial *t, const pd_loss_case *c, int32_t dtype, const double *pred, double *g)
{
    return derived(t, c, dtype, pred, NULL, g);
}

bool pd_loss_hvp(pd_trial *t, const pd_loss_case *c, int32_t dtype, const double *pred, const double *u, double *hu)
{
    return derived(t, c, dtype, pred, u, hu);
}

/* code_value (g NULL) or code_grad, which adds to g. */
static bool penalty(pd_trial *t, const pd_loss_case *c, int32_t dtype, const double *z, double *f, double *g)
{
    void *mark = pd_mark(t);
    const pudle_view v = pd_view_new(t, dtype, c->rank, c->shape, PD_PADDED, "z", z),
                     out = pd_view_new(t, dtype, c->rank, c->shape, PD_PADDED, "g", g ? g : z);
    const pudle_cview view = pudle_const(&v);
    pudle_status s = PUDLE_ERR_NOMEM;
    if (v.data && out.data) {
        s = g ? PD_IN(t, "code_grad", c->kernel->code_grad(t->self, NULL, &view, &out))
              : PD_IN(t, "code_value", c->kernel->code_value(t->self, NULL, &view, f));
        PD_OUT(t);
        if (g)
            pd_view_get(&out, g);
    }
    pd_release(t, mark);
    return s ? pd_fails(t, "%s, %s, returned %s", g ? "code_grad" : "code_value", pd_dtype_text(dtype), pd_status_text(s)) : true;
}

bool pd_loss_penalty(pd_trial *t, const pd_loss_case *c, int32_t dtype, const double *z, double *f)
{
    return penalty(t, c, dtype, z, f, NULL);
}

bool pd_loss_penalty_grad(pd_trial *t, const pd_loss_case *c, int32_t dtype, const double *z, double *g)
{
    return penalty(t, c, dtype, z, NULL, g);
}

bool pd_loss_has_mean(const pd_loss_case *c)
{
    return PUDLE_HAS(c->kernel, pudle_loss_kernel, mean) && c->kernel->mean;
}

/* --------------------------------------------------------------------- calls */

static pudle_status run_value(const pd_call *call, const pudle_cview *in, const pudle_view *out)
{
    return ((const pd_loss_case *)call->owner)->kernel->value(call->self, NULL, &in[0], &in[1], out[0].data);
}

static pudle_status run_grad(const pd_call *call, const pudle_cview *in, const pudle_view *out)
{
    return ((const pd_loss_case *)call->owner)->kernel->grad(call->self, NULL, &in[0], &in[1], &out[0]);
}

static pudle_status run_hvp(const pd_call *call, const pudle_cview *in, const pudle_view *out)
{
    return ((const pd_loss_case *)call->owner)->kernel->hvp(call->self, NULL, &in[0], &in[1], &in[2], &out[0]);
}

static pudle_status run_mean(const pd_call *call, const pudle_cview *in, const pudle_view *out)
{
    return ((const pd_loss_case *)call->owner)->kernel->mean(call->self, NULL, &in[0], &out[0]);
}

static pudle_status run_code_value(const pd_call *call, const pudle_cview *in, const pudle_view *out)
{
    return ((const pd_loss_case *)call->owner)->kernel->code_value(call->self, NULL, &in[0], out[0].data);
}

static pudle_status run_code_grad(const pd_call *call, const pudle_cview *in, const pudle_view *out)
{
    return ((const pd_loss_case *)call->owner)->kernel->code_grad(call->self, NULL, &in[0], &out[0]);
}

static int calls_of(pd_trial *t, void *c_, int32_t dtype, pd_call *calls)
{
    const pd_loss_case *c = c_;
    const int64_t one = 1;
    const pudle_view pred = pd_view_new(t, dtype, c->rank, c->shape, PD_PADDED, "pred", c->pred),
                     target = pd_view_new(t, dtype, c->rank, c->shape, PD_PADDED, "target", c->target),
                     u = pd_view_new(t, dtype, c->rank, c->shape, PD_PADDED, "u", c->u),
                     sum = pd_view_new(t, PUDLE_F64, 1, &one, PD_PADDED, "sum", NULL);
    int count = 0;
    if (!pred.data || !target.data || !u.data || !sum.data)
        return -1;
    const pd_call plain = {
        .self = t->self, .owner = c, .in = { pred, target, u }, .in_name = { "pred", "target", "u" }, .outputs = 1, .in_place = -1
    };
#define ADD(NAME, RUN, INPUTS, OUT, OUT_NAME)                                                                                    \
    (calls[count] = plain, calls[count].name = (NAME), calls[count].run = (RUN), calls[count].inputs = (INPUTS),                 \
     calls[count].out[0] = (OUT), calls[count].out_name[0] = (OUT_NAME), count++)
    ADD("value", run_value, 2, sum, "sum");
    ADD("grad", run_grad, 2, pred, "g");
    calls[1].in_place = 0;
    if (c->kernel->hvp) {
        ADD("hvp", run_hvp, 3, u, "hu");
        calls[count - 1].in_place = 2;
    }
    if (pd_loss_has_mean(c)) {
        ADD("mean", run_mean, 1, pred, "m");
        calls[count - 1].in_place = 0;
    }
    if (c->kernel->code_value) {
        ADD("code_value", run_code_value, 1, sum, "sum");
        ADD("code_grad", run_code_grad, 1, u, "g");
        calls[count - 1].added[0] = true;
    }
#undef ADD
    return count;
}

const pd_cases pd_loss_cases = { open_case, refresh_case, calls_of, sizeof(pd_loss_case) };
