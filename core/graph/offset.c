/* A learned baseline. The sums over samples, and over the entries that share a number, are products with ones. */
#include "graph/offset.h"
#include <math.h>
#include <stdlib.h>

static bool learned(const pd_network *net)
{
    return net->offset.value.data != NULL;
}

pudle_status pd_offset_init(pd_network *net)
{
    const int64_t m = net->map.features, groups = net->offset_groups;
    if (!groups)
        return PUDLE_OK;
    net->own_baseline = pd_alloc((size_t)m, sizeof *net->own_baseline);
    if (!net->own_baseline)
        return pd_fail(net->ctx, PUDLE_ERR_NOMEM, "out of memory for the offset of %lld numbers", (long long)m);
    for (int64_t i = 0; i < m && net->baseline; i++)
        net->own_baseline[i] = net->baseline[i];
    net->baseline = net->own_baseline;
    pudle_status s = pd_parameter_init(net, &net->offset, 2, (const int64_t[]){ groups, 1 });
    if (!s)
        s = pd_network_take(net, &net->offset_sum, groups, m / groups);
    if (!s)
        s = pd_network_take(net, &net->offset_ones, m / groups, 1);
    return s ? s : net->be->fill(net->exec, 1.0, &net->offset_ones);
}

void pd_offset_fini(pd_network *net)
{
    pudle_view *const mine[] = { &net->offset_sum, &net->offset_ones };
    for (int i = 0; i < 2; i++) {
        if (mine[i]->data)
            net->be->free(net->exec, mine[i]->data);
        mine[i]->data = NULL;
    }
    free(net->own_baseline);
    net->own_baseline = NULL;
}

pudle_status pd_offset_start(pd_network *net)
{
    const int64_t groups = net->offset_groups, per = groups ? net->map.features / groups : 0;
    for (int64_t g = 0; g < groups; g++) {
        const double first = net->own_baseline[g * per];
        const pudle_view one = pd_rows(&net->offset.value, g, 1);
        for (int64_t i = 1; i < per; i++)
            if (net->own_baseline[g * per + i] != first)
                return pd_fail(net->ctx, PUDLE_ERR_CONFIG, "loss.offset_path: entries %lld and %lld are to share one number (loss.learn_offset), and begin at %g and %g; "
                               "learn one for every entry, or give them the same", (long long)(g * per), (long long)(g * per + i), first, net->own_baseline[g * per + i]);
        const pudle_status s = net->be->fill(net->exec, first, &one);
        if (s)
            return s;
    }
    return PUDLE_OK;
}

pudle_status pd_offset_refresh(pd_network *net)
{
    const int64_t groups = net->offset_groups, per = groups ? net->map.features / groups : 0;
    const size_t width = pudle_dtype_size(net->dtype);
    if (!learned(net))
        return PUDLE_OK;
    void *host = pd_alloc((size_t)groups, width);
    if (!host)
        return pd_fail(net->ctx, PUDLE_ERR_NOMEM, "out of memory for the offset of %lld numbers", (long long)groups);
    pudle_status s = net->be->download(net->exec, host, net->offset.value.data, (size_t)groups * width);
    for (int64_t i = 0; i < groups * per && !s; i++)
        net->own_baseline[i] = net->dtype == PUDLE_F64 ? ((const double *)host)[i / per] : (double)((const float *)host)[i / per];
    free(host);
    return s ? s : pd_lanes_baseline(net);
}

pudle_status pd_offset_add(const pd_block *b, double a, const pudle_view *r)
{
    const pd_network *net = b->net;
    if (!learned(net))
        return PUDLE_OK;
    const pudle_view ones = pd_matrix(b->space->ones.data, net->dtype, 1, r->shape[0]);
    const pudle_cview c = pudle_const(&ones), cr = pudle_const(r);
    return net->be->gemm(b->exec, false, false, a, &c, &cr, 1.0, &b->space->offset);
}

pudle_status pd_offset_reduce(pd_network *net)
{
    pudle_status s = PUDLE_OK;
    if (!learned(net))
        return s;
    const pudle_view row = pd_matrix(net->offset_sum.data, net->dtype, 1, net->map.features);
    for (int64_t l = 0; l < net->lanes && !s; l++) {
        const pudle_cview part = pudle_const(&net->space[l].offset);
        s = net->be->axpby(net->exec, 1.0, &part, l ? 1.0 : 0.0, &row);
    }
    const pudle_cview sum = pudle_const(&net->offset_sum), ones = pudle_const(&net->offset_ones);
    return s ? s : net->be->gemm(net->exec, false, false, 1.0, &sum, &ones, 0.0, &net->offset.grad);
}
