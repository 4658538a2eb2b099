/* Checks, memory and plugin calls of the backends that compute in host memory. */
#include "host.h"
#include <math.h>
#include <string.h>

const char *const host_targets[] = { "host", NULL };

/* ------------------------------------------------------------------ checks */

bool host_contiguous(const pudle_cview *v)
{
    int64_t expected = 1;
    for (int32_t i = v->rank - 1; i >= 0; i--) {
        if (v->shape[i] > 1 && v->stride[i] != expected)
            return false;
        expected *= v->shape[i];
    }
    return true;
}

static pudle_status check_shape(pudle_exec *exec, const char *op, const char *name, const pudle_cview *v, int64_t *count)
{
    const int64_t most = INT64_MAX / (int64_t)sizeof(double);
    int64_t product = 1;
    bool empty = false;
    for (int32_t i = 0; i < v->rank; i++) {
        if (v->shape[i] < 0)
            return FAIL(exec, PUDLE_ERR_ARG, "%s: axis %d of %s has %lld entries; a size cannot be negative", op,
                        (int)i, name, (long long)v->shape[i]);
        if (v->shape[i] == 0)
            empty = true;
        else if (product > most / v->shape[i])
            return FAIL(exec, PUDLE_ERR_ARG, "%s: %s has more entries than an address space holds; check its shape", op,
                        name);
        else
            product *= v->shape[i];
    }
    *count = empty ? 0 : product;
    return PUDLE_OK;
}

pudle_status host_check(pudle_exec *exec, const char *op, const char *name, const pudle_cview *v)
{
    if (!exec)
        return PUDLE_ERR_ARG;
    if (!v)
        return FAIL(exec, PUDLE_ERR_ARG, "%s: %s is missing; pass a view", op, name);
    if (v->dtype != PUDLE_F32 && v->dtype != PUDLE_F64)
        return FAIL(exec, PUDLE_ERR_ARG, "%s: %s has dtype %d; use f32 (%d) or f64 (%d)", op, name, (int)v->dtype, PUDLE_F32,
                    PUDLE_F64);
    if (v->rank < 0 || v->rank > PUDLE_MAX_RANK)
        return FAIL(exec, PUDLE_ERR_ARG, "%s: %s has rank %d; it must lie in 0 .. %d", op, name, (int)v->rank,
                    PUDLE_MAX_RANK);
    int64_t count = 0;
    const pudle_status s = check_shape(exec, op, name, v, &count);
    if (s || count == 0)
        return s;
    if (!v->data)
        return FAIL(exec, PUDLE_ERR_ARG, "%s: %s has %lld entries but no memory (data is NULL)", op, name, (long long)count);
    if (v->rank == 2) {
        if (v->shape[1] > 1 && v->stride[1] != 1)
            return FAIL(exec, PUDLE_ERR_ARG, "%s: the last stride of %s is %lld; matrices must have last stride 1", op, name,
                        (long long)v->stride[1]);
        if (v->shape[0] > 1 && v->stride[0] < v->shape[1])
            return FAIL(exec, PUDLE_ERR_ARG,
                        "%s: the row stride of %s is %lld, below its %lld columns; rows must not overlap", op, name,
                        (long long)v->stride[0], (long long)v->shape[1]);
    } else if (!host_contiguous(v)) {
        return FAIL(exec, PUDLE_ERR_ARG,
                    "%s: %s has rank %d and gaps; only matrices may have a row stride, copy it first", op, name,
                    (int)v->rank);
    }
    return PUDLE_OK;
}

/* Word `index` of "v|p|g", into text. */
static const char *word(const char *names, int index, char *text, size_t size)
{
    while (index > 0 && *names)
        index -= *names++ == '|';
    size_t n = 0;
    while (names[n] && names[n] != '|' && n + 1 < size) {
        text[n] = names[n];
        n++;
    }
    text[n] = '\0';
    return text;
}

