/* Convolutions by cuDNN: v = D' r is its forward pass, u = D z its gradient for the data, and the sum of z r' its gradient for the
 * filters. The algorithm is chosen once for a shape, without measuring, so that a run repeats; deterministic ones come first. */
#include "cuda.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static const size_t workspace_most = (size_t)256 << 20;

const cuda_algorithm *cuda_choose(const cuda_algorithm *list, int count, size_t most)
{
    for (int round = 0; round < 3; round++) /* 0: all that is wanted, 1: any workspace, 2: not deterministic */
        for (int i = 0; i < count; i++)
            if (list[i].good && (round > 1 || list[i].deterministic) && (round > 0 || list[i].workspace <= most))
                return &list[i];
    return NULL;
}

void cuda_choices_free(cuda_exec *e)
{
    for (cuda_choice *c = e->choices, *next; c; c = next) {
        next = c->next;
        e->base.host->free(e->base.host->ctx, c);
    }
    e->choices = NULL;
}

static bool same_shape(const cuda_conv *x, const cuda_conv *y)
{
    return x->dtype == y->dtype && x->n == y->n && x->c == y->c && x->h == y->h && x->w == y->w && x->k == y->k && x->r == y->r && x->s == y->s &&
           x->p == y->p && x->q == y->q && x->stride[0] == y->stride[0] && x->stride[1] == y->stride[1];
}

/* The best of those that are left. */
static void choose(cuda_exec *e, const char *op, cuda_choice *c)
{
    const pudle_host *host = e->base.host;
    c->best = cuda_choose(c->list, c->count, workspace_most);
    if (c->best && !c->best->deterministic)
        host->log(host->ctx, PUDLE_LOG_WARNING, "%s: cuDNN has no deterministic algorithm for this shape; runs will differ in the last digits", op);
}

/* What is known of a shape; asked for when it is first met. */
static pudle_status choice_of(cuda_exec *e, const char *op, const cuda_conv *shape, int which, cuda_choice **out)
{
    const pudle_host *host = e->base.host;
    cuda_fault why;
    cuda_choice *c = e->choices;
    while (c && !(c->which == which && same_shape(&c->shape, shape)))
        c = c->next;
    if (!c) {
        if (!(c = host->alloc(host->ctx, sizeof *c)))
            return FAIL(&e->base, PUDLE_ERR_NOMEM, "%s: out of memory", op);
        *c = (cuda_choice){ .next = e->choices, .shape = *shape, .which = which };
        if (!cuda.conv_algorithms(e->gpu, shape, which, c->list, CUDA_ALGORITHMS, &c->count, &why)) {
            host->free(host->ctx, c);
            return cuda_failed(e, op, &why);
        }
        e->choices = c;
        choose(e, op, c);
    }
    *out = c;
    return PUDLE_OK;
}

static pudle_status none_left(cuda_exec *e, const char *op, const cuda_choice *c)
{
    const cuda_conv *s = &c->shape;
    const bool tried = c->refused[0] != '\0';
    return FAIL(&e->base, tried ? PUDLE_ERR_DEVICE : PUDLE_ERR_UNSUPPORTED,
                "%s: cuDNN has no algorithm for %d filters of (%d, %d, %d) at stride (%d, %d) on images of %d x %d%s%s", op, s->k, s->c, s->r, s->s,
                s->stride[0], s->stride[1], s->h, s->w, tried ? "; it refused, when run: " : "", c->refused);
}

/* The algorithm in use will not run after all, which happens though cuDNN has offered it: never again for this shape. */
static void refuse(cuda_exec *e, const char *op, cuda_choice *c, const cuda_fault *why)
{
    const pudle_host *host = e->base.host;
    const size_t used = strlen(c->refused);
    snprintf(c->refused + used, sizeof c->refused - used, "%salgorithm %d (%s)", used ? ", " : "", c->best->id, why->text);
    host->log(host->ctx, PUDLE_LOG_WARNING, "%s: cuDNN refuses algorithm %d, which it offered for this shape; it is not tried again: %s", op, c->best->id,
              why->text);
    c->list[c->best - c->list].good = false;
    choose(e, op, c);
}

