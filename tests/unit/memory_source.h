/* Samples in memory, for what begins a dictionary with samples (pd_sample_source). Include after `ctx`. */
#ifndef TESTS_MEMORY_SOURCE_H
#define TESTS_MEMORY_SOURCE_H

#include <string.h>

#include "train/init.h"

/* Reading number `fails` fails. */
typedef struct memory { const double *x; int64_t m, fails; } memory;

static pudle_status read_memory(void *self, const int64_t *index, int64_t count, double *rows)
{
    const memory *s = self;
    for (int64_t i = 0; i < count; i++) {
        if (index[i] == s->fails)
            return pd_fail(ctx, PUDLE_ERR_IO, "no such luck");
        memcpy(rows + i * s->m, s->x + index[i] * s->m, (size_t)s->m * sizeof *rows);
    }
    return PUDLE_OK;
}

#endif
