/* One batch of all samples: what the network computes and what its estimator says, for looking at and for checking. */
#include "cli.h"
#include "train/dictionary.h"
#include <stdlib.h>
#include <string.h>

static pudle_status write_view(pd_problem *pb, const char *folder, const char *name, const pudle_view *view, int32_t rank, const int64_t *shape)
{
    pd_array host = { 0 };
    char *path = pd_format("%s/%s.npy", folder, name);
    pudle_status s = path ? pd_problem_fetch(pb, view, &host) : pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory");
    if (!s) {
        const pudle_cview shaped = pd_cview(host.view.data, host.view.dtype, rank, shape);
        s = pd_npy_write(pb->ctx, path, &shaped);
    }
    pd_array_free(&host);
    free(path);
    return s;
}

/* The codes that made the samples, where the source knows them: what the codes are to be compared with. */
static pudle_status write_true_codes(pd_problem *pb, const char *folder)
{
    const int64_t n = pb->train.samples, p = pb->net.map.code;
    if (!pd_problem_knows_codes(pb))
        return PUDLE_OK;
    char *path = pd_format("%s/true_code.npy", folder);
    const pudle_view codes = pd_matrix(pd_alloc((size_t)(n * p), pudle_dtype_size(pb->dtype)), pb->dtype, n, p);
    pudle_status s = path && codes.data ? pd_problem_true_codes(pb, PUDLE_SPLIT_TRAIN, 0, n, &codes) : pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory for the true codes");
    int64_t shape[PUDLE_MAX_RANK] = { n }; /* that of code.npy */
    memcpy(shape + 1, pb->net.map.code_shape, sizeof(int64_t) * (PUDLE_MAX_RANK - 1));
    const pudle_cview c = pd_cview(codes.data, pb->dtype, pb->net.map.code_rank + 1, shape);
    if (!s)
        s = pd_npy_write(pb->ctx, path, &c);
    free(codes.data);
    free(path);
    return s;
}

/* The first threshold under the plain name, others with theirs; axes of length 1 are left out. */
static pudle_status write_thresholds(pd_problem *pb, const char *folder)
{
    pudle_status s = PUDLE_OK;
    for (int i = 0; i < pb->net.levels && !s; i++) {
        const pd_level *level = &pb->net.level[i];
        if (!level->learned)
            continue;
        const int64_t both[] = { level->rows, level->cols };
        char name[64] = "gradient_threshold";
        if (i)
            snprintf(name, sizeof name, "gradient_threshold.%.32s", level->name);
        s = level->rows > 1 && level->cols > 1 ? write_view(pb, folder, name, &level->parameter.grad, 2, both)
                                               : write_view(pb, folder, name, &level->parameter.grad, 1, &both[level->rows > 1 ? 0 : 1]);
    }
    return s;
}

/* Gradient of something that not every model learns. */
static pudle_status write_parameter(pd_problem *pb, const char *folder, const char *name, const pd_parameter *p)
{
    return p->value.data ? write_view(pb, folder, name, &p->grad, p->value.rank, p->value.shape) : PUDLE_OK;
}

static pudle_status write_rows(pd_problem *pb, const char *folder, const char *name, const pudle_view *rows, int32_t rank, const int64_t *shape)
{
    int64_t full[PUDLE_MAX_RANK] = { rows->shape[0] };
    for (int32_t i = 0; i < rank; i++)
        full[i + 1] = shape[i];
    return write_view(pb, folder, name, rows, rank + 1, full);
}

