/* core/train/windows.h - the windows of a sample that filters lie over, and filters that are made of them. Internal to core/train. A window's position is the
 * place of the code whose filter lies there, row by row. */
#ifndef PD_WINDOWS_H
#define PD_WINDOWS_H

#include "train/init.h"

/** Squares summed over each window. sample: (channels, height, width); energy: a number for each position of the code.
 *  room: as many numbers as pd_window_room says */
void pd_window_energies(const pudle_conv *conv, const double *sample, double *room, double *energy);
int64_t pd_window_room(const pudle_conv *conv);

/** The window at a position. filter: (channels, kernel) */
void pd_window_cut(const pudle_conv *conv, const double *sample, int64_t position, double *filter);

/** p windows, each divided by its norm. Samples take turns in a random order, and each gives a window drawn from those whose energy is at least the mean of all its
 *  windows; one that is zero, not finite, or an earlier one times a factor is passed over. The same seed gives the same ones.
 *  filters: (p, channels, kernel). @errors CONFIG when no p such windows are found, NOMEM, and whatever read returns */
pudle_status pd_init_windows(pd_context *ctx, const pd_sample_source *source, const pudle_conv *conv, uint64_t seed, int64_t p, double *filters);

#endif
