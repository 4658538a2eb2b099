/* Quick enough to take at every start, whatever the size of the data: no more than 64 MiB or so are read. */
#include "train/fingerprint.h"
#include "tensor/files.h"
#include <dirent.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 1 << 20, PIECES = 64, BEGINNING = 1 << 16, FILES = 1000 };

/* `count` bytes from `at` on, or as many as there are. */
static bool add_range(struct sha256_ctx *sha, int fd, off_t at, size_t count, unsigned char *room)
{
    while (count > 0) {
        const ssize_t got = pread(fd, room, count < PIECE ? count : PIECE, at);
        if (got < 0)
            return false;
        if (got == 0)
            break;
        sha256_update(sha, (size_t)got, room);
        at += got;
        count -= (size_t)got;
    }
    return true;
}

static bool add_file(struct sha256_ctx *sha, int folder, const char *path, size_t most, unsigned char *room)
{
    struct stat info;
    const int fd = openat(folder, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool good = fd >= 0 && !fstat(fd, &info) && S_ISREG(info.st_mode);
    if (good) {
        const uint64_t size = (uint64_t)info.st_size;
        sha256_update(sha, sizeof size, (const uint8_t *)&size);
        if (size <= most || most < PIECE)
            good = add_range(sha, fd, 0, size < most ? (size_t)size : most, room);
        for (int64_t i = 0; i < PIECES && size > most && most >= PIECE && good; i++)
            good = add_range(sha, fd, (off_t)((size - PIECE) / (PIECES - 1) * (uint64_t)i), PIECE, room);
    }
    if (fd >= 0)
        close(fd);
    return good;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Files of a folder in the order of their names, and what the first thousand begin with; what is no file is left out. */
static bool add_folder(struct sha256_ctx *sha, const char *path, unsigned char *room)
{
    DIR *folder = opendir(path);
    char **names = NULL;
    size_t count = 0, space = 0, files = 0;
    bool good = folder != NULL;
    for (const struct dirent *e; good && (e = readdir(folder));) {
        if (count == space) {
            char **more = realloc(names, (space = 2 * space + 64) * sizeof *names);
            good = more != NULL;
            names = good ? more : names;
        }
        if (good && (names[count] = pd_strdup(e->d_name)))
            count++;
        else
            good = false;
    }
    if (count)
        qsort(names, count, sizeof *names, by_name);
    for (size_t i = 0; i < count; i++) {
        struct stat info;
        if (good && !fstatat(dirfd(folder), names[i], &info, 0) && S_ISREG(info.st_mode)) {
            sha256_update(sha, strlen(names[i]) + 1, (const uint8_t *)names[i]);
            sha256_update(sha, sizeof info.st_size, (const uint8_t *)&info.st_size);
            good = ++files > FILES || add_file(sha, dirfd(folder), names[i], BEGINNING, room);
        }
        free(names[i]);
    }
    free(names);
    if (folder)
        closedir(folder);
    return good;
}

typedef struct files { pd_file_visit visit; void *user; } files;

/* Paths are absolute by now, and no other text is. */
static void offer(void *user, const char *key, const char *value, const char *same)
{
    const files *f = user;
    const size_t length = value ? strlen(value) : 0;
    (void)same;
    if (length < 3 || strncmp(value, "\"/", 2) != 0 || strchr(value, '\\') || !strcmp(key, "plugin_path"))
        return;
    char *path = pd_format("%.*s", (int)(length - 2), value + 1);
    if (path)
        f->visit(f->user, key, path);
    free(path);
}

pudle_status pd_named_files(pd_context *ctx, const pd_settings *settings, pd_file_visit visit, void *user)
{
    files f = { visit, user };
    return pd_settings_each(ctx, settings, offer, &f);
}

bool pd_fingerprint(const char *path, char hex[65])
{
    struct sha256_ctx sha;
    struct stat info;
    unsigned char *room = malloc(PIECE);
    char *plain = pd_strdup(path), *colon = plain ? strrchr(plain, ':') : NULL;
    bool good = room && plain;
    if (good && stat(plain, &info)) {
        if (colon)
            *colon = '\0';
        good = colon && !stat(plain, &info);
    }
    sha256_init(&sha);
    if (good)
        good = S_ISDIR(info.st_mode) ? add_folder(&sha, plain, room) : add_file(&sha, AT_FDCWD, plain, (size_t)PIECES * PIECE, room);
    if (good)
        pd_sha256_finish(&sha, hex);
    free(plain);
    free(room);
    return good;
}
