/* Entries into params, by the option tables: plugins found, defaults set, every key accounted for. */
#include "config/parts.h"
#include <config.h>

#include <stdlib.h>
#include <string.h>

/* ----------------------------------------------------------------------- rows */

static bool core_row(const pudle_option *table, int i, pudle_option *row)
{
    if (!table || !table[i].name) /* callers count up from 0 and stop at the end */
        return false;
    *row = table[i];
    return true;
}

static int core_rows(const pudle_option *table)
{
    int count = 0;
    while (table && table[count].name)
        count++;
    return count;
}

bool pd_section_row(const pd_section *section, int i, pudle_option *row)
{
    const int own = core_rows(section->table);
    if (i < own)
        return core_row(section->table, i, row);
    return section->plugin && pd_option_at(section->plugin->desc, i - own, row);
}

/* One value from its entry, or its default, or the complaint that it is missing. */
static bool fill_row(pd_loader *loader, pd_group *group, const pudle_option *row, void *params, size_t size)
{
    pd_why why;
    pd_entry *entry = pd_entry_find(group, row->name);
    if (!pd_option_default(loader->arena, row, params, size, &why)) {
        pd_report(loader, group->where, "%s: %s", row->name, why.text);
        return false;
    }
    if (!entry) {
        if (row->flags & PUDLE_REQUIRED) {
            const char *example = pd_option_example(loader->arena, row);
            pd_report(loader, group->where, "%s is missing; add  %s", row->name, example ? example : row->name);
        }
        return !(row->flags & PUDLE_REQUIRED);
    }
    entry->used = true;
    if (entry->bad) /* the literal itself was refused */
        return false;
    if (row->flags & PUDLE_DEPRECATED)
        pd_log(loader->ctx, PUDLE_LOG_WARNING, "%s: is deprecated: %s", entry->where, row->doc ? row->doc : "");
    if (pd_option_assign(loader->arena, row, &entry->value, entry->dir, params, size, &why))
        return true;
    pd_report(loader, entry->where, "%s", why.text);
    entry->bad = true;
    return false;
}

bool pd_fill_rows(pd_loader *loader, pd_group *group, const pudle_option *table, const pudle_desc *desc, void *params,
                  size_t size)
{
    bool good = true;
    pudle_option row;
    for (int i = 0; desc ? pd_option_at(desc, i, &row) : core_row(table, i, &row); i++)
        good &= fill_row(loader, group, &row, params, size);
    return good;
}

/* --------------------------------------------------------------- unknown keys */

static bool section_has(const pd_section *section, const char *key)
{
    pudle_option row;
    for (int i = 0; pd_section_row(section, i, &row); i++)
        if (!strcmp(row.name, key))
            return true;
    return false;
}

/* The same key, or the same group, somewhere else: the user put it in the wrong place. */
static const char *elsewhere(pd_loader *loader, int home, const char *key)
{
    if (home == PD_SECTION_MODEL && section_has(&loader->settings->section[PD_SECTION_DICTIONARY], key))
        return pd_key_path(loader->arena, pd_section_path(PD_SECTION_DICTIONARY), key);
    for (int i = 0; i < PD_SECTIONS; i++) {
        const char *path = pd_section_path(i), *dot = strrchr(path, '.');
        if (i != home && section_has(&loader->settings->section[i], key))
            return pd_key_path(loader->arena, path, key);
        if (*path && !strcmp(dot ? dot + 1 : path, key))
            return path;
    }
    return NULL;
}

