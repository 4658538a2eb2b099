/* @NAME@: a source of samples (bumps at random places, as a start; put your own here):
 *     x[k] = a exp(-(k - c)^2 / (2 width^2)),   a uniform in [1, 2), c uniform in [0, features).
 * A sample is a pure function of (seed, split, number), so samples may be asked for in any order and on any thread. */
#include <pudle/plugin.h>

enum { RANDOM_BUMP = 1 }; /* a use of random numbers; others would have other numbers */

typedef struct params {
    int64_t samples, test_samples, features, seed;
    double width;
} params;

static const pudle_option options[] = {
    { .name = "samples", .type = PUDLE_INT, .offset = offsetof(params, samples), .dflt = "1000", .min = 1, .max = 1e15,
      .doc = "Number of training samples." },
    { .name = "test_samples", .type = PUDLE_INT, .offset = offsetof(params, test_samples), .dflt = "0", .min = 0, .max = 1e15,
      .doc = "Number of test samples." },
    { .name = "features", .type = PUDLE_INT, .offset = offsetof(params, features), .dflt = "50", .min = 1, .max = 1e6,
      .doc = "Entries of a sample." },
    { .name = "width", .type = PUDLE_REAL, .flags = PUDLE_OPEN_MIN | PUDLE_OPEN_MAX, .offset = offsetof(params, width), .dflt = "2.0",
      .min = 0, .max = INFINITY, .doc = "Standard deviation of a bump." },
    { .name = "seed", .type = PUDLE_INT, .offset = offsetof(params, seed), .dflt = "1", .min = 0, .max = 1e15, .doc = "Seed of the data." },
    { .name = NULL },
};

static int64_t count(const params *o, int32_t split)
{
    return split == PUDLE_SPLIT_TRAIN ? o->samples : split == PUDLE_SPLIT_TEST ? o->test_samples : 0;
}

static pudle_status describe(const pudle_host *host, const void *self, int32_t split, pudle_data_info *info)
{
    const params *o = self;
    if (count(o, split) == 0)
        return host->fail(host->ctx, PUDLE_ERR_NOTFOUND, "there are no samples in this split: set test_samples");
    info->rank = 1;
    info->samples = count(o, split);
    info->shape[0] = info->target_shape[0] = o->features;
    info->has_target = 0;
    return PUDLE_OK;
}

/* Row `row` of x, in x's own type. */
static void write_sample(const params *o, int32_t split, int64_t number, const pudle_view *x, int64_t row)
{
    pudle_random random = pudle_random_at((uint64_t)o->seed, RANDOM_BUMP, (uint32_t)split, (uint64_t)number);
    const double a = 1 + pudle_random_uniform(&random), c = (double)o->features * pudle_random_uniform(&random);
    for (int64_t k = 0; k < o->features; k++) {
        const double distance = ((double)k - c) / o->width, value = a * exp(-distance * distance / 2);
        if (x->dtype == PUDLE_F64)
            ((double *)x->data)[row * o->features + k] = value;
        else
            ((float *)x->data)[row * o->features + k] = (float)value;
    }
}

static pudle_status read_samples(const pudle_host *host, const void *self, const pudle_data_request *request)
{
    const params *o = self;
    for (int64_t i = 0; i < request->count; i++)
        if (request->index[i] < 0 || request->index[i] >= count(o, request->split))
            return host->fail(host->ctx, PUDLE_ERR_ARG, "there is no sample %lld: the split has %lld", (long long)request->index[i],
                              (long long)count(o, request->split));
    for (int64_t i = 0; i < request->count; i++)
        write_sample(o, request->split, request->index[i], request->x, i);
    return PUDLE_OK;
}

static const pudle_data_ops ops = { .size = sizeof(pudle_data_ops), .describe = describe, .read = read_samples };

/* Without create, the options themselves are the instance. A source with files opens them in create and closes them in destroy. */
static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_DATA,
    .name = "@NAME@",
    .version = "0.1.0",
    .summary = "Bumps at random places",
    .license = "MIT",
    .caps = PUDLE_DATA_EPOCH_FREE,
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
