/* All layers of an encoder and their adjoint at once (pudle/unroll.h), for least squares inside and an elementwise prox. With
 * G = D'D and c = D'x a layer is
 *   v_t = z + step_t (c - G z),  z = prox_t(v_t),
 * and a layer of the adjoint u <- u - step G u. The outer products of all layers are
 *   sum over t of step ((D z - x) u' + (D u) z'),   and those with x are x w',   w = sum step u.
 * Dense: G is a matrix, so a layer is one product and one kernel; and the sum is D (P + P') - x w', P = sum step z u', with D
 * taken out once a batch (by lists, P + P' is gathered). Filters: G z is a convolution and its adjoint, the D z of the layers are on the tape, and the gradients of the
 * filters of many layers are one call. The tape keeps v_t; codes are had again from it.
 *
 * Lists (unroll_lists.h). A layer of a dense dictionary with many atoms is one launch: its G z is a sum of those rows of G that the code uses, or,
 * where codes are not sparse, of all. The tape has a bit for each entry, and v_t where something comes of it.
 *
 * Filters (unroll_filters.h). Convolutions are kernels of this backend, joined with what comes before and after; the tape then has x - D z. By cuDNN, as above,
 * under TF32 and when asked for.
 *
 * The launches of a block are recorded once for its shape and then replayed, so that a batch of one sample does not wait for
 * the host. What changes between batches (D, levels, steps, x) is read from memory whose place is fixed. The first block of a shape is
 * run without recording: the libraries load their kernels then, which they cannot do while a recording lasts. */
#include "cuda.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_ROWS = 512, GRAPHS = 12 };
static const double chunk_bytes = 2097152; /* of a stack of codes, for filters: layers of small batches in one call, and no more memory than a large one needs */
enum { FORWARD, FORWARD_TAPE, ADJOINT, ADJOINT_LEVELS };

/* Launches of one kind on one number of rows. */
typedef struct recording {
    int kind;
    int64_t rows;
    bool ready;          /* run once, and not yet recorded otherwise */
    int64_t moved;       /* workspace_moved when it was recorded */
    cuda_graph *graph;
} recording;

struct pudle_unroll {
    cuda_exec *e;
    pudle_unroll_spec spec;
    cuda_plugin *prox;
    cuda_kernel *layer, *back, *level_sums, *list_layer, *list_back, *filter_layer, *filter_back;
    int64_t slots, chunk;   /* of the tape; layers whose outer products are one product */
    int64_t level_cols[CUDA_LEVELS];
    pudle_conv conv;        /* atoms 0: dense */
    int64_t atoms, inner, weights; /* of a code: atoms, entries of each; entries of D */
    void *gram, *x, *c, *q, *z, *tape;      /* (p, p); (rows, m); (rows, p) three times; (slots, rows, p) */
    void *u, *up, *w, *us, *zs, *outer;     /* (rows, p) three times, w in the place of c; (chunk rows, p) twice; (p, p) or like D */
    void *stacks;           /* that us and zs lie in; NULL: they lie in the workspace of products */
    void *image, *images, *hs;              /* for filters: (rows, m); (depth, rows, m): D z_{t-1}, or x less that where `own`, the last layer first; (chunk rows, m) */
    double *step, *level_sum[CUDA_LEVELS], *partial; /* (T); (T, cols); for sums of levels */
    double *host_step;      /* what `step` holds; NULL: nothing yet */
    cuda_list list[2];      /* of the present code or adjoint, and the next; used in turn. NULL: there are none */
    uint32_t *u_bits, *z_bits; /* of us and zs: (words of 32 atoms, chunk rows) */
    cuda_tape kept;         /* of all slots, in place of tape: reserved for every entry, and used for those that something comes of */
    void *kept_v;           /* (rows, p), for the sums of levels */
    cuda_reserved reserved;
    bool lists, own;        /* layers go by lists; by kernels of unroll_filters.h */
    cuda_filters filters;   /* for these, as the next ones are */
    int *place[2];          /* which entry of D stands where in arranged: D for analysis, D for synthesis */
    void *arranged[2], *residual, *parts; /* (rows, m); (splits, like D) */
    recording recording[GRAPHS];
    int recordings, next;
    bool gathered, direct;  /* outer holds something; recording has failed: launch one by one */
    size_t held;
};

