/* core/train/critical.h - from which value of a level of the prox on all codes are zeros; levels that are given as a multiple of it. */
#ifndef PD_CRITICAL_H
#define PD_CRITICAL_H

#include "train/problem.h"

/** For all samples, and for half of them; NaN: the level has no such value. Of the samples that were looked at. */
typedef struct pd_critical { double all, half; int64_t samples; } pd_critical; /* how many were looked at */

/** The critical value of every level (net.level), the others being what they are, for the present dictionary, step and decay, over at most 1000 training
 *  samples, evenly spaced. Whatever the operator is: it is tried. NaN for levels from a file, for operators that tie the samples of a batch together, where layers have
 *  weights or steps of their own, and where samples are given. @errors NOMEM, and what reading gives */
pudle_status pd_critical_find(pd_problem *problem, pd_critical found[PD_MAX_LEVELS]);

/** Give a level that the config has as a multiple its number, once: in the network, and in the settings' options. Nothing where there is none.
 *  @errors CONFIG: the level has no critical value, or the number is none that the option takes */
pudle_status pd_critical_resolve(pd_problem *problem);

#endif
