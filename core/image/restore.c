/* Pictures through a model: one open problem at a time, of the size that the pieces have. */
#include "image/restore.h"
#include "image/pieces.h"
#include "train/dictionary.h"
#include "train/prepare.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { AT_ONCE_MOST = 16, MODEL_POSITIONS = 33 };

struct pd_restorer {
    pd_context *ctx;
    const pd_settings *settings;
    pd_restore_options options;
    /* the model: all that does not depend on the size of a picture */
    pd_array parameter[PD_MAX_PARAMETERS]; /* in the order of pd_network_parameters: D first */
    int parameters;
    int64_t channels, size[2], stride[2];
    int32_t dtype;
    bool tileable, coupled;
    double step, beta;
    /* what is open now */
    pd_problem problem;
    bool is_open;
    int64_t height, width, capacity; /* of the pieces */
    void *host, *device;             /* (capacity, channels, height, width) */
    pd_restore_facts facts;
};

/* ---------------------------------------------------------------- the model */

static pudle_status only_pictures(pd_context *ctx, const pd_settings *settings)
{
    if (settings->dictionary.kind == PD_KIND_CONV && settings->dictionary.size.count == 2)
        return PUDLE_OK;
    return pd_fail(ctx, PUDLE_ERR_CONFIG, "the model is not one for pictures: model.dictionary.kind = \"conv\" with a size of two numbers, "
                   "[height, width], is wanted");
}

pudle_status pd_restore_model_shape(pd_context *ctx, const pd_settings *settings, int64_t channels, pudle_data_info *given)
{
    const pd_dictionary_params *d = &settings->dictionary;
    const pudle_status s = only_pictures(ctx, settings);
    if (s)
        return s;
    *given = (pudle_data_info){ .size = sizeof *given, .rank = 3, .samples = 1, .shape = { channels } };
    for (int i = 0; i < 2; i++)
        given->shape[i + 1] = d->size.item[i] + (MODEL_POSITIONS - 1) * d->stride.item[d->stride.count > 1 ? i : 0];
    memcpy(given->target_shape, given->shape, sizeof given->shape);
    return PUDLE_OK;
}

/* A picture is a sample of another size, and its norm grows with that. */
static pudle_status check_scale(pd_context *ctx, const pd_settings *settings)
{
    if (settings->data.scale != PD_SCALE_NORM)
        return PUDLE_OK;
    return pd_fail(ctx, PUDLE_ERR_CONFIG, "data.scale = \"norm\" divides by a number that grows with the pixels, so that pictures of other sizes than the training samples' do not fit "
                   "the thresholds; a model for pictures of any size is trained with data.scale = \"std\" or \"none\"");
}

static pudle_status take_model(pd_restorer *r, pd_problem *model)
{
    const pd_network *net = &model->net;
    pd_parameter *list[PD_MAX_PARAMETERS];
    pudle_status s = PUDLE_OK;
    r->parameters = pd_network_parameters(&model->net, list);
    for (int i = 0; i < r->parameters && !s; i++)
        s = pd_problem_fetch(model, &list[i]->value, &r->parameter[i]);
    r->channels = net->map.conv.channels;
    for (int i = 0; i < 2; i++) {
        r->size[i] = net->map.conv.kernel[i];
        r->stride[i] = net->map.conv.stride[i];
    }
    r->dtype = model->dtype;
    r->tileable = (net->prox.desc->caps & PUDLE_PROX_SEPARABLE) && (net->inner.desc->caps & PUDLE_LOSS_SEPARABLE);
    r->coupled = (net->prox.desc->caps & PUDLE_PROX_BATCH_COUPLED) != 0;
    r->step = net->step;
    r->beta = net->beta;
    return s;
}

pudle_status pd_restorer_open(pd_context *ctx, pd_problem *model, const pd_restore_options *options, pd_restorer **out)
{
    pudle_status s = only_pictures(ctx, model->settings);
    if (!s)
        s = check_scale(ctx, model->settings);
    if (s)
        return s;
    pd_restorer *r = pd_alloc(1, sizeof *r);
    if (!r)
        return pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
    r->ctx = ctx;
    r->settings = model->settings;
    r->options = *options;
    if (!r->options.memory)
        r->options.memory = PD_RESTORE_MEMORY;
    s = take_model(r, model);
    if (s)
        pd_restorer_close(r);
    else
        *out = r;
    return s;
}

static void shut(pd_restorer *r)
{
    if (!r->is_open)
        return;
    if (r->device)
        r->problem.be->free(r->problem.exec, r->device);
    free(r->host);
    r->host = r->device = NULL;
    r->is_open = false;
    pd_problem_close(&r->problem);
}

void pd_restorer_close(pd_restorer *r)
{
    if (!r)
        return;
    shut(r);
    for (int i = 0; i < PD_MAX_PARAMETERS; i++)
        pd_array_free(&r->parameter[i]);
    free(r);
}