static size_t width_of(const pudle_unroll *u)
{
    return pudle_dtype_size(u->spec.dtype);
}

static pudle_view matrix(void *data, int32_t dtype, int64_t rows, int64_t cols)
{
    return (pudle_view){ .data = data, .dtype = dtype, .rank = 2, .shape = { rows, cols }, .stride = { cols, 1 } };
}

/* C <- a op(A) op(B) + b C for packed matrices of this unroll. */
static pudle_status product(const pudle_unroll *u, bool ta, bool tb, double a, const pudle_view *A, const pudle_view *B, double b, const pudle_view *C)
{
    const pudle_cview ca = pudle_const(A), cb = pudle_const(B);
    return cuda_gemm_run(&u->e->base, ta, tb, a, &ca, &cb, b, C);
}

static pudle_view dictionary(const pudle_unroll *u)
{
    const pudle_cview *d = &u->spec.dictionary;
    pudle_view v = matrix((void *)(uintptr_t)d->data, d->dtype, d->shape[0], d->shape[1]); /* of filters: not used */
    v.stride[0] = d->shape[0] > 1 ? d->stride[0] : d->shape[1];
    return v;
}

/* ---------------------------------------------------------------- operator */

static bool dense(const pudle_unroll *u)
{
    return u->conv.atoms == 0;
}

/* image = D z;  code = D' image + b code;  gradient += a image' code */
static pudle_status synthesis(const pudle_unroll *u, const pudle_cview *z, const pudle_view *image)
{
    const pudle_view d = dictionary(u);
    const pudle_cview cd = pudle_const(&d);
    return dense(u) ? cuda_gemm_run(&u->e->base, false, true, 1, z, &cd, 0, image)
                    : cuda_conv_apply(&u->e->base, &u->conv, &u->spec.dictionary, z, image);
}

static pudle_status analysis(const pudle_unroll *u, const pudle_cview *image, double b, const pudle_view *code)
{
    const pudle_view d = dictionary(u);
    const pudle_cview cd = pudle_const(&d);
    return dense(u) ? cuda_gemm_run(&u->e->base, false, false, 1, image, &cd, b, code)
                    : cuda_conv_adjoint(&u->e->base, &u->conv, &u->spec.dictionary, 1, image, b, code);
}

static pudle_status outer_product(const pudle_unroll *u, double a, const pudle_cview *image, const pudle_cview *code, const pudle_view *gradient)
{
    return dense(u) ? cuda_gemm_run(&u->e->base, true, false, a, image, code, 1, gradient)
                    : cuda_conv_gradient(&u->e->base, &u->conv, a, image, code, gradient);
}

static pudle_view codes(const pudle_unroll *u, void *data, int64_t rows)
{
    return matrix(data, u->spec.dtype, rows, u->spec.atoms);
}

static pudle_view pictures(const pudle_unroll *u, void *data, int64_t rows)
{
    return matrix(data, u->spec.dtype, rows, u->spec.features);
}

/* Where the gradient of the filters is gathered. */
static pudle_view own_gradient(const pudle_unroll *u)
{
    return (pudle_view){ .data = u->outer, .dtype = u->spec.dtype, .rank = 1, .shape = { u->weights }, .stride = { 1 } };
}

