/* Batches: from the data source to the backend. */
#include "train/batch.h"
#include "train/prepare.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void samples_free(pd_samples *s)
{
    free(s->x);
    free(s->y);
    free(s->truth);
    *s = (pd_samples){ 0 };
}

void pd_batch_free(pd_problem *pb)
{
    void *const device[] = { pb->x, pb->y, pb->code };
    pd_ahead_destroy(pb->ahead);
    for (size_t i = 0; i < sizeof device / sizeof *device; i++)
        if (device[i])
            pb->be->free(pb->exec, device[i]);
    samples_free(&pb->host);
    samples_free(&pb->next);
    free(pb->held);
    pb->x = pb->y = pb->code = NULL;
    pb->ahead = NULL;
    pb->held = NULL;
    pb->held_count = pb->capacity = 0;
}

/* Host memory for `count` samples. */
static bool samples_make(const pd_problem *pb, int64_t count, pd_samples *s)
{
    const size_t width = pudle_dtype_size(pb->dtype), n = (size_t)count;
    const size_t x = n * (size_t)pb->net.map.features * width, z = n * (size_t)pb->net.map.code * width;
    const bool truth = pb->net.decoder_code == PD_CODE_TRUE;
    *s = (pd_samples){ pb->source ? pd_alloc(x, 1) : NULL, /* samples that are given need no place of their own */
                       pb->train.has_target ? pd_alloc(x, 1) : NULL, truth ? pd_alloc(z, 1) : NULL };
    return (s->x || !pb->source) && (s->y || !pb->train.has_target) && (s->truth || !truth);
}

static pudle_status reserve(pd_problem *pb, int64_t count)
{
    if (count <= pb->capacity)
        return PUDLE_OK;
    pd_batch_free(pb);
    const size_t width = pudle_dtype_size(pb->dtype), n = (size_t)count;
    const size_t x = n * (size_t)pb->net.map.features * width, z = n * (size_t)pb->net.map.code * width;
    pudle_status s = pb->be->alloc(pb->exec, x, &pb->x);
    if (!s && pb->train.has_target)
        s = pb->be->alloc(pb->exec, x, &pb->y);
    if (!s && pb->net.decoder_code == PD_CODE_TRUE)
        s = pb->be->alloc(pb->exec, z, &pb->code);
    if (s)
        return s;
    pb->held = pd_alloc(n, sizeof *pb->held);
    if (!pb->held || !samples_make(pb, count, &pb->host))
        return pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory for a batch of %lld samples: set train.batch lower", (long long)count);
    pb->capacity = count;
    return PUDLE_OK;
}

static pudle_view batch_view(const pd_problem *pb, void *data, int64_t count)
{
    int64_t shape[PUDLE_MAX_RANK] = { count };
    for (int32_t i = 0; i < pb->train.rank; i++)
        shape[i + 1] = pb->train.shape[i];
    return pd_view(data, pb->dtype, pb->train.rank + 1, shape);
}

bool pd_looks_at_targets(const pudle_desc *loss)
{
    const pudle_loss_ops *ops = loss->ops;
    return PUDLE_HAS(ops, pudle_loss_ops, check_target) && ops->check_target;
}

static bool has_nan(const pudle_cview *y)
{
    const int64_t n = pudle_count(y);
    for (int64_t i = 0; i < n; i++)
        if (isnan(pudle_entry(y, i)))
            return true;
    return false;
}

/* The domain of the targets is the loss's business; the message names the sample. */
static pudle_status check_targets(pd_problem *pb, const pudle_instance *loss, const pudle_cview *y)
{
    if (!pd_looks_at_targets(loss->desc))
        return PUDLE_OK;
    const pudle_loss_ops *ops = loss->desc->ops;
    const pudle_status s = ops->check_target(pd_host_for(pb->ctx, loss->desc->name), loss->self, y);
    return s && pb->settings->loss.missing == PD_MISSING_REFUSE && has_nan(y) ? pd_fail(pb->ctx, s, "a NaN that stands for what is missing is passed over with  loss.missing = \"skip\";") : s;
}

