/* core/train/atoms_picture.h - dictionary.png of a run. */
#ifndef PD_ATOMS_PICTURE_H
#define PD_ATOMS_PICTURE_H

#include "train/problem.h"

/** Draw the atoms of a dictionary in host memory, of the network's weight shape, in their order, row by row: pictures as such, with a range of
 *  grey for each; vectors and signals as bars. @errors NOMEM, IO */
pudle_status pd_atoms_picture(pd_problem *problem, const pd_array *dictionary, const char *png);

#endif
