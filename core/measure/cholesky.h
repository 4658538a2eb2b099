/* core/measure/cholesky.h - the factor of one symmetric positive definite matrix. */
#ifndef PD_CHOLESKY_H
#define PD_CHOLESKY_H

#include <stdint.h>

/** The lower triangle of a (n, n) becomes that of L, a = L L', column after column, each taken out of all rows below it; the upper is left alone. column: room for n.
 *  Returns -1, or the first row whose pivot, which stands in a then, is not a number above 0: a is not positive definite, or not finite. */
int64_t pd_cholesky(double *a, int64_t n, double *column);

#endif
