/* A batch through the network: cut into blocks, spread over lanes, and the lanes' sums added in lane order, so that the
 * result does not depend on how many threads ran them. */
#include "graph/implicit.h"
#include "graph/offset.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct work {
    const pd_network *net;
    const pd_batch *batch;
    const pd_pass *pass;
    bool diagnose;
    pd_block_sums *deferred;
} work;

static pudle_status clear_lane(const pd_network *net, pudle_exec *exec, pd_lane_space *space, bool gradient)
{
    space->data_loss = space->code_loss = 0;
    space->bad_prox = false;
    space->nonzeros = space->bad_layer = space->bad_adjoint = space->left_out = 0;
    space->moved = space->size = space->worst_condition = 0;
    pudle_view *const sums[] = { &space->gradient, &space->analysis, &space->synthesis, &space->offset, &space->code_gram };
    pudle_status s = PUDLE_OK;
    for (size_t i = 0; i < sizeof sums / sizeof *sums && gradient && !s; i++)
        if (sums[i]->data)
            s = net->be->fill(exec, 0.0, sums[i]);
    if (space->step_gradient)
        memset(space->step_gradient, 0, (size_t)net->layers * sizeof *space->step_gradient);
    for (int i = 0; i < net->levels && !s; i++)
        if (space->theta_gradient[i]) {
            const int64_t count = net->layers * net->level[i].cols;
            const pudle_view v = pd_view(space->theta_gradient[i], PUDLE_F64, 1, &count);
            s = net->be->fill(exec, 0.0, &v);
        }
    return s;
}

/* Lane i does blocks [i B / L, (i+1) B / L). */
static int64_t first_block(const pd_network *net, int64_t blocks, int64_t i)
{
    return i * blocks / net->lanes;
}

static pudle_status lane_work(void *ctx, pudle_exec *exec, int64_t i)
{
    const work *w = ctx;
    const pd_network *net = w->net;
    pd_lane_space *space = &net->space[i];
    const int64_t blocks = (w->batch->count + net->rows - 1) / net->rows;
    pudle_status s = clear_lane(net, exec, space, w->pass->gradient);
    for (int64_t b = first_block(net, blocks, i); b < first_block(net, blocks, i + 1) && !s; b++) {
        const int64_t first = b * net->rows, left = w->batch->count - first;
        pd_block_sums now, *sums = net->defers ? w->deferred + b : &now;
        s = pd_lane_block(net, exec, space, w->batch, w->pass, first, left < net->rows ? left : net->rows, w->diagnose, sums);
        if (!s && !net->defers)
            pd_lane_add(net, space, sums);
    }
    return s;
}

/* Numbers to a parameter's gradient, in the network's dtype. */
static pudle_status upload_gradient(pd_network *net, const pd_parameter *p, const double *values, int64_t count)
{
    const size_t width = pudle_dtype_size(net->dtype);
    void *out = pd_alloc((size_t)count, width);
    if (!out)
        return pd_fail(net->ctx, PUDLE_ERR_NOMEM, "out of memory for the gradient of '%s'", p->name);
    for (int64_t i = 0; i < count; i++)
        pd_put(out, net->dtype, i, values[i]);
    const pudle_status s = net->be->upload(net->exec, p->grad.data, out, (size_t)count * width);
    free(out);
    return s;
}

/* sum (T, cols) of the gradients that the lanes have for a level's theta. */
static pudle_status sum_theta(pd_network *net, int index, double *sum)
{
    const int64_t count = net->layers * net->level[index].cols;
    double *lane = pd_alloc((size_t)count, sizeof *lane);
    pudle_status s = lane ? PUDLE_OK : pd_fail(net->ctx, PUDLE_ERR_NOMEM, "out of memory for the thresholds' gradient");
    for (int64_t l = 0; l < net->lanes && !s; l++) {
        s = net->be->download(net->exec, lane, net->space[l].theta_gradient[index], (size_t)count * sizeof *lane);
        for (int64_t i = 0; i < count && !s; i++)
            sum[i] += lane[i];
    }
    free(lane);
    return s;
}

