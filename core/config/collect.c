/* From libconfig's tree and the command line's overrides to entries, one list a section. */
#include "config/parts.h"

#include <libconfig.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *pd_key_path(pd_arena *arena, const char *group, const char *key)
{
    const char *path = *group ? pd_arena_format(arena, "%s.%s", group, key) : pd_arena_copy(arena, key, strlen(key));
    return path ? path : key;
}

int pd_section_find(const char *path)
{
    for (int i = 0; i < PD_SECTIONS; i++)
        if (!strcmp(pd_section_path(i), path))
            return i;
    return -1;
}

pd_entry *pd_entry_find(const pd_group *group, const char *key)
{
    for (pd_entry *e = group->first; e; e = e->next)
        if (!strcmp(e->key, key))
            return e;
    return NULL;
}

static pd_entry *add_entry(pd_loader *loader, pd_group *group, const char *key)
{
    pd_entry *entry = pd_arena_alloc(loader->arena, 1, sizeof *entry), **end = &group->first;
    if (!entry)
        return NULL;
    entry->key = pd_arena_copy(loader->arena, key, strlen(key));
    while (*end)
        end = &(*end)->next;
    *end = entry->key ? entry : NULL;
    return *end;
}

/* --------------------------------------------------------------------- files */

static pd_literal literal_of(pd_loader *loader, const config_setting_t *setting)
{
    pd_arena *arena = loader->arena;
    pd_literal v = { .type = PD_LITERAL_GROUP };
    const char *text;
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_BOOL:
        v.type = PD_LITERAL_BOOL;
        v.yes = config_setting_get_bool(setting);
        break;
    case CONFIG_TYPE_INT:
        v.type = PD_LITERAL_INT;
        v.integer = config_setting_get_int(setting);
        break;
    case CONFIG_TYPE_INT64:
        v.type = PD_LITERAL_INT;
        v.integer = config_setting_get_int64(setting);
        break;
    case CONFIG_TYPE_FLOAT:
        v.type = PD_LITERAL_REAL;
        v.real = config_setting_get_float(setting);
        break;
    case CONFIG_TYPE_STRING:
        v.type = PD_LITERAL_TEXT;
        text = config_setting_get_string(setting);
        v.text = text ? pd_arena_copy(arena, text, strlen(text)) : NULL;
        loader->no_memory |= !v.text;
        if (!v.text)
            v.text = "";
        break;
    case CONFIG_TYPE_ARRAY:
    case CONFIG_TYPE_LIST: {
        const int count = config_setting_length(setting);
        pd_literal *item = pd_arena_alloc(arena, (size_t)count + 1, sizeof *item);
        for (int i = 0; item && i < count; i++)
            item[i] = literal_of(loader, config_setting_get_elem(setting, (unsigned)i));
        v = (pd_literal){ .type = PD_LITERAL_LIST, .item = item, .count = item ? count : 0 };
        break;
    }
    default:
        break;
    }
    return v;
}

typedef struct collector { pd_loader *loader; const pd_source *source; const pd_lint *lint; } collector;

static void collect_group(const collector *c, int section, const config_setting_t *group)
{
    pd_loader *loader = c->loader;
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *setting = config_setting_get_elem(group, (unsigned)i);
        const char *name = config_setting_name(setting);
        if (!name) { /* libconfig had no memory for it */
            loader->no_memory = true;
            return;
        }
        const char *path = pd_key_path(loader->arena, pd_section_path(section), name);
        const pd_origin *from = pd_source_origin(c->source, (int)config_setting_source_line(setting));
        const char *where = pd_arena_format(loader->arena, "%s:%d: %s", from->file, from->line, path);
        if (!where)
            return;
        const int inner = pd_section_find(path);
        if (inner >= 0 && config_setting_is_group(setting)) {
            loader->group[inner].present = true;
            loader->group[inner].where = where;
            collect_group(c, inner, setting);
        } else if (inner >= 0) {
            pd_report(loader, where, "is a group of options; write  %s: { ... };", name);
            loader->group[inner] = (pd_group){ .present = true, .where = where, .scalar = true, .bad = true };
        } else {
            pd_entry *entry = add_entry(loader, &loader->group[section], name);
            if (!entry)
                return;
            entry->value = literal_of(loader, setting);
            entry->where = where;
            entry->dir = from->dir;
            entry->bad = pd_lint_found(c->lint, path);
        }
    }
}

