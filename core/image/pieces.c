/* Cutting pieces out of a picture that is continued by reflection, and putting their results together. */
#include "image/pieces.h"
#include <string.h>

/* One piece along one axis. */
typedef struct span {
    int64_t origin; /* of the tile, in the picture's own coordinates */
    int64_t first, last; /* pixels [first, last) of the tile are its own and lie in the picture */
} span;

static int64_t tile_origin(const pd_axis *a, int64_t j)
{
    const int64_t at = j * a->advance, end = a->whole - a->tile;
    return at < end ? at : end;
}

/* Where tile j's own part begins: where that of the tile before it ended. */
static int64_t own_begin(const pd_axis *a, int64_t j)
{
    return j == 0 ? 0 : tile_origin(a, j - 1) + a->tile - a->halo;
}

static span span_of(const pd_axis *a, int64_t tile, int64_t shift)
{
    const int64_t origin = tile_origin(a, tile), before = a->before - shift;
    int64_t first = own_begin(a, tile), last = tile + 1 == a->tiles ? a->whole : own_begin(a, tile + 1);
    if (first < before)
        first = before;
    if (last > before + a->image)
        last = before + a->image;
    return (span){ origin - before, first - origin, last - origin };
}

static void spans_of(const pd_pieces *p, int64_t i, span *down, span *across)
{
    const pd_axis *y = &p->axis[0], *x = &p->axis[1];
    const int64_t tiles = y->tiles * x->tiles, phase = i / tiles, tile = i % tiles;
    *down = span_of(y, tile / x->tiles, phase / x->phases);
    *across = span_of(x, tile % x->tiles, phase % x->phases);
}

/* Reflection without repeating the edge: -1 is 1, n is n - 2. */
static int64_t reflect(int64_t i, int64_t n)
{
    if (i >= 0 && i < n)
        return i;
    if (n == 1)
        return 0;
    const int64_t period = 2 * (n - 1), r = ((i % period) + period) % period;
    return r < n ? r : period - r;
}

/* One row of the picture as a row of the tile. */
static void cut_row(const char *row, size_t width, const pd_axis *a, const span *s, char *to)
{
    int64_t inside = s->origin < 0 ? -s->origin : 0, end = a->image - s->origin;
    if (end > a->tile)
        end = a->tile;
    if (inside > end)
        inside = end > 0 ? end : 0;
    for (int64_t j = 0; j < inside; j++)
        memcpy(to + (size_t)j * width, row + (size_t)reflect(s->origin + j, a->image) * width, width);
    if (end > inside)
        memcpy(to + (size_t)inside * width, row + (size_t)(s->origin + inside) * width, (size_t)(end - inside) * width);
    for (int64_t j = end > inside ? end : inside; j < a->tile; j++)
        memcpy(to + (size_t)j * width, row + (size_t)reflect(s->origin + j, a->image) * width, width);
}

void pd_piece_cut(const pd_pieces *p, int64_t i, const pudle_cview *picture, void *to)
{
    const pd_axis *y = &p->axis[0], *x = &p->axis[1];
    const size_t width = pudle_dtype_size(picture->dtype);
    const char *from = picture->data;
    char *out = to;
    span down, across;
    spans_of(p, i, &down, &across);
    for (int64_t c = 0; c < p->channels; c++)
        for (int64_t r = 0; r < y->tile; r++) {
            const int64_t row = c * y->image + reflect(down.origin + r, y->image);
            cut_row(from + (size_t)(row * x->image) * width, width, x, &across, out + (size_t)((c * y->tile + r) * x->tile) * width);
        }
}

static void add_row(int32_t dtype, const void *from, int64_t first, void *to, int64_t at, int64_t count)
{
    if (dtype == PUDLE_F64) {
        const double *f = (const double *)from + first;
        double *t = (double *)to + at;
        for (int64_t i = 0; i < count; i++)
            t[i] += f[i];
    } else {
        const float *f = (const float *)from + first;
        float *t = (float *)to + at;
        for (int64_t i = 0; i < count; i++)
            t[i] += f[i];
    }
}

void pd_piece_add(const pd_pieces *p, int64_t i, const void *from, const pudle_view *sum)
{
    const pd_axis *y = &p->axis[0], *x = &p->axis[1];
    span down, across;
    spans_of(p, i, &down, &across);
    for (int64_t c = 0; c < p->channels; c++)
        for (int64_t r = down.first; r < down.last; r++) {
            const int64_t row = c * y->image + down.origin + r;
            add_row(sum->dtype, from, (c * y->tile + r) * x->tile + across.first, sum->data, row * x->image + across.origin + across.first,
                    across.last > across.first ? across.last - across.first : 0);
        }
}