/* gtheta of the parameter: sums over lanes, samples and the layers that share it, times the decay of each layer. */
static pudle_status level_gradient(pd_network *net, int index)
{
    pd_level *level = &net->level[index];
    const int64_t own = level->rows * level->cols;
    double *sum = pd_alloc((size_t)(net->layers * level->cols), sizeof *sum), *total = pd_alloc((size_t)own, sizeof *total), beta = 1.0;
    pudle_status s = sum && total ? sum_theta(net, index, sum) : pd_fail(net->ctx, PUDLE_ERR_NOMEM, "out of memory for the thresholds' gradient");
    for (int64_t t = 0; t < net->layers && !s; t++, beta *= net->beta)
        for (int64_t k = 0; k < level->cols; k++)
            total[(level->rows > 1 ? t : 0) * level->cols + k] += beta * sum[t * level->cols + k];
    if (!s)
        s = upload_gradient(net, &level->parameter, total, own);
    free(total);
    free(sum);
    return s;
}

/* Sum of the lanes' sums in lane order; 0 where no lane has one, because nothing reaches it. */
static pudle_status sum_lanes(pd_network *net, const pudle_view *sum, size_t member)
{
    pudle_status s = PUDLE_OK;
    for (int64_t l = 0; l < net->lanes && !s; l++) {
        const pudle_view *part = (const pudle_view *)(const void *)((const char *)&net->space[l] + member);
        if (!part->data)
            return net->be->fill(net->exec, 0.0, sum);
        const pudle_cview c = pudle_const(part);
        if (part->data != sum->data)
            s = net->be->axpby(net->exec, 1.0, &c, l ? 1.0 : 0.0, sum);
    }
    return s;
}

/* A level that is a multiple of the step, and not learned by itself, changes with it: theta_t = alpha_t lambda beta^(t-1). */
static pudle_status add_level_part(pd_network *net, int index, double *sum)
{
    const pd_level *level = &net->level[index];
    double *theta = pd_alloc((size_t)(net->layers * level->cols), sizeof *theta), beta = 1.0;
    const pudle_status s = theta ? sum_theta(net, index, theta) : pd_fail(net->ctx, PUDLE_ERR_NOMEM, "out of memory for the gradient of the steps");
    for (int64_t t = 0; t < net->layers && !s; t++, beta *= net->beta)
        for (int64_t k = 0; k < level->cols; k++)
            sum[t] += level->initial * beta * theta[t * level->cols + k];
    free(theta);
    return s;
}

static pudle_status step_gradient(pd_network *net)
{
    double *sum = pd_alloc((size_t)net->layers, sizeof *sum), *own = pd_alloc((size_t)net->step_rows, sizeof *own);
    pudle_status s = sum && own ? PUDLE_OK : pd_fail(net->ctx, PUDLE_ERR_NOMEM, "out of memory for the gradient of the steps");
    for (int64_t l = 0; l < net->lanes && !s; l++)
        for (int64_t t = 0; t < net->layers && net->space[l].step_gradient; t++)
            sum[t] += net->space[l].step_gradient[t];
    for (int i = 0; i < net->levels && !s && net->depth; i++)
        if (net->level[i].per_step && !net->level[i].learned)
            s = add_level_part(net, i, sum);
    for (int64_t t = 0; t < net->layers && !s; t++)
        own[net->step_rows > 1 ? t : 0] += sum[t];
    if (!s)
        s = upload_gradient(net, &net->steps, own, net->step_rows);
    free(own);
    free(sum);
    return s;
}

