/* A loss around another, which never sees the targets that are not there.
 *
 * Entries go by in chunks. One without gaps is handed on as it lies; of another the entries that are there are put side by side, for the loss is separable, and
 * what comes back is put where it belongs. So no plugin needs to know of gaps, whenever it was compiled. */
#include "train/missing.h"
#include "tensor/arrays.h"
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 256 };

struct pd_missing {
    pudle_instance original;
    pudle_desc desc;
    pudle_loss_ops ops;
    pudle_loss_kernel kernel;
    const pudle_loss_kernel *kernels[2];
    pudle_source source;
    char *body;
    void *self; /* the new instance's */
};

/* In front of the instance, which itself has to look like the original's: that is the values of its options, which backends read. */
typedef union owner {
    const pd_missing *of;
    max_align_t alignment;
} owner;

static const pd_missing *of(const void *self)
{
    return ((const owner *)self - 1)->of;
}

static const pudle_loss_kernel *original_kernel(const pd_missing *m)
{
    const pudle_loss_ops *ops = m->original.desc->ops;
    return ops->kernels[0];
}

/* Some entries of arrays that go by together, as rows of one: where they lie, or, around gaps, copies. */
typedef struct chunk {
    int64_t first, count, there; /* entries; and those that are there, at place[] from the first on */
    int place[CHUNK];
    double copy[3][CHUNK]; /* room in either dtype */
} chunk;

static size_t width(const pudle_cview *v)
{
    return pudle_dtype_size(v->dtype);
}

static bool is_there(const pudle_cview *target, int64_t i)
{
    return target->dtype == PUDLE_F64 ? !isnan(((const double *)target->data)[i]) : !isnan(((const float *)target->data)[i]);
}

/* The next entries; false: there are none. */
static bool next_chunk(chunk *c, const pudle_cview *target, int64_t n)
{
    c->first += c->count;
    c->count = n - c->first < CHUNK ? n - c->first : CHUNK;
    c->there = 0;
    for (int64_t i = 0; i < c->count; i++)
        if (is_there(target, c->first + i))
            c->place[c->there++] = (int)i;
    return c->count > 0;
}

/* An array's part in the chunk; k: which of the copies it may use. */
static pudle_cview part_of(chunk *c, const pudle_cview *v, int k)
{
    const size_t w = width(v);
    const char *from = (const char *)v->data + (size_t)c->first * w;
    const int64_t shape[] = { 1, c->there };
    if (c->there == c->count)
        return pd_cview(from, v->dtype, 2, shape);
    for (int64_t i = 0; i < c->there; i++)
        memcpy((char *)c->copy[k] + (size_t)i * w, from + (size_t)c->place[i] * w, w);
    return pd_cview(c->copy[k], v->dtype, 2, shape);
}

/* Where the loss may write: the array itself, or the first copy, which has been read by then. */
static pudle_view result_of(chunk *c, const pudle_view *v)
{
    char *to = (char *)v->data + (size_t)c->first * pudle_dtype_size(v->dtype);
    return pd_view(c->there == c->count ? (void *)to : c->copy[0], v->dtype, 2, (const int64_t[]){ 1, c->there });
}

/* What was written, to its places; 0 in the gaps. */
static void put_back(const chunk *c, const pudle_view *v)
{
    const size_t w = pudle_dtype_size(v->dtype);
    char *to = (char *)v->data + (size_t)c->first * w;
    if (c->there == c->count)
        return;
    memset(to, 0, (size_t)c->count * w);
    for (int64_t i = 0; i < c->there; i++)
        memcpy(to + (size_t)c->place[i] * w, (const char *)c->copy[0] + (size_t)i * w, w);
}

static pudle_status value(const void *self, pudle_exec *exec, const pudle_cview *pred, const pudle_cview *target, double *sum)
{
    const pd_missing *m = of(self);
    chunk c = { .first = 0, .count = 0 };
    pudle_status s = PUDLE_OK;
    *sum = 0;
    while (!s && next_chunk(&c, target, pudle_count(pred))) {
        const pudle_cview p = part_of(&c, pred, 0), x = part_of(&c, target, 1);
        double own = 0;
        s = c.there ? original_kernel(m)->value(m->original.self, exec, &p, &x, &own) : PUDLE_OK;
        *sum += own;
    }
    return s;
}

