/* plugins/backend/cpu/cpu.h - parts of the cpu backend: choice of the BLIS kernels, matrix products, loops over arrays. */
#ifndef BACKEND_CPU_H
#define BACKEND_CPU_H

#include "../host.h"

/** Fix the architecture BLIS works as, before its first use in this process; later calls only compare. wanted: a name such
 *  as "haswell", or "" to choose. @errors CONFIG naming what BLIS and this CPU can do */
pudle_status cpu_arch_select(const pudle_host *host, const char *wanted);
/** Lines for describe(). */
void cpu_arch_describe(char *text, size_t size);

/** Call body(ctx, part) for part = 0 .. parts-1, on the threads the exec may use. Parts must be cut by shape alone. */
typedef void (*cpu_body)(void *ctx, int64_t part);
void cpu_parts(const pudle_exec *exec, int64_t parts, cpu_body body, void *ctx);
/** The same, where about `work` entries are touched in all: little work stays on the calling thread, for waking the others
 *  costs microseconds, and milliseconds where something else keeps their processors busy. */
void cpu_share(const pudle_exec *exec, int64_t parts, double work, cpu_body body, void *ctx);

/** An exec like this one, for one part of a region: one thread, and no memory of its own. */
static inline pudle_exec cpu_alone(const pudle_exec *exec)
{
    return (pudle_exec){ .host = exec->host, .threads = 1, .wide = exec->wide };
}

pudle_status cpu_gemm(pudle_exec *exec, bool trans_a, bool trans_b, double a, const pudle_cview *A, const pudle_cview *B,
                      double b, const pudle_view *C);

pudle_status cpu_fill(pudle_exec *exec, double value, const pudle_view *y);
pudle_status cpu_copy(pudle_exec *exec, const pudle_cview *x, const pudle_view *y);
pudle_status cpu_axpby(pudle_exec *exec, double a, const pudle_cview *x, double b, const pudle_view *y);
pudle_status cpu_sign(pudle_exec *exec, const pudle_cview *x, const pudle_view *y);
pudle_status cpu_dot(pudle_exec *exec, const pudle_cview *x, const pudle_cview *y, double *sum);
pudle_status cpu_census(pudle_exec *exec, const pudle_cview *x, int64_t *nonzero, int64_t *nonfinite);
pudle_status cpu_normalize(pudle_exec *exec, int32_t axis, double norm, const pudle_view *w);
pudle_status cpu_tangent(pudle_exec *exec, int32_t axis, const pudle_cview *w, const pudle_view *g);
pudle_status cpu_momentum(pudle_exec *exec, double rate, double mu, const pudle_cview *g, const pudle_view *buf,
                          const pudle_view *w);
pudle_status cpu_adam(pudle_exec *exec, const pudle_adam *how, const pudle_cview *g, const pudle_view *m,
                      const pudle_view *v, const pudle_view *w);

pudle_status cpu_conv_apply(pudle_exec *exec, const pudle_conv *c, const pudle_cview *w, const pudle_cview *z, const pudle_view *u);
pudle_status cpu_conv_adjoint(pudle_exec *exec, const pudle_conv *c, const pudle_cview *w, double a, const pudle_cview *r, double b,
                              const pudle_view *v);
pudle_status cpu_conv_gradient(pudle_exec *exec, const pudle_conv *c, double a, const pudle_cview *r, const pudle_cview *z,
                               const pudle_view *gw);

#endif
