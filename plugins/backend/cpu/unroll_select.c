/* What the backend offers as PUDLE_UNROLL: the unroll of the kind of dictionary that is asked for. */
#include "unroll.h"
#include "cpu.h"
#include "unroll_conv.h"

typedef struct selected {
    pudle_exec *root;
    const pudle_unroll_ops *ops;
    pudle_unroll *it;
} selected;

static const selected *of(const pudle_unroll *u)
{
    return (const selected *)(const void *)u;
}

static void select_destroy(pudle_unroll *u)
{
    if (!u)
        return;
    of(u)->ops->destroy(of(u)->it);
    host_free(of(u)->root, u);
}

static pudle_status select_create(pudle_exec *exec, const pudle_unroll_spec *spec, pudle_unroll **out)
{
    void *memory = NULL;
    const bool conv = spec->size >= offsetof(pudle_unroll_spec, conv) + sizeof spec->conv && spec->conv;
    pudle_status s = host_alloc(exec, sizeof(selected), &memory);
    if (s)
        return s;
    selected *u = memory;
    *u = (selected){ exec, conv ? &cpu_unroll_conv_ops : &cpu_unroll_dense_ops, NULL };
    s = u->ops->create(exec, spec, &u->it);
    if (s)
        host_free(exec, u);
    else
        *out = (pudle_unroll *)(void *)u;
    return s;
}

static pudle_status select_refresh(pudle_unroll *u, int64_t samples)
{
    return of(u)->ops->refresh(of(u)->it, samples);
}

static pudle_status select_forward(pudle_unroll *u, pudle_exec *lane, int64_t index, const pudle_cview *x, bool tape, const pudle_view *z)
{
    return of(u)->ops->forward(of(u)->it, lane, index, x, tape, z);
}

static pudle_status select_decode(pudle_unroll *u, pudle_exec *lane, int64_t index, const pudle_view *estimate)
{
    return of(u)->ops->decode(of(u)->it, lane, index, estimate);
}

static pudle_status select_adjoint(pudle_unroll *u, pudle_exec *lane, int64_t index, const pudle_cview *residual, const pudle_view *direct,
                                   const pudle_view *gradient, const pudle_view *gtheta)
{
    return of(u)->ops->adjoint(of(u)->it, lane, index, residual, direct, gradient, gtheta);
}

static pudle_status select_finish(pudle_unroll *u, double scale, const pudle_view *gradient)
{
    return of(u)->ops->finish(of(u)->it, scale, gradient);
}

static size_t select_bytes(const pudle_unroll *u)
{
    return sizeof(selected) + of(u)->ops->bytes(of(u)->it);
}

const pudle_unroll_ops cpu_unroll_ops = {
    .size = sizeof(pudle_unroll_ops),
    .create = select_create,
    .destroy = select_destroy,
    .refresh = select_refresh,
    .forward = select_forward,
    .decode = select_decode,
    .adjoint = select_adjoint,
    .finish = select_finish,
    .bytes = select_bytes,
};
