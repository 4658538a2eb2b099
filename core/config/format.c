/* From a typed option value to text: for the resolved config, for messages and for the option reference. */
#include "config/parts.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *pd_option_type(const pudle_option *row)
{
    static const char *const names[] = { "?", "bool", "int", "real", "string", "path", "choice", "reals", "ints", "text" };
    return row->type >= PUDLE_BOOL && row->type <= PUDLE_TEXT ? names[row->type] : names[0];
}

const char *pd_option_wants(const pudle_option *row)
{
    static const char *const names[] = {
        "a value", "true or false", "a whole number", "a number", "text in double quotes", "a path in double quotes",
        "one of its choices in double quotes", "a number or a list of numbers", "a whole number or a list of them",
        "a number or text in double quotes",
    };
    return row->type >= PUDLE_BOOL && row->type <= PUDLE_TEXT ? names[row->type] : names[0];
}

void pd_real_text(double value, char text[40])
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, 40, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            return;
    }
}

void pd_real_literal(double value, char text[40])
{
    pd_real_text(value, text);
    if (!isfinite(value) || strchr(text, '.'))
        return;
    /* 5 would be read back as an integer, and not every reader takes 1e-08 for a real */
    char *exponent = strchr(text, 'e');
    char tail[16] = "";
    if (exponent)
        snprintf(tail, sizeof tail, "%s", exponent);
    snprintf(exponent ? exponent : text + strlen(text), 20, ".0%s", tail);
}

bool pd_option_endless(const pudle_option *row, double value)
{
    return isinf(value) || (fabs(value) >= 1e18 && (row->type == PUDLE_INT || row->type == PUDLE_INT_LIST));
}

static void bound(const pudle_option *row, double value, char text[40])
{
    if (pd_option_endless(row, value))
        strcpy(text, value > 0 ? "inf" : "-inf");
    else
        snprintf(text, 40, "%.10g", value);
}

void pd_option_range(const pudle_option *row, char *text, size_t room)
{
    const bool numeric = row->type == PUDLE_INT || row->type == PUDLE_REAL || row->type == PUDLE_REAL_LIST ||
                         row->type == PUDLE_INT_LIST;
    char low[40], high[40];
    text[0] = '\0';
    if (!numeric || (row->min == 0 && row->max == 0))
        return;
    bound(row, row->min, low);
    bound(row, row->max, high);
    snprintf(text, room, "%c%s, %s%c", row->flags & PUDLE_OPEN_MIN || pd_option_endless(row, row->min) ? '(' : '[', low, high,
             row->flags & PUDLE_OPEN_MAX || pd_option_endless(row, row->max) ? ')' : ']');
}

int pd_choice(const char *choices, int index, const char **begin, int *length)
{
    int count = 0;
    for (const char *p = choices; p; count++) {
        const char *bar = strchr(p, '|');
        if (count == index) {
            *begin = p;
            *length = bar ? (int)(bar - p) : (int)strlen(p);
        }
        p = bar ? bar + 1 : NULL;
    }
    return count;
}

static char *quote(pd_arena *arena, const char *text)
{
    char *quoted = pd_arena_alloc(arena, 4 * strlen(text) + 3, 1), *to = quoted;
    if (!quoted)
        return NULL;
    *to++ = '"';
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p == '"' || *p == '\\') {
            *to++ = '\\';
            *to++ = (char)*p;
        } else if (*p == '\n') {
            *to++ = '\\';
            *to++ = 'n';
        } else if (*p < ' ') {
            to += sprintf(to, "\\x%02X", *p);
        } else {
            *to++ = (char)*p;
        }
    }
    *to++ = '"';
    return quoted;
}

static const char *suffix(int64_t value)
{
    return value > INT32_MAX || value < INT32_MIN ? "L" : "";
}

/* An array of libconfig holds one type: if one item needs 64 bits, all are written with L. */
static char *ints_text(pd_arena *arena, const pudle_int_list *list)
{
    const char *letter = "";
    char *text = pd_arena_alloc(arena, (size_t)list->count + 1, 24), *to = text;
    if (!text)
        return NULL;
    for (int64_t i = 0; i < list->count; i++)
        letter = *suffix(list->item[i]) ? "L" : letter;
    *to++ = '[';
    for (int64_t i = 0; i < list->count; i++)
        to += sprintf(to, "%s%" PRId64 "%s", i ? ", " : "", list->item[i], letter);
    strcpy(to, "]");
    return text;
}

