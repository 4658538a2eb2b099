/* cli/report.h - what the files of `pudle report` share: what is known of a run, and the parts of the page. Internal to report. */
#ifndef PD_REPORT_H
#define PD_REPORT_H

#include "cli.h"
#include "report_series.h"
#include "sweep_tables.h"

enum { REPORT_UNKNOWN, REPORT_UNFINISHED, REPORT_RUNNING, REPORT_FINISHED, REPORT_INTERRUPTED, REPORT_STOPPED };
extern const char *const report_states[]; /* in words */

/** A line of run.log that warns, and how often it is there. */
typedef struct report_warning { char *text; int64_t times; } report_warning;

/** One option of a run, as its config says it. */
typedef struct report_option { char *key, *value; } report_option;

typedef struct report_run {
    char *path, *label;       /* where it is; what it is called on the page */
    int style;                /* of its curves; the same for seeds of one combination */
    bool of_sweep, first;     /* first: of its style */
    int state;                /* REPORT_* above, as run.log tells */
    int64_t updates, total;   /* done, and in all; -1: unknown */
    double seconds;           /* NaN: unknown */
    char begun[32], version[32], identity[65];
    int resumed;              /* how often */
    bool edited;              /* its config, since it was written */
    report_warning *warning;
    int warnings, more_warnings; /* more: that are not kept */
    pd_settings *settings;    /* NULL: config.cfg cannot be read, and `why` says why */
    char *why, *config;       /* config: then its text */
    report_option *option;
    int options;
    report_table metrics, test; /* test has no rows where there are none */
} report_run;

/** All that the folder of a run tells. room: of each series. @errors CONFIG, IO, NOTFOUND: it is none, its metrics have no rows, or a row is none */
pudle_status report_run_open(pd_context *ctx, const cli_args *args, const char *path, int room, report_run *run);
void report_run_close(report_run *run); /* zeroed is legal */

/** A table of a sweep, as texts; row 0 is its header. */
typedef struct report_cells { char **cell; int rows, columns; } report_cells;

typedef struct report_sweep {
    char *path;
    report_cells runs, combinations; /* combinations has no rows where the sweep has not come to its end */
    int keys;                        /* their columns begin behind run and state */
    bool *varies;                    /* (keys) */
    sweep_order order;
    int *rank, *combination_rank;    /* their rows, best first, from 1 */
    int *combination;                /* of each row of runs, counted in the order of rank */
    int drawn;                       /* runs whose curves are drawn */
} report_sweep;

/** Is this the folder of a sweep? @errors NOMEM */
pudle_status report_sweep_is(pd_context *ctx, const char *path, bool *is);
pudle_status report_sweep_open(pd_context *ctx, const char *path, bool quiet, report_sweep *sweep);
void report_sweep_close(report_sweep *sweep); /* zeroed is legal */
/** The cell under a name; "" where there is no such column. row counts from 1. */
const char *report_cell(const report_cells *t, int row, const char *column);
/** The varied values of a row, "prox.lambda=0.1"; with the seed where nothing else is varied. NULL without memory. */
char *report_sweep_label(const report_sweep *sweep, int row);

typedef struct report {
    pd_context *ctx;
    report_run *run;
    int runs;
    report_sweep sweep; /* path NULL: the runs are of none */
} report;

pudle_status report_no_memory(pd_context *ctx);

/** The parts of the page, each a section, or nothing where there is nothing to tell. */
pudle_status report_page(FILE *to, const report *r);
pudle_status report_curves(FILE *to, const report *r);
pudle_status report_settings(FILE *to, const report *r);
pudle_status report_sweep_tables(FILE *to, pd_context *ctx, const report_sweep *sweep);

#endif
