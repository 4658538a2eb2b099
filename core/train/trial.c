#include "train/trial.h"
#include "train/atom_prox.h"
#include "train/order.h"
#include "train/stability.h"
#include <stdlib.h>

pudle_status pd_try_first_batch(pd_problem *pb, pd_means *tests)
{
    const int64_t samples = pb->train.samples, count = pd_batch_size(pb->settings, samples);
    int64_t test_samples = 0, *order = pd_alloc((size_t)samples, sizeof *order);
    pd_batch batch;
    pd_pass pass = { .gradient = true };
    if (!order)
        return pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory for the order of %lld samples", (long long)samples);
    pd_epoch_order(pb->settings, 0, samples, order);
    pudle_status s = pd_problem_batch(pb, PUDLE_SPLIT_TRAIN, 0, order, count, &batch);
    if (!s)
        s = pd_network_run(&pb->net, &batch, &pass);
    if (!s)
        s = pd_problem_check_finite(pb, &batch, &pass, 0);
    if (!s)
        s = pd_stability_report(pb);
    if (!s)
        s = pd_atom_prox_try(pb, pb->settings->train.learning_rate);
    if (!s)
        s = pd_stability_check(pb, &batch, &pass, 0);
    if (!s && pass.nonzeros == 0)
        pd_log(pb->ctx, PUDLE_LOG_WARNING, "every code of the first batch is zero, so that nothing is learned from it: lower the threshold of the prox '%s'",
               pb->prox.desc->name);
    if (!s)
        s = pd_problem_check_targets(pb);
    if (!s && pb->settings->train.test_every > 0)
        s = pd_problem_tests(pb, &test_samples);
    if (!s && test_samples > 0)
        s = pd_problem_means(pb, test_samples, 0, NULL, tests);
    free(order);
    return s;
}
