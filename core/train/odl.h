/* core/train/odl.h - online dictionary learning (Mairal, Bach, Ponce, Sapiro 2009, doi:10.1145/1553374.1553463), the baseline beside gradients. */
#ifndef PD_ODL_H
#define PD_ODL_H

#include "train/problem.h"

/** Does the decoder's gradient tell B, that is, is the loss that of least squares? @errors CONFIG */
pudle_status pd_odl_possible(pd_problem *problem);

/** Room for B (m, p) and A (p, p), in the place of the dictionary's moments. */
pudle_status pd_odl_init(pd_problem *problem);

/** Update t, counted from 1, after a gradient, with the batch's means of z z' (net.code_gram) and of the decoder's gradient g = D mean(z z') - mean(x z'):
 *  A <- k A + mean(z z'),  B <- k B + mean(x z'),  k = (1 - 1/(t + prior))^forget, from A = w I and B = w D, w = prior tr(mean(z z')) / p of the first batch that has codes; and then once for every atom j that codes have used
 *  d_j <- d_j + (b_j - D a_j) / A_jj, scaled to unit norm, with the atoms before it as they are by then. */
pudle_status pd_odl_step(pd_problem *problem, int64_t update);

/** Atoms that become others, before they do. What they have explained goes with them, B <- B - sum d_j a_j', lest the others take it over; and their row and column of A
 *  and column of B become 0. */
pudle_status pd_odl_forget(pd_problem *problem, int64_t count, const int64_t *atom);

#endif
