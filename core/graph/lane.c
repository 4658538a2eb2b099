/* A block of samples: T layers forward, the decoder, and the adjoint back through the last K layers.
 *
 * Adjoint (mathematics: gradient estimators), with r = l'(x_hat; y):
 *   gD = r z';  u = D' r + penalty'(z_T);
 *   for t = T .. T-K+1:  u <- J_t' u;  h = H E u;  gE <- gE - alpha g_t u';  gB <- gB - alpha h z_{t-1}';  u <- u - alpha B' h
 * where g_t and H are gradient and Hessian of the inner loss at B z_{t-1}, and E and B are D unless the config unties them. The
 * outer products of a chunk of layers are one matrix product each, because slots lie one behind the other.
 *
 * With momentum, where layers begin at y_t = (1 + b_t) z_t - b_t z_{t-1}, w is the derivative with respect to y_t and u that with respect to
 * z_t but for its part in y_t. w = 0 at T, and a layer does
 *   u <- J_t' (u + (1 + b_t) w);  w' = u - alpha B' H E u;  u <- -b_t w;  w <- w'
 * with y_{t-1} in the place of z_{t-1}. */
#include "graph/lane.h"
#include "graph/implicit.h"
#include "graph/offset.h"
#include <stdlib.h>

/* Slot s of a tape (slots, rows, width), cut to the rows of this block. */
static pudle_view slot(const pudle_view *tape, int64_t s, int64_t rows)
{
    const int64_t width = tape->shape[2];
    char *base = tape->data;
    return pd_matrix(base + (size_t)(s * rows * width) * pudle_dtype_size(tape->dtype), tape->dtype, rows, width);
}

/* Slots [s, s + count) as one tall matrix. Blocks shorter than the tape use its start, so slots stay adjacent. */
static pudle_view slots(const pudle_view *tape, int64_t s, int64_t count, int64_t rows)
{
    pudle_view v = slot(tape, s, rows);
    return pd_matrix(v.data, v.dtype, count * rows, v.shape[1]);
}

/* The levels of layer t as the prox wants them, and where their gradient is summed. */
static void theta_of(const pd_network *net, const pd_lane_space *space, int64_t t, pudle_cview theta[], pudle_view grad[])
{
    for (int i = 0; i < net->levels; i++) {
        const int64_t cols = net->level[i].cols;
        theta[i] = pd_level_theta(net, i, t);
        grad[i] = pd_view(space->theta_gradient[i] ? space->theta_gradient[i] + (t - 1) * cols : NULL, PUDLE_F64, 1, &cols);
    }
}

/* What layer t has of weights that are one for all layers, or one each; D's where there are none. */
static pudle_view weights_of(const pudle_view *stack, const pudle_view *d, int64_t t)
{
    return stack->data ? pd_slice(stack, stack->shape[0] > 1 ? t - 1 : 0) : *d;
}

pudle_cview pd_lane_weights(const pd_network *net, const pd_parameter *p, int64_t t)
{
    const pudle_view w = weights_of(&p->value, &net->effective.value, t);
    return pudle_const(&w);
}

static pudle_status note_bad(const pd_network *net, pudle_exec *exec, const pudle_view *v, int64_t layer, int64_t *bad)
{
    int64_t nonzero, nonfinite = 0;
    const pudle_cview c = pudle_const(v);
    const pudle_status s = net->be->census(exec, &c, &nonzero, &nonfinite);
    if (!s && nonfinite && !*bad)
        *bad = layer;
    return s;
}

typedef pd_block block;

pudle_status pd_lane_predict(const block *b, const pudle_cview *w, const pudle_cview *z, const pudle_view *u)
{
    const pd_network *net = b->net;
    const pudle_status s = net->map.ops->apply(&net->map, b->exec, w, z, u);
    if (s || !b->space->baseline.data)
        return s;
    const pudle_view rows = pd_rows(&b->space->baseline, 0, b->rows);
    const pudle_cview a = pudle_const(&rows);
    return net->be->axpby(b->exec, 1.0, &a, 1.0, u);
}

/* The same at z = 0. */
static pudle_status predict_first(const block *b, const pudle_view *u)
{
    if (!b->space->baseline.data)
        return b->net->be->fill(b->exec, 0.0, u);
    const pudle_view rows = pd_rows(&b->space->baseline, 0, b->rows);
    const pudle_cview a = pudle_const(&rows);
    return b->net->be->copy(b->exec, &a, u);
}

