/* True filters: the places where they lie in a sample, and the sum of those that a code calls up. The same as a model's convolutional dictionary: a filter lies
 * wholly inside of the sample, neighbouring places are `stride` apart, and a signal is a picture of height 1. */
#ifndef FILTERS_H
#define FILTERS_H

#include <pudle/plugin.h>

typedef struct filters {
    int32_t axes; /* of a sample, beside its channels */
    int64_t channels, data[2], size[2], stride[2], places[2];
} filters;

/** size: a number an axis; stride: the same, or one for all. As filters_check has found them good. */
static inline filters filters_of(const pudle_int_list *shape, const pudle_int_list *size, const pudle_int_list *stride)
{
    filters f = { (int32_t)size->count, shape->item[0], { 1, 1 }, { 1, 1 }, { 1, 1 }, { 1, 1 } };
    for (int32_t i = 0; i < f.axes; i++) {
        const int32_t to = i + 2 - f.axes;
        f.data[to] = shape->item[i + 1];
        f.size[to] = size->item[i];
        f.stride[to] = stride->item[stride->count > 1 ? i : 0];
        f.places[to] = (f.data[to] - f.size[to]) / f.stride[to] + 1;
    }
    return f;
}

static inline pudle_status filters_check(const pudle_host *host, const pudle_int_list *shape, const pudle_int_list *size, const pudle_int_list *stride)
{
    if (size->count > 2)
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "filters has %lld numbers; 1 (signals) or 2 (pictures) are possible", (long long)size->count);
    if (shape->count != size->count + 1)
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "filters has %lld number%s, shape %lld: write  shape = [channels, %s];", (long long)size->count,
                          size->count == 1 ? "" : "s", (long long)shape->count, size->count == 1 ? "length" : "height, width");
    if (stride->count != 1 && stride->count != size->count)
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "stride has %lld numbers, filters %lld: give one, or one for each axis", (long long)stride->count,
                          (long long)size->count);
    for (int64_t i = 0; i < size->count; i++)
        if (size->item[i] > shape->item[i + 1])
            return host->fail(host->ctx, PUDLE_ERR_CONFIG, "filters: %lld does not fit into the %lld of shape (axis %lld): lower it", (long long)size->item[i],
                              (long long)shape->item[i + 1], (long long)i + 1);
    return PUDLE_OK;
}

static inline int64_t filters_taps(const filters *f)
{
    return f->channels * f->size[0] * f->size[1];
}

static inline int64_t filters_places(const filters *f)
{
    return f->places[0] * f->places[1];
}

/** x += scale times a filter (channels, size) at a place; x: (channels, data) */
static inline void filters_add(const filters *f, const double *filter, int64_t place, double scale, double *x)
{
    const int64_t top = place / f->places[1] * f->stride[0], left = place % f->places[1] * f->stride[1];
    for (int64_t c = 0; c < f->channels; c++)
        for (int64_t i = 0; i < f->size[0]; i++) {
            double *row = x + (c * f->data[0] + top + i) * f->data[1] + left;
            for (int64_t j = 0; j < f->size[1]; j++)
                row[j] += scale * *filter++;
        }
}

#endif
