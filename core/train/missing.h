/* core/train/missing.h - any separable loss over the entries that are there (loss.missing = "skip"). */
#ifndef PD_MISSING_H
#define PD_MISSING_H

#include "context.h"

typedef struct pd_missing pd_missing;

/** *loss, which acts on every entry alone and alike, becomes an instance of the same name whose value, gradient and Hessian are 0 where the target is NaN, and the loss's own elsewhere; on devices, too,
 *  where it has a source. *out holds what it needs, the instance as it was among it, until pd_missing_free(). @errors NOMEM */
pudle_status pd_missing_skip(pd_context *ctx, pudle_instance *loss, pd_missing **out);

/** The original's options have changed, and it is what they make it. NULL is legal. */
void pd_missing_changed(pd_missing *m);

/** Give the instance back as it was. NULL is legal, and nothing happens. */
void pd_missing_free(pd_missing *m, pudle_instance *loss);

#endif