/* q <- D'D z; for filters D z goes by way of `image`. */
static pudle_status gram_of(const pudle_unroll *u, const pudle_view *z, const pudle_view *image, const pudle_view *q)
{
    const pudle_cview cz = pudle_const(z), ci = image ? pudle_const(image) : cz;
    if (dense(u)) {
        const pudle_view g = matrix(u->gram, u->spec.dtype, u->spec.atoms, u->spec.atoms);
        return product(u, false, false, 1, z, &g, 0, q);
    }
    const pudle_status s = synthesis(u, &cz, image);
    return s ? s : analysis(u, &ci, 0, q);
}

/* ------------------------------------------------------------------ layers */

static cuda_levels levels_at(const pudle_unroll *u, int64_t t)
{
    cuda_levels l = { { NULL }, { 0 } };
    for (int k = 0; k < u->spec.levels && t >= 1; k++) {
        l.theta[k] = (const char *)u->spec.theta[k].data + (size_t)((t - 1) * u->level_cols[k]) * width_of(u);
        l.step[k] = u->level_cols[k] > 1;
    }
    return l;
}

/* Which slot of the tape is layer t's; below 0: none. The last `slots` layers have one. */
static int64_t slot_of(const pudle_unroll *u, int64_t t)
{
    return t < 1 ? -1 : t - (u->spec.layers - u->slots) - 1;
}

/* The tape's place for v_t; NULL: not kept. */
static void *slot(const pudle_unroll *u, int64_t t, int64_t rows)
{
    const int64_t kept = slot_of(u, t);
    return kept < 0 ? NULL : (char *)u->tape + (size_t)(kept * rows * u->spec.atoms) * width_of(u);
}

/* The tape's place for D z_{t-1}, or for x - D z_{t-1} where `own`. */
static void *image_slot(const pudle_unroll *u, int64_t t, int64_t rows)
{
    const int64_t kept = u->spec.layers - t;
    return kept >= u->spec.depth ? NULL : (char *)u->images + (size_t)(kept * rows * u->spec.features) * width_of(u);
}

static cuda_code code_of(const pudle_unroll *u, int64_t rows)
{
    return (cuda_code){ u->atoms, u->inner, rows * u->spec.atoms };
}

/* A kernel of kernels.cu, for this precision. */
static cuda_kernel *own_kernel(const pudle_unroll *u, int which)
{
    return u->e->kernel[u->spec.dtype == PUDLE_F64][which];
}

/* Queue a kernel; with `synchronous`, under which nothing is recorded, wait for it, lest a later operation is blamed for its fault. */
static pudle_status start(pudle_unroll *u, cuda_kernel *kernel, int64_t blocks, void **arguments)
{
    const pudle_status s = cuda_start(u->e, "unroll", kernel, blocks, arguments);
    return s ? s : cuda_end(u->e, "unroll");
}

static pudle_status forward_layers(pudle_unroll *u, int64_t rows, bool tape)
{
    const pudle_view x = pictures(u, u->x, rows), c = codes(u, u->c, rows), z = codes(u, u->z, rows), q = codes(u, u->q, rows);
    const pudle_cview cx = pudle_const(&x);
    double options[CUDA_OPTIONS_ROOM];
    cuda_code code = code_of(u, rows);
    pudle_status s = analysis(u, &cx, 0, &c);
    for (int64_t t = 1; t <= u->spec.layers && !s; t++) {
        const double *step = u->step + t - 1;
        cuda_levels levels = levels_at(u, t);
        void *keep = tape ? slot(u, t, rows) : NULL, *gz = t > 1 ? u->q : NULL, *kept = tape && !dense(u) ? image_slot(u, t, rows) : NULL;
        const pudle_view image = pictures(u, kept ? kept : u->image, rows);
        if (t > 1)
            s = gram_of(u, &z, &image, &q);
        else if (kept)
            s = cuda_fill(&u->e->base, 0, &image);
        void *arguments[] = { cuda_options_of(&u->spec.prox, options), &step, &levels, &gz, &u->c, &u->z, &keep, &code };
        if (!s)
            s = start(u, u->layer, cuda_blocks(code.count), arguments);
    }
    return s;
}

