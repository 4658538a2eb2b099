/* Finding a plugin by kind and name, and the files that are loaded. */
#include "plugin/parts.h"
#include "config/parts.h"
#include "context_private.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const kinds[] = {
    [PUDLE_KIND_PROX] = "prox",
    [PUDLE_KIND_LOSS] = "loss",
    [PUDLE_KIND_DATA] = "data",
    [PUDLE_KIND_BACKEND] = "backend",
};

const char *pd_kind_name(int32_t kind)
{
    return kind >= PUDLE_KIND_PROX && kind <= PUDLE_KIND_BACKEND ? kinds[kind] : "?";
}

int32_t pd_kind_from_name(const char *name)
{
    for (int32_t kind = PUDLE_KIND_PROX; kind <= PUDLE_KIND_BACKEND; kind++)
        if (!strcmp(kinds[kind], name))
            return kind;
    return 0;
}

/* -------------------------------------------------------------- loaded files */

const pd_plugin *pd_file_plugin(const pd_file *file, int32_t kind, const char *name)
{
    for (int i = 0; i < file->count; i++)
        if (file->plugin[i].desc->kind == kind && !strcmp(file->plugin[i].desc->name, name))
            return &file->plugin[i];
    return NULL;
}

/* A plugin is found by its file's name, so every descriptor in a file must bear it. */
static pudle_status check_file_name(const pd_file *file, const char *path, pd_reason *why)
{
    const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path, *dot = strrchr(base, '.');
    const size_t length = dot && !strcmp(dot, ".so") ? (size_t)(dot - base) : strlen(base);
    for (int i = 0; i < file->count; i++) {
        const char *name = file->plugin[i].desc->name;
        if (strlen(name) != length || strncmp(name, base, length))
            return pd_refuse(why, PUDLE_ERR_ABI,
                             "holds %s '%s' under another name, and a plugin is found by its file's name: rename the file "
                             "to %s.so or the plugin to '%.*s'",
                             pd_kind_name(file->plugin[i].desc->kind), name, name, (int)length, base);
    }
    return PUDLE_OK;
}

static pudle_status open_real(pd_context *ctx, const char *path, const char *real, pd_reason *why, pd_file **out)
{
    pd_file *file = ctx->registry->files;
    while (file && strcmp(file->real, real))
        file = file->next;
    if (!file) {
        const pudle_status s = pd_file_load(ctx, path, real, why, &file);
        if (s)
            return s;
        file->next = ctx->registry->files;
        ctx->registry->files = file;
    }
    *out = file;
    return PUDLE_OK;
}

pudle_status pd_file_open(pd_context *ctx, const char *path, pd_reason *why, pd_file **out)
{
    pd_file *file = NULL;
    char *real = realpath(path, NULL);
    if (!real)
        return pd_refuse(why, errno == ENOENT ? PUDLE_ERR_NOTFOUND : PUDLE_ERR_IO, "cannot be read: %s", strerror(errno));
    pudle_status s = open_real(ctx, path, real, why, &file);
    free(real);
    if (!s)
        s = check_file_name(file, path, why);
    if (!s)
        *out = file;
    return s;
}

void pd_registry_destroy(pd_context *ctx)
{
    pd_registry *r = ctx->registry;
    if (!r)
        return;
    for (pd_file *file = r->files, *next; file; file = next) {
        next = file->next;
        pd_file_free(file);
    }
    for (int i = 0; i < r->dirs; i++)
        free(r->dir[i].path);
    free(r->dir);
    free(r);
    ctx->registry = NULL;
}

static char *absolute(const char *path)
{
    char *here = *path == '/' ? NULL : getcwd(NULL, 0);
    char *whole = here ? pd_format("%s/%s", here, path) : pd_strdup(path);
    free(here);
    return whole;
}

pudle_status pd_plugin_load_file(pd_context *ctx, const char *path, const pd_plugin **first, int *count)
{
    pd_registry *r = NULL;
    pd_file *file = NULL;
    pd_reason why;
    pudle_status s = pd_registry_get(ctx, &r);
    if (s)
        return s;
    char *whole = absolute(path);
    if (!whole)
        return pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
    s = pd_file_open(ctx, whole, &why, &file);
    if (s)
        pd_fail(ctx, s, "%s: %s", whole, why.text);
    free(whole);
    if (s)
        return s;
    *first = file->plugin;
    *count = file->count;
    return PUDLE_OK;
}