/* Where layers begin: the codes, unless there is momentum. */
static const pudle_view *points(const pd_lane_space *space)
{
    return space->point.data ? &space->point : &space->code;
}

/* Layer t: code of slot `from` in, slot `to` out. */
static pudle_status layer(const block *b, int64_t t, int64_t keep, int64_t from, int64_t to)
{
    const pd_network *net = b->net;
    const pudle_backend_ops *be = net->be;
    const double step = net->alpha[t - 1];
    const pudle_cview synthesis = pd_lane_weights(net, &net->synthesis, t), analysis = pd_lane_weights(net, &net->analysis, t);
    const pudle_view z = slot(&b->space->code, from, b->rows), next = slot(&b->space->code, to, b->rows);
    const pudle_view y = slot(points(b->space), from, b->rows), next_y = slot(points(b->space), to, b->rows);
    const pudle_view u = slot(&b->space->data, keep, b->rows), v = slot(&b->space->input, b->space->keeps_input ? keep : 0, b->rows);
    const pudle_view g = pd_rows(&b->space->residual, 0, b->rows); /* the tape keeps D z_{t-1} itself, so g has its own place */
    const pudle_cview cz = pudle_const(&z), cy = pudle_const(&y), cnext = pudle_const(&next);
    const double b_t = net->momentum ? net->momentum[t - 1] : 0;
    pudle_cview theta[PD_MAX_LEVELS];
    pudle_view unused[PD_MAX_LEVELS];
    theta_of(net, b->space, t, theta, unused);
    pudle_status s = t == 1 ? predict_first(b, &u) : pd_lane_predict(b, &synthesis, &cy, &u);
    if (s)
        return s;
    const pudle_view shaped_u = pd_map_data_view(&net->map, &u), shaped_g = pd_map_data_view(&net->map, &g);
    const pudle_cview pred = pudle_const(&shaped_u), cg = pudle_const(&g);
    s = be->loss_grad(b->exec, &net->inner, &pred, &b->x, &shaped_g);
    if (!s)
        s = be->copy(b->exec, &cy, &v);
    if (!s)
        s = net->map.ops->adjoint(&net->map, b->exec, &analysis, -step, &cg, 1.0, &v);
    if (!s && net->momentum) /* while z is there: its slot may be that of the next, and y's is free */
        s = be->axpby(b->exec, -b_t, &cz, 0.0, &next_y);
    if (s)
        return s;
    const pudle_view shaped_v = pd_map_code_view(&net->map, &v), shaped_next = pd_map_code_view(&net->map, &next);
    const pudle_cview in = pudle_const(&shaped_v);
    s = be->prox_apply(b->exec, &net->prox, step, theta, &in, &shaped_next);
    if (!s && net->momentum)
        s = be->axpby(b->exec, 1 + b_t, &cnext, 1.0, &next_y);
    if (s || !b->diagnose)
        return s;
    const bool before = b->space->bad_layer != 0;
    int64_t input = 0;
    s = note_bad(net, b->exec, &next, t, &b->space->bad_layer);
    if (!s && !before && b->space->bad_layer) {
        s = note_bad(net, b->exec, &v, t, &input);
        b->space->bad_prox = !input;
    }
    return s;
}

static pudle_status copy_view(const block *b, const pudle_view *from, const pudle_view *to)
{
    const pudle_cview c = pudle_const(from);
    return b->net->be->copy(b->exec, &c, to);
}

/* What a layer begins with: z, and y where there is momentum; from a slot of the codes or of the beginnings to one of these. */
static pudle_status copy_state(const block *b, const pudle_view *from, int64_t s_from, const pudle_view *to, int64_t s_to)
{
    const pd_lane_space *space = b->space;
    const pudle_view z_from = slot(from, s_from, b->rows), z_to = slot(to, s_to, b->rows);
    const pudle_status s = copy_view(b, &z_from, &z_to);
    if (s || !space->point.data)
        return s;
    const pudle_view y_from = slot(from == &space->code ? &space->point : &space->begin_point, s_from, b->rows);
    const pudle_view y_to = slot(to == &space->code ? &space->point : &space->begin_point, s_to, b->rows);
    return copy_view(b, &y_from, &y_to);
}

