/* core/measure/distance.h - figures of atoms that have been put together. Internal to core/measure. */
#ifndef PD_DISTANCE_H
#define PD_DISTANCE_H

#include "measure/measure.h"

/** The figures of p pairs of unit atoms. minus, plus, size (p): ||d_j - d*_j||^2, ||d_j + d*_j||^2 and ||d*_j||^2; minus is
 *  overwritten. any_sign: the better sign counts. sign: NULL, or (p): of <d_j, d*_j>. */
void pd_distance_figures(int64_t p, double *minus, const double *plus, const double *size, bool any_sign, double *sign, pd_distance *out);

#endif
