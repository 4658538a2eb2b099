/* core/train/ahead.h - the next batch, read on a thread of its own while this one is computed. Internal to core/train.
 *
 * A data source is a pure function of the request, re-entrant (pudle/data.h), so what is read does not depend on when, and the bits of a run
 * are the same. What a plugin reports from the thread is told at once, as from any other, and the failure is that of the batch it was for:
 * where the run ends before that, the report is there all the same. */
#ifndef PD_AHEAD_H
#define PD_AHEAD_H

#include "context.h"

/** Some samples of a split, as one epoch has them. */
typedef struct pd_request { int split; uint64_t epoch; const int64_t *index; int64_t count; } pd_request;

/** Places in host memory for the samples of a batch, their targets and true codes; NULL for what is not wanted. */
typedef struct pd_samples { void *x, *y, *truth; } pd_samples;

typedef pudle_status (*pd_read_fn)(void *self, const pd_request *request, const pd_samples *to);
typedef struct pd_ahead pd_ahead;

/** A thread that calls read(self, ...), for requests of at most `most` samples. NULL where there is no memory or no thread to be had: then
 *  everything is read when it is needed. */
pd_ahead *pd_ahead_create(pd_read_fn read, void *self, int64_t most);
/** Waits for what it is at. NULL is legal. */
void pd_ahead_destroy(pd_ahead *ahead);

/** Begin to read; whatever was asked for before is forgotten. The request is copied; `to` is the thread's until take(), the next
 *  ask() or destroy(). */
void pd_ahead_ask(pd_ahead *ahead, const pd_request *request, const pd_samples *to);
/** Was it this that was asked for? Waits until it, or what was asked for in its place, is read. */
bool pd_ahead_take(pd_ahead *ahead, const pd_request *request, pudle_status *status);

#endif
