/* Pictures decoded: every kind of PNG and JPEG against what was written, files that ask for too much, damage at every length, and
 * memory that runs out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include <jpeglib.h>
#include <zlib.h>

#include "pictures.h"

/* ------------------------------------------------------------ files and pictures */

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

/* The first frame header, baseline or progressive; where it lies. */
static size_t set_jpeg_size(bytes *b, int width, int height)
{
    for (size_t i = 2; i + 9 < b->count; i += 2 + (size_t)b->at[i + 2] * 256 + b->at[i + 3])
        if (b->at[i] == 0xff && (b->at[i + 1] == 0xc0 || b->at[i + 1] == 0xc2)) {
            b->at[i + 5] = (uint8_t)(height >> 8), b->at[i + 6] = (uint8_t)height;
            b->at[i + 7] = (uint8_t)(width >> 8), b->at[i + 8] = (uint8_t)width;
            return i;
        }
    fail_msg("no frame header");
    return 0;
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
        uint8_t *coding = &b.at[set_jpeg_size(&b, 16000, 16000) + 1], huffman = *coding, arithmetic = progressive ? 0xca : 0xc9;
        for (int i = 0; i < 2; i++) {
            *coding = i ? arithmetic : huffman;
            spill("a.jpg", b.at, b.count);
            expect_error(SETTINGS("path", in_folder("a.jpg")), PUDLE_ERR_IO, "cannot hold the 16000 x 16000 pixels");
        }
        *coding = huffman;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_png_kinds),  cmocka_unit_test(test_transparency), cmocka_unit_test(test_grey_formula),
        cmocka_unit_test(test_jpeg_kinds), cmocka_unit_test(test_bombs),        cmocka_unit_test(test_many_scans),
        cmocka_unit_test(test_damage),     cmocka_unit_test(test_trailing_bytes), cmocka_unit_test(test_no_memory),
    };
    fake_random();
    return cmocka_run_group_tests_name("images_decoding", tests, make_folder, drop_folder);
}
