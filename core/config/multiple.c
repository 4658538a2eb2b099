/* Levels of the prox as multiples of the critical value, "0.1*max": a word in the config until training has found the number, and a note of it after. */
#include "config/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* "0.1*max", blanks or not. */
static bool read_multiple(const char *text, double *times)
{
    const char *end = pd_decimal(text, times);
    if (!end || *end != '*')
        return false;
    end += 1 + strspn(end + 1, " ");
    if (strncmp(end, "max", 3) != 0)
        return false;
    return !end[3 + strspn(end + 3, " ")] && isfinite(*times) && *times > 0;
}

/* What stands in the options until the number is known, for the rules between them: the default, or 1. */
static pd_literal stand_in(pd_arena *arena, const pudle_option *row)
{
    pd_literal value;
    pd_why why;
    if (row->dflt && pd_literal_read(arena, row->dflt, &value, &why))
        return value;
    return (pd_literal){ .type = PD_LITERAL_REAL, .real = (row->min == 0 && row->max == 0) || (row->min <= 1 && row->max >= 1) ? 1 : row->max };
}

/* One level, from its entry. */
static void read_level(pd_loader *loader, const pudle_option *row, pd_entry *entry)
{
    pd_settings *settings = loader->settings;
    double times;
    char *end;
    if (entry->bad || entry->value.type != PD_LITERAL_TEXT)
        return;
    (void)strtod(entry->value.text, &end);
    if (end != entry->value.text && !*end) /* a number in quotes is told of as it is of any option */
        return;
    if (!read_multiple(entry->value.text, &times)) {
        pd_report(loader, entry->where, "\"%.80s\" is neither a number nor a multiple of the critical value; write for instance  %s = 0.1;  or  %s = \"0.1*max\";",
                  entry->value.text, row->name, row->name);
        entry->bad = entry->used = true;
    } else if (settings->multiple) {
        pd_report(loader, entry->where, "one level can be a multiple of its critical value, which depends on the others, and prox.%s is one; give a number here",
                  settings->multiple->level);
        entry->bad = entry->used = true;
    } else {
        pd_multiple *m = pd_arena_alloc(loader->arena, 1, sizeof *m);
        char number[40];
        if (!m)
            return;
        pd_real_text(times, number);
        *m = (pd_multiple){ pd_arena_copy(loader->arena, row->name, strlen(row->name)), pd_arena_format(loader->arena, "%s*max", number), times, false };
        settings->multiple = m;
        entry->value = stand_in(loader->arena, row);
    }
}

/* Is anything given on the command line that the critical value may depend on? */
static bool overruled(const pd_loader *loader)
{
    static const int sections[] = { PD_SECTION_DATA, PD_SECTION_MODEL, PD_SECTION_DICTIONARY, PD_SECTION_PROX, PD_SECTION_LOSS, PD_SECTION_INNER_LOSS };
    bool given = false;
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        for (const pd_entry *e = loader->group[sections[i]].first; e; e = e->next)
            given |= e->given;
    const pd_entry *seed = pd_entry_find((pd_group *)&loader->group[PD_SECTION_TRAIN], "seed");
    return given || (seed && seed->given);
}

/* What a run has noted, "lambda = 0.1*max", holds as long as the run is as it was. */
static void read_note(pd_loader *loader, const pd_section *prox, pd_group *group, pd_entry *entry)
{
    const char *text = entry->value.type == PD_LITERAL_TEXT ? entry->value.text : "", *equals = strstr(text, " = ");
    pudle_option row;
    double times;
    if (!equals || !read_multiple(equals + 3, &times)) {
        pd_report(loader, entry->where, "is what a run notes of a level that was given as a multiple, and this is none; remove the key");
        entry->bad = true;
        return;
    }
    for (int i = 0; prox->plugin && pd_option_at(prox->plugin->desc, i, &row); i++) {
        const pd_entry *level = pd_entry_find(group, row.name);
        if (!(row.flags & PUDLE_THRESHOLD) || strlen(row.name) != (size_t)(equals - text) || strncmp(row.name, text, (size_t)(equals - text)) != 0)
            continue;
        pd_multiple *m = level && !overruled(loader) && !loader->settings->multiple ? pd_arena_alloc(loader->arena, 1, sizeof *m) : NULL;
        if (m)
            *m = (pd_multiple){ pd_arena_copy(loader->arena, row.name, strlen(row.name)), pd_arena_copy(loader->arena, equals + 3, strlen(equals + 3)), times, true };
        loader->settings->multiple = m ? m : loader->settings->multiple;
    }
}

