/* cli/cli.h - what the subcommands share. One file a subcommand; only main() turns a status into an exit code. */
#ifndef PD_CLI_H
#define PD_CLI_H

#include <signal.h>
#include "context.h"
#include "measure/measure.h"
#include "train/problem.h"

enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

/** The command line, parsed. Which options a subcommand takes stands in its row of the table in main.c. */
typedef struct cli_args {
    const char *positional[64];
    int positionals;
    const char *set[256]; /* --set and --unset, in their order */
    char unset[256][96];
    int sets;
    const char *out, *input, *output, *reconstruction, *signals, *split, *format;
    const char *dir; /* plugins new */
    double rtol, atol;
    bool has_tolerance;
    bool resume, force, quiet, dictionary;
    /* sweep */
    const char *vary[64];
    int varies;
    int64_t seeds, jobs; /* 0: the default */
    /* attribute */
    const char *samples, *atoms; /* numbers with commas between them */
    int64_t top; /* 0: the default */
    double omega;
    bool has_omega;
    /* denoise */
    const char *model, *config, *csv, *compare;
    double sigma;
    int64_t memory, seed; /* memory 0: the default */
    bool has_sigma, has_seed, shift_average, grey;
    /* bench */
    double seconds; /* 0: the default */
    int64_t runs;   /* 0: as many as fit */
    /* plugins check */
    const char *only, *backend;
    double timeout; /* 0: the default */
    bool in_process;
} cli_args;

typedef struct cli_command {
    const char *name, *usage, *summary;
    const char *options; /* long options it takes, space separated */
    int min_positionals, max_positionals;
    int (*run)(pd_context *ctx, const cli_args *args);
} cli_command;

/** Print the recorded errors once; the exit code for a failure while setting up (a wrong config, file or plugin: 2) ... */
int cli_setup_failed(pd_context *ctx, pudle_status status);
/** ... and for one after the work began (1). */
int cli_run_failed(pd_context *ctx, pudle_status status);

/** Settings from a config file, or from the config.cfg of a run directory; *run_directory is then its path, else NULL. The
 *  caller frees it. */
pudle_status cli_settings(pd_context *ctx, const cli_args *args, pd_settings **settings, char **run_directory);

/** The same from a path that is not the first positional argument. */
pudle_status cli_settings_at(pd_context *ctx, const char *path, const cli_args *args, pd_settings **settings, char **run_directory);

/** A problem with its parameters in place: from the run's checkpoint, or from the config's init. given: shape of the samples when
 *  they do not come from the config's data source, else NULL. */
pudle_status cli_model(pd_context *ctx, const pd_settings *settings, const char *run_directory, const pudle_data_info *given, pd_problem *problem);

/** Do two paths mean one file, or, where there is none yet, one name in one folder? */
bool cli_same_file(const char *a, const char *b);

/** A file of the command line: the option that names it, its path, NULL: it was not given; and the format that it is written in, as ".npy", NULL: the caller
 *  has looked at its name. */
typedef struct cli_file { const char *what, *path, *format; } cli_file;
/** Each output can be written where it goes, has no name that promises another format, and is neither what is read (`in`, and what the settings name; they may
 *  be NULL), nor another output, nor a file of a run. @errors CONFIG */
pudle_status cli_check_outputs(pd_context *ctx, const pd_settings *settings, const cli_file out[], int outs, const cli_file in[], int ins);

/** The same for a folder of --out, which is made where it is not there, and the files that go into it; names end with NULL. @errors CONFIG */
pudle_status cli_check_folder(pd_context *ctx, const pd_settings *settings, const char *folder, const char *const names[], const cli_file in[], int ins);

