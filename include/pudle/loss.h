/* pudle/loss.h - losses l(pred, target), kind PUDLE_KIND_LOSS.
 *
 * pred = D z is the natural parameter (for least squares the reconstruction itself). All sums run over every entry of the
 * views; the core divides by the number of samples. The same plugin serves as the training loss (what the dictionary
 * descends) and, through its part in pred, as the inner loss (what the encoder descends). */
#ifndef PUDLE_LOSS_H
#define PUDLE_LOSS_H

#include <pudle/base.h>

enum {
    PUDLE_LOSS_CONVEX = 1 << 0,    /* in pred */
    PUDLE_LOSS_QUADRATIC = 1 << 1, /* hvp does not depend on pred */
    PUDLE_LOSS_SEPARABLE = 1 << 2  /* hvp is diagonal */
};

/** The loss for one target. "host" is mandatory. pred, target, u, g, hu: (B, ...) contiguous, one dtype; g may be pred,
 *  hu may be u. @thread re-entrant; allocates nothing */
typedef struct pudle_loss_kernel {
    uint32_t size, flags;
    const char *target;
    pudle_status (*value)(const void *self, pudle_exec *exec, const pudle_cview *pred, const pudle_cview *target_, double *sum);
    /** g = d l / d pred, overwritten */
    pudle_status (*grad)(const void *self, pudle_exec *exec, const pudle_cview *pred, const pudle_cview *target_, const pudle_view *g);
    /** hu = (d^2 l / d pred^2) u, overwritten: backpropagation through the encoder differentiates the gradient */
    pudle_status (*hvp)(const void *self, pudle_exec *exec, const pudle_cview *pred, const pudle_cview *target_,
                        const pudle_cview *u, const pudle_view *hu);
    /** A penalty on the code that belongs to the training objective (lasso: lambda ||z||_1), and its gradient, added to g.
     *  Optional: both or neither. */
    pudle_status (*code_value)(const void *self, pudle_exec *exec, const pudle_cview *z, double *sum);
    pudle_status (*code_grad)(const void *self, pudle_exec *exec, const pudle_cview *z, const pudle_view *g);
    /** Since 1.1. The mean of the target that pred stands for, the inverse link: exp(pred) for Poisson. m like pred, may be
     *  pred. Optional: absent means pred itself. */
    pudle_status (*mean)(const void *self, pudle_exec *exec, const pudle_cview *pred, const pudle_view *m);
} pudle_loss_kernel;

typedef struct pudle_loss_ops {
    uint32_t size, flags;
    const char *pred_domain, *target_domain; /* "real", "counts >= 0": shown to users */
    const pudle_loss_kernel *const *kernels; /* ends with NULL; kernels[0]->target is "host" */
    /** Lipschitz constant of d l / d pred over all pred, for these targets (may be NULL: for any target).
     *  @errors UNSUPPORTED where none exists: the user must then give a fixed step. Optional: absent means none exists. */
    pudle_status (*lipschitz)(const void *self, const pudle_cview *target_, double *constant);
    /** Are these targets in the domain? @errors ARG naming the first bad value, through host->fail. Optional. */
    pudle_status (*check_target)(const pudle_host *host, const void *self, const pudle_cview *target_);
    /** Since 1.1. The elementwise body, for backends that compile it. Optional. */
    const pudle_source *source;
    /** Since 1.1. The same of code_value and code_grad. Optional. */
    const pudle_source *code_source;
} pudle_loss_ops;

#endif
