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

/* Folders, "." and ".." among them, are passed over; so is what vanished since the folder was read. */
static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) || S_ISDIR(st.st_mode);
}

static pudle_status is_picture(const pudle_host *host, const char *path, bool *is)
{
    struct stat st;
    picture_kind kind = PICTURE_NEITHER;
    const bool regular = !stat(path, &st) && S_ISREG(st.st_mode);
    const pudle_status s = regular ? picture_probe(host, path, &kind) : PUDLE_OK;
    *is = kind != PICTURE_NEITHER;
    return s;
}

/* Moves the pictures to the front and frees the rest. */
static pudle_status keep_pictures(const pudle_host *host, const char *folder, picture_list *list)
{
    int64_t kept = 0, skipped = 0;
    char example[256] = "";
    pudle_status s = PUDLE_OK;
    for (int64_t i = 0; i < list->count; i++) {
        char *path = list->path[i];
        bool keep = false;
        if (!s && !is_folder(path)) {
            s = is_picture(host, path, &keep);
            if (!s && !keep && skipped++ == 0)
                snprintf(example, sizeof example, "%s", path + strlen(folder) + 1);
        }
        if (keep)
            list->path[kept++] = path;
        else
            host->free(host->ctx, path);
    }
    list->count = kept;
    if (s)
        return s;
    if (kept == 0)
        return host->fail(host->ctx, PUDLE_ERR_NOTFOUND, "%s: no PNG or JPEG picture in this folder (%lld other files)",
                          folder, (long long)skipped);
    if (skipped)
        host->log(host->ctx, PUDLE_LOG_INFO, "%s: %lld pictures; skipped %lld files that are neither PNG nor JPEG, for "
                  "instance %s", folder, (long long)kept, (long long)skipped, example);
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
