/* cli/sweep_tables.h - what the tables of a sweep are made of: the two files, means over seeds, and both in words. Internal to these. */
#ifndef PD_SWEEP_TABLES_H
#define PD_SWEEP_TABLES_H

#include "sweep.h"

#define SWEEP_RUNS "sweep.csv"
#define SWEEP_COMBINATIONS "combinations.csv"
extern const char *const sweep_states[]; /* of SWEEP_UNFINISHED and so on */

/** Means over the seeds of one combination; agreement of each two of its dictionaries. */
typedef struct sweep_combination {
    const sweep_run *first;
    int runs, failed; /* done; and not */
    double mean[SWEEP_FIGURES], deviation[SWEEP_FIGURES]; /* NaN: unknown */
    double agreement_mean, agreement_median, chance;
} sweep_combination;

/** Means and agreement of each of sw->combinations; list has room for them. *several: some have more than one run. A signal ends it early (cli_stop). */
pudle_status sweep_combine(const sweep *sw, sweep_combination *list, bool *several);
/** DIR/combinations.csv */
pudle_status sweep_write_combinations(const sweep *sw, const sweep_combination *list);

#endif
