/* What the backend offers as PUDLE_UNROLL: the unroll of the kind of dictionary that is asked for, and of a dense one the faster for
 * each batch. */
#include "unroll.h"
#include "cpu.h"
#include "unroll_conv.h"
#include "unroll_gram.h"
#include "unroll_tiles.h"
#include "wide.h"

/* What the tape of a block of tiles may take. */
#define TILES_TAPE 67108864.0

typedef struct one {
    const pudle_unroll_ops *ops;
    pudle_unroll *it; /* NULL: this one cannot do it */
} one;

typedef struct selected {
    pudle_exec *root;
    pudle_unroll_spec spec;
    one usual, tiles;
    const one *now;
} selected;

static selected *of(const pudle_unroll *u)
{
    return (selected *)(uintptr_t)u;
}

static void select_destroy(pudle_unroll *u)
{
    if (!u)
        return;
    of(u)->usual.ops->destroy(of(u)->usual.it);
    of(u)->tiles.ops->destroy(of(u)->tiles.it);
    host_free(of(u)->root, u);
}

/* May tiles do this, as far as its size goes? A block has at least a tile of 32 samples. */
static bool tiles_fit(const pudle_exec *exec, const pudle_unroll_spec *spec)
{
    const double tape = (spec->momentum ? 96 : 64) * (double)(spec->depth + 1) * (double)spec->atoms * (double)pudle_dtype_size(spec->dtype);
    return exec->unroll == UNROLL_TILES || (exec->unroll == UNROLL_AUTO && unroll_few_atoms(spec->atoms, spec->layers) && tape <= TILES_TAPE);
}

/* Are they the faster way for a batch? What they win with a sample and layer is worth about 200000 multiply-adds of the two products
 * (m, p) x (p, p) that G and the gradient cost once. */
static bool tiles_pay(const selected *u, int64_t samples)
{
    const double m = (double)u->spec.features, p = (double)u->spec.atoms, T = u->spec.layers < 30 ? (double)u->spec.layers : 30;
    if (u->root->unroll == UNROLL_TILES)
        return true;
    return gram_pays(&u->spec, samples) && (u->spec.depth == 0 || m * p * p <= 200000 * (double)samples * T);
}

/* An unroll in vectors of 512 bits, or as it is for all processors. */
#ifdef WIDE_POSSIBLE
#define OPS(wide, kind) ((wide) ? &cpu_unroll_##kind##_wide_ops : &cpu_unroll_##kind##_ops)
#else
#define OPS(wide, kind) ((void)(wide), &cpu_unroll_##kind##_ops)
#endif

static const pudle_unroll_ops *usual_ops(const pudle_exec *exec, const pudle_unroll_spec *spec, bool conv)
{
    if (!conv)
        return OPS(exec->wide, dense);
    /* correlations take two vectors of atoms at a time: wider ones do not serve where half of them would be empty */
    return OPS(exec->wide && spec->conv->atoms > 64 / (int64_t)pudle_dtype_size(spec->dtype), conv);
}

static pudle_status select_create(pudle_exec *exec, const pudle_unroll_spec *spec, pudle_unroll **out)
{
    void *memory = NULL;
    const bool conv = spec->size >= offsetof(pudle_unroll_spec, conv) + sizeof spec->conv && spec->conv;
    pudle_status s = exec->unroll == UNROLL_NONE ? PUDLE_ERR_UNSUPPORTED : host_alloc(exec, sizeof(selected), &memory);
    if (s)
        return s;
    selected *u = memory;
    *u = (selected){ exec, *spec, { usual_ops(exec, spec, conv), NULL }, { OPS(exec->wide, tiles), NULL }, NULL };
    s = u->usual.ops->create(exec, spec, &u->usual.it);
    const bool usual = !s, ask = usual || s == PUDLE_ERR_UNSUPPORTED;
    if (ask && !conv && tiles_fit(exec, spec) && (usual || tiles_pay(u, spec->rows * spec->lanes))) {
        const pudle_status other = u->tiles.ops->create(exec, spec, &u->tiles.it);
        s = other == PUDLE_ERR_UNSUPPORTED && exec->unroll == UNROLL_AUTO ? s : other;
    }
    if (s == PUDLE_ERR_UNSUPPORTED && !conv && exec->unroll == UNROLL_TILES)
        s = FAIL(exec, PUDLE_ERR_CONFIG, "backend.unroll = \"tiles\" takes at most %d atoms of a dense dictionary, an encoder that descends least squares, and "
                 "a prox that acts on every entry alone; write  unroll = \"auto\";", UNROLL_FEW_ATOMS);
    if (s == PUDLE_ERR_UNSUPPORTED && !conv && exec->unroll == UNROLL_ROWS)
        s = FAIL(exec, PUDLE_ERR_CONFIG, "backend.unroll = \"rows\" takes an encoder that descends least squares, and a prox that acts on every entry alone, "
                 "has a dead zone, and a derivative of 0 there; write  unroll = \"auto\";");
    if (s)
        select_destroy((pudle_unroll *)(void *)u);
    else
        *out = (pudle_unroll *)(void *)u;
    return s;
}

static pudle_status select_refresh(pudle_unroll *u, int64_t samples)
{
    selected *s = of(u);
    s->now = s->tiles.it && (!s->usual.it || tiles_pay(s, samples)) ? &s->tiles : &s->usual;
    return s->now->ops->refresh(s->now->it, samples);
}

static pudle_status select_forward(pudle_unroll *u, pudle_exec *lane, int64_t index, const pudle_cview *x, bool tape, const pudle_view *z)
{
    return of(u)->now->ops->forward(of(u)->now->it, lane, index, x, tape, z);
}

static pudle_status select_decode(pudle_unroll *u, pudle_exec *lane, int64_t index, const pudle_view *estimate)
{
    return of(u)->now->ops->decode(of(u)->now->it, lane, index, estimate);
}

static pudle_status select_adjoint(pudle_unroll *u, pudle_exec *lane, int64_t index, const pudle_cview *residual, const pudle_view *direct,
                                   const pudle_view *gradient, const pudle_view *gtheta)
{
    return of(u)->now->ops->adjoint(of(u)->now->it, lane, index, residual, direct, gradient, gtheta);
}

static pudle_status select_finish(pudle_unroll *u, double scale, const pudle_view *gradient)
{
    return of(u)->now->ops->finish(of(u)->now->it, scale, gradient);
}

static size_t select_bytes(const pudle_unroll *u)
{
    const selected *s = of(u);
    return sizeof(selected) + (s->usual.it ? s->usual.ops->bytes(s->usual.it) : 0) + (s->tiles.it ? s->tiles.ops->bytes(s->tiles.it) : 0);
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
