/* The sizes of extension, halo and tiles, and the tile that a memory budget allows. */
#include "image/pieces.h"

pd_axis pd_axis_make(int64_t image, int64_t size, int64_t stride, int64_t layers, bool shifts)
{
    const int64_t before = shifts ? stride : 0, rest = (image + before - size) % stride;
    pd_axis a = { .size = size, .stride = stride, .image = image, .before = before, .phases = shifts ? stride : 1 };
    a.whole = before + image + (rest ? stride - rest : 0) + before;
    a.halo = (layers - 1) * ((size - 1) / stride) * stride + size - stride;
    if (a.halo < 0) /* strides larger than a filter: nothing overlaps */
        a.halo = 0;
    pd_axis_cut(&a, a.whole);
    return a;
}

void pd_axis_cut(pd_axis *a, int64_t tile)
{
    if (tile >= a->whole) {
        a->tile = a->advance = a->whole;
        a->tiles = 1;
        return;
    }
    a->tile = tile;
    a->advance = (tile - 2 * a->halo) / a->stride * a->stride;
    a->tiles = (a->whole - tile + a->advance - 1) / a->advance + 1;
}

/* The smallest length of a tile that advances: of the form size + n stride. */
static int64_t least_tile(const pd_axis *a)
{
    const int64_t wanted = 2 * a->halo + a->stride;
    const int64_t n = wanted > a->size ? (wanted - a->size + a->stride - 1) / a->stride : 0;
    const int64_t tile = a->size + n * a->stride;
    return tile < a->whole ? tile : a->whole;
}

/* Bytes of a piece, the most that a backend takes; an inference keeps no tape. Of the data's size: reconstruction and residual in the
 * lane, input and reconstruction of the batch, the host's copy, and four of a backend that encodes by itself (D z in two layers, the
 * residual, the target). Of the code's: the result, and values and indices of that backend. Double, so that nothing overflows. */
static double piece_bytes(const pd_pieces *p, const pd_cost *cost, int64_t height, int64_t width)
{
    const pd_axis *y = &p->axis[0], *x = &p->axis[1];
    const double data = (double)cost->channels * (double)height * (double)width;
    const double down = (double)((height - y->size) / y->stride + 1), across = (double)((width - x->size) / x->stride + 1);
    return (double)cost->width * (9 * data + 3 * (double)cost->atoms * down * across);
}

/* The tallest tile of this width within the budget, then no taller than its number of tiles needs; 0: none. */
static int64_t height_for(const pd_pieces *p, const pd_cost *cost, double memory, int64_t width)
{
    pd_axis y = p->axis[0];
    const int64_t least = least_tile(&y);
    int64_t low = 0, high = (y.whole - least) / y.stride;
    if (piece_bytes(p, cost, least, width) > memory)
        return 0;
    while (low < high) { /* the largest n for which least + n stride fits */
        const int64_t middle = (low + high + 1) / 2;
        if (piece_bytes(p, cost, least + middle * y.stride, width) <= memory)
            low = middle;
        else
            high = middle - 1;
    }
    pd_axis_cut(&y, least + low * y.stride);
    const int64_t tiles = y.tiles;
    for (; low > 0; low--) {
        pd_axis_cut(&y, least + (low - 1) * y.stride);
        if (y.tiles > tiles)
            break;
    }
    return least + low * y.stride;
}

/* Over all widths, the tile with the fewest pixels to compute in all. */
static bool choose_tile(pd_pieces *p, const pd_cost *cost, double memory)
{
    pd_axis best_y = p->axis[0], best_x = p->axis[1], y = best_y, x = best_x;
    const int64_t least = least_tile(&x);
    double fewest = 0;
    bool found = false;
    int64_t tiles = 0;
    for (int64_t width = x.whole; width >= least; width -= x.stride) {
        pd_axis_cut(&x, width);
        if (x.tiles == tiles) /* wider than need be: keep the narrowest of each number of tiles */
            continue;
        pd_axis narrowest = x;
        for (int64_t w = width - x.stride; w >= least; w -= x.stride) {
            pd_axis_cut(&narrowest, w);
            if (narrowest.tiles > x.tiles)
                break;
            width = w;
        }
        pd_axis_cut(&x, width);
        tiles = x.tiles;
        const int64_t height = height_for(p, cost, memory, x.tile);
        if (!height)
            continue;
        pd_axis_cut(&y, height);
        const double pixels = (double)x.tile * (double)x.tiles * (double)y.tile * (double)y.tiles;
        if (!found || pixels < fewest) {
            found = true;
            fewest = pixels;
            best_x = x;
            best_y = y;
        }
    }
    p->axis[0] = best_y;
    p->axis[1] = best_x;
    return found;
}

pudle_status pd_pieces_fit(pd_context *ctx, pd_pieces *p, const pd_cost *cost, int64_t memory, bool tileable, int64_t most)
{
    pd_axis *y = &p->axis[0], *x = &p->axis[1];
    const double mib = 1048576.0;
    double bytes = piece_bytes(p, cost, y->whole, x->whole);
    if (bytes > (double)memory) {
        if (!tileable)
            return pd_fail(ctx, PUDLE_ERR_CONFIG, "a picture of %lld x %lld pixels needs %.0f MiB, and the budget is %.0f MiB: this model's prox or "
                           "inner loss joins distant entries, so the picture cannot be cut into tiles; allow more memory", (long long)x->image,
                           (long long)y->image, bytes / mib + 1, (double)memory / mib);
        if (!choose_tile(p, cost, (double)memory))
            return pd_fail(ctx, PUDLE_ERR_CONFIG, "a memory budget of %.1f MiB is too little: the smallest tile, %lld x %lld pixels with halos of %lld, "
                           "needs %.1f MiB; allow that much", (double)memory / mib, (long long)least_tile(x), (long long)least_tile(y),
                           (long long)x->halo, piece_bytes(p, cost, least_tile(y), least_tile(x)) / mib + 0.1);
        bytes = piece_bytes(p, cost, y->tile, x->tile);
    }
    p->count = y->phases * x->phases * y->tiles * x->tiles;
    const double fit = (double)memory / bytes;
    p->at_once = fit < (double)most ? (int64_t)fit : most;
    if (p->at_once > p->count)
        p->at_once = p->count;
    if (p->at_once < 1)
        p->at_once = 1;
    p->bytes = (int64_t)(bytes * (double)p->at_once);
    return PUDLE_OK;
}
