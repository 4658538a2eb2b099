/* core/measure/measure.h - how good a dictionary, a code or an image is. All on host arrays, f32 or f64, any strides;
 * all arithmetic in double. A NaN in an input makes the figures that depend on it NaN. */
#ifndef PD_MEASURE_H
#define PD_MEASURE_H

#include "context.h"

/** Distances between two dictionaries whose columns were first scaled to unit norm. An atom that is zero stays zero: it is
 *  at distance 1 from every unit atom, its sine is 1 and its cosine 0. */
typedef struct pd_distance {
    double absolute; /* ||D - D*||_F */
    double relative; /* ||D - D*||_F / ||D*||_F */
    /* of sqrt(1 - <d_j, d*_j>^2) over the atoms; the median of an even count is the mean of the middle two */
    double sine_mean, sine_median, sine_max;
    double cosine_mean, cosine_median; /* of |<d_j, d*_j>|, likewise */
} pd_distance;

/** Column j of d against column j of truth; signs count in the first two figures, not in the sines.
 *  d, truth: (m, p). @errors ARG when the shapes differ, NOMEM */
pudle_status pd_distance_fixed(pd_context *ctx, const pudle_cview *d, const pudle_cview *truth, pd_distance *out);

/** The same after the permutation and signs that make ||D - D*||_F smallest: O(p^3) in the worst case.
 *  match (p), sign (p), either may be NULL: atom match[j] of d, times sign[j] (1 or -1), stands for atom j of truth.
 *  Where a column is not finite every figure is NaN and match is the identity. @errors ARG when the shapes differ, NOMEM */
pudle_status pd_distance_assigned(pd_context *ctx, const pudle_cview *d, const pudle_cview *truth, pd_distance *out,
                                  int64_t *match, double *sign);

/** The same of filters, (atoms, channels, length) or (atoms, channels, height, width), of any strides, for which a shift is as free as order and sign are:
 *  each is moved to the lag of the largest |normalised cross-correlation| with the other, among all lags at which the two overlap. What is moved out of the
 *  other's frame counts: outside of it a filter is zero, and nothing wraps around. A lag of zeros in all matches gives pd_distance_assigned's figures, and
 *  none is larger.
 *  match (p), sign (p), lag (2 p), each may be NULL: filter match[j] of d, times sign[j], moved by lag[2 j] rows (0 in one dimension) and lag[2 j + 1] columns
 *  lies on filter j of truth. Of equal correlations the shortest lag counts. O(p^2 channels height^2 width^2), and memory for 2 p^2 numbers.
 *  @errors ARG when the shapes differ or are none of filters, NOMEM */
pudle_status pd_distance_shifted(pd_context *ctx, const pudle_cview *d, const pudle_cview *truth, pd_distance *out, int64_t *match, double *sign,
                                 int64_t *lag);

/** A dictionary of either kind with its atoms as columns: a matrix as it is; filters (p, channels, size...), contiguous, by their strides, (taps, p). */
static inline pudle_cview pd_atom_columns(const pudle_cview *d)
{
    if (d->rank == 2)
        return *d;
    const int64_t atoms = d->shape[0], taps = pudle_count(d) / atoms;
    return (pudle_cview){ .data = d->data, .dtype = d->dtype, .rank = 2, .shape = { taps, atoms }, .stride = { 1, taps } };
}

/** The distance of what is determined only so far: of matrices after the best order and signs, of filters at the best lags, too. @errors ARG, NOMEM */
pudle_status pd_distance_free(pd_context *ctx, const pudle_cview *d, const pudle_cview *truth, pd_distance *out);

/** Linear assignment: the permutation that makes sum_i cost[i * n + column[i]] smallest. cost (n, n), row by row,
 *  each below 1e100 in size. @errors ARG for a cost that is not, NaN included, NOMEM */
pudle_status pd_assign(pd_context *ctx, int64_t n, const double *cost, int64_t *column);

/** Mutual coherence max over i != j of |<d_i, d_j>| of the columns scaled to unit norm; 0 for a single atom. d: (m, p).
 *  @errors ARG, NOMEM */
pudle_status pd_coherence(pd_context *ctx, const pudle_cview *d, double *out);

/** How well codes are recovered; an entry is in the support when |z| > tolerance. */
typedef struct pd_recovery {
    double precision; /* of all entries called nonzero, the share that is; 1 when none is called nonzero */
    double recall;    /* of all nonzero entries, the share that is found; 1 when there is none */
    double f1;        /* 2 TP / (2 TP + FP + FN); 1 when both supports are empty */
    double hamming;   /* entries in which the supports of a sample differ, mean over the samples */
    double exact;     /* share of samples whose signed support is right in every entry */
    double l2;        /* ||z - z*||_2, mean over the samples */
    double relative;  /* ||Z - Z*||_F / ||Z*||_F */
} pd_recovery;

/** What it is made of: counts and sums over samples, block by block. Zeroed to begin with. */
typedef struct pd_recovery_tally {
    int64_t samples;
    double hit, false_alarm, miss; /* entries; exact in double below 2^53 */
    double exact;                  /* samples */
    double l2, error2, norm2;
} pd_recovery_tally;

/** Add the samples of a block. z, truth: (n, p). match and sign as pd_distance_assigned gives them put the atoms of z in the order of truth;
 *  both may be NULL: the order is the same. A tolerance of 0 means "not exactly zero". @errors ARG */
pudle_status pd_recovery_add(pd_context *ctx, const pudle_cview *z, const pudle_cview *truth, double tolerance, const int64_t *match,
                             const double *sign, pd_recovery_tally *tally);
/** Of at least one sample. */
pd_recovery pd_recovery_of(const pd_recovery_tally *tally);

/** Peak signal to noise ratio, 10 log10(peak^2 / mean squared error), in dB; infinite for equal images. */
typedef struct pd_psnr {
    double unit;    /* peak = 1 */
    double maximum; /* peak = maximum of the clean image, as in the paper's figures; NaN when that is not positive */
} pd_psnr;

/** image is clamped to [0, 1] first, clean is taken as it is. Any rank, same shape. @errors ARG, NOMEM */
pudle_status pd_psnr_measure(pd_context *ctx, const pudle_cview *image, const pudle_cview *clean, pd_psnr *out);

/** Structural similarity, the mean over all windows and channels of
 *      (2 mx my + C1) (2 sxy + C2) / ((mx^2 + my^2 + C1) (sx^2 + sy^2 + C2)),   C1 = 0.01^2, C2 = 0.03^2,
 *  with means, variances and covariance weighted by a Gaussian of standard deviation 1.5 on 11 x 11 pixels that lie wholly
 *  inside the image. image is clamped to [0, 1] first, clean is taken as it is. (channels, height, width); NaN when a side is
 *  shorter than 11. @errors ARG, NOMEM. Wang, Bovik, Sheikh, Simoncelli, IEEE Trans. Image Processing 13(4), 2004 */
pudle_status pd_ssim_measure(pd_context *ctx, const pudle_cview *image, const pudle_cview *clean, double *out);

#endif
