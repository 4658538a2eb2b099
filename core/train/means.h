/* core/train/means.h - losses over all samples of a split. */
#ifndef PD_MEANS_H
#define PD_MEANS_H

#include <signal.h>
#include "train/problem.h"

/** Means over samples. The loss is the sum of the first two. */
typedef struct pd_means { double data_loss, code_loss, nonzeros; bool stopped; } pd_means;

/** Of the test samples (train.test_every), in blocks of a training batch at most, forward only, after so many updates: step and levels are brought up to date with D.
 *  stop: set by a signal; then the means are not known, and `stopped` says so. NULL is legal. @errors NUMERIC, and what reading gives */
pudle_status pd_problem_means(pd_problem *problem, int64_t samples, int64_t update, const volatile sig_atomic_t *stop, pd_means *means);

#endif