/* From the source into host memory; on any thread. */
static pudle_status read_samples(void *self, const pd_request *wanted, const pd_samples *to)
{
    pd_problem *pb = self;
    const pudle_view x = batch_view(pb, to->x, wanted->count), y = batch_view(pb, to->y, wanted->count);
    const pudle_view z = pd_matrix(to->truth, pb->dtype, wanted->count, pb->net.map.code);
    pudle_data_request request = { .size = sizeof request, .split = wanted->split, .seed = (uint64_t)pb->settings->train.seed, .epoch = wanted->epoch,
                                   .index = wanted->index, .count = wanted->count, .x = &x, .y = y.data ? &y : NULL };
    pudle_status s = pd_prepare_read(pb, &request);
    if (s || !z.data)
        return s;
    request.x = &z;
    request.y = NULL;
    PD_CALL(pb->data.desc->name, "codes");
    s = pb->truth->codes(pd_host_for(pb->ctx, pb->data.desc->name), pb->data.self, &request);
    PD_RETURNED();
    return s;
}

/* What the encoder sees is x; the training loss compares with y, where the source has it. */
static pudle_status check_both(pd_problem *pb, const pudle_view *x, const pudle_view *y)
{
    const pudle_cview cx = pudle_const(x), cy = pudle_const(y);
    const pudle_status s = check_targets(pb, &pb->inner, &cx);
    return s ? s : check_targets(pb, &pb->loss, y->data ? &cy : &cx);
}

pudle_status pd_problem_check_targets(pd_problem *pb)
{
    enum { BLOCK = 256, BYTES = 16 << 20 };
    const int64_t n = pb->train.samples, fit = BYTES / (pb->net.map.features * (int64_t)pudle_dtype_size(pb->dtype));
    const int64_t block = fit < 1 ? 1 : fit < BLOCK ? fit : BLOCK;
    int64_t index[BLOCK];
    pd_samples room = { 0 };
    pudle_status s = PUDLE_OK;
    if (!pb->epoch_free || (!pd_looks_at_targets(pb->inner.desc) && !pd_looks_at_targets(pb->loss.desc)))
        return s;
    if (!samples_make(pb, block, &room))
        s = pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory for %lld samples", (long long)block);
    for (int64_t first = 0; first < n && !s; first += block) {
        const int64_t count = n - first < block ? n - first : block;
        const pd_request request = { PUDLE_SPLIT_TRAIN, 0, index, count };
        for (int64_t i = 0; i < count; i++)
            index[i] = first + i;
        s = read_samples(pb, &request, &room);
        const pudle_view x = batch_view(pb, room.x, count), y = batch_view(pb, room.y, count);
        if (!s)
            s = check_both(pb, &x, &y);
        if (s)
            pd_fail(pb->ctx, s, "counted within samples %lld to %lld of the training data", (long long)first, (long long)(first + count - 1));
    }
    samples_free(&room);
    return s;
}

/* From host memory to the backend. */
static pudle_status hand_over(pd_problem *pb, int64_t count)
{
    const pudle_view x = batch_view(pb, pb->host.x, count), y = batch_view(pb, pb->host.y, count);
    const size_t width = pudle_dtype_size(pb->dtype), bytes = (size_t)(count * pb->net.map.features) * width;
    pudle_status s = check_both(pb, &x, &y);
    if (!s)
        s = pb->be->upload(pb->exec, pb->x, pb->host.x, bytes);
    if (!s && y.data)
        s = pb->be->upload(pb->exec, pb->y, pb->host.y, bytes);
    if (!s && pb->code)
        s = pb->be->upload(pb->exec, pb->code, pb->host.truth, (size_t)(count * pb->net.map.code) * width);
    return s;
}

/* Read, or read already. */
static pudle_status fetch(pd_problem *pb, const pd_request *request)
{
    pudle_status s = PUDLE_OK;
    if (pb->ahead && pd_ahead_take(pb->ahead, request, &s)) {
        const pd_samples read = pb->next;
        pb->next = pb->host;
        pb->host = read;
        return s;
    }
    return read_samples(pb, request, &pb->host);
}

