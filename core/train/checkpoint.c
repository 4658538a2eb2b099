#include "train/checkpoint.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TENSORS = 3 * PD_MAX_PARAMETERS };
#define MOST_UPDATES 1000000000000000000 /* as train.updates allows */
static const char FORMAT[] = "pudle-checkpoint/1";

/* Every array of the state, in file order. */
typedef struct entry {
    char name[64];
    const pudle_view *view;
    bool parameter;
} entry;

static int entries(pd_problem *pb, bool parameters_only, entry out[MAX_TENSORS])
{
    pd_parameter *list[PD_MAX_PARAMETERS];
    const int parameters = pd_network_parameters(&pb->net, list);
    int n = 0;
    for (int i = 0; i < parameters; i++) {
        const pd_parameter *p = list[i];
        out[n] = (entry){ .view = &p->value, .parameter = true };
        snprintf(out[n++].name, sizeof out[0].name, "%s", p->name);
        for (int k = 0; k < 2 && !parameters_only; k++)
            if (p->state[k].data) {
                out[n] = (entry){ .view = &p->state[k] };
                snprintf(out[n++].name, sizeof out[0].name, "%s.moment%d", p->name, k + 1);
            }
    }
    return n;
}

static pudle_status fetch(pd_problem *pb, const entry *e, pd_array *out)
{
    const pudle_cview c = pudle_const(e->view);
    const size_t bytes = (size_t)pudle_count(&c) * pudle_dtype_size(c.dtype);
    int64_t nonzero = 0, nonfinite = 0;
    pudle_status s = pb->be->census(pb->exec, &c, &nonzero, &nonfinite);
    if (s)
        return s;
    if (nonfinite && e->parameter)
        return pd_fail(pb->ctx, PUDLE_ERR_NUMERIC, "%" PRId64 " entries of '%s' are not finite: no checkpoint was written", nonfinite, e->name);
    void *host = pd_alloc(bytes, 1);
    if (!host)
        return pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory for a checkpoint");
    out->view = pd_view(host, c.dtype, c.rank, c.shape);
    return pb->be->download(pb->exec, host, c.data, bytes);
}

typedef struct figure { char s[32]; } figure;

static figure whole(int64_t value)
{
    figure t;
    snprintf(t.s, sizeof t.s, "%" PRId64, value);
    return t;
}

static figure decimal(double value) /* reads back the same; NaN without its sign, which is nobody's choice */
{
    figure t;
    if (isnan(value))
        strcpy(t.s, "nan");
    else
        snprintf(t.s, sizeof t.s, "%.17g", value);
    return t;
}

pudle_status pd_checkpoint_write(pd_problem *pb, const char *path, const pd_progress *progress)
{
    entry list[MAX_TENSORS];
    pd_array array[MAX_TENSORS] = { 0 };
    pd_tensor tensor[MAX_TENSORS];
    const int n = entries(pb, false, list);
    pudle_status s = PUDLE_OK;
    for (int i = 0; i < n && !s; i++) {
        s = fetch(pb, &list[i], &array[i]);
        tensor[i] = (pd_tensor){ list[i].name, pudle_const(&array[i].view) };
    }
    if (!s) {
        const figure update = whole(progress->update), epoch = whole(progress->epoch), position = whole(progress->position),
                   seed = whole(pb->settings->train.seed), samples = whole(progress->samples), batch = whole(progress->batch),
                   first_loss = decimal(progress->first_loss), last_loss = decimal(progress->last_loss),
                   epoch_loss = decimal(progress->epoch_loss), first_error = decimal(progress->first_error),
                   seconds = decimal(progress->finished ? NAN : progress->seconds),
                   smooth_loss = decimal(progress->smooth_loss), spread = decimal(progress->spread), least_loss = decimal(progress->least_loss),
                   least_epoch = whole(progress->least_epoch), dead = whole(progress->dead),
                     lipschitz = decimal(pb->lipschitz > 0 ? pb->lipschitz : NAN);
        const pd_meta meta[] = {
            { "format", FORMAT }, { "run", progress->identity }, { "finished", progress->finished ? "true" : "false" },
            { "update", update.s }, { "epoch", epoch.s }, { "position", position.s }, { "samples", samples.s }, { "batch", batch.s },
            { "seed", seed.s }, { "random", "philox4x32-10, counted by seed, epoch and position" }, { "first_loss", first_loss.s },
            { "last_loss", last_loss.s }, { "epoch_loss", epoch_loss.s }, { "first_error", first_error.s }, { "seconds", seconds.s },
            { "smooth_loss", smooth_loss.s }, { "spread", spread.s }, { "least_loss", least_loss.s }, { "least_epoch", least_epoch.s }, { "dead", dead.s }, { "lipschitz", lipschitz.s },
        };
        s = pd_safetensors_write(pb->ctx, path, n, tensor, (int)(sizeof meta / sizeof *meta), meta);
    }
    for (int i = 0; i < n; i++)
        pd_array_free(&array[i]);
    return s;
}

