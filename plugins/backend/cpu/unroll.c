/* All layers of the encoder and their adjoint at once (pudle/unroll.h), for least squares inside and separable operators that have
 * a dead zone. Three facts are used, none of which changes the result:
 *
 * - The Gram matrix G = D'D serves all layers: v_t = z + step (c - G z), c = D'x. It costs one product of D with itself.
 * - Codes are sparse: G z is a sum of few rows of G, the prox is asked only for entries outside its dead zone, and the tape
 *   keeps those entries, (index, z, v), and nothing else.
 * - The adjoint is masked by the same supports. A sample uses r atoms in all its layers, far fewer than p, so its way back is
 *   arithmetic on r numbers with an r x r piece of G; and all 2 K outer products of a sample,
 *     sum over t of step ((D z - x) u' + (D u) z') = D (P + P') - x w',   P = sum step z u',   w = sum step u,
 *   are one small matrix P and one vector w.
 *
 * Where codes turn out dense, a layer is one product with G instead, and a sample's way back goes over all p atoms. */
#include "cpu.h"
#include "unroll.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    UNROLL_LEVELS = 8, /* of a prox */
    UNROLL_PAD = 16,   /* entries that a row of G is padded to: whole vectors in f32 and f64 */
    BACK_ROWS = 16,    /* rows that go back side by side: enough entries to a call of the prox's derivative */
    GRAM_BLOCK = 256   /* columns of a block of G */
};
#define DENSE 0.2 /* density of codes from which on a matrix product beats adding rows of G */

/* Memory that grows and is kept. */
typedef struct buffer {
    void *at;
    size_t bytes;
} buffer;

/* The codes of one layer for the rows of a block: entries [start[i], start[i+1]) belong to row i. */
typedef struct codes {
    int32_t *index, *local; /* atom; its number among the atoms of the row */
    void *z, *v;
    int64_t *start;
    int64_t room, local_room;
} codes;

/* A thread's workspace: the tape of the block it is at, and room for its arithmetic. */
typedef struct lane {
    codes *slot;      /* depth + 3: z_{T-K} .. z_T, and two for the layers before */
    void *base;       /* (rows, ld): step c */
    void *target;     /* (rows, m): the inner gradient at D z = 0, which is -x for least squares */
    void *v, *coef;   /* (ld) */
    int32_t *number;  /* (p) */
    uint32_t *seen, stamp;
    buffer dense[2], levels[UNROLL_LEVELS], level_sum[UNROLL_LEVELS], up, masked, atoms, trail, columns[2], sums;
    int64_t rows;     /* of the block on the tape */
} lane;

/* What a lane of the batch has gathered: (p, ld), the sum over its samples of step z u'. Lanes are added in order, so these are
 * kept apart for each, while the tapes belong to threads, of which there are fewer. */
typedef struct gathered {
    buffer outer;
    bool used;
} gathered;

struct pudle_unroll {
    pudle_exec *root;
    pudle_unroll_spec spec;
    int64_t samples;  /* of the batch */
    int64_t ld;       /* p, padded */
    void *gram;       /* (p, ld); the padding is 0 */
    void *dead;       /* half-widths of the dead zone: (T), or (T, ld) if dead_along */
    bool dead_along;
    lane *lane;          /* one a thread, and one for the root */
    gathered *gathered;  /* one a lane */
    buffer zeros;     /* (rows, m) */
    size_t held;      /* bytes */
};

static int64_t padded(int64_t n)
{
    return (n + UNROLL_PAD - 1) / UNROLL_PAD * UNROLL_PAD;
}

static size_t width_of(const pudle_unroll *u)
{
    return pudle_dtype_size(u->spec.dtype);
}

/* At least `bytes`; what it held is lost. */
static pudle_status want(pudle_unroll *u, buffer *b, size_t bytes)
{
    if (bytes <= b->bytes)
        return PUDLE_OK;
    const size_t more = bytes + bytes / 2;
    void *at = NULL;
    const pudle_status s = host_alloc(u->root, more, &at);
    if (s)
        return s;
    host_free(u->root, b->at);
    __atomic_fetch_add(&u->held, more - b->bytes, __ATOMIC_RELAXED);
    *b = (buffer){ at, more };
    return PUDLE_OK;
}

static pudle_status grow(pudle_unroll *u, void **memory, size_t old, size_t bytes)
{
    void *at = NULL;
    const pudle_status s = host_alloc(u->root, bytes, &at);
    if (s)
        return s;
    if (old)
        memcpy(at, *memory, old);
    host_free(u->root, *memory);
    *memory = at;
    __atomic_fetch_add(&u->held, bytes - old, __ATOMIC_RELAXED);
    return PUDLE_OK;
}

