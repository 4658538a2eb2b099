/* From text to a typed option value: one path for config files, --set and the defaults of plugins. */
#include "config/parts.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool refuse(pd_why *why, const char *format, ...) PUDLE_PRINTF(2, 3);

static bool refuse(pd_why *why, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why->text, sizeof why->text, format, args);
    va_end(args);
    return false;
}

/* ----------------------------------------------------------- reading literals */

typedef struct reader { pd_arena *arena; const char *at; pd_why *why; bool failed; } reader;

static void skip_blanks(reader *r)
{
    while (isspace((unsigned char)*r->at))
        r->at++;
}

/* "..." with the escapes of libconfig. */
static bool read_quoted(reader *r, pd_literal *out)
{
    char *text = pd_arena_alloc(r->arena, strlen(r->at) + 1, 1), *to = text;
    if (!text)
        return false;
    const char *p = r->at + 1;
    for (; *p && *p != '"'; p++) {
        if (*p != '\\') {
            *to++ = *p;
            continue;
        }
        static const char names[] = "nrtf\\\"", values[] = "\n\r\t\f\\\"";
        const char *name = p[1] ? strchr(names, p[1]) : NULL;
        if (name) {
            *to++ = values[name - names];
            p++;
        } else if (p[1] == 'x' && isxdigit((unsigned char)p[2]) && isxdigit((unsigned char)p[3])) {
            const char hex[] = { p[2], p[3], '\0' };
            *to++ = (char)strtol(hex, NULL, 16);
            p += 3;
        } else {
            *to++ = *p;
        }
    }
    if (*p != '"')
        return false;
    r->at = p + 1;
    *out = (pd_literal){ .type = PD_LITERAL_TEXT, .text = text };
    return true;
}

static bool read_integer(reader *r, const char *token, pd_literal *out)
{
    const char *digits = token + (*token == '-' || *token == '+');
    const bool hex = digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X');
    char *end;
    errno = 0;
    const long long value = strtoll(token, &end, hex ? 16 : 10);
    if (end == token || (hex && end == digits + 1))
        return false;
    const size_t suffix = strspn(end, "L");
    if (end[suffix] != '\0' || suffix > 2)
        return false;
    if (errno == ERANGE) {
        r->failed = true;
        return refuse(r->why, "%s does not fit 64 bits; the largest integer is 9223372036854775807", token);
    }
    *out = (pd_literal){ .type = PD_LITERAL_INT, .integer = value, .text = token };
    return true;
}

/* A run of characters up to a blank, comma or bracket: a number or true or false. */
static bool read_token(reader *r, pd_literal *out)
{
    const size_t length = strcspn(r->at, " \t\r\n\f\v,[](){}\"");
    const char *token = pd_arena_copy(r->arena, r->at, length);
    if (!token || !length)
        return false;
    const bool yes = !strcasecmp(token, "true"), no = !strcasecmp(token, "false");
    if (yes || no) {
        *out = (pd_literal){ .type = PD_LITERAL_BOOL, .yes = yes, .text = token };
    } else if (!read_integer(r, token, out)) {
        char *end;
        const double value = strtod(token, &end); /* 1e400 becomes inf here and is refused with its key */
        /* strtod also knows inf, nan and hexadecimal reals, which a config does not */
        if (r->failed || *end || strspn(token, "+-.0123456789eE") != length)
            return false;
        *out = (pd_literal){ .type = PD_LITERAL_REAL, .real = value, .text = token };
    }
    r->at += length;
    return true;
}

static bool read_scalar(reader *r, pd_literal *out)
{
    return *r->at == '"' ? read_quoted(r, out) : read_token(r, out);
}

