/* core/train/dictionary.h - learned thresholds and encoders, their start and their files; the dictionary's own functions stand in problem.h. */
#ifndef PD_DICTIONARY_H
#define PD_DICTIONARY_H

#include "train/problem.h"

/** All learned levels as they are before training: a multiple of the step where that is what they are, as it is now. */
pudle_status pd_problem_start_levels(pd_problem *problem);
/** Write what an encoder has learned beside D and the levels, arrays "analysis", "synthesis", "step"; no file where there is none. */
pudle_status pd_problem_write_encoder(pd_problem *problem, const char *npz);
/** A learned baseline, one number for each entry of a sample or for each channel, as loss.offset_path reads it; no file where there is none. */
pudle_status pd_problem_write_offset(pd_problem *problem, const char *npy);
/** Learned thresholds, one array a threshold, (layers or 1, atoms or 1), as .npz; nothing where none is learned. */
pudle_status pd_problem_write_thresholds(pd_problem *problem, const char *npz);
/** A parameter or its gradient as a host array that the caller frees. out: zeroed, or what an earlier call gave, whose memory is used again
 *  where type and shape are the same. */
pudle_status pd_problem_fetch(pd_problem *problem, const pudle_view *device, pd_array *out);

#endif
