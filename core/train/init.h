/* core/train/init.h - where a dictionary begins. Each function fills d (m, p), row by row, unit columns, in double; d is
 * written only on success. The same seed gives the same dictionary. */
#ifndef PD_INIT_H
#define PD_INIT_H

#include "context.h"

/** Where training samples come from: read fills rows (count, features) for count sample numbers in [0, samples). */
typedef struct pd_sample_source {
    int64_t samples, features;
    pudle_status (*read)(void *ctx, const int64_t *index, int64_t count, double *rows);
    void *ctx;
    bool anew; /* training sees another of each every epoch, and here there is one */
} pd_sample_source;

/** Entries N(0, 1), then unit columns. @errors NOMEM */
pudle_status pd_init_random(pd_context *ctx, uint64_t seed, int64_t m, int64_t p, double *d);

/** p different samples drawn without replacement, each divided by its norm; zero samples are passed over.
 *  d: (source->features, p). @errors CONFIG when fewer than p samples can be used, NUMERIC for one that is not finite,
 *  NOMEM, and whatever read returns */
pudle_status pd_init_samples(pd_context *ctx, const pd_sample_source *source, uint64_t seed, int64_t p, double *d);

/** D* + noise * N(0, 1) in every entry, then unit columns: for unit D* the relative error is about
 *  sqrt(2 - 2 / sqrt(1 + m noise^2)), 0.61 at m = 50, noise = 0.1. truth: (m, p), f32 or f64.
 *  @errors ARG, NUMERIC when an atom comes out zero or not finite, NOMEM */
pudle_status pd_init_truth(pd_context *ctx, const pudle_cview *truth, double noise, uint64_t seed, double *d);

/** What the pairwise method needs to know (settings: model.dictionary.sparsity, pairs, samples). */
typedef struct pd_pairwise {
    int64_t sparsity; /* s, nonzeros per code assumed, 1 to p */
    int64_t pairs;    /* pairs tried at most */
    int64_t samples;  /* n, samples that the moments are estimated from; all of them when there are fewer, or when 0 */
} pd_pairwise;

/** Pairwise reweighting. Source: Arora, Ge, Ma, Moitra, "Simple, efficient, and neural algorithms for sparse coding", COLT
 *  2015, Algorithm 3. For a pair of samples (u, v) let M = 1/n sum_i <x_i, u> <x_i, v> x_i x_i', singular values s1 >= s2;
 *  if u and v have one atom alone in common, M is nearly of rank one in its direction. The pair counts if s1 >= 1/2 s/p and
 *  s2 < s / (p log p), and its top singular vector a becomes an atom if min(||a - b||, ||a + b||) > min(2 / log p, 1) for
 *  every atom b found before. The samples are first scaled to mean squared norm s, the theory's E[z_i^2 | z_i /= 0] = 1, so
 *  that the thresholds do not depend on their unit.
 *  Ends with p atoms or when the pairs are used up; atoms not found are random unit vectors, with a warning that says how
 *  many. found (may be NULL): the number found; these are the first columns of d.
 *  The analysis wants nonzeros of mean zero, independent of each other. Where all nonzeros of a sample have the same sign,
 *  an atom comes out tilted towards the others, for orthogonal atoms by about (s - 1) / sqrt(p), however many the samples.
 *  The n samples are held in memory: 8 n m bytes. A pair costs 8 n m multiplications for each of 2 to 10 iterations.
 *  @errors CONFIG for options out of range, NUMERIC when no atom was found or the samples are zero or not finite, NOMEM, and
 *  whatever read returns */
pudle_status pd_init_pairwise(pd_context *ctx, const pd_sample_source *source, const pd_pairwise *how, uint64_t seed,
                              int64_t p, double *d, int64_t *found);

#endif
