/* What a config means, tried without a run: said in a few lines, so that what was not meant is seen. */
#include "cli.h"
#include "train/memory.h"
#include "train/order.h"
#include "train/trial.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void print_shape(int32_t rank, const int64_t *shape)
{
    for (int32_t i = 0; i < rank; i++)
        printf("%s%" PRId64, i ? " x " : "", shape[i]);
}

/* The layers' gradient and the operators, the numbers of samples, and what training will do with them. */
static void print_meaning(pd_problem *pb)
{
    const pd_settings *settings = pb->settings;
    const pd_train_params *t = &settings->train;
    const pd_map *map = &pb->net.map;
    const int64_t samples = pb->train.samples, batch = pd_batch_size(settings, samples), batches = (samples + batch - 1) / batch;
    int64_t test = 0, updates = t->epochs > 0 ? t->epochs * batches : t->updates;
    if (t->updates > 0 && t->updates < updates)
        updates = t->updates;
    printf("data: %" PRId64 " samples of ", samples);
    print_shape(pb->train.rank, pb->train.shape);
    if (pd_problem_samples(pb, PUDLE_SPLIT_TEST, &test))
        pd_error_clear(pb->ctx);
    if (test)
        printf(", %" PRId64 " for tests", test);
    printf("\nmodel: %" PRId64 " atoms", map->atoms);
    if (map->code_rank > 1) {
        printf(", codes of ");
        print_shape(map->code_rank, map->code_shape);
    }
    printf(", %" PRId64 " layers of %s, loss %s, backend %s\n", pb->net.layers, pb->prox.desc->name, pb->loss.desc->name, pb->backend.desc->name);
    if (updates > 0)
        printf("training: %" PRId64 " updates with %" PRId64 " sample%s each, %" PRId64 " an epoch\n", updates, batch, batch == 1 ? "" : "s", batches);
    else
        printf("training: neither train.epochs nor train.updates says how long, which pudle train wants to know\n");
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
        s = pd_memory_plan(&problem);
        if (!s)
            pd_memory_describe(&problem, memory, sizeof memory);
        if (!s)
            s = pd_problem_initialise(&problem);
        if (!s)
            s = pd_try_first_batch(&problem);
        if (!s) {
            printf("%s: ok\n", args->positional[0]);
            print_meaning(&problem);
            printf("workspaces: %s\n", memory);
        }
        pd_problem_close(&problem);
    }
    free(directory);
    pd_settings_destroy(settings);
    return s ? cli_setup_failed(ctx, s) : CLI_DONE;
}