/* Which samples had no usable support. */
static pudle_status reduce_implicit(const pd_network *net, const pd_batch *batch, pd_pass *pass)
{
    int64_t worst = 0;
    for (int64_t l = 0; l < net->lanes; l++) {
        const pd_lane_space *space = &net->space[l];
        if (space->left_out && (!pass->ill_conditioned || space->worst_condition > pass->worst_condition)) {
            pass->worst_condition = space->worst_condition;
            worst = space->worst_sample;
        }
        pass->ill_conditioned += space->left_out;
    }
    if (!pass->ill_conditioned || net->skip_ill)
        return PUDLE_OK;
    return pd_fail(net->ctx, PUDLE_ERR_NUMERIC,
                   "the %s cannot be found for %lld of %lld samples, because the atoms of their codes are too close to dependent (worst: "
                   "sample %lld, condition number about %.3g). Raise the prox's threshold, take the gradient of dec for these samples with  "
                   "model.ill_conditioned = \"skip\";  or write  model.gradient = \"ae\";", net->refit ? "code fitted again" : "implicit gradient",
                   (long long)pass->ill_conditioned, (long long)batch->count, (long long)(batch->index ? batch->index[worst] : worst),
                   pass->worst_condition);
}

/* The gradients, from the lanes' parts; these are of the batch's mean already (pd_block's share). */
static pudle_status reduce_gradients(pd_network *net, const pd_batch *batch, pd_pass *pass)
{
    pudle_status s = net->implicit ? reduce_implicit(net, batch, pass) : PUDLE_OK;
    if (!s)
        s = sum_lanes(net, &net->effective.grad, offsetof(pd_lane_space, gradient));
    if (!s && net->analysis.value.data)
        s = sum_lanes(net, &net->analysis.grad, offsetof(pd_lane_space, analysis));
    if (!s && net->synthesis.value.data)
        s = sum_lanes(net, &net->synthesis.grad, offsetof(pd_lane_space, synthesis));
    if (!s && net->keeps_gram)
        s = sum_lanes(net, &net->code_gram, offsetof(pd_lane_space, code_gram));
    if (!s)
        s = pd_offset_reduce(net);
    if (!s && net->step_rows)
        s = step_gradient(net);
    if (!s && net->unroll && net->depth)
        s = net->unroller->finish(net->unroll, 1.0, &net->effective.grad);
    if (!s)
        s = pd_measurement_gradient(net);
    for (int i = 0; i < net->levels && !s; i++)
        if (net->level[i].learned)
            s = level_gradient(net, i);
    return s;
}

/* Are they numbers, and how large is the first? */
static pudle_status look_at_gradients(pd_network *net, const pd_pass *pass)
{
    pd_parameter *list[PD_MAX_PARAMETERS];
    const int n = pd_network_parameters(net, list);
    const pudle_cview first = pudle_const(&net->dictionary.grad);
    pudle_status s = PUDLE_OK;
    pd_defer(net->be, net->exec, true);
    for (int i = 0; i < n && !s; i++) {
        const pudle_cview c = pudle_const(&list[i]->grad);
        s = net->be->census(net->exec, &c, &net->gradient_census[i].nonzero, &net->gradient_census[i].nonfinite);
    }
    if (!s && pass->norm)
        s = net->be->dot(net->exec, &first, &first, &net->gradient_square);
    pd_defer(net->be, net->exec, false);
    return s;
}

/* What has come with the sync. */
static void collect(pd_network *net, const pd_batch *batch, pd_pass *pass)
{
    const double scale = 1.0 / (double)batch->count;
    const int64_t blocks = (batch->count + net->rows - 1) / net->rows;
    pd_parameter *list[PD_MAX_PARAMETERS];
    const int n = pass->gradient ? pd_network_parameters(net, list) : 0;
    pass->data_loss = pass->code_loss = pass->nonzeros = 0;
    for (int64_t l = 0; l < net->lanes; l++) {
        pd_lane_space *space = &net->space[l];
        for (int64_t b = first_block(net, blocks, l); b < first_block(net, blocks, l + 1) && net->defers; b++)
            pd_lane_add(net, space, &net->deferred[b]);
        pass->data_loss += space->data_loss * scale;
        pass->code_loss += space->code_loss * scale;
        pass->nonzeros += (double)space->nonzeros * scale;
    }
    for (int i = 0; i < n; i++)
        pass->nonfinite += net->gradient_census[i].nonfinite;
    if (n && pass->norm)
        pass->gradient_norm = sqrt(net->gradient_square);
}

