/* Codes that grow from layer to layer, and are still numbers at the end. */
#include "train/stability.h"
#include <math.h>

enum { SAMPLES_MOST = 256 };
static const double much = 1e3, too_much = 1e12;

/* The mean loss of a prediction of the baseline alone, 0 where there is none, over the first samples of a batch. */
static pudle_status loss_of_zeros(pd_problem *pb, const pd_batch *batch, double *loss)
{
    const int64_t count = batch->count < SAMPLES_MOST ? batch->count : SAMPLES_MOST, m = pb->net.map.features;
    void *memory = NULL;
    double sum = 0;
    pudle_status s = pb->be->alloc(pb->exec, (size_t)(count * m) * pudle_dtype_size(pb->dtype), &memory);
    const pudle_view plain = pd_matrix(memory, pb->dtype, count, m), shaped = pd_map_data_view(&pb->net.map, &plain);
    if (!s)
        s = pd_problem_baseline(pb, &plain);
    const pudle_cview *wanted = batch->y.data ? &batch->y : &batch->x;
    const pudle_view target = pd_matrix((void *)wanted->data, pb->dtype, count, m), shaped_target = pd_map_data_view(&pb->net.map, &target);
    const pudle_cview pred = pudle_const(&shaped), y = pudle_const(&shaped_target);
    if (!s)
        s = pb->be->loss_value(pb->exec, &pb->net.loss, &pred, &y, &sum);
    *loss = pb->net.data_weight * sum / (double)count;
    if (memory)
        pb->be->free(pb->exec, memory);
    return s;
}

pudle_status pd_stability_check(pd_problem *pb, const pd_batch *batch, const pd_pass *pass, int64_t update)
{
    double sigma2 = NAN;
    if (!(pb->loss.desc->caps & PUDLE_LOSS_QUADRATIC))
        return PUDLE_OK;
    if (!pb->zero_loss_known) {
        const pudle_status s = loss_of_zeros(pb, batch, &pb->zero_loss);
        if (s)
            return s;
        pb->zero_loss_known = true;
    }
    const double growth = pass->data_loss / pb->zero_loss;
    if (!(pb->zero_loss > 0) || !(growth > much) || (growth < too_much && pb->growth_told))
        return PUDLE_OK;
    const pudle_status s = pd_network_sigma2(&pb->net, &sigma2);
    if (s)
        return s;
    const double stretch = pb->net.alpha[0] * sigma2;
    if (growth < too_much) {
        pb->growth_told = true;
        pd_log(pb->ctx, PUDLE_LOG_WARNING, "update %lld: the loss is %.3g times that of codes of zeros, so the codes have grown beyond the data; step * sigma_max(D)^2 = %.3g "
               "(a stable encoder needs less than 2). Should it not come back, lower model.step or train.learning_rate (said once)", (long long)update, growth, stretch);
        return PUDLE_OK;
    }
    return pd_fail(pb->ctx, PUDLE_ERR_NUMERIC, "diverged at update %lld: the loss, %.3g, is %.3g times that of codes of zeros. step * sigma_max(D)^2 = %.3g (a stable encoder "
                   "needs less than 2): lower model.step or train.learning_rate", (long long)update, pass->data_loss, growth, stretch);
}

pudle_status pd_stability_report(pd_problem *pb)
{
    const pudle_loss_ops *inner = pb->inner.desc->ops;
    double constant = 0, sigma2 = 0;
    const bool fixed = !pb->settings->step_over_l && !pb->net.step_rows && pb->net.encoder == PD_ENCODER_TIED;
    if (!fixed || !PUDLE_HAS(inner, pudle_loss_ops, lipschitz) || !inner->lipschitz || inner->lipschitz(pb->inner.self, NULL, &constant))
        return PUDLE_OK;
    const pudle_status s = pd_network_sigma2(&pb->net, &sigma2);
    if (s)
        return s;
    const double product = pb->net.step * constant * sigma2;
    if (product >= 2)
        pd_log(pb->ctx, PUDLE_LOG_WARNING, "model.step = %g: step * L = %.3g, L = %.3g being the Lipschitz constant of the encoder's gradient. From 2 on codes may grow with "
               "every layer instead of converging; step = \"1/L\" is always below", pb->net.step, product, constant * sigma2);
    else
        pd_log_note(pb->ctx, "step * L = %.3g (a stable encoder needs less than 2)", product);
    return PUDLE_OK;
}
