/* All layers of the encoder and their adjoint (pudle/unroll.h), for least squares inside, a dictionary of few atoms, and any operator
 * that acts on every entry alone. Exact: nothing is left out but products with 0.
 *
 * Where G = D'D fits the cache, the cheapest way to G z is to add up its rows for the atoms that z uses: a broadcast and a few fused
 * multiply-adds for each, with the sums in registers and a strip of G in the nearest cache, while the rows of a tile go by. So a tile
 * goes through all layers by itself, with one call of the prox a layer and little else. The tape keeps z and v, with momentum y, and a bit
 * for each entry of z or y that is not 0. The way back is the same sum for J' u, and the outer products of four layers at a time are added to P.
 *
 * Windows. Supports settle, so many layers of a row together use few atoms. Back through them a row needs but these: their own small
 * Gram matrix, which stays in the nearest cache, and their own outer products, which are added to P once. The operator is asked for its
 * derivatives beforehand, for all rows at once.
 *
 * With c = D'x, P = sum of step z u' (or y u') and w = sum of step u over layers and samples (u: after J'), the encoder's part of the gradient
 * is x w' - D (P + P'); finish adds the second term. */
#include "unroll_tiles.h"
#include "unroll.h"
#include "unroll_gram.h"
#include "unroll_parts.h"
#include <unistd.h>
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define HAVE_MOVEMASK
#endif

/* Bytes of a vector. unroll_tiles_wide.c makes all of this once more. */
#ifndef TILES_VECTOR
#define TILES_VECTOR 32
#define TILES_OPS cpu_unroll_tiles_ops
#endif

enum {
    TILE = 32,          /* rows that a call of the prox takes, and that read G together */
    TILE_PAD = 16,      /* entries behind a tile that are written and never looked at */
    NEAR_LEAST = 24576, NEAR_ELSE = 4096, /* bytes of the nearest cache that a strip of G has where it is small; that it leaves */
    WINDOW_MOST = 128,  /* layers */
    WINDOW_VECTORS = 12, /* that a row of a window may be wide */
    WINDOW_COST = TILES_VECTOR == 64 ? 1 : 2,   /* of getting its atoms together, times their number squared: see window_pays */
    WINDOW_GROWTH = TILES_VECTOR == 64 ? 3 : 4, /* one may use more atoms than its last layer does, by this part of them; both as measured */
    TOGETHER = 8        /* rows whose derivatives in all layers of a window are taken at a time: they are to stay in the second-level cache */
};

#include "unroll_tiles_lists.h"

/* A thread's workspace. */
typedef struct tiles_lane {
    parts_buffer target, base;       /* (rows, m) the inner gradient at D z = 0, (rows, ld) c */
    parts_buffer code, adjoint, sums; /* (rows, p): z_T, u, w */
    parts_buffer tape, bits;
    parts_buffer room;               /* a tile's u, J' u of four layers, and, with momentum, w */
    parts_buffer part;               /* (p, ld): what four layers of a tile add to P */
    parts_buffer window, ones;       /* what the layers of a window need; (TILE, ld) of 1, the most that they ask the prox for */
    parts_buffer few;                /* the atoms of a window's rows */
    bool filled;                     /* `ones` has been written */
    int64_t rows, slots;             /* of the block on the tape; layers that the tape has room for */
} tiles_lane;

struct pudle_unroll {
    parts_memory memory;
    pudle_unroll_spec spec;
    const pudle_prox_kernel *kernel;
    int32_t needs, arrays; /* of a code on the tape: 2, or with momentum 3 */
    bool windows;         /* where the prox gives 0 its derivative is 0, and its levels are the same for all atoms */
    int64_t ld, words;    /* p padded; of 64 bits, a bit an atom */
    int64_t near;         /* bytes that a strip of G has in the nearest cache */
    parts_buffer gram, strips; /* (p, ld); the same by strips */
    parts_buffer alike;   /* (T) of bool, see alike(); only where windows may be chosen */
    tiles_lane *lane;     /* one a thread, and one for the root */
    gram_outer *outer;    /* P, one a lane */
    eight places[256];    /* for every byte, the places of its bits that are set, lowest first */
};

/* A code on the tape: what went into the prox, what came out, where the next layer begins, which is z itself unless there is momentum; and
 * where one of these two is not 0. */
typedef struct slot {
    void *z, *v, *y;
    uint64_t *bits;
} slot;

typedef struct tiles_work {
    pudle_unroll *u;
    pudle_exec *exec;
    tiles_lane *l;
    void *outer;
    const pudle_view *gtheta;
    bool tape;
    pudle_status status;
} tiles_work;

