/* core/train/run.h - a training run on its way: what it knows, and what train.c makes of its parts. Internal to core/train.
 *
 * run_begin.c plans and begins or resumes, run_loop.c updates, run_record.c writes what is to last (rows, checkpoints, snapshots), run_report.c says what there is to
 * say in the log and at the end. */
#ifndef PD_RUN_H
#define PD_RUN_H

#include "train/checkpoint.h"
#include "train/dictionary.h"
#include "train/memory.h"
#include "train/progress.h"
#include "train/rundir.h"
#include "train/train.h"

typedef struct pd_run {
    pd_context *ctx;
    const pd_settings *settings;
    const pd_train_options *options;
    pd_problem problem;
    pd_rundir dir;
    pd_progress at;
    pd_progress_line line;
    int64_t samples, batch, batches, total; /* per epoch; updates in all */
    int64_t test_samples;                   /* 0: they are not looked at */
    pd_means first;                         /* of them before update 0, as the trial has found it */
    double test_loss;                       /* as last found; NaN: never */
    int64_t *order;                         /* sample numbers of this epoch */
    double started, before, last_checkpoint; /* before: seconds of earlier processes */
    double last_error;                      /* as last recorded, for the progress line */
    bool warned;                            /* that codes are far from fixed points */
    bool beyond;                            /* warned that the network holds more than its budget */
    int left_out;                           /* updates so far that had badly conditioned supports */
    bool revived;                           /* atoms have become others, and no update was made since: a checkpoint would let them do it again */
    bool began_at_0[PD_MAX_LEVELS];         /* half of a learned level (dir.level) or more, so that nothing has been learned away */
} pd_run;

/** Seconds of a clock that goes on evenly; and those that the run has taken, with earlier processes'. */
double pd_run_now(void);
double pd_run_elapsed(const pd_run *r);
/** A file of the run's folder; the caller frees it. NULL: out of memory. */
char *pd_run_path(const pd_run *r, const char *name);

/** How many updates there will be, of what; memory for them. */
pudle_status pd_run_plan(pd_run *r);
/** Begin or go on. Everything that can be refused comes first: only then does the folder become this run's, and old files go. */
pudle_status pd_run_begin(pd_run *r);
/** Updates until the last, or until a signal. */
pudle_status pd_run_loop(pd_run *r, bool *interrupted);

/** All that is queued has come, and the last step was good. */
pudle_status pd_run_settle(pd_run *r);
pudle_status pd_run_checkpoint(pd_run *r);
/** After an error of a file the state itself is as good as ever: a checkpoint of it, whatever became of the tables, and how to go on. */
void pd_run_rescue(pd_run *r, pudle_status failed);
/** A row of metrics.csv. */
pudle_status pd_run_record(pd_run *r, const pd_pass *pass, int64_t epoch, double rate);
/** A row of test.csv: the loss of the test samples, as D is now. A signal ends the look; then there is no row, and a resume looks again. */
pudle_status pd_run_test(pd_run *r, const volatile sig_atomic_t *stop);
/** At the end of an epoch that asks for it: the dictionary under the epoch's number, written again in the same bits after a resume. */
pudle_status pd_run_snapshot(pd_run *r);

/** The log's first lines, enough to tell later what computed the numbers; and its last. */
void pd_run_log_begin(const pd_run *r);
void pd_run_log_end(const pd_run *r, pudle_status s, const pd_train_report *report);
/** What was learned of the levels, with a warning where that is nothing. */
void pd_run_report_levels(pd_run *r, pd_train_report *report);
/** Warn where the loss is higher at the end than it has been. */
void pd_run_warn_of_rise(const pd_run *r);
/** The losses; of a run without a whole epoch, the mean so far. */
void pd_run_report_losses(const pd_run *r, pd_train_report *report);

#endif