/* Room for `count` entries; those there are stay. */
static pudle_status room_for(pudle_unroll *u, codes *c, int64_t count)
{
    if (count <= c->room)
        return PUDLE_OK;
    const int64_t room = count + c->room / 2;
    const size_t w = width_of(u), old = (size_t)c->room, now = (size_t)room;
    pudle_status s = grow(u, (void **)&c->index, old * sizeof *c->index, now * sizeof *c->index);
    if (!s)
        s = grow(u, &c->z, old * w, now * w);
    if (!s)
        s = grow(u, &c->v, old * w, now * w);
    if (!s)
        c->room = room;
    return s;
}

static pudle_status local_room(pudle_unroll *u, codes *c)
{
    if (c->local_room >= c->room)
        return PUDLE_OK;
    host_free(u->root, c->local);
    c->local = NULL;
    const pudle_status s = grow(u, (void **)&c->local, 0, (size_t)c->room * sizeof *c->local);
    c->local_room = s ? 0 : c->room;
    return s;
}

static codes *slot_of(const pudle_unroll *u, lane *l, int64_t t, bool tape)
{
    const int64_t K = u->spec.depth, kept = t - (u->spec.layers - K);
    return tape && kept >= 0 ? &l->slot[kept] : &l->slot[K + 1 + t % 2];
}

static pudle_cview vector_of(const void *data, int32_t dtype, int64_t count)
{
    return (pudle_cview){ .data = data, .dtype = dtype, .rank = 2, .shape = { 1, count }, .stride = { count, 1 } };
}

static void scale_rows(const pudle_unroll *u, void *base, int64_t rows, double by)
{
    for (int64_t i = 0; i < rows * u->ld; i++) {
        if (u->spec.dtype == PUDLE_F64)
            ((double *)base)[i] *= by;
        else
            ((float *)base)[i] *= (float)by;
    }
}

static pudle_view matrix_of(const void *data, int32_t dtype, int64_t rows, int64_t cols, int64_t stride)
{
    return (pudle_view){ .data = (void *)(uintptr_t)data, .dtype = dtype, .rank = 2, .shape = { rows, cols }, .stride = { stride, 1 } };
}

/* C (rows, ldb columns) <- a A (rows, inner) B (inner, ...) + b C, with every row stride as wide as B's. */
static pudle_status product(pudle_unroll *u, pudle_exec *exec, bool ta, bool tb, double a, const void *A, int64_t rows, int64_t inner,
                            const void *B, int64_t ldb, double b, void *C)
{
    const int32_t t = u->spec.dtype;
    const int64_t inside = inner < u->spec.atoms || ldb != u->ld ? inner : u->spec.atoms;
    const pudle_view va = matrix_of(A, t, rows, inside, ldb), vb = matrix_of(B, t, inside, ldb, ldb), vc = matrix_of(C, t, rows, ldb, ldb);
    const pudle_cview ca = pudle_const(&va), cb = pudle_const(&vb);
    return cpu_gemm(exec, ta, tb, a, &ca, &cb, b, &vc);
}

/* Is a row's part of the gradient cheaper by itself than through the outer products of all, whose product is paid once a
 * batch? */
static bool direct(const pudle_unroll *u, int64_t size)
{
    return (double)u->samples * (double)size * (double)size < (double)u->spec.atoms * (double)u->spec.atoms;
}

/* The lane's outer products, cleared on first use in a batch. */
static pudle_status outer_room(pudle_unroll *u, gathered *g)
{
    const size_t bytes = (size_t)(u->spec.atoms * u->ld) * width_of(u);
    if (g->used)
        return PUDLE_OK;
    const pudle_status s = want(u, &g->outer, bytes);
    if (!s)
        memset(g->outer.at, 0, bytes);
    g->used = !s;
    return s;
}

/* Where a prox sums the gradients of its levels over `count` entries: the level's own place, or, one an atom, a place for each
 * entry, which scatter_sums then adds up. */
