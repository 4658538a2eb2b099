/* Half the sum of squares, 1/2 ||pred - target||^2, which least_squares and lasso share: value, gradient, Hessian. */
#ifndef SQUARES_H
#define SQUARES_H

#include <pudle/plugin.h>
#include <string.h>

static inline pudle_status squares_value(const void *self, pudle_exec *exec, const pudle_cview *pred,
                                         const pudle_cview *target, double *sum)
{
    const int64_t n = pudle_count(pred);
    double total = 0;
    (void)self;
    (void)exec;
    if (pred->dtype == PUDLE_F64) {
        const double *a = pred->data, *b = target->data;
        for (int64_t i = 0; i < n; i++)
            total += (a[i] - b[i]) * (a[i] - b[i]);
    } else {
        const float *a = pred->data, *b = target->data;
        for (int64_t i = 0; i < n; i++) {
            const double r = (double)a[i] - (double)b[i];
            total += r * r;
        }
    }
    *sum = 0.5 * total;
    return PUDLE_OK;
}

/** g = pred - target */
static inline pudle_status squares_grad(const void *self, pudle_exec *exec, const pudle_cview *pred,
                                        const pudle_cview *target, const pudle_view *g)
{
    const int64_t n = pudle_count(pred);
    (void)self;
    (void)exec;
    if (pred->dtype == PUDLE_F64) {
        const double *a = pred->data, *b = target->data;
        double *out = g->data;
        for (int64_t i = 0; i < n; i++)
            out[i] = a[i] - b[i];
    } else {
        const float *a = pred->data, *b = target->data;
        float *out = g->data;
        for (int64_t i = 0; i < n; i++)
            out[i] = a[i] - b[i];
    }
    return PUDLE_OK;
}

/** The Hessian is the identity: hu = u. */
static inline pudle_status squares_hvp(const void *self, pudle_exec *exec, const pudle_cview *pred,
                                       const pudle_cview *target, const pudle_cview *u, const pudle_view *hu)
{
    (void)self;
    (void)exec;
    (void)pred;
    (void)target;
    if (hu->data != u->data)
        memcpy(hu->data, u->data, (size_t)pudle_count(u) * pudle_dtype_size(u->dtype));
    return PUDLE_OK;
}

static inline pudle_status squares_lipschitz(const void *self, const pudle_cview *target, double *constant)
{
    (void)self;
    (void)target;
    *constant = 1;
    return PUDLE_OK;
}

/* The same for devices. The host kernels are written out all the same: they copy, or do nothing, where a macro would compute. */
static const pudle_source squares_source = {
    sizeof(pudle_source), 0, "*f = (eta - x) * (eta - x) / 2; *df = eta - x; *ddf = 1; *mean = eta; *ok = x - x == 0;",
};

#endif
