/* The search directories, in order, and where each comes from. */
#include "plugin/parts.h"
#include "context_private.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const sources[PD_PATH_SOURCES] = {
    [PD_FROM_COMMAND_LINE] = "--plugin-path",       [PD_FROM_ENVIRONMENT] = "$PUDLE_PLUGIN_PATH",
    [PD_FROM_CONFIG] = "plugin_path of the config", [PD_FROM_USER_DIR] = "the user's data directory",
    [PD_FROM_BUILD] = "the build folder that this program is run from",
    [PD_FROM_INSTALL] = "the installation",
};

const char *pd_path_source(int source)
{
    return source >= 0 && source < PD_PATH_SOURCES ? sources[source] : "?";
}

/* Behind the directories of the same and of earlier sources. Takes the path. */
static pudle_status insert(pd_registry *r, int source, char *path)
{
    pd_directory *larger = path ? realloc(r->dir, ((size_t)r->dirs + 1) * sizeof *larger) : NULL;
    if (!larger) {
        free(path);
        return PUDLE_ERR_NOMEM;
    }
    r->dir = larger;
    int at = r->dirs++;
    for (; at > 0 && r->dir[at - 1].source > source; at--)
        r->dir[at] = r->dir[at - 1];
    r->dir[at] = (pd_directory){ path, source, *path != '/' };
    return PUDLE_OK;
}

/* Trailing slashes do not make another directory. */
static char *trimmed(const char *start, size_t length)
{
    while (length > 1 && start[length - 1] == '/')
        length--;
    return pd_format("%.*s", (int)length, start);
}

/* Every entry of a colon-separated path; empty ones are skipped, never taken for the working directory. */
static pudle_status insert_all(pd_registry *r, int source, const char *path)
{
    for (const char *p = path; *p;) {
        const size_t length = strcspn(p, ":");
        if (length && insert(r, source, trimmed(p, length)))
            return PUDLE_ERR_NOMEM;
        p += length + (p[length] == ':');
    }
    return PUDLE_OK;
}

static pudle_status insert_user_dir(pd_registry *r)
{
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    if (data && *data == '/') /* the XDG specification: a relative value is as good as none */
        return insert(r, PD_FROM_USER_DIR, pd_format("%s/pudle/abi%d", data, PUDLE_ABI_MAJOR));
    if (home && *home == '/')
        return insert(r, PD_FROM_USER_DIR, pd_format("%s/.local/share/pudle/abi%d", home, PUDLE_ABI_MAJOR));
    return PUDLE_OK;
}

char *pd_build_folder(void)
{
    char self[4096];
    const ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length <= 0)
        return NULL;
    self[length] = '\0';
    *strrchr(self, '/') = '\0';
    char *last = strrchr(self, '/');
    if (last && !strcmp(last, "/.libs")) /* libtool's, beside a script of the program's name */
        *last = '\0';
    char *status = pd_format("%s/config.status", self), *plugins = pd_format("%s/abi%d", self, PUDLE_ABI_MAJOR);
    const bool there = status && plugins && !access(status, F_OK) && !access(plugins, X_OK);
    free(status);
    free(plugins);
    return there ? pd_strdup(self) : NULL;
}

/* Whoever says where plugins are is believed. */
static pudle_status insert_build_folder(pd_registry *r)
{
    char *folder = getenv("PUDLE_PLUGIN_PATH") ? NULL : pd_build_folder();
    const pudle_status s = folder ? insert(r, PD_FROM_BUILD, pd_format("%s/abi%d", folder, PUDLE_ABI_MAJOR)) : PUDLE_OK;
    free(folder);
    return s;
}

static pudle_status insert_defaults(pd_registry *r)
{
    const char *environment = getenv("PUDLE_PLUGIN_PATH");
    pudle_status s = environment ? insert_all(r, PD_FROM_ENVIRONMENT, environment) : PUDLE_OK;
    if (!s)
        s = insert_user_dir(r);
    if (!s)
        s = insert_build_folder(r);
    return s ? s : insert(r, PD_FROM_INSTALL, pd_strdup(PD_PLUGIN_DIR));
}

pudle_status pd_registry_get(pd_context *ctx, pd_registry **out)
{
    if (!ctx->registry)
        ctx->registry = calloc(1, sizeof *ctx->registry);
    pd_registry *r = ctx->registry;
    if (!r)
        return pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
    if (!r->defaults && insert_defaults(r))
        return pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
    r->defaults = true;
    *out = r;
    return PUDLE_OK;
}

static pudle_status refuse_relative(pd_context *ctx, int source, const char *entry, size_t length)
{
    char *here = getcwd(NULL, 0);
    const pudle_status s = pd_fail(ctx, PUDLE_ERR_CONFIG,
                                   "%s: '%.*s' is a relative path, and plugins are never searched relative to the working "
                                   "directory: write %s/%.*s",
                                   pd_path_source(source), (int)length, entry, here ? here : "", (int)length, entry);
    free(here);
    return s;
}

pudle_status pd_plugin_path_add(pd_context *ctx, int source, const char *path)
{
    pd_registry *r = NULL;
    if (source < 0 || source >= PD_PATH_SOURCES)
        return pd_fail(ctx, PUDLE_ERR_ARG, "plugin path: %d is no source", source);
    const pudle_status s = pd_registry_get(ctx, &r);
    if (s)
        return s;
    for (const char *p = path; *p;) {
        const size_t length = strcspn(p, ":");
        if (length && *p != '/')
            return refuse_relative(ctx, source, p, length);
        p += length + (p[length] == ':');
    }
    return insert_all(r, source, path) ? pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory") : PUDLE_OK;
}

char *pd_plugin_path_text(pd_context *ctx, int source)
{
    pd_registry *r = NULL;
    char *text = pd_registry_get(ctx, &r) ? NULL : pd_strdup("");
    for (int i = 0; text && i < r->dirs; i++) {
        if (r->dir[i].source != source || r->dir[i].relative)
            continue;
        char *longer = pd_format("%s%s%s", text, *text ? ":" : "", r->dir[i].path);
        free(text);
        text = longer;
    }
    return text;
}

bool pd_plugin_path_empty(pd_context *ctx)
{
    pd_registry *r = NULL;
    if (pd_registry_get(ctx, &r))
        return false;
    for (int i = 0; i < r->dirs; i++)
        if (!r->dir[i].relative && !access(r->dir[i].path, X_OK))
            return false;
    return true;
}

bool pd_directory_skipped(const pd_registry *r, int i)
{
    bool skipped = r->dir[i].relative;
    for (int k = 0; k < i && !skipped; k++)
        skipped = !strcmp(r->dir[k].path, r->dir[i].path);
    return skipped;
}

void pd_plugin_path_describe(pd_context *ctx, FILE *to)
{
    pd_registry *r = NULL;
    if (pd_registry_get(ctx, &r))
        return;
    for (int i = 0; i < r->dirs; i++) {
        const pd_directory *d = &r->dir[i];
        struct stat info;
        const char *state = d->relative                    ? "refused: not an absolute path"
                            : pd_directory_skipped(r, i)   ? "named above"
                            : stat(d->path, &info)         ? "does not exist"
                            : !S_ISDIR(info.st_mode)       ? "not a directory"
                            : access(d->path, R_OK | X_OK) ? "not readable"
                                                           : "exists";
        fprintf(to, "%s  (%s; %s)\n", d->path, pd_path_source(d->source), state);
    }
}
