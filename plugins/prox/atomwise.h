/* Soft thresholds whose shape differs from atom to atom: a weight or a sign for each, from a list or a file.
 *   p = sign(v) max(|v| - t w_k, 0);   sign +1: max(v - t w_k, 0);   sign -1: min(v + t w_k, 0).
 * At the kink the derivative is taken as 0.
 *
 * They offer no dead zone: with one, a backend may hand over chosen entries of a code, and these operators must see where an
 * entry stands. */
#ifndef ATOMWISE_H
#define ATOMWISE_H

#include <pudle/plugin.h>

typedef struct atomwise {
    const pudle_host *host;
    const char *option; /* that gave the values, for messages */
    bool signs;         /* values are signs, and weights 1; else values are weights, and all signs are `sign` */
    int sign;
    int64_t count; /* of values: one for all, or one an atom */
    double value[];
} atomwise;

static inline double atomwise_weight(const atomwise *a, int64_t atom)
{
    return a->signs ? 1 : a->value[a->count > 1 ? atom : 0];
}

static inline int atomwise_sign(const atomwise *a, int64_t atom)
{
    return a->signs ? (int)a->value[a->count > 1 ? atom : 0] : a->sign;
}

#define REAL float
#define NAME(x) x##_f32
#include "atomwise_kernels.h"
#undef NAME
#undef REAL
#define REAL double
#define NAME(x) x##_f64
#include "atomwise_kernels.h"
#undef NAME
#undef REAL

static inline pudle_status atomwise_fits(const atomwise *a, const pudle_cview *v)
{
    const int64_t atoms = pudle_code_shape_of(v).atoms;
    if (a->count == 1 || a->count == atoms || pudle_count(v) == 0)
        return PUDLE_OK;
    return a->host->fail(a->host->ctx, PUDLE_ERR_ARG, "%s has %lld values, and the dictionary has %lld atoms: give one for each, or a single one",
                         a->option, (long long)a->count, (long long)atoms);
}

static inline pudle_status atomwise_apply(const void *self, pudle_exec *exec, double tau, const pudle_cview *theta, const pudle_cview *v,
                                          const pudle_view *p)
{
    const pudle_status s = atomwise_fits(self, v);
    (void)exec, (void)tau;
    if (!s && v->dtype == PUDLE_F64)
        atomwise_apply_f64(self, theta, v, p);
    else if (!s)
        atomwise_apply_f32(self, theta, v, p);
    return s;
}

static inline pudle_status atomwise_vjp(const void *self, pudle_exec *exec, double tau, const pudle_cview *theta, const pudle_cview *v,
                                        const pudle_cview *p, const pudle_cview *g, const pudle_view *gv, const pudle_view *gtheta)
{
    const pudle_status s = atomwise_fits(self, v);
    (void)exec, (void)tau, (void)p;
    if (!s && v->dtype == PUDLE_F64)
        atomwise_vjp_f64(self, theta, v, g, gv, gtheta);
    else if (!s)
        atomwise_vjp_f32(self, theta, v, g, gv, gtheta);
    return s;
}

static inline pudle_status atomwise_penalty(const void *self, double tau, const pudle_cview *theta, const pudle_cview *p, double *f)
{
    const pudle_status s = atomwise_fits(self, p);
    const pudle_code_shape c = pudle_code_shape_of(p);
    double sum = 0;
    (void)tau;
    for (int64_t i = 0; !s && i < pudle_count(p); i++) {
        const int64_t atom = i / c.inner % c.atoms;
        const double z = pudle_entry(p, i);
        const bool outside = z * atomwise_sign(self, atom) < 0;
        sum += outside ? INFINITY : pudle_entry(theta, atom * pudle_level_step(theta)) * atomwise_weight(self, atom) * fabs(z);
    }
    if (!s)
        *f = sum;
    return s;
}

static const pudle_prox_kernel atomwise_host = { (uint32_t)sizeof(pudle_prox_kernel), 0, "host", atomwise_apply, atomwise_vjp };
static const pudle_prox_kernel *const atomwise_kernels[] = { &atomwise_host, NULL };
static const pudle_prox_ops atomwise_ops = {
    .size = sizeof(pudle_prox_ops), .vjp_needs = PUDLE_VJP_INPUT, .kernels = atomwise_kernels, .value = atomwise_penalty,
};

/* ----------------------------------------------------------- making one */

static inline pudle_status atomwise_alloc(const pudle_host *host, const char *option, int64_t count, atomwise **out)
{
    atomwise *a = host->alloc(host->ctx, sizeof *a + (size_t)count * sizeof a->value[0]);
    if (!a)
        return host->fail(host->ctx, PUDLE_ERR_NOMEM, "%s: no memory for %lld values", option, (long long)count);
    a->host = host;
    a->option = option;
    a->signs = false;
    a->sign = 0;
    a->count = count;
    *out = a;
    return PUDLE_OK;
}

/* One value for each atom, from an array of rank 1. */
static inline pudle_status atomwise_read(const pudle_host *host, const char *option, const char *path, atomwise **out)
{
    const pudle_host_arrays *arrays = host->get_ext(host->ctx, PUDLE_HOST_ARRAYS);
    pudle_array_file *file = NULL;
    if (!arrays)
        return host->fail(host->ctx, PUDLE_ERR_UNSUPPORTED, "%s: the host does not read NumPy files (no %s)", option, PUDLE_HOST_ARRAYS);
    pudle_status s = arrays->open(host->ctx, path, &file);
    if (s)
        return s;
    const int32_t rank = arrays->rank(file);
    if (rank != 1 || arrays->extent(file, 0) < 1)
        s = host->fail(host->ctx, PUDLE_ERR_CONFIG, "%s: %s has rank %d%s; it must be a list of numbers, one an atom", option, path, (int)rank,
                       rank == 1 ? " and is empty" : "");
    if (!s)
        s = atomwise_alloc(host, option, arrays->extent(file, 0), out);
    for (int64_t i = 0; !s && i < (*out)->count; i++)
        s = arrays->read_row(host->ctx, file, i, PUDLE_F64, &(*out)->value[i]);
    arrays->close(file);
    return s;
}

static inline void atomwise_destroy(const pudle_host *host, void *self)
{
    host->free(host->ctx, self);
}

#endif
