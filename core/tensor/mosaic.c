/* core/tensor/mosaic.c - a picture of a dictionary: atoms as tiles. */
#include "files.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_GREY = 208, MID_GREY = 128, LINE = 1 };

typedef struct grid {
    int64_t count, columns, rows, zoom;
    int64_t tile_width, tile_height; /* before zoom */
    int channels;
    int64_t width, height; /* of the picture */
} grid;

enum { NARROW = 800, WIDE = 1200 }; /* the width aimed at, in pixels */

static int64_t side(int64_t tiles, int64_t tile, int64_t zoom)
{
    return LINE + tiles * (tile * zoom + LINE);
}

/* The enlargement that brings the width nearest, as a ratio, to the middle of the range aimed at. */
static int64_t choose_zoom(int64_t columns, int64_t tile_width)
{
    const double target = sqrt((double)NARROW * WIDE);
    const int64_t zoom = (int64_t)((target - LINE - (double)columns * LINE) / ((double)columns * (double)tile_width));
    if (zoom < 1)
        return 1;
    const double below = target / (double)side(columns, tile_width, zoom);
    const double above = (double)side(columns, tile_width, zoom + 1) / target;
    return above < below ? zoom + 1 : zoom;
}

/* Columns for a near-square picture: the square number and those within a quarter of it that fill every row are compared.
 * A width out of the range aimed at weighs most, then an unfilled row, then the distance from square. */
static int64_t choose_columns(int64_t count, int64_t width, int64_t height, int64_t zoom)
{
    const double square = sqrt((double)count * (double)(height + 1) / (double)(width + 1));
    const int64_t nearest = square < (double)count ? (int64_t)ceil(square) : count;
    int64_t best = nearest;
    double least = INFINITY;
    for (int64_t c = (int64_t)ceil(square * 0.8); c <= nearest || ((double)c <= square * 1.25 && c <= count); c++) {
        if (c < 1 || (c != nearest && count % c != 0))
            continue;
        const int64_t total = side(c, width, zoom ? zoom : choose_zoom(c, width));
        const double cost = fabs(log((double)c / square)) + (count % c != 0 ? 1 : 0) +
                            (!zoom && (total < NARROW || total > WIDE) ? 2 : 0);
        if (cost < least) {
            best = c;
            least = cost;
        }
    }
    return best;
}

static double at(const void *values, int32_t dtype, int64_t i)
{
    return dtype == PUDLE_F64 ? ((const double *)values)[i] : (double)((const float *)values)[i];
}

/* Is any value below 0? One answer for the whole mosaic, so that 0 has one grey in it. values holds one tile. */
static bool any_negative(const pudle_cview *tiles, int64_t count, int64_t pixels, void *values)
{
    for (int64_t t = 0; t < count; t++) {
        pd_gather(tiles, t * pixels, pixels, values);
        for (int64_t i = 0; i < pixels; i++)
            if (at(values, tiles->dtype, i) < 0)
                return true;
    }
    return false;
}

/* Largest finite magnitude. */
static double range(const void *values, int32_t dtype, int64_t pixels)
{
    double largest = 0;
    for (int64_t i = 0; i < pixels; i++) {
        const double v = fabs(at(values, dtype, i));
        if (isfinite(v) && v > largest)
            largest = v;
    }
    return largest;
}

uint8_t pd_grey(double v, double scale, bool is_signed)
{
    if (!isfinite(v))
        return MID_GREY;
    const double share = scale > 0 ? v / scale : 0;
    return (uint8_t)lround(is_signed ? MID_GREY + 127 * share : 255 * share);
}

