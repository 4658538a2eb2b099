/* A look at the raw text, before libconfig reads it. libconfig takes 3000000000 for -1294967296 and 4294967297 for 1 without
 * a word: an integer beyond 32 bits must carry an L. And a text where no value can stand makes it lose memory beside the
 * syntax error, so that is refused here, as is an @include that it would follow itself. */
#include "config/parts.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 16, LONGEST = 48, BRACKETS = 64 };

typedef struct scanner {
    pd_loader *loader;
    const pd_source *source;
    pd_lint *lint;
    const char *at;
    int line, depth;
    char group[DEEPEST][LONGEST]; /* names of the groups around */
    char key[LONGEST];            /* the last name read */
    int opened;
    char open[BRACKETS];          /* brackets of any kind that are open */
    char last;                    /* first character of the token before; 0: none */
} scanner;

static const char *path_of(const scanner *s)
{
    char path[DEEPEST * LONGEST + LONGEST] = "";
    size_t used = 0;
    for (int i = 0; i < s->depth && i < DEEPEST; i++)
        used += (size_t)snprintf(path + used, sizeof path - used, "%s.", s->group[i]);
    snprintf(path + used, sizeof path - used, "%s", s->key);
    return pd_arena_copy(s->loader->arena, path, strlen(path));
}

static const char *where_of(const scanner *s, const char *path)
{
    const pd_origin *from = pd_source_origin(s->source, s->line);
    return pd_arena_format(s->loader->arena, *path ? "%s:%d: %s" : "%s:%d", from->file, from->line, path);
}

/* May a text stand here: behind = or :, behind another text, or as an item of a list? */
static bool text_allowed(const scanner *s)
{
    const bool inside = s->opened > 0 && s->opened <= BRACKETS && s->open[s->opened - 1] != '{';
    return s->last == '=' || s->last == ':' || s->last == '"' ||
           (inside && (s->last == ',' || s->last == '[' || s->last == '(')) || s->opened > BRACKETS;
}

static void check_text(scanner *s)
{
    if (text_allowed(s))
        return;
    const char *path = path_of(s), *where = path ? where_of(s, path) : NULL;
    if (where)
        pd_report(s->loader, where,
                  "the text %.*s stands where none is expected; write  key = \"text\";  and end the option before with ;",
                  (int)(strcspn(s->at + 1, "\"\n") < 40 ? strcspn(s->at + 1, "\"\n") + 2 : 40), s->at);
    s->lint->broken = true;
}

/* An @include that is left now is none of source.c's, and libconfig must not follow it. */
static void refuse_directive(scanner *s)
{
    const char *where = where_of(s, "");
    if (where)
        pd_report(s->loader, where, "an @ stands where none is expected; an @include begins a line");
    s->lint->broken = true;
    s->at += strcspn(s->at, "\n");
}

static void skip_string(scanner *s)
{
    for (s->at++; *s->at && *s->at != '"'; s->at++) {
        s->line += *s->at == '\n';
        if (*s->at == '\\' && (s->at[1] == '"' || s->at[1] == '\\'))
            s->at++;
    }
    s->at += *s->at == '"';
}

static bool skip_comment(scanner *s)
{
    if (s->at[0] == '#' || (s->at[0] == '/' && s->at[1] == '/')) {
        s->at += strcspn(s->at, "\n");
        return true;
    }
    if (s->at[0] != '/' || s->at[1] != '*')
        return false;
    for (s->at += 2; *s->at && !(s->at[0] == '*' && s->at[1] == '/'); s->at++)
        s->line += *s->at == '\n';
    s->at += *s->at ? 2 : 0;
    return true;
}