void pd_read_multiples(pd_loader *loader)
{
    pd_settings *settings = loader->settings;
    pd_section *prox = &settings->section[PD_SECTION_PROX];
    pd_group *group = &loader->group[PD_SECTION_PROX];
    pd_entry *note = pd_entry_find(group, "multiple");
    pudle_option row;
    for (int i = 0; prox->plugin && pd_option_at(prox->plugin->desc, i, &row); i++) {
        pd_entry *entry = row.flags & PUDLE_THRESHOLD ? pd_entry_find(group, row.name) : NULL;
        if (entry)
            read_level(loader, &row, entry);
    }
    if (note)
        read_note(loader, prox, group, note);
}

void pd_note_multiple(pd_loader *loader)
{
    const pd_multiple *m = loader->settings->multiple;
    loader->settings->prox.multiple = m ? pd_arena_format(loader->arena, "%s = %s", m->level, m->text) : NULL;
}

const char *pd_settings_multiple(const pd_settings *settings, const char *key)
{
    const pd_multiple *m = settings->multiple;
    return m && !strncmp(key, "prox.", 5) && !strcmp(key + 5, m->level) ? m->text : NULL;
}

bool pd_settings_level(const pd_settings *settings, double *value)
{
    const pd_section *prox = &settings->section[PD_SECTION_PROX];
    const pd_multiple *m = settings->multiple;
    pudle_option row;
    if (!m || !m->found || !pd_option_find(prox->plugin->desc, m->level, &row))
        return false;
    memcpy(value, (const char *)prox->plugin_params + row.offset, sizeof *value);
    return true;
}

/* What the plugin of a section says of its options, now that they have this number. */
static pudle_status check_again(pd_context *ctx, const pd_settings *settings, int index, double value)
{
    const pd_section *section = &settings->section[index];
    const pd_multiple *m = settings->multiple;
    const pudle_desc *desc = section->plugin->desc;
    const pudle_host *host = pd_host_for(ctx, desc->name);
    if (!host)
        return pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
    if (!PUDLE_HAS(desc, pudle_desc, check) || !desc->check)
        return PUDLE_OK;
    PD_CALL(desc->name, "check");
    const pudle_status s = desc->check(host, section->plugin_params);
    PD_RETURNED();
    return s ? pd_fail(ctx, s, "prox.%s = \"%s\" is %g here, which the %s does not take", m->level, m->text, value, pd_kind_name(section->kind)) : PUDLE_OK;
}

pudle_status pd_settings_set_level(pd_context *ctx, const pd_settings *settings, double value)
{
    const pd_section *prox = &settings->section[PD_SECTION_PROX];
    const pd_literal number = { .type = PD_LITERAL_REAL, .real = value };
    pd_multiple *m = settings->multiple;
    const char *option = NULL;
    pudle_option row;
    pd_why why = { "" };
    if (!pd_option_find(prox->plugin->desc, m->level, &row) ||
        !pd_option_assign(settings->arena, &row, &number, NULL, prox->plugin_params, prox->plugin->desc->params_size, &why))
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "prox.%s = \"%s\": %s", m->level, m->text, why.text);
    if (!pd_followers_set(settings, m->level, &number, &option, &why))
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "%s = \"prox.%s\": %s", option ? option : "?", m->level, why.text);
    m->found = true;
    const pudle_status s = check_again(ctx, settings, PD_SECTION_PROX, value);
    return s || !settings->follower ? s : check_again(ctx, settings, PD_SECTION_LOSS, value);
}
