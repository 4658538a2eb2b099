/* A host for plugins under test: counts blocks, runs out of memory on demand, remembers messages. */
#include "conform/parts.h"

#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FRESH = 0xa5, HEAD = 64 }; /* memory is not cleared, and it shows */

/* In front of every block. A block in pages of its own can be made read only. */
struct pd_block {
    pd_block *next, **link;
    size_t whole; /* of the mapping; 0: from pd_alloc */
};
_Static_assert(sizeof(pd_block) <= HEAD, "the head of a block keeps the alignment of what follows");

static pd_block *block_new(bool pages, size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (bytes > SIZE_MAX / 2)
        return NULL;
    if (!pages)
        return pd_alloc(1, HEAD + bytes);
    const size_t whole = (HEAD + bytes + page - 1) / page * page;
    pd_block *b = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (b == MAP_FAILED)
        return NULL;
    b->whole = whole;
    return b;
}

void pd_test_host_protect(pd_test_host *h, bool read_only)
{
    for (pd_block *b = h->blocks; b; b = b->next)
        if (b->whole)
            mprotect(b, b->whole, read_only ? PROT_READ : PROT_READ | PROT_WRITE);
}

bool pd_test_host_owns(const pd_test_host *h, const void *memory)
{
    const char *at = memory;
    for (const pd_block *b = h->blocks; b; b = b->next)
        if (at >= (const char *)b && at < (const char *)b + b->whole)
            return true;
    return false;
}

static void *take(void *ctx, size_t bytes)
{
    pd_test_host *h = ctx;
    pthread_mutex_lock(&h->lock);
    pd_block *b = h->until_empty == 0 ? NULL : block_new(h->pages, bytes);
    h->until_empty -= h->until_empty > 0;
    h->total++;
    if (b) {
        h->live++;
        b->next = h->blocks;
        b->link = &h->blocks;
        if (b->next)
            b->next->link = &b->next;
        h->blocks = b;
    }
    pthread_mutex_unlock(&h->lock);
    return b ? memset((char *)b + HEAD, FRESH, bytes) : NULL;
}

static void give(void *ctx, void *memory)
{
    pd_test_host *h = ctx;
    if (!memory)
        return;
    pd_block *b = (pd_block *)(void *)((char *)memory - HEAD);
    pthread_mutex_lock(&h->lock);
    h->live--;
    *b->link = b->next;
    if (b->next)
        b->next->link = b->link;
    pthread_mutex_unlock(&h->lock);
    if (b->whole)
        munmap(b, b->whole);
    else
        free(b);
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
