/* What PNG and JPEG have in common: the file, its kind, limits, grey. */
#include "picture_decode.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { MAGIC_BYTES = 8 };

static picture_kind kind_of(const uint8_t *head, size_t bytes)
{
    static const uint8_t png[MAGIC_BYTES] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' }, jpeg[3] = { 0xff, 0xd8, 0xff };
    if (bytes >= sizeof png && !memcmp(head, png, sizeof png))
        return PICTURE_PNG;
    return bytes >= sizeof jpeg && !memcmp(head, jpeg, sizeof jpeg) ? PICTURE_JPEG : PICTURE_NEITHER;
}

static pudle_status cannot_read(const pudle_host *host, const char *path, const char *why)
{
    return host->fail(host->ctx, PUDLE_ERR_IO, "%s: cannot be read: %s", path, why);
}

/* Opens, looks at the first bytes and goes back to the beginning. */
static pudle_status open_file(picture_source *from, picture_kind *kind)
{
    struct stat st;
    uint8_t head[MAGIC_BYTES];
    if (stat(from->path, &st))
        return cannot_read(from->host, from->path, strerror(errno));
    if (!S_ISREG(st.st_mode)) /* a pipe would wait for ever */
        return cannot_read(from->host, from->path, "it is not a file");
    if (!(from->file = fopen(from->path, "rb")))
        return cannot_read(from->host, from->path, strerror(errno));
    *kind = kind_of(head, fread(head, 1, sizeof head, from->file));
    from->bytes = st.st_size;
    if (!ferror(from->file) && !fseek(from->file, 0, SEEK_SET))
        return PUDLE_OK;
    const pudle_status s = cannot_read(from->host, from->path, strerror(errno));
    fclose(from->file);
    return s;
}

pudle_status picture_probe(const pudle_host *host, const char *path, picture_kind *kind)
{
    picture_source from = { .host = host, .path = path };
    const pudle_status s = open_file(&from, kind);
    if (!s)
        fclose(from.file);
    return s;
}

pudle_status picture_begin(const picture_source *from, int64_t width, int64_t height, int bits, int64_t pixels_per_byte,
                           picture *to)
{
    const pudle_host *host = from->host;
    if (width > PICTURE_MOST_PIXELS / height)
        return host->fail(host->ctx, PUDLE_ERR_UNSUPPORTED, "%s: %lld x %lld pixels; the limit is 2^28 = %lld pixels: make "
                          "the picture smaller or cut it", from->path, (long long)width, (long long)height,
                          (long long)PICTURE_MOST_PIXELS);
    if (width * height / pixels_per_byte > from->bytes)
        return host->fail(host->ctx, PUDLE_ERR_IO, "%s: damaged: %lld bytes cannot hold the %lld x %lld pixels that its "
                          "header announces", from->path, (long long)from->bytes, (long long)width, (long long)height);
    *to = (picture){ .width = width, .height = height, .channels = from->colour ? 3 : 1, .bits = bits };
    const size_t bytes = (size_t)picture_values(to) * (size_t)(bits / 8);
    if (!(to->pixels = host->alloc(host->ctx, bytes)))
        return host->fail(host->ctx, PUDLE_ERR_NOMEM, "%s: no memory for %lld x %lld pixels, %lld bytes", from->path,
                          (long long)width, (long long)height, (long long)bytes);
    return PUDLE_OK;
}

static uint32_t get(const void *values, int bits, int64_t i)
{
    return bits == 16 ? ((const uint16_t *)values)[i] : ((const uint8_t *)values)[i];
}

static void put(const picture *to, int64_t i, uint32_t value)
{
    if (to->bits == 16)
        ((uint16_t *)to->pixels)[i] = (uint16_t)value;
    else
        ((uint8_t *)to->pixels)[i] = (uint8_t)value;
}

/* The weights add up to 2^16: equal values come out as they are, and 16 bits do not overflow 32. */
static uint32_t grey(uint32_t r, uint32_t g, uint32_t b)
{
    return (19595 * r + 38470 * g + 7471 * b + 32768) >> 16;
}

void picture_put_row(picture *to, int64_t y, const void *row, int channels)
{
    const bool rgb = channels >= 3;
    const int64_t first = y * to->width, plane = to->width * to->height;
    for (int64_t x = 0; x < to->width; x++) {
        const int64_t at = x * channels;
        const uint32_t r = get(row, to->bits, at);
        const uint32_t g = rgb ? get(row, to->bits, at + 1) : r, b = rgb ? get(row, to->bits, at + 2) : r;
        if (to->channels == 1) {
            put(to, first + x, grey(r, g, b));
            continue;
        }
        put(to, first + x, r);
        put(to, plane + first + x, g);
        put(to, 2 * plane + first + x, b);
    }
}

pudle_status picture_read(const pudle_host *host, const char *path, bool colour, picture *out)
{
    picture_source from = { .host = host, .path = path, .colour = colour };
    picture_kind kind = PICTURE_NEITHER;
    picture p = { .pixels = NULL };
    pudle_status s = open_file(&from, &kind);
    if (s)
        return s;
    if (kind == PICTURE_NEITHER)
        s = host->fail(host->ctx, PUDLE_ERR_IO, "%s: its first bytes are neither PNG's nor JPEG's", path);
    else
        s = kind == PICTURE_PNG ? picture_decode_png(&from, &p) : picture_decode_jpeg(&from, &p);
    fclose(from.file);
    if (s)
        picture_free(host, &p);
    else
        *out = p;
    return s;
}

void picture_free(const pudle_host *host, picture *p)
{
    host->free(host->ctx, p->pixels);
    p->pixels = NULL;
}