/* Layers of window w: [first, end) of the kept ones, counted from 0. */
static int64_t window_end(const block *b, int64_t w)
{
    const int64_t end = (w + 1) * b->space->window;
    return end < b->net->depth ? end : b->net->depth;
}

/* The layers of window w onto the tape, from what stands in slot 0. */
static pudle_status run_window(const block *b, int64_t w)
{
    const int64_t first = w * b->space->window, end = window_end(b, w), before = b->net->layers - b->net->depth;
    pudle_status s = PUDLE_OK;
    for (int64_t k = first; k < end && !s; k++)
        s = layer(b, before + k + 1, k - first, k - first, k - first + 1);
    return s;
}

/* The slot z_T ends in: the first where the backend unrolls by itself and keeps its own tape, or where nothing is kept. */
static int64_t last_slot(const block *b, bool tape)
{
    const pd_lane_space *space = b->space;
    return tape && !b->net->unroll && b->net->depth ? b->net->depth - (space->windows - 1) * space->window : 0;
}

static pudle_status encode(const block *b, bool tape)
{
    const pd_network *net = b->net;
    const pd_lane_space *space = b->space;
    const int64_t T = net->layers, K = tape ? net->depth : 0;
    const pudle_view z0 = slot(&space->code, 0, b->rows), y0 = slot(points(space), 0, b->rows);
    if (net->unroll) {
        const pudle_cview x = pd_cmatrix(b->x.data, net->dtype, b->rows, net->map.features);
        return net->unroller->forward(net->unroll, b->exec, b->lane, &x, K > 0, &z0);
    }
    pudle_status s = net->be->fill(b->exec, 0.0, &z0);
    if (!s && net->momentum)
        s = net->be->fill(b->exec, 0.0, &y0);
    for (int64_t t = 1; t <= T - K && !s; t++)
        s = layer(b, t, 0, 0, 0);
    for (int64_t w = 0; K && w < space->windows && !s; w++) {
        if (w > 0)
            s = copy_state(b, &space->code, space->window, &space->code, 0);
        if (!s && w + 1 < space->windows) /* this one will run again */
            s = copy_state(b, &space->code, 0, &space->begin, w);
        if (!s)
            s = run_window(b, w);
    }
    return s;
}

/* x_hat = D z_T + a. */
static pudle_status decode(const block *b, const pudle_view *code, const pudle_view *estimate)
{
    const pudle_cview cz = pudle_const(code), w = pudle_const(&b->net->effective.value);
    return b->net->unroll ? b->net->unroller->decode(b->net->unroll, b->exec, b->lane, estimate) : pd_lane_predict(b, &w, &cz, estimate);
}

static pudle_status add_outer(const block *b, double a, const pudle_view *r, const pudle_view *z, const pudle_view *gradient)
{
    const pudle_cview cr = pudle_const(r), cz = pudle_const(z);
    return b->net->map.ops->gradient(&b->net->map, b->exec, a, &cr, &cz, gradient);
}

/* d loss / d alpha_t = -<E u, g_t>; g_t goes by way of the residual's place, which nobody needs any more. */
static pudle_status step_derivative(const block *b, int64_t t, const pudle_cview *pred, const pudle_view *eu)
{
    const pudle_view g = pd_rows(&b->space->residual, 0, b->rows), shaped = pd_map_data_view(&b->net->map, &g);
    const pudle_cview cg = pudle_const(&g), ceu = pudle_const(eu);
    double sum = 0;
    pudle_status s = b->net->be->loss_grad(b->exec, &b->net->inner, pred, &b->x, &shaped);
    if (!s)
        s = b->net->be->dot(b->exec, &ceu, &cg, &sum);
    b->space->step_gradient[t - 1] -= sum;
    return s;
}

/* u + (1 + b_t) w: all that the loss has of z_t. */
static pudle_status gather_momentum(const block *b, int64_t t, const pudle_view *u)
{
    if (!b->net->momentum)
        return PUDLE_OK;
    const pudle_view w = pd_rows(&b->space->adjoint_point, 0, b->rows);
    const pudle_cview cw = pudle_const(&w);
    return b->net->be->axpby(b->exec, 1 + b->net->momentum[t - 1], &cw, 1.0, u);
}