static pudle_status level_sums(pudle_unroll *u, lane *l, int64_t t, int64_t count, const pudle_view *gtheta, pudle_view *sums)
{
    for (int i = 0; i < u->spec.levels; i++) {
        const int64_t cols = gtheta[i].shape[1];
        double *at = (double *)gtheta[i].data + (t - 1) * cols;
        if (cols > 1) {
            const pudle_status s = want(u, &l->level_sum[i], (size_t)(count + 1) * sizeof(double));
            if (s)
                return s;
            at = l->level_sum[i].at;
            memset(at, 0, (size_t)count * sizeof *at);
        }
        sums[i] = (pudle_view){ .data = at, .dtype = PUDLE_F64, .rank = 1, .shape = { cols > 1 ? count : 1 }, .stride = { 1 } };
    }
    return PUDLE_OK;
}

static void scatter_sums(const pudle_unroll *u, lane *l, int64_t t, const int32_t *index, int64_t count, const pudle_view *gtheta)
{
    for (int i = 0; i < u->spec.levels; i++) {
        const int64_t cols = gtheta[i].shape[1];
        double *to = (double *)gtheta[i].data + (t - 1) * cols;
        for (int64_t k = 0; cols > 1 && k < count; k++)
            to[index[k]] += ((const double *)l->level_sum[i].at)[k];
    }
}

#define REAL float
#define NAME(x) x##_f32
#include "unroll_kernels.h"
#include "unroll_layers.h"
#undef REAL
#undef NAME
#define REAL double
#define NAME(x) x##_f64
#include "unroll_kernels.h"
#include "unroll_layers.h"
#undef REAL
#undef NAME

/* ------------------------------------------------------------ life */

static void lane_free(pudle_unroll *u, lane *l)
{
    buffer *const buffers[] = { &l->dense[0], &l->dense[1], &l->up, &l->masked, &l->atoms, &l->trail, &l->columns[0], &l->columns[1], &l->sums };
    void *const plain[] = { l->base, l->target, l->v, l->coef, l->number, l->seen };
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        host_free(u->root, buffers[i]->at);
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        host_free(u->root, plain[i]);
    for (int i = 0; i < UNROLL_LEVELS; i++) {
        host_free(u->root, l->levels[i].at);
        host_free(u->root, l->level_sum[i].at);
    }
    for (int64_t s = 0; l->slot && s < u->spec.depth + 3; s++) {
        void *const parts[] = { l->slot[s].index, l->slot[s].local, l->slot[s].z, l->slot[s].v, l->slot[s].start };
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
            host_free(u->root, parts[i]);
    }
    host_free(u->root, l->slot);
}

static void cpu_unroll_destroy(pudle_unroll *u)
{
    if (!u)
        return;
    for (int64_t i = 0; u->lane && i <= u->root->threads; i++)
        lane_free(u, &u->lane[i]);
    for (int64_t i = 0; u->gathered && i < u->spec.lanes; i++)
        host_free(u->root, u->gathered[i].outer.at);
    host_free(u->root, u->lane);
    host_free(u->root, u->gathered);
    host_free(u->root, u->gram);
    host_free(u->root, u->dead);
    host_free(u->root, u->zeros.at);
    host_free(u->root, u);
}

/* Cleared memory, counted. */
static pudle_status take(pudle_unroll *u, void *to, int64_t count, size_t width)
{
    void *at = NULL;
    const size_t bytes = (size_t)count * width;
    const pudle_status s = host_alloc(u->root, bytes, &at);
    if (s)
        return s;
    memset(at, 0, bytes);
    memcpy(to, &at, sizeof at);
    __atomic_fetch_add(&u->held, bytes, __ATOMIC_RELAXED);
    return PUDLE_OK;
}

/* The workspace of the thread that an exec stands for, made when it is first used. */
static pudle_status lane_of(pudle_unroll *u, const pudle_exec *exec, lane **out)
{
    lane *l = *out = &u->lane[exec == u->root ? u->root->threads : exec - u->root->lane];
    if (l->slot)
        return PUDLE_OK;
    const int64_t rows = u->spec.rows, p = u->spec.atoms, slots = u->spec.depth + 3;
    const size_t w = width_of(u);
    pudle_status s = take(u, &l->slot, slots, sizeof *l->slot);
    if (!s)
        s = take(u, &l->base, rows * u->ld, w);
    if (!s)
        s = take(u, &l->target, rows * u->spec.features, w);
    if (!s)
        s = take(u, &l->v, u->ld, w);
    if (!s)
        s = take(u, &l->coef, u->ld, w);
    if (!s)
        s = take(u, &l->number, p, sizeof *l->number);
    if (!s)
        s = take(u, &l->seen, p, sizeof *l->seen);
    for (int64_t i = 0; i < slots && !s; i++)
        s = take(u, &l->slot[i].start, rows + 1, sizeof(int64_t));
    return s;
}

