/* Divergence: found where the loss or the gradient stops being finite, then traced to the layer. */
#include "train/problem.h"
#include <math.h>

pudle_status pd_problem_check_finite(pd_problem *pb, const pd_batch *batch, const pd_pass *pass, int64_t update)
{
    int64_t layer = 0;
    bool in_adjoint = false;
    if (isfinite(pass->data_loss) && isfinite(pass->code_loss) && !pass->nonfinite)
        return PUDLE_OK;
    pudle_status s = pd_network_diagnose(&pb->net, batch, &layer, &in_adjoint);
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
