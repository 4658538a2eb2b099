/* What an operator keeps that can find only at its first call that options and codes do not fit: its options, and the host to
 * tell it to. */
#ifndef KEPT_H
#define KEPT_H

#include <pudle/plugin.h>

typedef struct kept {
    const pudle_host *host;
    const void *params; /* outlive the instance */
} kept;

static inline pudle_status kept_create(const pudle_host *host, const void *params, void **self)
{
    kept *k = host->alloc(host->ctx, sizeof *k);
    if (!k)
        return host->fail(host->ctx, PUDLE_ERR_NOMEM, "no memory for a prox");
    *k = (kept){ host, params };
    *self = k;
    return PUDLE_OK;
}

static inline void kept_destroy(const pudle_host *host, void *self)
{
    host->free(host->ctx, self);
}

/* A level where atoms are tied together: its mean over `count` atoms from `first`. */
static inline double tied_level(const pudle_cview *level, int64_t first, int64_t count)
{
    double sum = 0;
    if (pudle_count(level) == 1)
        return pudle_entry(level, 0);
    for (int64_t a = first; a < first + count; a++)
        sum += pudle_entry(level, a);
    return count ? sum / (double)count : 0;
}

/* The gradient of that mean. */
static inline void tied_gradient(const pudle_view *glevel, double sum, int64_t first, int64_t count)
{
    const pudle_cview c = pudle_const(glevel);
    if (pudle_count(&c) == 1) {
        ((double *)glevel->data)[0] += sum;
        return;
    }
    for (int64_t a = first; a < first + count; a++)
        ((double *)glevel->data)[a] += sum / (double)count;
}

#endif
