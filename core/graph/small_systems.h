/* core/graph/small_systems.h - small symmetric positive definite systems, eight side by side. Internal to core/graph. */
#ifndef PD_SMALL_SYSTEMS_H
#define PD_SMALL_SYSTEMS_H

#include <stdint.h>

enum { PD_SIDE = 8 /* systems in the lanes of a vector */ };

/** Where entry (i, k), k <= i, of system `lane` is among the lower triangles. */
static inline int64_t pd_small_at(int64_t i, int64_t k, int lane)
{
    return (i * (i + 1) / 2 + k) * PD_SIDE + lane;
}

/** Doubles that the lower triangles of systems of n unknowns take, and that `work` has. */
static inline int64_t pd_small_room(int64_t n)
{
    return n * (n + 1) / 2 * PD_SIDE;
}
static inline int64_t pd_small_work(int64_t n)
{
    return 5 * n * PD_SIDE;
}

/** x <- A^-1 x for eight systems, by A = L diag(d) L', L with a diagonal of 1; every lane by itself, so that no result depends on its
 *  neighbours. size: unknowns of each; n: the most of them. a: the lower triangles (pd_small_at), changed to L and 1 / d. x: (n, 8). Behind
 *  fewer unknowns than n stand rows of the identity, and 0 in x.
 *
 *  bound: for each an upper bound of its condition number in the 1-norm, sqrt(n) trace(A) ||M^-T diag(d)^-1 M^-1 1||, where M, the
 *  comparison matrix of L, has -|l| outside its diagonal, so that |A^-1| <= M^-T diag(d)^-1 M^-1 entry by entry (Higham 2002, section
 *  8.3, has such bounds for triangular matrices). It may be far too large, and is infinite or NaN where A is not positive definite or
 *  not finite: then x means nothing. */
void pd_small_solve(double *a, int64_t n, const int64_t size[PD_SIDE], double *x, double *work, double bound[PD_SIDE]);

#endif
