/* cli/sweep.h - runs of one config with some keys varied: which they are, the processes they run in, and the tables of what came out. */
#ifndef PD_SWEEP_H
#define PD_SWEEP_H

#include "cli.h"

/** What is known of a run that has ended, in the order of the tables; NaN: unknown. SWEEP_LEVEL: the number that a level which is a multiple has become. */
enum {
    SWEEP_UPDATES, SWEEP_SECONDS, SWEEP_LEVEL, SWEEP_LOSS, SWEEP_DATA_LOSS, SWEEP_CODE_LOSS, SWEEP_NONZEROS, SWEEP_RELATIVE_ERROR, SWEEP_DICTIONARY_ERROR,
    SWEEP_TEST_LOSS, SWEEP_TEST_DATA_LOSS, SWEEP_TEST_CODE_LOSS, SWEEP_TEST_NONZEROS, SWEEP_TEST_RELATIVE_ERROR, SWEEP_FIGURES
};
extern const char *const sweep_figure_names[SWEEP_FIGURES];

enum { SWEEP_UNFINISHED, SWEEP_DONE, SWEEP_FAILED };

typedef struct sweep_run {
    char *name, *path;     /* of its folder in DIR, and where that is */
    pd_settings *settings;
    char digest[65];       /* of the settings: the same in two runs that would be one */
    char **value;          /* of each key, as the tables show it; NULL: it is not read */
    int combination;       /* its number: runs of one differ in train.seed alone */
    bool wanted;           /* by this call; else an earlier one has made it */
    int state;             /* SWEEP_* above */
    char *reason;          /* why it failed, now or in an earlier call */
    bool ended;            /* in this call, or would not even begin */
    double figure[SWEEP_FIGURES];
} sweep_run;

/** What was said about runs, each text once. */
typedef struct sweep_note { char *text, **about; int runs, told; } sweep_note; /* names of the runs that it was said of; of how many when it was printed */

typedef struct sweep {
    pd_context *ctx;
    const cli_args *args;
    char **key; /* that are varied, now or by an earlier call, but for train.seed; in the order of the alphabet */
    bool *varies; /* (keys) has more than one value */
    int keys;
    sweep_run *run; /* the wanted ones first */
    int runs, wanted, combinations;
    int64_t jobs, threads; /* threads: of each job; 0: the config says, or the backend has none */
    sweep_note *note;
    int notes;
    bool combined; /* combinations.csv is written */
    int lock; /* descriptor that holds the lock on the folder; -1 */
} sweep;

/** Every run that is asked for, its settings checked and its folder found, and those that are in the folder beside them. @errors CONFIG, with a line for
 *  each mistake; IO, NOMEM */
pudle_status sweep_open(pd_context *ctx, const cli_args *args, sweep *sw);
void sweep_close(sweep *sw);

/** Keep a text about a run to be printed, or each of its lines; nothing for one that was said before. */
void sweep_say(sweep *sw, const char *about, const char *text);
void sweep_say_lines(sweep *sw, const char *about, const char *text);
/** Print what was kept since the last time. */
void sweep_tell(sweep *sw);
/** At the end: how many more runs there were, of which what has been printed was said. */
void sweep_tell_others(const sweep *sw);

/** What a child does about a run, and what the parent does when it has ended: with which exit code, and what it said. */
typedef int (*sweep_work)(const sweep *sw, const sweep_run *run);
typedef void (*sweep_ended)(sweep *sw, sweep_run *run, int code, const char *said);
/** Runs in processes of their own, sw->jobs at a time. orderly: a signal asks the children for an orderly end, as it does `pudle train`, else it ends them. */
void sweep_children(sweep *sw, sweep_run *const list[], int count, bool orderly, sweep_work work, sweep_ended ended);

/** In the child: what the run has come to, over all samples of both splits, into its folder. *stopped: by a signal, and nothing is written. */
pudle_status sweep_evaluate(pd_context *ctx, const sweep_run *run, double seconds, bool *stopped);
/** The number of test samples; 0: the source has none. */
pudle_status sweep_tests(pd_problem *problem, int64_t *samples);
/** Is the run at its end, and evaluated? Then its figures. Has it failed? Then its reason. */
void sweep_look(sweep *sw, sweep_run *run);
/** Keep the reason in the run's folder, where there is one; NULL: none any more. */
pudle_status sweep_keep_reason(pd_context *ctx, const sweep_run *run, const char *reason);

/** Can the tables be written, or are files of their names somebody else's? @errors CONFIG */
pudle_status sweep_tables_check(pd_context *ctx, const char *folder);
/** The keys that the table there has; the caller frees them and the list. */
pudle_status sweep_tables_keys(pd_context *ctx, const char *folder, char ***key, int *keys);
/** DIR/sweep.csv: a row for each run. */
pudle_status sweep_write_runs(const sweep *sw);
/** DIR/combinations.csv, means and how far dictionaries agree; and both tables in words. */
pudle_status sweep_report(sweep *sw);

#endif
