/* core/train/atom_prox.h - what atoms are held to besides their norm: D <- prox(D) after every step, by any operator of the kind prox. */
#ifndef PD_ATOM_PROX_H
#define PD_ATOM_PROX_H

#include "train/problem.h"

/** Room for the operator of the group dictionary_prox; nothing where the config has none. The network is made already.
 *  @errors CONFIG for an operator over several entries and a dense dictionary, whose atoms are columns; NOMEM */
pudle_status pd_atom_prox_open(pd_problem *problem);
void pd_atom_prox_close(pd_problem *problem);

/** What D would become, without changing it: whether the operator takes atoms of this size shows when it meets them. Says that atoms are scaled behind it. */
pudle_status pd_atom_prox_try(pd_problem *problem, double rate);

/** D <- prox(D) with the step `rate`: proximal descent where the optimiser is plain descent. Filters are gone through as codes of one sample each,
 *  (atoms, channels * size); a dense D entry by entry. */
pudle_status pd_atom_prox_apply(pd_problem *problem, double rate);

#endif