static const char *near_key(pd_loader *loader, int home, const char *key, bool everywhere)
{
    pd_nearest nearest = { .word = key };
    const char *group = "";
    for (int i = 0; i < PD_SECTIONS; i++) {
        const pd_section *section = &loader->settings->section[i];
        const char *before = pd_nearest_best(&nearest);
        pudle_option row;
        if ((i == home) == everywhere)
            continue;
        for (int k = 0; pd_section_row(section, k, &row); k++)
            pd_nearest_offer(&nearest, row.name);
        if (section->kind && !everywhere)
            pd_nearest_offer(&nearest, "name");
        if (pd_nearest_best(&nearest) != before)
            group = section->path;
    }
    if (!everywhere && home == PD_SECTION_GLOBAL)
        for (int i = 1; i < PD_SECTIONS; i++)
            pd_nearest_offer(&nearest, pd_section_path(i));
    if (!everywhere && home == PD_SECTION_MODEL)
        pd_nearest_offer(&nearest, "dictionary");
    const char *best = pd_nearest_best(&nearest);
    return best && everywhere ? pd_key_path(loader->arena, group, best) : best;
}

static const char *known_keys(pd_loader *loader, int home)
{
    const pd_section *section = &loader->settings->section[home];
    const char *list = section->kind ? "name" : "";
    pudle_option row;
    for (int i = 0; list && pd_section_row(section, i, &row); i++)
        list = pd_arena_format(loader->arena, "%s%s%s", list, *list ? ", " : "", row.name);
    if (list && home == PD_SECTION_GLOBAL)
        for (int i = 1; list && i < PD_SECTIONS; i++)
            if (i != PD_SECTION_DICTIONARY)
                list = pd_arena_format(loader->arena, "%s, %s", list, pd_section_path(i));
    if (list && home == PD_SECTION_MODEL)
        list = pd_arena_format(loader->arena, "%s, dictionary", list);
    return list ? list : "";
}

static void report_unknown(pd_loader *loader, int home, const pd_entry *entry)
{
    const char *what = entry->value.type == PD_LITERAL_GROUP ? "unknown group" : "unknown option";
    const char *word = pd_name_here(entry->key);
    const pd_section *section = &loader->settings->section[home];
    const char *best = word != entry->key && section_has(section, word) ? word : elsewhere(loader, home, entry->key);
    if (!best)
        best = near_key(loader, home, entry->key, false);
    if (!best && word != entry->key)
        best = elsewhere(loader, home, word);
    if (!best)
        best = near_key(loader, home, entry->key, true);
    if (best)
        pd_report(loader, entry->where, "%s; did you mean \"%s\"?", what, best);
    else if (section->plugin)
        pd_report(loader, entry->where, "%s of '%s'; known here: %s. If it was another's, leave it out with --unset %s", what, section->plugin->desc->name,
                  known_keys(loader, home), pd_key_path(loader->arena, section->path, entry->key));
    else
        pd_report(loader, entry->where, "%s; known here: %s", what, known_keys(loader, home));
    loader->group[home].bad = true;
}

/* --------------------------------------------------------------------- plugins */

static const char *const required[PD_SECTIONS] = {
    [PD_SECTION_DATA] = "data: { name = \"NAME\"; };",
    [PD_SECTION_MODEL] = "model: { dictionary: { atoms = 100; }; layers = 15; step = \"1/L\"; gradient = \"ae\"; };",
    [PD_SECTION_DICTIONARY] = "dictionary: { atoms = 100; };",
    [PD_SECTION_PROX] = "prox: { name = \"NAME\"; };",
    [PD_SECTION_LOSS] = "loss: { name = \"NAME\"; };",
};