static bool same_shape(const pudle_cview *x, const pudle_cview *y)
{
    bool same = x->rank == y->rank;
    for (int32_t i = 0; same && i < x->rank; i++)
        same = x->shape[i] == y->shape[i];
    return same;
}

pudle_status host_check_alike(pudle_exec *exec, const char *op, const char *names, const pudle_cview *const v[], int count)
{
    char first[16], other[16];
    word(names, 0, first, sizeof first);
    for (int i = 0; i < count; i++) {
        word(names, i, other, sizeof other);
        const pudle_status s = host_check(exec, op, other, v[i]);
        if (s)
            return s;
        if (v[i]->dtype != v[0]->dtype)
            return FAIL(exec, PUDLE_ERR_ARG, "%s: %s is %s but %s is %s; use one dtype", op, first,
                        v[0]->dtype == PUDLE_F64 ? "f64" : "f32", other, v[i]->dtype == PUDLE_F64 ? "f64" : "f32");
        if (!same_shape(v[0], v[i]))
            return FAIL(exec, PUDLE_ERR_ARG,
                        "%s: %s (rank %d, %lld entries) and %s (rank %d, %lld entries) differ in shape", op, first,
                        (int)v[0]->rank, (long long)pudle_count(v[0]), other, (int)v[i]->rank,
                        (long long)pudle_count(v[i]));
    }
    return PUDLE_OK;
}

static int64_t leading(const pudle_cview *v)
{
    const int64_t least = v->shape[1] > 1 ? v->shape[1] : 1;
    return v->shape[0] > 1 && v->stride[0] > least ? v->stride[0] : least;
}

pudle_status host_check_gemm(pudle_exec *exec, bool trans_a, bool trans_b, const pudle_cview *A, const pudle_cview *B,
                             const pudle_view *C, host_gemm *sizes)
{
    pudle_cview c;
    const pudle_cview *const v[3] = { A, B, host_const(C, &c) };
    static const char *const name[3] = { "A", "B", "C" };
    for (int i = 0; i < 3; i++) {
        const pudle_status s = host_check(exec, "gemm", name[i], v[i]);
        if (s)
            return s;
        if (v[i]->rank != 2)
            return FAIL(exec, PUDLE_ERR_ARG, "gemm: %s has rank %d; it must be a matrix", name[i], (int)v[i]->rank);
        if (v[i]->dtype != A->dtype)
            return FAIL(exec, PUDLE_ERR_ARG, "gemm: A and %s differ in dtype; use one", name[i]);
    }
    const int64_t rows = A->shape[trans_a ? 1 : 0], inner = A->shape[trans_a ? 0 : 1];
    const int64_t inner_b = B->shape[trans_b ? 1 : 0], cols = B->shape[trans_b ? 0 : 1];
    if (inner != inner_b)
        return FAIL(exec, PUDLE_ERR_ARG, "gemm: op(A) is (%lld, %lld) and op(B) is (%lld, %lld); the inner sizes must agree",
                    (long long)rows, (long long)inner, (long long)inner_b, (long long)cols);
    if (C->shape[0] != rows || C->shape[1] != cols)
        return FAIL(exec, PUDLE_ERR_ARG, "gemm: C is (%lld, %lld); op(A) op(B) is (%lld, %lld)", (long long)C->shape[0],
                    (long long)C->shape[1], (long long)rows, (long long)cols);
    if (rows && cols && inner && (C->data == A->data || C->data == B->data))
        return FAIL(exec, PUDLE_ERR_ARG, "gemm: C lies on one of its factors; give it memory of its own");
    *sizes = (host_gemm){ rows, cols, inner, leading(A), leading(B), leading(&c) };
    return PUDLE_OK;
}

