/* Pictures from PNG and JPEG files, decoded whole into memory. Compiled into the plugin that reads folders of pictures, and
 * fit for the program as well: of the host it uses memory and errors alone.
 *
 * Understood: PNG of 8 and 16 bits (fewer are widened to 8), grey, colour, palette, interlaced or not; JPEG grey and colour,
 * baseline and progressive. Refused by name: transparency, CMYK, damaged files, more than 2^28 pixels. The orientation that
 * a camera notes in EXIF and the gamma and colour profile of a file are not applied: pixels come as they are stored. */
#ifndef PICTURE_H
#define PICTURE_H

#include <pudle/base.h>

#define PICTURE_MOST_PIXELS ((int64_t)1 << 28)

typedef struct picture {
    int64_t width, height;
    int channels; /* 1: grey, 3: red, green, blue */
    int bits;     /* of a value: 8 (uint8_t) or 16 (uint16_t) */
    void *pixels; /* (channels, height, width) */
} picture;

typedef enum picture_kind { PICTURE_NEITHER, PICTURE_PNG, PICTURE_JPEG } picture_kind;

/** What the first bytes of a file say that it is. @errors IO when it cannot be read */
pudle_status picture_probe(const pudle_host *host, const char *path, picture_kind *kind);

/** Decode a file. colour: three channels, a grey file three times the same; else one, colours turned to grey as
 *      grey = (19595 R + 38470 G + 7471 B + 32768) >> 16,
 *  which is 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601) rounded, on values of 8 bits as on those of 16.
 *  Free with picture_free.
 *  @errors IO: unreadable, neither PNG nor JPEG, damaged; UNSUPPORTED: transparent, CMYK, too large; NOMEM */
pudle_status picture_read(const pudle_host *host, const char *path, bool colour, picture *out);

/** NULL pixels are legal. */
void picture_free(const pudle_host *host, picture *p);

static inline int64_t picture_values(const picture *p)
{
    return p->width * p->height * p->channels;
}

/** Value i of (channels, height, width), in [0, 1]. */
static inline double picture_value(const picture *p, int64_t i)
{
    return p->bits == 16 ? ((const uint16_t *)p->pixels)[i] / 65535.0 : ((const uint8_t *)p->pixels)[i] / 255.0;
}

#endif
