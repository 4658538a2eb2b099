/* The text of a config with every @include put in its place.
 *
 * libconfig could follow includes itself, but it looks for them in one folder only, forgets the folder in file names, and
 * ends the process when an include is a folder. Here an include is relative to the file that includes it, each line of the
 * merged text remembers where it comes from, and what is wrong is reported with file and line. */
#include "config/parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEEPEST = 10, MOST = 1000 };
static const size_t largest = 16u << 20;

/* ------------------------------------------------------------------- reading */

static pudle_status read_file(const char *path, char **text, size_t *length, const char **why)
{
    FILE *file = fopen(path, "rbe");
    char *memory = NULL;
    size_t size = 0, room = 0;
    *why = file ? NULL : strerror(errno);
    const bool missing = !file && (errno == ENOENT || errno == ENOTDIR);
    bool starved = !file && errno == ENOMEM;
    while (file && !*why) {
        if (size + 1 >= room) {
            char *more = realloc(memory, room = room ? 2 * room : 4096);
            if (!more) {
                *why = "out of memory";
                starved = true;
                break;
            }
            memory = more;
        }
        const size_t got = fread(memory + size, 1, room - 1 - size, file);
        size += got;
        if (ferror(file))
            *why = strerror(errno);
        else if (size > largest)
            *why = "is larger than 16 MiB: this is no config";
        else if (!got)
            break;
    }
    if (file)
        fclose(file);
    if (!*why) {
        memory[size] = '\0';
        if (memchr(memory, '\0', size))
            *why = "contains a zero byte: this is no text file";
    }
    if (*why) {
        free(memory);
        return starved ? PUDLE_ERR_NOMEM : missing ? PUDLE_ERR_NOTFOUND : PUDLE_ERR_IO;
    }
    *text = memory;
    *length = size;
    return PUDLE_OK;
}

/* The folder of a file, absolute. */
static const char *folder_of(pd_arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *given =
        slash ? pd_arena_copy(arena, path, slash == path ? 1 : (size_t)(slash - path)) : pd_arena_copy(arena, ".", 1);
    char *real = given ? realpath(given, NULL) : NULL;
    char *copy = real ? pd_arena_copy(arena, real, strlen(real)) : given;
    free(real);
    return copy;
}

/* ------------------------------------------------------------------- merging */

typedef struct merger { pd_loader *loader; pd_source *source; bool line_start; int depth, includes; bool bad, stop; } merger;

/* One file while it is read. */
typedef struct reading { const char *file, *dir; const char *at, *end; int line; } reading;

static bool grow(void **memory, size_t need, size_t size, size_t *room)
{
    if (need <= *room)
        return true;
    const size_t wanted = need + need / 2 + 256;
    void *more = realloc(*memory, wanted * size);
    if (!more)
        return false;
    *memory = more;
    *room = wanted;
    return true;
}

static void put(merger *m, const reading *r, char c)
{
    pd_source *s = m->source;
    if (m->line_start) {
        size_t room = (size_t)s->lines_room;
        void *lines = s->line;
        const bool grown = grow(&lines, (size_t)s->lines + 1, sizeof *s->line, &room);
        s->line = lines;
        s->lines_room = (int)room;
        if (!grown) {
            m->loader->no_memory = true;
            return;
        }
        s->line[s->lines++] = (pd_origin){ r->file, r->dir, r->line };
        m->line_start = false;
    }
    void *text = s->text;
    const bool grown = grow(&text, s->length + 2, 1, &s->room);
    s->text = text;
    if (!grown) {
        m->loader->no_memory = true;
        return;
    }
    s->text[s->length++] = c;
    s->text[s->length] = '\0';
    m->line_start = c == '\n';
}

static void complain(merger *m, const reading *r, int line, const char *what)
{
    const char *where = pd_arena_format(m->loader->arena, "%s:%d", r->file, line);
    pd_report(m->loader, where ? where : r->file, "%s", what);
    m->bad = true;
}

static void merge_file(merger *m, const char *path, const char *text, size_t length);

static void include(merger *m, const reading *r, const char *name)
{
    pd_arena *arena = m->loader->arena;
    const char *slash = strrchr(r->file, '/');
    const char *path =
        *name == '/' || !slash ? name : pd_arena_format(arena, "%.*s/%s", (int)(slash - r->file), r->file, name);
    const char *why = NULL, *message = NULL;
    char *text = NULL;
    size_t length = 0;
    pudle_status s = PUDLE_OK;
    if (m->includes++ == MOST || m->source->length > largest)
        m->stop = true;
    if (m->stop)
        message = "@include: together the included files are too many or too large (1000 files, 16 MiB)";
    else if (m->depth == DEEPEST)
        message = pd_arena_format(
            arena, "@include \"%s\": includes are nested more than %d deep; does a file include itself?", name, DEEPEST);
    else if (path && (s = read_file(path, &text, &length, &why)))
        message = pd_arena_format(arena, "@include \"%s\": cannot read %s: %s; the path is relative to %s", name, path, why,
                                  r->dir);
    m->loader->no_memory |= s == PUDLE_ERR_NOMEM;
    if (message || s || !path) {
        complain(m, r, r->line, message ? message : "out of memory");
        return;
    }
    m->depth++;
    merge_file(m, path, text, length);
    m->depth--;
    free(text);
}

