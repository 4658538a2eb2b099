/* The lanes' workspaces: tape, room for the adjoint, sums. Shapes come first and memory after, so that what a plan takes is known
 * before any of it is taken, and can be made to fit a budget.
 *
 * Fitting. Blocks of fewer samples cost little until a block is small; then the tape is cut into windows of layers. Only the codes
 * that windows begin with are kept, and on the way back each window runs again: about one forward pass more, and with windows of
 * about sqrt(K) layers a tape of about 2 sqrt(K) layers in place of K (Griewank and Walther 2000, doi:10.1145/347837.347846, go on to
 * windows in windows). */
#include "graph/implicit.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNK_ROWS = 256, /* rows of the stacked adjoints that make the outer products worth a matrix product of their own */
    FEW_ROWS = 32     /* of a block: with fewer, products with D are slow, and running layers again is the lesser evil */
};

/* Everything a lane has of the backend's memory, in one list. */
enum { VIEWS = 19 };
static void views_of(pd_lane_space *space, pudle_view *views[VIEWS])
{
    pudle_view *const all[VIEWS] = { &space->data, &space->input, &space->code, &space->begin, &space->back_code, &space->back_data,
                                     &space->reconstruction, &space->residual, &space->adjoint, &space->baseline, &space->gradient,
                                     &space->analysis, &space->synthesis, &space->point, &space->begin_point, &space->adjoint_point,
                                     &space->offset, &space->ones, &space->code_gram };
    memcpy(views, all, sizeof all);
}

/* ---------------------------------------------------------------- shapes */

static void shape(const pd_network *net, pudle_view *v, int32_t rank, const int64_t *dims)
{
    *v = pd_view(NULL, net->dtype, rank, dims);
}

static bool learns_levels(const pd_network *net)
{
    bool learned = net->step_rows > 0; /* levels that are multiples of a learned step have their part in its gradient */
    for (int i = 0; i < net->levels; i++)
        learned = learned || net->level[i].learned;
    return learned;
}

/* What a lane needs for blocks of `rows` samples with `window` layers on the tape; no memory yet. */
static void lane_shape(const pd_network *net, pd_lane_space *space, int64_t rows, int64_t window)
{
    const int64_t K = net->unroll ? 0 : net->depth, W = K < window ? K : window, kept = W ? W : 1, m = net->map.features, p = net->map.code;
    const int32_t needs = ((const pudle_prox_ops *)net->prox.desc->ops)->vjp_needs;
    *space = (pd_lane_space){ .window = W, .windows = W ? (K + W - 1) / W : 1, .keeps_input = (needs & PUDLE_VJP_INPUT) != 0 };
    space->chunk = (CHUNK_ROWS + rows - 1) / rows;
    if (space->chunk > kept)
        space->chunk = kept;
    if (net->encoder_rows > 1 || net->step_rows > 1) /* each layer has its own */
        space->chunk = 1;
    if (!net->unroll) /* which has its own */
        shape(net, &space->data, 3, (const int64_t[]){ kept, rows, m });
    if (!net->unroll || net->implicit || net->further)
        shape(net, &space->input, 3, (const int64_t[]){ space->keeps_input ? kept : 1, rows, p });
    shape(net, &space->code, 3, (const int64_t[]){ W + 1, rows, p });
    if (space->windows > 1)
        shape(net, &space->begin, 3, (const int64_t[]){ space->windows - 1, rows, p });
    if (net->momentum && !net->unroll)
        shape(net, &space->point, 3, (const int64_t[]){ W + 1, rows, p });
    if (net->momentum && space->windows > 1)
        shape(net, &space->begin_point, 3, (const int64_t[]){ space->windows - 1, rows, p });
    if (net->momentum && K)
        shape(net, &space->adjoint_point, 2, (const int64_t[]){ rows, p });
    if (K) {
        shape(net, &space->back_code, 3, (const int64_t[]){ space->chunk, rows, p });
        shape(net, &space->back_data, 3, (const int64_t[]){ space->chunk, rows, m });
    }
    shape(net, &space->reconstruction, 2, (const int64_t[]){ rows, m });
    shape(net, &space->residual, 2, (const int64_t[]){ rows, m });
    if (net->depth || net->implicit || net->further || net->decoder_code == PD_CODE_SIGN || net->code_l1 != 0) /* else the gradient is the decoder's alone */
        shape(net, &space->adjoint, 2, (const int64_t[]){ rows, p });
    if (net->baseline)
        shape(net, &space->baseline, 2, (const int64_t[]){ rows, m });
    if (net->offset_groups) {
        shape(net, &space->offset, 2, (const int64_t[]){ 1, m });
        shape(net, &space->ones, 2, (const int64_t[]){ 1, rows * space->chunk });
    }
    if (net->lanes == 1) /* a lane alone adds to the gradient itself */
        space->gradient = net->effective.grad;
    else
        shape(net, &space->gradient, net->map.weight_rank, net->map.weight_shape);
    if (net->keeps_gram && net->lanes == 1)
        space->code_gram = net->code_gram;
    else if (net->keeps_gram)
        shape(net, &space->code_gram, 2, (const int64_t[]){ p, p });
    if (net->depth && net->analysis.value.data)
        shape(net, &space->analysis, net->analysis.value.rank, net->analysis.value.shape);
    if (net->depth && net->synthesis.value.data)
        shape(net, &space->synthesis, net->synthesis.value.rank, net->synthesis.value.shape);
}