/* Slices along an axis. */
static pudle_status check_axis(pudle_exec *exec, const char *op, int32_t axis, int32_t rank)
{
    if (axis != 0 && axis != 1)
        return FAIL(exec, PUDLE_ERR_ARG, "%s: axis is %d; use 0 (rows, filters) or 1 (columns)", op, (int)axis);
    if (axis == 0 ? rank < 1 : rank != 2)
        return FAIL(exec, PUDLE_ERR_ARG, "%s: w has rank %d; axis 1 needs a matrix, axis 0 rank 1 or more", op, (int)rank);
    return PUDLE_OK;
}

pudle_status host_check_tangent(pudle_exec *exec, int32_t axis, const pudle_cview *w, const pudle_view *g)
{
    pudle_cview c;
    const pudle_cview *const all[] = { w, host_const(g, &c) };
    const pudle_status s = host_check_alike(exec, "tangent", "w|g", all, 2);
    return s ? s : check_axis(exec, "tangent", axis, w->rank);
}

pudle_status host_check_normalize(pudle_exec *exec, int32_t axis, double norm, const pudle_view *w)
{
    pudle_cview c;
    pudle_status s = host_check(exec, "normalize", "w", host_const(w, &c));
    if (!s)
        s = check_axis(exec, "normalize", axis, w->rank);
    if (s)
        return s;
    if (!(norm >= 0) || isinf(norm))
        return FAIL(exec, PUDLE_ERR_ARG, "normalize: the norm is %g; it must be finite and >= 0", norm);
    return PUDLE_OK;
}

pudle_status host_check_adam(pudle_exec *exec, const pudle_adam *how)
{
    if (!exec)
        return PUDLE_ERR_ARG;
    if (!how || !PUDLE_HAS(how, pudle_adam, update))
        return FAIL(exec, PUDLE_ERR_ARG, "adam: the settings are missing or shorter than this backend knows them");
    if (!(how->beta1 >= 0 && how->beta1 < 1) || !(how->beta2 >= 0 && how->beta2 < 1))
        return FAIL(exec, PUDLE_ERR_ARG, "adam: beta1 = %g, beta2 = %g; both must lie in [0, 1)", how->beta1, how->beta2);
    if (how->update < 1)
        return FAIL(exec, PUDLE_ERR_ARG, "adam: update is %lld; updates are counted from 1", (long long)how->update);
    return PUDLE_OK;
}

pudle_status host_check_work(pudle_exec *exec, const pudle_work *work)
{
    if (!exec)
        return PUDLE_ERR_ARG;
    if (!work || !PUDLE_HAS(work, pudle_work, whole))
        return FAIL(exec, PUDLE_ERR_ARG,
                    "plan: the description of the work is missing or shorter than this backend knows it");
    if (work->samples < 0 || work->features < 0 || work->code < 0 || work->layers < 0)
        return FAIL(exec, PUDLE_ERR_ARG,
                    "plan: %lld samples of %lld features and %lld codes in %lld layers; none may be negative",
                    (long long)work->samples, (long long)work->features, (long long)work->code,
                    (long long)work->layers);
    return PUDLE_OK;
}

static double entry(const pudle_cview *v, int64_t i)
{
    return v->dtype == PUDLE_F64 ? ((const double *)v->data)[i] : (double)((const float *)v->data)[i];
}

double host_norm(const pudle_cview *v, int64_t first, int64_t step, int64_t count)
{
    double most = 0, sum = 0;
    for (int64_t i = 0; i < count; i++) {
        const double a = fabs(entry(v, first + i * step));
        if (a > most)
            most = a;
    }
    if (!(most > 0) || isinf(most))
        most = 1; /* nothing to rescale; NaN and infinity show in the sum */
    for (int64_t i = 0; i < count; i++) {
        const double a = entry(v, first + i * step) / most;
        sum += a * a;
    }
    return most * sqrt(sum);
}

/* ------------------------------------------------------------------ memory */

pudle_status host_sync(pudle_exec *exec)
{
    return exec ? PUDLE_OK : PUDLE_ERR_ARG;
}

