/* Convolutions of a backend against plain loops, and the kernels of other plugins run through it. */
#include "conform/parts.h"

enum { DRAWS = 12 };
static const int32_t precisions[] = { PUDLE_F64, PUDLE_F32 };

typedef struct conv_case {
    pudle_conv conv;
    int64_t batch, data, code, filters; /* entries of a sample, of a code, of the dictionary */
    double *w, *z, *r;
    pudle_view vw, vz, vr, vu, vv, vg;
} conv_case;

static bool conv_draw(pd_trial *t, pd_bench *b, int32_t dtype, conv_case *c)
{
    pudle_conv *v = &c->conv;
    *c = (conv_case){ .conv = { .size = sizeof(pudle_conv), .atoms = 1 + pd_below(t, 5), .channels = 1 + pd_below(t, 3) },
                      .batch = 1 + pd_below(t, 3) };
    for (int i = 0; i < 2; i++) {
        const bool flat = i == 0 && pd_below(t, 3) == 0; /* a signal in one dimension is a picture of height 1 */
        v->kernel[i] = flat ? 1 : 1 + pd_below(t, 5);
        v->code[i] = flat ? 1 : 1 + pd_below(t, 7);
        v->stride[i] = flat ? 1 : 1 + pd_below(t, 3);
        v->data[i] = v->kernel[i] + (v->code[i] - 1) * v->stride[i];
    }
    c->data = v->channels * v->data[0] * v->data[1];
    c->code = v->atoms * v->code[0] * v->code[1];
    c->filters = v->atoms * v->channels * v->kernel[0] * v->kernel[1];
    c->w = pd_scratch(t, c->filters);
    c->z = pd_scratch(t, c->batch * c->code);
    c->r = pd_scratch(t, c->batch * c->data);
    if (!c->w || !c->z || !c->r)
        return false;
    pd_fill_normal(t, c->w, c->filters, 1);
    pd_fill_normal(t, c->z, c->batch * c->code, 1);
    pd_fill_normal(t, c->r, c->batch * c->data, 1);
    pd_drawn(t, "%lld samples, %lld filters of (%lld, %lld, %lld), stride (%lld, %lld), codes (%lld, %lld), %s",
             (long long)c->batch, (long long)v->atoms, (long long)v->channels, (long long)v->kernel[0], (long long)v->kernel[1],
             (long long)v->stride[0], (long long)v->stride[1], (long long)v->code[0], (long long)v->code[1],
             pd_dtype_text(dtype));
    const int64_t ws[] = { v->atoms, v->channels, v->kernel[0], v->kernel[1] }, zs[] = { c->batch, c->code }, xs[] = { c->batch, c->data };
    return pd_bench_put(b, dtype, 4, ws, c->w, &c->vw) && pd_bench_put(b, dtype, 2, zs, c->z, &c->vz) &&
           pd_bench_put(b, dtype, 2, xs, c->r, &c->vr) && pd_bench_put(b, dtype, 2, xs, NULL, &c->vu) &&
           pd_bench_put(b, dtype, 2, zs, NULL, &c->vv) && pd_bench_put(b, dtype, 4, ws, c->w, &c->vg);
}

static void conv_free(pd_bench *b, conv_case *c)
{
    pudle_view *all[] = { &c->vw, &c->vz, &c->vr, &c->vu, &c->vv, &c->vg };
    for (int i = 0; i < 6; i++)
        pd_bench_free(b, all[i]);
}

/* For every place where a filter's tap meets an entry: u += w z, v += w r, g += z r. */
static void plain(const conv_case *c, double *u, double *v, double *g)
{
    const pudle_conv *k = &c->conv;
    for (int64_t b = 0; b < c->batch; b++)
        for (int64_t a = 0; a < k->atoms; a++)
            for (int64_t i = 0; i < k->code[0]; i++)
                for (int64_t j = 0; j < k->code[1]; j++)
                    for (int64_t ch = 0; ch < k->channels; ch++)
                        for (int64_t y = 0; y < k->kernel[0]; y++)
                            for (int64_t x = 0; x < k->kernel[1]; x++) {
                                const int64_t tap = ((a * k->channels + ch) * k->kernel[0] + y) * k->kernel[1] + x;
                                const int64_t at = b * c->code + (a * k->code[0] + i) * k->code[1] + j;
                                const int64_t in =
                                    b * c->data + (ch * k->data[0] + i * k->stride[0] + y) * k->data[1] + j * k->stride[1] + x;
                                u[in] += c->w[tap] * c->z[at];
                                v[at] += c->w[tap] * c->r[in];
                                g[tap] += c->z[at] * c->r[in];
                            }
}

