/* A host for plugins under test: counts blocks, runs out of memory on demand, remembers messages. */
#include "conform/parts.h"

#include <stdarg.h>

enum { FRESH = 0xa5 }; /* memory is not cleared, and it shows */

static void *take(void *ctx, size_t bytes)
{
    pd_test_host *h = ctx;
    pthread_mutex_lock(&h->lock);
    const bool empty = h->until_empty == 0;
    h->until_empty -= h->until_empty > 0;
    h->total++;
    h->live += !empty;
    pthread_mutex_unlock(&h->lock);
    void *memory = empty ? NULL : pd_alloc(1, bytes);
    return memory ? memset(memory, FRESH, bytes) : NULL;
}

static void give(void *ctx, void *memory)
{
    pd_test_host *h = ctx;
    pthread_mutex_lock(&h->lock);
    h->live -= memory != NULL;
    pthread_mutex_unlock(&h->lock);
    free(memory);
}

static PUDLE_PRINTF(3, 4) void hear_log(void *ctx, int32_t level, const char *format, ...)
{
    (void)ctx, (void)level, (void)format;
}

static PUDLE_PRINTF(3, 4) pudle_status hear(void *ctx, pudle_status status, const char *format, ...)
{
    pd_test_host *h = ctx;
    va_list list;
    pthread_mutex_lock(&h->lock);
    va_start(list, format);
    vsnprintf(h->said, sizeof h->said, format, list);
    va_end(list);
    h->failures++;
    h->silent |= !h->said[0];
    pthread_mutex_unlock(&h->lock);
    return status < 0 ? status : PUDLE_ERR_INTERNAL;
}

static const void *extension(void *ctx, const char *id)
{
    const pd_test_host *h = ctx;
    return h->binding.ctx->host.get_ext(h->binding.ctx->host.ctx, id);
}

void pd_test_host_init(pd_test_host *h, pd_context *ctx)
{
    *h = (pd_test_host){ .binding = { ctx, NULL }, .until_empty = -1 };
    pthread_mutex_init(&h->lock, NULL);
    h->table = (pudle_host){ .size = sizeof(pudle_host), .abi_major = PUDLE_ABI_MAJOR, .abi_minor = PUDLE_ABI_MINOR, .ctx = h,
                             .alloc = take, .free = give, .log = hear_log, .fail = hear, .get_ext = extension };
}

void pd_test_host_forget(pd_test_host *h)
{
    h->failures = 0;
    h->silent = false;
    h->said[0] = '\0';
    pd_error_clear(h->binding.ctx);
}

bool pd_test_host_heard(pd_test_host *h)
{
    return (h->failures > 0 && !h->silent) || (!h->failures && *pd_error(h->binding.ctx));
}
