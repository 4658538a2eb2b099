/* core/train/progress.h - what a person watching a run sees: one line that is rewritten on a terminal, a plain line now and
 * then elsewhere. On stderr, so that stdout stays for results. The run's log gets a line now and then, quiet or not. */
#ifndef PD_PROGRESS_H
#define PD_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include "context.h"

typedef struct pd_progress_line {
    bool quiet, terminal, open; /* open: the terminal line has not been ended yet */
    pd_context *ctx;
    double started, shown, logged;
    int64_t first; /* update the run began at: the rate is of this process */
} pd_progress_line;

void pd_progress_begin(pd_progress_line *line, pd_context *ctx, bool quiet, int64_t first_update);
/** error NaN: the true dictionary is not known. Shows at most a few times a second, so call it after every update. */
void pd_progress_show(pd_progress_line *line, int64_t update, int64_t total, int64_t epoch, double loss, double error);
void pd_progress_end(pd_progress_line *line);

#endif