typedef struct job { const pudle_backend_ops *ops; conv_case *c; double a; } job;

static pudle_status do_conv(void *ctx, pudle_exec *lane, int64_t index)
{
    const job *j = ctx;
    const pudle_cview w = pudle_const(&j->c->vw), z = pudle_const(&j->c->vz), r = pudle_const(&j->c->vr);
    (void)index;
    pudle_status s = j->ops->conv_apply(lane, &j->c->conv, &w, &z, &j->c->vu);
    if (!s)
        s = j->ops->conv_adjoint(lane, &j->c->conv, &w, j->a, &r, 0, &j->c->vv); /* what was there is NaN, and ignored */
    return s ? s : j->ops->conv_gradient(lane, &j->c->conv, j->a, &r, &z, &j->c->vg);
}

static bool near_all(pd_trial *t, const char *what, const double *got, const double *wanted, double scale, int64_t n, double slack)
{
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(got[i] - scale * wanted[i]) <= slack))
            return pd_fails(t, "%s: entry %lld is %.9g; plain loops say %.9g", what, (long long)i, got[i], scale * wanted[i]);
    return true;
}

static bool conv_at(pd_trial *t, pd_bench *b, int32_t dtype, bool identity)
{
    conv_case c;
    if (!conv_draw(t, b, dtype, &c))
        return false;
    job j = { b->ops, &c, identity ? 1 : pd_single(pd_normal(t)) };
    double *u = pd_scratch(t, c.batch * c.data), *v = pd_scratch(t, c.batch * c.code), *g = pd_scratch(t, c.filters),
           *gu = pd_scratch(t, c.batch * c.data), *gv = pd_scratch(t, c.batch * c.code), *gg = pd_scratch(t, c.filters);
    if (!u || !v || !g || !gu || !gv || !gg)
        return false;
    plain(&c, u, v, g);
    t->verdict->calling = "a convolution";
    const pudle_status s = pd_bench_run(b, do_conv, &j);
    if (s)
        return pd_fails(t, "%s: %s", pd_status_text(s), t->host.said);
    if (!pd_bench_get(b, &c.vu, gu) || !pd_bench_get(b, &c.vv, gv) || !pd_bench_get(b, &c.vg, gg))
        return false;
    conv_free(b, &c);
    const int64_t terms = c.conv.atoms * c.conv.channels * c.conv.kernel[0] * c.conv.kernel[1],
                  places = c.batch * c.conv.code[0] * c.conv.code[1];
    if (identity) {
        double left = 0, right = 0, size = 0;
        for (int64_t i = 0; i < c.batch * c.data; i++)
            left += gu[i] * c.r[i], size += fabs(gu[i] * c.r[i]);
        for (int64_t i = 0; i < c.batch * c.code; i++)
            right += gv[i] * c.z[i], size += fabs(gv[i] * c.z[i]);
        return fabs(left - right) <= pd_tolerance(dtype, terms) * size
                   ? true
                   : pd_fails(t, "<conv(z), r> = %.9g, <z, adjoint(r)> = %.9g", left, right);
    }
    for (int64_t i = 0; i < c.filters; i++)
        gg[i] -= c.w[i]; /* added to */
    return near_all(t, "conv_apply", gu, u, 1, c.batch * c.data, pd_tolerance(dtype, terms) * sqrt((double)terms)) &&
           near_all(t, "conv_adjoint", gv, v, j.a, c.batch * c.code, pd_tolerance(dtype, terms) * sqrt((double)terms) * (fabs(j.a) + 1)) &&
           near_all(t, "conv_gradient", gg, g, j.a, c.filters, pd_tolerance(dtype, places) * (4 + sqrt((double)places)) * (fabs(j.a) + 1));
}