/** What `pudle evaluate` finds of a split, or of samples of the caller's. NaN: nobody knows. */
typedef struct cli_evaluation {
    int64_t samples;
    double data_loss, code_loss, nonzeros; /* means over the samples; the loss is the sum of the first two */
    double relative_error, fixed_point;
    double fixed, assigned; /* of the dictionary */
    double measured, measured_assigned, signal_error; /* of A D, and of the signals D z, where samples are measurements */
    bool knows_codes, moved, elsewhere;    /* moved: filters suit the true ones best at other lags; elsewhere: they lie at other places; so codes are not compared */
    bool prepared;          /* nor where samples are centred or scaled, for these have others */
    pd_recovery codes;
    bool stopped;           /* by a signal: nothing is known */
} cli_evaluation;
/** own: samples (n, ...) of the caller's, and then split and samples say nothing of the config's data; else NULL. */
pudle_status cli_evaluate_split(pd_problem *problem, const pudle_cview *own, int split, int64_t samples, cli_evaluation *out);

/** A config tried without a run: its plan of memory, which is put into words, and the first batch. The problem is open, and stays so. */
pudle_status cli_rehearse(pd_problem *problem, char *memory, size_t size);

/** Samples that go through the network at once where a command takes all of them; those of a training batch where the prox couples them. */
int64_t cli_block(const pd_problem *problem, int64_t samples);

/** Say it where a config, and not a run, is asked for results: its dictionary is the one that training begins with. */
void cli_note_untrained(pd_context *ctx, const pd_settings *settings, const char *run_directory, const char *path);

/** Are all numbers of samples finite, or do the config's losses look at their targets themselves, as those do that pass over gaps? what: where they come
 *  from, for the message; part: what the first axis of `samples` counts, as "sample". @errors CONFIG */
pudle_status cli_check_numbers(pd_context *ctx, const pd_settings *settings, const char *what, const char *part, const pudle_cview *samples);

/** Samples (n, ...) of --input, in the config's precision: an array, and what pd_problem_open wants to know of it. The caller frees `input`. @errors IO, CONFIG */
pudle_status cli_samples(pd_context *ctx, const char *path, const pd_settings *settings, const char *run_directory, pd_array *input, pudle_data_info *given);

/** PUDLE_SPLIT_* of --split; train when it is not given. @errors CONFIG: beside --input too */
pudle_status cli_split(pd_context *ctx, const cli_args *args, int *split);

/** What commands begin with that put samples through a model: its settings, and a split of its data or the samples of --input. */
typedef struct cli_job {
    pd_settings *settings;
    char *directory;       /* of the run; NULL: a config was given */
    int split;             /* PUDLE_SPLIT_* */
    pd_array input;        /* samples of --input, described in `given`; no data: there are none */
    pudle_data_info given;
} cli_job;
/** The settings of the first argument, and the split; says it where nothing was trained. cli_job_close in any case. */
pudle_status cli_job_open(pd_context *ctx, const cli_args *args, cli_job *job);
/** The samples of --input, where it is given. */
pudle_status cli_job_samples(pd_context *ctx, const cli_args *args, cli_job *job);
void cli_job_close(cli_job *job);

/** Reports of crashes inside plugins; and, once a command asks for it, SIGINT and SIGTERM set a flag instead of ending it. */
void cli_signals(void);
void cli_stop_on_signals(void);
extern volatile sig_atomic_t cli_stop;

int cli_train(pd_context *ctx, const cli_args *args);
int cli_sweep(pd_context *ctx, const cli_args *args);
int cli_gradient(pd_context *ctx, const cli_args *args);
int cli_evaluate(pd_context *ctx, const cli_args *args);
int cli_encode(pd_context *ctx, const cli_args *args);
int cli_attribute(pd_context *ctx, const cli_args *args);
int cli_denoise(pd_context *ctx, const cli_args *args);
extern const char cli_denoise_help[]; /* what --help adds to the usage */
int cli_bench(pd_context *ctx, const cli_args *args);
extern const char cli_bench_help[];
int cli_check(pd_context *ctx, const cli_args *args);
int cli_report(pd_context *ctx, const cli_args *args);
int cli_compare(pd_context *ctx, const cli_args *args);
int cli_plugins(pd_context *ctx, const cli_args *args);
int cli_plugins_new(pd_context *ctx, const cli_args *args); /* plugins new KIND NAME, its arguments counted */
int cli_plugins_check(pd_context *ctx, const cli_args *args); /* plugins check FILE.so|NAME */
int cli_doctor(pd_context *ctx, const cli_args *args);

#endif
