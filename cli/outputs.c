/* Before any work: can the results be written, and is nothing lost by that? */
#include "cli.h"
#include "train/fingerprint.h"
#include "train/rundir.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* Folder and name of a path; the caller frees the folder. */
static char *folder_of(const char *path, const char **name)
{
    const char *slash = strrchr(path, '/');
    *name = slash ? slash + 1 : path;
    return slash == path ? pd_strdup("/") : slash ? pd_format("%.*s", (int)(slash - path), path) : pd_strdup(".");
}

bool cli_same_file(const char *a, const char *b)
{
    struct stat one, two, folder[2];
    const char *name[2];
    if (!stat(a, &one) && !stat(b, &two))
        return one.st_dev == two.st_dev && one.st_ino == two.st_ino;
    char *const at[2] = { folder_of(a, &name[0]), folder_of(b, &name[1]) };
    const bool same = at[0] && at[1] && !strcmp(name[0], name[1]) && !stat(at[0], &folder[0]) && !stat(at[1], &folder[1]) &&
                      folder[0].st_dev == folder[1].st_dev && folder[0].st_ino == folder[1].st_ino;
    free(at[0]);
    free(at[1]);
    return same;
}

static pudle_status check_folder(pd_context *ctx, const cli_file *out)
{
    struct stat info;
    const char *name;
    char *folder = folder_of(out->path, &name);
    pudle_status s = folder ? PUDLE_OK : pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
    if (!s && (stat(folder, &info) || !S_ISDIR(info.st_mode)))
        s = pd_fail(ctx, PUDLE_ERR_CONFIG, "%s %s: there is no folder %s; make it, or give another path", out->what, out->path, folder);
    else if (!s && access(folder, W_OK))
        s = pd_fail(ctx, PUDLE_ERR_CONFIG, "%s %s: nothing can be written in %s: %s", out->what, out->path, folder, strerror(errno));
    free(folder);
    return s;
}

/* A name that promises another format would be believed. CSV is text, and any other ending is the user's own. */
static pudle_status check_format(pd_context *ctx, const cli_file *out)
{
    static const char *const formats[] = { ".npy", ".npz", ".csv", ".tsv", ".txt", ".json", ".xlsx", ".mat", ".h5", ".hdf5", ".parquet", ".safetensors", ".pt", ".pkl",
                                           ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".pdf", ".svg", ".html", ".zip", ".gz" };
    const char *slash = strrchr(out->path, '/'), *name = slash ? slash + 1 : out->path, *dot = strrchr(name, '.');
    if (!dot || !out->format || !strcasecmp(dot, out->format) || (!strcmp(out->format, ".csv") && !strcasecmp(dot, ".txt")))
        return PUDLE_OK;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (!strcasecmp(dot, formats[i]))
            return pd_fail(ctx, PUDLE_ERR_CONFIG, "%s %s: what is written is %s, and this name says %s: write  %s %.*s%s", out->what, out->path, out->format + 1, dot + 1,
                           out->what, (int)(dot - out->path), out->path, out->format);
    return PUDLE_OK;
}

typedef struct comparison { pd_context *ctx; const cli_file *out; int outs; pudle_status s; } comparison;

/* A file that the config names; "a.npz:name" is in a.npz. */
static void compare(void *user, const char *key, const char *path)
{
    comparison *c = user;
    struct stat info;
    const char *colon = strrchr(path, ':');
    char *plain = colon && stat(path, &info) ? pd_format("%.*s", (int)(colon - path), path) : pd_strdup(path);
    for (int i = 0; i < c->outs && plain; i++)
        if (c->out[i].path && cli_same_file(c->out[i].path, plain))
            c->s = pd_fail(c->ctx, PUDLE_ERR_CONFIG, "%s %s: would overwrite what is read (%s)", c->out[i].what, c->out[i].path, key);
    free(plain);
}

pudle_status cli_check_outputs(pd_context *ctx, const pd_settings *settings, const cli_file out[], int outs, const cli_file in[], int ins)
{
    comparison named = { ctx, out, outs, PUDLE_OK };
    pudle_status s = settings ? pd_named_files(ctx, settings, compare, &named) : PUDLE_OK;
    if (!s)
        s = named.s;
    for (int i = 0; i < outs && !s; i++) {
        if (!out[i].path)
            continue;
        bool of_a_run = false;
        s = check_folder(ctx, &out[i]);
        if (!s)
            s = pd_rundir_owns(ctx, out[i].path, &of_a_run);
        if (of_a_run)
            s = pd_fail(ctx, PUDLE_ERR_CONFIG, "%s %s: is a file of a run, which would be lost", out[i].what, out[i].path);
        for (int k = 0; k < ins && !s; k++)
            if (in[k].path && cli_same_file(out[i].path, in[k].path))
                s = pd_fail(ctx, PUDLE_ERR_CONFIG, "%s %s: would overwrite what is read (%s)", out[i].what, out[i].path, in[k].what);
        for (int k = 0; k < i && !s; k++)
            if (out[k].path && cli_same_file(out[i].path, out[k].path))
                s = pd_fail(ctx, PUDLE_ERR_CONFIG, "%s %s: is what %s writes", out[i].what, out[i].path, out[k].what);
        if (!s)
            s = check_format(ctx, &out[i]);
    }
    return s;
}

pudle_status cli_check_folder(pd_context *ctx, const pd_settings *settings, const char *folder, const char *const names[], const cli_file in[], int ins)
{
    enum { MOST = 16 };
    cli_file out[MOST];
    char *path[MOST];
    int count = 0;
    pudle_status s = PUDLE_OK;
    if (mkdir(folder, 0777) && errno != EEXIST)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "--out %s: cannot make the folder: %s", folder, strerror(errno));
    for (; names[count] && count < MOST && !s; count++) {
        path[count] = pd_format("%s/%s", folder, names[count]);
        out[count] = (cli_file){ "--out", path[count], NULL };
        s = path[count] ? PUDLE_OK : pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory");
    }
    if (!s)
        s = cli_check_outputs(ctx, settings, out, count, in, ins);
    while (count > 0)
        free(path[--count]);
    return s;
}
