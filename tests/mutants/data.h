/* A correct source: sample i of m entries is sin(i m + j). Each mutant changes one thing of it. */
#ifndef DATA_H
#define DATA_H

#include <pudle/plugin.h>
#include <string.h>

#ifndef FEATURES /* as described */
#define FEATURES o->features
#endif
#ifndef SAMPLES
#define SAMPLES o->samples
#endif
#ifndef ENTRY
#define ENTRY sin((double)(index * o->features + j))
#endif
#ifndef INDEX_OK
#define INDEX_OK (index >= 0 && index < o->samples)
#endif
#ifndef MORE
#define MORE
#endif
#ifndef LABEL /* of sample `index`, at place k of the request */
#define LABEL index % 3
#endif

typedef struct params { int64_t samples, features; } params;
MORE

static pudle_status describe(const pudle_host *host, const void *self, int32_t split, pudle_data_info *info)
{
    const params *o = self;
    if (split != PUDLE_SPLIT_TRAIN)
        return host->fail(host->ctx, PUDLE_ERR_NOTFOUND, "there is a train split alone");
    info->rank = 1;
    info->samples = SAMPLES;
    info->shape[0] = info->target_shape[0] = FEATURES;
    info->has_target = 0;
    return PUDLE_OK;
}

static pudle_status read_samples(const pudle_host *host, const void *self, const pudle_data_request *r)
{
    const params *o = self;
    const pudle_cview x = pudle_const(r->x);
    const int64_t row = r->count ? pudle_count(&x) / r->count : 0;
    for (int64_t k = 0; k < r->count; k++) {
        const int64_t index = r->index[k];
        if (!(INDEX_OK))
            return host->fail(host->ctx, PUDLE_ERR_ARG, "sample %lld of %lld", (long long)index, (long long)o->samples);
        for (int64_t j = 0; j < o->features; j++) {
            const double entry = ENTRY;
            if (r->x->dtype == PUDLE_F64)
                ((double *)r->x->data)[k * row + j] = entry;
            else
                ((float *)r->x->data)[k * row + j] = (float)entry;
        }
    }
    return PUDLE_OK;
}

static pudle_status read_labels(const pudle_host *host, const void *self, const pudle_data_request *r, int64_t *labels)
{
    const params *o = self;
    for (int64_t k = 0; k < r->count; k++) {
        const int64_t index = r->index[k];
        if (index < 0 || index >= o->samples)
            return host->fail(host->ctx, PUDLE_ERR_ARG, "label %lld of %lld", (long long)index, (long long)o->samples);
        labels[k] = LABEL;
    }
    return PUDLE_OK;
}

static const void *get_ext(const char *id)
{
    static const pudle_data_labels labels = { sizeof(pudle_data_labels), 0, read_labels };
    return strcmp(id, PUDLE_DATA_LABELS) ? NULL : &labels;
}

static const pudle_option options[] = {
    { "samples", PUDLE_INT, 0, offsetof(params, samples), "100", 1, 1e6, NULL, NULL, "Samples." },
    { "features", PUDLE_INT, 0, offsetof(params, features), "7", 1, 100, NULL, NULL, "Entries of a sample." },
    { NULL, 0, 0, 0, NULL, 0, 0, NULL, NULL, NULL }
};
static const pudle_data_ops ops = { sizeof(pudle_data_ops), 0, describe, read_samples };
static const pudle_desc desc = {
    .size = sizeof(pudle_desc), .kind = PUDLE_KIND_DATA, .name = NAME, .version = "1", .summary = "For tests of the conformance suite", .license = "MIT",
    .caps = PUDLE_DATA_EPOCH_FREE, .options = options, .option_size = sizeof(pudle_option), .params_size = sizeof(params), .ops = &ops,
    .get_ext = get_ext,
};
PUDLE_PLUGIN(&desc);

#endif