static pudle_status grad(const void *self, pudle_exec *exec, const pudle_cview *pred, const pudle_cview *target, const pudle_view *g)
{
    const pd_missing *m = of(self);
    chunk c = { .first = 0, .count = 0 };
    pudle_status s = PUDLE_OK;
    while (!s && next_chunk(&c, target, pudle_count(pred))) {
        const pudle_cview p = part_of(&c, pred, 0), x = part_of(&c, target, 1);
        const pudle_view out = result_of(&c, g);
        s = c.there ? original_kernel(m)->grad(m->original.self, exec, &p, &x, &out) : PUDLE_OK;
        put_back(&c, g);
    }
    return s;
}

static pudle_status hvp(const void *self, pudle_exec *exec, const pudle_cview *pred, const pudle_cview *target, const pudle_cview *u, const pudle_view *hu)
{
    const pd_missing *m = of(self);
    chunk c = { .first = 0, .count = 0 };
    pudle_status s = PUDLE_OK;
    while (!s && next_chunk(&c, target, pudle_count(pred))) {
        const pudle_cview along = part_of(&c, u, 0), p = part_of(&c, pred, 1), x = part_of(&c, target, 2);
        const pudle_view out = result_of(&c, hu);
        s = c.there ? original_kernel(m)->hvp(m->original.self, exec, &p, &x, &along, &out) : PUDLE_OK;
        put_back(&c, hu);
    }
    return s;
}

static pudle_status code_value(const void *self, pudle_exec *exec, const pudle_cview *z, double *sum)
{
    const pd_missing *m = of(self);
    return original_kernel(m)->code_value(m->original.self, exec, z, sum);
}

static pudle_status code_grad(const void *self, pudle_exec *exec, const pudle_cview *z, const pudle_view *g)
{
    const pd_missing *m = of(self);
    return original_kernel(m)->code_grad(m->original.self, exec, z, g);
}

static pudle_status mean(const void *self, pudle_exec *exec, const pudle_cview *pred, const pudle_view *out)
{
    const pd_missing *m = of(self);
    return original_kernel(m)->mean(m->original.self, exec, pred, out);
}

static pudle_status lipschitz(const void *self, const pudle_cview *target, double *constant)
{
    const pd_missing *m = of(self);
    const pudle_loss_ops *ops = m->original.desc->ops;
    chunk c = { .first = 0, .count = 0 };
    if (!target)
        return ops->lipschitz(m->original.self, NULL, constant);
    pudle_status s = PUDLE_OK;
    *constant = 0;
    while (!s && next_chunk(&c, target, pudle_count(target))) {
        const pudle_cview x = part_of(&c, target, 0);
        double own = 0;
        s = c.there ? ops->lipschitz(m->original.self, &x, &own) : PUDLE_OK;
        *constant = own > *constant ? own : *constant;
    }
    return s;
}

/* NaN is for what is missing, and nobody else looks for the rest. */
static pudle_status all_finite(const pudle_host *h, const pd_missing *m, const pudle_cview *target)
{
    const int64_t n = pudle_count(target), width_of = target->rank > 1 && target->shape[0] > 0 ? n / target->shape[0] : 1;
    for (int64_t i = 0; i < n; i++)
        if (isinf(pudle_entry(target, i)))
            return h->fail(h->ctx, PUDLE_ERR_ARG, "sample %lld of the batch, entry %lld: the target is %g, and %s takes finite numbers, and NaN for what is missing%s",
                           (long long)(i / width_of), (long long)(i % width_of), pudle_entry(target, i), m->desc.name,
                           target->dtype == PUDLE_F64 ? "" : " (in single precision)");
    return PUDLE_OK;
}

