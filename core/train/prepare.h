/* core/train/prepare.h - samples as the model sees them: centred and scaled, each by itself, as data.center and data.scale say. */
#ifndef PD_PREPARE_H
#define PD_PREPARE_H

#include "train/problem.h"

/** Is anything done to samples at all? */
static inline bool pd_prepares(const pd_data_params *how)
{
    return how->center != PD_CENTER_NONE || how->scale != PD_SCALE_NONE;
}

/** Does what is to be done leave something of samples of this shape? @errors CONFIG */
pudle_status pd_prepare_check(pd_context *ctx, const pd_data_params *how, int32_t rank, const int64_t *shape);

/** Samples x (count, shape...) in place, and with each its target, which has the sample's mean taken away and is divided by what divides the sample. y: NULL, or
 *  like x. Entries that are not finite are left out of means and sizes, and stay what they are. */
void pd_prepare(const pd_data_params *how, const pudle_view *x, const pudle_view *y);

/** The way back: what the model says of prepared samples becomes what it says of the samples as they came. */
void pd_prepare_undo(const pd_data_params *how, const pudle_cview *samples, const pudle_view *estimates);

/** Read from the config's source, and prepare. All of core/train reads samples through it. @thread re-entrant */
pudle_status pd_prepare_read(const pd_problem *problem, const pudle_data_request *request);

#endif
