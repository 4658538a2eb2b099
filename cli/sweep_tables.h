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

/** The figure that the tables are ordered by, and what such an order can and cannot say. Begins with tests = true and all else 0. */
typedef struct sweep_order { int figure, nonzeros; bool tests, losses, codes, data, levels; double fewest, most; } sweep_order; /* updates of the runs */
/** Of each run that is done. test_loss NaN: unknown. */
void sweep_order_run(sweep_order *o, double updates, double test_loss);
/** Of each run, or one of them: numbers of its loss may follow a key. */
void sweep_order_follow(sweep_order *o, const pd_settings *settings, char *const key[], const bool varies[], int keys);
/** Then, by the keys that have more than one value. */
void sweep_order_by(sweep_order *o, char *const key[], const bool varies[], int keys);
/** In words, a line for each thing. */
void sweep_order_print(FILE *to, const sweep_order *o);

/** Means and agreement of each of sw->combinations; list has room for them. *several: some have more than one run. A signal ends it early (cli_stop). */
pudle_status sweep_combine(const sweep *sw, sweep_combination *list, bool *several);
/** DIR/combinations.csv */
pudle_status sweep_write_combinations(const sweep *sw, const sweep_combination *list);

#endif
