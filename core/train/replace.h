/* core/train/replace.h - atoms that others take the place of, in everything that is learned of them. */
#ifndef PD_REPLACE_H
#define PD_REPLACE_H

#include "train/problem.h"

/** `count` atoms become others: in D and in an encoder's own weights, of all its layers. The optimiser's moments of theirs become 0, and levels that are
 *  learned for each atom what they are before training. Step and levels are not brought up to date.
 *  atom (count): their numbers, all different; values (count, entries of an atom): unit vectors, which are scaled
 *  to the norm that atoms are kept at */
pudle_status pd_replace_atoms(pd_problem *problem, int64_t count, const int64_t *atom, const double *values);

#endif
