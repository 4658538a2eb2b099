/* The Gram matrix of the atoms, G = D'D, and the gradient that unrolls gather by way of it. */
#ifndef BACKEND_CPU_UNROLL_GRAM_H
#define BACKEND_CPU_UNROLL_GRAM_H

#include "unroll_parts.h"

/* What a lane of the batch has gathered: (p, ld), the sum over its samples of step z u'. Lanes are added in order, so these are kept
 * apart for each, while the tapes belong to threads, of which there are fewer. */
typedef struct gram_outer {
    parts_buffer memory;
    bool used; /* since the batch began: else it counts as 0 */
} gram_outer;

/** Does G pay for a batch? Half of a product of D with itself, against a product with D for each sample and evaluation of all
 *  correlations, of which a dozen must be expected. */
bool gram_pays(const pudle_unroll_spec *spec, int64_t samples);
/** Does a batch have samples and layers enough for a gradient by way of G: one product of D with (p, p), where outer products in the data's
 *  space cost so many `entries` of a feature more for a sample and layer? */
static inline bool gathering_pays(double entries, int64_t atoms, int64_t layers, int64_t samples)
{
    return entries * (double)samples * (double)(layers < 30 ? layers : 30) >= (double)atoms * (double)atoms;
}
/** Can it at all, whatever the codes? What this may take is to be planned for. */
static inline bool gram_gradient_enough(int64_t atoms, int64_t layers, int64_t samples)
{
    return gathering_pays(300, atoms, layers, samples);
}
/** Is it likely, as measured (60 entries: sums of dense rows are nearly as fast as caches allow), and is there room for what the lanes gather? */
bool gram_gradient_pays(const pudle_unroll_spec *spec, int64_t samples);

/** gram (p, ld) <- D'D for D (m, p) by blocks of its upper half; the padding is left alone. */
pudle_status gram_matrix(pudle_exec *root, const pudle_cview *dictionary, int64_t ld, void *gram);
/** gradient -= scale D (P + P'), P the sum of what the lanes have gathered, added in this order. */
pudle_status gram_gradient(pudle_exec *root, const pudle_cview *dictionary, int64_t ld, const gram_outer *outer, int64_t lanes, double scale,
                           const pudle_view *gradient);

#endif