void pd_collect_file(pd_loader *loader, const struct config_setting_t *root, const pd_source *source, const pd_lint *lint)
{
    const collector c = { loader, source, lint };
    loader->group[PD_SECTION_GLOBAL].present = true;
    loader->group[PD_SECTION_GLOBAL].where = loader->path;
    collect_group(&c, PD_SECTION_GLOBAL, root);
}

/* ----------------------------------------------------------------- overrides */

static void unknown_group(pd_loader *loader, const char *where, const char *path)
{
    pd_nearest nearest = { .word = path };
    for (int i = 1; i < PD_SECTIONS; i++)
        pd_nearest_offer(&nearest, pd_section_path(i));
    const char *best = !strcmp(path, "dictionary") ? "model.dictionary" : pd_nearest_best(&nearest);
    if (best)
        pd_report(loader, where, "there is no group \"%s\"; did you mean \"%s\"?", path, best);
    else
        pd_report(
            loader, where,
            "there is no group \"%s\"; groups are backend, data, model, model.dictionary, prox, loss, inner_loss, dictionary_prox, train",
            path);
}

/* As if the config did not have the key, or the group. */
static void unset(pd_loader *loader, const char *key)
{
    const char *where = pd_arena_format(loader->arena, "--unset %.200s", key), *dot = strrchr(key, '.');
    char *path = pd_arena_copy(loader->arena, key, dot ? (size_t)(dot - key) : 0);
    const int section = path ? pd_section_find(path) : -1;
    if (!where || !path)
        return;
    const int whole = pd_section_find(key);
    if (whole > PD_SECTION_GLOBAL && loader->group[whole].present) {
        loader->group[whole] = (pd_group){ .first = NULL };
        return;
    }
    if (whole > PD_SECTION_GLOBAL) {
        pd_report(loader, where, "the config does not have this group");
        return;
    }
    if (section < 0) {
        unknown_group(loader, where, path);
        return;
    }
    for (pd_entry **e = &loader->group[section].first; *e; e = &(*e)->next)
        if (!strcmp((*e)->key, dot ? dot + 1 : key)) {
            *e = (*e)->next;
            return;
        }
    pd_report(loader, where, "the config does not set this key");
}

static void override(pd_loader *loader, const char *text, const char *dir)
{
    pd_arena *arena = loader->arena;
    if (*text == PD_UNSET) {
        unset(loader, text + 1);
        return;
    }
    const bool varied = *text == PD_VARIED;
    text += varied;
    const char *where = pd_arena_format(arena, "%s %.200s", varied ? "--vary" : "--set", text);
    const char *equals = strchr(text, '=');
    const size_t length = equals ? (size_t)(equals - text) : 0;
    char *full = pd_arena_copy(arena, text, length);
    if (!where || !full)
        return;
    for (size_t n = length; n && (full[n - 1] == ' ' || full[n - 1] == '\t'); n--)
        full[n - 1] = '\0';
    if (!*full || !equals[1]) {
        pd_report(loader, where, "wants a key and a value; write  --set train.epochs=20,  or, to do without a key of the config,  --unset KEY");
        return;
    }
    if (*full && pd_section_find(full) > 0) {
        pd_report(loader, where, "\"%s\" is a group; set one of its keys, as in  --set train.epochs=20", full);
        return;
    }
    char *dot = strrchr(full, '.');
    const char *key = dot ? dot + 1 : full, *path = dot ? full : "";
    if (dot)
        *dot = '\0';
    const int section = pd_section_find(path);
    if (section < 0 || (dot && !*path)) {
        unknown_group(loader, where, path);
        return;
    }
    pd_why why;
    pd_literal value;
    if (!pd_literal_read(arena, equals + 1, &value, &why)) {
        pd_report(loader, where, "%s", why.text);
        return;
    }
    pd_group *group = &loader->group[section];
    pd_entry *entry = pd_entry_find(group, key);
    if (!entry)
        entry = add_entry(loader, group, key);
    if (!entry)
        return;
    if (!entry->given && entry->value.type == PD_LITERAL_TEXT)
        entry->was = entry->value.text;
    entry->value = value;
    entry->given = true;
    entry->where = where;
    entry->dir = dir;
    entry->bad = false;
    if (!group->present) {
        group->present = true;
        group->where = where;
    }
}

void pd_collect_overrides(pd_loader *loader, const char *const *overrides, int count)
{
    char *here = getcwd(NULL, 0);
    const char *dir = here ? pd_arena_copy(loader->arena, here, strlen(here)) : NULL;
    free(here);
    for (int i = 0; i < count; i++)
        override(loader, overrides[i], dir);
}
