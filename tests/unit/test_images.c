/* Pictures as data: every kind of PNG and JPEG, windows, flips and noise, purity, refusals, and damage at every length. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jpeglib.h>
#include <png.h>
#include <zlib.h>

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

typedef struct bytes { uint8_t *at; size_t count; } bytes;

static bytes slurp(const char *name)
{
    bytes b = { malloc(1 << 22), 0 };
    FILE *f = fopen(in_folder(name), "rb");
    assert_non_null(f);
    assert_non_null(b.at);
    b.count = fread(b.at, 1, 1 << 22, f);
    fclose(f);
    return b;
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

static void write_flat(const char *name, int width, int height, uint8_t value)
{
    uint8_t *v = malloc((size_t)(width * height));
    assert_non_null(v);
    memset(v, value, (size_t)(width * height));
    write_png8(name, width, height, 1, v);
    free(v);
}

static uint8_t smooth(int x, int y, int c)
{
    return (uint8_t)(40 + 5 * x + 3 * y + (c == 1 ? 20 : c == 2 ? 8 * y - 4 * x : 0));
}

static const jpeg_scan_info *scans; /* of the next file, instead of the usual ones; NULL: none */
static int scan_count;

static void write_jpeg(const char *name, int width, int height, J_COLOR_SPACE space, bool progressive, bool subsampled)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    FILE *f = new_file(name);
    const int channels = space == JCS_GRAYSCALE ? 1 : space == JCS_RGB ? 3 : 4;
    uint8_t *row = malloc((size_t)(width * channels));
    assert_non_null(f);
    assert_non_null(row);
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, f);
    jpeg.image_width = (JDIMENSION)width;
    jpeg.image_height = (JDIMENSION)height;
    jpeg.input_components = channels;
    jpeg.in_color_space = space;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 100, TRUE);
    if (!subsampled)
        for (int c = 0; c < jpeg.num_components; c++)
            jpeg.comp_info[c].h_samp_factor = jpeg.comp_info[c].v_samp_factor = 1;
    if (progressive)
        jpeg_simple_progression(&jpeg);
    if (scans) {
        jpeg.scan_info = scans;
        jpeg.num_scans = scan_count;
    }
    jpeg_start_compress(&jpeg, TRUE);
    for (int y = 0; y < height; y++) {
        for (int i = 0; i < width * channels; i++)
            row[i] = smooth(i / channels, y, i % channels);
        JSAMPROW rows[1] = { row };
        jpeg_write_scanlines(&jpeg, rows, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    free(row);
    fclose(f);
}

/* What libjpeg itself makes of a file: RGB or grey bytes (height, width, channels). */
static uint8_t *decode_jpeg(const char *name, int channels)
{
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    FILE *f = fopen(in_folder(name), "rb");
    assert_non_null(f);
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&jpeg);
    jpeg_stdio_src(&jpeg, f);
    jpeg_read_header(&jpeg, TRUE);
    jpeg.out_color_space = channels == 3 ? JCS_RGB : JCS_GRAYSCALE;
    jpeg_start_decompress(&jpeg);
    uint8_t *out = malloc((size_t)(jpeg.output_width * jpeg.output_height) * (size_t)channels);
    assert_non_null(out);
    while (jpeg.output_scanline < jpeg.output_height) {
        JSAMPROW row = out + jpeg.output_scanline * jpeg.output_width * (JDIMENSION)channels;
        jpeg_read_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_decompress(&jpeg);
    jpeg_destroy_decompress(&jpeg);
    fclose(f);
    return out;
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

static void drop(samples *s)
{
    free(s->x.data);
    free(s->y.data);
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

/* The only picture of the only file, as (channels, height, width). */
static pudle_view read_file(const char *name, const char *colour)
{
    opened s;
    open_good(SETTINGS("path", in_folder(name), "colour", colour), &s);
    samples v = read_all(&s, PUDLE_SPLIT_TRAIN, (when){ 1, 0 });
    assert_false(describe(&s, PUDLE_SPLIT_TRAIN).has_target);
    assert_true(get(&v.y, 0) == -7);
    free(v.y.data);
    close_source(&s);
    return v.x;
}

static unsigned grey(unsigned r, unsigned g, unsigned b)
{
    return (unsigned)((19595ull * r + 38470ull * g + 7471ull * b + 32768) >> 16);
}

/* ----------------------------------------------------------------- decoding */

/* The true colour of a pixel of a test PNG, as RGB of 8 or 16 bits; returns the largest value. */
static unsigned true_rgb(const png_kind *k, int x, int y, unsigned rgb[3])
{
    if (k->colour == PNG_COLOR_TYPE_PALETTE) {
        const png_color c = palette_at((int)stored(k, x, y, 0));
        rgb[0] = c.red, rgb[1] = c.green, rgb[2] = c.blue;
        return 255;
    }
    const bool colour = png_channels(k->colour) >= 3;
    const unsigned widen = k->bits < 8 ? 255 / ((1u << k->bits) - 1) : 1;
    for (int c = 0; c < 3; c++)
        rgb[c] = widen * stored(k, x, y, colour ? c : 0);
    return k->bits == 16 ? 65535 : 255;
}

static void check_png(const png_kind *k)
{
    write_png("a.png", k, WIDTH, HEIGHT);
    const pudle_view g = read_file("a.png", "false"), c = read_file("a.png", "true");
    assert_true(g.shape[1] == 1 && g.shape[2] == HEIGHT && g.shape[3] == WIDTH);
    assert_true(c.shape[1] == 3 && c.shape[2] == HEIGHT && c.shape[3] == WIDTH);
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            unsigned rgb[3];
            const double max = true_rgb(k, x, y, rgb);
            const int at = y * WIDTH + x;
            assert_true(get(&g, at) == grey(rgb[0], rgb[1], rgb[2]) / max);
            for (int i = 0; i < 3; i++)
                assert_true(get(&c, i * WIDTH * HEIGHT + at) == rgb[i] / max);
        }
    free(g.data);
    free(c.data);
}

static const struct { int colour, bits; } png_forms[] = {
    { PNG_COLOR_TYPE_GRAY, 1 },        { PNG_COLOR_TYPE_GRAY, 2 },       { PNG_COLOR_TYPE_GRAY, 4 },
    { PNG_COLOR_TYPE_GRAY, 8 },        { PNG_COLOR_TYPE_GRAY, 16 },      { PNG_COLOR_TYPE_RGB, 8 },
    { PNG_COLOR_TYPE_RGB, 16 },        { PNG_COLOR_TYPE_PALETTE, 1 },    { PNG_COLOR_TYPE_PALETTE, 4 },
    { PNG_COLOR_TYPE_PALETTE, 8 },     { PNG_COLOR_TYPE_GRAY_ALPHA, 8 }, { PNG_COLOR_TYPE_GRAY_ALPHA, 16 },
    { PNG_COLOR_TYPE_RGB_ALPHA, 8 },   { PNG_COLOR_TYPE_RGB_ALPHA, 16 },
};
enum { PNG_FORMS = sizeof png_forms / sizeof *png_forms };

static void test_png_kinds(void **state)
{
    (void)state;
    for (int i = 0; i < PNG_FORMS; i++)
        for (int interlace = 0; interlace < 2; interlace++)
            check_png(&(png_kind){ png_forms[i].colour, png_forms[i].bits, interlace, 0 });
}

static void test_transparency(void **state)
{
    (void)state;
    for (int i = 0; i < PNG_FORMS; i++) {
        png_kind k = { png_forms[i].colour, png_forms[i].bits, i % 2, 1 };
        write_png("a.png", &k, WIDTH, HEIGHT);
        expect_error(SETTINGS("path", in_folder("a.png")), PUDLE_ERR_UNSUPPORTED, "a.png: transparent at column");
        k.transparent = 2;
        if (k.bits >= 8 && (k.colour == PNG_COLOR_TYPE_PALETTE || k.colour == PNG_COLOR_TYPE_RGB))
            check_png(&k);
    }
    write_png("a.png", &(png_kind){ PNG_COLOR_TYPE_RGB_ALPHA, 8, 0, 1 }, WIDTH, HEIGHT);
    expect_error(SETTINGS("path", in_folder("a.png")), PUDLE_ERR_UNSUPPORTED, "column 5 of row 3");
}

/* The known formula on known values, 8 and 16 bits; grey values are kept as they are. */
static void test_grey_formula(void **state)
{
    static const uint8_t rgb[] = { 255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255, 10, 200, 100, 1, 1, 1 };
    static const double expected[] = { 76, 150, 29, 255, 132, 1 }; /* .299 * 10 + .587 * 200 + .114 * 100 = 131.79 */
    (void)state;
    write_png8("a.png", 6, 1, 3, rgb);
    pudle_view v = read_file("a.png", "false");
    for (int i = 0; i < 6; i++)
        assert_true(get(&v, i) == expected[i] / 255);
    free(v.data);
}

static void check_jpeg(const char *name, J_COLOR_SPACE space, bool progressive, bool subsampled)
{
    const int w = 21, h = 19, channels = space == JCS_GRAYSCALE ? 1 : 3;
    write_jpeg(name, w, h, space, progressive, subsampled);
    uint8_t *raw = decode_jpeg(name, channels);
    const pudle_view g = read_file(name, "false"), c = read_file(name, "true");
    assert_true(g.shape[1] == 1 && g.shape[2] == h && g.shape[3] == w && c.shape[1] == 3);
    for (int i = 0; i < w * h; i++) {
        const uint8_t *p = raw + i * channels;
        assert_true(get(&g, i) == (channels == 3 ? grey(p[0], p[1], p[2]) : p[0]) / 255.0);
        for (int k = 0; k < 3; k++) {
            const int from = channels == 3 ? k : 0;
            assert_true(get(&c, k * w * h + i) == p[from] / 255.0);
            if (!subsampled)
                assert_true(abs(p[from] - smooth(i % w, i / w, from)) <= 3);
        }
    }
    free(raw);
    free(g.data);
    free(c.data);
}

static void test_jpeg_kinds(void **state)
{
    (void)state;
    for (int progressive = 0; progressive < 2; progressive++) {
        check_jpeg("a.jpg", JCS_GRAYSCALE, progressive, false);
        check_jpeg("a.jpg", JCS_RGB, progressive, false);
        check_jpeg("a.jpg", JCS_RGB, progressive, true);
    }
    write_jpeg("a.jpg", 16, 16, JCS_CMYK, false, false);
    expect_error(SETTINGS("path", in_folder("a.jpg")), PUDLE_ERR_UNSUPPORTED, "a.jpg: a CMYK picture");
}

/* ---------------------------------------------------------- folders of files */

static void test_folder(void **state)
{
    opened s;
    (void)state;
    empty_folder();
    expect_error(SETTINGS("path", folder), PUDLE_ERR_NOTFOUND, "no PNG or JPEG picture in this folder (0 other files)");
    spill("b.png", "this is text", 12);
    spill("notes.txt", "", 0);
    spill(".DS_Store", "\0\0\0\1Bud1", 8);
    assert_int_equal(mkdir(in_folder("a-folder.png"), 0777), 0);
    assert_int_equal(mkfifo(in_folder("pipe.png"), 0600), 0);
    expect_error(SETTINGS("path", folder), PUDLE_ERR_NOTFOUND, "(4 other files)");
    write_flat("c", 3, 2, 30); /* the bytes count, not the name */
    write_flat("Z.png", 3, 2, 10);
    write_flat("a.jpg", 3, 2, 20);
    write_flat("100.png", 3, 2, 1);
    write_flat("20.png", 3, 2, 2);
    open_good(SETTINGS("path", folder), &s);
    assert_int_equal(log_lines, 1);
    assert_non_null(strstr(logged, "5 pictures; skipped 4 files that are neither PNG nor JPEG, for instance .DS_Store"));
    samples v = read_all(&s, PUDLE_SPLIT_TRAIN, (when){ 1, 1 });
    static const double expected[] = { 1, 2, 10, 20, 30 };
    assert_int_equal(v.x.shape[0], 5);
    for (int i = 0; i < 5; i++)
        assert_true(get(&v.x, 6 * i) == expected[i] / 255);
    drop(&v);
    close_source(&s);
    spill("broken.png", "\x89PNG\r\n\x1a\n\0\0\0\rIH", 14);
    expect_error(SETTINGS("path", folder), PUDLE_ERR_IO, "broken.png: damaged PNG: the file is cut short");
    expect_error(SETTINGS("path", in_folder("b.png")), PUDLE_ERR_IO, "b.png: its first bytes are neither PNG's nor JPEG's");
    expect_error(SETTINGS("path", in_folder("pipe.png")), PUDLE_ERR_IO, "not a file");
    expect_error(SETTINGS("path", in_folder("nothing")), PUDLE_ERR_NOTFOUND, "nothing: cannot be opened: No such file");
    empty_folder();
}

static void test_settings(void **state)
{
    opened s;
    (void)state;
    empty_folder();
    write_map("a.png", 12, 9);
    expect_error(SETTINGS("path", folder, "noise", "25", "poisson", "10"), PUDLE_ERR_CONFIG, "contradict each other");
    expect_error(SETTINGS("path", folder, "test_crop", "centre"), PUDLE_ERR_CONFIG, "set crop");
    expect_error(SETTINGS("path", folder, "crop", "10"), PUDLE_ERR_CONFIG,
                 "a.png: its 12 x 9 pixels are too few for crop = 10");
    open_good(SETTINGS("path", folder), &s);
    assert_int_equal(s.desc->caps, 0);
    pudle_data_info info = { .size = sizeof info };
    assert_int_equal(s.ops->describe(&host, s.self, PUDLE_SPLIT_TEST, &info), PUDLE_ERR_NOTFOUND);
    expect_part("give test_path");
    pudle_view x = fake_view(PUDLE_F64, 4, (const int64_t[]){ 1, 1, 9, 12 });
    int64_t index = 1;
    pudle_data_request request = { .size = sizeof request, .index = &index, .count = 1, .x = &x };
    assert_int_equal(s.ops->read(&host, s.self, &request), PUDLE_ERR_ARG);
    index = -1;
    assert_int_equal(s.ops->read(&host, s.self, &request), PUDLE_ERR_ARG);
    index = 0;
    request.split = PUDLE_SPLIT_TEST;
    assert_int_equal(s.ops->read(&host, s.self, &request), PUDLE_ERR_ARG);
    request.split = 7;
    assert_int_equal(s.ops->read(&host, s.self, &request), PUDLE_ERR_ARG);
    request.split = PUDLE_SPLIT_TRAIN;
    assert_int_equal(s.ops->read(&host, s.self, &request), PUDLE_OK);
    x.shape[3] = 8; /* not what describe says */
    assert_int_equal(s.ops->read(&host, s.self, &request), PUDLE_ERR_CONFIG);
    expect_part("test_crop");
    free(x.data);
    close_source(&s);
}

/* Pictures of two sizes: squares of them are samples, they themselves are not. */
static void test_sizes(void **state)
{
    opened s;
    (void)state;
    empty_folder();
    write_map("a.png", 12, 9);
    write_map("b.png", 9, 12);
    expect_error(SETTINGS("path", folder), PUDLE_ERR_CONFIG,
                 "b.png has 9 x 12: whole pictures must be of one size; set crop");
    open_good(SETTINGS("path", folder, "test_path", folder, "crop", "5"), &s);
    pudle_data_info info = describe(&s, PUDLE_SPLIT_TRAIN);
    assert_true(info.samples == 2 && info.shape[0] == 1 && info.shape[1] == 5 && info.shape[2] == 5);
    assert_int_equal(s.ops->describe(&host, s.self, PUDLE_SPLIT_TEST, &info), PUDLE_ERR_CONFIG);
    expect_part("set test_crop = \"centre\"");
    close_source(&s);
    open_good(SETTINGS("path", folder, "test_path", folder, "crop", "5", "test_crop", "centre", "flip", "true"), &s);
    samples v = read_all(&s, PUDLE_SPLIT_TEST, (when){ 3, 4 });
    for (int i = 0; i < 25; i++) {
        assert_true(get(&v.x, i) == (16 * (2 + i / 5) + 3 + i % 5) / 255.0);
        assert_true(get(&v.x, 25 + i) == (16 * (3 + i / 5) + 2 + i % 5) / 255.0);
    }
    drop(&v);
    close_source(&s);
    open_good(SETTINGS("path", folder, "test_path", in_folder("b.png"), "crop", "5"), &s);
    info = describe(&s, PUDLE_SPLIT_TEST);
    assert_true(info.samples == 1 && info.shape[1] == 12 && info.shape[2] == 9);
    close_source(&s);
}

/* ------------------------------------------------------------ windows, flips */

/* Reads the place and the mirroring off the values 16 y + x. */
static void test_windows(void **state)
{
    enum { W = 11, H = 8, CROP = 5, EPOCHS = 4000 };
    int place[H - CROP + 1][W - CROP + 1] = { { 0 } }, mirrored[2][2] = { { 0 } };
    opened s;
    (void)state;
    empty_folder();
    write_map("a.png", W, H);
    open_good(SETTINGS("path", folder, "crop", "5", "flip", "true"), &s);
    const uint64_t seed = pudle_random_u32(fake_random());
    for (uint64_t epoch = 0; epoch < EPOCHS; epoch++) {
        samples v = read_all(&s, PUDLE_SPLIT_TRAIN, (when){ seed, epoch });
        int at[CROP * CROP];
        for (int i = 0; i < CROP * CROP; i++)
            at[i] = (int)lround(255 * get(&v.x, i));
        const int dx = at[1] - at[0], dy = (at[CROP] - at[0]) / 16;
        assert_true(abs(dx) == 1 && abs(dy) == 1);
        for (int i = 0; i < CROP * CROP; i++)
            assert_int_equal(at[i], at[0] + dx * (i % CROP) + 16 * dy * (i / CROP));
        const int left = at[0] % 16 - (dx < 0 ? CROP - 1 : 0), top = at[0] / 16 - (dy < 0 ? CROP - 1 : 0);
        assert_true(left >= 0 && left <= W - CROP && top >= 0 && top <= H - CROP);
        place[top][left]++;
        mirrored[dx < 0][dy < 0]++;
        drop(&v);
    }
    for (int i = 0; i < 4; i++) { /* 4000/4, standard deviation 27; below 4000/28 = 143, 12 */
        assert_in_range(mirrored[i / 2][i % 2], 1000 - 165, 1000 + 165);
        for (int j = 0; j < W - CROP + 1; j++)
            assert_in_range(place[i][j], 143 - 72, 143 + 72);
    }
    close_source(&s);
}

/* Flips of whole pictures, colour: all channels alike. */
static void test_flip_whole(void **state)
{
    opened s;
    bool seen[4] = { false };
    (void)state;
    empty_folder();
    const png_kind k = { PNG_COLOR_TYPE_RGB, 16, 0, 0 };
    write_png("a.png", &k, WIDTH, HEIGHT);
    open_good(SETTINGS("path", folder, "colour", "true", "flip", "true"), &s);
    for (uint64_t epoch = 0; epoch < 100; epoch++) {
        samples v = read_all(&s, PUDLE_SPLIT_TRAIN, (when){ 9, epoch });
        int matches = 0;
        for (int how = 0; how < 4; how++) {
            bool same = true;
            for (int i = 0; i < 3 * WIDTH * HEIGHT; i++) {
                const int x = i % WIDTH, y = i / WIDTH % HEIGHT, c = i / WIDTH / HEIGHT;
                const unsigned e = stored(&k, how & 1 ? WIDTH - 1 - x : x, how & 2 ? HEIGHT - 1 - y : y, c);
                same = same && get(&v.x, i) == e / 65535.0;
            }
            matches += same;
            seen[how] = seen[how] || same;
        }
        assert_int_equal(matches, 1);
        drop(&v);
    }
    assert_true(seen[0] && seen[1] && seen[2] && seen[3]);
    close_source(&s);
}

/* --------------------------------------------------------------------- noise */

static void test_gaussian_noise(void **state)
{
    enum { SIDE = 200, PIXELS = SIDE * SIDE, EPOCHS = 100, N = PIXELS * EPOCHS };
    opened s;
    double m1 = 0, m2 = 0, m4 = 0, neighbours = 0, before = 0;
    const uint64_t seed = pudle_random_u32(fake_random());
    (void)state;
    empty_folder();
    write_flat("a.png", SIDE, SIDE, 250); /* values beyond 1 must not be cut off */
    open_good(SETTINGS("path", folder, "noise", "25"), &s);
    assert_true(describe(&s, PUDLE_SPLIT_TRAIN).has_target);
    for (uint64_t epoch = 0; epoch < EPOCHS; epoch++) {
        samples v = read_all(&s, PUDLE_SPLIT_TRAIN, (when){ seed, epoch });
        for (int i = 0; i < PIXELS; i++) {
            const double e = (get(&v.x, i) - get(&v.y, i)) * 255 / 25;
            assert_true(get(&v.y, i) == 250 / 255.0);
            m1 += e / N;
            m2 += e * e / N;
            m4 += e * e * e * e / N;
            neighbours += e * before / N;
            before = e;
        }
        drop(&v);
    }
    const double unit = 1 / sqrt(N); /* six standard deviations of each estimate */
    assert_true(fabs(m1) < 6 * unit);
    assert_true(fabs(m2 - 1) < 6 * sqrt(2) * unit);
    assert_true(fabs(m4 - 3) < 6 * sqrt(96) * unit);
    assert_true(fabs(neighbours) < 6 * unit);
    close_source(&s);
}

/* Chi-square of photon counts against the Poisson law, for means on both sides of the sampler's seam. */
static void check_poisson(double peak, int value)
{
    enum { SIDE = 200, N = SIDE * SIDE };
    static double count[4096];
    opened s;
    char text[32];
    empty_folder();
    write_flat("a.png", SIDE, SIDE, (uint8_t)value);
    snprintf(text, sizeof text, "%.17g", peak);
    open_good(SETTINGS("path", folder, "poisson", text), &s);
    samples v = read_all(&s, PUDLE_SPLIT_TRAIN, (when){ pudle_random_u32(fake_random()), 0 });
    const double mean = peak * value / 255;
    double sum = 0, squares = 0;
    memset(count, 0, sizeof count);
    for (int i = 0; i < N; i++) {
        const double k = get(&v.x, i) * peak, whole = floor(k + 0.5);
        assert_true(get(&v.y, i) == value / 255.0);
        assert_true(fabs(k - whole) < 1e-9 * (1 + k) && whole >= 0 && whole < 4096);
        count[(int)whole]++;
        sum += whole;
        squares += (whole - mean) * (whole - mean);
    }
    drop(&v);
    close_source(&s);
    if (value == 0) {
        assert_true(count[0] == N);
        return;
    }
    double chi2 = 0, cells = 0, expected = 0, got = 0; /* neighbours are joined until at least 20 are expected */
    for (int k = 0; k < 4096; k++) {
        expected += N * exp(k * log(mean) - mean - lgamma(k + 1.0));
        got += count[k];
        if (expected >= 20) {
            chi2 += (got - expected) * (got - expected) / expected;
            cells++;
            expected = got = 0;
        }
    }
    const double df = cells - 1;
    if (chi2 > df + 6 * sqrt(2 * df) + 20)
        fail_msg("mean %g: chi-square %g with %g degrees of freedom", mean, chi2, df);
    assert_true(fabs(sum / N - mean) < 6 * sqrt(mean / N));
    assert_true(fabs(squares / N - mean) < 6 * sqrt((mean + 2 * mean * mean) / N));
}

static void test_photon_noise(void **state)
{
    (void)state;
    check_poisson(1, 51);
    check_poisson(10, 200);
    check_poisson(10.02, 254);
    check_poisson(10.2, 255);
    check_poisson(50, 255);
    check_poisson(1000, 255);
    check_poisson(30, 0);
}

/* -------------------------------------------------------------------- purity */

static bool same_sample(const pudle_view *a, int64_t i, const pudle_view *b, int64_t j)
{
    const int64_t n = fake_count(a) / a->shape[0];
    return !memcmp((double *)a->data + i * n, (double *)b->data + j * n, (size_t)n * sizeof(double));
}

static void check_purity(const char *noise, const char *poisson, const char *memory)
{
    opened s, again;
    const char *const settings[] = { "path", folder, "test_path", folder, "crop", "6", "flip", "true", "test_crop", "centre",
                                     "noise", noise, "poisson", poisson, "memory", memory, NULL };
    const when at = { pudle_random_u32(fake_random()), pudle_random_u32(fake_random()) };
    open_good(settings, &s);
    open_good(settings, &again);
    assert_int_equal(log_lines, strcmp(memory, "0") == 0 ? 2 : 0);
    samples all = read_all(&s, PUDLE_SPLIT_TRAIN, at), twice = read_all(&again, PUDLE_SPLIT_TRAIN, at);
    assert_true(same_bits(&all.x, &twice.x) && same_bits(&all.y, &twice.y));
    static const int64_t some[] = { 3, 0, 3, 2 };
    samples part = read_at(&s, PUDLE_SPLIT_TRAIN, PUDLE_F64, at, 4, some);
    samples single = read_at(&s, PUDLE_SPLIT_TRAIN, PUDLE_F32, at, 4, some);
    for (int64_t i = 0; i < 4; i++) {
        assert_true(same_sample(&part.x, i, &all.x, some[i]));
        assert_true(same_sample(&part.y, i, &all.y, some[i]));
    }
    for (int64_t i = 0; i < fake_count(&part.x); i++)
        assert_true(get(&single.x, i) == (double)(float)get(&part.x, i));
    samples next = read_all(&s, PUDLE_SPLIT_TRAIN, (when){ at.seed, at.epoch + 1 });
    samples other = read_all(&s, PUDLE_SPLIT_TRAIN, (when){ at.seed + 1, at.epoch });
    assert_false(same_bits(&all.x, &next.x));
    assert_false(same_bits(&all.x, &other.x));
    samples test = read_all(&s, PUDLE_SPLIT_TEST, at);
    samples later = read_all(&s, PUDLE_SPLIT_TEST, (when){ at.seed, at.epoch + 1 });
    samples elsewhere = read_all(&s, PUDLE_SPLIT_TEST, (when){ at.seed + 1, at.epoch });
    assert_true(same_bits(&test.x, &later.x) && same_bits(&test.y, &elsewhere.y));
    assert_int_equal(same_bits(&test.x, &elsewhere.x), !strcmp(noise, "0") && !strcmp(poisson, "0"));
    samples *const held[] = { &all, &twice, &part, &single, &next, &other, &test, &later, &elsewhere };
    for (size_t i = 0; i < sizeof held / sizeof *held; i++)
        drop(held[i]);
    again.desc->destroy(&host, again.self);
    free(again.params);
    close_source(&s);
}

static void test_purity(void **state)
{
    (void)state;
    empty_folder();
    for (int i = 0; i < 4; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d.png", i);
        write_map(name, 16 - i, 12 + i);
    }
    check_purity("0", "0", "2048");
    check_purity("25", "0", "2048");
    check_purity("0", "40", "2048");
    check_purity("25", "0", "0");
}

/* Noise does not move the windows: with and without it the targets are the same. */
static void test_streams(void **state)
{
    opened s;
    (void)state;
    empty_folder();
    write_map("a.png", 16, 12);
    open_good(SETTINGS("path", folder, "crop", "6"), &s);
    samples plain = read_all(&s, PUDLE_SPLIT_TRAIN, (when){ 5, 6 });
    close_source(&s);
    open_good(SETTINGS("path", folder, "crop", "6", "noise", "10"), &s);
    samples noisy = read_all(&s, PUDLE_SPLIT_TRAIN, (when){ 5, 6 });
    close_source(&s);
    assert_true(same_bits(&plain.x, &noisy.y));
    drop(&plain);
    drop(&noisy);
}

static void test_changed_file(void **state)
{
    opened s;
    (void)state;
    empty_folder();
    write_map("a.png", 16, 12);
    open_good(SETTINGS("path", folder, "memory", "0"), &s);
    assert_non_null(strstr(logged, "1 of 1 training pictures do not fit into memory = 0 MiB"));
    write_map("a.png", 16, 13);
    pudle_view x = fake_view(PUDLE_F64, 4, (const int64_t[]){ 1, 1, 12, 16 });
    const int64_t index = 0;
    const pudle_data_request request = { .size = sizeof request, .index = &index, .count = 1, .x = &x };
    assert_int_equal(s.ops->read(&host, s.self, &request), PUDLE_ERR_IO);
    expect_part("a.png: the file has changed");
    free(x.data);
    close_source(&s);
}

/* -------------------------------------------------------------------- damage */

static void set_png_size(bytes *b, uint32_t width, uint32_t height)
{
    for (int i = 0; i < 4; i++) {
        b->at[16 + i] = (uint8_t)(width >> (24 - 8 * i));
        b->at[20 + i] = (uint8_t)(height >> (24 - 8 * i));
    }
    const uint32_t crc = (uint32_t)crc32(0, b->at + 12, 17);
    for (int i = 0; i < 4; i++)
        b->at[29 + i] = (uint8_t)(crc >> (24 - 8 * i));
}

/* The first frame header, baseline or progressive. */
static void set_jpeg_size(bytes *b, int width, int height)
{
    for (size_t i = 2; i + 9 < b->count; i += 2 + (size_t)b->at[i + 2] * 256 + b->at[i + 3])
        if (b->at[i] == 0xff && (b->at[i + 1] == 0xc0 || b->at[i + 1] == 0xc2)) {
            b->at[i + 5] = (uint8_t)(height >> 8), b->at[i + 6] = (uint8_t)height;
            b->at[i + 7] = (uint8_t)(width >> 8), b->at[i + 8] = (uint8_t)width;
            return;
        }
    fail_msg("no frame header");
}

/* A small file that announces a huge picture is refused before memory is taken for it. */
static void test_bombs(void **state)
{
    static const struct { uint32_t width, height; pudle_status status; const char *part; } png[] = {
        { 0x7fffffff, 0x7fffffff, PUDLE_ERR_UNSUPPORTED, "2147483647 x 2147483647 pixels; the limit is 2^28" },
        { 1 << 14, (1 << 14) + 1, PUDLE_ERR_UNSUPPORTED, "16384 x 16385 pixels; the limit" },
        { 1 << 14, 1 << 14, PUDLE_ERR_IO, "cannot hold the 16384 x 16384 pixels that its header announces" },
        { 1 << 28, 1, PUDLE_ERR_IO, "cannot hold" },
        { 0x80000000, 1, PUDLE_ERR_IO, "damaged PNG" },
        { 0, 5, PUDLE_ERR_IO, "damaged PNG" },
    };
    (void)state;
    empty_folder();
    for (int interlace = 0; interlace < 2; interlace++) {
        write_png("a.png", &(png_kind){ PNG_COLOR_TYPE_RGB, 16, interlace, 0 }, WIDTH, HEIGHT);
        bytes b = slurp("a.png");
        for (size_t i = 0; i < sizeof png / sizeof *png; i++) {
            set_png_size(&b, png[i].width, png[i].height);
            spill("a.png", b.at, b.count);
            fake.until_empty = 6; /* no room for many allocations either */
            expect_error(SETTINGS("path", in_folder("a.png")), png[i].status, png[i].part);
            fake.until_empty = -1;
        }
        free(b.at);
    }
    for (int progressive = 0; progressive < 2; progressive++) {
        write_jpeg("a.jpg", WIDTH, HEIGHT, JCS_RGB, progressive, false);
        bytes b = slurp("a.jpg");
        set_jpeg_size(&b, 65000, 65000);
        spill("a.jpg", b.at, b.count);
        expect_error(SETTINGS("path", in_folder("a.jpg")), PUDLE_ERR_UNSUPPORTED, "65000 x 65000 pixels; the limit is 2^28");
        set_jpeg_size(&b, 16000, 16000);
        spill("a.jpg", b.at, b.count);
        expect_error(SETTINGS("path", in_folder("a.jpg")), PUDLE_ERR_IO, "cannot hold the 16000 x 16000 pixels");
        set_jpeg_size(&b, 0, 7);
        spill("a.jpg", b.at, b.count);
        expect_error(SETTINGS("path", in_folder("a.jpg")), PUDLE_ERR_IO, "damaged JPEG");
        free(b.at);
    }
}

/* A legal file that would be gone over hundreds of times: each coefficient has scans of its own, bit after bit. */
static void test_many_scans(void **state)
{
    static jpeg_scan_info list[1 + 63 * 6];
    (void)state;
    empty_folder();
    for (int bits = 1; bits <= 6; bits += 5) {
        int n = 0;
        list[n++] = (jpeg_scan_info){ .comps_in_scan = 1 };
        for (int k = 1; k < 64; k++)
            for (int low = bits - 1; low >= 0; low--)
                list[n++] = (jpeg_scan_info){ .comps_in_scan = 1, .Ss = k, .Se = k, .Ah = low == bits - 1 ? 0 : low + 1,
                                              .Al = low };
        scans = list;
        scan_count = n;
        if (bits == 1)
            check_jpeg("a.jpg", JCS_GRAYSCALE, false, false);
        else
            write_jpeg("a.jpg", 8, 8, JCS_GRAYSCALE, false, false);
        scans = NULL;
    }
    expect_error(SETTINGS("path", in_folder("a.jpg")), PUDLE_ERR_IO, "more than 200 scans");
}

/* Every proper beginning of a file is an error that names it; so is nothing else than an error or a picture after any byte
 * has been changed. */
static void check_damage(const char *name)
{
    bytes b = slurp(name);
    for (size_t n = 0; n < b.count; n++) {
        spill(name, b.at, n);
        expect_error(SETTINGS("path", in_folder(name)), PUDLE_ERR_IO, name);
    }
    for (int i = 0; i < 400; i++) {
        opened s;
        const size_t at = pudle_random_below(fake_random(), b.count);
        const uint8_t was = b.at[at];
        b.at[at] = (uint8_t)pudle_random_u32(fake_random());
        spill(name, b.at, b.count);
        if (open_source(SETTINGS("path", in_folder(name), "colour", "true"), &s) == PUDLE_OK) {
            close_source(&s);
        } else {
            expect_part(name);
            free(s.params);
            assert_int_equal(fake.live, 0);
        }
        b.at[at] = was;
    }
    free(b.at);
}

static void test_damage(void **state)
{
    (void)state;
    empty_folder();
    for (int interlace = 0; interlace < 2; interlace++) {
        write_png("a.png", &(png_kind){ PNG_COLOR_TYPE_RGB, 8, interlace, 0 }, WIDTH, HEIGHT);
        check_damage("a.png");
        write_png("a.png", &(png_kind){ PNG_COLOR_TYPE_PALETTE, 8, interlace, 2 }, WIDTH, HEIGHT);
        check_damage("a.png");
        write_jpeg("a.jpg", 33, 17, JCS_RGB, interlace, true);
        check_damage("a.jpg");
        write_jpeg("a.jpg", 33, 17, JCS_GRAYSCALE, interlace, false);
        check_damage("a.jpg");
    }
}

/* Rubbish after the end is not read: cameras append films to their pictures. */
static void test_trailing_bytes(void **state)
{
    (void)state;
    empty_folder();
    write_png("a.png", &(png_kind){ PNG_COLOR_TYPE_GRAY, 8, 0, 0 }, WIDTH, HEIGHT);
    write_jpeg("a.jpg", WIDTH, HEIGHT, JCS_RGB, false, false);
    for (int i = 0; i < 2; i++) {
        const char *name = i ? "a.jpg" : "a.png";
        bytes b = slurp(name);
        memset(b.at + b.count, 0x55, 1000);
        pudle_view before = read_file(name, "false");
        spill(name, b.at, b.count + 1000);
        pudle_view after = read_file(name, "false");
        assert_true(same_bits(&before, &after));
        free(before.data);
        free(after.data);
        free(b.at);
    }
}

/* Each allocation in turn fails: a clear error, and nothing is left. */
static void test_no_memory(void **state)
{
    opened s;
    (void)state;
    empty_folder();
    for (int i = 0; i < 80; i++) { /* more than the list's first room */
        char name[16];
        snprintf(name, sizeof name, "%d.x", i);
        if (i % 2)
            write_map(name, 4, 4);
        else
            write_jpeg(name, 4, 4, JCS_RGB, i % 4 == 0, false);
    }
    long until = 0;
    for (;; until++) {
        fake.until_empty = until;
        const pudle_status status = open_source(SETTINGS("path", folder, "test_path", folder), &s);
        fake.until_empty = -1;
        if (status == PUDLE_OK)
            break;
        assert_int_equal(status, PUDLE_ERR_NOMEM);
        expect_part("no memory");
        free(s.params);
        assert_int_equal(fake.live, 0);
    }
    assert_true(until > 300);
    close_source(&s);
}

/* ----------------------------------------------------------- real photographs */

static bool find_data(const char *name, char path[1024])
{
    const char *top = getenv("top_srcdir");
    struct stat st;
    snprintf(path, 1024, "%s/../shared/data/%s", top ? top : ".", name);
    return stat(path, &st) == 0;
}

static void test_bsd(void **state)
{
    char train[1024], test[1024];
    opened s;
    (void)state;
    if (!find_data("cbsd432", train) || !find_data("bsd68", test)) {
        print_message("# skipped: no ../shared/data/cbsd432 and bsd68 beside the sources\n");
        skip();
    }
    expect_error(SETTINGS("path", test), PUDLE_ERR_CONFIG, "set crop, for squares from random places");
    open_good(SETTINGS("path", train, "test_path", test, "crop", "129", "flip", "true", "noise", "25"), &s);
    pudle_data_info info = { .size = sizeof info };
    assert_int_equal(s.ops->describe(&host, s.self, PUDLE_SPLIT_TEST, &info), PUDLE_ERR_CONFIG);
    info = describe(&s, PUDLE_SPLIT_TRAIN);
    assert_true(info.samples == 432 && info.has_target);
    assert_true(info.shape[0] == 1 && info.shape[1] == 129 && info.shape[2] == 129);
    samples v = read_all(&s, PUDLE_SPLIT_TRAIN, (when){ 1, 0 });
    double mean = 0, noise = 0;
    const int64_t n = fake_count(&v.x);
    for (int64_t i = 0; i < n; i++) {
        const double e = (get(&v.x, i) - get(&v.y, i)) * 255;
        mean += get(&v.y, i) / (double)n;
        noise += e * e / (double)n;
        assert_true(get(&v.y, i) >= 0 && get(&v.y, i) <= 1);
    }
    assert_true(mean > 0.3 && mean < 0.6); /* of photographs */
    assert_true(fabs(noise - 625) < 625 * 6 * sqrt(2.0 / (double)n));
    drop(&v);
    close_source(&s);
    open_good(SETTINGS("path", test, "crop", "321"), &s);
    info = describe(&s, PUDLE_SPLIT_TRAIN);
    assert_true(info.samples == 68 && info.shape[1] == 321);
    close_source(&s);
    expect_error(SETTINGS("path", test, "crop", "322"), PUDLE_ERR_CONFIG, "pixels are too few for crop = 322");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_png_kinds),     cmocka_unit_test(test_transparency),   cmocka_unit_test(test_grey_formula),
        cmocka_unit_test(test_jpeg_kinds),    cmocka_unit_test(test_folder),         cmocka_unit_test(test_settings),
        cmocka_unit_test(test_sizes),         cmocka_unit_test(test_windows),        cmocka_unit_test(test_flip_whole),
        cmocka_unit_test(test_gaussian_noise), cmocka_unit_test(test_photon_noise),  cmocka_unit_test(test_purity),
        cmocka_unit_test(test_streams),       cmocka_unit_test(test_changed_file),   cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_many_scans),
        cmocka_unit_test(test_damage),        cmocka_unit_test(test_trailing_bytes), cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_bsd),
    };
    fake_random();
    return cmocka_run_group_tests_name("images", tests, make_folder, drop_folder);
}
