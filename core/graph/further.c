/* One layer more than there are: how far codes are from a fixed point of the encoder. */
#include "graph/lane.h"

pudle_status pd_lane_further(const pd_block *b, const pudle_view *code, const pudle_view *estimate, const pudle_view *g, const pudle_view *v,
                             const pudle_view *next, const pudle_view *change)
{
    const pd_network *net = b->net;
    const pudle_backend_ops *be = net->be;
    const int64_t T = net->layers;
    const double step = net->alpha[T - 1];
    const pudle_view shaped_g = pd_map_data_view(&net->map, g), shaped_v = pd_map_code_view(&net->map, v), shaped_next = pd_map_code_view(&net->map, next);
    const pudle_view shaped_estimate = pd_map_data_view(&net->map, net->synthesis.value.data ? g : estimate);
    const pudle_cview pred = pudle_const(&shaped_estimate), cg = pudle_const(g), cz = pudle_const(code), in = pudle_const(&shaped_v);
    const pudle_cview analysis = pd_lane_weights(net, &net->analysis, T), synthesis = pd_lane_weights(net, &net->synthesis, T);
    const pudle_cview cn = pudle_const(next), cc = pudle_const(change);
    pudle_cview theta[PD_MAX_LEVELS];
    for (int i = 0; i < net->levels; i++)
        theta[i] = pd_level_theta(net, i, T);
    pudle_status s = net->synthesis.value.data ? pd_lane_predict(b, &synthesis, &cz, g) : PUDLE_OK;
    if (!s)
        s = be->loss_grad(b->exec, &net->inner, &pred, &b->x, &shaped_g);
    if (!s)
        s = be->copy(b->exec, &cz, v);
    if (!s)
        s = net->map.ops->adjoint(&net->map, b->exec, &analysis, -step, &cg, 1.0, v);
    if (!s)
        s = be->prox_apply(b->exec, &net->prox, step, theta, &in, &shaped_next);
    if (!s)
        s = be->copy(b->exec, &cn, change);
    if (!s)
        s = be->axpby(b->exec, 1.0, &cz, -1.0, change);
    double moved = 0, size = 0;
    if (!s)
        s = be->dot(b->exec, &cc, &cc, &moved);
    if (!s)
        s = be->dot(b->exec, &cz, &cz, &size);
    b->space->moved += moved;
    b->space->size += size;
    return s;
}
