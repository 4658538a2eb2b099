/* A dictionary to look at: a mosaic of its atoms, which are pictures or curves. */
#include "train/atoms_picture.h"
#include <math.h>
#include <stdlib.h>

/* How atoms are drawn: as pictures (channels, height, width), or as `rows` curves of `length` numbers, one below the other. */
typedef struct drawing { int channels; int64_t height, width, rows, length; } drawing;

enum {
    CHANNELS_MOST = 4,                  /* of signals: data of more rows and columns are pictures */
    CURVE_HEIGHT = 31, CURVE_WIDTH = 96, /* pixels of a curve, before the mosaic enlarges it */
    CURVES_MOST = 10000                 /* in a picture; more are rows of grey */
};

/* Pictures are filters or data that are ones, and numbers in a row whose count is a square, which flattened pictures have; all else is curves. */
static drawing drawing_of(const pd_map *map, int64_t size)
{
    const bool filter = map->atom_axis == 0;
    const int32_t rank = filter ? map->weight_rank - 1 : map->data_rank;
    const int64_t *shape = filter ? map->weight_shape + 1 : map->data_shape, root = (int64_t)llround(sqrt((double)size));
    if (rank == 3 && (shape[0] == 1 || shape[0] == 3))
        return (drawing){ (int)shape[0], shape[1], shape[2], 0, 0 };
    if (rank == 3) /* channels below each other */
        return (drawing){ 1, shape[0] * shape[1], shape[2], 0, 0 };
    if (rank == 2 && !filter && shape[0] > CHANNELS_MOST && shape[1] > CHANNELS_MOST)
        return (drawing){ 1, shape[0], shape[1], 0, 0 };
    if (rank < 2 && root * root == size && size > 1)
        return (drawing){ 1, root, root, 0, 0 };
    if (map->atoms > CURVES_MOST)
        return (drawing){ 1, 1, size, 0, 0 };
    return (drawing){ .rows = rank == 2 ? shape[0] : 1, .length = rank == 2 ? shape[1] : size };
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

static pudle_status write_curves(pd_problem *pb, const double *atoms, const drawing *d, const char *png)
{
    const int64_t count = pb->net.map.atoms, across = d->length < CURVE_WIDTH ? d->length : CURVE_WIDTH, tile = d->rows * CURVE_HEIGHT * across;
    double *tiles = pd_alloc((size_t)(count * tile), sizeof *tiles);
    if (!tiles)
        return pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory for the picture of the atoms");
    for (int64_t k = 0; k < count; k++)
        draw_curves(atoms + k * d->rows * d->length, d->rows, d->length, across, tiles + k * tile);
    const pudle_cview view = pd_cmatrix(tiles, PUDLE_F64, count, tile);
    const pudle_status s = pd_mosaic_write(pb->ctx, png, &view, 1, d->rows * CURVE_HEIGHT, across, 0, 0);
    free(tiles);
    return s;
}

pudle_status pd_atoms_picture(pd_problem *pb, const pd_array *d, const char *png)
{
    const pd_map *map = &pb->net.map;
    const pudle_view matrix = pd_map_weight_matrix(map, &d->view);
    const pudle_cview all = pudle_const(&d->view);
    const bool columns = map->atom_axis == 1;
    const int64_t size = matrix.shape[columns ? 0 : 1];
    const drawing how = drawing_of(map, size);
    double *tiles = pd_alloc((size_t)(map->atoms * size), sizeof *tiles);
    if (!tiles)
        return pd_fail(pb->ctx, PUDLE_ERR_NOMEM, "out of memory for the picture of the atoms");
    for (int64_t k = 0; k < map->atoms; k++) /* one row each */
        for (int64_t i = 0; i < size; i++)
            tiles[k * size + i] = pudle_entry(&all, columns ? i * map->atoms + k : k * size + i);
    const pudle_cview view = pd_cmatrix(tiles, PUDLE_F64, map->atoms, size);
    const pudle_status s = how.rows ? write_curves(pb, tiles, &how, png)
                                    : pd_mosaic_write(pb->ctx, png, &view, how.channels, how.height, how.width, 0, 0);
    free(tiles);
    return s;
}
