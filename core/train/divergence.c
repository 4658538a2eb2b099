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
    pd_parameter *list[PD_MAX_PARAMETERS];
    const int n = pass->gradient ? pd_network_parameters(&pb->net, list) : 0;
    pudle_status s = PUDLE_OK;
    for (int i = 0; i < n && !s; i++)
        s = count_finite(pb, &list[i]->grad, &ok);
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
                   "less than 2): lower model.step or train.learning_rate", (long long)update, where, pb->net.alpha[0] * (s ? NAN : sigma2));
}