/* Is the Hessian of the inner loss the identity, so that its gradient is D z - x? Asked of the loss itself. */
static bool identity_hessian(pudle_exec *exec, const pudle_instance *inner, int32_t dtype)
{
    enum { N = 32 };
    const uint64_t needed = PUDLE_LOSS_QUADRATIC | PUDLE_LOSS_SEPARABLE;
    double probe[2][N], zeros[N] = { 0 }, gaps[N];
    if ((inner->desc->caps & needed) != needed)
        return false;
    for (int i = 0; i < N; i++) {
        const double value = (i % 2 ? 1 : -1) * (0.375 + 0.0625 * i);
        if (dtype == PUDLE_F64)
            probe[0][i] = value;
        else
            ((float *)probe[0])[i] = (float)value;
        if (dtype == PUDLE_F64) /* a loss that passes over gaps in the data is not plain least squares */
            gaps[i] = i % 3 ? value : NAN;
        else
            ((float *)gaps)[i] = i % 3 ? (float)value : NAN;
    }
    const pudle_cview pred = vector_of(zeros, dtype, N), x = vector_of(gaps, dtype, N), v = vector_of(probe[0], dtype, N);
    const pudle_view h = matrix_of(probe[1], dtype, 1, N, N);
    return !host_loss_hvp(exec, inner, &pred, &x, &v, &h) && !memcmp(probe[0], probe[1], N * pudle_dtype_size(dtype));
}

/* Half-width of the dead zone at layer t for an atom; rounded down to what the dtype holds. */
static double dead_zone(const pudle_unroll *u, int64_t t, int64_t atom)
{
    const pudle_prox_ops *ops = u->spec.prox.desc->ops;
    double level[UNROLL_LEVELS] = { 0 };
    for (int i = 0; i < u->spec.levels; i++) {
        const pudle_cview *all = &u->spec.theta[i];
        level[i] = pudle_entry(all, (t - 1) * all->shape[1] + (all->shape[1] > 1 ? atom : 0));
    }
    return ops->dead_zone(u->spec.prox.self, u->spec.step[t - 1], level);
}

static float round_down(double x)
{
    const float f = (float)x;
    return (double)f > x ? nextafterf(f, -1) : f;
}

static void find_dead_zones(pudle_unroll *u)
{
    const int64_t cols = u->dead_along ? u->spec.atoms : 1, stride = u->dead_along ? u->ld : 1;
    for (int64_t t = 1; t <= u->spec.layers; t++)
        for (int64_t k = 0; k < cols; k++) {
            const double d = dead_zone(u, t, k), half = d > 0 ? d : 0;
            if (u->spec.dtype == PUDLE_F64)
                ((double *)u->dead)[(t - 1) * stride + k] = half;
            else
                ((float *)u->dead)[(t - 1) * stride + k] = round_down(half);
        }
}

static pudle_status cpu_unroll_create(pudle_exec *exec, const pudle_unroll_spec *spec, pudle_unroll **out)
{
    const pudle_prox_ops *ops = spec->prox.desc->ops;
    bool along = false;
    for (int i = 0; i < spec->levels; i++)
        along = along || spec->theta[i].shape[1] > 1;
    /* a stand-in derivative may be nonzero where the value is 0: such entries are not on this tape */
    if ((spec->prox.desc->caps & (PUDLE_PROX_SEPARABLE | PUDLE_PROX_SURROGATE)) != PUDLE_PROX_SEPARABLE || !ops->dead_zone || spec->levels > UNROLL_LEVELS || spec->atoms > INT32_MAX / 2 ||
        !identity_hessian(exec, &spec->inner, spec->dtype))
        return PUDLE_ERR_UNSUPPORTED;
    void *memory = NULL;
    pudle_status s = host_alloc(exec, sizeof(pudle_unroll), &memory);
    if (s)
        return s;
    pudle_unroll *u = memory;
    *u = (pudle_unroll){ .root = exec, .spec = *spec, .ld = padded(spec->atoms), .dead_along = along, .held = sizeof *u };
    s = take(u, &u->gram, u->spec.atoms * u->ld, width_of(u));
    if (!s)
        s = take(u, &u->dead, spec->layers * (along ? u->ld : 1), width_of(u));
    if (!s)
        s = take(u, &u->lane, exec->threads + 1, sizeof *u->lane);
    if (!s)
        s = take(u, &u->gathered, spec->lanes, sizeof *u->gathered);
    if (s)
        cpu_unroll_destroy(u);
    else
        *out = u;
    return s;
}