/* Sums for the levels of layer t, over up and v_t, to their place in level_sum. */
static pudle_status level_layer(pudle_unroll *u, int64_t t, int64_t rows, cuda_levels *levels, void *options)
{
    cuda_code code = code_of(u, rows);
    long long chunks = cuda_chunks(&code);
    const int64_t each = code.atoms * chunks;
    const double *step = u->step + t - 1;
    double unused = 0; /* as wide as a step of either precision */
    void *v = u->lists ? u->kept_v : slot(u, t, rows);
    int kept = u->lists;
    void *arguments[] = { options, &unused, levels, &v, &u->up, &u->partial, &code, &chunks, &step, &kept };
    pudle_status s = start(u, u->level_sums, cuda_blocks(each), arguments);
    for (int k = 0; k < u->spec.levels && !s; k++) {
        const bool along = levels->step[k] != 0;
        s = cuda_add_sums(u->e, "unroll", u->partial + k * each, along ? code.atoms : 1, along ? chunks : each,
                          u->level_sum[k] + (t - 1) * u->level_cols[k]);
    }
    return s ? s : cuda_end(u->e, "unroll");
}

#include "unroll_lists.h"
#include "unroll_filters.h"

/* Layer t of the adjoint; `place` is its own in the stacks of the chunk. For filters D'D u is had of step u, whose D u the
 * gradient wants as well, right after the layer; for dense ones of u, right before. */
static pudle_status back_layer(pudle_unroll *u, int64_t t, int64_t rows, int64_t place, bool sums)
{
    const int64_t first = u->spec.layers - u->spec.depth + 1;
    const size_t at = (size_t)(place * rows) * width_of(u);
    double options[CUDA_OPTIONS_ROOM];
    cuda_code code = code_of(u, rows);
    cuda_levels levels = levels_at(u, t), before = levels_at(u, t - 1);
    const double *step = u->step + t - 1;
    void *v = slot(u, t, rows), *past = slot(u, t - 1, rows), *up = sums ? u->up : NULL;
    void *us = (char *)u->us + at * (size_t)u->spec.atoms, *zs = (char *)u->zs + at * (size_t)u->spec.atoms;
    void *gu = t < u->spec.layers ? u->q : NULL, *set = cuda_options_of(&u->spec.prox, options);
    int scaled = !dense(u);
    const pudle_view uv = codes(u, u->u, rows), q = codes(u, u->q, rows), su = codes(u, us, rows);
    pudle_status s = gu && dense(u) ? gram_of(u, &uv, NULL, &q) : PUDLE_OK;
    void *arguments[] = { set, &step, &levels, &before, &v, &past, &gu, &scaled, &u->u, &up, &us, &zs, &u->w, &code };
    if (!s)
        s = start(u, u->back, cuda_blocks(code.count), arguments);
    if (!s && sums)
        s = level_layer(u, t, rows, &levels, set);
    if (s || dense(u))
        return s;
    const pudle_view h = pictures(u, (char *)u->hs + at * (size_t)u->spec.features, rows);
    const pudle_cview cs = pudle_const(&su);
    return t > first ? gram_of(u, &su, &h, &q) : synthesis(u, &cs, &h);
}

/* The outer products of n layers, of which the last is t. */
static pudle_status gather(pudle_unroll *u, int64_t t, int64_t n, int64_t rows)
{
    const pudle_view us = codes(u, u->us, n * rows), zs = codes(u, u->zs, n * rows);
    const pudle_cview cu = pudle_const(&us), cz = pudle_const(&zs);
    if (dense(u)) {
        const pudle_view outer = matrix(u->outer, u->spec.dtype, u->spec.atoms, u->spec.atoms);
        return product(u, true, false, 1, &zs, &us, 1, &outer);
    }
    const pudle_view dz = pictures(u, image_slot(u, t, rows), n * rows), h = pictures(u, u->hs, n * rows), gradient = own_gradient(u);
    const pudle_cview cd = pudle_const(&dz), ch = pudle_const(&h);
    const pudle_status s = outer_product(u, -1, &cd, &cu, &gradient);
    return s ? s : outer_product(u, -1, &ch, &cz, &gradient);
}

