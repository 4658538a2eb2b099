/* core/train/stability.h - an encoder that diverges without leaving the numbers, which no look for NaN finds. */
#ifndef PD_STABILITY_H
#define PD_STABILITY_H

#include "train/problem.h"

/** What step * L must stay below: 2, and with momentum b 1 + 1 / (1 + 2 b). Along an eigenvector of D'D to the eigenvalue h layers then are z_{t+1} =
 *  q ((1 + b) z_t - b z_{t-1}), q = 1 - step h, and both roots of r^2 - (1 + b) q r + b q lie inside the unit circle. Where b changes with the layer, the
 *  largest is taken. */
double pd_stability_limit(const pd_network *net);

/** For the first batch of a run: with one dictionary in all layers and a step that the config fixes, tell the log step * L, L the Lipschitz constant
 *  of the encoder's gradient at the present D, and warn where it is not below pd_stability_limit: from there on codes may grow with every layer. Of "c/L" it warns by c. */
pudle_status pd_stability_report(pd_problem *problem);

/** Has the loss of a batch left all bounds? Warns once where it is a sum of squares and 1000 times what codes of zeros cost in this batch, which they never do
 *  where the step is stable. @errors NUMERIC where it is so large that squares of gradients, as Adam takes them, are beyond the precision: they would be
 *  infinite, and the dictionary stand still. That is a function of the batch alone, so that a resumed run ends where another does */
pudle_status pd_stability_check(pd_problem *problem, const pd_batch *batch, const pd_pass *pass, int64_t update);

/** Is the loss of codes of zeros as large in this batch? Then the data are to blame, and no step. @errors NUMERIC where it is */
pudle_status pd_stability_check_scale(pd_problem *problem, const pd_batch *batch, int64_t update);

#endif
