/* Codes stay zeros as long as prox(v) = 0 for what a layer makes of z = 0, v = -alpha D' g_in(a; x), which is the same at every layer. So v is found once, and the
 * prox is tried on it with one value of the level after another: no formula of any operator is known here. */
#include "train/critical.h"
#include "graph/lane.h"
#include "train/missing.h"
#include "train/order.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES_MOST = 1000, ENTRIES_MOST = 2 << 20 };

typedef struct probe {
    pd_problem *pb;
    int64_t samples;
    void *v, *p;        /* (samples, code), in host memory */
    double largest;     /* entry of v, in size */
    int level;          /* that is tried */
} probe;

static pudle_status no_memory(const pd_problem *pb)
{
    return pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory for the critical value of a level");
}

/* ------------------------------------------------------------------ what a layer makes of zeros */

/* Of the samples in index, into v from row `first` on. */
static pudle_status first_layer(probe *t, const int64_t *index, int64_t first, int64_t count, const pudle_view *slope, const pudle_view *v)
{
    pd_problem *pb = t->pb;
    pd_batch batch;
    pudle_status s = pd_problem_batch(pb, PUDLE_SPLIT_TRAIN, 0, index, count, &batch);
    if (!s)
        s = pd_problem_baseline(pb, slope);
    if (s)
        return s;
    const pudle_view target = pd_matrix((void *)batch.x.data, pb->dtype, count, pb->net.map.features);
    const pudle_view shaped = pd_map_data_view(&pb->net.map, slope), shaped_target = pd_map_data_view(&pb->net.map, &target);
    const pudle_cview pred = pudle_const(&shaped), x = pudle_const(&shaped_target), g = pudle_const(slope), w = pd_lane_weights(&pb->net, &pb->net.analysis, 1);
    const size_t row = (size_t)pb->net.map.code * pudle_dtype_size(pb->dtype);
    s = pb->be->loss_grad(pb->exec, &pb->net.inner, &pred, &x, &shaped);
    if (!s)
        s = pb->net.map.ops->adjoint(&pb->net.map, pb->exec, &w, -pb->net.alpha[0], &g, 0.0, v);
    return s ? s : pb->be->download(pb->exec, (char *)t->v + (size_t)first * row, v->data, (size_t)count * row);
}

/* Of all of them, no more at once than a batch of training has. */
static pudle_status fill(probe *t)
{
    pd_problem *pb = t->pb;
    const int64_t n = pb->train.samples, most = pd_batch_size(pb->settings, n), block = most < t->samples ? most : t->samples;
    const size_t width = pudle_dtype_size(pb->dtype);
    int64_t index[SAMPLES_MOST];
    void *slopes = NULL, *inputs = NULL;
    pudle_status s = pb->be->alloc(pb->exec, (size_t)(block * pb->net.map.features) * width, &slopes);
    if (!s)
        s = pb->be->alloc(pb->exec, (size_t)(block * pb->net.map.code) * width, &inputs);
    for (int64_t first = 0; first < t->samples && !s; first += block) {
        const int64_t count = t->samples - first < block ? t->samples - first : block;
        const pudle_view slope = pd_matrix(slopes, pb->dtype, count, pb->net.map.features), v = pd_matrix(inputs, pb->dtype, count, pb->net.map.code);
        for (int64_t i = 0; i < count; i++)
            index[i] = (first + i) * (n / t->samples) + (first + i) * (n % t->samples) / t->samples; /* evenly spaced, without overflow */
        s = first_layer(t, index, first, count, &slope, &v);
    }
    if (slopes)
        pb->be->free(pb->exec, slopes);
    if (inputs)
        pb->be->free(pb->exec, inputs);
    const pudle_cview all = pd_cmatrix(t->v, pb->dtype, t->samples, pb->net.map.code);
    for (int64_t i = 0; i < pudle_count(&all) && !s; i++)
        t->largest = fmax(t->largest, fabs(pudle_entry(&all, i)));
    return s;
}

/* --------------------------------------------------------------------------- trying */

/* What a level's value is multiplied by before the operator gets it, at the layer where it is least: the last one, where levels decay. */
static double scale_of(const pd_network *net, const pd_level *level)
{
    return (level->per_step ? net->alpha[0] : 1.0) * (net->beta < 1 ? pow(net->beta, (double)net->layers - 1) : 1.0);
}

