/* A dictionary to look at: a mosaic of its atoms, which are pictures or curves. */
#include "train/atoms_picture.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHANNELS_MOST = 4,                  /* of signals: data of more rows and columns are pictures */
    CURVE_HEIGHT = 31, CURVE_WIDTH = 96, /* pixels of a curve, before the mosaic enlarges it */
    CURVES_MOST = 10000                 /* in a picture; more are rows of grey */
};

static pd_drawing curves(int64_t rows, int64_t length)
{
    return (pd_drawing){ 1, rows * CURVE_HEIGHT, length < CURVE_WIDTH ? length : CURVE_WIDTH, rows, length };
}

/* Pictures are filters or data that are ones, and numbers in a row whose count is a square, which flattened pictures have; all else is curves. */
pd_drawing pd_drawing_of(const pd_map *map, int64_t size)
{
    const bool filter = map->atom_axis == 0;
    const int32_t rank = filter ? map->weight_rank - 1 : size == map->features ? map->data_rank : 1; /* of a signal that is measured nothing is known */
    const int64_t *shape = filter ? map->weight_shape + 1 : map->data_shape, root = (int64_t)llround(sqrt((double)size));
    if (rank == 3 && (shape[0] == 1 || shape[0] == 3))
        return (pd_drawing){ (int)shape[0], shape[1], shape[2], 0, 0 };
    if (rank == 3) /* channels below each other */
        return (pd_drawing){ 1, shape[0] * shape[1], shape[2], 0, 0 };
    if (rank == 2 && !filter && shape[0] > CHANNELS_MOST && shape[1] > CHANNELS_MOST)
        return (pd_drawing){ 1, shape[0], shape[1], 0, 0 };
    if (rank < 2 && root * root == size && size > 1)
        return (pd_drawing){ 1, root, root, 0, 0 };
    if (map->atoms > CURVES_MOST)
        return (pd_drawing){ 1, 1, size, 0, 0 };
    return rank == 2 ? curves(shape[0], shape[1]) : curves(1, size);
}

/* An atom's `rows` curves of `length` numbers, `across` pixels wide: bars from the middle, up and bright for what is positive, down and dark for what
 * is not, a pixel standing for one number or for the extremes of some. The largest magnitude reaches the edge. */
static void draw_curves(const double *from, int64_t rows, int64_t length, int64_t across, double *to)
{
    double most = 0;
    for (int64_t i = 0; i < rows * length; i++)
        most = isfinite(from[i]) && fabs(from[i]) > most ? fabs(from[i]) : most;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t x = 0; x < across; x++) {
            double high = 0, low = 0;
            for (int64_t i = x * length / across; i < (x + 1) * length / across; i++) {
                high = from[r * length + i] > high ? from[r * length + i] : high;
                low = from[r * length + i] < low ? from[r * length + i] : low;
            }
            for (int64_t y = 0; y < CURVE_HEIGHT; y++) {
                const double level = most > 0 ? most * (double)(CURVE_HEIGHT / 2 - y) / (CURVE_HEIGHT / 2) : 1;
                to[(r * CURVE_HEIGHT + y) * across + x] = y == CURVE_HEIGHT / 2 ? 0 : level > 0 ? (high >= level) : -(low <= level);
            }
        }
}

void pd_draw(const pd_drawing *d, const double *values, double *tile)
{
    if (d->rows)
        draw_curves(values, d->rows, d->length, d->width, tile);
    else
        memcpy(tile, values, (size_t)(d->channels * d->height * d->width) * sizeof *tile);
}

pudle_status pd_atoms_picture(pd_problem *pb, const pd_array *d, const char *png)
{
    const pd_map *map = &pb->net.map;
    const pudle_view matrix = pd_map_weight_matrix(map, &d->view);
    const pudle_cview all = pudle_const(&d->view);
    const bool columns = map->atom_axis == 1;
    const int64_t size = matrix.shape[columns ? 0 : 1];
    const pd_drawing how = pd_drawing_of(map, size);
    const int64_t tile = how.channels * how.height * how.width;
    double *tiles = pd_alloc((size_t)(map->atoms * tile), sizeof *tiles), *atom = pd_alloc((size_t)size, sizeof *atom);
    pudle_status s = tiles && atom ? PUDLE_OK : pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory for the picture of the atoms");
    for (int64_t k = 0; k < map->atoms && !s; k++) {
        for (int64_t i = 0; i < size; i++)
            atom[i] = pudle_entry(&all, columns ? i * map->atoms + k : k * size + i);
        pd_draw(&how, atom, tiles + k * tile);
    }
    const pudle_cview view = pd_cmatrix(tiles, PUDLE_F64, map->atoms, tile);
    if (!s)
        s = pd_mosaic_write(pb->ctx, png, &view, how.channels, how.height, how.width, 0, 0);
    free(atom);
    free(tiles);
    return s;
}