/* The original looks at a copy in which the entry before stands in for one that is missing: the first that it complains of is there, and in its place. */
static pudle_status check_target(const pudle_host *h, const void *self, const pudle_cview *target)
{
    const pd_missing *m = of(self);
    const pudle_loss_ops *ops = m->original.desc->ops;
    const int64_t n = pudle_count(target);
    const size_t w = width(target);
    int64_t last = 0;
    while (last < n && !is_there(target, last))
        last++;
    if (last == n)
        return PUDLE_OK;
    if (!PUDLE_HAS(ops, pudle_loss_ops, check_target) || !ops->check_target)
        return all_finite(h, m, target);
    char *copy = pd_alloc((size_t)n, w);
    if (!copy)
        return h->fail(h->ctx, PUDLE_ERR_NOMEM, "out of memory to look at %lld targets", (long long)n);
    for (int64_t i = 0; i < n; i++) {
        last = is_there(target, i) ? i : last;
        memcpy(copy + (size_t)i * w, (const char *)target->data + (size_t)last * w, w);
    }
    const pudle_cview whole = pd_cview(copy, target->dtype, target->rank, target->shape);
    const pudle_status s = ops->check_target(h, m->original.self, &whole);
    free(copy);
    return s;
}

/* The body for devices, in the arm of a condition. */
static pudle_status wrap_source(pd_context *ctx, pd_missing *m, const pudle_loss_ops *ops)
{
    if (!PUDLE_HAS(ops, pudle_loss_ops, source) || !ops->source || !ops->source->body)
        return PUDLE_OK;
    m->body = pd_format("if (x == x) { %s } else { *f = 0; *df = 0; *ddf = 0; *mean = eta; *ok = true; }", ops->source->body);
    if (!m->body)
        return pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
    m->source = (pudle_source){ sizeof m->source, ops->source->levels, m->body };
    m->ops.source = &m->source;
    return PUDLE_OK;
}

pudle_status pd_missing_skip(pd_context *ctx, pudle_instance *loss, pd_missing **out)
{
    const pudle_desc *desc = loss->desc;
    const pudle_loss_ops *ops = desc->ops;
    const pudle_loss_kernel *kernel = ops->kernels[0];
    const bool has_code = PUDLE_HAS(kernel, pudle_loss_kernel, code_grad) && kernel->code_grad, has_mean = PUDLE_HAS(kernel, pudle_loss_kernel, mean) && kernel->mean;
    pd_missing *m = pd_alloc(1, sizeof *m);
    char *memory = pd_alloc(1, sizeof(owner) + desc->params_size + 1);
    if (!m || !memory) {
        free(m);
        free(memory);
        return pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
    }
    m->original = *loss;
    m->self = memory + sizeof(owner);
    ((owner *)(void *)memory)->of = m;
    if (desc->params_size)
        memcpy(m->self, loss->self, desc->params_size);
    m->kernel = (pudle_loss_kernel){ sizeof m->kernel, 0, kernel->target, value, grad, kernel->hvp ? hvp : NULL, has_code ? code_value : NULL,
                                     has_code ? code_grad : NULL, has_mean ? mean : NULL };
    m->kernels[0] = &m->kernel;
    m->ops = (pudle_loss_ops){ .size = sizeof m->ops, .pred_domain = ops->pred_domain, .target_domain = ops->target_domain, .kernels = m->kernels,
                               .lipschitz = PUDLE_HAS(ops, pudle_loss_ops, lipschitz) && ops->lipschitz ? lipschitz : NULL, .check_target = check_target,
                               .code_source = PUDLE_HAS(ops, pudle_loss_ops, code_source) ? ops->code_source : NULL };
    m->desc = (pudle_desc){ .size = sizeof m->desc, .kind = desc->kind, .name = desc->name, .version = desc->version, .summary = desc->summary, .math = desc->math,
                            .cite = desc->cite, .license = desc->license, .caps = desc->caps, .options = desc->options, .option_size = desc->option_size,
                            .params_size = desc->params_size, .ops = &m->ops };
    const pudle_status s = wrap_source(ctx, m, ops);
    *loss = (pudle_instance){ &m->desc, m->self };
    *out = m;
    return s;
}

void pd_missing_changed(pd_missing *m)
{
    if (m)
        memcpy(m->self, m->original.self, m->original.desc->params_size);
}

void pd_missing_free(pd_missing *m, pudle_instance *loss)
{
    if (!m)
        return;
    *loss = m->original;
    free(m->body);
    free((char *)m->self - sizeof(owner));
    free(m);
}
