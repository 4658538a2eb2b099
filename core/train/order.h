/* core/train/order.h - which samples meet in a batch. A pure function of the seed and the epoch, so a resumed run needs nothing more. */
#ifndef PD_ORDER_H
#define PD_ORDER_H

#include "config/settings.h"

/** Samples in a batch: train.batch, or all of them. */
int64_t pd_batch_size(const pd_settings *settings, int64_t samples);

/** Updates of a whole run with so many batches an epoch, whichever of train.epochs and train.updates ends it; 0: neither does. */
int64_t pd_total_updates(const pd_train_params *train, int64_t batches);

/** order (samples): the sample numbers of an epoch, batch after batch; as they come where there is one batch or train.shuffle is off. */
void pd_epoch_order(const pd_settings *settings, int64_t epoch, int64_t samples, int64_t *order);

#endif
