/* The decoder's gradient at a code without shrinkage. A threshold leaves the entries of z smaller than least squares on the atoms that it has chosen would
 * have them, by about lambda, and the dictionary makes up for that. On the support S of z the code is fitted again,
 *   z' = z - u,   (D_S' H D_S) u = D_S' l_in'(D z + a; x),   H the Hessian of the inner loss, a sum of squares,
 * and the gradient is that of the decoder there, l'(D z' + a; y) z''. Beside that of implicit, with the same matrix where the prox has no curvature and
 * H is the identity, this is D u u' more. */
#include "graph/implicit.h"
#include "graph/offset.h"

static pudle_view rows_of(const pd_block *b, const pudle_view *all)
{
    return pd_rows(all, 0, b->rows);
}

pudle_status pd_refit_gradient(const pd_block *b, const pudle_view *code, const pudle_view *estimate, const pudle_view *r)
{
    const pd_network *net = b->net;
    const pudle_backend_ops *be = net->be;
    pd_implicit_space *w = b->space->implicit;
    const pudle_view u = rows_of(b, &w->code[PD_IMPLICIT_U]), support = rows_of(b, &w->code[PD_IMPLICIT_JACOBIAN]), d = rows_of(b, &b->space->adjoint);
    const pudle_view g = rows_of(b, &w->data[PD_IMPLICIT_G]), h = rows_of(b, &w->data[PD_IMPLICIT_H]);
    const pudle_view shaped_estimate = pd_map_data_view(&net->map, estimate), shaped_g = pd_map_data_view(&net->map, &g);
    const pudle_view shaped_h = pd_map_data_view(&net->map, &h), shaped_r = pd_map_data_view(&net->map, r);
    const pudle_cview pred = pudle_const(&shaped_estimate), again = pudle_const(&shaped_h), z = pudle_const(code), weights = pudle_const(&net->effective.value);
    const pudle_cview cg = pudle_const(&g), cu = pudle_const(&u), cr = pudle_const(r), old = pudle_const(estimate);
    for (int64_t i = 0; i < b->rows; i++)
        w->left_out[i] = false;
    pudle_status s = be->loss_grad(b->exec, &net->inner, &pred, &b->x, &shaped_g);
    if (!s)
        s = net->map.ops->adjoint(&net->map, b->exec, &weights, 1.0, &cg, 0.0, &d);
    if (!s)
        s = be->copy(b->exec, &z, &support);
    if (!s)
        s = pd_implicit_factor(b, estimate);
    if (!s)
        s = net->map.ops->apply(&net->map, b->exec, &weights, &cu, &h);
    if (!s) /* D z' + a */
        s = be->axpby(b->exec, 1.0, &old, -1.0, &h);
    if (!s)
        s = be->axpby(b->exec, 1.0, &z, -1.0, &u);
    if (!s)
        s = be->loss_grad(b->exec, &net->loss, &again, &b->y, &shaped_r);
    if (!s) /* of the batch's mean, as all adjoints */
        s = be->axpby(b->exec, 0.0, &cr, net->data_weight * b->share, r);
    if (!s)
        s = pd_offset_add(b, 1.0, r);
    if (!s)
        s = net->map.ops->gradient(&net->map, b->exec, 1.0, &cr, &cu, &b->space->gradient);
    return s || !b->diagnose ? s : pd_implicit_note(b, &cu);
}