static pudle_status adjoint_layers(pudle_unroll *u, int64_t rows, bool sums)
{
    const int64_t T = u->spec.layers, first = T - u->spec.depth + 1;
    const pudle_view w = codes(u, u->w, rows), gradient = own_gradient(u), x = pictures(u, u->x, rows);
    const pudle_cview cw = pudle_const(&w), cx = pudle_const(&x);
    pudle_status s = u->own ? PUDLE_OK : cuda_fill(&u->e->base, 0, &w);
    if (!s && !dense(u))
        s = cuda_fill(&u->e->base, 0, &gradient);
    for (int k = 0; k < u->spec.levels && sums && !s; k++) {
        const pudle_view all = matrix(u->level_sum[k], PUDLE_F64, T, u->level_cols[k]);
        s = cuda_fill(&u->e->base, 0, &all);
    }
    if (u->own)
        return s ? s : adjoint_by_filters(u, rows, sums);
    for (int64_t t = T; t >= first && !s;) {
        const int64_t last = t;
        int64_t n = 0;
        for (; n < u->chunk && t >= first && !s; n++, t--)
            s = u->lists ? list_back(u, t, rows, n, sums) : back_layer(u, t, rows, n, sums);
        if (!s)
            s = gathers_by_lists(u) ? gather_listed(u, n, rows) : gather(u, last, n, rows);
    }
    return s || dense(u) ? s : outer_product(u, 1, &cx, &cw, &gradient);
}

/* -------------------------------------------------------------- recordings */

static pudle_status launch(pudle_unroll *u, int kind, int64_t rows)
{
    if (kind == ADJOINT || kind == ADJOINT_LEVELS)
        return adjoint_layers(u, rows, kind == ADJOINT_LEVELS);
    if (u->own)
        return forward_by_filters(u, rows, kind == FORWARD_TAPE);
    return u->lists ? forward_by_lists(u, rows, kind == FORWARD_TAPE) : forward_layers(u, rows, kind == FORWARD_TAPE);
}

static recording *recording_of(pudle_unroll *u, int kind, int64_t rows)
{
    for (int i = 0; i < u->recordings; i++)
        if (u->recording[i].kind == kind && u->recording[i].rows == rows) {
            recording *r = &u->recording[i];
            if (r->graph && r->moved != u->e->workspace_moved) { /* it writes where the workspace was */
                cuda.forget(u->e->gpu, r->graph);
                r->graph = NULL;
            }
            return r;
        }
    recording *r = &u->recording[u->recordings < GRAPHS ? u->recordings++ : u->next++ % GRAPHS];
    cuda.forget(u->e->gpu, r->graph);
    *r = (recording){ .kind = kind, .rows = rows };
    return r;
}

/* Record the launches. Where the driver or a library will not have it, that is said, and they are launched one by one from then on. */
static pudle_status record(pudle_unroll *u, recording *r)
{
    cuda_exec *e = u->e;
    const pudle_host *host = e->base.host;
    cuda_fault why;
    if (!cuda.record_begin(e->gpu, &why))
        return cuda_failed(e, "unroll", &why);
    r->moved = e->workspace_moved;
    e->unrecorded[0] = '\0';
    e->recording = true;
    const pudle_status s = launch(u, r->kind, r->rows);
    e->recording = false;
    if (cuda.record_end(e->gpu, s ? NULL : &r->graph, &why) && !s)
        return PUDLE_OK;
    u->direct = true;
    host->log(host->ctx, PUDLE_LOG_WARNING, "unroll: the layers cannot be recorded and are launched one by one: %s",
              !s ? why.text : e->unrecorded[0] ? e->unrecorded : "an operation failed while recording");
    return PUDLE_OK;
}