static size_t width_of(const pudle_unroll *u)
{
    return pudle_dtype_size(u->spec.dtype);
}

static slot slot_of(const pudle_unroll *u, const tiles_lane *l, int64_t tile, int64_t k)
{
    const int64_t size = TILE * u->spec.atoms + TILE_PAD, at = tile * l->slots + k;
    const size_t array = (size_t)size * width_of(u);
    char *z = (char *)l->tape.at + (size_t)at * array * (size_t)u->arrays;
    return (slot){ z, z + array, u->arrays == 3 ? z + 2 * array : z, (uint64_t *)l->bits.at + at * TILE * u->words };
}

/* ------------------------------------------------------------ the prox */

static pudle_view rows_of(const pudle_unroll *u, const void *data, int64_t rows)
{
    return parts_matrix(data, u->spec.dtype, rows, u->spec.atoms);
}

static void levels_of(const pudle_unroll *u, int64_t t, pudle_cview theta[])
{
    for (int i = 0; i < u->spec.levels; i++) {
        const pudle_cview *all = &u->spec.theta[i];
        const int64_t cols = all->shape[1];
        theta[i] = parts_vector((const char *)all->data + (size_t)((t - 1) * cols) * width_of(u), u->spec.dtype, cols);
    }
}

/* z = prox(v) in layer t. */
static pudle_status apply(pudle_unroll *u, pudle_exec *exec, int64_t t, int64_t rows, slot at)
{
    pudle_cview theta[PARTS_LEVELS];
    const pudle_view v = rows_of(u, at.v, rows), z = rows_of(u, at.z, rows);
    const pudle_cview cv = pudle_const(&v);
    levels_of(u, t, theta);
    return u->kernel->apply(u->spec.prox.self, exec, u->spec.step[t - 1], theta, &cv, &z);
}

/* masked = J' adjoint (rows, cols) in layer t, and the gradients of its levels. */
static pudle_status differentiate(pudle_unroll *u, pudle_exec *exec, int64_t t, int64_t rows, int64_t cols, slot at, const void *adjoint, void *masked,
                                  const pudle_view *gtheta)
{
    pudle_cview theta[PARTS_LEVELS];
    pudle_view sums[PARTS_LEVELS];
    const int32_t type = u->spec.dtype;
    const pudle_view v = parts_matrix(at.v, type, rows, cols), z = parts_matrix(at.z, type, rows, cols);
    const pudle_view g = parts_matrix(adjoint, type, rows, cols), gv = parts_matrix(masked, type, rows, cols);
    const pudle_cview cv = pudle_const(&v), cz = pudle_const(&z), cg = pudle_const(&g);
    levels_of(u, t, theta);
    for (int i = 0; gtheta && i < u->spec.levels; i++) {
        const int64_t own = gtheta[i].shape[1];
        sums[i] = (pudle_view){ .data = (double *)gtheta[i].data + (t - 1) * own, .dtype = PUDLE_F64, .rank = 1, .shape = { own }, .stride = { 1 } };
    }
    return u->kernel->vjp(u->spec.prox.self, exec, u->spec.step[t - 1], theta, u->needs & PUDLE_VJP_INPUT ? &cv : NULL,
                          u->needs & PUDLE_VJP_OUTPUT ? &cz : NULL, &cg, &gv, gtheta ? sums : NULL);
}

/* ------------------------------------------------------------ windows */

/* Does a window pay? For a row, with a atoms in n vectors of `lanes` entries, of `all` vectors in p: a layer by all atoms costs about
 * a * all cycles, by few a n; and to get the atoms' Gram matrix and to put their outer products where they belong a^2, or twice as much
 * where vectors cannot be permuted. */
static bool window_pays(double layers, double a, int64_t all, int64_t lanes)
{
    const double n = (a + 0.5 * (double)lanes) / (double)lanes;
    return layers * a * ((double)all - n) > WINDOW_COST * a * a + 20;
}

/* Has layer t the step and the levels of the one before it? */
static bool alike(const pudle_unroll *u, int64_t t)
{
    return ((const bool *)u->alike.at)[t - 1];
}

/* How many layers, from the code in slot k of the tape back, had better be gone through by few atoms of each row: those that it uses
 * in any of them or before them, whose bits are left in `any`. 0: none. lanes: entries of a vector. */
