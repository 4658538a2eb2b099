/* Compiled kernels on disk: one file each, named by a hash of what it was made from, which it also holds in full. */
#include "cuda.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_MOST = 4096 };
static const char magic[8] = "PUDLEC1";

/* Lengths and a checksum of what follows: key, image. */
typedef struct header {
    char magic[8];
    uint64_t key_bytes, image_bytes, sum;
} header;

/* FNV-1a, 64 bits. */
static uint64_t hash(uint64_t h, const void *data, size_t bytes)
{
    const unsigned char *at = data;
    for (size_t i = 0; i < bytes; i++)
        h = (h ^ at[i]) * 0x100000001b3u;
    return h;
}
#define HASH_START 0xcbf29ce484222325u

bool cuda_cache_folder(char *path, size_t size)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n = -1;
    if (cache && *cache == '/')
        n = snprintf(path, size, "%s/pudle/cuda", cache);
    else if (home && *home == '/')
        n = snprintf(path, size, "%s/.cache/pudle/cuda", home);
    return n > 0 && (size_t)n < size;
}

/* What an image depends on, as one text from malloc: a line of its own for compiler, options and target, then the source. */
static char *key_of(const char *text, const char *arch, const char *compiler)
{
    const size_t bytes = strlen(text) + strlen(arch) + strlen(compiler) + sizeof CUDA_COMPILE + 3;
    char *key = malloc(bytes);
    if (key)
        snprintf(key, bytes, "%s %s %s\n%s", compiler, CUDA_COMPILE, arch, text);
    return key;
}

static bool file_of(const char *key, char *path, size_t size)
{
    char folder[PATH_MOST];
    if (!cuda_cache_folder(folder, sizeof folder))
        return false;
    const int n = snprintf(path, size, "%s/%016llx", folder, (unsigned long long)hash(HASH_START, key, strlen(key)));
    return n > 0 && (size_t)n < size;
}

static uint64_t sum_of(const char *key, size_t key_bytes, const void *image, size_t bytes)
{
    return hash(hash(HASH_START, key, key_bytes), image, bytes);
}

/* The image out of an open file that holds it under this key. */
static void *image_of(FILE *file, const char *key, size_t *bytes)
{
    header h;
    const size_t length = strlen(key);
    char *stored = NULL;
    void *image = NULL;
    bool good = fread(&h, sizeof h, 1, file) == 1 && !memcmp(h.magic, magic, sizeof magic) && h.key_bytes == length && h.image_bytes > 0 &&
                h.image_bytes < ((uint64_t)1 << 30);
    good = good && (stored = malloc(length + 1)) && (image = malloc((size_t)h.image_bytes));
    good = good && fread(stored, 1, length, file) == length && fread(image, 1, (size_t)h.image_bytes, file) == (size_t)h.image_bytes &&
           !memcmp(stored, key, length) && h.sum == sum_of(stored, length, image, (size_t)h.image_bytes);
    free(stored);
    if (good) {
        *bytes = (size_t)h.image_bytes;
        return image;
    }
    free(image);
    return NULL;
}

bool cuda_cache_get(const char *text, const char *arch, const char *compiler, void **image, size_t *bytes)
{
    char path[PATH_MOST + 32];
    char *key = key_of(text, arch, compiler);
    FILE *file = key && file_of(key, path, sizeof path) ? fopen(path, "rb") : NULL;
    void *got = file ? image_of(file, key, bytes) : NULL;
    if (file)
        fclose(file);
    free(key);
    if (got)
        *image = got;
    return got != NULL;
}

/* Every folder on the way. */
static bool make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        const bool good = mkdir(path, 0777) == 0 || errno == EEXIST;
        *slash = '/';
        if (!good)
            return false;
    }
    return true;
}

static bool write_all(FILE *file, const char *key, const void *image, size_t bytes)
{
    const size_t length = strlen(key);
    header h = { .key_bytes = length, .image_bytes = bytes, .sum = sum_of(key, length, image, bytes) };
    memcpy(h.magic, magic, sizeof magic);
    return fwrite(&h, sizeof h, 1, file) == 1 && fwrite(key, 1, length, file) == length && fwrite(image, 1, bytes, file) == bytes;
}

bool cuda_cache_put(const char *text, const char *arch, const char *compiler, const void *image, size_t bytes, char *reason, size_t size)
{
    char path[PATH_MOST + 32], other[PATH_MOST + 64];
    char *key = key_of(text, arch, compiler);
    FILE *file = NULL;
    int descriptor = -1;
    bool good = false;
    if (!key || !file_of(key, path, sizeof path)) {
        snprintf(reason, size, "%s", key ? "neither XDG_CACHE_HOME nor HOME is set" : "out of memory");
        goto cleanup;
    }
    snprintf(other, sizeof other, "%s.XXXXXX", path);
    if (!make_folders(path) || (descriptor = mkstemp(other)) < 0 || !(file = fdopen(descriptor, "wb"))) {
        snprintf(reason, size, "%s: %s", path, strerror(errno));
        if (descriptor >= 0) {
            close(descriptor);
            unlink(other);
        }
        goto cleanup;
    }
    good = write_all(file, key, image, bytes);
    good = !fclose(file) && good;
    good = good && !rename(other, path);
    if (!good) {
        snprintf(reason, size, "%s: %s", path, strerror(errno));
        unlink(other);
    }
cleanup:
    free(key);
    return good;
}
