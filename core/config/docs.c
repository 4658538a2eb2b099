/* Option tables as people read them: aligned text, Markdown, and a block to paste into a config. */
#include "config/parts.h"

#include <string.h>

typedef struct printer { FILE *to; const pudle_option *table; const pudle_desc *desc; } printer;

static bool row_at(const printer *p, int i, pudle_option *row)
{
    int own = 0;
    while (p->table && p->table[own].name && own < i)
        own++;
    if (p->table && p->table[own].name) {
        *row = p->table[own];
        return true;
    }
    return p->desc && pd_option_at(p->desc, i - own, row);
}

static void range_of(const pudle_option *row, char *text, size_t room)
{
    if (row->type != PUDLE_ENUM) {
        pd_option_range(row, text, room);
        return;
    }
    snprintf(text, room, "%s", row->choices ? row->choices : "");
    for (char *bar = text; (bar = strchr(bar, '|')); )
        *bar = ' ';
}

static void flags_of(const pudle_option *row, char *text, size_t room)
{
    snprintf(text, room, "%s%s%s%s", row->flags & PUDLE_REQUIRED ? "required " : "",
             row->flags & PUDLE_THRESHOLD ? "threshold " : "", row->flags & PUDLE_PER_STEP ? "per-step " : "",
             row->flags & PUDLE_DEPRECATED ? "deprecated " : "");
    const size_t length = strlen(text);
    if (length)
        text[length - 1] = '\0';
}

static const char *dflt_of(const pudle_option *row)
{
    return row->dflt && *row->dflt ? row->dflt : row->dflt ? "\"\"" : "-";
}

static int wider(int width, const char *text)
{
    const int length = (int)strlen(text);
    return length > width ? length : width;
}

static void print_text(const printer *p)
{
    int width[5] = { 6, 4, 7, 5, 5 };
    char range[256], flags[64];
    pudle_option row;
    for (int i = 0; row_at(p, i, &row); i++) {
        range_of(&row, range, sizeof range);
        flags_of(&row, flags, sizeof flags);
        width[0] = wider(width[0], row.name);
        width[1] = wider(width[1], pd_option_type(&row));
        width[2] = wider(width[2], dflt_of(&row));
        width[3] = wider(width[3], range);
        width[4] = wider(width[4], flags);
    }
    fprintf(p->to, "  %-*s  %-*s  %-*s  %-*s  %-*s  %s\n", width[0], "option", width[1], "type", width[2], "default",
            width[3], "range", width[4], "flags", "meaning");
    for (int i = 0; row_at(p, i, &row); i++) {
        range_of(&row, range, sizeof range);
        flags_of(&row, flags, sizeof flags);
        fprintf(p->to, "  %-*s  %-*s  %-*s  %-*s  %-*s  %s%s%s%s\n", width[0], row.name, width[1], pd_option_type(&row),
                width[2], dflt_of(&row), width[3], range, width[4], flags, row.doc ? row.doc : "", row.unit ? " [" : "",
                row.unit ? row.unit : "", row.unit ? "]" : "");
    }
}

/* A bar would end the cell, < would start a tag. */
static void print_cell(FILE *to, const char *text)
{
    for (; *text; text++)
        if (*text == '|' || *text == '<' || *text == '*' || *text == '_')
            fprintf(to, "\\%c", *text);
        else
            fputc(*text, to);
}

static void print_md(const printer *p)
{
    char range[256], flags[64];
    pudle_option row;
    fprintf(p->to, "| option | type | default | range | unit | meaning |\n|---|---|---|---|---|---|\n");
    for (int i = 0; row_at(p, i, &row); i++) {
        range_of(&row, range, sizeof range);
        flags_of(&row, flags, sizeof flags);
        fprintf(p->to, "| `%s` | %s | %s%s%s | %s | %s | ", row.name, pd_option_type(&row), row.dflt ? "`" : "",
                row.flags & PUDLE_REQUIRED ? "required" : dflt_of(&row), row.dflt ? "`" : "", range,
                row.unit ? row.unit : "");
        print_cell(p->to, row.doc ? row.doc : "");
        fprintf(p->to, "%s%s%s |\n", *flags ? " (" : "", flags, *flags ? ")" : "");
    }
}

static void print_cfg(const printer *p, const char *group)
{
    pd_arena *arena = pd_arena_create();
    const char *indent = *group ? "  " : "";
    const int section = pd_section_find(group);
    pudle_option row;
    char range[256];
    if (!arena)
        return;
    if (*group)
        fprintf(p->to, "%s: {\n", group);
    if (p->desc)
        fprintf(p->to, "%sname = \"%s\";\n", indent, p->desc->name);
    for (int i = 0; row_at(p, i, &row); i++) {
        const char *line = pd_option_example(arena, &row);
        range_of(&row, range, sizeof range);
        /* what has no default, or is read only under some choices, is shown but not set */
        const bool set =
            (row.dflt || row.flags & PUDLE_REQUIRED) && !(p->table && section >= 0 && pd_rule_of(section, row.name));
        if (line)
            fprintf(p->to, "%s%s%s // %s%s%s\n", indent, set ? "" : "// ", line, range, *range && row.doc ? "; " : "",
                    row.doc ? row.doc : "");
    }
    if (*group)
        fprintf(p->to, "};\n");
    pd_arena_destroy(arena);
}

void pd_option_table_print(FILE *to, const char *format, const char *group, const pudle_option *table,
                           const pudle_desc *desc)
{
    const printer p = { to, table, desc };
    if (!strcmp(format, "md"))
        print_md(&p);
    else if (!strcmp(format, "cfg"))
        print_cfg(&p, group ? group : "");
    else
        print_text(&p);
}