static bool read_list(reader *r, pd_literal *out)
{
    const char close = *r->at == '[' ? ']' : ')';
    size_t count = 0, room = 1;
    for (const char *p = r->at; *p; p++)
        room += *p == ',';
    pd_literal *item = pd_arena_alloc(r->arena, room, sizeof *item);
    if (!item)
        return false;
    r->at++;
    skip_blanks(r);
    while (*r->at != close) {
        if (count && *r->at != ',')
            return false;
        r->at += count > 0;
        skip_blanks(r);
        if (!read_scalar(r, &item[count++]))
            return false;
        skip_blanks(r);
    }
    r->at++;
    *out = (pd_literal){ .type = PD_LITERAL_LIST, .item = item, .count = (int64_t)count };
    return true;
}

bool pd_literal_read(pd_arena *arena, const char *text, pd_literal *out, pd_why *why)
{
    reader r = { .arena = arena, .at = text, .why = why };
    skip_blanks(&r);
    const char *start = r.at;
    const bool read = *r.at == '[' || *r.at == '(' ? read_list(&r, out) : *r.at ? read_scalar(&r, out) : false;
    if (r.failed)
        return false;
    skip_blanks(&r);
    if (read && !*r.at)
        return true;
    size_t length = strlen(start); /* a bare word */
    while (length && isspace((unsigned char)start[length - 1]))
        length--;
    const char *word = pd_arena_copy(arena, start, length);
    if (!word)
        return refuse(why, "out of memory");
    *out = (pd_literal){ .type = PD_LITERAL_TEXT, .text = word };
    return true;
}

/* ------------------------------------------------------------- typed values */

/* "the number 3" or "the text "abc"", for messages. */
static const char *given(const pd_literal *value, char text[96])
{
    char number[40];
    switch (value->type) {
    case PD_LITERAL_BOOL:
        return value->yes ? "true" : "false";
    case PD_LITERAL_INT:
        snprintf(text, 96, "%" PRId64, value->integer);
        return text;
    case PD_LITERAL_REAL:
        pd_real_literal(value->real, number);
        return strcpy(text, number);
    case PD_LITERAL_TEXT:
        snprintf(text, 96, "the text \"%.70s%s\"", value->text, strlen(value->text) > 70 ? "..." : "");
        return text;
    case PD_LITERAL_LIST:
        return "a list";
    default:
        return "a group { }";
    }
}

static bool wrong_type(pd_arena *arena, const pudle_option *row, const pd_literal *value, pd_why *why)
{
    char text[96];
    const char *example = pd_option_instance(arena, row);
    return refuse(why, "wants %s, but %s is given; write for instance  %s", pd_option_wants(row), given(value, text),
                  example ? example : "");
}

static bool in_range(const pudle_option *row, double value)
{
    if (row->min == 0 && row->max == 0)
        return true;
    return (row->flags & PUDLE_OPEN_MIN ? value > row->min : value >= row->min) &&
           (row->flags & PUDLE_OPEN_MAX ? value < row->max : value <= row->max);
}

static bool outside(const pudle_option *row, const char *value, pd_why *why)
{
    char range[96];
    pd_option_range(row, range, sizeof range);
    if (row->dflt)
        return refuse(why, "%s is outside %s; the default is %s", value, range, row->dflt);
    return refuse(why, "%s is outside %s; give a value inside", value, range);
}

/* A whole number v, as `shown`, that is not in the range. */
static bool whole_outside(const pudle_option *row, double v, const char *shown, pd_why *why)
{
    const double crossed = v > row->max ? row->max : row->min;
    return pd_option_endless(row, crossed) ? refuse(why, "%s is too large; whole numbers end at %g", shown, crossed) /* where the range says inf */
                                           : outside(row, shown, why);
}