pudle_status pd_problem_batch(pd_problem *pb, int split, uint64_t epoch, const int64_t *index, int64_t count, pd_batch *batch)
{
    const pd_request request = { split, epoch, index, count };
    pudle_status s = reserve(pb, count);
    if (s)
        return s;
    const size_t bytes = (size_t)count * sizeof *index;
    const bool held = pb->epoch_free && pb->held_count == count && pb->held_split == split && !memcmp(pb->held, index, bytes);
    if (!held) {
        pb->held_count = 0;
        s = fetch(pb, &request);
        if (!s)
            s = hand_over(pb, count);
        if (s)
            return s;
        memcpy(pb->held, index, bytes);
        pb->held_count = count;
        pb->held_split = split;
    }
    *batch = (pd_batch){ .count = count, .x = pd_cmatrix(pb->x, pb->dtype, count, pb->net.map.features), .index = pb->held };
    if (pb->y)
        batch->y = pd_cmatrix(pb->y, pb->dtype, count, pb->net.map.features);
    if (pb->code)
        batch->truth = pd_cmatrix(pb->code, pb->dtype, count, pb->net.map.code);
    return PUDLE_OK;
}

void pd_problem_ahead(pd_problem *pb, int split, uint64_t epoch, const int64_t *index, int64_t count)
{
    const pd_request request = { split, epoch, index, count };
    if (count > pb->capacity || pb->alone)
        return;
    if (!pb->ahead) {
        if (samples_make(pb, pb->capacity, &pb->next))
            pb->ahead = pd_ahead_create(read_samples, pb, pb->capacity);
        if (!pb->ahead) { /* nothing but time is lost */
            samples_free(&pb->next);
            pb->alone = true;
            pd_log_note(pb->ctx, "no memory or no thread to read ahead with: every batch is read when it is needed");
            return;
        }
    }
    pd_ahead_ask(pb->ahead, &request, &pb->next);
}

/* first, first + 1, ...; the caller frees them. NULL without memory, which is recorded. */
static int64_t *in_order(pd_problem *pb, int64_t first, int64_t count)
{
    int64_t *index = pd_alloc((size_t)count, sizeof *index);
    if (!index)
        pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory for %lld sample numbers", (long long)count);
    for (int64_t i = 0; index && i < count; i++)
        index[i] = first + i;
    return index;
}

pudle_status pd_problem_first(pd_problem *pb, int split, int64_t first, int64_t count, pd_batch *batch)
{
    int64_t *index = in_order(pb, first, count);
    if (!index)
        return PUDLE_ERR_NOMEM;
    const pudle_status s = pd_problem_batch(pb, split, 0, index, count, batch);
    free(index);
    return s;
}

pudle_status pd_problem_true_codes(pd_problem *pb, int split, int64_t first, int64_t count, const pudle_view *codes)
{
    int64_t *index = in_order(pb, first, count);
    if (!index)
        return PUDLE_ERR_NOMEM;
    const pudle_data_request request = { .size = sizeof request, .split = split, .seed = (uint64_t)pb->settings->train.seed, .index = index, .count = count,
                                         .x = codes };
    PD_CALL(pb->data.desc->name, "codes");
    const pudle_status s = pb->truth->codes(pd_host_for(pb->ctx, pb->data.desc->name), pb->data.self, &request);
    PD_RETURNED();
    free(index);
    return s;
}

pudle_status pd_problem_own_batch(pd_problem *pb, const pudle_cview *x, bool targets, pd_batch *batch)
{
    pudle_status s = reserve(pb, x->shape[0]);
    if (s)
        return s;
    pb->held_count = 0;
    int64_t shape[PUDLE_MAX_RANK] = { x->shape[0] };
    memcpy(shape + 1, pb->train.shape, sizeof(int64_t) * (PUDLE_MAX_RANK - 1));
    const pudle_cview shaped = pd_cview(x->data, pb->dtype, pb->train.rank + 1, shape);
    s = check_targets(pb, &pb->inner, &shaped);
    if (!s && targets)
        s = check_targets(pb, &pb->loss, &shaped);
    if (!s)
        s = pb->be->upload(pb->exec, pb->x, x->data, (size_t)pudle_count(x) * pudle_dtype_size(pb->dtype));
    if (s)
        return s;
    *batch = (pd_batch){ .count = x->shape[0], .x = pd_cmatrix(pb->x, pb->dtype, x->shape[0], pb->net.map.features) };
    return PUDLE_OK;
}
