/* Divergence: found where the loss or the gradient stops being finite, then traced to the layer. */
#include "train/problem.h"
#include <math.h>

static pudle_status count_finite(pd_problem *pb, const pudle_view *v, bool *ok)
{
    int64_t nonzero = 0, nonfinite = 0;
    const pudle_cview c = pudle_const(v);
    const pudle_status s = pb->be->census(pb->exec, &c, &nonzero, &nonfinite);
    *ok = *ok && !nonfinite;
    return s;
}

pudle_status pd_problem_check_finite(pd_problem *pb, const pd_batch *batch, const pd_pass *pass, int64_t update)
{
    bool ok = isfinite(pass->data_loss) && isfinite(pass->code_loss);
    pudle_status s = pass->gradient ? count_finite(pb, &pb->net.dictionary.grad, &ok) : PUDLE_OK;
    for (int i = 0; i < pb->net.levels && !s && pass->gradient; i++)
        if (pb->net.level[i].learned)
            s = count_finite(pb, &pb->net.level[i].parameter.grad, &ok);
    if (s || ok)
        return s;
    int64_t layer = 0;
    bool in_adjoint = false;
    s = pd_network_diagnose(&pb->net, batch, &layer, &in_adjoint);
    if (s)
        return s;
    double sigma2 = 0;
    s = pd_network_sigma2(&pb->net, &sigma2);
    char where[80];
    if (layer > pb->net.layers)
        snprintf(where, sizeof where, "in the decoder, after layer %lld", (long long)pb->net.layers);
    else
        snprintf(where, sizeof where, "at layer %lld of %lld%s", (long long)layer, (long long)pb->net.layers, in_adjoint ? " of the adjoint" : "");
    return pd_fail(pb->ctx, PUDLE_ERR_NUMERIC,
                   "diverged at update %lld, %s: the numbers are no longer finite. step * sigma_max(D)^2 = %.3g (a stable encoder needs "
                   "less than 2): lower model.step or train.learning_rate", (long long)update, where, pb->net.step * (s ? NAN : sigma2));
}
