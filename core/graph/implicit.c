/* The implicit gradient of a block: one layer more, the solution u, two outer products, and what learned levels get. */
#include "graph/implicit.h"
#include "graph/offset.h"
#include "graph/small_systems.h"
#include <stdlib.h>
#include <string.h>

static pudle_view input_of(const pd_block *b)
{
    return pd_matrix(b->space->input.data, b->net->dtype, b->rows, b->net->map.code);
}

static pudle_view rows_of(const pd_block *b, int place)
{
    return pd_rows(&b->space->implicit->code[place], 0, b->rows);
}

static pudle_view data_of(const pd_block *b, int place)
{
    return pd_rows(&b->space->implicit->data[place], 0, b->rows);
}

pudle_status pd_implicit_jacobian(const pd_block *b, const pudle_view *g, const pudle_view *gv, const pudle_view *gtheta)
{
    const pd_network *net = b->net;
    const int32_t needs = ((const pudle_prox_ops *)net->prox.desc->ops)->vjp_needs;
    const pudle_view v = input_of(b), p = rows_of(b, PD_IMPLICIT_NEXT);
    const pudle_view shaped_v = pd_map_code_view(&net->map, &v), shaped_p = pd_map_code_view(&net->map, &p);
    const pudle_view shaped_g = pd_map_code_view(&net->map, g), shaped_gv = pd_map_code_view(&net->map, gv);
    const pudle_cview cv = pudle_const(&shaped_v), cp = pudle_const(&shaped_p), cg = pudle_const(&shaped_g);
    pudle_cview theta[PD_MAX_LEVELS];
    for (int i = 0; i < net->levels; i++)
        theta[i] = pd_level_theta(net, i, net->layers);
    return net->be->prox_vjp(b->exec, &net->prox, net->alpha[net->layers - 1], theta, needs & PUDLE_VJP_INPUT ? &cv : NULL,
                             needs & PUDLE_VJP_OUTPUT ? &cp : NULL, &cg, &shaped_gv, gtheta);
}

pudle_status pd_implicit_hessian(const pd_block *b, const pudle_view *estimate, const pudle_view *h)
{
    const pd_network *net = b->net;
    const pudle_view shaped_h = pd_map_data_view(&net->map, h), shaped_estimate = pd_map_data_view(&net->map, estimate);
    const pudle_cview ch = pudle_const(&shaped_h), pred = pudle_const(&shaped_estimate);
    return net->be->loss_hvp(b->exec, &net->inner, &pred, &b->x, &ch, &shaped_h);
}

void pd_implicit_report(const pd_block *b, int64_t row, double condition)
{
    pd_lane_space *space = b->space;
    space->implicit->left_out[row] = true;
    if (!space->left_out++ || condition > space->worst_condition) {
        space->worst_condition = condition;
        space->worst_sample = b->first + row;
    }
}

/* Levels: the adjoints before the prox, summed over the layers, are d + w - D' H D u, and meet d prox / d theta at the fixed point. */
static pudle_status level_gradients(const pd_block *b, const pudle_cview *u, const pudle_cview *h)
{
    const pd_network *net = b->net;
    const pudle_cview w = pudle_const(&net->effective.value);
    const pudle_view sum = pd_rows(&b->space->adjoint, 0, b->rows), unused = rows_of(b, PD_IMPLICIT_JACOBIAN);
    pudle_view grad[PD_MAX_LEVELS];
    pudle_status s = net->be->axpby(b->exec, 1.0 / net->alpha[net->layers - 1], u, 1.0, &sum);
    if (!s)
        s = net->map.ops->adjoint(&net->map, b->exec, &w, -1.0, h, 1.0, &sum);
    for (int64_t i = 0; i < b->rows && !s; i++) {
        const pudle_view row = pd_rows(&sum, i, 1);
        if (b->space->implicit->left_out[i])
            s = net->be->fill(b->exec, 0.0, &row);
    }
    for (int i = 0; i < net->levels; i++) /* in the last layer's place: the fixed point is that of its levels */
        grad[i] = pd_view(b->space->theta_gradient[i] + (net->layers - 1) * net->level[i].cols, PUDLE_F64, 1, &net->level[i].cols);
    return s ? s : pd_implicit_jacobian(b, &sum, &unused, grad);
}

pudle_status pd_implicit_note(const pd_block *b, const pudle_cview *u)
{
    int64_t nonzero, nonfinite = 0;
    const pudle_status s = b->net->be->census(b->exec, u, &nonzero, &nonfinite);
    if (nonfinite && !b->space->bad_adjoint)
        b->space->bad_adjoint = b->net->layers;
    return s;
}

