/* What a config means, tried without a run: said in a few lines, so that what was not meant is seen. */
#include "cli.h"
#include "train/optimizer.h"
#include "train/critical.h"
#include "train/memory.h"
#include "train/order.h"
#include "train/trial.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void print_count(int64_t count, const char *what)
{
    printf("%" PRId64 " %s%s", count, what, count == 1 ? "" : "s");
}

static void print_shape(int32_t rank, const int64_t *shape)
{
    for (int32_t i = 0; i < rank; i++)
        printf("%s%" PRId64, i ? " x " : "", shape[i]);
}

static void print_preparation(const pd_data_params *how)
{
    if (how->center != PD_CENTER_NONE)
        printf(", less the mean of each%s", how->center == PD_CENTER_CHANNEL ? " channel" : "");
    if (how->scale != PD_SCALE_NONE)
        printf(", divided by its %s", how->scale == PD_SCALE_NORM ? "norm" : "standard deviation");
    if (how->scale != PD_SCALE_NONE && how->scale_floor > 0)
        printf(" or %g, if that is more", how->scale_floor);
}

/* The numbers of samples, the network, and what training will do with them. */
static void print_meaning(pd_problem *pb)
{
    const pd_settings *settings = pb->settings;
    const pd_train_params *t = &settings->train;
    const pd_map *map = &pb->net.map;
    const int64_t samples = pb->train.samples, batch = pd_batch_size(settings, samples), batches = (samples + batch - 1) / batch;
    const int64_t updates = pd_total_updates(t, batches);
    int64_t test = 0;
    const pudle_status tests = pd_problem_samples(pb, PUDLE_SPLIT_TEST, &test);
    if (tests && tests != PUDLE_ERR_NOTFOUND)
        pd_log(pb->ctx, PUDLE_LOG_WARNING, "the test samples cannot be used: %s", pd_error(pb->ctx));
    if (tests)
        pd_error_clear(pb->ctx);
    printf("data: ");
    print_count(samples, "sample");
    printf(" of ");
    print_shape(pb->train.rank, pb->train.shape);
    print_preparation(&settings->data);
    if (test)
        printf(", %" PRId64 " for tests", test);
    printf("\nmodel: ");
    print_count(map->atoms, "atom");
    if (pb->net.measurement.data)
        printf(" of %" PRId64 " entries, measured by %" PRId64, pb->net.measurement.shape[1], pb->net.measurement.shape[0]);
    if (map->code_rank > 1) {
        printf(", codes of ");
        print_shape(map->code_rank, map->code_shape);
    }
    printf(", ");
    print_count(pb->net.layers, "layer");
    printf("%s of %s, loss %s, backend %s\n", pb->net.momentum ? " with momentum" : "", pb->prox.desc->name, pb->loss.desc->name, pb->backend.desc->name);
    if (updates > 0) {
        printf("training: ");
        print_count(updates, "update");
        printf(" with ");
        print_count(batch, "sample");
        printf(" each, %" PRId64 " an epoch\n", batches);
    } else
        printf("training: neither train.epochs nor train.updates says how long, which pudle train wants to know\n");
}

/* Where each level stands between shrinking nothing and leaving nothing, as the dictionary tells that training begins with. */
static pudle_status print_critical(pd_problem *pb)
{
    pd_critical found[PD_MAX_LEVELS];
    const pudle_status s = pd_critical_find(pb, found);
    for (int i = 0; i < pb->net.levels && !s; i++) {
        const pd_level *level = &pb->net.level[i];
        if (isnan(found[i].all))
            continue;
        printf("prox.%s = %.6g is %.4g of its critical value %.4g, beyond which all codes are zeros", level->name, level->initial, level->initial / found[i].all,
               found[i].all);
        if (found[i].samples < pb->train.samples)
            printf(" (of %" PRId64 " samples that were looked at)", found[i].samples);
        if (!isnan(found[i].half))
            printf("; half of the samples have none but zeros beyond %.4g", found[i].half);
        printf("\n");
    }
    return s;
}

pudle_status cli_rehearse(pd_problem *pb, char *memory, size_t size)
{
    pd_means tests;
    pudle_status s = pd_optimizer_possible(pb);
    if (!s)
        s = pd_memory_plan(pb);
    if (!s)
        pd_memory_describe(pb, memory, size);
    if (!s)
        s = pd_problem_initialise(pb);
    return s ? s : pd_try_first_batch(pb, &tests);
}

int cli_check(pd_context *ctx, const cli_args *args)
{
    pd_settings *settings = NULL;
    char *directory = NULL;
    pd_problem problem;
    pudle_status s = cli_settings(ctx, args, &settings, &directory);
    if (!s)
        s = pd_problem_open(ctx, settings, NULL, &problem);
    if (!s) {
        char memory[256];
        s = cli_rehearse(&problem, memory, sizeof memory);
        if (!s) {
            printf("%s: ok\n", args->positional[0]);
            print_meaning(&problem);
            s = print_critical(&problem);
        }
        if (!s) {
            printf("workspaces: %s\n", memory);
        }
        pd_problem_close(&problem);
    }
    free(directory);
    pd_settings_destroy(settings);
    return s ? cli_setup_failed(ctx, s) : CLI_DONE;
}