pudle_status host_alloc(pudle_exec *exec, size_t bytes, void **memory)
{
    if (!exec || !memory)
        return exec ? FAIL(exec, PUDLE_ERR_ARG, "alloc: no place for the result") : PUDLE_ERR_ARG;
    void *block = bytes > SIZE_MAX - HOST_PAD ? NULL : exec->host->alloc(exec->host->ctx, bytes + HOST_PAD);
    if (!block)
        return FAIL(exec, PUDLE_ERR_NOMEM, "out of memory for %.1f MiB; use a smaller batch or fewer layers",
                    (double)bytes / 1048576.0);
    *memory = block;
    return PUDLE_OK;
}

void host_free(pudle_exec *exec, void *memory)
{
    if (exec && memory)
        exec->host->free(exec->host->ctx, memory);
}

pudle_status host_transfer(pudle_exec *exec, void *to, const void *from, size_t bytes)
{
    if (!exec)
        return PUDLE_ERR_ARG;
    if (bytes && (!to || !from))
        return FAIL(exec, PUDLE_ERR_ARG, "copy of %zu bytes: %s is NULL", bytes, to ? "the source" : "the destination");
    if (bytes)
        memmove(to, from, bytes);
    return PUDLE_OK;
}

/* ----------------------------------------------------------------- plugins */

/* Prox and loss plugins receive contiguous views only. */
static pudle_status check_plain(pudle_exec *exec, const char *op, const char *name, const pudle_cview *v)
{
    const pudle_status s = host_check(exec, op, name, v);
    if (s)
        return s;
    return host_contiguous(v) ? PUDLE_OK
                              : FAIL(exec, PUDLE_ERR_ARG,
                                     "%s: %s has gaps between its rows; plugins take contiguous arrays", op, name);
}

static pudle_status check_plugin(pudle_exec *exec, const char *op, const pudle_instance *plugin, int32_t kind)
{
    if (!exec)
        return PUDLE_ERR_ARG;
    if (!plugin || !plugin->desc || plugin->desc->kind != kind || !plugin->desc->ops)
        return FAIL(exec, PUDLE_ERR_ARG, "%s: this is not an instance of a %s", op,
                    kind == PUDLE_KIND_PROX ? "prox" : "loss");
    return PUDLE_OK;
}

static pudle_status no_kernel(pudle_exec *exec, const char *op, const pudle_instance *plugin)
{
    return FAIL(exec, PUDLE_ERR_UNSUPPORTED, "%s: the plugin '%s' has no such function for the target \"host\"", op,
                plugin->desc->name);
}

static pudle_status prox_kernel(pudle_exec *exec, const char *op, const pudle_instance *prox, const pudle_prox_kernel **out)
{
    const pudle_status s = check_plugin(exec, op, prox, PUDLE_KIND_PROX);
    if (s)
        return s;
    const pudle_prox_ops *ops = prox->desc->ops;
    for (const pudle_prox_kernel *const *k = ops->kernels; k && *k; k++)
        if (strcmp((*k)->target, host_targets[0]) == 0) {
            *out = *k;
            return PUDLE_OK;
        }
    return no_kernel(exec, op, prox);
}

static pudle_status loss_kernel(pudle_exec *exec, const char *op, const pudle_instance *loss, const pudle_loss_kernel **out)
{
    const pudle_status s = check_plugin(exec, op, loss, PUDLE_KIND_LOSS);
    if (s)
        return s;
    const pudle_loss_ops *ops = loss->desc->ops;
    for (const pudle_loss_kernel *const *k = ops->kernels; k && *k; k++)
        if (strcmp((*k)->target, host_targets[0]) == 0) {
            *out = *k;
            return PUDLE_OK;
        }
    return no_kernel(exec, op, loss);
}