pudle_status pd_implicit_gradient(const pd_block *b, const pudle_view *code, const pudle_view *estimate, const pudle_view *r)
{
    const pd_network *net = b->net;
    const pudle_view u = rows_of(b, PD_IMPLICIT_U), g = data_of(b, PD_IMPLICIT_G), h = data_of(b, PD_IMPLICIT_H);
    const pudle_cview w = pudle_const(&net->effective.value), cu = pudle_const(&u), cg = pudle_const(&g), ch = pudle_const(&h);
    const pudle_cview cr = pudle_const(r), cz = pudle_const(code);
    for (int64_t i = 0; i < b->rows; i++)
        b->space->implicit->left_out[i] = false;
    const pudle_view v = input_of(b), next = rows_of(b, PD_IMPLICIT_NEXT); /* J is taken at v */
    pudle_status s = pd_lane_further(b, code, estimate, &g, &v, &next, &u);
    if (!s)
        s = pd_implicit_direct(net) ? pd_implicit_factor(b, estimate) : pd_implicit_iterate(b, estimate);
    if (!s)
        s = net->map.ops->apply(&net->map, b->exec, &w, &cu, &h);
    if (!s)
        s = pd_implicit_hessian(b, estimate, &h);
    if (!s)
        s = net->be->axpby(b->exec, -1.0, &ch, 1.0, r);
    if (!s)
        s = pd_offset_add(b, 1.0, r);
    if (!s)
        s = net->map.ops->gradient(&net->map, b->exec, 1.0, &cr, &cz, &b->space->gradient);
    if (!s)
        s = net->map.ops->gradient(&net->map, b->exec, -1.0, &cg, &cu, &b->space->gradient);
    if (!s && net->levels && b->space->theta_gradient[0])
        s = level_gradients(b, &cu, &ch);
    return s || !b->diagnose ? s : pd_implicit_note(b, &cu);
}

/* ---------------------------------------------------------------- life */

/* What a lane holds on the host for blocks of `rows` samples. at: of a pointer, whatever it points to. */
typedef struct host_array { void *at; int64_t count; size_t width; } host_array;
enum { HOST_ARRAYS = 8 };

static int host_arrays(const pd_network *net, pd_implicit_space *w, int64_t rows, host_array list[HOST_ARRAYS])
{
    const size_t width = pudle_dtype_size(net->dtype);
    const int64_t p = net->map.code, m = net->map.features;
    int n = 0;
    list[n++] = (host_array){ &w->left_out, rows, sizeof *w->left_out };
    if (!pd_implicit_direct(net)) {
        list[n++] = (host_array){ &w->row, 4 * rows, sizeof *w->row };
        return n;
    }
    list[n++] = (host_array){ &w->host_code[0], rows * p, width };
    list[n++] = (host_array){ &w->host_code[1], rows * p, width };
    list[n++] = (host_array){ &w->host_data, rows * m, width };
    list[n++] = (host_array){ &w->support, PD_SIDE * p, sizeof *w->support };
    list[n++] = (host_array){ &w->place, p + 2, sizeof *w->place };
    list[n++] = (host_array){ &w->count, rows, sizeof *w->count };
    list[n++] = (host_array){ &w->order, rows, sizeof *w->order };
    return n;
}

static int codes_of(const pd_network *net)
{
    return pd_implicit_direct(net) ? PD_IMPLICIT_JACOBIAN + 1 : PD_IMPLICIT_CODES;
}

double pd_implicit_bytes(const pd_network *net, int64_t rows)
{
    pd_implicit_space none = { 0 };
    host_array list[HOST_ARRAYS];
    double bytes = (double)pudle_dtype_size(net->dtype) * (double)rows * ((double)(codes_of(net) * net->map.code) + (double)(PD_IMPLICIT_DATA * net->map.features));
    for (int i = host_arrays(net, &none, rows, list) - 1; i >= 0; i--)
        bytes += (double)list[i].count * (double)list[i].width;
    return bytes + (pd_implicit_direct(net) ? pd_implicit_worst(net) : 0);
}

pudle_status pd_implicit_make(const pd_network *net, pd_lane_space *space, int64_t rows)
{
    pd_implicit_space *w = space->implicit = pd_alloc(1, sizeof *w);
    host_array list[HOST_ARRAYS];
    bool all = w != NULL;
    for (int i = w ? host_arrays(net, w, rows, list) - 1 : -1; i >= 0; i--) {
        void *const memory = pd_alloc((size_t)list[i].count, list[i].width);
        memcpy(list[i].at, &memory, sizeof memory);
        all = all && memory;
    }
    pudle_status s = all ? PUDLE_OK : pd_fail(net->ctx, PUDLE_ERR_NOMEM, "out of memory for the implicit gradient");
    for (int i = 0; i < codes_of(net) && !s; i++)
        s = pd_network_take(net, &w->code[i], rows, net->map.code);
    for (int i = 0; i < PD_IMPLICIT_DATA && !s; i++)
        s = pd_network_take(net, &w->data[i], rows, net->map.features);
    return s;
}

void pd_implicit_free(const pd_network *net, pd_lane_space *space)
{
    pd_implicit_space *w = space->implicit;
    if (!w)
        return;
    for (int i = 0; i < PD_IMPLICIT_CODES; i++)
        if (w->code[i].data)
            net->be->free(net->exec, w->code[i].data);
    for (int i = 0; i < PD_IMPLICIT_DATA; i++)
        if (w->data[i].data)
            net->be->free(net->exec, w->data[i].data);
    host_array list[HOST_ARRAYS];
    for (int i = host_arrays(net, w, 0, list) - 1; i >= 0; i--) {
        void *memory;
        memcpy(&memory, list[i].at, sizeof memory);
        free(memory);
    }
    free(w->matrix);
    free(w->work);
    free(w);
    space->implicit = NULL;
}
