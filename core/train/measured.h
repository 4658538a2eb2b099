/* core/train/measured.h - samples that are measurements A D z of signals D z: the matrix A from its file, and what is known of the signals. */
#ifndef PD_MEASURED_H
#define PD_MEASURED_H

#include "train/problem.h"

/** A from model.measurement, checked against the samples, before the network is made. Nothing where there is none. @errors CONFIG */
pudle_status pd_measured_open(pd_problem *problem);
/** D for messages, or A D: what stands in the layers. */
const char *pd_measured_name(const pd_problem *problem);

/** Where the truth is known: the signals D* z* (count, n) of true codes (count, p); both in host memory. */
pudle_status pd_measured_truth(pd_problem *problem, const pudle_cview *codes, double *signals);
/** Then: the dictionary error of A D against A D*, which is all that the samples tell of it; in order, and after the best order and signs. */
pudle_status pd_measured_error(pd_problem *problem, double *fixed, double *assigned);

#endif
