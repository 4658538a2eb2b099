/* Memory that is freed as a whole: a chain of blocks, cut from the front. */
#include "config/parts.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 8192, ALIGN = 16 };

typedef struct block {
    struct block *next;
    size_t used, room;
    _Alignas(64) unsigned char memory[];
} block;

struct pd_arena {
    block *first;
    bool failed;
};

pd_arena *pd_arena_create(void)
{
    return calloc(1, sizeof(pd_arena));
}

void pd_arena_destroy(pd_arena *arena)
{
    if (!arena)
        return;
    for (block *b = arena->first, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(arena);
}

bool pd_arena_failed(const pd_arena *arena)
{
    return arena->failed;
}

void *pd_arena_alloc(pd_arena *arena, size_t count, size_t size)
{
    if (size && count > (SIZE_MAX / 2 - ALIGN) / size) {
        arena->failed = true;
        return NULL;
    }
    const size_t bytes = (count * size + ALIGN - 1) / ALIGN * ALIGN;
    block *b = arena->first;
    if (!b || b->room - b->used < bytes) {
        const size_t room = bytes > BLOCK ? bytes : BLOCK;
        b = pd_alloc(1, sizeof *b + room);
        if (!b) {
            arena->failed = true;
            return NULL;
        }
        b->room = room;
        b->next = arena->first;
        arena->first = b;
    }
    void *memory = b->memory + b->used;
    b->used += bytes;
    return memory;
}

char *pd_arena_copy(pd_arena *arena, const char *text, size_t length)
{
    char *copy = pd_arena_alloc(arena, length + 1, 1);
    if (copy)
        memcpy(copy, text, length);
    return copy;
}

char *pd_arena_format(pd_arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    const int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = length < 0 ? NULL : pd_arena_alloc(arena, (size_t)length + 1, 1);
    if (text)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}
