/* Codes of given samples, block by block, so that any number of them fits. */
#include "cli.h"
#include "train/dictionary.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct outputs { pd_array code, reconstruction, signal; } outputs;

static pudle_status reserve(pd_problem *pb, int64_t samples, bool reconstruction, bool signals, outputs *out)
{
    const pd_map *map = &pb->net.map;
    const size_t width = pudle_dtype_size(pb->dtype);
    int64_t code_shape[PUDLE_MAX_RANK] = { samples }, data_shape[PUDLE_MAX_RANK] = { samples };
    memcpy(code_shape + 1, map->code_shape, sizeof(int64_t) * (PUDLE_MAX_RANK - 1));
    memcpy(data_shape + 1, map->data_shape, sizeof(int64_t) * (PUDLE_MAX_RANK - 1));
    void *code = pd_alloc((size_t)samples * (size_t)map->code, width), *data = reconstruction ? pd_alloc((size_t)samples * (size_t)map->features, width) : NULL;
    if (!code || (reconstruction && !data)) {
        free(code);
        free(data);
        return pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory for the codes of %" PRId64 " samples", samples);
    }
    out->code.view = pd_view(code, pb->dtype, map->code_rank + 1, code_shape);
    if (data)
        out->reconstruction.view = pd_view(data, pb->dtype, map->data_rank + 1, data_shape);
    const int64_t n = pb->net.dictionary.value.shape[0];
    void *signal = signals ? pd_alloc((size_t)samples * (size_t)n, width) : NULL;
    if (signals && !signal)
        return pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory for the signals of %" PRId64 " samples", samples);
    if (signal)
        out->signal.view = pd_matrix(signal, pb->dtype, samples, n);
    return PUDLE_OK;
}

static pudle_status download(pd_problem *pb, const pudle_view *from, const pd_array *to, int64_t first)
{
    if (!to->view.data)
        return PUDLE_OK;
    const pudle_view rows = pd_rows(&to->view, first, from->shape[0]);
    const pudle_cview c = pudle_const(from);
    return pb->be->download(pb->exec, rows.data, from->data, (size_t)pudle_count(&c) * pudle_dtype_size(pb->dtype));
}

/* D z of a block of codes. */
static pudle_status add_signals(pd_problem *pb, const pudle_view *code, void *device, const pd_array *to, int64_t first)
{
    const pudle_cview c = pudle_const(code);
    const pudle_view signal = pd_matrix(device, pb->dtype, code->shape[0], pb->net.dictionary.value.shape[0]);
    const pudle_status s = to->view.data ? pd_measurement_signals(&pb->net, &c, &signal) : PUDLE_OK;
    return s ? s : download(pb, &signal, to, first);
}

/* own: the caller's samples (n, ...), or NULL for the config's data source. */
static pudle_status run(pd_problem *pb, const pudle_cview *own, int split, int64_t samples, outputs *out)
{
    const pd_map *map = &pb->net.map;
    const size_t width = pudle_dtype_size(pb->dtype);
    const int64_t block = cli_block(pb, samples);
    void *code = NULL, *data = NULL, *signal = NULL;
    pudle_status s = pb->be->alloc(pb->exec, (size_t)(block * map->code) * width, &code);
    if (!s)
        s = pb->be->alloc(pb->exec, (size_t)(block * map->features) * width, &data);
    if (!s && out->signal.view.data)
        s = pb->be->alloc(pb->exec, (size_t)(block * out->signal.view.shape[1]) * width, &signal);
    for (int64_t first = 0; first < samples && !s; first += block) {
        const int64_t count = samples - first < block ? samples - first : block;
        pd_batch batch;
        pd_pass pass = { .code = pd_matrix(code, pb->dtype, count, map->code), .reconstruction = pd_matrix(data, pb->dtype, count, map->features) };
        if (own) {
            const pudle_cview rows = pd_crows(own, first, count);
            s = pd_problem_own_batch(pb, &rows, false, &batch);
        } else {
            s = pd_problem_first(pb, split, first, count, &batch);
        }
        if (!s)
            s = pd_network_run(&pb->net, &batch, &pass);
        if (!s)
            s = pd_problem_check_finite(pb, &batch, &pass, 0);
        if (!s)
            s = download(pb, &pass.code, &out->code, first);
        if (!s)
            s = add_signals(pb, &pass.code, signal, &out->signal, first);
        if (!s && out->reconstruction.view.data)
            s = pd_problem_mean(pb, &pass.reconstruction);
        if (!s)
            s = download(pb, &pass.reconstruction, &out->reconstruction, first);
    }
    if (signal)
        pb->be->free(pb->exec, signal);
    if (data)
        pb->be->free(pb->exec, data);
    if (code)
        pb->be->free(pb->exec, code);
    return s;
}

static pudle_status write_outputs(pd_context *ctx, const cli_args *args, const outputs *out)
{
    const pudle_cview code = pudle_const(&out->code.view), reconstruction = pudle_const(&out->reconstruction.view), signal = pudle_const(&out->signal.view);
    pudle_status s = pd_npy_write(ctx, args->output, &code);
    if (!s && args->reconstruction)
        s = pd_npy_write(ctx, args->reconstruction, &reconstruction);
    if (!s && args->signals)
        s = pd_npy_write(ctx, args->signals, &signal);
    return s;
}

static pudle_status check_files(pd_context *ctx, const cli_args *args, const pd_settings *settings)
{
    const cli_file out[] = { { "--output", args->output, ".npy" }, { "--reconstruction", args->reconstruction, ".npy" }, { "--signals", args->signals, ".npy" } };
    const cli_file in[] = { { "--input", args->input, NULL }, { "the config", args->positional[0], NULL } };
    if (args->signals && !settings->model.measurement)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "--signals %s: the model has no model.measurement, so that samples are signals themselves: --reconstruction writes what their codes "
                       "stand for", args->signals);
    return cli_check_outputs(ctx, settings, out, 3, in, 2);
}

int cli_encode(pd_context *ctx, const cli_args *args)
{
    cli_job job;
    pd_problem problem;
    outputs out = { 0 };
    if (!args->output)
        return cli_setup_failed(ctx, pd_fail(ctx, PUDLE_ERR_CONFIG, "pudle encode: say where the codes go with --output Z.npy"));
    pudle_status s = cli_job_open(ctx, args, &job);
    if (!s)
        s = check_files(ctx, args, job.settings);
    if (!s)
        s = cli_job_samples(ctx, args, &job);
    if (!s)
        s = cli_model(ctx, job.settings, job.directory, args->input ? &job.given : NULL, &problem);
    int code = s ? cli_setup_failed(ctx, s) : CLI_DONE;
    if (!s) {
        const pudle_cview own = pudle_const(&job.input.view);
        pd_network_forward_only(&problem.net);
        int64_t samples = args->input ? job.given.samples : 0;
        if (!args->input)
            s = pd_problem_samples(&problem, job.split, &samples);
        if (!s)
            s = reserve(&problem, samples, args->reconstruction != NULL, args->signals != NULL, &out);
        if (!s)
            s = run(&problem, args->input ? &own : NULL, job.split, samples, &out);
        if (!s)
            s = write_outputs(ctx, args, &out);
        if (!s && !args->quiet)
            printf("codes of %" PRId64 " samples: %s\n", samples, args->output);
        pd_problem_close(&problem);
        if (s)
            code = cli_run_failed(ctx, s);
    }
    pd_array_free(&out.signal);
    pd_array_free(&out.reconstruction);
    pd_array_free(&out.code);
    cli_job_close(&job);
    return code;
}
