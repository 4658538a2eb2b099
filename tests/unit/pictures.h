/* Pictures written into a folder of the test's own, and the data source `images` opened on them; for tests of that source. Include
 * after cmocka.h. */
#ifndef TESTS_PICTURES_H
#define TESTS_PICTURES_H

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#include <png.h>

#include "fake_host.h"

/* ------------------------------------------------------------ files and folders */

static char folder[256], name_of_file[2][1024];

/* The path of a file in the test's folder; two may be held at once. */
static const char *in_folder(const char *name)
{
    static int next;
    char *path = name_of_file[next = !next];
    snprintf(path, sizeof name_of_file[0], "%s/%s", folder, name);
    return path;
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/pudle-images-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static void empty_folder(void)
{
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            assert_int_equal(remove(in_folder(entry->d_name)), 0); /* a file, or a folder that is empty */
    closedir(dir);
}

static int drop_folder(void **state)
{
    (void)state;
    empty_folder();
    return rmdir(folder);
}

/* A new file, not an old one emptied: file systems make sure of the latter's bytes, which takes its time. */
static FILE *new_file(const char *name)
{
    remove(in_folder(name));
    return fopen(in_folder(name), "wb");
}

static void spill(const char *name, const void *at, size_t count)
{
    FILE *f = new_file(name);
    assert_non_null(f);
    assert_int_equal(fwrite(at, 1, count, f), count);
    fclose(f);
}

/* ------------------------------------------------------------- writing pictures */

enum { WIDTH = 13, HEIGHT = 7 };

/* A test picture's value: different in every place and channel, `max` the largest. */
static unsigned pattern(int x, int y, int c, unsigned max)
{
    return (unsigned)(x * 7919 + y * 104729 + c * 1299709 + x * y * 31) % (max + 1);
}

typedef struct png_kind {
    int colour, bits, interlace;
    int transparent; /* 0: opaque; 1: a transparent pixel; 2: an entry or colour said to be transparent that no pixel has */
} png_kind;

static int png_channels(int colour)
{
    return (colour & PNG_COLOR_MASK_PALETTE ? 1 : colour & PNG_COLOR_MASK_COLOR ? 3 : 1) + !!(colour & PNG_COLOR_MASK_ALPHA);
}

/* The palette of the tests; the last of its 200 entries is used by no pixel. */
static png_color palette_at(int i)
{
    return (png_color){ (png_byte)(i * 37), (png_byte)(i * 11 + 5), (png_byte)(255 - i) };
}

static unsigned stored(const png_kind *k, int x, int y, int c)
{
    const int channels = png_channels(k->colour);
    const unsigned max = (1u << k->bits) - 1;
    if (channels % 2 == 0 && c == channels - 1) /* alpha */
        return k->transparent == 1 && x == 5 && y == 3 ? max - 1 : max;
    if (k->colour == PNG_COLOR_TYPE_PALETTE)
        return pattern(x, y, 0, k->bits == 8 ? 198 : max);
    return pattern(x, y, c, max);
}

static void write_png(const char *name, const png_kind *k, int width, int height)
{
    FILE *f = new_file(name);
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    const int channels = png_channels(k->colour);
    png_color palette[200];
    png_byte alpha[200], **row = calloc((size_t)height, sizeof *row);
    png_text note = { .compression = PNG_TEXT_COMPRESSION_NONE, .key = (char[]){ "Comment" }, .text = (char[]){ "a note" } };
    assert_non_null(f);
    assert_non_null(row);
    png_init_io(png, f);
    png_set_IHDR(png, info, (png_uint_32)width, (png_uint_32)height, k->bits, k->colour,
                 k->interlace ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_set_gAMA(png, info, 0.3);
    png_set_text(png, info, &note, 1);
    if (k->colour == PNG_COLOR_TYPE_PALETTE) {
        const int entries = k->bits == 8 ? 200 : 1 << k->bits;
        for (int i = 0; i < entries; i++) {
            palette[i] = palette_at(i);
            alpha[i] = k->transparent == 1 || i == 199 ? 0 : 255;
        }
        png_set_PLTE(png, info, palette, entries);
        if (k->transparent)
            png_set_tRNS(png, info, alpha, entries, NULL);
    } else if (k->transparent && channels % 2 == 1) { /* one colour is transparent: that of (5, 3), or one not there */
        png_color_16 c = { .gray = (png_uint_16)stored(k, 5, 3, 0) };
        c.red = c.gray;
        c.green = (png_uint_16)stored(k, 5, 3, 1);
        c.blue = (png_uint_16)(stored(k, 5, 3, 2) + (k->transparent == 2 ? 1 : 0));
        png_set_tRNS(png, info, NULL, 0, &c);
    }
    png_write_info(png, info);
    png_set_packing(png);
    for (int y = 0; y < height; y++) {
        row[y] = calloc((size_t)(width * channels), 2);
        assert_non_null(row[y]);
        for (int i = 0; i < width * channels; i++) {
            const unsigned v = stored(k, i / channels, y, i % channels);
            if (k->bits == 16)
                row[y][2 * i] = (png_byte)(v >> 8), row[y][2 * i + 1] = (png_byte)v;
            else
                row[y][i] = (png_byte)v;
        }
    }
    png_write_image(png, row);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    for (int y = 0; y < height; y++)
        free(row[y]);
    free(row);
    fclose(f);
}

/* An 8-bit picture from values (height, width, channels). */
static void write_png8(const char *name, int width, int height, int channels, const uint8_t *values)
{
    png_image image = { .version = PNG_IMAGE_VERSION, .width = (png_uint_32)width, .height = (png_uint_32)height,
                        .format = channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY };
    assert_true(png_image_write_to_file(&image, in_folder(name), 0, values, 0, NULL));
}

/* A grey picture whose value says where it is: 16 y + x, and another size if asked. */
static void write_map(const char *name, int width, int height)
{
    uint8_t *v = malloc((size_t)(width * height));
    assert_non_null(v);
    for (int i = 0; i < width * height; i++)
        v[i] = (uint8_t)(16 * (i / width) + i % width);
    write_png8(name, width, height, 1, v);
    free(v);
}

/* ---------------------------------------------------------------- the source */

static char logged[1024];
static int log_lines;

static PUDLE_PRINTF(3, 4) void keep_log(void *ctx, int32_t level, const char *format, ...)
{
    va_list args;
    (void)ctx;
    assert_int_equal(level, PUDLE_LOG_INFO);
    va_start(args, format);
    vsnprintf(logged, sizeof logged, format, args);
    va_end(args);
    log_lines++;
}

static pudle_host host;

typedef struct opened {
    const pudle_desc *desc;
    const pudle_data_ops *ops;
    void *params, *self;
} opened;

static pudle_status open_source(const char *const *settings, opened *s)
{
    host = fake_host;
    host.log = keep_log;
    log_lines = 0;
    *s = (opened){ .desc = fake_load("data", "images") };
    s->ops = s->desc->ops;
    s->params = fake_params(s->desc, settings);
    fake.error[0] = '\0';
    pudle_status status = s->desc->check(&host, s->params);
    if (!status)
        status = s->desc->create(&host, s->params, &s->self);
    assert_int_equal(status == PUDLE_OK, s->self != NULL);
    assert_int_equal(status == PUDLE_OK, fake.error[0] == '\0');
    return status;
}

static void close_source(opened *s)
{
    s->desc->destroy(&host, s->self);
    s->desc->destroy(&host, NULL);
    free(s->params);
    assert_int_equal(fake.live, 0);
}

static void open_good(const char *const *settings, opened *s)
{
    if (open_source(settings, s))
        fail_msg("%s", fake.error);
}

static void expect_part(const char *part)
{
    if (!strstr(fake.error, part))
        fail_msg("'%s' is not in: %s", part, fake.error);
}

static void expect_error(const char *const *settings, pudle_status status, const char *part)
{
    opened s;
    const pudle_status got = open_source(settings, &s);
    if (got != status)
        fail_msg("status %d, not %d: %s", (int)got, (int)status, fake.error);
    expect_part(part);
    free(s.params);
    assert_int_equal(fake.live, 0);
}

static pudle_data_info describe(const opened *s, int32_t split)
{
    pudle_data_info info = { .size = sizeof info };
    assert_int_equal(s->ops->describe(&host, s->self, split, &info), PUDLE_OK);
    assert_int_equal(info.rank, 3);
    assert_memory_equal(info.shape, info.target_shape, sizeof info.shape);
    return info;
}

typedef struct samples { pudle_view x, y; } samples;

typedef struct when { uint64_t seed, epoch; } when;

static samples read_at(const opened *s, int32_t split, int32_t dtype, when at, int64_t count, const int64_t *index)
{
    const pudle_data_info info = describe(s, split);
    const int64_t shape[4] = { count, info.shape[0], info.shape[1], info.shape[2] };
    samples out = { fake_view(dtype, 4, shape), fake_view(dtype, 4, shape) };
    for (int64_t i = 0; i < fake_count(&out.y); i++)
        set(&out.y, i, -7);
    const pudle_data_request request = { .size = sizeof request, .split = split, .seed = at.seed, .epoch = at.epoch,
                                         .index = index, .count = count, .x = &out.x, .y = &out.y };
    if (s->ops->read(&host, s->self, &request))
        fail_msg("%s", fake.error);
    return out;
}

static samples read_all(const opened *s, int32_t split, when at)
{
    const int64_t n = describe(s, split).samples;
    int64_t *index = calloc((size_t)n, sizeof *index);
    assert_non_null(index);
    for (int64_t i = 0; i < n; i++)
        index[i] = i;
    const samples out = read_at(s, split, PUDLE_F64, at, n, index);
    free(index);
    return out;
}

#endif
