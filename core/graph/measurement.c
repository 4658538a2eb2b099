/* Samples that are measurements of signals, x = A D z, by a matrix A that is known and the same for all. To the layers W = A D is a dictionary like any
 * other; D has its gradient by the chain rule, gD = A' gW. What A maps to nothing has none: the part of an atom in A's null space is learned from no sample. */
#include "graph/network.h"

pudle_status pd_measurement_init(pd_network *net, const pudle_cview *a)
{
    const size_t bytes = (size_t)pudle_count(a) * pudle_dtype_size(a->dtype);
    void *memory = NULL;
    const pudle_status s = net->be->alloc(net->exec, bytes, &memory);
    if (s)
        return s;
    net->measurement = pd_view(memory, a->dtype, a->rank, a->shape);
    return net->be->upload(net->exec, memory, a->data, bytes);
}

void pd_measurement_fini(pd_network *net)
{
    if (net->measurement.data)
        net->be->free(net->exec, net->measurement.data);
    net->measurement.data = NULL;
}

/* W = A D */
pudle_status pd_measurement_refresh(pd_network *net)
{
    const pudle_cview a = pudle_const(&net->measurement), d = pudle_const(&net->dictionary.value);
    return a.data ? net->be->gemm(net->exec, false, false, 1.0, &a, &d, 0.0, &net->effective.value) : PUDLE_OK;
}

/* gD = A' gW */
pudle_status pd_measurement_gradient(pd_network *net)
{
    const pudle_cview a = pudle_const(&net->measurement), g = pudle_const(&net->effective.grad);
    return a.data ? net->be->gemm(net->exec, true, false, 1.0, &a, &g, 0.0, &net->dictionary.grad) : PUDLE_OK;
}

/* S = Z D' */
pudle_status pd_measurement_signals(pd_network *net, const pudle_cview *codes, const pudle_view *signals)
{
    const pudle_cview d = pudle_const(&net->dictionary.value);
    return net->be->gemm(net->exec, false, true, 1.0, codes, &d, 0.0, signals);
}
