/* Codes that grow from layer to layer, and are still numbers at the end. */
#include "train/stability.h"
#include "train/measured.h"
#include <float.h>
#include <math.h>

enum { SAMPLES_MOST = 256 /* that go to the backend at a time */ };
static const double much = 1e3;

double pd_stability_limit(const pd_network *net)
{
    double b = 0;
    for (int64_t t = 0; t < net->layers && net->momentum; t++)
        b = fmax(b, net->momentum[t]);
    return 1 + 1 / (1 + 2 * b);
}

/* The sum of the loss of predictions of the baseline alone, 0 where there is none, for targets (count, m). */
static pudle_status loss_of_zeros(pd_problem *pb, const pudle_view *pred, const pudle_cview *targets, int64_t count, double *sum)
{
    const int64_t m = pb->net.map.features;
    pudle_status s = PUDLE_OK;
    *sum = 0;
    for (int64_t first = 0; first < count && !s; first += SAMPLES_MOST) {
        const int64_t rows = count - first < SAMPLES_MOST ? count - first : SAMPLES_MOST;
        const pudle_cview part = pd_crows(targets, first, rows);
        const pudle_view zeros = pd_rows(pred, 0, rows), target = pd_matrix((void *)part.data, pb->dtype, rows, m);
        const pudle_view shaped_zeros = pd_map_data_view(&pb->net.map, &zeros), shaped_target = pd_map_data_view(&pb->net.map, &target);
        const pudle_cview p = pudle_const(&shaped_zeros), y = pudle_const(&shaped_target);
        double one = 0;
        s = pb->be->loss_value(pb->exec, &pb->net.loss, &p, &y, &one);
        *sum += one;
    }
    return s;
}

/* What codes of zeros cost in this batch, in the mean: for its targets or, should these be smaller, its inputs. */
static pudle_status zero_loss(pd_problem *pb, const pd_batch *batch, double *loss)
{
    const int64_t m = pb->net.map.features, rows = batch->count < SAMPLES_MOST ? batch->count : SAMPLES_MOST;
    void *memory = NULL;
    double of_input = 0, of_target = 0;
    pudle_status s = pb->be->alloc(pb->exec, (size_t)(rows * m) * pudle_dtype_size(pb->dtype), &memory);
    const pudle_view pred = pd_matrix(memory, pb->dtype, rows, m);
    if (!s)
        s = pd_problem_baseline(pb, &pred);
    if (!s)
        s = loss_of_zeros(pb, &pred, &batch->x, batch->count, &of_input);
    if (!s && batch->y.data)
        s = loss_of_zeros(pb, &pred, &batch->y, batch->count, &of_target);
    *loss = pb->net.data_weight * fmax(of_input, of_target) / (double)batch->count;
    if (memory)
        pb->be->free(pb->exec, memory);
    return s;
}

/* The largest loss so far of codes of zeros is a bound below which no batch needs a look of its own. */
static pudle_status warn_growth(pd_problem *pb, const pd_batch *batch, const pd_pass *pass, int64_t update)
{
    double own = 0, sigma2 = 0;
    if (pb->growth_told || !(pb->loss.desc->caps & PUDLE_LOSS_QUADRATIC) || !(pass->data_loss > much * pb->zero_loss))
        return PUDLE_OK;
    pudle_status s = zero_loss(pb, batch, &own);
    if (own > pb->zero_loss)
        pb->zero_loss = own;
    if (s || !(own > 0) || !(pass->data_loss > much * own))
        return s;
    pb->growth_told = true;
    s = pd_network_sigma2(&pb->net, PD_SIGMA_TOLD, &sigma2);
    if (!s)
        pd_log(pb->ctx, PUDLE_LOG_WARNING, "update %lld: the loss is %.3g times that of codes of zeros, so the codes have grown beyond the data; step * sigma_max(%s)^2 = %.3g "
               "(a stable encoder needs less than %.3g). Should it not come back, lower model.step or train.learning_rate (said once)", (long long)update,
               pass->data_loss / own, pd_measured_name(pb), pb->net.alpha[0] * sigma2, pd_stability_limit(&pb->net));
    return s;
}

/* A loss from which on squares of gradients leave the precision. */
static double most_loss(const pd_problem *pb)
{
    return pb->dtype == PUDLE_F64 ? sqrt(DBL_MAX) : sqrt((double)FLT_MAX);
}

pudle_status pd_stability_check_scale(pd_problem *pb, const pd_batch *batch, int64_t update)
{
    double loss = 0;
    const pudle_status s = zero_loss(pb, batch, &loss);
    if (s || !(loss >= most_loss(pb)))
        return s;
    return pd_fail(pb->ctx, PUDLE_ERR_NUMERIC, "update %lld: the data are too large for %s precision: codes of zeros have a loss of %.3g, and squares of its gradients are beyond it. "
                   "Scale the data%s", (long long)update, pb->dtype == PUDLE_F64 ? "double" : "single", loss,
                   pb->dtype == PUDLE_F64 ? "" : ", or write  precision = \"f64\";");
}

pudle_status pd_stability_check(pd_problem *pb, const pd_batch *batch, const pd_pass *pass, int64_t update)
{
    double sigma2 = 0;
    if (fabs(pass->data_loss) < most_loss(pb))
        return warn_growth(pb, batch, pass, update);
    pudle_status s = pd_stability_check_scale(pb, batch, update);
    if (!s)
        s = pd_network_sigma2(&pb->net, PD_SIGMA_TOLD, &sigma2);
    return s ? s : pd_fail(pb->ctx, PUDLE_ERR_NUMERIC, "diverged at update %lld: the loss is %.3g, and squares of its gradients are beyond %s precision. step * sigma_max(%s)^2 = %.3g "
                           "(a stable encoder needs less than %.3g): lower model.step or train.learning_rate", (long long)update, pass->data_loss,
                           pb->dtype == PUDLE_F64 ? "double" : "single", pd_measured_name(pb), pb->net.alpha[0] * sigma2, pd_stability_limit(&pb->net));
}

pudle_status pd_stability_report(pd_problem *pb)
{
    const pudle_loss_ops *inner = pb->inner.desc->ops;
    double constant = 0, sigma2 = 0;
    const bool tied = !pb->net.step_rows && pb->net.encoder == PD_ENCODER_TIED;
    if (tied && pb->settings->step_over_l && pb->settings->step >= pd_stability_limit(&pb->net))
        pd_log(pb->ctx, PUDLE_LOG_WARNING, "model.step = \"%s\": from %.3g / L on codes may grow with every layer instead of converging%s", pb->settings->model.step,
               pd_stability_limit(&pb->net), pb->net.momentum ? ", with this momentum" : "");
    if (!tied || pb->settings->step_over_l || !PUDLE_HAS(inner, pudle_loss_ops, lipschitz) || !inner->lipschitz || inner->lipschitz(pb->inner.self, NULL, &constant))
        return PUDLE_OK;
    const pudle_status s = pd_network_sigma2(&pb->net, PD_SIGMA_TOLD, &sigma2);
    if (s)
        return s;
    const double product = pb->net.step * constant * sigma2, limit = pd_stability_limit(&pb->net);
    if (product >= limit)
        pd_log(pb->ctx, PUDLE_LOG_WARNING, "model.step = %g: step * L = %.3g, L = %.3g being the Lipschitz constant of the encoder's gradient. From %.3g on codes may grow with "
               "every layer instead of converging; step = \"1/L\" is always below", pb->net.step, product, constant * sigma2, limit);
    else
        pd_log_note(pb->ctx, "step * L = %.3g (a stable encoder needs less than %.3g)", product, limit);
    return PUDLE_OK;
}