/* ------------------------------------------------------------------- search */

typedef struct search {
    pd_context *ctx;
    pd_registry *registry;
    int32_t kind;
    const char *name;
    FILE *tried; /* one line a path: what became of it */
} search;

enum { PLACES = 2 };

/* The two places of a directory where a plugin may stand: DIR/KIND/NAME.so and DIR/NAME.so. */
static char *place(const char *dir, int32_t kind, const char *name, int i)
{
    return i == 0 ? pd_format("%s/%s/%s.so", dir, pd_kind_name(kind), name) : pd_format("%s/%s.so", dir, name);
}

/* One place. PUDLE_OK with *found left NULL: nothing of that kind and name is there. */
static pudle_status look(search *s, const char *path, pd_file **found)
{
    struct stat info;
    pd_reason why;
    pd_file *file = NULL;
    if (stat(path, &info) && (errno == ENOENT || errno == ENOTDIR)) {
        fprintf(s->tried, "\n  %s: no such file", path);
        return PUDLE_OK;
    }
    const pudle_status status = pd_file_open(s->ctx, path, &why, &file);
    if (status) {
        fprintf(s->tried, "\n  %s: refused: %s", path, why.text);
        return status;
    }
    if (!pd_file_plugin(file, s->kind, s->name)) {
        fprintf(s->tried, "\n  %s: holds %s '%s', not a %s", path, pd_kind_name(file->plugin[0].desc->kind), s->name,
                pd_kind_name(s->kind));
        return PUDLE_OK;
    }
    *found = file;
    return PUDLE_OK;
}

/* One directory. Two different files for one plugin in it are an error: which is meant cannot be known. */
static pudle_status look_in(search *s, const char *dir, pd_file **found)
{
    pd_file *here[PLACES] = { NULL, NULL };
    pudle_status status = PUDLE_OK;
    struct stat info;
    if (stat(dir, &info)) {
        fprintf(s->tried, "\n  %s: no such directory", dir);
        return PUDLE_OK;
    }
    for (int i = 0; i < PLACES && !status; i++) {
        char *path = place(dir, s->kind, s->name, i);
        status = path ? look(s, path, &here[i]) : PUDLE_ERR_NOMEM;
        free(path);
    }
    if (status)
        return status;
    if (here[0] && here[1] && here[0] != here[1]) {
        fprintf(s->tried, "\n  %s: holds it twice, as %s and %s: remove one", dir, here[0]->path, here[1]->path);
        return PUDLE_ERR_CONFIG;
    }
    *found = here[0] ? here[0] : here[1];
    return PUDLE_OK;
}

/* Later directories do not count, but the user should know that they were meant to. */
static void tell_shadows(search *s, int from, pd_file *chosen)
{
    if (chosen->shadows_told)
        return;
    chosen->shadows_told = true;
    for (int i = from; i < s->registry->dirs; i++) {
        for (int k = 0; k < PLACES && !pd_directory_skipped(s->registry, i); k++) {
            char *path = place(s->registry->dir[i].path, s->kind, s->name, k), *real = path ? realpath(path, NULL) : NULL;
            if (real && strcmp(real, chosen->real))
                pd_log(s->ctx, PUDLE_LOG_INFO, "%s '%s' is taken from %s, which comes before %s", pd_kind_name(s->kind),
                       s->name, chosen->path, path);
            free(real);
            free(path);
        }
    }
}

static pudle_status walk(search *s, const pd_plugin **out)
{
    for (int i = 0; i < s->registry->dirs; i++) {
        pd_file *file = NULL;
        if (pd_directory_skipped(s->registry, i))
            continue;
        const pudle_status status = look_in(s, s->registry->dir[i].path, &file);
        if (status)
            return status;
        if (file) {
            tell_shadows(s, i + 1, file);
            *out = pd_file_plugin(file, s->kind, s->name);
            return PUDLE_OK;
        }
    }
    return PUDLE_ERR_NOTFOUND;
}

/* ----------------------------------------------------------- what to suggest */

