/* core/train/trial.h - the first batch of training, tried before anything is written. */
#ifndef PD_TRIAL_H
#define PD_TRIAL_H

#include "train/means.h"

/** One pass, gradient included, over the batch that update 0 will meet: what shows only when plugins meet data, as targets outside a loss's
 *  domain (of all samples, where they do not change), lengths that do not fit, numbers that are none. Nothing is changed by it. The problem is initialised.
 *  tests: where train.test_every asks for them, what the test samples are like before update 0. @errors whatever the pass returns; NUMERIC */
pudle_status pd_try_first_batch(pd_problem *problem, pd_means *tests);

#endif
