/* JPEG through libjpeg, whose errors are jumps: they start and end in this file. libjpeg fills up what a damaged file lacks
 * and merely warns; here a warning is an error. Colours are decoded as libjpeg does by default: the accurate integer cosine
 * transform, smooth upsampling of the chroma. */
#include "picture_decode.h"
#include <jpeglib.h>
#include <setjmp.h>

enum {
    PIXELS_PER_BYTE = 512,                      /* 64 pixels of a block are at least one bit of Huffman code */
    ARITHMETIC_PER_BYTE = 16 * PIXELS_PER_BYTE, /* no firm bound: blocks of one colour take next to nothing */
    MOST_SCANS = 200                            /* a short progressive file can have thousands, each as slow as a whole picture */
};

typedef struct reader {
    const picture_source *from;
    picture *to;
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    uint8_t *row; /* (width, channels of the file) */
    jmp_buf jump;
    char text[JMSG_LENGTH_MAX]; /* libjpeg's complaint */
} reader;

static void on_error(j_common_ptr jpeg)
{
    reader *r = jpeg->client_data;
    r->errors.format_message(jpeg, r->text);
    longjmp(r->jump, 1);
}

static void on_message(j_common_ptr jpeg, int level)
{
    if (level < 0) /* a warning; the others are for tracing */
        on_error(jpeg);
}

static void on_output(j_common_ptr jpeg)
{
    (void)jpeg;
}

static void on_progress(j_common_ptr jpeg)
{
    reader *r = jpeg->client_data;
    if (r->jpeg.input_scan_number <= MOST_SCANS)
        return;
    snprintf(r->text, sizeof r->text, "it has more than %d scans", MOST_SCANS);
    longjmp(r->jump, 1);
}

static pudle_status choose_colours(reader *r)
{
    const pudle_host *host = r->from->host;
    struct jpeg_decompress_struct *jpeg = &r->jpeg;
    switch (jpeg->jpeg_color_space) {
    case JCS_GRAYSCALE:
        jpeg->out_color_space = JCS_GRAYSCALE;
        return PUDLE_OK;
    case JCS_RGB:
    case JCS_YCbCr:
        jpeg->out_color_space = JCS_RGB;
        return PUDLE_OK;
    case JCS_CMYK:
    case JCS_YCCK:
        return host->fail(host->ctx, PUDLE_ERR_UNSUPPORTED, "%s: a CMYK picture, made for print: convert it to RGB or grey",
                          r->from->path);
    default:
        return host->fail(host->ctx, PUDLE_ERR_UNSUPPORTED, "%s: a JPEG with %d colour components; grey (1) and RGB (3) "
                          "are understood", r->from->path, jpeg->num_components);
    }
}

static pudle_status decode(reader *r)
{
    const pudle_host *host = r->from->host;
    struct jpeg_decompress_struct *jpeg = &r->jpeg;
    jpeg_create_decompress(jpeg);
    jpeg->progress = &r->progress;
    jpeg_stdio_src(jpeg, r->from->file);
    jpeg_read_header(jpeg, TRUE);
    pudle_status s = choose_colours(r);
    if (!s)
        s = picture_begin(r->from, jpeg->image_width, jpeg->image_height, 8, jpeg->arith_code ? ARITHMETIC_PER_BYTE : PIXELS_PER_BYTE,
                          r->to);
    if (s)
        return s;
    jpeg_start_decompress(jpeg);
    if (!(r->row = host->alloc(host->ctx, (size_t)jpeg->output_width * (size_t)jpeg->output_components)))
        return host->fail(host->ctx, PUDLE_ERR_NOMEM, "%s: no memory for a row of %lld pixels", r->from->path,
                          (long long)r->to->width);
    for (int64_t y = 0; y < r->to->height; y++) {
        JSAMPROW row = r->row;
        jpeg_read_scanlines(jpeg, &row, 1);
        picture_put_row(r->to, y, r->row, jpeg->output_components);
    }
    jpeg_finish_decompress(jpeg);
    return PUDLE_OK;
}

static pudle_status guarded(reader *r)
{
    const pudle_host *host = r->from->host;
    if (setjmp(r->jump))
        return host->fail(host->ctx, PUDLE_ERR_IO, "%s: damaged JPEG: %s", r->from->path, r->text);
    return decode(r);
}

pudle_status picture_decode_jpeg(const picture_source *from, picture *to)
{
    reader r = { .from = from, .to = to };
    r.jpeg.err = jpeg_std_error(&r.errors);
    r.jpeg.client_data = &r;
    r.errors.error_exit = on_error;
    r.errors.emit_message = on_message;
    r.errors.output_message = on_output;
    r.progress.progress_monitor = on_progress;
    const pudle_status s = guarded(&r);
    jpeg_destroy_decompress(&r.jpeg);
    from->host->free(from->host->ctx, r.row);
    return s;
}
