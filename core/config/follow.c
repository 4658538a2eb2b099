/* Numbers of a loss that follow one of the prox, lambda = "prox.lambda": where both belong to one objective they are one number, whatever changes it. */
#include "config/parts.h"

#include <string.h>

static const char GROUP[] = "prox.";

/* The prox's option of this name that is one number. */
static bool find_number(const pd_section *prox, const char *name, pudle_option *row)
{
    return pd_option_find(prox->plugin->desc, name, row) && row->type == PUDLE_REAL;
}

static const char *numbers_of(pd_loader *loader, const pd_section *prox)
{
    const char *list = "";
    pudle_option row;
    for (int i = 0; list && pd_option_at(prox->plugin->desc, i, &row); i++)
        if (row.type == PUDLE_REAL)
            list = pd_arena_format(loader->arena, "%s%s\"%s%s\"", list, *list ? ", " : "", GROUP, row.name);
    return list ? list : "";
}

static double number_of(const pd_section *prox, const pudle_option *row)
{
    double value;
    memcpy(&value, (const char *)prox->plugin_params + row->offset, sizeof value);
    return value;
}

/* Does the loss make something of its options when it is opened? */
static bool has_instance(const pd_section *section, const pudle_option *row)
{
    pudle_option own;
    return section->plugin && pd_option_find(section->plugin->desc, row->name, &own) && section->plugin->desc->create;
}

/* The entry gets the number of now to be filled from. */
static void follow(pd_loader *loader, int section, const pudle_option *row, pd_entry *entry)
{
    const pd_section *prox = &loader->settings->section[PD_SECTION_PROX];
    const char *name = entry->value.text + sizeof GROUP - 1;
    const pd_multiple *m = loader->settings->multiple;
    pudle_option from;
    entry->bad = true; /* reported, or the reason is */
    if (!prox->plugin || !prox->plugin_params)
        return;
    if (!find_number(prox, name, &from)) {
        const char *list = numbers_of(loader, prox);
        pd_report(loader, entry->where, "\"%.80s\" is no number of the prox '%s'; %s%s", entry->value.text, prox->plugin->desc->name,
                  *list ? "it has " : "it has none: give a number here", list);
    } else if ((from.flags & PUDLE_THRESHOLD) && loader->settings->prox.learn != PD_LEARN_NONE) {
        pd_report(loader, entry->where, "prox.%s is learned (prox.learn), and this number would stay where that one starts; give a number here", name);
    } else if (section == PD_SECTION_INNER_LOSS && m && !strcmp(m->level, name)) {
        pd_report(loader, entry->where, "prox.%s = \"%s\" is found with this loss, which cannot follow it; give a number here", m->level, m->text);
    } else if (section == PD_SECTION_LOSS && !strcmp(row->name, "offset") && m && !m->found && !strcmp(m->level, name)) {
        pd_report(loader, entry->where, "prox.%s = \"%s\" is found with the baseline, which cannot follow it; give a number here", m->level, m->text);
    } else if (m && !m->found && !strcmp(m->level, name) && has_instance(&loader->settings->section[section], row)) {
        pd_report(loader, entry->where, "prox.%s = \"%s\" becomes a number when training begins, and the loss '%s' wants its own before; give a number here", m->level, m->text,
                  loader->settings->section[section].plugin->desc->name);
    } else {
        pd_follower *f = pd_arena_alloc(loader->arena, 1, sizeof *f);
        if (!f)
            return;
        *f = (pd_follower){ loader->settings->follower, section, pd_arena_copy(loader->arena, row->name, strlen(row->name)), entry->value.text };
        loader->settings->follower = f;
        entry->value = (pd_literal){ .type = PD_LITERAL_REAL, .real = number_of(prox, &from) };
        entry->bad = false;
        return;
    }
    entry->used = true;
}

void pd_read_followers(pd_loader *loader, int section)
{
    pudle_option row;
    for (int i = 0; pd_section_row(&loader->settings->section[section], i, &row); i++) {
        pd_entry *entry = row.type == PUDLE_REAL ? pd_entry_find(&loader->group[section], row.name) : NULL;
        if (entry && !entry->bad && entry->value.type == PD_LITERAL_TEXT && !strncmp(entry->value.text, GROUP, sizeof GROUP - 1))
            follow(loader, section, &row, entry);
    }
}

/* "prox.lambda" where an option of a section follows that; else NULL. */
static const char *followed_by(const pd_settings *settings, int section, const char *option)
{
    for (const pd_follower *f = settings->follower; f; f = f->next)
        if (f->section == section && !strcmp(f->option, option))
            return f->what;
    return NULL;
}

/* The level has become a number after all. */
bool pd_followers_set(const pd_settings *settings, const char *level, const pd_literal *number, const char **option, pd_why *why)
{
    for (const pd_follower *f = settings->follower; f; f = f->next) {
        const pd_section *section = &settings->section[f->section];
        pudle_option row;
        if (strcmp(f->what + sizeof GROUP - 1, level))
            continue;
        *option = pd_key_path(settings->arena, section->path, f->option);
        if (pd_option_find(section->plugin->desc, f->option, &row) &&
            !pd_option_assign(settings->arena, &row, number, NULL, section->plugin_params, section->plugin->desc->params_size, why))
            return false;
        for (const pudle_option *own = section->table; own && own->name; own++)
            if (!strcmp(own->name, f->option) && !pd_option_assign(settings->arena, own, number, NULL, section->params, sizeof settings->loss, why))
                return false;
    }
    return true;
}

const char *pd_value_text(pd_arena *arena, const pd_settings *settings, int section, const pudle_option *row, bool of_plugin)
{
    const pd_multiple *m = settings->multiple;
    const pd_section *at = &settings->section[section];
    const char *followed = followed_by(settings, section, row->name);
    if (followed)
        return pd_arena_format(arena, "\"%s\"", followed);
    if (of_plugin && section == PD_SECTION_PROX && m && !m->found && !strcmp(m->level, row->name))
        return pd_arena_format(arena, "\"%s\"", m->text);
    return pd_option_value_text(arena, row, of_plugin ? at->plugin_params : at->params);
}
