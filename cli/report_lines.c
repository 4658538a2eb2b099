#include "report_lines.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

FILE *report_file(const char *path)
{
    struct stat info;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        errno = errno == ENXIO ? 0 : errno; /* a socket */
        return NULL;
    }
    const bool plain = !fstat(fd, &info) && S_ISREG(info.st_mode);
    FILE *file = plain ? fdopen(fd, "r") : NULL;
    if (!file) {
        close(fd);
        errno = plain ? ENOMEM : 0;
    }
    return file;
}

pudle_status report_lines(pd_context *ctx, const char *path, FILE *file, report_visit visit, void *user)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    pudle_status s = PUDLE_OK;
    for (int64_t number = 1; !s && (length = getline(&line, &room, file)) > 0; number++) {
        line[length - (line[length - 1] == '\n')] = '\0';
        s = visit(user, number, line);
    }
    if (!s && ferror(file))
        s = pd_fail(ctx, PUDLE_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
    fclose(file);
    free(line);
    return s;
}
