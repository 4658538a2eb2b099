/* The resolved config: every option with its value, readable back to the same settings. An option that nothing reads under the
 * present choices, or that is unset, is a comment: given explicitly it would be refused. */
#include "config/parts.h"

#include <stdlib.h>
#include <string.h>

static bool is_zero(const pudle_option *row, const void *params)
{
    static const size_t sizes[] = { [PUDLE_BOOL] = sizeof(bool),
                                    [PUDLE_INT] = sizeof(int64_t),
                                    [PUDLE_REAL] = sizeof(double),
                                    [PUDLE_ENUM] = sizeof(int32_t) };
    const char *at = (const char *)params + row->offset;
    const size_t size = row->type > 0 && row->type <= PUDLE_ENUM ? sizes[row->type] : 0;
    for (size_t i = 0; i < size; i++)
        if (at[i])
            return false;
    return size > 0;
}

static void write_row(const pd_settings *settings, int section, const pudle_option *row, const void *params,
                      const char *indent, pd_arena *arena, FILE *to)
{
    const pd_rule *rule = pd_rule_of(section, row->name);
    const bool ours = params == settings->section[section].params;
    const char *text = pd_value_text(arena, settings, section, row, !ours);
    if (ours && !pd_is_read(settings, section, row->name))
        fprintf(to, "%s// %s: not read\n", indent, row->name);
    else if (!text ||
             (!row->dflt && !(row->flags & PUDLE_REQUIRED) && !(ours && rule && rule->needed) && is_zero(row, params)))
        fprintf(to, "%s// %s: not set\n", indent, row->name);
    else
        fprintf(to, "%s%s = %s;\n", indent, row->name, text);
}

static void write_rows(const pd_settings *settings, int index, const char *indent, pd_arena *arena, FILE *to)
{
    const pd_section *section = &settings->section[index];
    pudle_option row;
    if (section->plugin) {
        fprintf(to, "%sname = \"%s\";\n", indent, section->plugin->desc->name);
        for (int i = 0; pd_option_at(section->plugin->desc, i, &row); i++)
            write_row(settings, index, &row, section->plugin_params, indent, arena, to);
    }
    for (const pudle_option *own = section->table; own && own->name; own++)
        write_row(settings, index, own, section->params, indent, arena, to);
}

static bool has_folder(const char *path, const char *folder, size_t length)
{
    for (const char *p = path; p && *p; p += strcspn(p, ":"), p += *p == ':')
        if (strcspn(p, ":") == length && !strncmp(p, folder, length))
            return true;
    return false;
}

/* Folders given on the command line, then those of the config: a run must find its plugins again without the command line. */
static const char *all_folders(pd_context *ctx, const pd_settings *settings, pd_arena *arena)
{
    const char *own = settings->global.plugin_path;
    char *given = pd_plugin_path_text(ctx, PD_FROM_COMMAND_LINE);
    const char *all = given && *given ? pd_arena_copy(arena, given, strlen(given)) : own;
    if (all != own)
        for (const char *p = own; p && *p && all; p += strcspn(p, ":"), p += *p == ':')
            if (!has_folder(all, p, strcspn(p, ":")))
                all = pd_arena_format(arena, "%s:%.*s", all, (int)strcspn(p, ":"), p);
    free(given);
    return all;
}

pudle_status pd_settings_write(pd_context *ctx, const pd_settings *settings, FILE *to)
{
    pd_arena *arena = pd_arena_create();
    if (!arena)
        return pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory for the resolved config");
    fprintf(to, "// resolved config: every option with its value\n");
    pd_settings with = *settings;
    with.global.plugin_path = all_folders(ctx, settings, arena);
    with.section[PD_SECTION_GLOBAL].params = &with.global;
    write_rows(&with, PD_SECTION_GLOBAL, "", arena, to);
    for (int i = 1; i < PD_SECTIONS; i++) {
        const pd_section *section = &settings->section[i];
        if (i == PD_SECTION_DICTIONARY || (section->kind && !section->plugin))
            continue;
        fprintf(to, "\n%s:\n{\n", section->path);
        write_rows(settings, i, "  ", arena, to);
        if (i == PD_SECTION_MODEL) {
            fprintf(to, "  dictionary:\n  {\n");
            write_rows(settings, PD_SECTION_DICTIONARY, "    ", arena, to);
            fprintf(to, "  };\n");
        }
        fprintf(to, "};\n");
    }
    const bool failed = pd_arena_failed(arena);
    pd_arena_destroy(arena);
    if (failed)
        return pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory for the resolved config");
    return fflush(to) || ferror(to) ? pd_fail(ctx, PUDLE_ERR_IO, "the resolved config cannot be written: there is no room for it, in memory or on the disk")
                                    : PUDLE_OK;
}
