/* core/tensor/atomic.c - files that appear whole or not at all.
 * Writers need not look at the result of each fwrite: an error sticks to the stream and makes the commit fail. A process
 * that is killed leaves PATH.tmp-PID-N behind and the old file as it was. */
#include "arrays.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct pd_atomic {
    FILE *stream;
    char *path, *temporary;
};

static void discard(pd_atomic *file)
{
    free(file->path);
    free(file->temporary);
    free(file);
}

/* The file that is replaced: behind a symbolic link its target, so that the link stays. A device must never be renamed
 * over. */
static pudle_status find_target(pd_context *ctx, const char *path, char **target, bool *exists, mode_t *mode)
{
    struct stat info;
    *exists = stat(path, &info) == 0;
    if (*exists && !S_ISREG(info.st_mode))
        return pd_fail(ctx, PUDLE_ERR_IO, "%s: cannot write: it exists and is %s; give another path", path,
                       S_ISDIR(info.st_mode) ? "a folder" : "not a regular file");
    *mode = *exists ? info.st_mode & 0777 : 0;
    char *found = *exists ? realpath(path, NULL) : NULL;
    if (!found)
        found = pd_strdup(path);
    if (!found)
        return pd_fail(ctx, PUDLE_ERR_NOMEM, "%s: no memory for its name", path);
    *target = found;
    return PUDLE_OK;
}

/* A fresh file next to the target, with the permissions the user's umask gives (mkstemp would make it private). */
static int open_temporary(pd_atomic *file)
{
    static atomic_uint counter;
    for (int attempt = 0; attempt < 100; attempt++) {
        free(file->temporary);
        file->temporary = pd_format("%s.tmp-%ld-%u", file->path, (long)getpid(), atomic_fetch_add(&counter, 1u));
        if (!file->temporary) {
            errno = ENOMEM;
            return -1;
        }
        const int fd = open(file->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

pudle_status pd_atomic_open(pd_context *ctx, const char *path, pd_atomic **file)
{
    mode_t mode = 0;
    bool exists = false;
    pd_atomic *f = calloc(1, sizeof *f);
    if (!f)
        return pd_fail(ctx, PUDLE_ERR_NOMEM, "%s: no memory to write it", path);
    pudle_status status = find_target(ctx, path, &f->path, &exists, &mode);
    if (status)
        goto failed;
    const int fd = open_temporary(f);
    if (fd < 0) {
        status = pd_fail(ctx, PUDLE_ERR_IO, "%s: cannot write in its folder: %s; make the folder, or give another path",
                         path, strerror(errno));
        goto failed;
    }
    if (exists && fchmod(fd, mode) != 0)
        pd_log(ctx, PUDLE_LOG_DEBUG, "%s: its permissions could not be kept: %s", path, strerror(errno));
    f->stream = fdopen(fd, "w+b");
    if (!f->stream) {
        status = pd_fail(ctx, PUDLE_ERR_IO, "%s: cannot write: %s", path, strerror(errno));
        close(fd);
        unlink(f->temporary);
        goto failed;
    }
    *file = f;
    return PUDLE_OK;
failed:
    discard(f);
    return status;
}

FILE *pd_atomic_stream(pd_atomic *file)
{
    return file->stream;
}

/* Make the new name itself last. The file is already in place, so a failure can only be told, not undone. */
static void sync_folder(pd_context *ctx, const char *path)
{
    char *folder = pd_strdup(path);
    if (!folder)
        return;
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder ? 1 : 0] = '\0';
    const int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP))
        pd_log(ctx, PUDLE_LOG_WARNING, "%s: written, but its folder could not be synchronised: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    free(folder);
}

pudle_status pd_atomic_commit(pd_context *ctx, pd_atomic *file)
{
    pudle_status status = PUDLE_OK;
    const bool bad = ferror(file->stream) != 0;
    errno = 0;
    if (fflush(file->stream) != 0 || bad || fsync(fileno(file->stream)) != 0)
        status = pd_fail(ctx, PUDLE_ERR_IO, "%s: writing failed: %s; free some space or give another folder (an old file "
                         "of this name is untouched)", file->path, errno ? strerror(errno) : "disk full or quota reached");
    if (fclose(file->stream) != 0 && !status)
        status = pd_fail(ctx, PUDLE_ERR_IO, "%s: closing failed: %s; an old file of this name is untouched", file->path,
                         strerror(errno));
    if (!status && rename(file->temporary, file->path) != 0)
        status = pd_fail(ctx, PUDLE_ERR_IO, "%s: cannot put the new file in place: %s; an old file of this name is "
                         "untouched", file->path, strerror(errno));
    if (status)
        unlink(file->temporary);
    else
        sync_folder(ctx, file->path);
    discard(file);
    return status;
}

void pd_atomic_abandon(pd_atomic *file)
{
    if (!file)
        return;
    fclose(file->stream);
    unlink(file->temporary);
    discard(file);
}
