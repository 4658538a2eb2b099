#include "train/means.h"

pudle_status pd_problem_means(pd_problem *pb, int split, int64_t samples, int64_t block, int64_t update, pd_means *means)
{
    *means = (pd_means){ 0 };
    pudle_status s = pd_problem_refresh(pb, pd_problem_beta(pb, update));
    for (int64_t first = 0; first < samples && !s; first += block) {
        const int64_t count = samples - first < block ? samples - first : block;
        const double share = (double)count / (double)samples;
        pd_batch batch;
        pd_pass pass = { .gradient = false };
        s = pd_problem_first(pb, split, first, count, &batch);
        if (!s)
            s = pd_network_run(&pb->net, &batch, &pass);
        if (!s)
            s = pd_problem_check_finite(pb, &batch, &pass, update);
        means->data_loss += share * pass.data_loss;
        means->code_loss += share * pass.code_loss;
        means->nonzeros += share * pass.nonzeros;
    }
    return s;
}
