/* Divergence: found where the loss or the gradient stops being finite, then traced to the layer. */
#include "train/measured.h"
#include "train/stability.h"
#include <math.h>

/* The first sample of the batch that holds what is no number, where no loss has looked at that; -1: none. */
static pudle_status bad_sample(pd_problem *pb, const pd_batch *batch, int64_t *bad)
{
    const bool looked = pd_looks_at_targets(pb->inner.desc) && pd_looks_at_targets(pb->loss.desc);
    int64_t nonzero, nonfinite = 0;
    pudle_status s = PUDLE_OK;
    *bad = -1;
    for (int64_t i = 0; i < batch->count && !looked && !s; i++) {
        const pudle_cview row = pd_crows(&batch->x, i, 1);
        s = pb->be->census(pb->exec, &row, &nonzero, &nonfinite);
        if (nonfinite) {
            *bad = batch->index ? batch->index[i] : i;
            break;
        }
    }
    return s;
}

pudle_status pd_problem_check_finite(pd_problem *pb, const pd_batch *batch, const pd_pass *pass, int64_t update)
{
    int64_t layer = 0;
    bool in_adjoint = false, prox = false;
    if (isfinite(pass->data_loss) && isfinite(pass->code_loss) && !pass->nonfinite)
        return PUDLE_OK;
    int64_t bad = -1;
    pudle_status s = bad_sample(pb, batch, &bad);
    if (s)
        return s;
    if (bad >= 0)
        return pd_fail(pb->ctx, PUDLE_ERR_NUMERIC, "sample %lld holds a number that is not finite%s, and the loss '%s' does not pass over it: repair the data, or, "
                       "where NaN stands for what is missing, write  loss.missing = \"skip\";", (long long)bad, pb->dtype == PUDLE_F64 ? "" : " in single precision",
                       pb->loss.desc->name);
    s = pd_stability_check_scale(pb, batch, update);
    if (!s)
        s = pd_network_diagnose(&pb->net, batch, &layer, &in_adjoint, &prox);
    if (s)
        return s;
    if (prox)
        return pd_fail(pb->ctx, PUDLE_ERR_NUMERIC, "update %lld, layer %lld of %lld: the prox '%s' makes of finite numbers what is none: its thresholds, or the "
                       "operator itself (pudle plugins check %s)", (long long)update, (long long)layer, (long long)pb->net.layers, pb->prox.desc->name,
                       pb->prox.desc->name);
    double sigma2 = 0;
    s = pd_network_sigma2(&pb->net, PD_SIGMA_TOLD, &sigma2);
    char where[80];
    if (layer > pb->net.layers)
        snprintf(where, sizeof where, "in the decoder, after layer %lld", (long long)pb->net.layers);
    else
        snprintf(where, sizeof where, "at layer %lld of %lld%s", (long long)layer, (long long)pb->net.layers, in_adjoint ? " of the adjoint" : "");
    return pd_fail(pb->ctx, PUDLE_ERR_NUMERIC,
                   "diverged at update %lld, %s: the numbers are no longer finite. step * sigma_max(%s)^2 = %.3g (a stable encoder needs "
                   "less than %.3g): lower model.step or train.learning_rate", (long long)update, where, pd_measured_name(pb), pb->net.alpha[0] * (s ? NAN : sigma2),
                   pd_stability_limit(&pb->net));
}
