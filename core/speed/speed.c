/* One case: the updates of a training run with a clock around each, then forward passes, then the machine's ceilings. */
#include "speed/speed.h"
#include "train/memory.h"
#include "train/optimizer.h"
#include "train/order.h"
#include <stdlib.h>

enum { WARM_UP = 2 }; /* the first makes workspaces, the second meets cold caches and threads for the last time */

typedef struct bench {
    pd_context *ctx;
    const pd_settings *settings;
    const pd_speed_options *options;
    pd_problem problem;
    int64_t samples, batch, batches;
    int64_t *order;
    int64_t shuffled; /* the epoch whose order is held; -1: none */
    int64_t position; /* batches taken so far, counted over epochs */
    int64_t updates;
    double nonzeros;  /* sum over the timed updates */
} bench;

/* The batches that training would take, of full size: one that is shorter, at an epoch's end, is other work and is passed over. */
static pudle_status next_batch(bench *b, pd_batch *batch)
{
    int64_t at = b->position % b->batches;
    if ((at + 1) * b->batch > b->samples) {
        b->position += b->batches - at;
        at = 0;
    }
    const int64_t epoch = b->position++ / b->batches;
    if (epoch != b->shuffled)
        pd_epoch_order(b->settings, b->shuffled = epoch, b->samples, b->order);
    const pudle_status s = pd_problem_batch(&b->problem, PUDLE_SPLIT_TRAIN, (uint64_t)epoch, b->order + at * b->batch, b->batch, batch);
    return s ? s : b->problem.be->sync(b->problem.exec);
}

/* From a batch to the network that the next one meets: all that a training run repeats but reading and writing. */
static pudle_status update(bench *b, const pd_batch *batch, pd_pass *pass)
{
    const pd_train_params *how = &b->settings->train;
    pd_problem *pb = &b->problem;
    const double threshold_rate = how->threshold_rate > 0 ? how->threshold_rate : how->learning_rate;
    pass->gradient = true;
    pudle_status s = pd_network_run(&pb->net, batch, pass);
    if (!s)
        s = pd_problem_check_finite(pb, batch, pass, b->updates);
    if (!s)
        s = pd_optimizer_step(pb, how->learning_rate, threshold_rate, b->updates + 1);
    b->updates++;
    if (!s)
        s = pd_problem_refresh(pb, pd_problem_beta(pb, b->updates));
    return s ? s : pb->be->sync(pb->exec);
}

static pudle_status forward(bench *b, const pd_batch *batch, pd_pass *pass)
{
    const pudle_status s = pd_network_run(&b->problem.net, batch, pass);
    return s ? s : b->problem.be->sync(b->problem.exec);
}

typedef pudle_status (*work_fn)(bench *b, const pd_batch *batch, pd_pass *pass);

/* Warm up, then time until there is enough. */
static pudle_status measure(bench *b, work_fn work, pd_times *times)
{
    const int64_t runs = b->options->runs;
    pd_durations list = { 0 };
    pudle_status s = PUDLE_OK;
    double begin = 0;
    b->nonzeros = 0;
    for (int64_t i = -WARM_UP; !s && (i < (runs ? runs : PD_SPEED_LEAST) || (!runs && pd_now() - begin < b->options->seconds)); i++) {
        pd_batch batch;
        pd_pass pass = { 0 };
        if (i == 0)
            begin = pd_now();
        s = next_batch(b, &batch);
        if (s)
            break;
        const double start = pd_now();
        s = work(b, &batch, &pass);
        const double took = pd_now() - start;
        if (!s && i >= 0) {
            s = pd_durations_add(b->ctx, &list, took);
            b->nonzeros += pass.nonzeros;
        }
    }
    *times = pd_durations_sum_up(&list);
    pd_durations_free(&list);
    return s;
}

static pudle_status begin(bench *b)
{
    pudle_status s = pd_problem_open(b->ctx, b->settings, NULL, &b->problem);
    if (s)
        return s;
    b->samples = b->problem.train.samples;
    b->batch = pd_batch_size(b->settings, b->samples);
    b->batches = (b->samples + b->batch - 1) / b->batch;
    b->order = pd_alloc((size_t)b->samples, sizeof *b->order);
    if (!b->order)
        s = pd_fail(b->ctx, PUDLE_ERR_NOMEM, "out of memory for the order of %lld samples", (long long)b->samples);
    if (!s)
        s = pd_memory_plan(&b->problem);
    if (!s)
        s = pd_optimizer_init(&b->problem);
    return s ? s : pd_problem_initialise(&b->problem);
}

static void describe(const bench *b, pd_speed_result *r)
{
    const pd_problem *pb = &b->problem;
    snprintf(r->backend, sizeof r->backend, "%s", pb->backend.desc->name);
    r->dtype = pb->dtype;
    r->features = pb->net.map.features;
    r->atoms = pb->net.map.atoms;
    r->layers = pb->net.layers;
    r->batch = b->batch;
}

static pudle_status work(bench *b, pd_speed_result *r)
{
    pudle_status s = measure(b, update, &r->update);
    if (s)
        return s;
    const double nonzeros = b->nonzeros / (double)r->update.count;
    r->density = nonzeros / (double)b->problem.net.map.code;
    pd_speed_work_of(&b->problem, b->batch, nonzeros, &r->work);
    s = measure(b, forward, &r->forward);
    r->peak_bytes = pd_memory_peak();
    r->device_bytes = pd_memory_device(&b->problem);
    return s ? s : pd_ceiling_measure(&b->problem, &r->ceiling);
}

pudle_status pd_speed_check(pd_context *ctx, const pd_settings *settings)
{
    pd_problem problem;
    const pudle_status s = pd_problem_open(ctx, settings, NULL, &problem);
    if (!s)
        pd_problem_close(&problem);
    return s;
}

pudle_status pd_speed_run(pd_context *ctx, const pd_settings *settings, const pd_speed_options *options, pd_speed_result *result, bool *began)
{
    bench b = { .ctx = ctx, .settings = settings, .options = options, .shuffled = -1 };
    *result = (pd_speed_result){ 0 };
    *began = false;
    pudle_status s = begin(&b);
    if (!s) {
        *began = true;
        describe(&b, result);
        s = work(&b, result);
    }
    free(b.order);
    pd_problem_close(&b.problem);
    return s;
}
