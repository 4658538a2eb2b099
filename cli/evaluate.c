/* Loss, sparsity and errors over a whole split, in blocks that fit in memory. */
#include "cli.h"
#include "train/dictionary.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>


typedef struct totals { double data_loss, code_loss, nonzeros, error2, energy2; int64_t samples; } totals;

/* ||x||^2 and ||x - x_hat||^2 of the batch, against the target where there is one; x_hat is the mean that the prediction stands
 * for. A target that is NaN is missing, and stays out of both. */
static pudle_status add_energy(pd_problem *pb, const pd_batch *batch, const void *own_samples, const pudle_view *reconstruction, totals *t)
{
    const pudle_cview c = pudle_const(reconstruction);
    const void *wanted = own_samples ? own_samples : batch->y.data ? pb->host.y : pb->host.x;
    const pudle_cview x = pd_cview(wanted, pb->dtype, c.rank, c.shape);
    pd_array own = { 0 };
    pudle_status s = pd_problem_mean(pb, reconstruction);
    if (!s)
        s = pd_problem_fetch(pb, reconstruction, &own);
    const pudle_cview mean = pudle_const(&own.view);
    for (int64_t i = 0; i < pudle_count(&c) && !s; i++) {
        const double there = pudle_entry(&x, i), error = there - pudle_entry(&mean, i);
        if (isnan(there))
            continue;
        t->energy2 += there * there;
        t->error2 += error * error;
    }
    pd_array_free(&own);
    return s;
}

static pudle_status add_block(pd_problem *pb, const pudle_cview *own, int split, int64_t first, int64_t count, void *memory, totals *t)
{
    const pudle_cview rows = own ? pd_crows(own, first, count) : (pudle_cview){ 0 };
    pd_batch batch;
    pd_pass pass = { .reconstruction = pd_matrix(memory, pb->dtype, count, pb->net.map.features) };
    pudle_status s = own ? pd_problem_own_batch(pb, &rows, true, &batch) : pd_problem_first(pb, split, first, count, &batch);
    if (!s)
        s = pd_network_run(&pb->net, &batch, &pass);
    if (!s)
        s = pd_problem_check_finite(pb, &batch, &pass, 0);
    if (s)
        return s;
    t->samples += count;
    t->data_loss += pass.data_loss * (double)count;
    t->code_loss += pass.code_loss * (double)count;
    t->nonzeros += pass.nonzeros * (double)count;
    return add_energy(pb, &batch, rows.data, &pass.reconstruction, t);
}

/* own: the caller's samples (n, ...), or NULL for the config's data source. */
static pudle_status run(pd_problem *pb, const pudle_cview *own, int split, int64_t samples)
{
    totals t = { 0 };
    double fixed = NAN, assigned = NAN;
    void *memory = NULL;
    const int64_t block = cli_block(pb, samples);
    pudle_status s = pb->be->alloc(pb->exec, (size_t)(block * pb->net.map.features) * pudle_dtype_size(pb->dtype), &memory);
    for (int64_t first = 0; first < samples && !s; first += block)
        s = add_block(pb, own, split, first, samples - first < block ? samples - first : block, memory, &t);
    if (!s)
        s = pd_problem_dictionary_error(pb, &fixed, &assigned);
    if (memory)
        pb->be->free(pb->exec, memory);
    if (s)
        return s;
    const double n = (double)t.samples;
    printf("samples=%" PRId64 "\nloss=%.9g\ndata_loss=%.9g\ncode_loss=%.9g\nnonzeros=%.6g of %" PRId64 "\nrelative_error=%.6g\n", t.samples,
           (t.data_loss + t.code_loss) / n, t.data_loss / n, t.code_loss / n, t.nonzeros / n, pb->net.map.code, t.energy2 > 0 ? sqrt(t.error2 / t.energy2) : (double)NAN);
    if (!isnan(fixed))
        printf("dictionary_error=%.6g\ndictionary_error_assigned=%.6g\n", fixed, assigned);
    return PUDLE_OK;
}

int cli_evaluate(pd_context *ctx, const cli_args *args)
{
    pd_settings *settings = NULL;
    char *directory = NULL;
    pd_problem problem;
    pd_array input = { 0 };
    pudle_data_info given = { 0 };
    int split;
    int64_t samples = 0;
    pudle_status s = cli_split(ctx, args, &split);
    if (!s)
        s = cli_settings(ctx, args, &settings, &directory);
    if (!s)
        cli_note_untrained(ctx, settings, directory, args->positional[0]);
    if (!s && args->input)
        s = cli_samples(ctx, args->input, settings, directory, &input, &given);
    if (!s)
        s = cli_model(ctx, settings, directory, args->input ? &given : NULL, &problem);
    if (!s && !args->input && (s = pd_problem_samples(&problem, split, &samples)))
        pd_problem_close(&problem);
    int code = s ? cli_setup_failed(ctx, s) : CLI_DONE;
    if (!s) {
        problem.net.depth = 0; /* forward only: no tape */
        problem.net.implicit = false;
        const pudle_cview own = pudle_const(&input.view);
        s = args->input ? run(&problem, &own, split, given.samples) : run(&problem, NULL, split, samples);
        pd_problem_close(&problem);
        if (s)
            code = cli_run_failed(ctx, s);
    }
    pd_array_free(&input);
    free(directory);
    pd_settings_destroy(settings);
    return code;
}
