/* Listing a folder: all its files, sorted, then those that are pictures. */
#include "picture_list.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static pudle_status no_memory(const pudle_host *host)
{
    return host->fail(host->ctx, PUDLE_ERR_NOMEM, "no memory for a list of files");
}

static pudle_status grow(const pudle_host *host, picture_list *list)
{
    const int64_t room = list->room ? 2 * list->room : 64;
    char **path = host->alloc(host->ctx, (size_t)room * sizeof *path);
    if (!path)
        return no_memory(host);
    if (list->count)
        memcpy(path, list->path, (size_t)list->count * sizeof *path);
    host->free(host->ctx, list->path);
    list->path = path;
    list->room = room;
    return PUDLE_OK;
}

/* Appends folder/name, or name alone without a folder. */
static pudle_status append(const pudle_host *host, picture_list *list, const char *folder, const char *name)
{
    const pudle_status s = list->count < list->room ? PUDLE_OK : grow(host, list);
    if (s)
        return s;
    const size_t bytes = (folder ? strlen(folder) + 1 : 0) + strlen(name) + 1;
    char *path = host->alloc(host->ctx, bytes);
    if (!path)
        return no_memory(host);
    snprintf(path, bytes, "%s%s%s", folder ? folder : "", folder ? "/" : "", name);
    list->path[list->count++] = path;
    return PUDLE_OK;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static pudle_status list_entries(const pudle_host *host, const char *folder, picture_list *list)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return host->fail(host->ctx, PUDLE_ERR_IO, "%s: the folder cannot be read: %s", folder, strerror(errno));
    pudle_status s = PUDLE_OK;
    const struct dirent *entry;
    while (errno = 0, !s && (entry = readdir(dir)))
        s = append(host, list, folder, entry->d_name);
    if (!s && errno)
        s = host->fail(host->ctx, PUDLE_ERR_IO, "%s: the folder cannot be read to its end: %s", folder, strerror(errno));
    closedir(dir);
    if (!s)
        qsort(list->path, (size_t)list->count, sizeof *list->path, by_bytes);
    return s;
}

/* One kind of entry that is passed over: how many, and the first. */
typedef struct passed { int64_t count; char example[200]; } passed;

static void pass_over(passed *kind, const char *name)
{
    if (kind->count++ == 0)
        snprintf(kind->example, sizeof kind->example, "%s", name);
}

/* Folders are told of, unless they are hidden; what vanished since the folder was read is not. */
static pudle_status look_at(const pudle_host *host, const char *path, const char *name, passed *files, passed *folders, bool *keep)
{
    struct stat st;
    picture_kind kind = PICTURE_NEITHER;
    if (stat(path, &st))
        return PUDLE_OK;
    if (S_ISDIR(st.st_mode)) {
        if (name[0] != '.')
            pass_over(folders, name);
        return PUDLE_OK;
    }
    const pudle_status s = S_ISREG(st.st_mode) ? picture_probe(host, path, &kind) : PUDLE_OK;
    *keep = !s && kind != PICTURE_NEITHER;
    if (!s && !*keep)
        pass_over(files, name);
    return s;
}

static void tell(const pudle_host *host, const char *folder, int64_t pictures, const passed *files, const passed *folders)
{
    char what[2][320] = { "", "" };
    if (files->count)
        snprintf(what[0], sizeof what[0], "%lld files that are neither PNG nor JPEG, for instance %s", (long long)files->count, files->example);
    if (folders->count)
        snprintf(what[1], sizeof what[1], "%lld folder%s with what is in %s, for instance %s", (long long)folders->count, folders->count == 1 ? "" : "s",
                 folders->count == 1 ? "it" : "them", folders->example);
    if (files->count || folders->count)
        host->log(host->ctx, PUDLE_LOG_INFO, "%s: %lld pictures; skipped %s%s%s", folder, (long long)pictures, what[0], *what[0] && *what[1] ? "; and " : "", what[1]);
}

/* Moves the pictures to the front and frees the rest. */
static pudle_status keep_pictures(const pudle_host *host, const char *folder, picture_list *list)
{
    int64_t kept = 0;
    passed files = { 0 }, folders = { 0 };
    pudle_status s = PUDLE_OK;
    for (int64_t i = 0; i < list->count; i++) {
        char *path = list->path[i];
        bool keep = false;
        if (!s)
            s = look_at(host, path, path + strlen(folder) + 1, &files, &folders, &keep);
        if (keep)
            list->path[kept++] = path;
        else
            host->free(host->ctx, path);
    }
    list->count = kept;
    if (s)
        return s;
    if (kept == 0)
        return host->fail(host->ctx, PUDLE_ERR_NOTFOUND, "%s: no PNG or JPEG picture in this folder (%lld other files%s)", folder, (long long)files.count,
                          folders.count ? "; folders in it are not looked into" : "");
    tell(host, folder, kept, &files, &folders);
    return PUDLE_OK;
}

pudle_status picture_list_make(const pudle_host *host, const char *path, picture_list *list)
{
    struct stat st;
    if (stat(path, &st))
        return host->fail(host->ctx, errno == ENOENT ? PUDLE_ERR_NOTFOUND : PUDLE_ERR_IO, "%s: cannot be opened: %s", path,
                          strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return append(host, list, NULL, path);
    const pudle_status s = list_entries(host, path, list);
    return s ? s : keep_pictures(host, path, list);
}

void picture_list_free(const pudle_host *host, picture_list *list)
{
    for (int64_t i = 0; i < list->count; i++)
        host->free(host->ctx, list->path[i]);
    host->free(host->ctx, list->path);
    *list = (picture_list){ .path = NULL };
}
