#include "train/measured.h"
#include "train/dictionary.h"
#include "train/truth.h"
#include "measure/measure.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static pudle_status check_shape(const pd_problem *pb, const char *path, const pudle_cview *a)
{
    const int64_t m = pb->net.map.features;
    if (a->rank != 2 || a->shape[1] < 1)
        return pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "model.measurement: %s has %d axes%s; a matrix is wanted, (entries of a sample, entries of a signal)", path, (int)a->rank,
                       a->rank == 2 ? " and no columns" : "");
    if (a->shape[0] != m)
        return pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "model.measurement: %s is %lld x %lld, and samples have %lld entries: a row is wanted for each of them%s", path,
                       (long long)a->shape[0], (long long)a->shape[1], (long long)m, a->shape[1] == m ? "; transpose it" : "");
    return PUDLE_OK;
}

static pudle_status check_numbers(const pd_problem *pb, const char *path, const pudle_cview *a)
{
    const int64_t n = a->shape[1];
    for (int64_t i = 0; i < pudle_count(a); i++)
        if (!isfinite(pudle_entry(a, i)))
            return pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "model.measurement: %s: row %lld, column %lld, counted from 0, is not finite (%g)", path, (long long)(i / n),
                           (long long)(i % n), pudle_entry(a, i));
    return PUDLE_OK;
}

pudle_status pd_measured_open(pd_problem *pb)
{
    const char *path = pb->settings->model.measurement;
    pd_array a = { 0 };
    if (!path)
        return PUDLE_OK;
    pudle_status s = pd_array_read(pb->ctx, path, pb->dtype, &a);
    const pudle_cview c = pudle_const(&a.view);
    if (!s)
        s = check_shape(pb, path, &c);
    if (!s)
        s = check_numbers(pb, path, &c);
    if (!s)
        s = pd_measurement_init(&pb->net, &c);
    pd_array_free(&a);
    return s;
}

const char *pd_measured_name(const pd_problem *pb)
{
    return pb->net.measurement.data ? "A D" : "D";
}

pudle_status pd_measured_truth(pd_problem *pb, const pudle_cview *codes, double *signals)
{
    const pudle_status s = pd_problem_true_dictionary(pb);
    const pudle_cview d = pudle_const(&pb->true_dictionary.view);
    const int64_t n = d.shape[0], p = d.shape[1];
    for (int64_t i = 0; i < codes->shape[0] && !s; i++) {
        double *signal = signals + i * n;
        memset(signal, 0, (size_t)n * sizeof *signal);
        for (int64_t k = 0; k < p; k++) {
            const double z = pudle_entry(codes, i * p + k);
            for (int64_t j = 0; z != 0 && j < n; j++)
                signal[j] += z * pudle_entry(&d, j * p + k);
        }
    }
    return s;
}

/* A times the true dictionary, in the host's memory. It takes D's place for as long as that lasts. */
static pudle_status measure_truth(pd_problem *pb, pd_array *measured)
{
    pd_array own = { 0 };
    const pudle_cview truth = pudle_const(&pb->true_dictionary.view);
    pudle_status s = pd_problem_get_dictionary(pb, &own);
    if (s)
        return s;
    s = pd_problem_set_dictionary(pb, &truth);
    if (!s)
        s = pd_problem_fetch(pb, &pb->net.effective.value, measured);
    const pudle_cview back = pudle_const(&own.view);
    const pudle_status restored = pd_problem_set_dictionary(pb, &back);
    pd_array_free(&own);
    return s ? s : restored;
}

pudle_status pd_measured_error(pd_problem *pb, double *fixed, double *assigned)
{
    pd_array own = { 0 }, truth = { 0 };
    pd_distance distance;
    pudle_status s = pd_problem_true_dictionary(pb);
    if (!s)
        s = measure_truth(pb, &truth);
    if (!s)
        s = pd_problem_fetch(pb, &pb->net.effective.value, &own);
    const pudle_cview w = pudle_const(&own.view), t = pudle_const(&truth.view);
    if (!s)
        s = pd_distance_fixed(pb->ctx, &w, &t, &distance);
    if (!s) {
        *fixed = distance.relative;
        s = pd_distance_assigned(pb->ctx, &w, &t, &distance, NULL, NULL);
    }
    if (!s)
        *assigned = distance.relative;
    pd_array_free(&own);
    pd_array_free(&truth);
    return s;
}