/* Views that are there are good, contiguous, and of the shape and dtype of the first one that is there. */
static pudle_status check_group(pudle_exec *exec, const char *op, const char *names, const pudle_cview *const v[], int count)
{
    const pudle_cview *first = NULL;
    char name[16];
    for (int i = 0; i < count; i++) {
        if (!v[i])
            continue;
        word(names, i, name, sizeof name);
        const pudle_status s = check_plain(exec, op, name, v[i]);
        if (s)
            return s;
        if (!first)
            first = v[i];
        if (v[i]->dtype != first->dtype || !same_shape(v[i], first))
            return FAIL(exec, PUDLE_ERR_ARG, "%s: %s differs in dtype or shape from the other arrays", op, name);
    }
    return PUDLE_OK;
}

pudle_status host_check_prox_apply(pudle_exec *exec, const pudle_instance *prox, const pudle_cview *v, const pudle_view *p,
                                   const pudle_prox_kernel **kernel)
{
    pudle_cview cp;
    pudle_status s = prox_kernel(exec, "prox_apply", prox, kernel);
    if (!s && (!v || !p))
        s = FAIL(exec, PUDLE_ERR_ARG, "prox_apply: v and p must both be given");
    if (!s)
        s = check_group(exec, "prox_apply", "v|p", (const pudle_cview *const[]){ v, host_const(p, &cp) }, 2);
    if (!s && !(*kernel)->apply)
        s = no_kernel(exec, "prox_apply", prox);
    return s;
}

pudle_status host_prox_apply(pudle_exec *exec, const pudle_instance *prox, double tau, const pudle_cview *theta,
                             const pudle_cview *v, const pudle_view *p)
{
    const pudle_prox_kernel *kernel = NULL;
    const pudle_status s = host_check_prox_apply(exec, prox, v, p, &kernel);
    return s ? s : kernel->apply(prox->self, exec, tau, theta, v, p);
}

pudle_status host_check_prox_vjp(pudle_exec *exec, const pudle_instance *prox, const pudle_cview *v, const pudle_cview *p,
                                 const pudle_cview *g, const pudle_view *gv, const pudle_prox_kernel **kernel)
{
    pudle_cview cgv;
    const pudle_status s = prox_kernel(exec, "prox_vjp", prox, kernel);
    if (s)
        return s;
    const int32_t needs = ((const pudle_prox_ops *)prox->desc->ops)->vjp_needs;
    if (!(*kernel)->vjp || needs == PUDLE_VJP_NONE)
        return FAIL(exec, PUDLE_ERR_UNSUPPORTED,
                    "prox_vjp: '%s' has no derivative; choose a gradient that does not go through it",
                    prox->desc->name);
    if (!g || !gv || (!v && (needs & PUDLE_VJP_INPUT)) || (!p && (needs & PUDLE_VJP_OUTPUT)))
        return FAIL(exec, PUDLE_ERR_ARG, "prox_vjp: '%s' needs g, gv%s%s", prox->desc->name,
                    needs & PUDLE_VJP_INPUT ? ", v" : "", needs & PUDLE_VJP_OUTPUT ? ", p" : "");
    return check_group(exec, "prox_vjp", "v|p|g|gv", (const pudle_cview *const[]){ v, p, g, host_const(gv, &cgv) }, 4);
}

pudle_status host_prox_vjp(pudle_exec *exec, const pudle_instance *prox, double tau, const pudle_cview *theta,
                           const pudle_cview *v, const pudle_cview *p, const pudle_cview *g, const pudle_view *gv,
                           const pudle_view *gtheta)
{
    const pudle_prox_kernel *kernel = NULL;
    const pudle_status s = host_check_prox_vjp(exec, prox, v, p, g, gv, &kernel);
    return s ? s : kernel->vjp(prox->self, exec, tau, theta, v, p, g, gv, gtheta);
}

/* pred and target: the shapes are the loss's own affair, a target may be smaller than a prediction. */
static pudle_status check_loss(pudle_exec *exec, const char *op, const pudle_cview *pred, const pudle_cview *target)
{
    pudle_status s = check_plain(exec, op, "pred", pred);
    if (!s)
        s = check_plain(exec, op, "target", target);
    if (!s && pred->dtype != target->dtype)
        s = FAIL(exec, PUDLE_ERR_ARG, "%s: pred and target differ in dtype; use one", op);
    return s;
}