void pd_restorer_facts(const pd_restorer *r, pd_restore_facts *facts)
{
    *facts = r->facts;
}

/* --------------------------------------------------------------- one size */

static pudle_status give_parameters(pd_restorer *r)
{
    pd_problem *pb = &r->problem;
    pd_parameter *list[PD_MAX_PARAMETERS];
    const int n = pd_network_parameters(&pb->net, list);
    pudle_status s = PUDLE_OK;
    for (int i = 0; i < n && !s; i++) {
        const pudle_cview v = pd_array_const(&r->parameter[i]);
        s = pb->be->upload(pb->exec, list[i]->value.data, v.data, (size_t)pudle_count(&v) * pudle_dtype_size(v.dtype));
    }
    if (s)
        return s;
    pb->net.step = r->step;
    pb->net.beta = r->beta;
    return pd_network_refresh(&pb->net);
}

static pudle_status open_size(pd_restorer *r, const pd_pieces *p)
{
    const int64_t height = p->axis[0].tile, width = p->axis[1].tile;
    if (r->is_open && r->height == height && r->width == width && r->capacity >= p->at_once)
        return PUDLE_OK;
    shut(r);
    const pudle_data_info given = { .size = sizeof given, .rank = 3, .samples = p->at_once, .shape = { r->channels, height, width },
                                    .target_shape = { r->channels, height, width } };
    pudle_status s = pd_problem_open(r->ctx, r->settings, &given, &r->problem);
    if (s)
        return s;
    r->is_open = true;
    r->height = height;
    r->width = width;
    r->capacity = p->at_once;
    s = give_parameters(r);
    const size_t values = (size_t)(p->at_once * r->problem.net.map.features);
    if (!s && !(r->host = pd_alloc(values, pudle_dtype_size(r->dtype))))
        s = pd_fail(r->ctx, PUDLE_ERR_NOMEM, "out of memory for %" PRId64 " tiles of %" PRId64 " x %" PRId64 " pixels: give a lower memory budget", p->at_once,
                    width, height);
    if (!s)
        s = r->problem.be->alloc(r->problem.exec, values * pudle_dtype_size(r->dtype), &r->device);
    if (s)
        shut(r);
    return s;
}

/* ------------------------------------------------------------- one picture */

static double value_at(const pudle_cview *v, int64_t i)
{
    return pd_get(v->data, v->dtype, i);
}

static bool all_finite(const pudle_cview *v)
{
    const int64_t count = pudle_count(v);
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(value_at(v, i)))
            return false;
    return true;
}

/* Pieces [first, first + count): cut, run, add. */
static pudle_status run_pieces(pd_restorer *r, const pd_pieces *p, int64_t first, int64_t count, const pudle_cview *picture, const pudle_view *sum)
{
    pd_problem *pb = &r->problem;
    const size_t values = (size_t)pb->net.map.features, width = pudle_dtype_size(r->dtype);
    const pudle_view piece = pd_matrix(r->host, r->dtype, count, (int64_t)values);
    const pudle_cview input = pudle_const(&piece);
    pd_batch batch;
    pd_pass pass = { .reconstruction = pd_matrix(r->device, r->dtype, count, (int64_t)values) };
    for (int64_t i = 0; i < count; i++)
        pd_piece_cut(p, first + i, picture, (char *)r->host + (size_t)i * values * width);
    pudle_status s = pd_problem_own_batch(pb, &input, false, &batch);
    if (!s)
        s = pd_network_run(&pb->net, &batch, &pass);
    if (!s && !(isfinite(pass.data_loss) && isfinite(pass.code_loss)) && all_finite(&input)) /* a NaN that came in goes out */
        s = pd_problem_check_finite(pb, &batch, &pass, 0);
    if (!s)
        s = pd_problem_mean(pb, &pass.reconstruction); /* what the estimate says of the picture: e^(D z + a) for counts */
    if (!s)
        s = pb->be->download(pb->exec, r->host, r->device, (size_t)count * values * width);
    for (int64_t i = 0; i < count && !s; i++)
        pd_piece_add(p, first + i, (const char *)r->host + (size_t)i * values * width, sum);
    return s;
}

static void scale(const pudle_view *v, double factor)
{
    const pudle_cview c = pudle_const(v);
    const int64_t count = pudle_count(&c);
    for (int64_t i = 0; i < count; i++) {
        if (v->dtype == PUDLE_F64)
            ((double *)v->data)[i] *= factor;
        else
            ((float *)v->data)[i] = (float)(((float *)v->data)[i] * factor);
    }
}