static void paint(const grid *g, int64_t tile, const void *values, int32_t dtype, bool is_signed, uint8_t *picture)
{
    const int64_t w = g->tile_width, h = g->tile_height, z = g->zoom;
    const int64_t left = side(tile % g->columns, w, z), top = side(tile / g->columns, h, z);
    const double scale = range(values, dtype, w * h * g->channels);
    for (int64_t y = 0; y < h * z; y++) {
        uint8_t *to = picture + ((top + y) * g->width + left) * g->channels;
        for (int64_t x = 0; x < w * z; x++)
            for (int64_t c = 0; c < g->channels; c++)
                *to++ = pd_grey(at(values, dtype, (c * h + y / z) * w + x / z), scale, is_signed);
    }
}

static pudle_status plan(pd_context *ctx, const char *path, const pudle_cview *tiles, int64_t columns, int64_t zoom, grid *g)
{
    const int64_t limit = 1 << 28; /* bytes of the picture */
    const pudle_status status = pd_view_check(ctx, path, tiles);
    if (status)
        return status;
    if (g->channels != 1 && g->channels != 3)
        return pd_fail(ctx, PUDLE_ERR_ARG, "%s: tiles of %d channels; a mosaic takes 1 (grey) or 3 (RGB)", path,
                       g->channels);
    if (tiles->rank < 1 || tiles->shape[0] < 1 || g->tile_width < 1 || g->tile_height < 1 || g->tile_width > 65536 ||
        g->tile_height > 65536 || columns < 0 || zoom < 0 || zoom > 4096 ||
        pudle_count(tiles) / tiles->shape[0] != g->channels * g->tile_height * g->tile_width)
        return pd_fail(ctx, PUDLE_ERR_ARG, "%s: a mosaic needs tiles of (channels, height, width) = (%d, %lld, %lld) "
                       "values, one tile a row of the array, columns >= 0 and zoom 0 to 4096", path, g->channels,
                       (long long)g->tile_height, (long long)g->tile_width);
    g->count = tiles->shape[0];
    g->columns = columns ? columns : choose_columns(g->count, g->tile_width, g->tile_height, zoom);
    if (g->columns > g->count)
        g->columns = g->count;
    g->rows = (g->count - 1) / g->columns + 1;
    g->zoom = zoom ? zoom : choose_zoom(g->columns, g->tile_width);
    if (g->columns > limit || g->rows > limit)
        return pd_fail(ctx, PUDLE_ERR_ARG, "%s: %lld tiles are too many for one picture; draw fewer", path,
                       (long long)g->count);
    g->width = side(g->columns, g->tile_width, g->zoom);
    g->height = side(g->rows, g->tile_height, g->zoom);
    if (g->width > limit / g->channels / g->height)
        return pd_fail(ctx, PUDLE_ERR_ARG, "%s: a picture of %lld by %lld pixels is too large; draw fewer tiles or take a "
                       "smaller zoom", path, (long long)g->width, (long long)g->height);
    return PUDLE_OK;
}

pudle_status pd_mosaic_write(pd_context *ctx, const char *path, const pudle_cview *tiles, int channels, int64_t height,
                             int64_t width,
                             int64_t columns, int64_t zoom)
{
    grid g = { .tile_width = width, .tile_height = height, .channels = channels };
    pudle_status status = plan(ctx, path, tiles, columns, zoom, &g);
    if (status)
        return status;
    const int64_t pixels = channels * height * width;
    const size_t bytes = (size_t)(g.width * g.height * channels);
    void *values = pd_alloc((size_t)pixels, pudle_dtype_size(tiles->dtype));
    uint8_t *picture = pd_alloc(bytes, 1);
    if (values && picture) {
        const bool is_signed = any_negative(tiles, g.count, pixels, values);
        memset(picture, LINE_GREY, bytes);
        for (int64_t t = 0; t < g.count; t++) {
            pd_gather(tiles, t * pixels, pixels, values);
            paint(&g, t, values, tiles->dtype, is_signed, picture);
        }
        status = pd_png_write(ctx, path, g.width, g.height, channels, picture);
    } else
        status = pd_fail(ctx, PUDLE_ERR_NOMEM, "%s: no memory for a picture of %zu bytes", path, bytes);
    free(values);
    free(picture);
    return status;
}