pudle_status host_check_loss_value(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *pred, const pudle_cview *target, double *sum,
                                   const pudle_loss_kernel **kernel)
{
    pudle_status s = loss_kernel(exec, "loss_value", loss, kernel);
    if (!s)
        s = check_loss(exec, "loss_value", pred, target);
    if (!s && !sum)
        s = FAIL(exec, PUDLE_ERR_ARG, "loss_value: no place for the result");
    if (!s && !(*kernel)->value)
        s = no_kernel(exec, "loss_value", loss);
    return s;
}

pudle_status host_loss_value(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *pred,
                             const pudle_cview *target, double *sum)
{
    const pudle_loss_kernel *kernel = NULL;
    const pudle_status s = host_check_loss_value(exec, loss, pred, target, sum, &kernel);
    return s ? s : kernel->value(loss->self, exec, pred, target, sum);
}

pudle_status host_check_loss_grad(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *pred, const pudle_cview *target, const pudle_view *g,
                                  const pudle_loss_kernel **kernel)
{
    pudle_cview cg;
    pudle_status s = loss_kernel(exec, "loss_grad", loss, kernel);
    if (!s)
        s = check_loss(exec, "loss_grad", pred, target);
    if (!s && !g)
        s = FAIL(exec, PUDLE_ERR_ARG, "loss_grad: g is missing");
    if (!s)
        s = check_group(exec, "loss_grad", "pred|g", (const pudle_cview *const[]){ pred, host_const(g, &cg) }, 2);
    if (!s && !(*kernel)->grad)
        s = no_kernel(exec, "loss_grad", loss);
    return s;
}

pudle_status host_loss_grad(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *pred, const pudle_cview *target,
                            const pudle_view *g)
{
    const pudle_loss_kernel *kernel = NULL;
    const pudle_status s = host_check_loss_grad(exec, loss, pred, target, g, &kernel);
    return s ? s : kernel->grad(loss->self, exec, pred, target, g);
}

pudle_status host_check_loss_hvp(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *pred, const pudle_cview *target,
                                 const pudle_cview *u, const pudle_view *hu, const pudle_loss_kernel **kernel)
{
    pudle_cview chu;
    pudle_status s = loss_kernel(exec, "loss_hvp", loss, kernel);
    if (!s)
        s = check_loss(exec, "loss_hvp", pred, target);
    if (!s && (!u || !hu))
        s = FAIL(exec, PUDLE_ERR_ARG, "loss_hvp: u and hu must both be given");
    if (!s)
        s = check_group(exec, "loss_hvp", "pred|u|hu", (const pudle_cview *const[]){ pred, u, host_const(hu, &chu) }, 3);
    if (!s && !(*kernel)->hvp)
        s = no_kernel(exec, "loss_hvp", loss);
    return s;
}

pudle_status host_loss_hvp(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *pred, const pudle_cview *target,
                           const pudle_cview *u, const pudle_view *hu)
{
    const pudle_loss_kernel *kernel = NULL;
    const pudle_status s = host_check_loss_hvp(exec, loss, pred, target, u, hu, &kernel);
    return s ? s : kernel->hvp(loss->self, exec, pred, target, u, hu);
}

