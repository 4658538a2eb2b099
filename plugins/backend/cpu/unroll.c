/* All layers of the encoder and their adjoint at once (pudle/unroll.h), for least squares inside and separable operators that have
 * a dead zone. What is used, none of it changing the result:
 *
 * - Codes are sparse: D z is a sum of few atoms, the prox is asked only for entries outside its dead zone, and the tape keeps
 *   those entries, (index, z, v).
 * - Correlations D'(x - D z) of all atoms are the dear part of a layer. Either the Gram matrix G = D'D serves all layers, and
 *   G z is a sum of few rows of it; or, where G costs more than it saves (a batch of few samples), rows wait for their
 *   correlations and get them together, by one product with D.
 * - Most layers need no correlations but those of few atoms ("stretches" and "few", below).
 * - The adjoint is masked by the same supports, so a sample's way back is arithmetic on the few atoms that it used. The 2 K outer
 *   products of a sample, sum over t of step ((D z - x) u' + (D u) z'), are D (P + P') - x w' with P = sum step z u' and
 *   w = sum step u; or, for few samples, they stay what they are, dense rows times sparse ones ("shares"), and the gradient is
 *   one product of a sparse matrix with a dense one.
 *
 * Stretches. Let a and b be the last two points at which a row's correlations with all atoms were evaluated, r_a and r_b its
 * residuals there. For a later residual r and any h, |d_j' r| <= |d_j'(r_b + h (r_b - r_a))| + ||d_j|| ||r - r_b - h (r_b - r_a)||.
 * The first term is known for all j, and convex in h: with its larger value at two places it is bounded in between. Iterates run nearly along a line, so the second term is small. Atoms for which the sum stays below the dead zone
 * (over the step) stay zero for sure. The row goes on with the others alone, by a small Gram matrix of their own, and checks
 * the bound at every layer, for which it has all it needs; where it fails, the first term is taken nearer to where the residual is; and
 * when that fails as well, the row gets its correlations evaluated again.
 * This is safe screening, for the layers of a network in place of the solution of a problem.
 *
 * Few. A stretch's small Gram matrix wants few atoms and many layers. Without the large one, a row has its residual at hand, and with it h and the
 * second term as they are now. So a single layer can do with the correlations of those atoms that are not surely in the dead zone, as
 * products of their own: where codes are not sparse yet, every other evaluation or two of three are saved. How the second term grew tells
 * whether a stretch would last. A row does such layers by itself as well, one after the other: the rows of D' that it needs are in the
 * second-level cache from the layer before.
 *
 * Momentum. Where layers begin at y_t = (1 + b_t) z_t - b_t z_{t-1}, y takes the place of z in all of this: residuals, evaluations, bounds and outer products
 * are y's. A sample's list, on which z and y lie side by side, has the entries of z_t and z_{t-1}: an atom that leaves the code stays a layer longer, at 0. So the
 * way back has on the same lists all that it needs of the two adjoints, of z_t and of y_t.
 *
 * Coarse. Where a processor multiplies bytes, an evaluation between others is one in bytes, at a quarter of the price, with a margin that no correlation is
 * further off than (unroll_coarse.h). All of the above holds with the margins taken from the dead zone; what is computed with, the correlations of
 * atoms that can be other than 0, is found exactly. */
#include "cpu.h"
#include "transpose.h"
#include "unroll_gram.h"
#include "unroll_parts.h"
#include "unroll.h"
#include "wide_bytes.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of a vector. unroll_wide.c makes all of this once more. */
#ifndef UNROLL_VECTOR
#define UNROLL_VECTOR 32
#define UNROLL_OPS cpu_unroll_dense_ops
#endif

#include "unroll_state.h"

/* ------------------------------------------------------------ views and products */

static pudle_view view_of(void *data, int32_t dtype, int64_t count)
{
    return (pudle_view){ .data = data, .dtype = dtype, .rank = 2, .shape = { 1, count }, .stride = { count, 1 } };
}