/* How many samples have a code of zeros when the level is this. */
static pudle_status count_zeros(const probe *t, double value, int64_t *zeros)
{
    const pd_network *net = &t->pb->net;
    const pudle_prox_ops *ops = net->prox.desc->ops;
    const int64_t one = 1, code = net->map.code;
    double number[PD_MAX_LEVELS];
    float single[PD_MAX_LEVELS];
    pudle_cview theta[PD_MAX_LEVELS];
    for (int i = 0; i < net->levels; i++) {
        number[i] = scale_of(net, &net->level[i]) * (i == t->level ? value : net->level[i].initial);
        single[i] = (float)number[i];
        theta[i] = pd_cview(net->dtype == PUDLE_F64 ? (const void *)&number[i] : &single[i], net->dtype, 1, &one);
    }
    const pudle_view rows = pd_matrix(t->v, net->dtype, t->samples, code), out = pd_matrix(t->p, net->dtype, t->samples, code);
    const pudle_view v = pd_map_code_view(&net->map, &rows), p = pd_map_code_view(&net->map, &out);
    const pudle_cview cv = pudle_const(&v), cp = pudle_const(&p);
    const pudle_status s = ops->kernels[0]->apply(net->prox.self, NULL, net->alpha[0], theta, &cv, &p); /* "host", as the registry has checked */
    *zeros = 0;
    for (int64_t i = 0; i < t->samples && !s; i++) {
        int64_t k = 0;
        while (k < code && pudle_entry(&cp, i * code + k) == 0)
            k++;
        *zeros += k == code;
    }
    return s;
}

static pudle_status fail_silently(void *ctx, pudle_status status, const char *format, ...) PUDLE_PRINTF(3, 4);
static pudle_status fail_silently(void *ctx, pudle_status status, const char *format, ...)
{
    (void)ctx, (void)format;
    return status;
}

static void log_nothing(void *ctx, int32_t level, const char *format, ...) PUDLE_PRINTF(3, 4);
static void log_nothing(void *ctx, int32_t level, const char *format, ...)
{
    (void)ctx, (void)level, (void)format;
}

/* Does the prox take this value beside its other options? Where it does not, what it makes of it means nothing. */
static bool is_taken(const probe *t, double value)
{
    const pd_section *prox = &t->pb->settings->section[PD_SECTION_PROX];
    const pudle_desc *desc = prox->plugin->desc;
    const pudle_host *host = pd_host_for(t->pb->ctx, desc->name);
    char *params = pd_alloc(1, desc->params_size);
    pudle_option row;
    bool taken = host && params;
    if (!PUDLE_HAS(desc, pudle_desc, check) || !desc->check) {
        free(params);
        return true;
    }
    if (taken) {
        pudle_host silent = *host;
        silent.fail = fail_silently;
        silent.log = log_nothing;
        memcpy(params, prox->plugin_params, desc->params_size);
        if (pd_option_find(desc, t->pb->net.level[t->level].name, &row))
            memcpy(params + row.offset, &value, sizeof value);
        PD_CALL(desc->name, "check");
        taken = !desc->check(&silent, params);
        PD_RETURNED();
    }
    free(params);
    return taken;
}

/* The least value from which on so many samples have codes of zeros, by halving: of the exponent first. NaN: there is none, or any value does it. */
static pudle_status search(const probe *t, int64_t wanted, double *value)
{
    const pd_network *net = &t->pb->net;
    const pd_level *level = &net->level[t->level];
    const double beyond = 1 << 20, close = net->dtype == PUDLE_F64 ? 1e-13 : 1e-7;
    double low = level->bounded && level->min > 0 ? level->min : 0, high = beyond * t->largest / scale_of(net, level);
    int64_t zeros = 0, zeros_low = 0;
    *value = NAN;
    if (level->bounded && high > level->max)
        high = level->max;
    if (!(high > low) || !isfinite(high))
        return PUDLE_OK;
    pudle_status s = count_zeros(t, high, &zeros);
    if (!s && zeros >= wanted)
        s = count_zeros(t, low, &zeros_low);
    if (s || zeros < wanted || zeros_low >= wanted)
        return s;
    for (int i = 0; i < 200 && high - low > close * high && !s; i++) {
        const double least = high * 1e-24, from = low > least ? low : least, middle = high > 4 * from ? sqrt(from) * sqrt(high) : low + (high - low) / 2;
        s = count_zeros(t, middle, &zeros);
        *(zeros >= wanted ? &high : &low) = middle;
    }
    *value = s || !is_taken(t, high) ? NAN : high;
    return s;
}

