/* core/train/stability.h - an encoder that diverges without leaving the numbers, which no look for NaN finds. */
#ifndef PD_STABILITY_H
#define PD_STABILITY_H

#include "train/problem.h"

/** For the first batch of a run: with a step that the config fixes and one dictionary in all layers, tell the log step * L, L the Lipschitz constant
 *  of the encoder's gradient at the present D, and warn of 2 and more: from there on codes may grow with every layer. */
pudle_status pd_stability_report(pd_problem *problem);

/** Losses that are sums of squares, against what codes of zeros would cost, which is asked for once, of the first batch that comes here: a proximal
 *  iteration with a stable step never costs more. Warns once of 1000 times as much. @errors NUMERIC from 1e12 times on: nothing of the data is left in
 *  such codes, and the squares of their gradients are beyond single precision, where Adam stands still */
pudle_status pd_stability_check(pd_problem *problem, const pd_batch *batch, const pd_pass *pass, int64_t update);

#endif
