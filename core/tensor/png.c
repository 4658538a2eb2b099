/* core/tensor/png.c - grey and RGB pictures of 8 and 16 bits. libpng reports errors by a jump, which stays inside write_picture. */
#include "files.h"

#include <errno.h>
#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

typedef struct complaint { jmp_buf jump; char text[120]; } complaint;

static void on_error(png_structp png, png_const_charp text)
{
    complaint *c = png_get_error_ptr(png);
    snprintf(c->text, sizeof c->text, "%s", text);
    longjmp(c->jump, 1);
}

static void write_bytes(png_structp png, png_bytep bytes, size_t count)
{
    errno = 0;
    if (fwrite(bytes, 1, count, png_get_io_ptr(png)) != count)
        png_error(png, errno ? strerror(errno) : "a write failed");
}

static void on_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

/* False: c->text says why. */
static bool write_picture(FILE *to, int64_t width, int64_t height, int channels, int bits, const uint8_t *pixels, complaint *c)
{
    png_infop info = NULL;
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, c, on_error, on_warning);
    if (png)
        info = png_create_info_struct(png);
    if (!info) {
        png_destroy_write_struct(&png, NULL);
        snprintf(c->text, sizeof c->text, "no memory");
        return false;
    }
    if (setjmp(c->jump)) { /* png and info are not changed after this line */
        png_destroy_write_struct(&png, &info);
        return false;
    }
    png_set_write_fn(png, to, write_bytes, NULL);
    png_set_IHDR(png, info, (png_uint_32)width, (png_uint_32)height, bits, channels == 3 ? PNG_COLOR_TYPE_RGB :
                 PNG_COLOR_TYPE_GRAY,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    if (bits == 16 && pd_little_endian())
        png_set_swap(png);
    for (int64_t y = 0; y < height; y++)
        png_write_row(png, pixels + y * width * channels * (bits / 8));
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    return true;
}

static pudle_status write_file(pd_context *ctx, const char *path, int64_t width, int64_t height, int channels, int bits, const uint8_t *pixels)
{
    const int64_t limit = 1000000; /* libpng's own limit for a side */
    complaint c;
    pd_atomic *file;
    if (channels != 1 && channels != 3)
        return pd_fail(ctx, PUDLE_ERR_ARG, "%s: a picture of %d channels; legal are 1 (grey) and 3 (RGB)", path, channels);
    if (width < 1 || height < 1 || width > limit || height > limit)
        return pd_fail(ctx, PUDLE_ERR_ARG, "%s: a picture of %lld by %lld pixels; each side must be 1 to %lld", path,
                       (long long)width, (long long)height, (long long)limit);
    const pudle_status status = pd_atomic_open(ctx, path, &file);
    if (status)
        return status;
    if (!write_picture(pd_atomic_stream(file), width, height, channels, bits, pixels, &c)) {
        pd_atomic_abandon(file);
        return pd_fail(ctx, PUDLE_ERR_IO, "%s: writing the picture failed: %s", path, c.text);
    }
    return pd_atomic_commit(ctx, file);
}

pudle_status pd_png_write(pd_context *ctx, const char *path, int64_t width, int64_t height, int channels,
                          const uint8_t *pixels)
{
    return write_file(ctx, path, width, height, channels, 8, pixels);
}

pudle_status pd_png_write_deep(pd_context *ctx, const char *path, int64_t width, int64_t height, int channels,
                               const uint16_t *pixels)
{
    return write_file(ctx, path, width, height, channels, 16, (const uint8_t *)pixels);
}
