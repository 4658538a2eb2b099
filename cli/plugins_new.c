/* plugins new KIND NAME: a folder that compiles and passes its checks as it is, made from templates/common and templates/KIND.
 * Templates are plain files: @NAME@ and @KIND@ stand in their text, NAME in their names. The folder is made under another name
 * and gets its own when it is whole; what was there before is never touched. */
#include "cli.h"
#include "plugin/registry.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEMPLATE_MOST = 1 << 20 /* bytes of a file; a template is text */ };

typedef struct folder {
    pd_context *ctx;
    const char *kind, *name;
    char *path, *temporary; /* its final place, and where it is put together */
} folder;

static pudle_status no_memory(pd_context *ctx)
{
    return pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
}

/* ---------------------------------------------------------------- one file */

/* text with every `word` replaced; malloc'ed, NULL without memory. */
static char *replaced(const char *text, const char *word, const char *by)
{
    size_t count = 0;
    for (const char *p = text; (p = strstr(p, word)); p += strlen(word))
        count++;
    char *out = malloc(strlen(text) + count * strlen(by) + 1), *to = out;
    if (!out)
        return NULL;
    for (const char *p; (p = strstr(text, word)); text = p + strlen(word)) {
        memcpy(to, text, (size_t)(p - text));
        to = stpcpy(to + (p - text), by);
    }
    strcpy(to, text);
    return out;
}