/* Are the values of the levels in the options, and does every layer make the same of zeros, as it need not with weights or a step of its own? */
static bool has_meaning(const pd_problem *pb)
{
    const pd_network *net = &pb->net;
    return net->levels > 0 && pb->source && !pb->settings->prox.path && net->encoder_rows <= 1 && net->step_rows <= 1 && !(net->prox.desc->caps & PUDLE_PROX_BATCH_COUPLED);
}

pudle_status pd_critical_find(pd_problem *pb, pd_critical found[PD_MAX_LEVELS])
{
    const int64_t n = pb->train.samples, fit = ENTRIES_MOST / pb->net.map.code, most = fit < 1 ? 1 : fit < SAMPLES_MOST ? fit : SAMPLES_MOST;
    probe t = { .pb = pb, .samples = n < most ? n : most };
    for (int i = 0; i < PD_MAX_LEVELS; i++)
        found[i] = (pd_critical){ NAN, NAN, t.samples };
    if (!has_meaning(pb))
        return PUDLE_OK;
    const size_t bytes = (size_t)(t.samples * pb->net.map.code) * pudle_dtype_size(pb->dtype);
    t.v = pd_alloc(bytes, 1);
    t.p = pd_alloc(bytes, 1);
    pudle_status s = t.v && t.p ? fill(&t) : no_memory(pb);
    for (t.level = 0; t.level < pb->net.levels && !s; t.level++) {
        pd_critical *c = &found[t.level];
        s = search(&t, t.samples, &c->all);
        if (!s && !isnan(c->all))
            s = search(&t, (t.samples + 1) / 2, &c->half);
    }
    free(t.v);
    free(t.p);
    return s;
}

/* The loss has options that follow the level, and has them by now. That must not be what the critical value comes from. */
static pudle_status follow(pd_problem *pb, int level, double before)
{
    pd_critical found[PD_MAX_LEVELS];
    pb->net.code_l1 = pb->settings->loss.code_l1;
    pb->net.code_l2 = pb->settings->loss.code_l2;
    pd_missing_changed(pb->gaps);
    const pudle_status s = pb->own_inner ? PUDLE_OK : pd_critical_find(pb, found);
    if (s || pb->own_inner || found[level].all == before)
        return s;
    return pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "prox.%s = \"%s\" is found with the loss, of which an option follows it: the one depends on the other; give one of the two a number, or "
                   "an inner_loss of its own", pb->net.level[level].name, pb->settings->multiple->text);
}

pudle_status pd_critical_resolve(pd_problem *pb)
{
    const pd_multiple *m = pb->settings->multiple;
    pd_critical found[PD_MAX_LEVELS];
    int i = 0;
    if (!m || m->found)
        return PUDLE_OK;
    while (i < pb->net.levels - 1 && strcmp(pb->net.level[i].name, m->level))
        i++;
    pd_level *level = &pb->net.level[i];
    pudle_status s = pd_critical_find(pb, found);
    if (!s && isnan(found[i].all))
        s = pd_fail(pb->ctx, PUDLE_ERR_CONFIG, "prox.%s = \"%s\": %s; give a number", m->level, m->text,
                    !pb->source ? "the critical value is that of the training samples, and these are others"
                    : has_meaning(pb) ? "there is no value from which on all codes are zeros, and below which they are not"
                                      : "there is no critical value where the prox ties samples together or layers have weights or steps of their own");
    const double value = s ? NAN : m->times * found[i].all;
    if (!s)
        s = pd_settings_set_level(pb->ctx, pb->settings, value);
    if (!s && pb->settings->follower)
        s = follow(pb, i, found[i].all);
    if (s)
        return s;
    level->initial = value;
    pd_log(pb->ctx, PUDLE_LOG_INFO, "prox.%s = \"%s\" is %.6g: all codes%s are zeros beyond %.6g", m->level, m->text, value,
           found[i].samples < pb->train.samples ? " of the samples that were looked at" : "", found[i].all);
    return pd_network_refresh(&pb->net);
}