static bool well_formed(const char *name)
{
    return *name >= 'a' && *name <= 'z' && name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

static void find_plugin(pd_loader *loader, int index)
{
    pd_section *section = &loader->settings->section[index];
    pd_group *group = &loader->group[index];
    pd_entry *entry = pd_entry_find(group, "name");
    const char *name = index == PD_SECTION_BACKEND ? PD_DEFAULT_BACKEND : NULL;
    const char *where = entry ? entry->where : group->where;
    pudle_status s;
    if (entry) {
        entry->used = true;
        name = entry->value.type == PD_LITERAL_TEXT ? entry->value.text : NULL;
    }
    if (!entry && !name)
        pd_report(loader, where, "name is missing; add  name = \"NAME\";  `pudle plugins list` shows the names of kind %s",
                  pd_kind_name(section->kind));
    else if (!name)
        pd_report(loader, where, "wants the name of a plugin in double quotes; write  name = \"NAME\";");
    else if (!well_formed(name))
        pd_report(loader, where, "\"%.80s\" is no plugin name: a small letter, then small letters, digits and _", name);
    else if ((s = loader->find(loader->ctx, section->kind, name, &section->plugin))) {
        section->plugin = NULL;
        loader->no_memory |= s == PUDLE_ERR_NOMEM;
        pd_report(loader, where,
                  "the %s \"%.80s\" cannot be used, for the reason above; `pudle plugins list` shows what can",
                  pd_kind_name(section->kind), name);
    }
    group->bad |= !section->plugin;
}

/* The core's rows and the plugin's share one namespace: a clash would set two options at once. */
static bool check_names(pd_loader *loader, const pd_section *section, const char *where)
{
    pudle_option row;
    for (int i = 0; pd_option_at(section->plugin->desc, i, &row); i++) {
        pudle_option own;
        for (int k = 0; core_row(section->table, k, &own); k++)
            if (!strcmp(own.name, row.name) || !strcmp(row.name, "name")) {
                pd_report(
                    loader, where,
                    "the plugin \"%s\" has an option \"%s\", a name the group keeps for itself; rename it in the plugin",
                    section->plugin->desc->name, row.name);
                return false;
            }
    }
    return true;
}

void pd_plugin_check(pd_loader *loader, pd_group *group, const char *where, const pudle_desc *desc, const void *params)
{
    if (group->bad || !PUDLE_HAS(desc, pudle_desc, check) || !desc->check)
        return;
    const pudle_host *host = pd_host_for(loader->ctx, where);
    loader->no_memory |= !host;
    if (!host)
        return;
    const int before = pd_error_count(loader->ctx);
    PD_CALL(desc->name, "check");
    const pudle_status s = desc->check(host, params);
    PD_RETURNED();
    const int said = pd_error_count(loader->ctx) - before;
    loader->errors += said;
    group->bad |= s != PUDLE_OK || said;
    if (s && !said)
        pd_report(loader, where,
                  "the plugin \"%s\" refuses these options without saying why (status %d); see its documentation",
                  desc->name, (int)s);
}

/* -------------------------------------------------------------------- sections */

static void fill_section(pd_loader *loader, int index)
{
    static const size_t sizes[PD_SECTIONS] = {
        [PD_SECTION_GLOBAL] = sizeof(pd_global_params), [PD_SECTION_DATA] = sizeof(pd_data_params), [PD_SECTION_MODEL] = sizeof(pd_model_params),
        [PD_SECTION_DICTIONARY] = sizeof(pd_dictionary_params), [PD_SECTION_PROX] = sizeof(pd_prox_params),
        [PD_SECTION_LOSS] = sizeof(pd_loss_params), [PD_SECTION_TRAIN] = sizeof(pd_train_params),
    };
    pd_section *section = &loader->settings->section[index];
    pd_group *group = &loader->group[index];
    if (!pd_fill_rows(loader, group, section->table, NULL, section->params, sizes[index]))
        group->bad = true;
    if (!section->plugin)
        return;
    const pudle_desc *desc = section->plugin->desc;
    section->plugin_params = pd_arena_alloc(loader->arena, 1, desc->params_size ? desc->params_size : 1);
    if (!section->plugin_params || !check_names(loader, section, group->where) ||
        !pd_fill_rows(loader, group, NULL, desc, section->plugin_params, desc->params_size))
        group->bad = true;
}

/* Another backend than the file's, asked for on the command line: what the file says of its own backend is left out, and told. A backend's options are about how
 * things are computed; those of a prox or a loss are about what, and must be unset one by one. */
static void leave_out(pd_loader *loader, int index)
{
    const pd_entry *name = pd_entry_find(&loader->group[index], "name");
    const char *list = "";
    const bool another = name && name->given && (!name->was || name->value.type != PD_LITERAL_TEXT || strcmp(name->was, name->value.text) != 0);
    if (index != PD_SECTION_BACKEND || !another)
        return;
    for (pd_entry *e = loader->group[index].first; e; e = e->next)
        if (!e->used && !e->given) {
            e->used = true;
            list = pd_arena_format(loader->arena, "%s%s%s", list ? list : "", list && *list ? ", " : "", e->key);
        }
    if (list && *list)
        pd_log(loader->ctx, PUDLE_LOG_INFO, "%s: options of another backend are left out: %s", name->where, list);
}

static void report_leftovers(pd_loader *loader, int index)
{
    const pd_section *section = &loader->settings->section[index];
    if (section->kind && !section->plugin)
        return; /* without the plugin nobody knows its options */
    leave_out(loader, index);
    for (const pd_entry *e = loader->group[index].first; e; e = e->next)
        if (!e->used)
            report_unknown(loader, index, e);
}

/* Folders for plugins count before the first plugin is looked for. */
static void add_plugin_path(pd_loader *loader)
{
    const char *path = loader->settings->global.plugin_path;
    const pd_entry *entry = pd_entry_find(&loader->group[PD_SECTION_GLOBAL], "plugin_path");
    if (!path || !entry)
        return;
    for (const char *p = path; p; p = strchr(p, ':') ? strchr(p, ':') + 1 : NULL)
        if (*p != '/') {
            const int length = (int)strcspn(p, ":");
            if (length)
                pd_report(loader, entry->where,
                          "\"%.*s\" is relative, and plugins are never looked for relative to where pudle runs; "
                          "write the whole path",
                          length, p);
            else
                pd_report(loader, entry->where, "has an empty entry; write absolute folders with one colon between them");
            return;
        }
    const pudle_status s = pd_plugin_path_add(loader->ctx, PD_FROM_CONFIG, path);
    loader->no_memory |= s == PUDLE_ERR_NOMEM;
    if (s)
        pd_report(loader, entry->where, "cannot be used, for the reason above");
}

/* Is the group there, or is it at least reported that it is not? */
static bool check_presence(pd_loader *loader, int index)
{
    pd_group *group = &loader->group[index];
    const pd_group *model = &loader->group[PD_SECTION_MODEL];
    const bool inside_missing = index == PD_SECTION_DICTIONARY && (!model->present || model->scalar);
    if (!group->where)
        group->where = pd_arena_format(loader->arena, "%s: %s", loader->path, pd_section_path(index));
    if (!group->where)
        return false;
    loader->settings->section[index].present = group->present;
    if (group->present || !required[index])
        return !group->scalar;
    if (!inside_missing)
        pd_report(loader, group->where, "the group is missing; add  %s", required[index]);
    group->bad = true;
    return false;
}

void pd_fill(pd_loader *loader)
{
    pd_settings *settings = loader->settings;
    for (int i = 0; i < PD_SECTIONS; i++) {
        if (!check_presence(loader, i))
            continue;
        if (pd_section_kind(i) && (loader->group[i].present || i == PD_SECTION_BACKEND))
            find_plugin(loader, i);
        if (i == PD_SECTION_PROX)
            pd_read_multiples(loader);
        if (i == PD_SECTION_LOSS || i == PD_SECTION_INNER_LOSS)
            pd_read_followers(loader, i);
        fill_section(loader, i);
        if (i == PD_SECTION_PROX)
            pd_note_multiple(loader);
        if (i == PD_SECTION_GLOBAL)
            add_plugin_path(loader);
    }
    for (int i = 0; i < PD_SECTIONS; i++)
        report_leftovers(loader, i);
    for (int i = 0; i < PD_SECTIONS; i++) {
        const pd_section *section = &settings->section[i];
        if (section->plugin && section->plugin_params)
            pd_plugin_check(loader, &loader->group[i], loader->group[i].where, section->plugin->desc,
                            section->plugin_params);
    }
}
