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

/* A level that has one value for all, because the operator ties all atoms together. */
static inline pudle_status kept_one_level(const kept *self, const char *name, const pudle_cview *level)
{
    if (pudle_count(level) == 1)
        return PUDLE_OK;
    return self->host->fail(self->host->ctx, PUDLE_ERR_ARG,
                            "%s has %lld values, and this prox ties the atoms together: it takes one; write  learn = \"global\"  or \"layer\"",
                            name, (long long)pudle_count(level));
}

#endif
