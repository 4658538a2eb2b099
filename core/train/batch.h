/* core/train/batch.h - the batch buffers of a problem. Internal to core/train. */
#ifndef PD_BATCH_H
#define PD_BATCH_H

#include "train/problem.h"

void pd_batch_free(pd_problem *problem);

#endif
