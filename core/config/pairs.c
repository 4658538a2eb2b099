/* The params of one plugin from its defaults and a few key=value pairs: for tests and for programs without a config. */
#include "config/parts.h"

#include <stdlib.h>
#include <string.h>

/* What stands before the params in memory. */
typedef struct head { pd_arena *arena; } head;
enum { HEAD = 64 };

static pd_entry *add_pair(pd_loader *loader, pd_group *group, const char *label, const char *pair)
{
    pd_why why;
    pd_entry *entry = pd_arena_alloc(loader->arena, 1, sizeof *entry);
    const size_t length = strcspn(pair, "=");
    if (!entry)
        return NULL;
    entry->where = pd_arena_format(loader->arena, "%s: %s", label, pair);
    entry->key = pd_arena_copy(loader->arena, pair, length);
    if (!entry->where || !entry->key)
        return NULL;
    if (!pair[length])
        pd_report(loader, entry->where, "wants key=value");
    else if (!pd_literal_read(loader->arena, pair + length + 1, &entry->value, &why))
        pd_report(loader, entry->where, "%s", why.text);
    entry->next = group->first;
    group->first = entry; /* the last of two is found first */
    return entry;
}

pudle_status pd_params_from_pairs(pd_context *ctx, const pd_plugin *plugin, const char *const *pairs, int count,
                                  void **params)
{
    const pudle_desc *desc = plugin->desc;
    pd_loader loader = { .ctx = ctx, .arena = pd_arena_create() };
    pd_group group = { .present = true };
    unsigned char *memory = NULL;
    if (loader.arena)
        memory = pd_alloc(1, HEAD + (size_t)desc->params_size);
    if (!memory)
        goto cleanup;
    group.where = pd_arena_format(loader.arena, "%s %s", pd_kind_name(desc->kind), desc->name);
    for (int i = 0; i < count && group.where; i++)
        if (!add_pair(&loader, &group, group.where, pairs[i]))
            goto cleanup;
    if (!group.where || loader.errors)
        goto cleanup;
    group.bad = !pd_fill_rows(&loader, &group, NULL, desc, memory + HEAD, desc->params_size);
    for (const pd_entry *e = group.first; e; e = e->next)
        if (!e->used && pd_entry_find(&group, e->key) == e)
            pd_report(&loader, e->where, "unknown option");
    if (!loader.errors)
        pd_plugin_check(&loader, &group, group.where, desc, memory + HEAD);
    if (!loader.errors && !pd_loader_starved(&loader)) {
        ((head *)(void *)memory)->arena = loader.arena;
        *params = memory + HEAD;
        return PUDLE_OK;
    }
cleanup:
    pd_arena_destroy(loader.arena);
    free(memory);
    return loader.errors ? PUDLE_ERR_CONFIG
                         : pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory for the options of %s", desc->name);
}

void pd_params_free(void *params)
{
    if (!params)
        return;
    unsigned char *memory = (unsigned char *)params - HEAD;
    pd_arena_destroy(((head *)(void *)memory)->arena);
    free(memory);
}