/* Block (i, j) of G, j >= i, and its mirror image. */
typedef struct gram_work {
    pudle_unroll *u;
    int64_t blocks;
    pudle_status status;
} gram_work;

static void gram_block(void *ctx, int64_t part)
{
    gram_work *g = ctx;
    pudle_unroll *u = g->u;
    int64_t i = 0;
    for (int64_t row = g->blocks; part >= row; part -= row--)
        i++;
    const int64_t j = i + part, p = u->spec.atoms, at = i * GRAM_BLOCK, to = j * GRAM_BLOCK;
    const int64_t rows = p - at < GRAM_BLOCK ? p - at : GRAM_BLOCK, cols = p - to < GRAM_BLOCK ? p - to : GRAM_BLOCK;
    const size_t w = width_of(u);
    const pudle_cview *d = &u->spec.dictionary;
    const pudle_view a = matrix_of((const char *)d->data + (size_t)at * w, d->dtype, u->spec.features, rows, d->stride[0]);
    const pudle_view b = matrix_of((const char *)d->data + (size_t)to * w, d->dtype, u->spec.features, cols, d->stride[0]);
    const pudle_view c = matrix_of((const char *)u->gram + (size_t)(at * u->ld + to) * w, d->dtype, rows, cols, u->ld);
    const pudle_cview ca = pudle_const(&a), cb = pudle_const(&b);
    pudle_exec alone = { .host = u->root->host, .threads = 1, .lane = NULL };
    const pudle_status s = cpu_gemm(&alone, true, false, 1.0, &ca, &cb, 0.0, &c);
    if (s) {
        __atomic_store_n(&g->status, s, __ATOMIC_RELAXED);
        return;
    }
    for (int64_t y = 0; y < rows && j > i; y++)
        for (int64_t x = 0; x < cols; x++) {
            if (u->spec.dtype == PUDLE_F64)
                ((double *)u->gram)[(to + x) * u->ld + at + y] = ((double *)u->gram)[(at + y) * u->ld + to + x];
            else
                ((float *)u->gram)[(to + x) * u->ld + at + y] = ((float *)u->gram)[(at + y) * u->ld + to + x];
        }
}

static pudle_status cpu_unroll_refresh(pudle_unroll *u, int64_t samples)
{
    gram_work g = { u, (u->spec.atoms + GRAM_BLOCK - 1) / GRAM_BLOCK, PUDLE_OK };
    cpu_parts(u->root, g.blocks * (g.blocks + 1) / 2, gram_block, &g);
    u->samples = samples;
    find_dead_zones(u);
    for (int64_t i = 0; i < u->spec.lanes; i++)
        u->gathered[i].used = false;
    const size_t zeros = (size_t)(u->spec.rows * u->spec.features) * width_of(u), old = u->zeros.bytes;
    pudle_status s = g.status ? g.status : want(u, &u->zeros, zeros);
    if (!s && old < zeros)
        memset(u->zeros.at, 0, zeros);
    return s;
}

/* The inner gradient at D z = 0, and c = -D' of it. */
static pudle_status correlate(pudle_unroll *u, pudle_exec *exec, lane *l, const pudle_cview *x)
{
    const int64_t rows = x->shape[0], m = u->spec.features;
    const int32_t t = u->spec.dtype;
    const pudle_view pred = matrix_of(u->zeros.at, t, rows, m, m), target = matrix_of(l->target, t, rows, m, m);
    const pudle_view base = matrix_of(l->base, t, rows, u->spec.atoms, u->ld);
    const pudle_cview cp = pudle_const(&pred), ct = pudle_const(&target);
    const pudle_status s = host_loss_grad(exec, &u->spec.inner, &cp, x, &target);
    return s ? s : cpu_gemm(exec, false, false, -1.0, &ct, &u->spec.dictionary, 0.0, &base);
}

static pudle_status cpu_unroll_forward(pudle_unroll *u, pudle_exec *exec, int64_t index, const pudle_cview *x, bool tape, const pudle_view *z)
{
    lane *l = NULL;
    pudle_status s = lane_of(u, exec, &l);
    (void)index;
    if (!s)
        s = correlate(u, exec, l, x);
    if (s)
        return s;
    l->rows = x->shape[0];
    return u->spec.dtype == PUDLE_F64 ? forward_f64(u, exec, l, l->rows, tape, z) : forward_f32(u, exec, l, l->rows, tape, z);
}