static pudle_status read_text(pd_context *ctx, const char *path, char **text)
{
    FILE *file = fopen(path, "r");
    char *buffer = malloc(TEMPLATE_MOST + 1);
    pudle_status s = PUDLE_OK;
    if (!file)
        s = pd_fail(ctx, PUDLE_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
    else if (!buffer)
        s = no_memory(ctx);
    if (!s) {
        const size_t length = fread(buffer, 1, TEMPLATE_MOST + 1, file);
        if (ferror(file))
            s = pd_fail(ctx, PUDLE_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
        else if (length > TEMPLATE_MOST || memchr(buffer, '\0', length))
            s = pd_fail(ctx, PUDLE_ERR_IO, "%s: not a template: too long, or no text", path);
        else
            buffer[length] = '\0';
    }
    if (file)
        fclose(file);
    if (s)
        free(buffer);
    else
        *text = buffer;
    return s;
}

static pudle_status write_text(pd_context *ctx, const char *path, const char *text)
{
    FILE *file = fopen(path, "wx");
    if (!file)
        return pd_fail(ctx, PUDLE_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
    bool bad = fputs(text, file) < 0;
    bad = fclose(file) != 0 || bad;
    return bad ? pd_fail(ctx, PUDLE_ERR_IO, "%s: writing failed: %s", path, strerror(errno)) : PUDLE_OK;
}

static pudle_status copy_template(const folder *f, const char *from, const char *file)
{
    char *text = NULL, *named = NULL, *done = NULL, *name = replaced(file, "NAME", f->name);
    char *source = pd_format("%s/%s", from, file), *target = name ? pd_format("%s/%s", f->temporary, name) : NULL;
    pudle_status s = source && target ? read_text(f->ctx, source, &text) : no_memory(f->ctx);
    if (!s) {
        named = replaced(text, "@NAME@", f->name);
        done = named ? replaced(named, "@KIND@", f->kind) : NULL;
        s = done ? write_text(f->ctx, target, done) : no_memory(f->ctx);
    }
    free(text);
    free(named);
    free(done);
    free(name);
    free(source);
    free(target);
    return s;
}

/* --------------------------------------------------------------- the folder */

/* Every file of a folder of templates; hidden ones and what editors leave behind (NAME.c~) are none. */
static pudle_status copy_templates(const folder *f, const char *templates, const char *which)
{
    char *from = pd_format("%s/%s", templates, which);
    if (!from)
        return no_memory(f->ctx);
    DIR *dir = opendir(from);
    pudle_status s = PUDLE_OK;
    if (!dir)
        s = pd_fail(f->ctx, PUDLE_ERR_NOTFOUND, "%s: no templates here: %s; $PUDLE_TEMPLATES can name the folder `templates` of a "
                    "source tree or of an installation", from, strerror(errno));
    for (struct dirent *e; !s && (e = readdir(dir));)
        if (*e->d_name != '.' && e->d_name[strlen(e->d_name) - 1] != '~')
            s = copy_template(f, from, e->d_name);
    if (dir)
        closedir(dir);
    free(from);
    return s;
}

/* Only what was written here can be in it: plain files. */
static void remove_temporary(const folder *f)
{
    DIR *dir = opendir(f->temporary);
    for (struct dirent *e; dir && (e = readdir(dir));)
        unlinkat(dirfd(dir), e->d_name, 0);
    if (dir)
        closedir(dir);
    rmdir(f->temporary);
}

static pudle_status already_there(const folder *f)
{
    return pd_fail(f->ctx, PUDLE_ERR_CONFIG, "%s: exists already and is left as it is: choose another name, or another folder with --dir",
                   f->path);
}

/* The check before is for the message; the rename itself replaces nothing but an empty folder. */
static pudle_status put_in_place(const folder *f)
{
    struct stat info;
    if (cli_stop)
        return pd_fail(f->ctx, PUDLE_ERR_IO, "interrupted: nothing was made");
    if (!lstat(f->path, &info))
        return already_there(f);
    if (rename(f->temporary, f->path))
        return errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR
                   ? already_there(f)
                   : pd_fail(f->ctx, PUDLE_ERR_IO, "%s: cannot be made: %s", f->path, strerror(errno));
    return PUDLE_OK;
}

static pudle_status make_folder(const folder *f, const char *templates)
{
    struct stat info;
    if (!lstat(f->path, &info))
        return already_there(f);
    if (mkdir(f->temporary, 0777))
        return pd_fail(f->ctx, PUDLE_ERR_IO, "%s: cannot be made: %s; --dir takes a folder that exists and can be written to", f->path,
                       strerror(errno));
    pudle_status s = copy_templates(f, templates, "common");
    if (!s)
        s = copy_templates(f, templates, f->kind);
    if (!s)
        s = put_in_place(f);
    if (s)
        remove_temporary(f);
    return s;
}

/* ----------------------------------------------------------------- arguments */

static pudle_status check_kind(pd_context *ctx, const char *kind)
{
    switch (pd_kind_from_name(kind)) {
    case PUDLE_KIND_PROX:
    case PUDLE_KIND_LOSS:
    case PUDLE_KIND_DATA: return PUDLE_OK;
    case PUDLE_KIND_BACKEND:
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "there is no template for a backend: it has some thirty functions, and none can be left "
                       "out; start from a copy of plugins/backend/ref in the source tree");
    default: return pd_fail(ctx, PUDLE_ERR_CONFIG, "'%s' is not a kind of plugin with a template: there are prox, loss and data", kind);
    }
}

static pudle_status check_name(pd_context *ctx, const char *name)
{
    if (!pd_name_valid(name))
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "the name '%.80s' is not allowed: a letter, then letters, digits and _, all lower case, at "
                       "most %d", name, PD_NAME_LIMIT);
    return PUDLE_OK;
}

static void print_next_steps(const folder *f)
{
    printf("made %s\n"
           "  %s.c      the plugin, complete: change it\n"
           "  Makefile, example.cfg, test.sh, README.md\n"
           "next: cd %s && make check\n", f->path, f->name, f->path);
}

static void note_namesake(const folder *f)
{
    const pd_plugin *other = NULL;
    if (!pd_plugin_find(f->ctx, pd_kind_from_name(f->kind), f->name, &other))
        pd_log(f->ctx, PUDLE_LOG_WARNING, "there is a %s '%s' already, %s: where yours is found first, as with --plugin-path, it stands for it; another name keeps both",
               f->kind, f->name, other->path);
    pd_error_clear(f->ctx); /* that there is none */
}

int cli_plugins_new(pd_context *ctx, const cli_args *args)
{
    const char *given = getenv("PUDLE_TEMPLATES"), *dir = args->dir ? args->dir : ".";
    folder f = { .ctx = ctx, .kind = args->positional[1], .name = args->positional[2] };
    if (args->format)
        return cli_setup_failed(ctx, pd_fail(ctx, PUDLE_ERR_CONFIG, "pudle plugins new: --format belongs to pudle plugins info"));
    const pudle_status kind = check_kind(ctx, f.kind), name = check_name(ctx, f.name);
    if (kind || name)
        return cli_setup_failed(ctx, PUDLE_ERR_CONFIG);
    cli_stop_on_signals();
    f.path = args->dir ? pd_format("%s/%s", dir, f.name) : pd_strdup(f.name);
    f.temporary = pd_format("%s/.%s.new-%ld", dir, f.name, (long)getpid());
    char *build = pd_build_folder(), *own = build ? pd_format("%s/templates", build) : NULL;
    const char *templates = given && *given ? given : own ? own : PD_TEMPLATE_DIR;
    const pudle_status s = f.path && f.temporary ? make_folder(&f, templates) : no_memory(ctx);
    if (!s) {
        print_next_steps(&f);
        note_namesake(&f);
    }
    free(own);
    free(build);
    free(f.path);
    free(f.temporary);
    return s ? cli_run_failed(ctx, s) : CLI_DONE;
}
