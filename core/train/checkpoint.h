/* core/train/checkpoint.h - the complete state of a run, as one .safetensors file.
 *
 * Tensors: every parameter and its optimiser moments. Metadata: update, epoch, position in the epoch, seed, what they count,
 * and what the report needs. Random numbers are counted, not stepped, so (seed, epoch, position) is their whole state. */
#ifndef PD_CHECKPOINT_H
#define PD_CHECKPOINT_H

#include "train/problem.h"

typedef struct pd_progress {
    int64_t update;   /* updates done */
    int64_t epoch;    /* epoch of the next update */
    int64_t position; /* its batch in that epoch */
    double first_loss, last_loss; /* mean over the samples of the first and of the last whole epoch; NaN: none yet */
    double smooth_loss, spread;   /* of the epochs' means: a running mean over some four, and the mean square of what they differ by from it; NaN: none yet, or unknown */
    double least_loss;            /* least smooth_loss */
    int64_t least_epoch;          /* and the number of its epoch, counted from 1 */
    int64_t dead;                 /* atoms at the last look; -1: none, or unknown */
    double epoch_loss;            /* sum over the samples of this epoch so far */
    double first_error;           /* of the dictionary at the start; NaN: unknown */
    double seconds;               /* spent so far, in all processes; NaN: see the metrics */
    bool finished;                /* nothing is left to do after the last update */
    int64_t samples, batch;       /* that update, epoch and position count; -1: unknown */
    char identity[65];            /* of the run: see rundir.h; "": unknown */
} pd_progress;

/** Atomic and checksummed. The seconds are left out of a finished run's, so that the same run ends with the same file.
 *  @errors NUMERIC if a parameter is not finite: a bad state never replaces a good one */
pudle_status pd_checkpoint_write(pd_problem *problem, const char *path, const pd_progress *progress);

/** Restore parameters, moments and progress. optimizer state must be allocated, or `parameters_only` set (evaluation).
 *  @errors CONFIG when the file belongs to another shape, precision, optimiser or seed */
pudle_status pd_checkpoint_read(pd_problem *problem, const char *path, bool parameters_only, pd_progress *progress);

/** The identity of the run that a checkpoint is of; "" where it has none. Verifies the whole file. */
pudle_status pd_checkpoint_identity(pd_context *ctx, const char *path, char identity[65]);

#endif