static bool to_int(pd_arena *arena, const pudle_option *row, const pd_literal *value, int64_t *out, pd_why *why)
{
    char text[96];
    if (value->type == PD_LITERAL_REAL) {
        const double v = value->real;
        if (v == floor(v) && !in_range(row, v))
            return whole_outside(row, v, value->text ? value->text : given(value, text), why);
        if (v == floor(v) && fabs(v) < 9e18)
            return refuse(why, "wants a whole number, but the real %s is given; write %" PRId64 "%s",
                          value->text ? value->text : given(value, text), (int64_t)v, fabs(v) > INT32_MAX ? "L" : "");
        return wrong_type(arena, row, value, why);
    }
    if (value->type != PD_LITERAL_INT)
        return wrong_type(arena, row, value, why);
    if (!in_range(row, (double)value->integer))
        return whole_outside(row, (double)value->integer, given(value, text), why);
    *out = value->integer;
    return true;
}

static bool to_real(pd_arena *arena, const pudle_option *row, const pd_literal *value, double *out, pd_why *why)
{
    char text[96];
    if (value->type != PD_LITERAL_INT && value->type != PD_LITERAL_REAL)
        return wrong_type(arena, row, value, why);
    const double v = value->type == PD_LITERAL_INT ? (double)value->integer : value->real;
    if (!isfinite(v))
        return refuse(why, "%s is beyond the range of a double; give a finite number",
                      value->text ? value->text : "the number");
    if (!in_range(row, v))
        return outside(row, given(value, text), why);
    *out = v;
    return true;
}

/* Where text is wanted, an unquoted 2024 of the command line is text as well. */
static const char *to_text(const pd_literal *value)
{
    return value->type == PD_LITERAL_LIST || value->type == PD_LITERAL_GROUP ? NULL : value->text;
}