static int64_t number(const pd_safetensors *file, const char *key)
{
    const char *text = pd_safetensors_meta(file, key);
    char *end = NULL;
    const int64_t value = text ? strtoll(text, &end, 10) : -1;
    return text && end != text && !*end ? value : -1;
}

static double real(const pd_safetensors *file, const char *key)
{
    const char *text = pd_safetensors_meta(file, key);
    return text ? strtod(text, NULL) : NAN;
}

static pudle_status restore(pd_problem *pb, const char *path, const pd_safetensors *file, const entry *e)
{
    const pudle_cview *stored = pd_safetensors_tensor(file, e->name);
    const pudle_cview own = pudle_const(e->view);
    if (!stored)
        return pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "%s: has no '%s': it was written with another optimiser, encoder, or other learned thresholds", path, e->name);
    bool same = stored->dtype == own.dtype && stored->rank == own.rank;
    for (int32_t i = 0; i < own.rank && same; i++)
        same = stored->shape[i] == own.shape[i];
    if (!same)
        return pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "%s: '%s' has another shape or precision than the config asks for", path, e->name);
    return pb->be->upload(pb->exec, e->view->data, stored->data, (size_t)pudle_count(&own) * pudle_dtype_size(own.dtype));
}

static bool is_checkpoint(const pd_safetensors *file)
{
    const char *format = pd_safetensors_meta(file, "format");
    return format && !strcmp(format, FORMAT) && pd_safetensors_meta(file, "sha256");
}

static void copy_identity(const pd_safetensors *file, char identity[65])
{
    const char *text = pd_safetensors_meta(file, "run");
    snprintf(identity, 65, "%s", text && strlen(text) == 64 ? text : "");
}

pudle_status pd_checkpoint_identity(pd_context *ctx, const char *path, char identity[65])
{
    pd_safetensors *file = NULL;
    const pudle_status s = pd_safetensors_read(ctx, path, &file);
    if (s)
        return s;
    copy_identity(file, identity);
    pd_safetensors_free(file);
    return PUDLE_OK;
}

pudle_status pd_checkpoint_read(pd_problem *pb, const char *path, bool parameters_only, pd_progress *progress)
{
    pd_safetensors *file = NULL;
    pudle_status s = pd_safetensors_read(pb->ctx, path, &file);
    if (s)
        return s;
    pd_progress read = { .update = number(file, "update"), .epoch = number(file, "epoch"), .position = number(file, "position"),
                         .first_loss = real(file, "first_loss"), .last_loss = real(file, "last_loss"),
                         .smooth_loss = real(file, "smooth_loss"), .spread = real(file, "spread"),
                         .least_loss = real(file, "least_loss"), .dead = number(file, "dead"), .least_epoch = number(file, "least_epoch"), .epoch_loss = real(file, "epoch_loss"), .first_error = real(file, "first_error"),
                         .seconds = real(file, "seconds"), .samples = number(file, "samples"), .batch = number(file, "batch") };
    const char *finished = pd_safetensors_meta(file, "finished");
    read.finished = finished && !strcmp(finished, "true");
    copy_identity(file, read.identity);
    if (!is_checkpoint(file) || read.update < 0 || read.update > MOST_UPDATES || read.epoch < 0 || read.position < 0)
        s = pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "%s: not a whole checkpoint of pudle: give the one of another run, or begin anew with --force", path);
    else if (!parameters_only && number(file, "seed") != pb->settings->train.seed)
        s = pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "%s: was written with seed %s, the config says %" PRId64, path,
                    pd_safetensors_meta(file, "seed") ? pd_safetensors_meta(file, "seed") : "(it does not say)", pb->settings->train.seed);
    entry list[MAX_TENSORS];
    const int n = entries(pb, parameters_only, list);
    for (int i = 0; i < n && !s; i++)
        s = restore(pb, path, file, &list[i]);
    const double lipschitz = real(file, "lipschitz"); /* it may come from training data that are not at hand when the model works */
    if (!s && isfinite(lipschitz) && lipschitz > 0)
        pb->lipschitz = lipschitz;
    if (!s && progress)
        *progress = read;
    pd_safetensors_free(file);
    return s;
}
