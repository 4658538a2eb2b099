/* core/context.h - what every call carries: the error of the run, the log, the host table handed to plugins.
 * The first function that knows what went wrong says so with pd_fail; callers only pass the status on. */
#ifndef PD_CONTEXT_H
#define PD_CONTEXT_H

#include <stdio.h>
#include <pudle/plugin.h>

typedef struct pudle_context pd_context;

pd_context *pd_context_create(void);
void pd_context_destroy(pd_context *ctx); /* NULL is legal */

/** Append one line to the error text and return status. Several errors (a config) make several lines. @thread safe */
pudle_status pd_fail(pd_context *ctx, pudle_status status, const char *format, ...) PUDLE_PRINTF(3, 4);
const char *pd_error(pd_context *ctx); /* "" when none; lines end with \n but the last */
int pd_error_count(const pd_context *ctx);
void pd_error_clear(pd_context *ctx);

/** Log lines go to stderr (level >= verbosity) and to the run's log file once one is set. @thread safe */
void pd_log(pd_context *ctx, int level, const char *format, ...) PUDLE_PRINTF(3, 4);
void pd_log_file(pd_context *ctx, FILE *file); /* NULL: none; not owned. Errors go there too */
/** A line for the log file alone: what a record of the run needs and a terminal does not. @thread safe */
void pd_log_note(pd_context *ctx, const char *format, ...) PUDLE_PRINTF(2, 3);
void pd_log_level(pd_context *ctx, int level);
enum { PD_LOG_SILENT = PUDLE_LOG_WARNING + 1 }; /* above all that is said */

/** What pudle_host.ctx points to: the context and the label of the instance on whose behalf the host is called (NULL: none). */
typedef struct pd_host_binding { pd_context *ctx; const char *label; } pd_host_binding;
const pudle_host *pd_host(pd_context *ctx);
/** Host for calls on behalf of one plugin instance: its log and error lines start with `label` and a colon
 *  ("prox my_prox: "). Owned by ctx, lives as long as it; the same label gives the same host. @thread safe */
const pudle_host *pd_host_for(pd_context *ctx, const char *label);

/** What is being called in a plugin right now, for the report when it crashes; NULL when nothing. Thread local. */
extern _Thread_local const char *pd_calling_plugin, *pd_calling_function;
#define PD_CALL(plugin, function) (pd_calling_plugin = (plugin), pd_calling_function = (function))
#define PD_RETURNED() (pd_calling_plugin = NULL, pd_calling_function = NULL)

/* memory that never returns garbage: NULL on overflow or exhaustion */
void *pd_alloc(size_t count, size_t size); /* 64-byte aligned, cleared; free with free() */
char *pd_strdup(const char *text);
char *pd_format(const char *format, ...) PUDLE_PRINTF(1, 2); /* malloc'ed; NULL without memory */
/** As open_memstream, which in glibc drops what it has no memory for and says nothing: here fclose fails, and *text is NULL. */
FILE *pd_text_stream(char **text, size_t *size);

#endif