/* Bytes of what a lane was shaped for; as real numbers, which do not overflow. */
static double lane_bytes(const pd_network *net, pd_lane_space *space, int64_t rows)
{
    pudle_view *views[VIEWS];
    double bytes = net->implicit ? pd_implicit_bytes(net, rows) : 0;
    views_of(space, views);
    for (int i = 0; i < VIEWS; i++) {
        double count = views[i]->rank > 0 && !views[i]->data;
        for (int32_t k = 0; k < views[i]->rank; k++)
            count *= (double)views[i]->shape[k];
        bytes += count * (double)pudle_dtype_size(net->dtype);
    }
    for (int i = 0; i < net->levels && learns_levels(net); i++)
        bytes += (double)(net->layers * net->level[i].cols) * sizeof(double);
    return bytes;
}

/* ---------------------------------------------------------------- memory */

static void lane_free(const pd_network *net, pd_lane_space *space)
{
    pudle_view *views[VIEWS];
    views_of(space, views);
    if (space->gradient.data == net->effective.grad.data)
        space->gradient.data = NULL;
    if (space->code_gram.data == net->code_gram.data)
        space->code_gram.data = NULL;
    for (int i = 0; i < VIEWS; i++)
        if (views[i]->data)
            net->be->free(net->exec, views[i]->data);
    for (int i = 0; i < PD_MAX_LEVELS; i++)
        if (space->theta_gradient[i])
            net->be->free(net->exec, space->theta_gradient[i]);
    free(space->step_gradient);
    pd_implicit_free(net, space);
}

static void unroll_free(pd_network *net)
{
    if (net->unroll)
        net->unroller->destroy(net->unroll);
    net->unroll = NULL;
    free(net->unroll_step);
    net->unroll_step = NULL;
}

void pd_lanes_free(pd_network *net)
{
    for (int64_t i = 0; net->space && i < net->lanes; i++)
        lane_free(net, &net->space[i]);
    free(net->space);
    net->space = NULL;
    net->lanes = net->rows = 0;
    unroll_free(net);
}

static pudle_status take(const pd_network *net, pudle_view *v)
{
    size_t count = 1;
    for (int32_t i = 0; i < v->rank; i++)
        if (__builtin_mul_overflow(count, (size_t)v->shape[i], &count))
            return pd_fail(net->ctx, PUDLE_ERR_NOMEM, "the tape of %lld layers is too large for this machine", (long long)net->layers);
    return net->be->alloc(net->exec, count * pudle_dtype_size(net->dtype), &v->data);
}