static bool conv(pd_trial *t, bool identity)
{
    pd_bench b;
    if (!pd_instance_draw(t, 0) || !pd_bench_open(t, &b))
        return false;
    for (int draw = 0; draw < 4 * DRAWS; draw++) {
        if (!conv_at(t, &b, precisions[draw % 2], identity))
            return false;
        pd_trial_clear(t);
    }
    pd_bench_close(&b);
    return true;
}

bool pd_backend_convolution(pd_trial *t) { return conv(t, false); }
bool pd_backend_adjoint(pd_trial *t) { return conv(t, true); }

/* ------------------------------------------------------------------- plugins */

/* A prox and a loss of the suite's own: p = v - tau t, which shows whether step and levels arrive, and half the square, with three times the
 * magnitude of the code. */
#define STEP 0.5
PUDLE_PROX(shift, int64_t, 1,
    *p = v - tau * t[0];
    *dv = 1;
    dt[0] = -tau;
)
PUDLE_CODE_PENALTY(halves, int64_t, *f = 3 * pudle_abs(z); *df = 3 * pudle_sign(z);)
PUDLE_LOSS_PENALISED(halves, int64_t, "real numbers",
    *f = (eta - x) * (eta - x) / 2;
    *df = eta - x;
    *ddf = 1;
    *mean = eta;
    *ok = true;
)
static const pudle_prox_ops shift_ops = { PUDLE_PROX_OPS(shift) };
static const pudle_loss_ops halves_ops = { PUDLE_LOSS_OPS(halves), .code_source = &halves_code_source };
static const pudle_desc shift_desc = { .size = sizeof(pudle_desc),
                                       .kind = PUDLE_KIND_PROX,
                                       .name = "shift",
                                       .version = "1",
                                       .summary = "p = v - tau t",
                                       .caps = PUDLE_PROX_SEPARABLE | PUDLE_PROX_INPLACE,
                                       .ops = &shift_ops };
static const pudle_desc halves_desc = { .size = sizeof(pudle_desc), .kind = PUDLE_KIND_LOSS, .name = "halves", .version = "1",
                                        .summary = "half the square", .caps = PUDLE_LOSS_SEPARABLE, .ops = &halves_ops };

typedef struct plugin_job { const pudle_backend_ops *ops; pudle_view theta, v, g, p, gv, gtheta, grad, hu, mean, code; double f, penalty; } plugin_job;

static pudle_status do_plugins(void *ctx, pudle_exec *lane, int64_t index)
{
    static int64_t nothing;
    plugin_job *j = ctx;
    const pudle_instance prox = { &shift_desc, &nothing }, loss = { &halves_desc, &nothing };
    const pudle_cview theta = pudle_const(&j->theta), v = pudle_const(&j->v), g = pudle_const(&j->g), p = pudle_const(&j->p);
    (void)index;
    pudle_status s = j->ops->prox_apply(lane, &prox, STEP, &theta, &v, &j->p);
    if (!s)
        s = j->ops->prox_vjp(lane, &prox, STEP, &theta, &v, &p, &g, &j->gv, &j->gtheta);
    if (!s)
        s = j->ops->loss_value(lane, &loss, &v, &g, &j->f);
    if (!s)
        s = j->ops->loss_grad(lane, &loss, &v, &g, &j->grad);
    if (!s)
        s = j->ops->loss_hvp(lane, &loss, &v, &g, &g, &j->hu);
    if (!s)
        s = j->ops->code_value(lane, &loss, &v, &j->penalty);
    if (!s)
        s = j->ops->code_grad(lane, &loss, &v, &j->code);
    if (!s && PUDLE_HAS(j->ops, pudle_backend_ops, loss_mean) && j->ops->loss_mean)
        return j->ops->loss_mean(lane, &loss, &v, &j->mean);
    return s ? s : j->ops->copy(lane, &v, &j->mean);
}

