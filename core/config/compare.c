/* Two settings option by option, whatever their files looked like. */
#include "config/parts.h"

#include <string.h>

typedef struct walk {
    const pd_settings *a, *b;
    pd_arena *arena;
    bool all; /* visit what is equal, too */
    pd_option_visit visit;
    void *user;
} walk;

static void visit(const walk *w, int section, const char *name, const char *a, const char *b)
{
    const bool same = a && b ? !strcmp(a, b) : a == b;
    if (w->all ? a != NULL : !same)
        w->visit(w->user, pd_key_path(w->arena, pd_section_path(section), name), a, b);
}

static const char *core_value(const walk *w, const pd_settings *settings, int section, const pudle_option *row)
{
    return pd_is_read(settings, section, row->name) ? pd_value_text(w->arena, settings, section, row, false) : NULL;
}

static const char *plugin_name(const walk *w, const pd_section *section)
{
    return section->plugin ? pd_arena_format(w->arena, "\"%s\"", section->plugin->desc->name) : NULL;
}

static void walk_section(const walk *w, int i)
{
    const pd_section *a = &w->a->section[i], *b = &w->b->section[i];
    pudle_option row;
    if (a->kind) {
        const char *a_name = plugin_name(w, a), *b_name = plugin_name(w, b);
        visit(w, i, "name", a_name, b_name);
        if (!a_name || !b_name || strcmp(a_name, b_name) != 0)
            return;
        for (int k = 0; pd_option_at(b->plugin->desc, k, &row); k++)
            visit(w, i, row.name, pd_value_text(w->arena, w->a, i, &row, true), pd_value_text(w->arena, w->b, i, &row, true));
    }
    for (const pudle_option *own = a->table; own && own->name; own++)
        visit(w, i, own->name, core_value(w, w->a, i, own), core_value(w, w->b, i, own));
}

static pudle_status walk_all(pd_context *ctx, walk w)
{
    w.arena = pd_arena_create();
    for (int i = 0; w.arena && i < PD_SECTIONS; i++)
        walk_section(&w, i);
    const bool failed = !w.arena || pd_arena_failed(w.arena);
    pd_arena_destroy(w.arena);
    return failed ? pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory while configs are compared") : PUDLE_OK;
}

pudle_status pd_settings_compare(pd_context *ctx, const pd_settings *a, const pd_settings *b, pd_option_visit visitor, void *user)
{
    return walk_all(ctx, (walk){ .a = a, .b = b, .visit = visitor, .user = user });
}

pudle_status pd_settings_each(pd_context *ctx, const pd_settings *settings, pd_option_visit visitor, void *user)
{
    return walk_all(ctx, (walk){ .a = settings, .b = settings, .all = true, .visit = visitor, .user = user });
}
