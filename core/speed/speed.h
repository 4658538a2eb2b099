/* core/speed/speed.h - how fast a config trains on its backend, and how fast the machine would let it. */
#ifndef PD_SPEED_H
#define PD_SPEED_H

#include "train/problem.h"

typedef struct pd_speed_options {
    double seconds; /* that each of the two measurements may take; at least PD_SPEED_LEAST repetitions are made */
    int64_t runs;   /* repetitions, whatever they take; 0: as many as fit */
} pd_speed_options;

enum { PD_SPEED_LEAST = 5 };

/** What repetitions took, in seconds. spread: distance of the quartiles over the median. */
typedef struct pd_times { int64_t count; double median, least, spread; } pd_times;

/** What a case has to do. docs/bench.md derives these formulas. */
typedef struct pd_speed_work {
    double forward_flops, update_flops; /* of the dense network: 2 for every multiplication and addition, zeros included */
    double update_bytes;                /* if every operation of it took its arrays from memory and put them back */
    double least_flops, least_bytes;    /* of an update that leaves out all that zeros make needless */
} pd_speed_work;

/** The most that the backend itself reaches here, on the threads it was opened with. */
typedef struct pd_ceiling {
    double flops; /* a second, in large square matrix products */
    double bytes; /* a second, in y <- a x + b y on arrays that fit in no cache: x and y read, y written */
    int threads;  /* different threads seen running lanes */
} pd_ceiling;

/** Plain data: a child process hands it to its parent as it is. */
typedef struct pd_speed_result {
    char backend[64];
    int32_t dtype;
    int64_t features, atoms, layers, batch;
    double density; /* share of the entries of z_T that are not 0, mean over the timed updates */
    pd_times update, forward;
    pd_speed_work work;
    double peak_bytes, device_bytes; /* most memory before the ceilings were measured: resident, of the process; of a device, 0: none */
    pd_ceiling ceiling;
} pd_speed_result;

/** Open the problem as training does and close it again: whether it could be measured. @errors as pd_problem_open */
pudle_status pd_speed_check(pd_context *ctx, const pd_settings *settings);

/** Time updates (gradient, optimiser's step, constraints, refresh) and forward passes on the batches of a training run; reading samples
 *  and handing them to the backend stays outside the clock. The first repetitions of each warm up and are not counted.
 *  *began: the problem was opened and initialised. @errors as pd_problem_open and pd_train */
pudle_status pd_speed_run(pd_context *ctx, const pd_settings *settings, const pd_speed_options *options, pd_speed_result *result, bool *began);

/** @errors NOMEM, and whatever the backend returns */
pudle_status pd_ceiling_measure(const pd_problem *problem, pd_ceiling *ceiling);

/** nonzeros: mean number in a code. */
void pd_speed_work_of(const pd_problem *problem, int64_t batch, double nonzeros, pd_speed_work *work);

/* ---- times */

double pd_now(void); /* seconds of the monotonic clock */

/** Durations as they come. */
typedef struct pd_durations { double *item; int64_t count, room; } pd_durations;

pudle_status pd_durations_add(pd_context *ctx, pd_durations *list, double seconds);
/** Sorts the list. All 0 for an empty one. */
pd_times pd_durations_sum_up(pd_durations *list);
void pd_durations_free(pd_durations *list);

#endif
