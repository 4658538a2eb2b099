/* Samples that a user brings on the command line, in place of the config's data. */
#include "cli.h"
#include "train/prepare.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What the option of this name says: the shape that a source gives samples that are stored otherwise. Count 0: nothing. */
static pudle_int_list shape_of_data(const pd_settings *settings)
{
    const pd_section *data = &settings->section[PD_SECTION_DATA];
    pudle_int_list shape = { 0 };
    pudle_option option;
    for (int i = 0; data->plugin && pd_option_at(data->plugin->desc, i, &option); i++)
        if (option.type == PUDLE_INT_LIST && !strcmp(option.name, "shape"))
            memcpy(&shape, (const char *)data->plugin_params + option.offset, sizeof shape);
    return shape;
}

/* Samples stored in rows get the shape that the config's data have, where they have as many entries. */
static void shape_samples(const pd_settings *settings, pudle_data_info *given)
{
    const pudle_int_list shape = shape_of_data(settings);
    int64_t entries = 1, own = 1;
    for (int64_t i = 0; i < shape.count; i++)
        entries *= shape.item[i];
    for (int32_t i = 0; i < given->rank; i++)
        own *= given->shape[i];
    if (shape.count < 1 || shape.count >= PUDLE_MAX_RANK || entries != own)
        return;
    given->rank = (int32_t)shape.count;
    for (int32_t i = 0; i < given->rank; i++)
        given->shape[i] = shape.item[i];
}

/* A dense model knows by its dictionary how long samples are. */
static pudle_status check_length(pd_context *ctx, const char *path, const char *directory, const pd_settings *settings, const pudle_data_info *given)
{
    pd_safetensors *checkpoint = NULL;
    int64_t entries = 1;
    if (!directory || settings->dictionary.kind != PD_KIND_DENSE || settings->model.measurement) /* whose rows are counted when it is opened */
        return PUDLE_OK;
    char *file = pd_format("%s/checkpoint.safetensors", directory);
    pudle_status s = file ? pd_safetensors_read(ctx, file, &checkpoint) : pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
    free(file);
    const pudle_cview *d = s ? NULL : pd_safetensors_tensor(checkpoint, "dictionary");
    for (int32_t i = 0; i < given->rank; i++)
        entries *= given->shape[i];
    if (d && d->rank == 2 && d->shape[0] != entries)
        s = pd_fail(ctx, PUDLE_ERR_CONFIG, "--input %s: samples of %" PRId64 " entries; those of the model in %s have %" PRId64, path, entries, directory,
                    d->shape[0]);
    pd_safetensors_free(checkpoint);
    return s;
}

/* What is done to samples of the config's data is done to these: by the shape that they are given, not that of the file. */
static void prepare(const pd_settings *settings, const pudle_view *stored, const pudle_data_info *given)
{
    int64_t shape[PUDLE_MAX_RANK] = { given->samples };
    memcpy(shape + 1, given->shape, sizeof(int64_t) * (size_t)given->rank);
    const pudle_view x = pd_view(stored->data, stored->dtype, given->rank + 1, shape);
    pd_prepare(&settings->data, &x, NULL);
}

pudle_status cli_samples(pd_context *ctx, const char *path, const pd_settings *settings, const char *directory, pd_array *input, pudle_data_info *given)
{
    const int32_t dtype = settings->global.precision ? PUDLE_F64 : PUDLE_F32;
    pudle_status s = pd_array_read(ctx, path, dtype, input);
    if (s)
        return s;
    const pudle_view *v = &input->view;
    if (v->rank < 2 || v->shape[0] < 1)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "--input %s: samples are wanted as rows of an array (n, m)", path);
    *given = (pudle_data_info){ .size = sizeof *given, .rank = v->rank - 1, .samples = v->shape[0] };
    memcpy(given->shape, v->shape + 1, sizeof(int64_t) * (size_t)(v->rank - 1));
    shape_samples(settings, given);
    const pudle_cview c = pudle_const(v);
    char *what = pd_format("--input %s", path);
    s = what ? cli_check_numbers(ctx, settings, what, "sample", &c) : pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
    free(what);
    if (!s)
        s = check_length(ctx, path, directory, settings, given);
    if (!s)
        s = pd_prepare_check(ctx, &settings->data, given->rank, given->shape);
    if (!s)
        prepare(settings, v, given);
    return s;
}

pudle_status cli_job_open(pd_context *ctx, const cli_args *args, cli_job *job)
{
    *job = (cli_job){ .settings = NULL };
    pudle_status s = cli_split(ctx, args, &job->split);
    if (!s)
        s = cli_settings(ctx, args, &job->settings, &job->directory);
    if (!s)
        cli_note_untrained(ctx, job->settings, job->directory, args->positional[0]);
    return s;
}

pudle_status cli_job_samples(pd_context *ctx, const cli_args *args, cli_job *job)
{
    return args->input ? cli_samples(ctx, args->input, job->settings, job->directory, &job->input, &job->given) : PUDLE_OK;
}

void cli_job_close(cli_job *job)
{
    pd_array_free(&job->input);
    free(job->directory);
    pd_settings_destroy(job->settings);
}