PUDLE_CLONES static int64_t choose_window(const tiles_work *w, int64_t tile, int64_t rows, int64_t k, int64_t lanes, uint64_t *any)
{
    const pudle_unroll *u = w->u;
    const int64_t words = u->words, most = WINDOW_VECTORS * lanes, all = (u->spec.atoms + lanes - 1) / lanes;
    uint64_t next[TILE * UNROLL_FEW_ATOMS / 64];
    int64_t layers = 0, used = 0, first = 0;
    memcpy(any, slot_of(u, w->l, tile, k).bits, (size_t)(rows * words) * sizeof *any);
    for (; layers < k && layers < WINDOW_MOST; layers++) {
        const uint64_t *before = slot_of(u, w->l, tile, k - layers - 1).bits;
        int64_t total = 0, widest = 0;
        for (int64_t i = 0; i < rows; i++) {
            int64_t found = 0;
            for (int64_t b = i * words; b < (i + 1) * words; b++)
                found += __builtin_popcountll(next[b] = any[b] | before[b]);
            total += found;
            widest = found > widest ? found : widest;
        }
        first = layers ? first : total;
        if (widest > most || total > first + first / WINDOW_GROWTH + rows)
            break;
        if (!layers && !window_pays((double)(k < WINDOW_MOST ? k : WINDOW_MOST), (double)total / (double)rows, all, lanes))
            return 0; /* it cannot, however long */
        memcpy(any, next, (size_t)(rows * words) * sizeof *any);
        used = total;
    }
    return layers && window_pays((double)layers, (double)used / (double)rows, all, lanes) ? layers : 0;
}

#define REAL float
#define NAME(x) x##_f32
#include "unroll_tiles_kernels.h"
#include "unroll_tiles_few_kernels.h"
#include "unroll_tiles_layers.h"
#undef REAL
#undef NAME
#define REAL double
#define NAME(x) x##_f64
#include "unroll_tiles_kernels.h"
#include "unroll_tiles_few_kernels.h"
#include "unroll_tiles_layers.h"
#undef REAL
#undef NAME

/* ------------------------------------------------------------ life */

static void tiles_destroy(pudle_unroll *u)
{
    if (!u)
        return;
    pudle_exec *root = u->memory.root;
    for (int64_t i = 0; u->lane && i <= root->threads; i++) {
        tiles_lane *l = &u->lane[i];
        parts_buffer *const buffers[] = { &l->target, &l->base, &l->code, &l->adjoint, &l->sums, &l->tape, &l->bits, &l->room,
                                          &l->window, &l->ones, &l->few, &l->part };
        for (size_t k = 0; k < sizeof buffers / sizeof *buffers; k++)
            parts_release(&u->memory, buffers[k]);
    }
    for (int64_t i = 0; u->outer && i < u->spec.lanes; i++)
        parts_release(&u->memory, &u->outer[i].memory);
    parts_release(&u->memory, &u->gram);
    parts_release(&u->memory, &u->strips);
    parts_release(&u->memory, &u->alike);
    host_free(root, u->lane);
    host_free(root, u->outer);
    host_free(root, u);
}

static int64_t near_bytes(void)
{
#ifdef _SC_LEVEL1_DCACHE_SIZE
    const long cache = sysconf(_SC_LEVEL1_DCACHE_SIZE);
#else
    const long cache = 0;
#endif
    return cache > 40000 ? cache - NEAR_ELSE : NEAR_LEAST;
}

static pudle_status tiles_create(pudle_exec *exec, const pudle_unroll_spec *spec, pudle_unroll **out)
{
    const pudle_prox_ops *ops = spec->prox.desc->ops;
    if (!(spec->prox.desc->caps & PUDLE_PROX_SEPARABLE) || spec->levels > PARTS_LEVELS || spec->atoms > UNROLL_FEW_ATOMS ||
        !host_identity_hessian(exec, &spec->inner, spec->dtype))
        return PUDLE_ERR_UNSUPPORTED;
    void *memory = NULL;
    pudle_status s = host_alloc(exec, sizeof(pudle_unroll), &memory);
    if (s)
        return s;
    pudle_unroll *u = memory;
    bool alike = true;
    for (int i = 0; i < spec->levels; i++)
        alike = alike && spec->theta[i].shape[1] == 1;
    *u = (pudle_unroll){ .memory = { exec, sizeof *u }, .windows = alike && parts_sparse_prox(spec),
                         .spec = *spec, .kernel = ops->kernels[0], .needs = ops->vjp_needs, .arrays = spec->momentum ? 3 : 2,
                         .ld = (spec->atoms + TILE_PAD - 1) / TILE_PAD * TILE_PAD, .words = (spec->atoms + 63) / 64, .near = near_bytes() };
    const size_t lanes = (size_t)(exec->threads + 1) * sizeof *u->lane, outer = (size_t)spec->lanes * sizeof *u->outer;
    s = host_alloc(exec, lanes, &memory);
    if (!s) {
        u->lane = memset(memory, 0, lanes);
        s = host_alloc(exec, outer, &memory);
    }
    if (!s) {
        u->outer = memset(memory, 0, outer);
        u->memory.held += lanes + outer;
        s = parts_want(&u->memory, &u->gram, spec->atoms * u->ld, width_of(u));
    }
    if (!s)
        s = parts_want(&u->memory, &u->strips, spec->atoms * u->ld, width_of(u));
    if (!s)
        s = parts_want(&u->memory, &u->alike, spec->layers, sizeof(bool));
    if (!s)
        fill_places(u->places);
    if (s)
        tiles_destroy(u);
    else
        *out = u;
    return s;
}