static bool to_choice(pd_arena *arena, const pudle_option *row, const pd_literal *value, int32_t *out, pd_why *why)
{
    const char *text = to_text(value), *begin;
    int length, count = pd_choice(row->choices, -1, NULL, NULL);
    if (!text)
        return wrong_type(arena, row, value, why);
    pd_nearest nearest = { .word = text };
    char list[256] = "";
    size_t used = 0;
    for (int i = 0; i < count; i++) {
        pd_choice(row->choices, i, &begin, &length);
        const char *name = pd_arena_copy(arena, begin, (size_t)length);
        if (!name)
            return refuse(why, "out of memory");
        if (!strcmp(name, text)) {
            *out = i;
            return true;
        }
        pd_nearest_offer(&nearest, name);
        if (used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", name);
    }
    if (pd_nearest_best(&nearest))
        return refuse(why, "\"%.80s\" is none of %s; did you mean \"%s\"?", text, list, pd_nearest_best(&nearest));
    return refuse(why, "\"%.80s\" is none of %s; choose one of them", text, list);
}

static bool to_path(pd_arena *arena, const char *text, const char *dir, const char **out, pd_why *why)
{
    if (!*text)
        return refuse(why, "is an empty path; name a file or remove the key");
    if (text[0] == '~')
        return refuse(why, "\"%.200s\": ~ is not expanded here; write the whole path", text);
    while (dir && text[0] == '.' && text[1] == '/')
        text += 2 + strspn(text + 2, "/");
    *out = *text == '/' || !dir ? pd_arena_copy(arena, text, strlen(text))
                                : pd_arena_format(arena, "%s/%s", strcmp(dir, "/") ? dir : "", text);
    return *out ? true : refuse(why, "out of memory");
}

static bool to_string(pd_arena *arena, const pudle_option *row, const pd_literal *value, const char *dir, const char **out,
                      pd_why *why)
{
    const char *text = to_text(value);
    char number[40];
    if (!text && row->type == PUDLE_TEXT && (value->type == PD_LITERAL_INT || value->type == PD_LITERAL_REAL)) {
        if (value->type == PD_LITERAL_INT)
            snprintf(number, sizeof number, "%" PRId64, value->integer);
        else
            pd_real_text(value->real, number);
        text = number;
    }
    if (!text)
        return wrong_type(arena, row, value, why);
    if (row->type == PUDLE_PATH)
        return to_path(arena, text, dir, out, why);
    *out = pd_arena_copy(arena, text, strlen(text));
    return *out ? true : refuse(why, "out of memory");
}

/* Items of a list, a single number counting as a list of one; false after a refusal. */
static bool to_list(pd_arena *arena, const pudle_option *row, const pd_literal *value, void *out, pd_why *why)
{
    const bool list = value->type == PD_LITERAL_LIST, real = row->type == PUDLE_REAL_LIST;
    const pd_literal *item = list ? value->item : value;
    const int64_t count = list ? value->count : 1;
    double *reals = pd_arena_alloc(arena, (size_t)count + 1, sizeof *reals);
    int64_t *ints = pd_arena_alloc(arena, (size_t)count + 1, sizeof *ints);
    if (!reals || !ints)
        return refuse(why, "out of memory");
    for (int64_t i = 0; i < count; i++) {
        pd_why inner;
        if (real ? to_real(arena, row, &item[i], &reals[i], &inner) : to_int(arena, row, &item[i], &ints[i], &inner))
            continue;
        if (list)
            return refuse(why, "item %" PRId64 " of the list: %.600s", i + 1, inner.text);
        *why = inner;
        return false;
    }
    if (real)
        *(pudle_real_list *)out = (pudle_real_list){ reals, count };
    else
        *(pudle_int_list *)out = (pudle_int_list){ ints, count };
    return true;
}

bool pd_option_assign(pd_arena *arena, const pudle_option *row, const pd_literal *value, const char *dir, void *params,
                      size_t params_size, pd_why *why)
{
    union {
        bool yes;
        int64_t integer;
        double real;
        const char *text;
        int32_t choice;
        pudle_real_list reals;
        pudle_int_list ints;
    } v;
    size_t size = 0;
    bool good = false;
    memset(&v, 0, sizeof v);
    switch (row->type) {
    case PUDLE_BOOL:
        size = sizeof v.yes;
        if (value->type == PD_LITERAL_INT && (value->integer == 0 || value->integer == 1))
            return refuse(why, "wants true or false, but %d is given; write %s", (int)value->integer,
                          value->integer ? "true" : "false");
        good = value->type == PD_LITERAL_BOOL || wrong_type(arena, row, value, why);
        v.yes = value->yes;
        break;
    case PUDLE_INT:
        size = sizeof v.integer;
        good = to_int(arena, row, value, &v.integer, why);
        break;
    case PUDLE_REAL:
        size = sizeof v.real;
        good = to_real(arena, row, value, &v.real, why);
        break;
    case PUDLE_STRING:
    case PUDLE_PATH:
    case PUDLE_TEXT:
        size = sizeof v.text;
        good = to_string(arena, row, value, dir, &v.text, why);
        break;
    case PUDLE_ENUM:
        size = sizeof v.choice;
        good = to_choice(arena, row, value, &v.choice, why);
        break;
    case PUDLE_REAL_LIST:
    case PUDLE_INT_LIST:
        size = row->type == PUDLE_REAL_LIST ? sizeof v.reals : sizeof v.ints;
        good = to_list(arena, row, value, &v, why);
        break;
    default:
        return refuse(why, "has type %d, which this version does not know; rebuild the plugin or use a newer pudle",
                      (int)row->type);
    }
    if (good && (row->offset > params_size || size > params_size - row->offset))
        return refuse(why, "lies outside the plugin's params struct (offset %u of %zu bytes): the plugin's table is wrong",
                      (unsigned)row->offset, params_size);
    if (good)
        memcpy((char *)params + row->offset, &v, size);
    return good;
}

bool pd_option_default(pd_arena *arena, const pudle_option *row, void *params, size_t params_size, pd_why *why)
{
    pd_literal value;
    pd_why inner;
    if (!row->dflt)
        return true;
    if (pd_literal_read(arena, row->dflt, &value, &inner) &&
        pd_option_assign(arena, row, &value, NULL, params, params_size, &inner))
        return true;
    return refuse(why, "its own default %.80s is wrong: %.500s", row->dflt, inner.text);
}
