/* Between picture.c and the decoders of each format. */
#ifndef PICTURE_DECODE_H
#define PICTURE_DECODE_H

#include "picture.h"
#include <stdio.h>

typedef struct picture_source {
    const pudle_host *host;
    const char *path; /* for messages */
    FILE *file;       /* at its beginning */
    int64_t bytes;    /* in the file */
    bool colour;      /* what the caller wants */
} picture_source;

/** Size and depth are known: refuse what is too large, take memory for the rest. `pixels_per_byte` bounds what one byte of
 *  the file can become, so that a short file cannot ask for much memory, or for much work.
 *  On failure to->pixels is NULL. @errors UNSUPPORTED, IO, NOMEM */
pudle_status picture_begin(const picture_source *from, int64_t width, int64_t height, int bits, int64_t pixels_per_byte,
                           picture *to);

/** Row y: (width, channels) interleaved values of to->bits bits, 1 or 2 channels grey, 3 or 4 colour; the even ones end in
 *  alpha, which is dropped. */
void picture_put_row(picture *to, int64_t y, const void *row, int channels);

/** The decoders. to->pixels, once taken, is the caller's to free, also after a failure. */
pudle_status picture_decode_png(const picture_source *from, picture *to);
pudle_status picture_decode_jpeg(const picture_source *from, picture *to);

#endif