/* C (rows, cols) <- a A (rows, inner) B (inner, cols) + b C, by row strides lda, ldb, ldc. */
static pudle_status product(pudle_unroll *u, pudle_exec *exec, double a, const void *A, int64_t rows, int64_t inner, int64_t lda, const void *B,
                            int64_t cols, int64_t ldb, double b, void *C, int64_t ldc)
{
    const int32_t t = u->spec.dtype;
    const pudle_view va = parts_strided(A, t, rows, inner, lda), vb = parts_strided(B, t, inner, cols, ldb), vc = parts_strided(C, t, rows, cols, ldc);
    const pudle_cview ca = pudle_const(&va), cb = pudle_const(&vb);
    return cpu_gemm(exec, false, false, a, &ca, &cb, b, &vc);
}

typedef struct columns_work {
    pudle_unroll *u;
    double a;
    const void *A;
    int64_t rows, lda;
    void *C;
    pudle_status status;
} columns_work;

static void columns_part(void *ctx, int64_t part)
{
    columns_work *w = ctx;
    pudle_unroll *u = w->u;
    const int64_t first = part * EVALUATE_COLUMNS, left = u->spec.atoms - first;
    const size_t width = width_of(u);
    pudle_exec alone = cpu_alone(u->root);
    const pudle_status s = product(u, &alone, w->a, w->A, w->rows, u->spec.features, w->lda, (const char *)u->spec.dictionary.data + (size_t)first * width,
                                   left < EVALUATE_COLUMNS ? left : EVALUATE_COLUMNS, u->spec.dictionary.stride[0], 0.0,
                                   (char *)w->C + (size_t)first * width, u->ld);
    if (s)
        __atomic_store_n(&w->status, s, __ATOMIC_RELAXED);
}

/* C (rows, ld) <- a A D, some atoms at a time, for a batch that has but few rows to share out. */
static pudle_status product_by_columns(pudle_unroll *u, pudle_exec *exec, double a, const void *A, int64_t rows, int64_t lda, void *C)
{
    columns_work w = { u, a, A, rows, lda, C, PUDLE_OK };
    cpu_parts(exec, parts_of(u->spec.atoms, EVALUATE_COLUMNS), columns_part, &w);
    return w.status;
}

/* Products of the rows' bytes with those of some atoms. */
static void bytes_part(void *ctx, int64_t part)
{
    const round_work *w = ctx;
    const pudle_unroll *u = w->u;
    const int64_t first = part * EVALUATE_COLUMNS, atoms = lesser(u->ld - first, EVALUATE_COLUMNS);
    bytes_product(w->count - w->exact, atoms / BYTES_PANEL, u->ldm / BYTES_GROUP, w->l->rows_in_bytes.at, u->ldm,
                  (const uint8_t *)u->bytes.at + first * u->ldm, (int32_t *)w->l->products.at + first, u->ld);
}

/* The entries that have their bit set, 16 to a mask, `count` from `first` on: a list, which is written up to 16 entries at a time, within as many as
 * were looked at. */
static int64_t list_marked(const uint16_t *mask, int32_t first, int64_t count, int32_t *list)
{
    int64_t found = 0;
    for (int64_t from = 0; from < count; from += 16) {
        uint32_t left = mask[from / 16];
        if (count - from < 16)
            left &= (1u << (count - from)) - 1;
#if UNROLL_VECTOR == 64
        const __m512i number = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
        PRESS_WHOLE_f32(left, _mm512_add_epi32(number, _mm512_set1_epi32(first + (int32_t)from)), list + found);
        found += __builtin_popcount(left);
#else
        for (; left; left &= left - 1)
            list[found++] = first + (int32_t)from + __builtin_ctz(left);
#endif
    }
    return found;
}

/* ------------------------------------------------------------ gradients of levels */

/* Where a prox sums the gradients of its levels over `count` entries: the level's own place, or, one an atom, a place for each
 * entry, which scatter_sums then adds up. */
static pudle_status level_sums(pudle_unroll *u, sample *r, int64_t t, int64_t count, const pudle_view *gtheta, pudle_view *sums)
{
    for (int i = 0; i < u->spec.levels; i++) {
        const int64_t cols = gtheta[i].shape[1];
        double *at = (double *)gtheta[i].data + (t - 1) * cols;
        if (cols > 1) {
            const pudle_status s = want(u, &r->level_sum[i], (size_t)(count + 1) * sizeof(double));
            if (s)
                return s;
            at = r->level_sum[i].at;
            memset(at, 0, (size_t)count * sizeof *at);
        }
        sums[i] = (pudle_view){ .data = at, .dtype = PUDLE_F64, .rank = 1, .shape = { cols > 1 ? count : 1 }, .stride = { 1 } };
    }
    return PUDLE_OK;
}

