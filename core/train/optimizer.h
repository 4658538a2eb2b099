/* core/train/optimizer.h - descend the gradient, then keep the constraints. */
#ifndef PD_OPTIMIZER_H
#define PD_OPTIMIZER_H

#include "train/problem.h"

/** Can the backend do what the config asks of an update? @errors CONFIG */
pudle_status pd_optimizer_possible(pd_problem *problem);

/** Allocate and clear the moments that the chosen optimiser needs, for D and for every learned threshold. */
pudle_status pd_optimizer_init(pd_problem *problem);

/** One step, number `update` counted from 1, at learning rate `rate`:
 *  g <- g + omega D (weight decay, Theorem 5.1);  g_j <- g_j - <d_j, g_j>/<d_j, d_j> d_j, if train.tangent;  D <- optimiser(D, g);  unit-norm atoms, if asked after each update.
 *  With optimizer = "odl" D is solved for instead (train/odl.h).
 *  Thresholds: their own rate, then clamped into the option's range. Moments are not touched by the constraints. */
pudle_status pd_optimizer_step(pd_problem *problem, double rate, double threshold_rate, int64_t update);

/** Has the last step, number `update`, left a dictionary of numbers? pd_optimizer_step asks itself where the backend knows at once;
 *  else it is known after the next sync. @errors NUMERIC */
pudle_status pd_optimizer_check(pd_problem *problem, int64_t update);

/** Unit-norm atoms. */
pudle_status pd_normalize_atoms(pd_problem *problem);

#endif