/* z_{t-1}'s part in y_t to u. After this w may be overwritten, by the derivative with respect to y_{t-1}. */
static pudle_status spread_momentum(const block *b, int64_t t, const pudle_view *u)
{
    const pudle_view w = pd_rows(&b->space->adjoint_point, 0, b->rows);
    const pudle_cview cw = pudle_const(&w);
    return b->net->be->axpby(b->exec, -b->net->momentum[t - 1], &cw, 0.0, u);
}

/* One layer of the adjoint: u in `adjoint` becomes the derivative with respect to z_{t-1}; u after the prox and H E u go to
 * place c of the chunk, the inner gradient replaces B z_{t-1} on the tape. */
static pudle_status adjoint_layer(const block *b, int64_t t, int64_t s_slot, int64_t c)
{
    const pd_network *net = b->net;
    const pudle_backend_ops *be = net->be;
    const double step = net->alpha[t - 1];
    const pudle_cview synthesis = pd_lane_weights(net, &net->synthesis, t), analysis = pd_lane_weights(net, &net->analysis, t);
    const pudle_view u = pd_rows(&b->space->adjoint, 0, b->rows);
    const pudle_view v = slot(&b->space->input, b->space->keeps_input ? s_slot : 0, b->rows), p = slot(&b->space->code, s_slot + 1, b->rows);
    const pudle_view pred = slot(&b->space->data, s_slot, b->rows);
    const pudle_view uc = slot(&b->space->back_code, c, b->rows), hc = slot(&b->space->back_data, c, b->rows);
    pudle_cview theta[PD_MAX_LEVELS];
    pudle_view grad[PD_MAX_LEVELS];
    theta_of(net, b->space, t, theta, grad);
    const bool learned = net->levels && grad[0].data;

    const pudle_view shaped_u = pd_map_code_view(&net->map, &u), shaped_v = pd_map_code_view(&net->map, &v);
    const pudle_view shaped_p = pd_map_code_view(&net->map, &p), shaped_uc = pd_map_code_view(&net->map, &uc);
    const pudle_cview su = pudle_const(&shaped_u), sv = pudle_const(&shaped_v), sp = pudle_const(&shaped_p);
    const int32_t needs = ((const pudle_prox_ops *)net->prox.desc->ops)->vjp_needs;
    pudle_status s = gather_momentum(b, t, &u);
    if (!s)
        s = be->prox_vjp(b->exec, &net->prox, step, theta, needs & PUDLE_VJP_INPUT ? &sv : NULL, needs & PUDLE_VJP_OUTPUT ? &sp : NULL, &su,
                         &shaped_uc, learned ? grad : NULL);
    const pudle_cview cuc = pudle_const(&uc), chc = pudle_const(&hc);
    if (!s)
        s = net->map.ops->apply(&net->map, b->exec, &analysis, &cuc, &hc);
    if (s)
        return s;
    const pudle_view shaped_h = pd_map_data_view(&net->map, &hc), shaped_pred = pd_map_data_view(&net->map, &pred);
    const pudle_cview sh = pudle_const(&shaped_h), spred = pudle_const(&shaped_pred);
    s = b->space->step_gradient ? step_derivative(b, t, &spred, &hc) : PUDLE_OK;
    if (!s)
        s = be->loss_hvp(b->exec, &net->inner, &spred, &b->x, &sh, &shaped_h);
    if (!s)
        s = be->loss_grad(b->exec, &net->inner, &spred, &b->x, &shaped_pred);
    if (!s && net->momentum)
        s = spread_momentum(b, t, &u);
    const pudle_view before = net->momentum ? pd_rows(&b->space->adjoint_point, 0, b->rows) : u; /* of where the layer began */
    if (!s)
        s = be->copy(b->exec, &cuc, &before);
    if (!s && t > 1)
        s = net->map.ops->adjoint(&net->map, b->exec, &synthesis, -step, &chc, 1.0, &before);
    if (!s && b->diagnose)
        s = note_bad(net, b->exec, &before, t, &b->space->bad_adjoint);
    return s;
}

