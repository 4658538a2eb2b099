/* The context: errors, log lines, host tables, and memory that is checked. */
#include "context_private.h"
#include "plugin/registry.h"
#include "tensor/arrays.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

_Thread_local const char *pd_calling_plugin, *pd_calling_function;

enum { FIRST_ROOM = 512, ALIGNMENT = 64, HUGE_PAGE = 2 << 20, HUGE_LEAST = 4 << 20, HUGE_MOST = 64 << 20 };

/* ------------------------------------------------------------------- memory */

/* Bytes rounded up to whole cache lines, at least one; 0 on overflow. */
static size_t whole_lines(size_t bytes)
{
    if (bytes > SIZE_MAX - (ALIGNMENT - 1))
        return 0;
    return bytes ? (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT : ALIGNMENT;
}

/* Memory of whole lines. Pieces of some megabytes are asked for in huge pages, where the system gives such to programs that ask: rows of a
 * dictionary are read in no order, each from a page of its own. A system that has none loses nothing. Larger pieces are gone through in
 * order, and to clear them by huge pages takes longer. */
static void *take_memory(size_t bytes)
{
    if (bytes < HUGE_LEAST || bytes > HUGE_MOST)
        return bytes ? aligned_alloc(ALIGNMENT, bytes) : NULL;
    void *memory = NULL;
    if (posix_memalign(&memory, HUGE_PAGE, bytes))
        return NULL;
#ifdef MADV_HUGEPAGE
    madvise(memory, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
#endif
    return memory;
}

void *pd_alloc(size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size)
        return NULL;
    const size_t bytes = whole_lines(count * size);
    void *memory = take_memory(bytes);
    return memory ? memset(memory, 0, bytes) : NULL;
}

char *pd_strdup(const char *text)
{
    const size_t bytes = strlen(text) + 1;
    char *copy = malloc(bytes);
    return copy ? memcpy(copy, text, bytes) : NULL;
}

static char *format_list(const char *format, va_list list)
{
    va_list again;
    va_copy(again, list);
    const int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    char *text = length < 0 ? NULL : malloc((size_t)length + 1);
    if (text)
        vsnprintf(text, (size_t)length + 1, format, list);
    return text;
}

char *pd_format(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    char *text = format_list(format, list);
    va_end(list);
    return text;
}

typedef struct text_sink { char **text; size_t *size, room; bool failed; } text_sink;

static ssize_t write_text(void *cookie, const char *from, size_t bytes)
{
    text_sink *to = cookie;
    if (*to->size + bytes >= to->room && !to->failed) {
        const size_t room = 2 * (*to->size + bytes) + 1;
        char *more = realloc(*to->text, room);
        to->failed = !more;
        *to->text = more ? more : *to->text;
        to->room = room;
    }
    if (to->failed)
        return 0;
    memcpy(*to->text + *to->size, from, bytes);
    *to->size += bytes;
    (*to->text)[*to->size] = '\0';
    return (ssize_t)bytes;
}

static int close_text(void *cookie)
{
    text_sink *to = cookie;
    const int result = to->failed ? EOF : 0;
    if (result) {
        free(*to->text);
        *to->text = NULL;
    }
    free(to);
    return result;
}

FILE *pd_text_stream(char **text, size_t *size)
{
    text_sink *to = calloc(1, sizeof *to);
    FILE *stream = to ? fopencookie(to, "w", (cookie_io_functions_t){ .write = write_text, .close = close_text }) : NULL;
    if (stream) {
        *to = (text_sink){ .text = text, .size = size };
        *text = NULL;
        *size = 0;
        (void)write_text(to, "", 0);
    } else {
        free(to);
    }
    return stream;
}

/* ------------------------------------------------------------------- errors */

/* Append what fits: an error must not be lost because memory is, so room that cannot grow cuts the text. */
static void append(pd_context *ctx, const char *text, size_t length)
{
    const size_t wanted = ctx->error_length + length + 1;
    if (wanted > ctx->error_room) {
        const size_t room = wanted > 2 * ctx->error_room ? wanted : 2 * ctx->error_room;
        char *larger = realloc(ctx->error, room);
        if (larger) {
            ctx->error = larger;
            ctx->error_room = room;
        } else {
            length = ctx->error_room - ctx->error_length - 1;
        }
    }
    memcpy(ctx->error + ctx->error_length, text, length);
    ctx->error_length += length;
    ctx->error[ctx->error_length] = '\0';
}

static void write_line(FILE *to, const char *severity, const char *label, const char *text, size_t length)
{
    fprintf(to, "%s%s%s%.*s\n", severity, label ? label : "", label ? ": " : "", (int)length, text);
    fflush(to);
}

static void fail_list(pd_context *ctx, const char *label, const char *format, va_list list)
{
    char *text = format_list(format, list);
    const char *line = text ? text : "out of memory while an error was reported";
    size_t length = strlen(line);
    while (length && line[length - 1] == '\n')
        length--;
    pthread_mutex_lock(&ctx->lock);
    if (ctx->error_length)
        append(ctx, "\n", 1);
    if (label) {
        append(ctx, label, strlen(label));
        append(ctx, ": ", 2);
    }
    append(ctx, line, length);
    if (ctx->log)
        write_line(ctx->log, "error: ", label, line, length);
    pthread_mutex_unlock(&ctx->lock);
    atomic_fetch_add(&ctx->errors, 1);
    free(text);
}

pudle_status pd_fail(pd_context *ctx, pudle_status status, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fail_list(ctx, NULL, format, list);
    va_end(list);
    return status;
}

const char *pd_error(pd_context *ctx)
{
    return ctx->error;
}

int pd_error_count(const pd_context *ctx)
{
    return atomic_load(&ctx->errors);
}

void pd_error_clear(pd_context *ctx)
{
    pthread_mutex_lock(&ctx->lock);
    ctx->error_length = 0;
    ctx->error[0] = '\0';
    pthread_mutex_unlock(&ctx->lock);
    atomic_store(&ctx->errors, 0);
}

/* ---------------------------------------------------------------------- log */

static void log_list(pd_context *ctx, int level, const char *label, const char *format, va_list list)
{
    char *text = format_list(format, list);
    if (!text)
        return;
    size_t length = strlen(text);
    while (length && text[length - 1] == '\n')
        length--;
    const char *severity = level >= PUDLE_LOG_WARNING ? "warning: " : level <= PUDLE_LOG_DEBUG ? "debug: " : "";
    pthread_mutex_lock(&ctx->lock);
    if (level >= ctx->log_level)
        write_line(stderr, severity, label, text, length);
    /* The file keeps what a quiet terminal does not show. */
    if (ctx->log && (level >= PUDLE_LOG_INFO || level >= ctx->log_level))
        write_line(ctx->log, severity, label, text, length);
    pthread_mutex_unlock(&ctx->lock);
    free(text);
}

void pd_log(pd_context *ctx, int level, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    log_list(ctx, level, NULL, format, list);
    va_end(list);
}

void pd_log_note(pd_context *ctx, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    char *text = format_list(format, list);
    va_end(list);
    pthread_mutex_lock(&ctx->lock);
    if (ctx->log && text)
        write_line(ctx->log, "", NULL, text, strlen(text));
    pthread_mutex_unlock(&ctx->lock);
    free(text);
}

void pd_log_file(pd_context *ctx, FILE *file)
{
    pthread_mutex_lock(&ctx->lock);
    ctx->log = file;
    pthread_mutex_unlock(&ctx->lock);
}

void pd_log_level(pd_context *ctx, int level)
{
    pthread_mutex_lock(&ctx->lock);
    ctx->log_level = level;
    pthread_mutex_unlock(&ctx->lock);
}

/* ------------------------------------------------------------ host services */

static void *host_alloc(void *ctx, size_t bytes)
{
    (void)ctx;
    return take_memory(whole_lines(bytes));
}

static void host_free(void *ctx, void *memory)
{
    (void)ctx;
    free(memory);
}

static void host_log(void *ctx, int32_t level, const char *format, ...)
{
    const pd_host_binding *binding = ctx;
    va_list list;
    va_start(list, format);
    log_list(binding->ctx, level, binding->label, format, list);
    va_end(list);
}

/* A plugin returns what this returns, so success or a made-up code must not come out. */
static pudle_status host_fail(void *ctx, pudle_status status, const char *format, ...)
{
    const pd_host_binding *binding = ctx;
    va_list list;
    va_start(list, format);
    fail_list(binding->ctx, binding->label, format, list);
    va_end(list);
    return status < 0 ? status : PUDLE_ERR_INTERNAL;
}

static const void *host_get_ext(void *ctx, const char *id)
{
    (void)ctx;
    return id && !strcmp(id, PUDLE_HOST_ARRAYS) ? &pd_host_arrays : NULL;
}

static pudle_host host_table(pd_host_binding *binding)
{
    return (pudle_host){ .size = sizeof(pudle_host),
                         .abi_major = PUDLE_ABI_MAJOR,
                         .abi_minor = PUDLE_ABI_MINOR,
                         .ctx = binding,
                         .alloc = host_alloc,
                         .free = host_free,
                         .log = host_log,
                         .fail = host_fail,
                         .get_ext = host_get_ext };
}

const pudle_host *pd_host(pd_context *ctx)
{
    return &ctx->host;
}

static pd_bound_host *bind_host(pd_context *ctx, const char *label)
{
    const size_t bytes = strlen(label) + 1;
    pd_bound_host *b = malloc(sizeof *b + bytes);
    if (!b)
        return NULL;
    memcpy(b->label, label, bytes);
    b->binding = (pd_host_binding){ ctx, b->label };
    b->host = host_table(&b->binding);
    b->next = ctx->bound;
    ctx->bound = b;
    return b;
}

const pudle_host *pd_host_for(pd_context *ctx, const char *label)
{
    pthread_mutex_lock(&ctx->lock);
    pd_bound_host *b = ctx->bound;
    while (b && strcmp(b->label, label))
        b = b->next;
    if (!b)
        b = bind_host(ctx, label);
    pthread_mutex_unlock(&ctx->lock);
    return b ? &b->host : &ctx->host; /* without memory: the same services, no label */
}

/* --------------------------------------------------------------------- life */

pd_context *pd_context_create(void)
{
    pd_context *ctx = calloc(1, sizeof *ctx);
    if (!ctx)
        return NULL;
    ctx->error = calloc(1, FIRST_ROOM);
    if (!ctx->error)
        goto free_context;
    if (pthread_mutex_init(&ctx->lock, NULL))
        goto free_error;
    ctx->error_room = FIRST_ROOM;
    atomic_init(&ctx->errors, 0);
    ctx->log_level = PUDLE_LOG_INFO;
    ctx->binding.ctx = ctx;
    ctx->host = host_table(&ctx->binding);
    return ctx;

free_error:
    free(ctx->error);
free_context:
    free(ctx);
    return NULL;
}

void pd_context_destroy(pd_context *ctx)
{
    if (!ctx)
        return;
    pd_registry_destroy(ctx);
    for (pd_bound_host *b = ctx->bound, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    pthread_mutex_destroy(&ctx->lock);
    free(ctx->error);
    free(ctx);
}
