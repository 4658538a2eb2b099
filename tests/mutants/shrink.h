/* The group soft threshold, p = v max(1 - t / ||v||, 0) with the norm over FIRST .. FIRST + LENGTH: a prox whose entries act on each
 * other, or with the whole batch as one group, whose samples do. */
#ifndef SHRINK_H
#define SHRINK_H

#include <pudle/plugin.h>

typedef struct params { double lambda; } params;

static double at(const pudle_cview *v, int64_t i) { return pudle_entry(v, i); }

static void put(const pudle_view *v, int64_t i, double x)
{
    if (v->dtype == PUDLE_F64)
        ((double *)v->data)[i] = x;
    else
        ((float *)v->data)[i] = (float)x;
}

static double norm(const pudle_cview *v, int64_t first, int64_t length)
{
    double sum = 0;
    for (int64_t i = first; i < first + length; i++)
        sum += at(v, i) * at(v, i);
    return sqrt(sum);
}

static int64_t group(const pudle_cview *v)
{
    const int64_t n = pudle_count(v);
    return GROUP_IS_BATCH || n == 0 ? n : n / v->shape[0];
}

static pudle_status apply(const void *self, pudle_exec *exec, double tau, const pudle_cview *theta, const pudle_cview *v, const pudle_view *p)
{
    const int64_t n = pudle_count(v), length = group(v);
    const double t = n ? at(&theta[0], 0) : 0;
    (void)self, (void)exec, (void)tau;
    for (int64_t first = 0; first < n; first += length) {
        const double size = norm(v, first, length);
        for (int64_t i = first; i < first + length; i++)
            put(p, i, size <= t ? 0 : at(v, i) * (1 - t / size));
    }
    return PUDLE_OK;
}

static const pudle_option options[] = {
    { "lambda", PUDLE_REAL, PUDLE_OPEN_MAX, offsetof(params, lambda), "0.3", 0, INFINITY, NULL, NULL, "Weight." },
    { NULL, 0, 0, 0, NULL, 0, 0, NULL, NULL, NULL }
};
static pudle_status fixed(const void *self, pudle_exec *exec, double tau, const pudle_cview *theta, const pudle_cview *v, const pudle_view *p)
{
    const double t = ((const params *)self)->lambda * tau;
    const pudle_cview level = { &t, PUDLE_F64, 1, { 1 }, { 1 } };
    (void)theta;
    return apply(self, exec, tau, &level, v, p);
}
static const pudle_prox_kernel kernel = { sizeof(pudle_prox_kernel), 0, "host", fixed, NULL };
static const pudle_prox_kernel *const kernels[] = { &kernel, NULL };
static const pudle_prox_ops ops = { .size = sizeof(pudle_prox_ops), .vjp_needs = PUDLE_VJP_NONE, .kernels = kernels };
static const pudle_desc desc = {
    .size = sizeof(pudle_desc), .kind = PUDLE_KIND_PROX, .name = NAME, .version = "1", .summary = "For tests of the conformance suite", .license = "MIT",
    .caps = CAPS, .options = options, .option_size = sizeof(pudle_option), .params_size = sizeof(params), .ops = &ops,
};
PUDLE_PLUGIN(&desc);

#endif
