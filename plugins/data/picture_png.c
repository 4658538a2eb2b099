/* PNG through libpng, whose errors are jumps: they start and end in this file, and everything taken is released by the
 * function that set the jump up. */
#include "picture_decode.h"
#include <errno.h>
#include <png.h>
#include <setjmp.h>
#include <string.h>

enum { DEFLATE_MOST = 1032 /* bytes that one compressed byte can become */ };

typedef struct reader {
    const picture_source *from;
    picture *to;
    png_structp png;
    png_infop info;
    uint8_t *rows; /* one row, or all of an interlaced picture */
    jmp_buf jump;
    char text[160]; /* libpng's complaint */
} reader;

static void on_error(png_structp png, png_const_charp text)
{
    reader *r = png_get_error_ptr(png);
    snprintf(r->text, sizeof r->text, "%s", text);
    longjmp(r->jump, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static void read_bytes(png_structp png, png_bytep to, size_t bytes)
{
    FILE *file = png_get_io_ptr(png);
    if (fread(to, 1, bytes, file) != bytes)
        png_error(png, ferror(file) ? strerror(errno) : "the file is cut short");
}

/* Text, times, profiles and the like are passed over unread: nothing in them can expand or fail. */
static void ignore_notes(png_structp png)
{
    static const png_byte names[] = "bKGD\0cHRM\0eXIf\0gAMA\0hIST\0iCCP\0iTXt\0oFFs\0pCAL\0pHYs\0sBIT\0sCAL\0sPLT\0sRGB\0"
                                    "tEXt\0tIME\0zTXt";
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, 0);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, names, (int)(sizeof names / 5));
}

static bool little_endian(void)
{
    const uint16_t one = 1;
    return *(const uint8_t *)&one == 1;
}

/* Whatever the file holds, rows come as 8 or 16 bits of grey, grey + alpha, RGB or RGB + alpha. */
static void set_transforms(reader *r)
{
    png_set_palette_to_rgb(r->png); /* each of these does nothing where it does not apply */
    png_set_expand_gray_1_2_4_to_8(r->png);
    if (png_get_valid(r->png, r->info, PNG_INFO_tRNS))
        png_set_tRNS_to_alpha(r->png);
    if (little_endian())
        png_set_swap(r->png);
}

/* Alpha, the last channel, must be full everywhere: what would shine through is not known. */
static pudle_status check_opaque(const reader *r, int64_t y, const uint8_t *row, int channels)
{
    const pudle_host *host = r->from->host;
    for (int64_t x = 0; x < r->to->width; x++) {
        const int64_t at = x * channels + channels - 1;
        const bool full = r->to->bits == 16 ? ((const uint16_t *)(const void *)row)[at] == 65535 : row[at] == 255;
        if (!full)
            return host->fail(host->ctx, PUDLE_ERR_UNSUPPORTED, "%s: transparent at column %lld of row %lld: pictures must "
                              "be opaque, so put it on a background first", r->from->path, (long long)x, (long long)y);
    }
    return PUDLE_OK;
}

static pudle_status read_rows(reader *r, int passes)
{
    const pudle_host *host = r->from->host;
    const int channels = png_get_channels(r->png, r->info);
    const size_t row_bytes = png_get_rowbytes(r->png, r->info), held = passes > 1 ? row_bytes : 0; /* from row to row */
    const int64_t height = r->to->height;
    pudle_status s = PUDLE_OK;
    if (!(r->rows = host->alloc(host->ctx, row_bytes + held * (size_t)(height - 1))))
        return host->fail(host->ctx, PUDLE_ERR_NOMEM, "%s: no memory to decode %lld x %lld pixels", r->from->path,
                          (long long)r->to->width, (long long)height);
    for (int pass = 0; pass < passes; pass++)
        for (int64_t y = 0; y < height && !s; y++) {
            uint8_t *row = r->rows + held * (size_t)y;
            png_read_row(r->png, row, NULL);
            if (pass < passes - 1)
                continue;
            if (channels % 2 == 0)
                s = check_opaque(r, y, row, channels);
            picture_put_row(r->to, y, row, channels);
        }
    return s;
}

static pudle_status decode(reader *r)
{
    const picture_source *from = r->from;
    png_set_read_fn(r->png, from->file, read_bytes);
    png_set_user_limits(r->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX); /* picture_begin has its own, with a better message */
    png_set_crc_action(r->png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    ignore_notes(r->png);
    png_read_info(r->png, r->info);

    const int bits = png_get_bit_depth(r->png, r->info), per_pixel = bits * png_get_channels(r->png, r->info);
    pudle_status s = picture_begin(from, png_get_image_width(r->png, r->info), png_get_image_height(r->png, r->info),
                                   bits == 16 ? 16 : 8, DEFLATE_MOST * 8 / per_pixel + 1, r->to);
    if (s)
        return s;
    set_transforms(r);
    const int passes = png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
    s = read_rows(r, passes);
    if (!s)
        png_read_end(r->png, NULL);
    return s;
}

static pudle_status guarded(reader *r)
{
    const pudle_host *host = r->from->host;
    if (setjmp(r->jump))
        return host->fail(host->ctx, PUDLE_ERR_IO, "%s: damaged PNG: %s", r->from->path, r->text);
    return decode(r);
}

pudle_status picture_decode_png(const picture_source *from, picture *to)
{
    const pudle_host *host = from->host;
    reader r = { .from = from, .to = to };
    r.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &r, on_error, on_warning);
    r.info = r.png ? png_create_info_struct(r.png) : NULL;
    const pudle_status s =
        r.info ? guarded(&r) : host->fail(host->ctx, PUDLE_ERR_NOMEM, "%s: no memory for libpng", from->path);
    png_destroy_read_struct(&r.png, &r.info, NULL);
    host->free(host->ctx, r.rows);
    return s;
}
