/* core/measure/attribution.h - what the training samples have to do with a dictionary, and with the code of a sample. All arithmetic in double.
 *
 * A dictionary D (m, p) that is stationary for 1/2 ||X - D Z||_F^2 + omega/2 ||D||_F^2, X (m, n) the samples and Z (p, n) their codes, is
 *     D = X G Z',   G = (Z'Z + omega I)^-1                              (n, n)
 * so that atom j is the sum of all samples x_k with weights (G w_j)_k, w_j row j of Z, and D z = X beta, beta = G Z' z, for any code z
 * (Tolooshams and Ba, TMLR 2022, Theorem 5.1, equations 17 to 19). G is never formed:
 *     G Z' = Z' A^-1,   A = Z Z' + omega I                              (p, p)
 * takes sums over the samples and one Cholesky factor, so n may be any number. */
#ifndef PD_ATTRIBUTION_H
#define PD_ATTRIBUTION_H

#include "context.h"

typedef struct pd_attribution {
    int64_t m, p;
    double omega;
    double *gram;   /* (p, p), symmetric: the sum of z z', its lower half, until it is solved; then A^-1 */
    double *moment; /* (p, m): the sum of z x' until it is solved; then the estimate X G Z', an atom a row */
} pd_attribution;

/** @errors NOMEM */
pudle_status pd_attribution_open(pd_context *ctx, int64_t m, int64_t p, pd_attribution *out);
void pd_attribution_close(pd_attribution *a); /* zeroed is legal */

/** One more sample x (m) and its code z (p): O(s (p + m)) for s nonzeros. */
void pd_attribution_add(pd_attribution *a, const double *x, const double *z);

/** A^-1 and the estimate, O(p^3 + p^2 m); nothing is added afterwards. @errors NUMERIC where A is not positive definite, as with omega = 0 and an
 *  atom that no sample uses */
pudle_status pd_attribution_solve(pd_context *ctx, pd_attribution *a, double omega);

/** w (p) = A^-1 z: entry j is the weight (G w_j)_k of the sample in atom j, if z is the code of training sample k. For any z, beta_k is the
 *  product of w and the code of sample k. O(s p) */
void pd_attribution_weights(const pd_attribution *a, const double *z, double *w);

/** ||beta||_2 of a code z with weights w: beta'beta = w'(A - omega I) w = w'z - omega w'w. */
double pd_attribution_beta_norm(const pd_attribution *a, const double *z, const double *w);

/** How far atom j of the estimate moves if sample k were left out, codes and omega as they are: ||x - D z|| |w_j| / (1 - z'w), by the formula of
 *  Sherman and Morrison; this is the factor that is the same for all atoms, ||x - D z|| / (1 - z'w), D being the estimate. Infinite where the
 *  sample alone determines a direction of codes, and omega is (almost) 0: what D would be without it is not determined. room: (m) */
double pd_attribution_leave_out(const pd_attribution *a, const double *x, const double *z, const double *w, double *room);

/** The k largest and the k smallest of values that come one by one, with their numbers. */
typedef struct pd_extreme { double value; int64_t number; } pd_extreme;
typedef struct pd_ranking {
    int64_t room, most, least; /* how many of each there are so far */
    pd_extreme *largest, *smallest; /* (room) each: values above 0, falling; values below 0, rising. Of equals the first to come */
} pd_ranking;
void pd_ranking_add(pd_ranking *r, double value, int64_t number);

#endif
