/* core/context_private.h - the inside of a context, for context.c and core/plugin only. */
#ifndef PD_CONTEXT_PRIVATE_H
#define PD_CONTEXT_PRIVATE_H

#include "context.h"

#include <pthread.h>
#include <stdatomic.h>

/** A host table with the label of the plugin it speaks for. */
typedef struct pd_bound_host {
    struct pd_bound_host *next;
    pudle_host host;
    pd_host_binding binding;
    char label[];
} pd_bound_host;

struct pudle_context {
    pthread_mutex_t lock; /* of all members but the registry */
    char *error;          /* lines, each but the last ends with \n */
    size_t error_length, error_room;
    atomic_int errors;
    FILE *log;
    int log_level;
    pudle_host host;
    pd_host_binding binding;
    pd_bound_host *bound;
    struct pd_registry *registry; /* of core/plugin; plugins are loaded by one thread */
};

#endif