static bool plugins_at(pd_trial *t, pd_bench *b, int32_t dtype)
{
    int32_t rank;
    int64_t shape[PUDLE_MAX_RANK], n = 1;
    pd_shape_draw(t, 300, &rank, shape);
    for (int32_t i = 0; i < rank; i++)
        n *= shape[i];
    const int64_t atoms = shape[1], inner = rank == 4 ? shape[2] * shape[3] : 1, count = pd_below(t, 2) ? atoms : 1;
    double *theta = pd_scratch(t, count), *v = pd_scratch(t, n), *g = pd_scratch(t, n), *zero = pd_scratch(t, count), *got[7],
           f = 0, penalty = 0, size = 0;
    for (int i = 0; i < 7; i++)
        if (!(got[i] = pd_scratch(t, n > count ? n : count)))
            return false;
    if (!theta || !v || !g || !zero)
        return false;
    pd_fill_normal(t, theta, count, 1);
    pd_fill_normal(t, v, n, 1);
    pd_fill_normal(t, g, n, 1);
    plugin_job j = { .ops = b->ops };
    pudle_view *all[] = { &j.p, &j.gv, &j.grad, &j.hu, &j.mean, &j.code, &j.gtheta, &j.theta, &j.v, &j.g };
    const double *from[] = { NULL, NULL, NULL, NULL, NULL, g, zero, theta, v, g };
    for (int i = 0; i < 10; i++)
        if (!pd_bench_put(b, i == 6 ? PUDLE_F64 : dtype, i == 6 || i == 7 ? 1 : rank, i == 6 || i == 7 ? &count : shape, from[i], all[i]))
            return false;
    const pudle_status s = pd_bench_run(b, do_plugins, &j);
    if (s)
        return pd_fails(t, "%s: %s", pd_status_text(s), t->host.said);
    for (int i = 0; i < 7; i++)
        if (!pd_bench_get(b, all[i], got[i]))
            return false;
    for (int i = 0; i < 10; i++)
        pd_bench_free(b, all[i]);
    for (int64_t i = 0; i < n; i++) {
        const double wanted[] = { v[i] - STEP * theta[count > 1 ? i / inner % atoms : 0], g[i], v[i] - g[i], g[i], v[i], g[i] + (v[i] > 0 ? 3 : v[i] < 0 ? -3 : 0) };
        static const char *const what[] = { "prox_apply", "prox_vjp", "loss_grad", "loss_hvp", "loss_mean", "code_grad" };
        f += (v[i] - g[i]) * (v[i] - g[i]) / 2;
        penalty += 3 * fabs(v[i]);
        zero[count > 1 ? i / inner % atoms : 0] -= STEP * g[i];
        size += fabs(g[i]);
        for (int k = 0; k < 6; k++)
            if (!(fabs(got[k][i] - wanted[k]) <= pd_tolerance(dtype, 1) * (fabs(v[i]) + fabs(wanted[k]) + 1)))
                return pd_fails(t, "%s: entry %lld is %.9g, not %.9g", what[k], (long long)i, got[k][i], wanted[k]);
    }
    for (int64_t k = 0; k < count; k++)
        if (!(fabs(got[6][k] - zero[k]) <= pd_tolerance(dtype, n) * (size + 1)))
            return pd_fails(t, "prox_vjp: the gradient of level %lld is %.9g, not %.9g", (long long)k, got[6][k], zero[k]);
    if (!(fabs(j.penalty - penalty) <= pd_tolerance(dtype, n) * (penalty + 1)))
        return pd_fails(t, "code_value is %.9g, not %.9g", j.penalty, penalty);
    return fabs(j.f - f) <= pd_tolerance(dtype, n) * (f + 1) ? true : pd_fails(t, "loss_value is %.9g, not %.9g", j.f, f);
}

bool pd_backend_plugins(pd_trial *t)
{
    pd_bench b;
    if (!pd_instance_draw(t, 0) || !pd_bench_open(t, &b))
        return false;
    for (int draw = 0; draw < 2 * DRAWS; draw++) {
        if (!plugins_at(t, &b, precisions[draw % 2]))
            return false;
        pd_trial_clear(t);
    }
    pd_bench_close(&b);
    return true;
}