/* Back through a window's layers, a chunk of them at a time. */
static pudle_status window_back(const block *b, int64_t w)
{
    const pd_network *net = b->net;
    const int64_t first = w * b->space->window, before = net->layers - net->depth + first;
    pudle_status s = PUDLE_OK;
    for (int64_t end = window_end(b, w) - first; end > 0 && !s;) {
        const int64_t begin = end > b->space->chunk ? end - b->space->chunk : 0;
        for (int64_t i = end - 1; i >= begin && !s; i--)
            s = adjoint_layer(b, before + 1 + i, i, i - begin);
        if (s)
            return s;
        const int64_t n = end - begin, t = before + end; /* of the chunk's last layer: in a chunk, weights and step are the same */
        const pudle_view for_analysis = weights_of(&b->space->analysis, &b->space->gradient, t),
                         for_synthesis = weights_of(&b->space->synthesis, &b->space->gradient, t);
        const pudle_view g = slots(&b->space->data, begin, n, b->rows), y = slots(points(b->space), begin, n, b->rows);
        const pudle_view u = slots(&b->space->back_code, 0, n, b->rows), h = slots(&b->space->back_data, 0, n, b->rows);
        s = add_outer(b, -net->alpha[t - 1], &g, &u, &for_analysis);
        if (!s)
            s = add_outer(b, -net->alpha[t - 1], &h, &y, &for_synthesis);
        if (!s)
            s = pd_offset_add(b, -net->alpha[t - 1], &h);
        end = begin;
    }
    return s;
}

/* Back through the kept layers. The last window is on the tape; the others run once more. */
static pudle_status backpropagate(const block *b)
{
    const pd_lane_space *space = b->space;
    const pudle_view w_T = b->net->momentum ? pd_rows(&space->adjoint_point, 0, b->rows) : (pudle_view){ 0 };
    pudle_status s = b->net->momentum ? b->net->be->fill(b->exec, 0.0, &w_T) : PUDLE_OK;
    if (!s)
        s = window_back(b, space->windows - 1);
    for (int64_t w = space->windows - 2; w >= 0 && !s; w--) {
        s = copy_state(b, &space->begin, w, &space->code, 0);
        if (!s)
            s = run_window(b, w);
        if (!s)
            s = window_back(b, w);
    }
    return s;
}

/* norm = ||z||_1 */
static pudle_status code_norm(const block *b, const pudle_view *code, double *norm)
{
    const pudle_view u = pd_rows(&b->space->adjoint, 0, b->rows); /* free until the adjoint begins */
    const pudle_cview cz = pudle_const(code), cu = pudle_const(&u);
    const pudle_status s = b->net->be->sign(b->exec, &cz, &u);
    return s ? s : b->net->be->dot(b->exec, &cu, &cz, norm);
}

/* Loss and number of nonzeros. */
static pudle_status sum_up(const block *b, const pudle_view *code, const pudle_view *estimate, pd_block_sums *sums)
{
    const pd_network *net = b->net;
    const pudle_view shaped_estimate = pd_map_data_view(&net->map, estimate), shaped_code = pd_map_code_view(&net->map, code);
    const pudle_cview pred = pudle_const(&shaped_estimate), sz = pudle_const(&shaped_code);
    *sums = (pd_block_sums){ .data_loss = 0 };
    if (net->defers)
        pd_defer(net->be, b->exec, true);
    pudle_status s = net->be->loss_value(b->exec, &net->loss, &pred, &b->y, &sums->data_loss);
    if (!s)
        s = net->be->code_value(b->exec, &net->loss, &sz, &sums->code_loss);
    if (!s && net->code_l1 != 0)
        s = code_norm(b, code, &sums->code_norm);
    if (!s && net->code_l2 != 0)
        s = net->be->dot(b->exec, &sz, &sz, &sums->code_square);
    if (!s)
        s = net->be->census(b->exec, &sz, &sums->nonzero, &sums->nonfinite);
    if (net->defers)
        pd_defer(net->be, b->exec, false);
    return s;
}

void pd_lane_add(const pd_network *net, pd_lane_space *space, const pd_block_sums *sums)
{
    space->data_loss += net->data_weight * sums->data_loss;
    space->code_loss += net->code_weight * (sums->code_loss + net->code_l1 * sums->code_norm + net->code_l2 / 2 * sums->code_square);
    space->nonzeros += sums->nonzero;
}

