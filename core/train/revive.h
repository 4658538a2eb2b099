/* core/train/revive.h - atoms that no code uses, and what becomes of them (train.revive). */
#ifndef PD_REVIVE_H
#define PD_REVIVE_H

#include <signal.h>
#include "train/problem.h"

typedef struct pd_revival {
    int64_t looked; /* samples looked at */
    int64_t dead;   /* atoms that were found to be dead */
    int64_t replaced;
    bool stopped;   /* before anything was found or changed */
} pd_revival;

/** Before `epoch`, after so many updates: look for dead atoms, and replace them as the config says. A function of config, data, epoch and what is learned,
 *  so that a run which is resumed before it does it once more. stop: set by a signal; NULL is legal. @errors NUMERIC, and what reading gives */
pudle_status pd_revive(pd_problem *problem, int64_t epoch, int64_t update, const volatile sig_atomic_t *stop, pd_revival *out);

#endif
