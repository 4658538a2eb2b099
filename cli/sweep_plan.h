/* cli/sweep_plan.h - what the files that plan a sweep share: the axes of --vary, and runs that are there already. Internal to these. */
#ifndef PD_SWEEP_PLAN_H
#define PD_SWEEP_PLAN_H

#include "sweep.h"

#define SWEEP_SEED "train.seed"

/** Keys that take the same value, and the values, as --set would be given them. */
typedef struct axis { char **key, **value; int keys, values; } axis;

pudle_status sweep_no_memory(pd_context *ctx);
void sweep_free_texts(char **text, int count);

/** --vary of the command line, an axis each; all mistakes at once. @errors CONFIG */
pudle_status sweep_parse_axes(pd_context *ctx, const cli_args *args, axis *axes);

/** Is the key one that is varied? And does it tell runs apart: is it that, or one that may not change in a run's life? */
bool sweep_is_key(const sweep *sw, const char *key);
bool sweep_counts(const sweep *sw, const pd_settings *settings, const char *key);

/** The runs in the folder, behind those that are wanted. */
pudle_status sweep_find_there(sweep *sw);
/** A level that is a multiple of its critical value became a number when its run began, and is the same level still. */
pudle_status sweep_take_levels(sweep *sw);
/** A wanted run goes on where one with its settings is, whatever that is called, and is taken off the list of the others. @errors CONFIG where runs that are
 *  there, or two of the wanted ones, cannot be told apart or are not alike */
pudle_status sweep_match(sweep *sw);
/** A folder that is there is refused before anything runs where `train --resume` would refuse it. */
pudle_status sweep_try_folders(sweep *sw);
/** Runs that are done have read files; those that have changed since are told. */
pudle_status sweep_look_at_files(sweep *sw);

#endif
