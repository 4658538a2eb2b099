/* core/train/means.h - losses over all samples of a split. */
#ifndef PD_MEANS_H
#define PD_MEANS_H

#include "train/problem.h"

/** Means over samples. The loss is the sum of the first two. */
typedef struct pd_means { double data_loss, code_loss, nonzeros; } pd_means;

/** Of the samples of a split, `block` at a time, forward only, after so many updates: step and levels are brought up to date with D. @errors NUMERIC, and what reading
 *  gives */
pudle_status pd_problem_means(pd_problem *problem, int split, int64_t samples, int64_t block, int64_t update, pd_means *means);

#endif
