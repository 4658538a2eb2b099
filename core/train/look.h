/* core/train/look.h - training samples looked at for what they say of D: which atoms their codes use, and what is left of them. Internal to core/train. */
#ifndef PD_LOOK_H
#define PD_LOOK_H

#include <signal.h>
#include "train/problem.h"

/** A sample, and the square of the norm of what it leaves. */
typedef struct pd_candidate { double energy; int64_t number; } pd_candidate;

typedef struct pd_look {
    pd_problem *pb;
    int64_t epoch, update;  /* whose samples, and after how many updates */
    bool whole;             /* what is left is what codes of zeros leave: the sample itself, less the baseline */
    int64_t samples, block; /* in all, and at a time */
    pd_candidate *sample;   /* (samples) */
    int64_t *uses;          /* (atoms): samples whose codes use the atom; a filter, at any position */
    int64_t *number;        /* (block): of the samples that are read */
    void *code, *left;      /* of a block, with the backend, and in host memory */
    void *host_code, *host_left;
} pd_look;

/** At most 10000 samples, evenly spaced, and room for blocks of a training batch at most. The caller has set pb, epoch, update and whole, and closes it in any
 *  case. */
pudle_status pd_look_open(pd_look *look);
void pd_look_close(pd_look *look);

/** Uses and energies, by a pass over all of them. stopped: by a signal, and they are not known. @errors NUMERIC, and what reading gives */
pudle_status pd_look_at_all(pd_look *look, const volatile sig_atomic_t *stop, bool *stopped);
/** Codes of up to a block of samples, and what is left of them: the slope of the training loss at their predictions, downwards, which is x - D z - a for least
 *  squares. The next two read it. */
pudle_status pd_look_at(pd_look *look, const pd_candidate *sample, int64_t count);
double pd_look_code(const pd_look *look, int64_t entry);
double pd_look_left(const pd_look *look, int64_t entry);

#endif