static void scatter_sums(const pudle_unroll *u, sample *r, int64_t t, const int32_t *index, int64_t count, const pudle_view *gtheta)
{
    for (int i = 0; i < u->spec.levels; i++) {
        const int64_t cols = gtheta[i].shape[1];
        double *to = (double *)gtheta[i].data + (t - 1) * cols;
        for (int64_t k = 0; cols > 1 && k < count; k++)
            to[index[k]] += ((const double *)r->level_sum[i].at)[k];
    }
}

/* The lane's outer products, cleared on first use in a batch. */
static pudle_status outer_room(pudle_unroll *u, gram_outer *g)
{
    const size_t bytes = (size_t)(u->spec.atoms * u->ld) * width_of(u);
    if (g->used)
        return PUDLE_OK;
    const pudle_status s = want(u, &g->memory, bytes);
    if (!s)
        memset(g->memory.at, 0, bytes);
    g->used = !s;
    return s;
}

/* Places for what is gathered by way of G: the lane's outer products, and the sums of the block's rows. */
static pudle_status sums_room(pudle_unroll *u, back_work *w)
{
    const size_t bytes = (size_t)(w->l->rows * u->ld) * width_of(u);
    if (w->sums)
        return PUDLE_OK;
    pudle_status s = want(u, &w->l->sums, bytes);
    if (!s)
        s = outer_room(u, w->g);
    if (s)
        return s;
    memset(w->l->sums.at, 0, bytes);
    w->sums = w->l->sums.at;
    return PUDLE_OK;
}

#define REAL float
#define WHOLE int32_t /* of as many bits */
#define NAME(x) x##_f32
static const double NAME(epsilon) = FLT_EPSILON, NAME(least) = FLT_MIN;
#include "unroll_kernels.h"
#include "unroll_layer.h"
#include "unroll_stretch.h"
#include "unroll_coarse.h"
#include "unroll_forward.h"
#include "unroll_shares.h"
#include "unroll_back.h"
#undef REAL
#undef WHOLE
#undef NAME
#define REAL double
#define WHOLE int64_t /* of as many bits */
#define NAME(x) x##_f64
static const double NAME(epsilon) = DBL_EPSILON, NAME(least) = DBL_MIN;
#include "unroll_kernels.h"
#include "unroll_layer.h"
#include "unroll_stretch.h"
#include "unroll_coarse.h"
#include "unroll_forward.h"
#include "unroll_shares.h"
#include "unroll_back.h"
#undef REAL
#undef WHOLE
#undef NAME

/* ------------------------------------------------------------ life */

static void row_free(pudle_unroll *u, sample *r)
{
    buffer *const buffers[] = { &r->ints, &r->reals, &r->pieces, &r->shares, &r->trail, &r->atoms, &r->active, &r->four };
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        host_free(u->root, buffers[i]->at);
    for (int i = 0; i < PARTS_LEVELS; i++) {
        host_free(u->root, r->levels[i].at);
        host_free(u->root, r->level_sum[i].at);
    }
    host_free(u->root, r->memory);
}

static void lane_free(pudle_unroll *u, lane *l)
{
    buffer *const buffers[] = { &l->rows_in_bytes, &l->products, &l->dense, &l->full[0], &l->full[1], &l->full[2], &l->full[3], &l->sums,
                                &l->start, &l->weights, &l->dense_rows, &l->coefs, &l->is_dense, &l->entries };
    void *const plain[] = { l->base, l->corr, l->target, l->residual, l->pending };
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        host_free(u->root, buffers[i]->at);
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        host_free(u->root, plain[i]);
    for (int64_t i = 0; l->row && i < u->spec.rows; i++)
        row_free(u, &l->row[i]);
    host_free(u->root, l->row);
}