/* u = code_l1 sign(z) + code_l2 z, the penalties' gradient: where the adjoint begins. */
static pudle_status start_adjoint(const block *b, const pudle_view *code, const pudle_view *u)
{
    const pudle_backend_ops *be = b->net->be;
    const double l1 = b->net->code_l1, l2 = b->net->code_l2;
    const pudle_cview cz = pudle_const(code), cu = pudle_const(u);
    pudle_status s = l1 != 0 ? be->sign(b->exec, &cz, u) : be->fill(b->exec, 0.0, u);
    if (!s && l1 != 0)
        s = be->axpby(b->exec, l1, &cu, 0.0, u);
    return s || l2 == 0 ? s : be->axpby(b->exec, l2, &cz, 1.0, u);
}

/* What a sample's part of the loss leaves: in the training loss it has this weight, and its share of the batch's mean. */
static pudle_status weigh(const block *b, double weight, const pudle_view *v)
{
    const pudle_cview c = pudle_const(v);
    return weight * b->share == 1.0 ? PUDLE_OK : b->net->be->axpby(b->exec, weight * b->share, &c, 0.0, v);
}

/* Does the training loss say anything of the code by itself? */
static bool code_counts(const pd_network *net)
{
    const pudle_loss_ops *loss = net->loss.desc->ops;
    const pudle_loss_kernel *kernel = loss->kernels[0];
    return net->code_l1 != 0 || net->code_l2 != 0 || (PUDLE_HAS(kernel, pudle_loss_kernel, code_grad) && kernel->code_grad);
}

/* What the code adds to the loss by itself: u = d loss / d z_T at a given prediction. */
static pudle_status code_adjoint(const block *b, const pudle_view *code, const pudle_view *u)
{
    const pd_network *net = b->net;
    const pudle_view shaped_z = pd_map_code_view(&net->map, code), shaped_u = pd_map_code_view(&net->map, u);
    const pudle_cview sz = pudle_const(&shaped_z);
    pudle_status s = start_adjoint(b, code, u);
    if (s || !code_counts(net))
        return s;
    s = net->be->code_grad(b->exec, &net->loss, &sz, &shaped_u);
    return s ? s : weigh(b, net->code_weight, u);
}

/* Decoder and encoder by the backend's own operation. */
static pudle_status differentiate_unrolled(const block *b, const pudle_view *code, const pudle_view *r)
{
    const pd_network *net = b->net;
    const pudle_view u = pd_rows(&b->space->adjoint, 0, b->rows);
    const pudle_cview cr = pudle_const(r);
    pudle_view sums[PD_MAX_LEVELS];
    for (int i = 0; i < net->levels; i++)
        sums[i] = pd_view(b->space->theta_gradient[i], PUDLE_F64, 2, (const int64_t[]){ net->layers, net->level[i].cols });
    const pudle_status s = code_adjoint(b, code, &u);
    return s ? s : net->unroller->adjoint(net->unroll, b->exec, b->lane, &cr, &u, &b->space->gradient, net->levels && sums[0].data ? sums : NULL);
}

/* Products of the code's entries, as a part of the batch's mean. */
static pudle_status add_code_gram(const block *b, const pudle_view *code)
{
    const pudle_cview z = pudle_const(code);
    return b->net->keeps_gram ? b->net->be->gemm(b->exec, true, false, b->share, &z, &z, 1.0, &b->space->code_gram) : PUDLE_OK;
}

/* The decoder's part of the gradient, and the start of the adjoint. r holds the residual. */
static pudle_status differentiate(const block *b, const pudle_view *code, const pudle_view *estimate, const pudle_cview *truth, const pudle_view *r)
{
    const pd_network *net = b->net;
    const pudle_backend_ops *be = net->be;
    const pudle_view u = pd_rows(&b->space->adjoint, 0, b->rows);
    const pudle_cview cr = pudle_const(r), cz = pudle_const(code), w = pudle_const(&net->effective.value);
    pudle_status s;
    switch (net->decoder_code) {
    case PD_CODE_SIGN:
        s = be->sign(b->exec, &cz, &u);
        return s ? s : add_outer(b, 1.0, r, &u, &b->space->gradient);
    case PD_CODE_TRUE:
        return net->map.ops->gradient(&net->map, b->exec, 1.0, &cr, truth, &b->space->gradient);
    default:
        if (net->unroll && net->depth)
            return differentiate_unrolled(b, code, r);
        s = net->implicit ? PUDLE_OK : add_outer(b, 1.0, r, code, &b->space->gradient);
    }
    if (s || (net->depth == 0 && !net->implicit))
        return s;
    if (net->refit)
        return pd_refit_gradient(b, code, estimate, r);
    s = code_adjoint(b, code, &u);
    if (!s)
        s = net->map.ops->adjoint(&net->map, b->exec, &w, 1.0, &cr, 1.0, &u);
    if (s)
        return s;
    return net->implicit ? pd_implicit_gradient(b, code, estimate, r) : backpropagate(b);
}

