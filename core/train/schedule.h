/* core/train/schedule.h - what changes as training goes on: learning rate, decay of the levels. Pure functions of where the
 * run is, so a resumed run needs nothing more. */
#ifndef PD_SCHEDULE_H
#define PD_SCHEDULE_H

#include "config/settings.h"

/** Learning rate at `at` of `length`, both counted from 0 in the same unit (epochs, or updates):
 *  constant: base;  step: base * factor^floor(at / every), every < 1 meaning never;
 *  cosine: final + (base - final) (1 + cos(pi at / (length - 1))) / 2, from base at the first to final at the last and after
 *  it; base throughout when length < 2. kind is PD_SCHEDULE_*. */
double pd_rate_at(int32_t kind, double base, int64_t every, double factor, double final, int64_t at, int64_t length);

/** Decay of the levels from layer to layer, after `update` finished updates: max(0, beta + change * floor(update / every)),
 *  every < 1 meaning never. With beta = 1, change = -0.005, every = 100 the first 100 updates see 1, the next 0.995. */
double pd_decay_at(double beta, double change, int64_t every, int64_t update);

#endif