/* The baseline once for every row, so that a lane adds it with one operation. */
static pudle_status baseline_fill(const pd_network *net, const pd_lane_space *space, int64_t rows)
{
    const int64_t m = net->map.features;
    const size_t bytes = (size_t)(rows * m) * pudle_dtype_size(net->dtype);
    void *host = pd_alloc(bytes, 1);
    if (!host)
        return pd_fail(net->ctx, PUDLE_ERR_NOMEM, "out of memory for the offset of %lld samples", (long long)rows);
    for (int64_t i = 0; i < rows * m; i++)
        pd_put(host, net->dtype, i, net->baseline[i % m]);
    const pudle_status s = net->be->upload(net->exec, space->baseline.data, host, bytes);
    free(host);
    return s;
}

pudle_status pd_lanes_baseline(pd_network *net)
{
    pudle_status s = PUDLE_OK;
    for (int64_t i = 0; net->space && i < net->lanes && !s; i++)
        s = baseline_fill(net, &net->space[i], net->rows);
    return s;
}

/* Memory for the shapes. */
static pudle_status lane_make(const pd_network *net, pd_lane_space *space, int64_t rows)
{
    pudle_view *views[VIEWS];
    pudle_status s = PUDLE_OK;
    views_of(space, views);
    for (int i = 0; i < VIEWS && !s; i++)
        if (views[i]->rank > 0 && !views[i]->data)
            s = take(net, views[i]);
    if (!s && net->depth && net->step_rows && !(space->step_gradient = pd_alloc((size_t)net->layers, sizeof *space->step_gradient)))
        s = pd_fail(net->ctx, PUDLE_ERR_NOMEM, "out of memory for the gradient of the steps");
    if (!s && net->implicit)
        s = pd_implicit_make(net, space, rows);
    if (!s && net->baseline)
        s = baseline_fill(net, space, rows);
    if (!s && net->offset_groups)
        s = net->be->fill(net->exec, 1.0, &space->ones);
    for (int i = 0; i < net->levels && !s; i++)
        if (learns_levels(net)) { /* a kernel fills the gradients of all its levels or of none */
            void *memory = NULL;
            s = net->be->alloc(net->exec, (size_t)(net->layers * net->level[i].cols) * sizeof(double), &memory);
            space->theta_gradient[i] = memory;
        }
    return s;
}

/* The backend's own encoder, where it has one for this network. */
static pudle_status unroll_make(pd_network *net)
{
    net->unroller = net->be->get_ext ? net->be->get_ext(net->exec, PUDLE_UNROLL) : NULL;
    if (net->plain || !net->unroller || net->baseline || net->encoder != PD_ENCODER_TIED || net->step_rows) /* it knows a tied D z alone */
        return PUDLE_OK;
    net->unroll_step = pd_alloc((size_t)net->layers, sizeof *net->unroll_step);
    if (!net->unroll_step)
        return pd_fail(net->ctx, PUDLE_ERR_NOMEM, "out of memory for %lld layers", (long long)net->layers);
    for (int i = 0; i < net->levels; i++)
        net->unroll_theta[i] = pd_cmatrix(net->level[i].theta, net->dtype, net->layers, net->level[i].cols);
    for (int64_t t = 0; t < net->layers; t++)
        net->unroll_step[t] = net->alpha[t];
    const pudle_unroll_spec spec = { .size = sizeof spec, .dtype = net->dtype, .features = net->map.features, .atoms = net->map.code,
                                     .layers = net->layers, .depth = net->depth, .rows = net->rows, .lanes = net->lanes, .prox = net->prox,
                                     .inner = net->inner, .levels = net->levels, .dictionary = pudle_const(&net->effective.value),
                                     .theta = net->unroll_theta, .step = net->unroll_step, .momentum = net->momentum,
                                     .conv = net->map.matrix ? NULL : &net->map.conv };
    const pudle_status s = net->unroller->create(net->exec, &spec, &net->unroll);
    return s == PUDLE_ERR_UNSUPPORTED ? PUDLE_OK : s;
}

/* ---------------------------------------------------------------- a budget */

static double bytes_with(const pd_network *net, int64_t rows, int64_t window)
{
    pd_lane_space trial;
    lane_shape(net, &trial, rows, window);
    return (double)net->lanes * lane_bytes(net, &trial, rows);
}