static pudle_status play(pudle_unroll *u, int kind, int64_t rows)
{
    cuda_exec *e = u->e;
    cuda_fault why;
    recording *r = u->direct || e->set.synchronous ? NULL : recording_of(u, kind, rows);
    pudle_status s = cuda_begin(e, "unroll");
    if (!s && r && r->ready && !r->graph)
        s = record(u, r);
    if (s)
        return s;
    if (r && r->graph)
        return cuda.replay(e->gpu, r->graph, &why) ? PUDLE_OK : cuda_failed(e, "unroll", &why);
    s = launch(u, kind, rows);
    if (r)
        r->ready = !s;
    return s;
}

#include "unroll_life.h"

/* --------------------------------------------------------------- operation */

/* Only where they have changed. */
static pudle_status send_steps(pudle_unroll *u)
{
    const pudle_host *host = u->e->base.host;
    const size_t bytes = (size_t)u->spec.layers * sizeof(double);
    if (u->host_step && !memcmp(u->host_step, u->spec.step, bytes))
        return PUDLE_OK;
    if (!u->host_step && !(u->host_step = host->alloc(host->ctx, bytes)))
        return FAIL(&u->e->base, PUDLE_ERR_NOMEM, "unroll: out of memory for %lld layers", (long long)u->spec.layers);
    memset(u->host_step, 0xff, bytes); /* NaN: equal to no steps */
    const pudle_status s = cuda_send(u->e, "unroll", u->step, u->spec.step, bytes);
    if (s)
        return s;
    memcpy(u->host_step, u->spec.step, bytes);
    return PUDLE_OK;
}

static pudle_status unroll_refresh(pudle_unroll *u, int64_t samples)
{
    cuda_exec *e = u->e;
    const pudle_view g = matrix(u->gram, u->spec.dtype, u->spec.atoms, u->spec.atoms), d = dictionary(u);
    pudle_status s = cuda_begin(e, "unroll");
    (void)samples;
    u->gathered = false;
    if (!s)
        s = send_steps(u);
    return s || !dense(u) ? s : product(u, true, false, 1, &d, &d, 0, &g);
}

static pudle_status unroll_forward(pudle_unroll *u, pudle_exec *lane, int64_t index, const pudle_cview *x, bool tape, const pudle_view *z)
{
    const int64_t rows = x->shape[0];
    const pudle_view own_x = matrix(u->x, u->spec.dtype, rows, u->spec.features), own_z = matrix(u->z, u->spec.dtype, rows, u->spec.atoms);
    const pudle_cview cz = pudle_const(&own_z);
    (void)index;
    pudle_status s = cuda_copy(lane, x, &own_x);
    if (!s && rows)
        s = play(u, tape ? FORWARD_TAPE : FORWARD, rows);
    return s ? s : cuda_copy(lane, &cz, z);
}

/* Of a dense dictionary a product, though codes may be sparse: it is one of all the layers. */
static pudle_status unroll_decode(pudle_unroll *u, pudle_exec *lane, int64_t index, const pudle_view *estimate)
{
    const int64_t rows = estimate->shape[0];
    const pudle_view z = codes(u, u->z, rows), image = pictures(u, u->image, rows);
    const pudle_cview cz = pudle_const(&z), ci = pudle_const(&image);
    (void)index;
    if (!u->own || !rows)
        return synthesis(u, &cz, estimate);
    pudle_status s = cuda_begin(u->e, "unroll");
    if (!s)
        s = image_of(u, rows, u->z, NULL, 1, u->image);
    return s ? s : cuda_copy(lane, &ci, estimate);
}