/* Offer the file names of one directory; best is a copy, as they live only while it is open. */
static void offer_directory(const char *dir, pd_nearest *nearest, char best[PD_NAME_LIMIT + 1])
{
    DIR *d = dir ? opendir(dir) : NULL;
    for (struct dirent *e; d && (e = readdir(d));) {
        char name[PD_NAME_LIMIT + 1];
        const size_t length = strlen(e->d_name);
        if (length < 4 || length - 3 > PD_NAME_LIMIT || strcmp(e->d_name + length - 3, ".so"))
            continue;
        memcpy(name, e->d_name, length - 3);
        name[length - 3] = '\0';
        pd_nearest_offer(nearest, name);
        if (nearest->best == name) {
            memcpy(best, name, length - 2);
            nearest->best = best;
        }
    }
    if (d)
        closedir(d);
}

/* The name of a file most like the one wanted; files are not loaded for that. "" when none is near. */
static void suggest(const search *s, char best[PD_NAME_LIMIT + 1])
{
    pd_nearest nearest = { .word = s->name };
    best[0] = '\0';
    for (int i = 0; i < s->registry->dirs; i++) {
        const char *dir = s->registry->dir[i].path;
        if (pd_directory_skipped(s->registry, i))
            continue;
        char *sub = pd_format("%s/%s", dir, pd_kind_name(s->kind));
        offer_directory(sub, &nearest, best);
        offer_directory(dir, &nearest, best);
        free(sub);
    }
}

/* The kind under whose folder the name does exist; 0: none. */
static int32_t other_kind(const search *s)
{
    for (int32_t kind = PUDLE_KIND_PROX; kind <= PUDLE_KIND_BACKEND; kind++) {
        for (int i = 0; i < s->registry->dirs && kind != s->kind; i++) {
            char *path = place(s->registry->dir[i].path, kind, s->name, 0);
            const bool there = path && !pd_directory_skipped(s->registry, i) && !access(path, F_OK);
            free(path);
            if (there)
                return kind;
        }
    }
    return 0;
}

static pudle_status report(const search *s, pudle_status status, const char *tried)
{
    const char *kind = pd_kind_name(s->kind);
    char best[PD_NAME_LIMIT + 1];
    if (status == PUDLE_ERR_NOMEM)
        return pd_fail(s->ctx, status, "out of memory");
    if (status != PUDLE_ERR_NOTFOUND)
        return pd_fail(s->ctx, status, "%s '%s' cannot be used; looked at%s", kind, s->name, tried);
    suggest(s, best);
    const int32_t other = best[0] ? 0 : other_kind(s);
    if (other)
        return pd_fail(s->ctx, status, "%s '%s' not found (there is a %s of that name); looked at%s", kind, s->name,
                       pd_kind_name(other), tried);
    pd_fail(s->ctx, status, "%s '%s' not found%s%s%s; looked at%s", kind, s->name, best[0] ? " (did you mean '" : "", best,
            best[0] ? "'?)" : "", *tried ? tried : " nothing: there is no directory to search");
    return pd_plugin_path_empty(s->ctx) ? pd_fail(s->ctx, status, PD_NO_PLUGINS) : status;
}

static pudle_status refuse_relative(pd_context *ctx, const pd_registry *r)
{
    for (int i = 0; i < r->dirs; i++)
        if (r->dir[i].relative)
            return pd_fail(ctx, PUDLE_ERR_CONFIG,
                           "%s: '%s' is a relative path, and plugins are never searched relative to the working directory: "
                           "write the absolute path",
                           pd_path_source(r->dir[i].source), r->dir[i].path);
    return PUDLE_OK;
}

pudle_status pd_plugin_find(pd_context *ctx, int32_t kind, const char *name, const pd_plugin **out)
{
    search s = { .ctx = ctx, .kind = kind, .name = name };
    char *tried = NULL;
    size_t bytes = 0;
    pudle_status status = pd_registry_get(ctx, &s.registry);
    if (!status)
        status = refuse_relative(ctx, s.registry);
    if (status)
        return status;
    s.tried = pd_text_stream(&tried, &bytes);
    if (!s.tried)
        return pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
    if (pd_name_valid(name)) {
        status = walk(&s, out);
    } else { /* must not become part of a path */
        fputs(" no file: a plugin's name is a letter, then letters, digits and _, all lower case", s.tried);
        status = PUDLE_ERR_NOTFOUND;
    }
    if (fclose(s.tried))
        status = PUDLE_ERR_NOMEM;
    if (status)
        report(&s, status, tried);
    free(tried);
    return status;
}