bool host_identity_hessian(pudle_exec *exec, const pudle_instance *loss, int32_t dtype)
{
    enum { N = 32 };
    const uint64_t needed = PUDLE_LOSS_QUADRATIC | PUDLE_LOSS_SEPARABLE;
    double probe[2][N], zeros[N] = { 0 }, gaps[N];
    if ((loss->desc->caps & needed) != needed)
        return false;
    for (int i = 0; i < N; i++) {
        const double value = (i % 2 ? 1 : -1) * (0.375 + 0.0625 * i), gap = i % 3 ? value : NAN;
        if (dtype == PUDLE_F64) {
            probe[0][i] = value;
            gaps[i] = gap; /* a loss that passes over gaps in the data is not plain least squares */
        } else {
            ((float *)probe[0])[i] = (float)value;
            ((float *)gaps)[i] = (float)gap;
        }
    }
    pudle_view h = { .data = probe[1], .dtype = dtype, .rank = 2, .shape = { 1, N }, .stride = { N, 1 } };
    pudle_cview pred = pudle_const(&h), x = pred, v = pred;
    pred.data = zeros;
    x.data = gaps;
    v.data = probe[0];
    return !host_loss_hvp(exec, loss, &pred, &x, &v, &h) && !memcmp(probe[0], probe[1], N * pudle_dtype_size(dtype));
}

pudle_status host_check_loss_mean(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *pred, const pudle_view *m,
                                  const pudle_loss_kernel **kernel)
{
    pudle_cview cm;
    pudle_status s = loss_kernel(exec, "loss_mean", loss, kernel);
    if (!s && (!pred || !m))
        s = FAIL(exec, PUDLE_ERR_ARG, "loss_mean: pred and m must both be given");
    if (!s)
        s = check_group(exec, "loss_mean", "pred|m", (const pudle_cview *const[]){ pred, host_const(m, &cm) }, 2);
    return s;
}

pudle_status host_loss_mean(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *pred, const pudle_view *m)
{
    const pudle_loss_kernel *kernel = NULL;
    const pudle_status s = host_check_loss_mean(exec, loss, pred, m, &kernel);
    if (s)
        return s;
    if (PUDLE_HAS(kernel, pudle_loss_kernel, mean) && kernel->mean)
        return kernel->mean(loss->self, exec, pred, m);
    if (m->data != pred->data)
        memcpy(m->data, pred->data, (size_t)pudle_count(pred) * pudle_dtype_size(pred->dtype));
    return PUDLE_OK;
}

pudle_status host_check_code_value(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *z, double *sum,
                                   const pudle_loss_kernel **kernel)
{
    pudle_status s = loss_kernel(exec, "code_value", loss, kernel);
    if (!s)
        s = check_plain(exec, "code_value", "z", z);
    if (!s && !sum)
        s = FAIL(exec, PUDLE_ERR_ARG, "code_value: no place for the result");
    return s;
}

pudle_status host_code_value(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *z, double *sum)
{
    const pudle_loss_kernel *kernel = NULL;
    const pudle_status s = host_check_code_value(exec, loss, z, sum, &kernel);
    if (s)
        return s;
    if (PUDLE_HAS(kernel, pudle_loss_kernel, code_value) && kernel->code_value)
        return kernel->code_value(loss->self, exec, z, sum);
    *sum = 0;
    return PUDLE_OK;
}

pudle_status host_check_code_grad(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *z, const pudle_view *g,
                                  const pudle_loss_kernel **kernel)
{
    pudle_cview cg;
    pudle_status s = loss_kernel(exec, "code_grad", loss, kernel);
    if (!s && (!z || !g))
        s = FAIL(exec, PUDLE_ERR_ARG, "code_grad: z and g must both be given");
    if (!s)
        s = check_group(exec, "code_grad", "z|g", (const pudle_cview *const[]){ z, host_const(g, &cg) }, 2);
    return s;
}

pudle_status host_code_grad(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *z, const pudle_view *g)
{
    const pudle_loss_kernel *kernel = NULL;
    const pudle_status s = host_check_code_grad(exec, loss, z, g, &kernel);
    if (s)
        return s;
    if (PUDLE_HAS(kernel, pudle_loss_kernel, code_grad) && kernel->code_grad)
        return kernel->code_grad(loss->self, exec, z, g);
    return PUDLE_OK;
}

const void *host_get_ext(pudle_exec *exec, const char *id)
{
    (void)exec;
    (void)id;
    return NULL;
}
