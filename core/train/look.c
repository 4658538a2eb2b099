#include "train/look.h"
#include "train/order.h"
#include <stdlib.h>

enum { SAMPLES_MOST = 10000, BYTES = 64 << 20 };

void pd_look_close(pd_look *l)
{
    void *const device[] = { l->code, l->left }, *const host[] = { l->host_code, l->host_left, l->sample, l->uses, l->number };
    for (size_t i = 0; i < sizeof device / sizeof *device; i++)
        if (device[i])
            l->pb->be->free(l->pb->exec, device[i]);
    for (size_t i = 0; i < sizeof host / sizeof *host; i++)
        free(host[i]);
}

/* Of a block: no more samples than a batch has, and no more than some memory holds. */
static int64_t block_of(const pd_problem *pb, int64_t samples)
{
    const pd_map *map = &pb->net.map;
    const int64_t batch = pd_batch_size(pb->settings, pb->train.samples), most = map->code > map->features ? map->code : map->features;
    const int64_t fit = BYTES / (most * (int64_t)pudle_dtype_size(pb->dtype)), least = batch < samples ? batch : samples;
    return fit < 1 ? 1 : fit < least ? fit : least;
}

pudle_status pd_look_open(pd_look *l)
{
    pd_problem *pb = l->pb;
    const int64_t all = pb->train.samples, samples = all < SAMPLES_MOST ? all : SAMPLES_MOST, block = block_of(pb, samples);
    const size_t width = pudle_dtype_size(pb->dtype), code = (size_t)(block * pb->net.map.code) * width, left = (size_t)(block * pb->net.map.features) * width;
    l->samples = samples;
    l->block = block;
    l->sample = pd_alloc((size_t)samples, sizeof *l->sample);
    l->uses = pd_alloc((size_t)pb->net.map.atoms, sizeof *l->uses);
    l->number = pd_alloc((size_t)block, sizeof *l->number);
    l->host_code = pd_alloc(code, 1);
    l->host_left = pd_alloc(left, 1);
    if (!l->sample || !l->uses || !l->number || !l->host_code || !l->host_left)
        return pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory for a look at %lld samples", (long long)samples);
    for (int64_t i = 0; i < samples; i++)
        l->sample[i].number = i * (all / samples) + i * (all % samples) / samples; /* i all / samples, which may overflow */
    const pudle_status s = pb->be->alloc(pb->exec, code, &l->code);
    return s ? s : pb->be->alloc(pb->exec, left, &l->left);
}

/* The slope of the loss at predictions, in their place. */
static pudle_status slope(pd_problem *pb, const pd_batch *batch, const pudle_view *predictions)
{
    const pudle_cview *wanted = batch->y.data ? &batch->y : &batch->x;
    const pudle_view target = pd_matrix((void *)wanted->data, pb->dtype, batch->count, pb->net.map.features);
    const pudle_view shaped = pd_map_data_view(&pb->net.map, predictions), shaped_target = pd_map_data_view(&pb->net.map, &target);
    const pudle_cview pred = pudle_const(&shaped), y = pudle_const(&shaped_target);
    return pb->be->loss_grad(pb->exec, &pb->net.loss, &pred, &y, &shaped);
}

static pudle_status fetch(const pd_problem *pb, void *to, const pudle_view *from)
{
    const pudle_cview c = pudle_const(from);
    return pb->be->download(pb->exec, to, c.data, (size_t)pudle_count(&c) * pudle_dtype_size(c.dtype));
}

pudle_status pd_look_at(pd_look *l, const pd_candidate *sample, int64_t count)
{
    pd_problem *pb = l->pb;
    pd_batch batch;
    pd_pass pass = { .code = pd_matrix(l->code, pb->dtype, count, pb->net.map.code),
                     .reconstruction = pd_matrix(l->left, pb->dtype, count, pb->net.map.features) };
    for (int64_t i = 0; i < count; i++)
        l->number[i] = sample[i].number;
    pudle_status s = pd_problem_batch(pb, PUDLE_SPLIT_TRAIN, (uint64_t)l->epoch, l->number, count, &batch);
    if (!s)
        s = pd_network_run(&pb->net, &batch, &pass);
    if (!s)
        s = pd_problem_check_finite(pb, &batch, &pass, l->update);
    if (!s && l->whole)
        s = pd_problem_baseline(pb, &pass.reconstruction);
    if (!s)
        s = slope(pb, &batch, &pass.reconstruction);
    if (!s)
        s = fetch(pb, l->host_code, &pass.code);
    return s ? s : fetch(pb, l->host_left, &pass.reconstruction);
}

static double entry(const pd_look *l, const void *of, int64_t i)
{
    return pd_get(of, l->pb->dtype, i);
}

double pd_look_code(const pd_look *l, int64_t i)
{
    return entry(l, l->host_code, i);
}

double pd_look_left(const pd_look *l, int64_t i)
{
    return -entry(l, l->host_left, i);
}

static void count_uses(pd_look *l, int64_t count)
{
    const int64_t atoms = l->pb->net.map.atoms, positions = l->pb->net.map.code / atoms;
    for (int64_t i = 0; i < count; i++)
        for (int64_t k = 0; k < atoms; k++) {
            bool used = false;
            for (int64_t at = 0; at < positions && !used; at++)
                used = pd_look_code(l, (i * atoms + k) * positions + at) != 0;
            l->uses[k] += used;
        }
}

static void measure(const pd_look *l, pd_candidate *sample, int64_t count)
{
    const int64_t m = l->pb->net.map.features;
    for (int64_t i = 0; i < count; i++)
        for (int64_t k = 0; k < m; k++)
            sample[i].energy += pd_look_left(l, i * m + k) * pd_look_left(l, i * m + k);
}

pudle_status pd_look_at_all(pd_look *l, const volatile sig_atomic_t *stop, bool *stopped)
{
    *stopped = false;
    for (int64_t first = 0; first < l->samples; first += l->block) {
        const int64_t count = l->samples - first < l->block ? l->samples - first : l->block;
        *stopped = stop && *stop;
        if (*stopped)
            break;
        const pudle_status s = pd_look_at(l, l->sample + first, count);
        if (s)
            return s;
        count_uses(l, count);
        measure(l, l->sample + first, count);
    }
    return PUDLE_OK;
}
