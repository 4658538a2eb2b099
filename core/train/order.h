/* core/train/order.h - which samples meet in a batch. A pure function of the seed and the epoch, so a resumed run needs nothing more. */
#ifndef PD_ORDER_H
#define PD_ORDER_H

#include "config/settings.h"

/** Samples in a batch: train.batch, or all of them. */
int64_t pd_batch_size(const pd_settings *settings, int64_t samples);

/** order (samples): the sample numbers of an epoch, batch after batch; as they come where there is one batch or train.shuffle is off. */
void pd_epoch_order(const pd_settings *settings, int64_t epoch, int64_t samples, int64_t *order);

#endif