/* Which layers have the step and the levels of the one before. */
static void compare_layers(pudle_unroll *u)
{
    const pudle_unroll_spec *spec = &u->spec;
    bool *same = u->alike.at;
    for (int64_t t = 2; t <= spec->layers; t++) {
        same[t - 1] = spec->step[t - 1] == spec->step[t - 2];
        for (int i = 0; i < spec->levels; i++)
            same[t - 1] = same[t - 1] && pudle_entry(&spec->theta[i], t - 1) == pudle_entry(&spec->theta[i], t - 2);
    }
}

static pudle_status tiles_refresh(pudle_unroll *u, int64_t samples)
{
    (void)samples;
    for (int64_t i = 0; i < u->spec.lanes; i++)
        u->outer[i].used = false;
    if (u->windows)
        compare_layers(u);
    const pudle_status s = gram_matrix(u->memory.root, &u->spec.dictionary, u->ld, u->gram.at);
    if (!s && u->spec.dtype == PUDLE_F64)
        cut_f64(u->strips.at, u->gram.at, u->spec.atoms, u->ld, u->near);
    else if (!s)
        cut_f32(u->strips.at, u->gram.at, u->spec.atoms, u->ld, u->near);
    return s;
}

/* Room for a block and for its tape. */
static pudle_status make_room(pudle_unroll *u, tiles_lane *l, int64_t rows, bool tape)
{
    const pudle_unroll_spec *spec = &u->spec;
    const int64_t p = spec->atoms, tiles = (rows + TILE - 1) / TILE, size = TILE * p + TILE_PAD;
    const size_t w = width_of(u);
    l->rows = rows;
    l->slots = tape && spec->depth > 0 ? spec->depth + 1 : 2;
    const struct { parts_buffer *b; int64_t count; size_t width; } wanted[] = {
        { &l->target, rows * spec->features, w }, { &l->base, rows * u->ld, w }, { &l->code, rows * p, w },
        { &l->tape, u->arrays * tiles * l->slots * size, w }, { &l->bits, tiles * l->slots * TILE * u->words, sizeof(uint64_t) },
    };
    pudle_status s = PUDLE_OK;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted && !s; i++)
        s = parts_want(&u->memory, wanted[i].b, wanted[i].count, wanted[i].width);
    return s;
}

static tiles_lane *lane_of(pudle_unroll *u, const pudle_exec *exec)
{
    return &u->lane[exec == u->memory.root ? exec->threads : exec - u->memory.root->lane];
}

/* ------------------------------------------------------------ a block */

static void forward_part(void *ctx, int64_t tile)
{
    tiles_work *w = ctx;
    const pudle_status s = w->u->spec.dtype == PUDLE_F64 ? tile_forward_f64(w, tile) : tile_forward_f32(w, tile);
    if (s)
        __atomic_store_n(&w->status, s, __ATOMIC_RELAXED);
}

static pudle_status tiles_forward(pudle_unroll *u, pudle_exec *exec, int64_t index, const pudle_cview *x, bool tape, const pudle_view *z)
{
    const int64_t rows = x->shape[0], m = u->spec.features, p = u->spec.atoms;
    const int32_t type = u->spec.dtype;
    tiles_lane *l = lane_of(u, exec);
    pudle_status s = make_room(u, l, rows, tape);
    (void)index;
    if (s)
        return s;
    const pudle_view target = parts_matrix(l->target.at, type, rows, m), base = parts_strided(l->base.at, type, rows, p, u->ld);
    const pudle_cview ctarget = pudle_const(&target);
    s = parts_target(exec, &u->spec, x, l->target.at);
    if (!s)
        s = cpu_gemm(exec, false, false, -1.0, &ctarget, &u->spec.dictionary, 0.0, &base);
    if (s)
        return s;
    tiles_work w = { .u = u, .exec = exec, .l = l, .tape = tape };
    cpu_parts(exec, (rows + TILE - 1) / TILE, forward_part, &w);
    if (w.status)
        return w.status;
    const pudle_view code = rows_of(u, l->code.at, rows);
    const pudle_cview ccode = pudle_const(&code);
    return cpu_copy(exec, &ccode, z);
}