static pudle_status run(pd_problem *pb, const char *folder)
{
    pd_batch batch;
    pd_pass pass = { .gradient = true };
    void *code = NULL, *reconstruction = NULL;
    const size_t width = pudle_dtype_size(pb->dtype);
    const pd_map *map = &pb->net.map;
    pudle_status s = pd_problem_first(pb, PUDLE_SPLIT_TRAIN, 0, pb->train.samples, &batch);
    if (!s)
        s = pb->be->alloc(pb->exec, (size_t)(batch.count * map->code) * width, &code);
    if (!s)
        s = pb->be->alloc(pb->exec, (size_t)(batch.count * map->features) * width, &reconstruction);
    if (!s) {
        pass.code = pd_matrix(code, pb->dtype, batch.count, map->code);
        pass.reconstruction = pd_matrix(reconstruction, pb->dtype, batch.count, map->features);
        s = pd_network_run(&pb->net, &batch, &pass);
    }
    if (!s)
        s = pd_problem_check_finite(pb, &batch, &pass, 0);
    if (!s)
        s = write_rows(pb, folder, "code", &pass.code, map->code_rank, map->code_shape);
    if (!s)
        s = write_true_codes(pb, folder);
    if (!s)
        s = write_rows(pb, folder, "reconstruction", &pass.reconstruction, map->data_rank, map->data_shape);
    if (!s && pd_problem_has_mean(pb)) { /* in the same place: the prediction is written */
        s = pd_problem_mean(pb, &pass.reconstruction);
        if (!s)
            s = write_rows(pb, folder, "mean", &pass.reconstruction, map->data_rank, map->data_shape);
    }
    if (!s)
        s = write_view(pb, folder, "gradient", &pb->net.dictionary.grad, pb->net.dictionary.grad.rank, pb->net.dictionary.grad.shape);
    if (!s)
        s = write_thresholds(pb, folder);
    if (!s)
        s = write_parameter(pb, folder, "gradient_analysis", &pb->net.analysis);
    if (!s)
        s = write_parameter(pb, folder, "gradient_synthesis", &pb->net.synthesis);
    if (!s)
        s = write_parameter(pb, folder, "gradient_step", &pb->net.steps);
    if (!s)
        s = write_parameter(pb, folder, "gradient_offset", &pb->net.offset);
    if (!s)
        printf("loss=%.17g\n", pass.data_loss + pass.code_loss);
    if (!s && pb->net.implicit && !pb->net.refit)
        printf("fixed_point=%.3g\n", pass.fixed_point);
    if (!s && pb->net.implicit)
        printf("ill_conditioned=%lld\n", (long long)pass.ill_conditioned);
    if (!s)
        printf("arrays: %s\n", folder);
    if (reconstruction)
        pb->be->free(pb->exec, reconstruction);
    if (code)
        pb->be->free(pb->exec, code);
    return s;
}

/* The arrays of above, and whatever begins like a gradient. */
static pudle_status check_files(pd_context *ctx, const cli_args *args, const pd_settings *settings)
{
    static const char *const names[] = { "code.npy", "true_code.npy", "reconstruction.npy", "mean.npy", "gradient.npy", "gradient_threshold.npy",
                                         "gradient_analysis.npy", "gradient_synthesis.npy", "gradient_step.npy", "gradient_offset.npy", NULL };
    return cli_check_folder(ctx, settings, args->out, names, NULL, 0);
}

int cli_gradient(pd_context *ctx, const cli_args *args)
{
    pd_settings *settings = NULL;
    char *directory = NULL;
    pd_problem problem;
    if (!args->out)
        return cli_setup_failed(ctx, pd_fail(ctx, PUDLE_ERR_CONFIG, "pudle gradient: say where to write with --out DIR"));
    pudle_status s = cli_settings(ctx, args, &settings, &directory);
    if (!s)
        s = cli_model(ctx, settings, directory, NULL, &problem);
    const bool opened = !s;
    if (!s)
        s = check_files(ctx, args, settings);
    if (s && opened)
        pd_problem_close(&problem);
    int code = s ? cli_setup_failed(ctx, s) : CLI_DONE;
    if (!s) {
        s = run(&problem, args->out);
        pd_problem_close(&problem);
        if (s)
            code = cli_run_failed(ctx, s);
    }
    free(directory);
    pd_settings_destroy(settings);
    return code;
}