static pudle_status cpu_unroll_adjoint(pudle_unroll *u, pudle_exec *exec, int64_t index, const pudle_view *adjoint, const pudle_view *gradient,
                                const pudle_view *gtheta)
{
    lane *l = NULL;
    pudle_status s = lane_of(u, exec, &l);
    if (s)
        return s;
    gathered *g = &u->gathered[index];
    const int64_t rows = l->rows, m = u->spec.features;
    const size_t bytes = (size_t)(rows * u->ld) * width_of(u);
    s = want(u, &l->sums, bytes);
    if (s)
        return s;
    memset(l->sums.at, 0, bytes);
    for (int64_t from = 0; from < rows && !s; from += BACK_ROWS) {
        const int64_t to = from + BACK_ROWS < rows ? from + BACK_ROWS : rows;
        s = u->spec.dtype == PUDLE_F64 ? back_rows_f64(u, exec, l, g, from, to, adjoint, l->sums.at, gradient, gtheta)
                                       : back_rows_f32(u, exec, l, g, from, to, adjoint, l->sums.at, gradient, gtheta);
    }
    const pudle_view target = matrix_of(l->target, u->spec.dtype, rows, m, m), sums = matrix_of(l->sums.at, u->spec.dtype, rows, u->spec.atoms, u->ld);
    const pudle_cview ct = pudle_const(&target), cs = pudle_const(&sums);
    return s ? s : cpu_gemm(exec, true, false, -1.0, &ct, &cs, 1.0, gradient);
}

/* Entries of `sum`: the lanes' outer products, added in lane order, with their mirror images. A tile at a time, because one of the
 * two goes down columns. */
typedef struct mirror_work {
    pudle_unroll *u;
    void *sum;
    int64_t tiles;
} mirror_work;

enum { MIRROR_TILE = 64 };

static void mirror_tile(void *ctx, int64_t part)
{
    const mirror_work *w = ctx;
    const pudle_unroll *u = w->u;
    const int64_t p = u->spec.atoms, top = part / w->tiles * MIRROR_TILE, left = part % w->tiles * MIRROR_TILE;
    const int64_t bottom = top + MIRROR_TILE < p ? top + MIRROR_TILE : p, right = left + MIRROR_TILE < p ? left + MIRROR_TILE : p;
    for (int64_t i = top; i < bottom; i++)
        for (int64_t k = left; k < right; k++) {
            double both = 0;
            for (int64_t l = 0; l < u->spec.lanes; l++) {
                if (!u->gathered[l].used)
                    continue;
                const pudle_cview outer = { .data = u->gathered[l].outer.at, .dtype = u->spec.dtype };
                both += pudle_entry(&outer, i * u->ld + k) + pudle_entry(&outer, k * u->ld + i);
            }
            if (u->spec.dtype == PUDLE_F64)
                ((double *)w->sum)[i * u->ld + k] = both;
            else
                ((float *)w->sum)[i * u->ld + k] = (float)both;
        }
}

static pudle_status cpu_unroll_finish(pudle_unroll *u, double scale, const pudle_view *gradient)
{
    bool used = false;
    for (int64_t l = 0; l < u->spec.lanes; l++)
        used = used || u->gathered[l].used;
    if (!used)
        return PUDLE_OK;
    void *sum = NULL;
    const pudle_status s = host_alloc(u->root, (size_t)(u->spec.atoms * u->ld) * width_of(u), &sum);
    if (s)
        return s;
    mirror_work w = { u, sum, (u->spec.atoms + MIRROR_TILE - 1) / MIRROR_TILE };
    cpu_share(u->root, w.tiles * w.tiles, (double)u->spec.atoms * (double)u->spec.atoms, mirror_tile, &w);
    const pudle_view v = matrix_of(sum, u->spec.dtype, u->spec.atoms, u->spec.atoms, u->ld);
    const pudle_cview cv = pudle_const(&v);
    const pudle_status done = cpu_gemm(u->root, false, false, -scale, &u->spec.dictionary, &cv, 1.0, gradient);
    host_free(u->root, sum);
    return done;
}

static size_t cpu_unroll_bytes(const pudle_unroll *u)
{
    return u->held;
}

const pudle_unroll_ops cpu_unroll_ops = {
    .size = sizeof(pudle_unroll_ops),
    .create = cpu_unroll_create,
    .destroy = cpu_unroll_destroy,
    .refresh = cpu_unroll_refresh,
    .forward = cpu_unroll_forward,
    .adjoint = cpu_unroll_adjoint,
    .finish = cpu_unroll_finish,
    .bytes = cpu_unroll_bytes,
};