/* cuDNN counts in int. `n`: samples of a call. */
static pudle_status shape_of(cuda_exec *e, const char *op, const pudle_conv *c, int32_t dtype, int64_t n, cuda_conv *shape)
{
    const int64_t code = c->atoms * c->code[0] * c->code[1], image = c->channels * c->data[0] * c->data[1];
    if (code > INT_MAX || image > INT_MAX || c->atoms * c->channels * c->kernel[0] * c->kernel[1] > INT_MAX)
        return FAIL(&e->base, PUDLE_ERR_UNSUPPORTED, "%s: a sample has %lld entries and its code %lld; cuDNN takes up to %d. Cut the pictures", op,
                    (long long)image, (long long)code, INT_MAX);
    *shape = (cuda_conv){ .dtype = dtype, .n = (int)n, .c = (int)c->channels, .h = (int)c->data[0], .w = (int)c->data[1], .k = (int)c->atoms,
                          .r = (int)c->kernel[0], .s = (int)c->kernel[1], .p = (int)c->code[0], .q = (int)c->code[1],
                          .stride = { (int)c->stride[0], (int)c->stride[1] } };
    return PUDLE_OK;
}

/* Samples of one call, so that no array of it has more entries than an int counts. */
static int64_t samples_of_call(const pudle_conv *c, int64_t n)
{
    const int64_t code = c->atoms * c->code[0] * c->code[1], image = c->channels * c->data[0] * c->data[1], most = INT_MAX / (code > image ? code : image);
    return most < 1 ? 1 : most < n ? most : n;
}

/* With the best algorithm that runs. A refusal comes before any work, so the next one finds its arrays as they were. */
static pudle_status convolve(cuda_exec *e, const char *op, const cuda_conv *shape, cuda_conv_call *call)
{
    cuda_choice *c = NULL;
    cuda_fault why, late;
    pudle_status s = choice_of(e, op, shape, call->which, &c);
    while (!s && c->best) {
        const cuda_algorithm *best = c->best;
        e->workspace_moved += best->workspace > e->workspace.bytes;
        if ((s = cuda_room(e, op, &e->workspace, best->workspace)))
            return s;
        call->algorithm = best->id;
        call->math = best->math;
        call->workspace = best->workspace ? e->workspace.at : NULL;
        call->workspace_bytes = best->workspace;
        if (cuda.conv(e->gpu, shape, call, &why))
            return PUDLE_OK;
        if (e->recording) /* it may be the recording that is refused */
            return cuda_failed(e, op, &why);
        if (!cuda.sync(e->gpu, &late)) /* or cuDNN tells of a fault in what was queued before */
            return cuda_failed(e, op, &late);
        refuse(e, op, c, &why);
    }
    return s ? s : none_left(e, op, c);
}

/* Rows one behind the other, as cuDNN's faster algorithms want them: the memory itself, or a copy where there are gaps. */
static pudle_status pack(cuda_exec *e, const char *op, int which, const pudle_cview *v, bool read, void **at)
{
    const size_t width = pudle_dtype_size(v->dtype), row = (size_t)v->shape[1] * width;
    cuda_fault why;
    *at = (void *)(uintptr_t)v->data;
    if (host_contiguous(v))
        return PUDLE_OK;
    const pudle_status s = cuda_room(e, op, &e->packed[which], (size_t)v->shape[0] * row);
    if (s)
        return s;
    *at = e->packed[which].at;
    if (read && !cuda.copy(e->gpu, *at, row, v->data, (size_t)v->stride[0] * width, row, (size_t)v->shape[0], &why))
        return cuda_failed(e, op, &why);
    return PUDLE_OK;
}

static pudle_status unpack(cuda_exec *e, const char *op, const pudle_view *v, const void *at)
{
    const size_t width = pudle_dtype_size(v->dtype), row = (size_t)v->shape[1] * width;
    cuda_fault why;
    if (at == v->data)
        return PUDLE_OK;
    return cuda.copy(e->gpu, v->data, (size_t)v->stride[0] * width, at, row, row, (size_t)v->shape[0], &why) ? PUDLE_OK : cuda_failed(e, op, &why);
}