static pudle_cview shaped_rows(const pd_network *net, const pudle_cview *all, int64_t first, int64_t rows)
{
    const pudle_cview part = pd_crows(all, first, rows);
    int64_t shape[PUDLE_MAX_RANK] = { rows };
    for (int32_t i = 0; i < net->map.data_rank; i++)
        shape[i + 1] = net->map.data_shape[i];
    return pd_cview(part.data, part.dtype, net->map.data_rank + 1, shape);
}

static pudle_status copy_out(const block *b, const pudle_view *from, const pudle_view *all, int64_t first)
{
    if (!all->data)
        return PUDLE_OK;
    const pudle_view to = pd_rows(all, first, b->rows);
    return copy_view(b, from, &to);
}

/* The residual and what follows from it. The oracle takes both from the true code: (D z* - x) z*'. */
static pudle_status gradient_block(const block *b, const pd_batch *batch, int64_t first, const pudle_view *code, const pudle_view *estimate)
{
    const pd_network *net = b->net;
    const pudle_view r = pd_rows(&b->space->residual, 0, b->rows), shaped_r = pd_map_data_view(&net->map, &r);
    const pudle_view shaped_estimate = pd_map_data_view(&net->map, estimate);
    const pudle_cview pred = pudle_const(&shaped_estimate), w = pudle_const(&net->effective.value);
    pudle_cview truth = { 0 };
    pudle_status s = PUDLE_OK;
    if (net->decoder_code == PD_CODE_TRUE) {
        truth = pd_crows(&batch->truth, first, b->rows);
        s = pd_lane_predict(b, &w, &truth, estimate);
    }
    if (!s)
        s = net->be->loss_grad(b->exec, &net->loss, &pred, &b->y, &shaped_r);
    if (!s)
        s = weigh(b, net->data_weight, &r);
    if (!s && !net->implicit) /* whose r is not the last word */
        s = pd_offset_add(b, 1.0, &r);
    if (!s)
        s = add_code_gram(b, code);
    return s ? s : differentiate(b, code, estimate, &truth, &r);
}

static pudle_status look_further(const block *b, const pudle_view *code, const pudle_view *estimate)
{
    const pd_lane_space *space = b->space;
    const pudle_view g = pd_rows(&space->residual, 0, b->rows), next = pd_rows(&space->adjoint, 0, b->rows), v = slot(&space->input, 0, b->rows);
    return pd_lane_further(b, code, estimate, &g, &v, &next, &v);
}

pudle_status pd_lane_block(const pd_network *net, pudle_exec *exec, pd_lane_space *space, const pd_batch *batch, const pd_pass *pass,
                           int64_t first, int64_t rows, bool diagnose, pd_block_sums *sums)
{
    block b = { net, exec, space, space - net->space, first, rows, shaped_rows(net, &batch->x, first, rows), { 0 }, diagnose, 1.0 / (double)batch->count };
    b.y = batch->y.data ? shaped_rows(net, &batch->y, first, rows) : b.x;
    pudle_status s = encode(&b, pass->gradient);
    if (s)
        return s;
    const pudle_view code = slot(&space->code, last_slot(&b, pass->gradient), rows);
    const pudle_view estimate = pd_rows(&space->reconstruction, 0, rows);
    s = decode(&b, &code, &estimate);
    if (s)
        return s;
    s = sum_up(&b, &code, &estimate, sums);
    if (!s && net->further)
        s = look_further(&b, &code, &estimate);
    if (!s)
        s = copy_out(&b, &code, &pass->code, first);
    if (!s)
        s = copy_out(&b, &estimate, &pass->reconstruction, first);
    return s || !pass->gradient ? s : gradient_block(&b, batch, first, &code, &estimate);
}