static pudle_status tiles_decode(pudle_unroll *u, pudle_exec *exec, int64_t index, const pudle_view *estimate)
{
    const tiles_lane *l = lane_of(u, exec);
    const pudle_view code = rows_of(u, l->code.at, l->rows);
    const pudle_cview ccode = pudle_const(&code);
    (void)index;
    return cpu_gemm(exec, false, true, 1.0, &ccode, &u->spec.dictionary, 0.0, estimate);
}

/* Room for the way back, and sums that begin at 0. */
static pudle_status make_room_back(pudle_unroll *u, pudle_exec *exec, tiles_lane *l, gram_outer *outer)
{
    const int64_t p = u->spec.atoms, size = TILE * p + TILE_PAD;
    const size_t w = width_of(u);
    const struct { parts_buffer *b; int64_t count; size_t width; } wanted[] = {
        { &l->adjoint, l->rows * p, w }, { &l->sums, l->rows * p, w }, { &l->room, 6 * size, w }, { &l->ones, TILE * u->ld, w },
        { &l->few, TILE, u->spec.dtype == PUDLE_F64 ? sizeof(few_f64) : sizeof(few_f32) },
        { &l->part, p * u->ld, w }, { &outer->memory, p * u->ld, w },
    };
    pudle_status s = PUDLE_OK;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted && !s; i++)
        s = parts_want(&u->memory, wanted[i].b, wanted[i].count, wanted[i].width);
    if (s)
        return s;
    memset(l->sums.at, 0, (size_t)(l->rows * p) * w);
    if (!l->filled) {
        const pudle_view ones = parts_matrix(l->ones.at, u->spec.dtype, 1, TILE * u->ld);
        s = cpu_fill(exec, 1, &ones);
        l->filled = !s;
    }
    if (s)
        return s;
    if (!outer->used)
        memset(outer->memory.at, 0, (size_t)(p * u->ld) * w);
    outer->used = true;
    return PUDLE_OK;
}

static pudle_status tiles_adjoint(pudle_unroll *u, pudle_exec *exec, int64_t index, const pudle_cview *residual, const pudle_view *direct,
                                  const pudle_view *gradient, const pudle_view *gtheta)
{
    tiles_lane *l = lane_of(u, exec);
    pudle_status s = make_room_back(u, exec, l, &u->outer[index]);
    if (s)
        return s;
    const int64_t rows = l->rows;
    const pudle_view code = rows_of(u, l->code.at, rows), adjoint = rows_of(u, l->adjoint.at, rows), sums = rows_of(u, l->sums.at, rows);
    const pudle_view target = parts_matrix(l->target.at, u->spec.dtype, rows, u->spec.features);
    const pudle_cview ccode = pudle_const(&code), cdirect = pudle_const(direct), csums = pudle_const(&sums), ctarget = pudle_const(&target);
    s = cpu_gemm(exec, true, false, 1.0, residual, &ccode, 1.0, gradient);
    if (!s)
        s = cpu_copy(exec, &cdirect, &adjoint);
    if (!s)
        s = cpu_gemm(exec, false, false, 1.0, residual, &u->spec.dictionary, 1.0, &adjoint);
    const tiles_work w = { .u = u, .exec = exec, .l = l, .outer = u->outer[index].memory.at, .gtheta = gtheta, .tape = true };
    for (int64_t tile = 0; tile * TILE < rows && !s; tile++) /* one after the other: they add to the same P */
        s = u->spec.dtype == PUDLE_F64 ? tile_back_f64(&w, tile) : tile_back_f32(&w, tile);
    return s ? s : cpu_gemm(exec, true, false, -1.0, &ctarget, &csums, 1.0, gradient);
}

static pudle_status tiles_finish(pudle_unroll *u, double scale, const pudle_view *gradient)
{
    return gram_gradient(u->memory.root, &u->spec.dictionary, u->ld, u->outer, u->spec.lanes, scale, gradient);
}

static size_t tiles_bytes(const pudle_unroll *u)
{
    return u->memory.held;
}

const pudle_unroll_ops TILES_OPS = {
    .size = sizeof(pudle_unroll_ops),
    .create = tiles_create,
    .destroy = tiles_destroy,
    .refresh = tiles_refresh,
    .forward = tiles_forward,
    .decode = tiles_decode,
    .adjoint = tiles_adjoint,
    .finish = tiles_finish,
    .bytes = tiles_bytes,
};