static char *reals_text(pd_arena *arena, const pudle_real_list *list)
{
    char *text = pd_arena_alloc(arena, (size_t)list->count + 1, 42), *to = text;
    if (!text)
        return NULL;
    *to++ = '[';
    for (int64_t i = 0; i < list->count; i++) {
        char number[40];
        pd_real_literal(list->item[i], number);
        to += sprintf(to, "%s%s", i ? ", " : "", number);
    }
    strcpy(to, "]");
    return text;
}

char *pd_option_value_text(pd_arena *arena, const pudle_option *row, const void *params)
{
    const char *at = (const char *)params + row->offset, *text, *begin = "";
    bool yes;
    int32_t choice;
    int64_t integer;
    double real;
    char number[40];
    pudle_int_list ints;
    pudle_real_list reals;
    int length = 0;
    switch (row->type) {
    case PUDLE_BOOL:
        memcpy(&yes, at, sizeof yes);
        return pd_arena_format(arena, "%s", yes ? "true" : "false");
    case PUDLE_INT:
        memcpy(&integer, at, sizeof integer);
        return pd_arena_format(arena, "%" PRId64 "%s", integer, suffix(integer));
    case PUDLE_REAL:
        memcpy(&real, at, sizeof real);
        pd_real_literal(real, number);
        return pd_arena_format(arena, "%s", number);
    case PUDLE_STRING:
    case PUDLE_PATH:
    case PUDLE_TEXT:
        memcpy(&text, at, sizeof text);
        return text ? quote(arena, text) : NULL;
    case PUDLE_ENUM:
        memcpy(&choice, at, sizeof choice);
        if (choice < 0 || choice >= pd_choice(row->choices, choice, &begin, &length))
            return NULL;
        return pd_arena_format(arena, "\"%.*s\"", length, begin);
    case PUDLE_INT_LIST:
        memcpy(&ints, at, sizeof ints);
        return ints.item ? ints_text(arena, &ints) : NULL;
    case PUDLE_REAL_LIST:
        memcpy(&reals, at, sizeof reals);
        return reals.item ? reals_text(arena, &reals) : NULL;
    default:
        return NULL;
    }
}

static const char *example_value(pd_arena *arena, const pudle_option *row)
{
    char number[40];
    const double low = row->min == 0 && row->max == 0 ? 1 : row->min + (row->flags & PUDLE_OPEN_MIN ? 1 : 0);
    switch (row->type) {
    case PUDLE_BOOL:
        return "true";
    case PUDLE_INT:
        return pd_arena_format(arena, "%.0f", isfinite(low) ? low : 1.0);
    case PUDLE_REAL:
        pd_real_literal(isfinite(low) && (row->max == 0 || low <= row->max) ? low : row->max, number);
        return pd_arena_format(arena, "%s", number);
    case PUDLE_ENUM:
        return row->choices ? pd_arena_copy(arena, row->choices, strcspn(row->choices, "|")) : "";
    case PUDLE_REAL_LIST:
        return "[1.0, 2.0]";
    case PUDLE_INT_LIST:
        return "[1, 2]";
    case PUDLE_PATH:
        return "file.npy";
    default:
        return "text";
    }
}

static char *assignment(pd_arena *arena, const pudle_option *row, const char *value)
{
    const bool text = row->type == PUDLE_STRING || row->type == PUDLE_PATH || row->type == PUDLE_ENUM ||
                      row->type == PUDLE_TEXT;
    if (!value)
        return NULL;
    return pd_arena_format(arena, text && value[0] != '"' ? "%s = \"%s\";" : "%s = %s;", row->name, value);
}

char *pd_option_example(pd_arena *arena, const pudle_option *row)
{
    return assignment(arena, row, row->dflt ? row->dflt : example_value(arena, row));
}

/* A default that says "nothing" shows nobody what a value looks like. */
char *pd_option_instance(pd_arena *arena, const pudle_option *row)
{
    const bool nothing = !row->dflt || !strcmp(row->dflt, "0") || !strcmp(row->dflt, "0.0") || !strcmp(row->dflt, "[]") || !*row->dflt;
    const bool ten = row->type == PUDLE_INT && ((row->min == 0 && row->max == 0) || (row->min <= 10 && row->max >= 10));
    return nothing ? assignment(arena, row, ten ? "10" : example_value(arena, row)) : pd_option_example(arena, row);
}