/* How far the codes were from fixed points. */
static void find_fixed_point(const pd_network *net, pd_pass *pass)
{
    const bool known = net->further || (net->implicit && !net->refit && pass->gradient);
    pass->moved = pass->size = 0;
    for (int64_t l = 0; l < net->lanes; l++) {
        pass->moved += net->space[l].moved;
        pass->size += net->space[l].size;
    }
    pass->fixed_point = !known ? (double)NAN : pass->size > 0 ? sqrt(pass->moved / pass->size) : 0;
}

static pudle_status reduce(pd_network *net, const pd_batch *batch, pd_pass *pass)
{
    find_fixed_point(net, pass);
    pass->gradient_norm = NAN;
    pass->ill_conditioned = pass->nonfinite = 0;
    pass->worst_condition = 0;
    pudle_status s = pass->gradient ? reduce_gradients(net, batch, pass) : PUDLE_OK;
    if (!s && pass->gradient)
        s = look_at_gradients(net, pass);
    if (!s)
        s = net->be->sync(net->exec);
    if (!s)
        collect(net, batch, pass);
    return s;
}

void pd_defer(const pudle_backend_ops *be, pudle_exec *exec, bool on)
{
    if (pd_can_defer(be))
        be->defer(exec, on);
}

bool pd_can_defer(const pudle_backend_ops *be)
{
    return PUDLE_HAS(be, pudle_backend_ops, defer) && be->defer;
}

pudle_status pd_network_run(pd_network *net, const pd_batch *batch, pd_pass *pass)
{
    pudle_status s = pd_lanes_prepare(net, batch->count, false);
    for (int64_t t = 0; net->unroll && t < net->layers; t++)
        net->unroll_step[t] = net->alpha[t];
    if (!s && net->unroll)
        s = net->unroller->refresh(net->unroll, batch->count);
    if (!s && net->implicit && pass->gradient)
        s = pd_implicit_refresh(net, batch->count);
    if (s)
        return s;
    net->defers = pd_can_defer(net->be) && batch->count <= PD_DEFERRED_BLOCKS * net->rows;
    work w = { net, batch, pass, false, net->deferred };
    s = net->be->run(net->exec, net->lanes, lane_work, &w);
    return s ? s : reduce(net, batch, pass);
}

pudle_status pd_network_diagnose(pd_network *net, const pd_batch *batch, int64_t *layer, bool *in_adjoint, bool *prox)
{
    pd_pass pass = { .gradient = true };
    pudle_status s = pd_lanes_prepare(net, batch->count, true);
    if (!s && net->implicit)
        s = pd_implicit_refresh(net, batch->count);
    net->defers = false;
    work w = { net, batch, &pass, true, NULL };
    if (!s)
        s = net->be->run(net->exec, net->lanes, lane_work, &w);
    if (s)
        return s;
    int64_t forward = 0, back = 0;
    *prox = false;
    for (int64_t l = 0; l < net->lanes; l++) {
        const pd_lane_space *space = &net->space[l];
        if (space->bad_layer && (!forward || space->bad_layer < forward)) {
            forward = space->bad_layer;
            *prox = space->bad_prox;
        }
        if (space->bad_adjoint > back)
            back = space->bad_adjoint;
    }
    *in_adjoint = !forward && back;
    *layer = forward ? forward : back ? back : net->layers + 1;
    return PUDLE_OK;
}
