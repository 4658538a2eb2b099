/* core/train/rundir.h - the folder of a run: manifest.json, config.cfg, metrics.csv, test.csv, run.log, checkpoint.safetensors,
 * dictionary.npy, dictionary.png, thresholds.npz, dictionary_EPOCH.npy.
 *
 * manifest.json is written first of all: without it, files of these names are somebody else's and nothing is touched. config.cfg
 * ends with the identity of the run, which its checkpoints carry too: a checkpoint of another identity is what an interrupted
 * --force left behind. */
#ifndef PD_RUNDIR_H
#define PD_RUNDIR_H

#include "train/means.h"
#include "train/train.h"

typedef struct pd_rundir {
    pd_context *ctx;
    char *path;
    int lock;          /* descriptor that holds the lock; -1 */
    bool found;        /* a checkpoint to go on from is there */
    bool leftover;     /* a checkpoint is there, but of a run that --force was giving up */
    bool begin_anew;   /* --force */
    char identity[65]; /* of this run: a digest of the options that its numbers depend on, as they were when it began */
    bool implicit, solves; /* metrics have the columns of an implicit gradient; of one that solves a system for each sample */
    const pd_level *level[PD_MAX_LEVELS]; /* and one for each learned level, of its name. The caller's */
    int levels;
    bool revives;        /* and the column of dead atoms */
    int64_t dead;        /* how many there were at the last look; -1: nobody has looked */
    const char *machine; /* what computes, in the backend's words, one fact a line; "": unknown. The caller's */
    bool tests;          /* there is a test.csv */
    int64_t tested;      /* the update of its last row; -1: none */
    FILE *metrics, *test, *log;
} pd_rundir;

/** One row of metrics.csv. */
typedef struct pd_metrics {
    int64_t update, epoch;
    double loss, data_loss, code_loss, nonzeros, rate, beta, step, gradient_norm, error, seconds;
    double fixed_point;      /* only in runs with an implicit gradient, as are the next; NaN: unknown */
    int64_t ill_conditioned;
    double level[PD_MAX_LEVELS]; /* means of learned levels, in the order of pd_rundir.level */
} pd_metrics;

/** Make or open the folder, take its lock, and see what is there. Nothing but the lock is written, so that a run that cannot
 *  start leaves an old one whole. @errors CONFIG: files of others; a run, but neither resume nor force; resume of another config.
 *  IO: the folder cannot be written, or another process writes there */
pudle_status pd_rundir_open(pd_context *ctx, const pd_settings *settings, const pd_train_options *options, pd_rundir *dir);
/** From here on the folder is this run's: manifest, config, log. Metrics and checkpoint of an old run go. */
pudle_status pd_rundir_claim(pd_rundir *dir, const pd_settings *settings);
/** Remove results that were there before the first update, once the first checkpoint is written. */
void pd_rundir_clear(const pd_rundir *dir);
void pd_rundir_close(pd_rundir *dir);

/** Is the text of a run's config.cfg another than the run wrote? */
bool pd_rundir_edited(const char *config);
/** The identity of the run that a config.cfg ends with; "" where it has none. */
void pd_rundir_identity(const char *config, char identity[65]);
/** A level that the settings have as a multiple of its critical value gets the number that the run in this folder has found, if there is one whose config said
 *  the same. @errors NOMEM */
pudle_status pd_rundir_take_level(pd_context *ctx, const char *folder, const pd_settings *settings);
/** May an option differ between a run and its continuation? Such options do not touch the path that the numbers take: limits, logging, threads. */
bool pd_rundir_may_change(const pd_settings *settings, const char *key);
/** A folder and those above it, where they are not there. @errors IO */
pudle_status pd_make_folders(pd_context *ctx, const char *path);
/** Is this a file of a run: one of the names above, beside a manifest? @errors IO, NOMEM: the manifest cannot be read */
pudle_status pd_rundir_owns(pd_context *ctx, const char *path, bool *owns);
/** path/name; the caller frees it. NULL without memory. */
char *pd_rundir_file(const pd_rundir *dir, const char *name);
/** Write a text file, atomically. */
pudle_status pd_rundir_write(pd_rundir *dir, const char *name, const char *text);

/** Open metrics.csv for appending; rows at or after `update` (written after the checkpoint) are dropped first. seconds: what
 *  its last row up to the update says, 0 without one; dead atoms likewise. And test.csv, where there is one, whose rows up to `tested` stay. */
pudle_status pd_metrics_open(pd_rundir *dir, int64_t update, int64_t tested, double *seconds);
pudle_status pd_metrics_row(pd_rundir *dir, const pd_metrics *row);
/** Is a file test.csv there that no run has written, as far as can be read? Folders of runs before 0.1 may have one of their user's. */
bool pd_metrics_foreign_tests(const pd_rundir *dir);
/** A row of test.csv: losses and nonzeros of the test samples after so many updates. */
pudle_status pd_metrics_test(pd_rundir *dir, int64_t update, int64_t epoch, const pd_means *means);
/** Everything appended so far reaches the disk: before each checkpoint, so that no row is lost. */
pudle_status pd_metrics_sync(pd_rundir *dir);

#endif