/* The budget of these workspaces; a diagnosis, which keeps every layer, has none. */
static double limit_of(const pd_network *net)
{
    return net->memory && !net->plain ? (double)net->memory : INFINITY;
}

/* The most layers on the tape for which blocks of `rows` stay within the budget, and what they take; 0: not even then, and the least. */
static int64_t fitting_window(const pd_network *net, int64_t rows, double *bytes)
{
    const int64_t K = net->unroll || !net->depth ? 1 : net->depth;
    double least = 0;
    for (int64_t windows = 1; windows <= K; windows++) {
        const int64_t window = (K + windows - 1) / windows;
        if (windows > 1 && window == (K + windows - 2) / (windows - 1))
            continue; /* the same once more */
        *bytes = bytes_with(net, rows, window);
        if (*bytes <= limit_of(net))
            return window;
        least = least > 0 && least < *bytes ? least : *bytes;
    }
    *bytes = least;
    return 0;
}

/* Fewer rows, then layers that run again, then fewer lanes, until the workspaces stay within the budget; blocks of very few rows last. */
static pudle_status fit(pd_network *net, bool whole, int64_t *window)
{
    const int64_t few = whole || net->rows < FEW_ROWS ? net->rows : FEW_ROWS;
    double bytes = bytes_with(net, net->rows, net->layers);
    *window = net->layers;
    while (bytes > limit_of(net)) {
        if (net->rows > few) {
            net->rows = net->rows / 2 > few ? (net->rows + 1) / 2 : few;
            bytes = bytes_with(net, net->rows, net->layers);
            continue;
        }
        *window = fitting_window(net, net->rows, &bytes);
        if (*window)
            break;
        if (net->lanes > 1)
            net->lanes = (net->lanes + 1) / 2;
        else if (net->rows > 1 && !whole)
            net->rows = (net->rows + 1) / 2;
        else
            return pd_fail(net->ctx, PUDLE_ERR_CONFIG, "train.memory: a network of %lld layers needs at least %.0f bytes for one block of %lld sample%s; write  "
                           "memory = \"%.0fK\";", (long long)net->layers, bytes, (long long)net->rows, net->rows == 1 ? "" : "s", bytes / 1024 + 1);
    }
    net->workspace_bytes = bytes;
    return PUDLE_OK;
}

pudle_status pd_lanes_prepare(pd_network *net, int64_t samples, bool plain)
{
    const bool whole = (net->prox.desc->caps & PUDLE_PROX_BATCH_COUPLED) != 0;
    const pudle_work work = { sizeof work, net->dtype, samples, net->map.features, net->map.code, net->layers, whole, 0, plain ? 0 : net->memory };
    int64_t rows = 0, lanes = 0, window = 0;
    pudle_status s = net->be->plan(net->exec, &work, &rows, &lanes);
    if (s)
        return s;
    const int64_t blocks = (samples + rows - 1) / rows;
    if (lanes > blocks)
        lanes = blocks;
    if (net->space && rows == net->planned_rows && lanes == net->planned_lanes && plain == net->plain)
        return PUDLE_OK;
    pd_lanes_free(net);
    net->planned_rows = net->rows = rows;
    net->planned_lanes = net->lanes = lanes;
    net->plain = plain;
    for (bool cut = true; cut && !s;) { /* an encoder is made for the plan; one that is cut may go without, with its tape in the workspaces */
        unroll_free(net);
        rows = net->rows;
        lanes = net->lanes;
        s = unroll_make(net);
        if (!s)
            s = fit(net, whole, &window);
        cut = net->unroll && (net->rows != rows || net->lanes != lanes);
    }
    if (!s && !(net->space = pd_alloc((size_t)net->lanes, sizeof *net->space)))
        s = pd_fail(net->ctx, PUDLE_ERR_NOMEM, "out of memory for %lld lanes", (long long)net->lanes);
    for (int64_t i = 0; i < net->lanes && !s; i++) {
        lane_shape(net, &net->space[i], net->rows, window);
        s = lane_make(net, &net->space[i], net->rows);
    }
    if (s)
        pd_lanes_free(net);
    return s;
}
