/* core/train/memory.h - what training takes of memory: planned before it runs, measured after. */
#ifndef PD_MEMORY_H
#define PD_MEMORY_H

#include "train/problem.h"

/** Put train.memory in force and make the workspaces for batches of training, so that a budget that cannot be kept is refused before anything runs.
 *  @errors CONFIG, NOMEM */
pudle_status pd_memory_plan(pd_problem *problem);

/** The plan in words: lanes, samples of a block, layers kept and bytes. After pd_memory_plan. */
void pd_memory_describe(const pd_problem *problem, char *text, size_t size);

/** Bytes that the network holds now: its workspaces, which are those planned, and the backend's own encoder, whose tape grows with the
 *  codes. Dictionary, optimiser and data are not in it. */
double pd_memory_held(const pd_problem *problem);

/** The most memory of a device that the backend has held, in bytes; 0: it computes in the process's. */
double pd_memory_device(const pd_problem *problem);

/** Most resident memory that this process has had, in bytes. */
double pd_memory_peak(void);

#endif