static void read_name(scanner *s)
{
    const size_t length = strspn(s->at, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_*-");
    snprintf(s->key, sizeof s->key, "%.*s", (int)length, s->at);
    s->at += length;
}

static void read_bracket(scanner *s)
{
    const bool opens = strchr("{[(", *s->at) != NULL, group = *s->at == '{' || *s->at == '}';
    if (opens) {
        if (s->opened < BRACKETS)
            s->open[s->opened] = *s->at;
        if (group && s->depth < DEEPEST)
            strcpy(s->group[s->depth], s->key);
        s->opened++;
        s->depth += group;
    } else {
        s->opened -= s->opened > 0;
        s->depth -= group && s->depth > 0;
    }
    if (group)
        s->key[0] = '\0';
    s->at++;
}

static void found(scanner *s, const char *token, bool beyond_64, uint64_t bits)
{
    pd_lint *lint = s->lint;
    const char *path = path_of(s), *where = path ? where_of(s, path) : NULL;
    if (!where)
        return;
    if (beyond_64) {
        pd_report(s->loader, where,
                  "%s does not fit 64 bits; the largest integer is 9223372036854775807L, or write a real (1e20)", token);
    } else {
        const uint32_t low = (uint32_t)bits;
        const int64_t wrapped = low > INT32_MAX ? (int64_t)low - ((int64_t)1 << 32) : (int64_t)low;
        pd_report(s->loader, where, "%s does not fit 32 bits and would be read as %" PRId64 "; write %sL", token, wrapped,
                  token);
    }
    if (lint->count == lint->room) {
        const int room = 2 * lint->room + 16;
        const char **more = realloc(lint->path, (size_t)room * sizeof *more);
        if (!more)
            return;
        lint->path = more;
        lint->room = room;
    }
    lint->path[lint->count++] = path;
}

static bool is_number_char(const char *p, const char *start)
{
    const bool hex = start[0] == '0' && (start[1] == 'x' || start[1] == 'X');
    if (*p == '+' || *p == '-')
        return p == start || (!hex && (p[-1] == 'e' || p[-1] == 'E'));
    return isalnum((unsigned char)*p) || *p == '.';
}

static void read_number(scanner *s)
{
    char token[64];
    const char *start = s->at;
    while (*s->at && is_number_char(s->at, start))
        s->at++;
    snprintf(token, sizeof token, "%.*s", (int)(s->at - start), start);
    const char *digits = token + (*token == '-' || *token == '+');
    const bool negative = *token == '-', hex = digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X');
    char *end;
    errno = 0;
    const unsigned long long magnitude = strtoull(digits, &end, hex ? 16 : 10);
    const bool wide = *end == 'L';
    if (end[strspn(end, "L")] != '\0' || end == digits)
        return; /* a real, or nothing that libconfig knows */
    const bool beyond_64 = errno == ERANGE || magnitude > (unsigned long long)INT64_MAX + negative;
    const bool beyond_32 = magnitude > (unsigned long long)INT32_MAX + negative;
    if (beyond_64 || (beyond_32 && !wide))
        found(s, token, beyond_64, negative ? 0u - magnitude : magnitude);
}

void pd_lint_source(pd_loader *loader, const pd_source *source, pd_lint *lint)
{
    scanner s = { .loader = loader, .source = source, .lint = lint, .at = source->text ? source->text : "", .line = 1 };
    while (*s.at) {
        const char first = *s.at;
        if (isspace((unsigned char)first)) {
            s.line += first == '\n';
            s.at++;
            continue;
        }
        if (skip_comment(&s))
            continue;
        if (first == '@') {
            refuse_directive(&s);
        } else if (first == '"') {
            check_text(&s);
            skip_string(&s);
        } else if (isalpha((unsigned char)first) || first == '*') {
            read_name(&s);
        } else if (strchr("{[()]}", first)) {
            read_bracket(&s);
        } else if (isdigit((unsigned char)first) ||
                   (strchr("+-.", first) && (isdigit((unsigned char)s.at[1]) || s.at[1] == '.'))) {
            read_number(&s);
        } else {
            s.at++;
        }
        s.last = first;
    }
}

bool pd_lint_found(const pd_lint *lint, const char *path)
{
    for (int i = 0; i < lint->count; i++)
        if (!strcmp(lint->path[i], path))
            return true;
    return false;
}

void pd_lint_free(pd_lint *lint)
{
    free(lint->path);
    *lint = (pd_lint){ 0 };
}
