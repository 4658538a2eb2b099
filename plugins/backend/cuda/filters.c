/* Convolutions as the products that tiles.h works out: their shapes, where the entries of D go, and how the work is cut. That is a matter of the shape alone, so sums
 * repeat on every card. */
#include "cuda.h"

#include <limits.h>
#include <math.h>

/* Most multiprocessors of a large card have one; and the blocks of a gradient. Not measured. */
enum { TILES_WANTED = 100, SPLIT_BLOCKS = 256, CELL_PIXELS = 16 };

/* Columns of a tile, as col_bits: what is computed in vain beside what is loaded for each column. */
static int columns_of(int64_t results)
{
    int best = 4;
    double least = INFINITY;
    for (int bits = 4; bits >= 0; bits--) {
        const int64_t wide = (int64_t)4 << bits;
        const double cost = (double)((results + wide - 1) / wide * wide) * (1 + 16.0 / (double)wide);
        if (cost < least)
            best = bits;
        least = cost < least ? cost : least;
    }
    return best;
}

/* With what a tile of it has beyond. */
static int64_t padded(int64_t results)
{
    const int64_t wide = (int64_t)4 << columns_of(results);
    return (results + wide - 1) / wide * wide;
}

int64_t cuda_tiles_of(const cuda_tile *tile, int64_t count, int64_t results)
{
    const int64_t high = (int64_t)tile->each << tile->row_bits, wide = (int64_t)4 << tile->col_bits;
    return (count + high - 1) / high * ((results + wide - 1) / wide);
}

/* Sixteen numbers a thread where there are enough such tiles, for they load half as much for each; else small ones. */
cuda_tile cuda_tile_of(int64_t count, int64_t results)
{
    const cuda_tile large = { 4, 4, columns_of(results) }, small = { 1, 3, large.col_bits };
    return cuda_tiles_of(&large, count, results) >= TILES_WANTED ? large : small;
}

/* Of the gradient: filters by their pixels. */
cuda_tile cuda_gradient_tile(const cuda_filters *f)
{
    return (cuda_tile){ 4, f->k > 16 ? 4 : 2, columns_of(f->terms) };
}

int64_t cuda_gradient_splits(const cuda_filters *f)
{
    const cuda_tile tile = cuda_gradient_tile(f);
    const int64_t tiles = cuda_tiles_of(&tile, f->k, f->terms);
    return tiles < SPLIT_BLOCKS ? SPLIT_BLOCKS / tiles : 1;
}

static cuda_divisor divisor(int64_t d)
{
    return (cuda_divisor){ (int)d, d > 1 ? (unsigned)(4294967296 / d + 1) : 0 };
}

bool cuda_filters_of(const pudle_conv *c, cuda_filters *f)
{
    int jump[2] = { 1, 1 };
    int64_t taps[2], slots = c->channels;
    for (bool more = true; more;) {
        const int64_t g[2] = { jump[0] * c->stride[0], jump[1] * c->stride[1] };
        const bool room[2] = { g[0] < c->kernel[0] && g[0] < c->data[0], g[1] < c->kernel[1] && g[1] < c->data[1] };
        more = c->channels * g[0] * g[1] < CELL_PIXELS && (room[0] || room[1]);
        if (more)
            jump[room[0] && (!room[1] || g[0] * c->kernel[1] <= g[1] * c->kernel[0]) ? 0 : 1] *= 2;
    }
    for (int d = 0; d < 2; d++) {
        taps[d] = jump[d] - 1 + (c->kernel[d] + c->stride[d] - 1) / c->stride[d];
        slots *= jump[d] * c->stride[d];
    }
    const int64_t terms = c->channels * c->kernel[0] * c->kernel[1], code = c->atoms * c->code[0] * c->code[1];
    const int64_t image = (c->channels * c->data[0] + jump[0] * c->stride[0]) * c->data[1] + jump[1] * c->stride[1]; /* with what a cell may have beyond */
    const int64_t across = taps[1], all = taps[0] * across, whole = 4294967295, cell = slots / c->channels;
    if (code > INT_MAX || image > INT_MAX || terms * padded(c->atoms) > INT_MAX || (double)all * (double)c->atoms * (double)padded(slots) > 67108864 ||
        all > whole / across || all * c->atoms > whole / c->atoms || terms > whole / (c->kernel[0] * c->kernel[1]) || slots > whole / cell)
        return false;
    *f = (cuda_filters){ .filters = (int)padded(c->atoms), .pixels = (int)padded(slots), .k = (int)c->atoms, .c = (int)c->channels, .h = (int)c->data[0],
                         .w = (int)c->data[1], .r = (int)c->kernel[0], .s = (int)c->kernel[1], .p = (int)c->code[0],
                         .q = (int)c->code[1], .terms = (int)terms, .taps = (int)all, .slots = (int)slots, .of_k = divisor(c->atoms),
                         .of_across = divisor(across), .of_s = divisor(c->kernel[1]), .of_rs = divisor(c->kernel[0] * c->kernel[1]),
                         .of_wide = divisor(jump[1] * c->stride[1]), .of_cell = divisor(cell) };
    for (int d = 0; d < 2; d++) {
        f->stride[d] = (int)c->stride[d];
        f->jump[d] = jump[d];
        f->group[d] = jump[d] * f->stride[d];
        f->cells[d] = (int)((c->data[d] + f->group[d] - 1) / f->group[d]);
    }
    return true;
}

void cuda_filters_arrange(const cuda_filters *f, int *analysis, int *synthesis)
{
    const int group = f->group[0] * f->group[1], across = f->of_across.d;
    for (int e = 0; e < f->terms; e++)
        for (int k = 0; k < f->filters; k++)
            analysis[(int64_t)e * f->filters + k] = k < f->k ? k * f->terms + e : -1;
    for (int a = 0; a < f->taps; a++) {
        const int row = f->jump[0] - 1 - a / across, col = f->jump[1] - 1 - a % across;
        for (int64_t e = 0; e < (int64_t)f->k * f->pixels; e++) {
            const int k = (int)(e / f->pixels), n = (int)(e % f->pixels), y = n % group / f->group[1] - row * f->stride[0], x = n % f->group[1] - col * f->stride[1];
            const bool under = n < f->slots && y >= 0 && y < f->r && x >= 0 && x < f->s;
            synthesis[(int64_t)a * f->k * f->pixels + e] = under ? ((k * f->c + n / group) * f->r + y) * f->s + x : -1;
        }
    }
}

int64_t cuda_analysis_entries(const cuda_filters *f)
{
    return (int64_t)f->terms * f->filters;
}

int64_t cuda_synthesis_entries(const cuda_filters *f)
{
    return (int64_t)f->taps * f->k * f->pixels;
}