static void cpu_unroll_destroy(pudle_unroll *u)
{
    int64_t exact = 0, coarse = 0;
    if (!u)
        return;
    for (int64_t i = 0; u->lane && i <= u->root->threads; i++) {
        exact += u->lane[i].exact;
        coarse += u->lane[i].coarse;
        lane_free(u, &u->lane[i]);
    }
    if (coarse)
        u->root->host->log(u->root->host->ctx, PUDLE_LOG_DEBUG, "unroll: correlations of all atoms for %" PRId64 " rows exactly, for %" PRId64 " in bytes",
                           exact, coarse);
    for (int64_t i = 0; u->gathered && i < u->spec.lanes; i++)
        host_free(u->root, u->gathered[i].memory.at);
    void *const plain[] = { u->lane, u->gathered, u->gram_memory.at, u->atoms, u->dead, u->quiet, u->norms, u->bytes.at, u->unit.at, u->off };
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        host_free(u->root, plain[i]);
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

/* The fixed arrays of a row, in one piece of memory. */
static pudle_status row_make(pudle_unroll *u, sample *r, int64_t number)
{
    const int64_t ld = u->ld;
    void **const reals[] = { &r->z, &r->value, &r->v, &r->u, &r->coef, &r->ref[0].z, &r->ref[0].corr, &r->ref[1].z, &r->ref[1].corr,
                             &r->y, &r->before, &r->w }; /* the last ones with momentum only */
    int32_t **const ints[] = { &r->index, &r->ref[0].index, &r->ref[1].index, &r->list, &r->mark };
    const size_t nreals = sizeof reals / sizeof *reals - (u->spec.momentum ? 0 : 3), nints = sizeof ints / sizeof *ints;
    const size_t residual = (size_t)u->ldm * width_of(u);
    const pudle_status s = take(u, &r->memory, 1, (size_t)ld * (nreals * width_of(u) + (nints + 3) * sizeof(int32_t)) + 4 * residual + (size_t)u->ldm);
    if (s)
        return s;
    char *at = r->memory;
    for (int i = 0; i < 2; i++, at += residual)
        r->ref[i].residual = at;
    r->residual = at;
    r->rest = at + residual;
    at += 2 * residual;
    for (size_t i = 0; i < nreals; i++, at += (size_t)ld * width_of(u))
        *reals[i] = at;
    if (!u->spec.momentum)
        r->y = r->z;
    for (size_t i = 0; i < nints; i++, at += (size_t)ld * sizeof(int32_t))
        *ints[i] = (int32_t *)(void *)at;
    r->fresh = (int32_t *)(void *)at;
    r->bytes = (int8_t *)(r->fresh + 3 * ld);
    for (int64_t j = 0; j < ld; j++)
        r->mark[j] = -1;
    r->number = number;
    return PUDLE_OK;
}

/* The workspace of the thread that an exec stands for, made when it is first used. */
static pudle_status lane_of(pudle_unroll *u, const pudle_exec *exec, lane **out)
{
    lane *l = *out = &u->lane[exec == u->root ? u->root->threads : exec - u->root->lane];
    if (l->ready)
        return PUDLE_OK;
    lane_free(u, l); /* what an attempt without enough memory has left */
    *l = (lane){ .ready = false };
    const int64_t rows = u->spec.rows;
    const size_t w = width_of(u);
    pudle_status s = take(u, &l->base, rows * u->ld, w);
    if (!s)
        s = take(u, &l->corr, rows * u->ld, w);
    if (!s)
        s = take(u, &l->target, rows * u->ldm, w);
    if (!s)
        s = take(u, &l->residual, rows * u->ldm, w);
    if (!s)
        s = take(u, &l->pending, rows, sizeof *l->pending);
    if (!s)
        s = take(u, &l->row, rows, sizeof *l->row);
    for (int64_t i = 0; i < rows && !s; i++) {
        s = row_make(u, &l->row[i], i);
        l->row[i].target = (const char *)l->target + (size_t)(i * u->ldm) * w;
    }
    l->ready = !s;
    return s;
}

static void find_dead_zones(pudle_unroll *u)
{
    const int64_t cols = u->dead_along ? u->spec.atoms : 1, stride = u->dead_along ? u->ld : 1;
    for (int64_t t = 1; t <= u->spec.layers; t++) {
        double least = INFINITY;
        for (int64_t k = 0; k < cols; k++) {
            const double half = parts_dead_zone(&u->spec, t, k);
            least = half < least ? half : least;
            if (u->spec.dtype == PUDLE_F64)
                ((double *)u->dead)[(t - 1) * stride + k] = half;
            else
                ((float *)u->dead)[(t - 1) * stride + k] = (float)half;
        }
        u->quiet[t - 1] = u->spec.step[t - 1] > 0 ? least / u->spec.step[t - 1] : 0;
    }
}

static pudle_status cpu_unroll_create(pudle_exec *exec, const pudle_unroll_spec *spec, pudle_unroll **out)
{
    const pudle_prox_ops *ops = spec->prox.desc->ops;
    bool along = false;
    for (int i = 0; i < spec->levels; i++)
        along = along || spec->theta[i].shape[1] > 1;
    if (!parts_sparse_prox(spec) || spec->atoms > INT32_MAX / 4 || !host_identity_hessian(exec, &spec->inner, spec->dtype))
        return PUDLE_ERR_UNSUPPORTED;
    void *memory = NULL;
    pudle_status s = host_alloc(exec, sizeof(pudle_unroll), &memory);
    if (s)
        return s;
    pudle_unroll *u = memory;
    *u = (pudle_unroll){ .root = exec, .spec = *spec, .kernel = ops->kernels[0], .needs = ops->vjp_needs,
                         .keeps_input = (ops->vjp_needs & PUDLE_VJP_INPUT) != 0, .ld = padded(spec->atoms), .ldm = padded(spec->features),
                         .dead_along = along, .held = sizeof *u };
    u->arrays = 1 + u->keeps_input + (spec->momentum != NULL);
    if (u->ldm / UNROLL_PAD % 2 == 0) /* rows of a power of two would fall on each other in the cache */
        u->ldm += UNROLL_PAD;
    s = take(u, &u->atoms, spec->atoms * u->ldm, width_of(u));
    if (!s)
        s = take(u, &u->dead, spec->layers * (along ? u->ld : 1), width_of(u));
    if (!s)
        s = take(u, &u->quiet, spec->layers, sizeof *u->quiet);
    if (!s)
        s = take(u, &u->norms, spec->atoms, sizeof *u->norms);
    if (!s)
        s = take(u, &u->off, spec->atoms, sizeof *u->off);
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

/* Atoms [first, first + TURN_ATOMS) to rows, and their norms; and to bytes, where these may be asked for. */
static void atoms_part(void *ctx, int64_t part)
{
    pudle_unroll *u = ctx;
    enum { FEATURES = 64 };
    const int64_t first = part * TURN_ATOMS, here = lesser(u->spec.atoms - first, TURN_ATOMS), m = u->spec.features;
    const int64_t stride = u->spec.dictionary.stride[0];
    for (int64_t f = 0; f < m; f += FEATURES) {
        const int64_t wide = m - f < FEATURES ? m - f : FEATURES;
        if (u->spec.dtype == PUDLE_F64)
            cpu_transpose_f64((double *)u->atoms + first * u->ldm + f, u->ldm, (const double *)u->spec.dictionary.data + f * stride + first, stride, wide, here);
        else
            cpu_transpose_f32((float *)u->atoms + first * u->ldm + f, u->ldm, (const float *)u->spec.dictionary.data + f * stride + first, stride, wide, here);
    }
    for (int64_t j = first; j < first + here; j++) {
        const double sum = u->spec.dtype == PUDLE_F64 ? square_f64((double *)u->atoms + j * u->ldm, m) : square_f32((float *)u->atoms + j * u->ldm, m);
        u->norms[j] = sqrt(sum);
    }
    for (int64_t panel = first / BYTES_PANEL; u->coarse && panel * BYTES_PANEL < lesser(first + TURN_ATOMS, u->ld); panel++) {
        if (u->spec.dtype == PUDLE_F64)
            to_panel_f64(u, panel);
        else
            to_panel_f32(u, panel);
    }
}

/* The largest of `count` numbers >= 0; a NaN stays, and no bound holds with it. */
static double largest_of(const double *x, int64_t count)
{
    double most = 0;
    for (int64_t j = 0; j < count; j++)
        if (most == most && !(x[j] <= most))
            most = x[j];
    return most;
}

/* With coarse evaluations or without, and room for the atoms in bytes. */
static pudle_status choose_coarse(pudle_unroll *u, int64_t samples)
{
    u->coarse = !u->gram && UNROLL_VECTOR == 64 && bytes_here() && u->ldm <= BYTES_LONGEST && samples >= COARSE_LEAST && u->spec.layers >= COARSE_LEAST;
    if (!u->coarse)
        return PUDLE_OK;
    const pudle_status s = want(u, &u->bytes, (size_t)(u->ld * u->ldm));
    return s ? s : want(u, &u->unit, (size_t)u->ld * width_of(u));
}

/* With G or without, and the gradient by way of it or by shares. */
static pudle_status choose_ways(pudle_unroll *u, int64_t samples)
{
    const size_t bytes = (size_t)(u->spec.atoms * u->ld) * width_of(u);
    const bool gram = gram_pays(&u->spec, samples);
    u->keep = (double)u->spec.depth * (double)u->spec.rows * (double)u->ldm * (double)width_of(u) <= KEEP_BYTES;
    u->pairs = !gram_gradient_pays(&u->spec, samples);
    u->gram = NULL;
    if (!gram)
        return PUDLE_OK;
    const size_t old = u->gram_memory.bytes;
    const pudle_status s = want(u, &u->gram_memory, bytes);
    if (!s && old < bytes)
        memset(u->gram_memory.at, 0, bytes);
    u->gram = s ? NULL : u->gram_memory.at;
    return s;
}

static pudle_status cpu_unroll_refresh(pudle_unroll *u, int64_t samples)
{
    pudle_status s = choose_ways(u, samples);
    if (!s)
        s = choose_coarse(u, samples);
    if (s)
        return s;
    cpu_parts(u->root, parts_of(u->spec.atoms, TURN_ATOMS), atoms_part, u);
    u->longest = largest_of(u->norms, u->spec.atoms);
    u->coarse_off = u->coarse ? largest_of(u->off, u->spec.atoms) : 0;
    if (u->gram)
        s = gram_matrix(u->root, &u->spec.dictionary, u->ld, u->gram);
    find_dead_zones(u);
    for (int64_t i = 0; i < u->spec.lanes; i++)
        u->gathered[i].used = false;
    return s;
}

/* Rows (rows, m) without padding to rows of stride ldm. */
static void pad_rows(const pudle_unroll *u, void *to, const pudle_cview *from)
{
    const size_t w = width_of(u);
    for (int64_t i = 0; i < from->shape[0]; i++)
        memcpy((char *)to + (size_t)(i * u->ldm) * w, (const char *)from->data + (size_t)(i * from->stride[0]) * w, (size_t)u->spec.features * w);
}

/* The inner gradient at D z = 0, and where there is a Gram matrix c = -D' of it. */
static pudle_status correlate(pudle_unroll *u, pudle_exec *exec, lane *l, const pudle_cview *x)
{
    const int64_t rows = x->shape[0];
    const pudle_view target = parts_matrix(l->residual, u->spec.dtype, rows, u->spec.features);
    const pudle_cview ct = pudle_const(&target);
    const pudle_status s = parts_target(exec, &u->spec, x, l->residual);
    if (s)
        return s;
    pad_rows(u, l->target, &ct);
    return u->gram ? product_by_columns(u, exec, -1.0, l->target, rows, u->ldm, l->base) : PUDLE_OK;
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
    const size_t w = width_of(u);
    memset(l->residual, 0, (size_t)(u->spec.rows * u->ldm) * w); /* padding included: it was written across */
    s = u->spec.dtype == PUDLE_F64 ? forward_f64(u, exec, l, l->rows, tape) : forward_f32(u, exec, l, l->rows, tape);
    for (int64_t i = 0; i < l->rows && !s; i++) {
        const sample *r = &l->row[i];
        char *to = (char *)z->data + (size_t)(i * z->stride[0]) * w;
        memset(to, 0, (size_t)u->spec.atoms * w);
        for (int64_t k = 0; k < r->now; k++)
            memcpy(to + (size_t)r->index[k] * w, (const char *)r->z + (size_t)k * w, w);
    }
    return s;
}

typedef struct decode_work {
    pudle_unroll *u;
    lane *l;
    const pudle_view *estimate;
} decode_work;

static void decode_row(void *ctx, int64_t i)
{
    const decode_work *w = ctx;
    const pudle_unroll *u = w->u;
    sample *r = &w->l->row[i];
    const size_t bytes = width_of(u), stride = (size_t)(i * u->ldm) * bytes;
    char *sum = (char *)w->l->residual + stride;
    memset(sum, 0, (size_t)u->ldm * bytes);
    if (u->spec.dtype == PUDLE_F64)
        combine_f64((double *)(void *)sum, (double *)(void *)sum, u->atoms, u->ldm, u->ldm, r->now, r->index, r->z);
    else
        combine_f32((float *)(void *)sum, (float *)(void *)sum, u->atoms, u->ldm, u->ldm, r->now, r->index, r->z);
    memcpy((char *)w->estimate->data + (size_t)(i * w->estimate->stride[0]) * bytes, sum, (size_t)u->spec.features * bytes);
}

static pudle_status cpu_unroll_decode(pudle_unroll *u, pudle_exec *exec, int64_t index, const pudle_view *estimate)
{
    decode_work w = { u, NULL, estimate };
    const pudle_status s = lane_of(u, exec, &w.l);
    (void)index;
    if (!s)
        cpu_parts(exec, w.l->rows, decode_row, &w);
    return s;
}

/* gradient += residual' Z, for a block whose gradient is not made of shares. */
static pudle_status add_decoder(pudle_unroll *u, pudle_exec *exec, lane *l, const pudle_view *gradient)
{
    const int64_t rows = l->rows;
    const int32_t t = u->spec.dtype;
    const size_t w = width_of(u), bytes = (size_t)(rows * u->ld) * w;
    const pudle_status s = want(u, &l->dense, bytes);
    if (s)
        return s;
    memset(l->dense.at, 0, bytes);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < l->row[i].now; k++)
            memcpy((char *)l->dense.at + (size_t)(i * u->ld + l->row[i].index[k]) * w, (const char *)l->row[i].z + (size_t)k * w, w);
    const pudle_view residual = parts_strided(l->residual, t, rows, u->spec.features, u->ldm), z = parts_strided(l->dense.at, t, rows, u->spec.atoms, u->ld);
    const pudle_cview cr = pudle_const(&residual), cz = pudle_const(&z);
    return cpu_gemm(exec, true, false, 1.0, &cr, &cz, 1.0, gradient);
}

/* gradient -= target' sums: x w', with what was gathered by way of G. */
static pudle_status add_sums(pudle_unroll *u, pudle_exec *exec, const back_work *w, const pudle_view *gradient)
{
    const pudle_view target = parts_strided(w->l->target, u->spec.dtype, w->l->rows, u->spec.features, u->ldm);
    const pudle_view sums = parts_strided(w->sums, u->spec.dtype, w->l->rows, u->spec.atoms, u->ld);
    const pudle_cview ct = pudle_const(&target), cs = pudle_const(&sums);
    return cpu_gemm(exec, true, false, -1.0, &ct, &cs, 1.0, gradient);
}

static pudle_status cpu_unroll_adjoint(pudle_unroll *u, pudle_exec *exec, int64_t index, const pudle_cview *residual, const pudle_view *given,
                                       const pudle_view *gradient, const pudle_view *gtheta)
{
    lane *l = NULL;
    pudle_status s = lane_of(u, exec, &l);
    if (s)
        return s;
    back_work w = { .u = u, .exec = exec, .l = l, .g = &u->gathered[index], .given = given, .gtheta = gtheta };
    pad_rows(u, l->residual, residual);
    if (!u->pairs)
        s = sums_room(u, &w);
    if (!s)
        s = u->spec.dtype == PUDLE_F64 ? back_f64(&w, gradient) : back_f32(&w, gradient);
    if (!s)
        s = u->pairs ? PUDLE_OK : add_decoder(u, exec, l, gradient);
    return s || !w.sums ? s : add_sums(u, exec, &w, gradient);
}

static pudle_status cpu_unroll_finish(pudle_unroll *u, double scale, const pudle_view *gradient)
{
    return gram_gradient(u->root, &u->spec.dictionary, u->ld, u->gathered, u->spec.lanes, scale, gradient);
}

static size_t cpu_unroll_bytes(const pudle_unroll *u)
{
    return u->held;
}

const pudle_unroll_ops UNROLL_OPS = {
    .size = sizeof(pudle_unroll_ops),
    .create = cpu_unroll_create,
    .destroy = cpu_unroll_destroy,
    .refresh = cpu_unroll_refresh,
    .forward = cpu_unroll_forward,
    .decode = cpu_unroll_decode,
    .adjoint = cpu_unroll_adjoint,
    .finish = cpu_unroll_finish,
    .bytes = cpu_unroll_bytes,
};
