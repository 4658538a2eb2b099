/* core/train/truth.h - the dictionary that made the data, where a source knows it, and how far the learned one is from it. */
#ifndef PD_TRUTH_H
#define PD_TRUTH_H

#include "train/problem.h"

/** The dictionary that made the data, into problem->true_dictionary (f64), where it is not there yet, in the shape of D. @errors CONFIG where that is another */
pudle_status pd_problem_true_dictionary(pd_problem *problem);
/** The same, with atoms as columns, whatever its kind: (entries of an atom, atoms). */
pudle_status pd_problem_true_columns(pd_problem *problem, pudle_cview *columns);
/** The axes of a true filter; 0: the true dictionary is a matrix. */
int32_t pd_truth_axes(const pd_problem *problem);
/** Is an entry of D's codes one of the true ones? A measurement, which changes no code, may not be known yet. */
bool pd_truth_same_codes(const pd_problem *problem);

#endif
