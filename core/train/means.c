#include "train/means.h"
#include "train/order.h"

static pudle_status add_block(pd_problem *pb, int64_t first, int64_t count, int64_t update, double share, pd_means *means)
{
    pd_batch batch;
    pd_pass pass = { .gradient = false };
    pudle_status s = pd_problem_first(pb, PUDLE_SPLIT_TEST, first, count, &batch);
    if (!s)
        s = pd_network_run(&pb->net, &batch, &pass);
    if (!s)
        s = pd_problem_check_finite(pb, &batch, &pass, update);
    means->data_loss += share * pass.data_loss;
    means->code_loss += share * pass.code_loss;
    means->nonzeros += share * pass.nonzeros;
    return s;
}

pudle_status pd_problem_means(pd_problem *pb, int64_t samples, int64_t update, const volatile sig_atomic_t *stop, pd_means *means)
{
    const int64_t block = pd_batch_size(pb->settings, pb->train.samples);
    *means = (pd_means){ 0 };
    pudle_status s = pd_problem_refresh(pb, pd_problem_beta(pb, update));
    for (int64_t first = 0; first < samples && !s; first += block) {
        const int64_t count = samples - first < block ? samples - first : block;
        if (stop && *stop) {
            means->stopped = true;
            break;
        }
        s = add_block(pb, first, count, update, (double)count / (double)samples, means);
    }
    return s ? pd_fail(pb->ctx, s, "in a look at the test samples after %lld updates; train.test_every = 0 trains without", (long long)update) : s;
}