static pudle_status check_picture(const pd_restorer *r, const pudle_cview *picture, const pudle_view *out)
{
    if (picture->rank != 3 || out->rank != 3 || memcmp(picture->shape, out->shape, 3 * sizeof *out->shape) != 0 || picture->dtype != r->dtype ||
        out->dtype != r->dtype)
        return pd_fail(r->ctx, PUDLE_ERR_ARG, "a picture and its result must both be (channels, height, width), in the model's precision");
    if (picture->shape[0] != r->channels)
        return pd_fail(r->ctx, PUDLE_ERR_CONFIG, "a picture of %" PRId64 " channels, but the model's filters have %" PRId64, picture->shape[0], r->channels);
    if (picture->shape[1] < r->size[0] || picture->shape[2] < r->size[1])
        return pd_fail(r->ctx, PUDLE_ERR_CONFIG, "a picture of %" PRId64 " x %" PRId64 " pixels (width x height) is smaller than a filter, %" PRId64
                       " x %" PRId64, picture->shape[2], picture->shape[1], r->size[1], r->size[0]);
    return PUDLE_OK;
}

static pudle_status cut_up(pd_restorer *r, const pudle_cview *picture, pd_pieces *p)
{
    *p = (pd_pieces){ .channels = r->channels };
    for (int i = 0; i < 2; i++)
        p->axis[i] = pd_axis_make(picture->shape[i + 1], r->size[i], r->stride[i], r->settings->model.layers, r->options.shift_average);
    const pd_cost cost = { .channels = r->channels, .atoms = r->parameter[0].view.shape[0], .width = (int64_t)pudle_dtype_size(r->dtype) };
    const pudle_status s = pd_pieces_fit(r->ctx, p, &cost, r->options.memory, r->tileable, r->coupled ? 1 : AT_ONCE_MOST);
    if (s)
        return s;
    r->facts = (pd_restore_facts){ .phases = p->axis[0].phases * p->axis[1].phases, .tiles = { p->axis[0].tiles, p->axis[1].tiles },
                                   .tile = { p->axis[0].tile, p->axis[1].tile }, .at_once = p->at_once, .bytes = p->bytes };
    return PUDLE_OK;
}

/* All pieces of a picture that is as the model wants it. */
static pudle_status run_all(pd_restorer *r, const pd_pieces *p, const pudle_cview *picture, const pudle_view *out)
{
    const pudle_cview c = pudle_const(out);
    pudle_status s = PUDLE_OK;
    memset(out->data, 0, (size_t)pudle_count(&c) * pudle_dtype_size(r->dtype));
    for (int64_t first = 0; first < p->count && !s; first += p->at_once) {
        if (r->options.stop && *r->options.stop)
            return pd_fail(r->ctx, PUDLE_ERR_NUMERIC, "interrupted after %" PRId64 " of %" PRId64 " tiles", first, p->count);
        s = run_pieces(r, p, first, p->count - first < p->at_once ? p->count - first : p->at_once, picture, out);
    }
    if (!s && r->facts.phases > 1)
        scale(out, 1.0 / (double)r->facts.phases);
    return s;
}

/* What data.center and data.scale do to a sample is done to the whole picture, whatever its pieces, and undone in the result. */
static pudle_status run_prepared(pd_restorer *r, const pd_pieces *p, const pudle_cview *picture, const pudle_view *out)
{
    const int64_t one[PUDLE_MAX_RANK] = { 1, picture->shape[0], picture->shape[1], picture->shape[2] };
    const size_t bytes = (size_t)pudle_count(picture) * pudle_dtype_size(r->dtype);
    const pudle_cview raw = pd_cview(picture->data, r->dtype, 4, one);
    const pudle_view result = pd_view(out->data, r->dtype, 4, one);
    void *copy = pd_alloc(bytes, 1);
    if (!copy)
        return pd_fail(r->ctx, PUDLE_ERR_NOMEM, "out of memory for a picture of %" PRId64 " x %" PRId64 " pixels (width x height)", picture->shape[2], picture->shape[1]);
    memcpy(copy, picture->data, bytes);
    const pudle_view prepared = pd_view(copy, r->dtype, 4, one);
    pd_prepare(&r->settings->data, &prepared, NULL);
    const pudle_cview input = pd_cview(copy, r->dtype, 3, picture->shape);
    const pudle_status s = run_all(r, p, &input, out);
    if (!s)
        pd_prepare_undo(&r->settings->data, &raw, &result);
    free(copy);
    return s;
}

pudle_status pd_restore(pd_restorer *r, const pudle_cview *picture, const pudle_view *out)
{
    pd_pieces p;
    pudle_status s = check_picture(r, picture, out);
    if (!s)
        s = cut_up(r, picture, &p);
    if (!s)
        s = open_size(r, &p);
    if (s)
        return s;
    return pd_prepares(&r->settings->data) ? run_prepared(r, &p, picture, out) : run_all(r, &p, picture, out);
}