/* Is there nothing more on the line, or a comment? */
static bool ends_line(const char *rest)
{
    rest += strspn(rest, " \t\r");
    return !*rest || *rest == '\n' || *rest == '#' || (*rest == '/' && (rest[1] == '/' || rest[1] == '*'));
}

/* At the start of a line: an include directive, which is taken up to its closing quote. False if it is none. */
static bool directive(merger *m, reading *r)
{
    static const char word[] = "@include";
    const char *p = r->at + strspn(r->at, " \t");
    if (strncmp(p, word, sizeof word - 1) != 0)
        return false;
    p += sizeof word - 1;
    p += strspn(p, " \t");
    const size_t length = *p == '"' ? strcspn(p + 1, "\"\n") : 0;
    const bool quoted = length && p[1 + length] == '"';
    if (!quoted || !ends_line(p + 1 + length + 1)) {
        complain(m, r, r->line, quoted ? "only a comment may follow the path of an @include; begin a new line"
                                       : "@include wants a path in double quotes; write  @include \"common.cfg\"");
        r->at += strcspn(r->at, "\n");
        return true;
    }
    const char *name = pd_arena_copy(m->loader->arena, p + 1, length);
    r->at = p + 1 + length + 1;
    if (name)
        include(m, r, name);
    if (!m->line_start)
        put(m, r, '\n');
    return true;
}

enum state { PLAIN, STRING, LINE_COMMENT, BLOCK_COMMENT };

/* Strings and comments decide whether an @include counts. */
static enum state next_state(enum state state, const char *p, int *taken)
{
    *taken = 1;
    switch (state) {
    case PLAIN:
        if (p[0] == '"')
            return STRING;
        if (p[0] == '#')
            return LINE_COMMENT;
        if (p[0] == '/' && (p[1] == '/' || p[1] == '*')) {
            *taken = 2;
            return p[1] == '/' ? LINE_COMMENT : BLOCK_COMMENT;
        }
        return PLAIN;
    case STRING:
        if (p[0] == '\\' && (p[1] == '"' || p[1] == '\\'))
            *taken = 2;
        return p[0] == '"' ? PLAIN : STRING;
    case LINE_COMMENT:
        return p[0] == '\n' ? PLAIN : LINE_COMMENT;
    default:
        if (p[0] == '*' && p[1] == '/') {
            *taken = 2;
            return PLAIN;
        }
        return BLOCK_COMMENT;
    }
}

static void merge_file(merger *m, const char *path, const char *text, size_t length)
{
    static const char mark[] = "\xEF\xBB\xBF"; /* editors put it before UTF-8 text */
    reading r = { .file = path, .dir = folder_of(m->loader->arena, path), .at = text, .end = text + length, .line = 1 };
    enum state state = PLAIN;
    int opened = 1; /* line where the last string or comment starts */
    int broken = 0; /* where the first string starts that runs on to the next line */
    bool fresh = true; /* nothing of this line was taken yet */
    if (!strncmp(text, mark, 3))
        r.at += 3;
    while (r.at < r.end && r.dir && !m->stop) {
        if (fresh && state == PLAIN) {
            fresh = false;
            if (directive(m, &r))
                continue;
        }
        int taken;
        const enum state next = next_state(state, r.at, &taken);
        if (state == PLAIN && next != PLAIN)
            opened = r.line;
        if (state == STRING && *r.at == '\n' && !broken)
            broken = opened;
        state = next;
        for (int i = 0; i < taken; i++) {
            fresh = *r.at == '\n';
            put(m, &r, *r.at++);
            r.line += fresh;
        }
    }
    if (m->stop)
        return;
    if (state == STRING)
        complain(m, &r, broken ? broken : opened, "the string that starts here is never closed; add the missing \"");
    else if (state == BLOCK_COMMENT)
        complain(m, &r, opened, "the comment that starts here is never closed; add the missing */");
    if (!m->line_start)
        put(m, &r, '\n');
}

pudle_status pd_source_read(pd_loader *loader, const char *path, pd_source *source)
{
    char *text = NULL;
    const char *why = NULL;
    size_t length = 0;
    *source = (pd_source){ 0 };
    const pudle_status s = read_file(path, &text, &length, &why);
    loader->no_memory |= s == PUDLE_ERR_NOMEM;
    if (s == PUDLE_ERR_NOMEM)
        return s;
    if (s) {
        loader->errors++;
        return pd_fail(loader->ctx, s, "%s: %s; give the path of a config file", path, why);
    }
    merger m = { .loader = loader, .source = source, .line_start = true };
    merge_file(&m, path, text, length);
    free(text);
    return m.bad ? PUDLE_ERR_CONFIG : PUDLE_OK;
}

void pd_source_free(pd_source *source)
{
    free(source->text);
    free(source->line);
    *source = (pd_source){ 0 };
}

const pd_origin *pd_source_origin(const pd_source *source, int line)
{
    static const pd_origin nowhere = { "config", NULL, 1 };
    if (!source->lines)
        return &nowhere;
    return &source->line[line < 1 ? 0 : line > source->lines ? source->lines - 1 : line - 1];
}
