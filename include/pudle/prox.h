/* pudle/prox.h - proximal operators, kind PUDLE_KIND_PROX.
 *
 *   p = argmin_q 1/2 ||q - v||^2 + tau f(q),    tau > 0 the step of the encoder.
 *
 * theta[] holds the operator's levels: one view per option flagged PUDLE_THRESHOLD, in table order, each a scalar (one
 * element) or one value per atom (K elements), in the dtype of v. An option flagged PUDLE_PER_STEP arrives as tau * value:
 * the soft threshold receives the level tau * lambda itself. Other parameters are read from the instance; tau is passed
 * for operators whose formula needs it beside the level (MCP, SCAD). */
#ifndef PUDLE_PROX_H
#define PUDLE_PROX_H

#include <pudle/base.h>

enum {
    PUDLE_PROX_CONVEX = 1 << 0,       /* f is convex: the prox is firmly nonexpansive */
    PUDLE_PROX_SEPARABLE = 1 << 1,    /* acts on every entry alone */
    PUDLE_PROX_INPLACE = 1 << 2,      /* p may be v; gv may be g */
    PUDLE_PROX_NONNEG = 1 << 3,       /* p >= 0 always */
    PUDLE_PROX_BATCH_COUPLED = 1 << 4, /* looks across samples: the batch must not be split */
    PUDLE_PROX_SURROGATE = 1 << 5 /* the derivative for a level is a stand-in (straight-through), not the limit of differences */
};

/* What vjp reads, so that the tape keeps nothing else. */
enum {
    PUDLE_VJP_NONE = 0,   /* there is no derivative: gradient "dec" and "noodl" only */
    PUDLE_VJP_OUTPUT = 1, /* p */
    PUDLE_VJP_INPUT = 2,  /* v */
    PUDLE_VJP_BOTH = 3
};

/** The operator for one target. "host" is mandatory and the oracle of all others. Views: v, p, g, gv (B, K, ...) of one
 *  dtype and shape, contiguous. NaN in, NaN out: write comparisons so that a NaN is kept.
 *  @thread re-entrant; allocates nothing */
typedef struct pudle_prox_kernel {
    uint32_t size, flags;
    const char *target; /* "host"; other names are agreed with backends */
    pudle_status (*apply)(const void *self, pudle_exec *exec, double tau, const pudle_cview *theta,
                          const pudle_cview *v, const pudle_view *p);
    /** gv = (dp/dv)' g, overwritten;  gtheta[i] += (dp/dtheta_i)' g. gtheta is f64 with theta's shape, NULL if not wanted.
     *  v or p is NULL where vjp_needs does not ask for it. At a kink take one value of the subdifferential and say which. */
    pudle_status (*vjp)(const void *self, pudle_exec *exec, double tau, const pudle_cview *theta,
                        const pudle_cview *v, const pudle_cview *p, const pudle_cview *g,
                        const pudle_view *gv, const pudle_view *gtheta);
} pudle_prox_kernel;

typedef struct pudle_prox_ops {
    uint32_t size;
    int32_t vjp_needs;
    const pudle_prox_kernel *const *kernels; /* ends with NULL; kernels[0]->target is "host" */
    /** tau f(p), summed over all entries, for certificates. Optional. */
    pudle_status (*value)(const void *self, double tau, const pudle_cview *theta, const pudle_cview *p, double *f);
    /** Half-width of the interval around 0 that is mapped to exactly 0, for the given levels; lets a backend skip work exactly: its
     *  derivatives there are 0 too, but for those of PUDLE_PROX_SURROGATE, and so they are taken to be wherever else a value is 0, but for
     *  single points. 0: none. Optional. A backend may then hand over chosen entries of a code instead of all of it, so a separable operator
     *  whose options differ from atom to atom leaves it out. */
    double (*dead_zone)(const void *self, double tau, const double *theta);
    /** Since 1.1. The elementwise body, for backends that compile it. Optional. */
    const pudle_source *source;
} pudle_prox_ops;

#endif