/* What replayed launches have left, to its places: x w' and the gradient of the filters, and the sums for the levels. */
static pudle_status hand_over(pudle_unroll *u, int64_t rows, const pudle_view *gradient, const pudle_view *gtheta)
{
    const pudle_view w = codes(u, u->w, rows), x = pictures(u, u->x, rows);
    const pudle_cview cw = pudle_const(&w), cx = pudle_const(&x);
    pudle_cview own = pudle_const(gradient);
    own.data = u->outer;
    pudle_status s = dense(u) ? outer_product(u, 1, &cx, &cw, gradient) : cuda_axpby(&u->e->base, 1, &own, 1, gradient);
    for (int k = 0; k < u->spec.levels && gtheta && !s; k++) {
        const pudle_view all = matrix(u->level_sum[k], PUDLE_F64, u->spec.layers, u->level_cols[k]);
        const pudle_cview part = pudle_const(&all);
        s = cuda_axpby(&u->e->base, 1, &part, 1, &gtheta[k]);
    }
    return s;
}

static pudle_status unroll_adjoint(pudle_unroll *u, pudle_exec *lane, int64_t index, const pudle_cview *residual, const pudle_view *direct,
                                   const pudle_view *gradient, const pudle_view *gtheta)
{
    const int64_t rows = direct->shape[0];
    const pudle_view own = codes(u, u->u, rows), z = codes(u, u->z, rows), kept = pictures(u, u->residual, rows);
    const pudle_view outer = matrix(u->outer, u->spec.dtype, 1, outer_entries(u));
    const pudle_cview given = pudle_const(direct), cz = pudle_const(&z);
    const bool sums = gtheta && u->spec.levels;
    (void)index;
    pudle_status s = cuda_copy(lane, &given, &own);
    if (!s && sums)
        s = take_levels(u);
    if (!s && u->own)
        s = cuda_copy(lane, residual, &kept);
    if (!s && !u->own)
        s = analysis(u, residual, 1, &own);
    if (!s && !u->own)
        s = outer_product(u, 1, residual, &cz, gradient);
    if (!s && dense(u) && !u->gathered)
        s = cuda_fill(lane, 0, &outer);
    if (s || !rows)
        return s;
    u->gathered = true;
    s = play(u, sums ? ADJOINT_LEVELS : ADJOINT, rows);
    return s ? s : hand_over(u, rows, gradient, sums ? gtheta : NULL);
}

/* gradient -= scale D (P + P'), which comes in the place of P; or, by lists, of G, for which there is no more use before the next refresh. */
static pudle_status unroll_finish(pudle_unroll *u, double scale, const pudle_view *gradient)
{
    const bool tiles = gathers_by_lists(u);
    const pudle_view outer = matrix(tiles ? u->gram : u->outer, u->spec.dtype, u->spec.atoms, u->spec.atoms), d = dictionary(u);
    long long p = u->spec.atoms;
    if (!u->gathered || !dense(u))
        return PUDLE_OK;
    u->gathered = false; /* what is there now is not P */
    pudle_status s = cuda_begin(u->e, "unroll");
    if (!s)
        s = tiles ? start(u, own_kernel(u, CUDA_UNFOLD), cuda_blocks(p * p), (void *[]){ &u->outer, &u->gram, &p })
                  : start(u, own_kernel(u, CUDA_SYMMETRIC), cuda_blocks(p * p), (void *[]){ &u->outer, &p });
    return s ? s : product(u, false, false, -scale, &d, &outer, 1, gradient);
}

static size_t unroll_bytes(const pudle_unroll *u)
{
    return u->held + cuda_reserved_use(u->e, &u->reserved);
}

const pudle_unroll_ops cuda_unroll_ops = {
    .size = sizeof(pudle_unroll_ops),
    .create = unroll_create,
    .destroy = unroll_destroy,
    .refresh = unroll_refresh,
    .forward = unroll_forward,
    .decode = unroll_decode,
    .adjoint = unroll_adjoint,
    .finish = unroll_finish,
    .bytes = unroll_bytes,
};
