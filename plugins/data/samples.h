/* What every data source does with a request. */
#ifndef SAMPLES_H
#define SAMPLES_H

#include <pudle/plugin.h>

/** Is every index in [0, samples)? @errors ARG naming the first that is not */
static inline pudle_status samples_check(const pudle_host *host, const pudle_data_request *request, int64_t samples)
{
    for (int64_t i = 0; i < request->count; i++)
        if (request->index[i] < 0 || request->index[i] >= samples)
            return host->fail(host->ctx, PUDLE_ERR_ARG, "there is no sample %lld: the %s split has %lld",
                              (long long)request->index[i], request->split == PUDLE_SPLIT_TEST ? "test" : "training",
                              (long long)samples);
    return PUDLE_OK;
}

/** Row `row` of x (count, n) <- the n given values, in x's type. */
static inline void samples_store(const pudle_view *x, int64_t row, int64_t n, const double *values)
{
    if (x->dtype == PUDLE_F64) {
        double *out = (double *)x->data + row * n;
        for (int64_t i = 0; i < n; i++)
            out[i] = values[i];
    } else {
        float *out = (float *)x->data + row * n;
        for (int64_t i = 0; i < n; i++)
            out[i] = (float)values[i];
    }
}

#endif