static void *advance(void *at, int64_t rows, const pudle_cview *v)
{
    return (char *)at + (size_t)(rows * v->shape[1]) * pudle_dtype_size(v->dtype);
}

/* A call over all samples, some at a time. */
static pudle_status all_samples(cuda_exec *e, const char *op, const pudle_conv *c, cuda_conv_call *call, const pudle_cview *code, const pudle_cview *image)
{
    const int64_t n = code->shape[0], most = samples_of_call(c, n);
    void *const codes = call->codes, *const images = call->images;
    pudle_status s = PUDLE_OK;
    for (int64_t first = 0; first < n && !s; first += most) {
        cuda_conv shape;
        call->codes = advance(codes, first, code);
        call->images = advance(images, first, image);
        s = shape_of(e, op, c, code->dtype, first + most < n ? most : n - first, &shape);
        if (!s)
            s = convolve(e, op, &shape, call);
    }
    return s;
}

pudle_status cuda_conv_apply(pudle_exec *exec, const pudle_conv *conv, const pudle_cview *w, const pudle_cview *z, const pudle_view *u)
{
    static const char op[] = "conv_apply";
    pudle_cview cu;
    void *codes = NULL, *images = NULL;
    pudle_status s = host_check_conv(exec, op, conv, w, z, host_const(u, &cu));
    if (s || !z->shape[0])
        return s;
    cuda_exec *e = cuda_of(exec);
    s = cuda_begin(e, op);
    if (!s)
        s = pack(e, op, 0, z, true, &codes);
    if (!s)
        s = pack(e, op, 1, &cu, false, &images);
    if (s)
        return s;
    cuda_conv_call call = { .which = CUDA_BACKWARD_DATA, .a = 1, .b = 0, .images = images, .filters = (void *)(uintptr_t)w->data, .codes = codes };
    s = all_samples(e, op, conv, &call, z, &cu);
    if (!s)
        s = unpack(e, op, u, images);
    return s ? s : cuda_end(e, op);
}

pudle_status cuda_conv_adjoint(pudle_exec *exec, const pudle_conv *conv, const pudle_cview *w, double a, const pudle_cview *r, double b,
                               const pudle_view *v)
{
    static const char op[] = "conv_adjoint";
    pudle_cview cv;
    void *codes = NULL, *images = NULL;
    pudle_status s = host_check_conv(exec, op, conv, w, host_const(v, &cv), r);
    if (s || !r->shape[0])
        return s;
    cuda_exec *e = cuda_of(exec);
    s = cuda_begin(e, op);
    if (!s)
        s = pack(e, op, 0, &cv, b != 0, &codes);
    if (!s)
        s = pack(e, op, 1, r, true, &images);
    if (s)
        return s;
    cuda_conv_call call = { .which = CUDA_FORWARD, .a = a, .b = b, .images = images, .filters = (void *)(uintptr_t)w->data, .codes = codes };
    s = all_samples(e, op, conv, &call, &cv, r);
    if (!s)
        s = unpack(e, op, v, codes);
    return s ? s : cuda_end(e, op);
}

pudle_status cuda_conv_gradient(pudle_exec *exec, const pudle_conv *conv, double a, const pudle_cview *r, const pudle_cview *z,
                                const pudle_view *gw)
{
    static const char op[] = "conv_gradient";
    pudle_cview cw;
    void *codes = NULL, *images = NULL;
    pudle_status s = host_check_conv(exec, op, conv, host_const(gw, &cw), z, r);
    if (s || !z->shape[0])
        return s;
    cuda_exec *e = cuda_of(exec);
    s = cuda_begin(e, op);
    if (!s)
        s = pack(e, op, 0, z, true, &codes);
    if (!s)
        s = pack(e, op, 1, r, true, &images);
    if (s)
        return s;
    cuda_conv_call call = { .which = CUDA_BACKWARD_FILTER, .a = a, .b = 1, .images = images, .filters = gw->data, .codes = codes };
    s = all_samples(e, op, conv, &call, z, r);
    return s ? s : cuda_end(e, op);
}
