/* (v - mean) / divisor, with one mean for the sample, or one for each of its channels, and one divisor: an affine map that the sample alone decides, so
 * that neither the order of reading nor the company in a batch matters. */
#include "train/prepare.h"
#include <math.h>

/* The sample in row `row`: `groups` runs of `length` entries from `first` on, each with a mean of its own. */
typedef struct sample { int64_t first, groups, length; } sample;

static sample sample_at(const pd_data_params *how, const pudle_cview *x, int64_t row)
{
    const int64_t n = pudle_count(x) / x->shape[0], groups = how->center == PD_CENTER_CHANNEL ? x->shape[1] : 1;
    return (sample){ row * n, groups, n / groups };
}

/* Taken from the first entry, so that the mean of equal numbers is that number, and nothing is left of them for scaling to enlarge. */
static double mean_of(const pd_data_params *how, const pudle_cview *x, const sample *s, int64_t group)
{
    const int64_t first = s->first + group * s->length;
    double origin = 0, sum = 0;
    int64_t there = 0;
    for (int64_t i = first; how->center != PD_CENTER_NONE && i < first + s->length; i++) {
        const double v = pudle_entry(x, i);
        if (!isfinite(v))
            continue;
        if (there++ == 0)
            origin = v;
        sum += v - origin;
    }
    return there ? origin + sum / (double)there : 0;
}

static double largest_of(const pd_data_params *how, const pudle_cview *x, const sample *s)
{
    double largest = 0;
    for (int64_t g = 0; g < s->groups; g++) {
        const double mean = mean_of(how, x, s, g);
        for (int64_t i = s->first + g * s->length; i < s->first + (g + 1) * s->length; i++) {
            const double v = fabs(pudle_entry(x, i) - mean);
            largest = isfinite(v) && v > largest ? v : largest;
        }
    }
    return largest;
}

/* The norm of what is left after centring, or its root mean square. Squares neither overflow nor vanish. */
static double size_of(const pd_data_params *how, const pudle_cview *x, const sample *s)
{
    const double largest = largest_of(how, x, s);
    double sum = 0;
    int64_t there = 0;
    for (int64_t g = 0; g < s->groups && largest > 0; g++) {
        const double mean = mean_of(how, x, s, g);
        for (int64_t i = s->first + g * s->length; i < s->first + (g + 1) * s->length; i++) {
            const double v = (pudle_entry(x, i) - mean) / largest;
            if (!isfinite(v))
                continue;
            sum += v * v;
            there++;
        }
    }
    return largest * sqrt(how->scale == PD_SCALE_STD && there ? sum / (double)there : sum);
}

/* Samples of less than the floor are divided by it, and remain small; zeros remain zeros. */
static double divisor_of(const pd_data_params *how, const pudle_cview *x, const sample *s)
{
    if (how->scale == PD_SCALE_NONE)
        return 1;
    const double size = fmax(size_of(how, x, s), how->scale_floor);
    return size > 0 ? size : 1;
}

void pd_prepare(const pd_data_params *how, const pudle_view *x, const pudle_view *y)
{
    const pudle_cview from = pudle_const(x), target = y ? pudle_const(y) : (pudle_cview){ 0 };
    for (int64_t row = 0; pd_prepares(how) && row < from.shape[0]; row++) {
        const sample s = sample_at(how, &from, row);
        const double divisor = divisor_of(how, &from, &s);
        for (int64_t g = 0; g < s.groups; g++) {
            const double mean = mean_of(how, &from, &s, g);
            for (int64_t i = s.first + g * s.length; i < s.first + (g + 1) * s.length; i++) {
                pd_put(x->data, x->dtype, i, (pudle_entry(&from, i) - mean) / divisor);
                if (y)
                    pd_put(y->data, y->dtype, i, (pudle_entry(&target, i) - mean) / divisor);
            }
        }
    }
}

void pd_prepare_undo(const pd_data_params *how, const pudle_cview *samples, const pudle_view *estimates)
{
    const pudle_cview from = pudle_const(estimates);
    for (int64_t row = 0; pd_prepares(how) && row < samples->shape[0]; row++) {
        const sample s = sample_at(how, samples, row);
        const double divisor = divisor_of(how, samples, &s);
        for (int64_t g = 0; g < s.groups; g++) {
            const double mean = mean_of(how, samples, &s, g);
            for (int64_t i = s.first + g * s.length; i < s.first + (g + 1) * s.length; i++)
                pd_put(estimates->data, estimates->dtype, i, pudle_entry(&from, i) * divisor + mean);
        }
    }
}

pudle_status pd_prepare_check(pd_context *ctx, const pd_data_params *how, int32_t rank, const int64_t *shape)
{
    int64_t entries = 1;
    for (int32_t i = 0; i < rank; i++)
        entries *= shape[i];
    if (how->center == PD_CENTER_CHANNEL && rank < 2)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "data.center = \"channel\": channels are the first axis of a sample, and these samples have no other; write  center = \"sample\";");
    if (how->center == PD_CENTER_CHANNEL && entries == shape[0])
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "data.center = \"channel\": each of the %lld channels is one number, of which nothing is left; write  center = \"sample\";", (long long)entries);
    if (how->center == PD_CENTER_SAMPLE && entries == 1)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "data.center = \"sample\": a sample is one number, of which nothing is left; write  center = \"none\";");
    return PUDLE_OK;
}

pudle_status pd_prepare_read(const pd_problem *pb, const pudle_data_request *request)
{
    PD_CALL(pb->data.desc->name, "read");
    const pudle_status s = pb->source->read(pd_host_for(pb->ctx, pb->data.desc->name), pb->data.self, request);
    PD_RETURNED();
    if (!s)
        pd_prepare(&pb->settings->data, request->x, request->y);
    return s;
}
