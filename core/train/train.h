/* core/train/train.h - the training run: loop, metrics, checkpoints, run directory. */
#ifndef PD_TRAIN_H
#define PD_TRAIN_H

#include <signal.h>
#include "train/problem.h"

typedef struct pd_train_options {
    const char *directory;
    bool resume; /* go on from the directory's checkpoint; start where there is none */
    bool force;  /* an earlier run in the directory is overwritten */
    bool quiet;
    const volatile sig_atomic_t *stop; /* set by a signal handler: finish the update, write a checkpoint, return */
} pd_train_options;

/** A level that was learned: its mean over layers and atoms, in the units of the code; how many numbers these are, and how many of them are 0. */
typedef struct pd_learned_level {
    char name[48];
    double mean;
    double step; /* the mean is this times the option; 0: the mean is that of the option; NaN: layers have steps of their own */
    int64_t count, zeros;
} pd_learned_level;

/** A learned level in words: in the units of the code, and in those of its option where the step is one number. */
void pd_learned_text(const pd_learned_level *level, char *text, size_t size);

typedef struct pd_train_report {
    int64_t updates;
    double seconds;               /* in all processes of the run */
    double first_loss, last_loss; /* mean over the samples of the first and of the last whole epoch; of what there was without one */
    double test_loss;             /* mean over the test samples, as last found; NaN: it was not looked at */
    double first_error, last_error, assigned_error; /* relative to the true dictionary; NaN where it is unknown */
    bool filters;                 /* the last of these is found at the best lags, too */
    int64_t dead, atoms;          /* atoms that were dead at the last look, -1: there was none; and how many there are */
    double network_bytes, peak_bytes; /* held by the network at the end; most that the process was resident with */
    double device_bytes;          /* most that the backend held of a device's memory; 0: none */
    pd_learned_level level[PD_MAX_LEVELS];
    int levels;
    bool interrupted, nothing_to_do;
} pd_train_report;

/** Do the settings say how long to train? @errors CONFIG */
pudle_status pd_train_limits(pd_context *ctx, const pd_settings *settings);
/** Train as the settings say. @errors NUMERIC on divergence (the last good checkpoint is kept), IO, CONFIG */
pudle_status pd_train(pd_context *ctx, const pd_settings *settings, const pd_train_options *options, pd_train_report *report);

#endif
