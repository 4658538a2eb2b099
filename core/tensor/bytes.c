/* core/tensor/bytes.c - the bytes of a file, mapped read only. */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

pudle_status pd_bytes_map(pd_context *ctx, const char *path, pd_bytes *out)
{
    pudle_status status = PUDLE_OK;
    struct stat info;
    void *map = NULL;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not make us wait */
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return pd_fail(ctx, PUDLE_ERR_NOTFOUND, "%s: no such file; check the path (relative paths start at the config file "
                       "that says them, or at the working directory)", path);
    if (fd < 0)
        return pd_fail(ctx, PUDLE_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    if (fstat(fd, &info) != 0) {
        status = pd_fail(ctx, PUDLE_ERR_IO, "%s: cannot examine: %s", path, strerror(errno));
        goto done;
    }
    if (!S_ISREG(info.st_mode)) {
        status = pd_fail(ctx, PUDLE_ERR_IO, "%s: is %s; give the path of a file", path,
                         S_ISDIR(info.st_mode) ? "a folder" : "not a regular file");
        goto done;
    }
    if ((uintmax_t)info.st_size > SIZE_MAX) {
        status = pd_fail(ctx, PUDLE_ERR_IO, "%s: %lld bytes are more than this machine can address; split the file", path,
                         (long long)info.st_size);
        goto done;
    }
    if (info.st_size > 0) {
        map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map == MAP_FAILED) {
            status = pd_fail(ctx, PUDLE_ERR_IO, "%s: cannot map %lld bytes: %s", path, (long long)info.st_size,
                             strerror(errno));
            goto done;
        }
    }
    *out = (pd_bytes){ map, (size_t)info.st_size, NULL, map != NULL };
done:
    close(fd);
    return status;
}

void pd_bytes_release(pd_bytes *bytes)
{
    if (bytes->mapped)
        munmap((void *)(uintptr_t)bytes->data, bytes->size);
    free(bytes->memory);
    memset(bytes, 0, sizeof *bytes);
}

const char *pd_shown(const char *text, size_t length, char shown[PD_SHOWN])
{
    const size_t n = length < PD_SHOWN - 1 ? length : PD_SHOWN - 1;
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)text[i];
        shown[i] = c < 0x20 || c == 0x7f ? '?' : text[i];
    }
    shown[n] = '\0';
    if (length > n)
        memcpy(shown + n - 3, "...", 3);
    return shown;
}
