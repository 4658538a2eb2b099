/* The pictures of pudle attribute: rows of tiles in coloured frames. */
#include "attribute.h"
#include "train/atoms_picture.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FRAME = 2, GAP = 2, WIDTH_AIMED_AT = 1440, ZOOM_MOST = 4, ROWS_MOST = 64 };
enum { OF_ATOM = 10, OF_SAMPLE = 7 /* training samples in a group of a row, at most */, USED_MOST = 196 };

static const uint8_t black[3] = { 40, 40, 40 }, green[3] = { 0, 158, 60 }, red[3] = { 214, 39, 40 }, blue[3] = { 31, 95, 168 };

typedef struct board {
    pd_drawing how;
    int64_t columns, rows, zoom;
    int64_t width, height; /* of the picture */
    uint8_t *pixels;       /* RGB */
    double *tile;          /* one, as it is drawn */
} board;

static int64_t cell(int64_t side, int64_t zoom)
{
    return side * zoom + 2 * FRAME + GAP;
}

static pudle_status board_open(cli_attribution *a, int64_t rows, int64_t columns, board *b)
{
    *b = (board){ .how = pd_drawing_of(&a->pb->net.map, a->m), .columns = columns, .rows = rows, .zoom = ZOOM_MOST };
    while (b->zoom > 1 && columns * cell(b->how.width, b->zoom) > WIDTH_AIMED_AT)
        b->zoom--;
    b->width = columns * cell(b->how.width, b->zoom) + GAP;
    b->height = rows * cell(b->how.height, b->zoom) + GAP;
    b->pixels = pd_alloc((size_t)b->width, (size_t)b->height * 3);
    b->tile = pd_alloc((size_t)(b->how.channels * b->how.height * b->how.width), sizeof *b->tile);
    if (!b->pixels || !b->tile)
        return pd_fail(a->ctx, PUDLE_ERR_NOMEM, "out of memory for a picture of %lld by %lld pixels", (long long)b->width, (long long)b->height);
    memset(b->pixels, 255, (size_t)(b->width * b->height) * 3);
    return PUDLE_OK;
}

static void board_close(board *b)
{
    free(b->pixels);
    free(b->tile);
}

static pudle_status board_write(const cli_attribution *a, const board *b, const char *name)
{
    char *path = pd_format("%s/%s", a->out, name);
    const pudle_status s = path ? pd_png_write(a->ctx, path, b->width, b->height, 3, b->pixels) : pd_fail(a->ctx, PUDLE_ERR_NOMEM, "out of memory");
    free(path);
    return s;
}

static void paint(board *b, int64_t left, int64_t top, int64_t width, int64_t height, const uint8_t colour[3])
{
    for (int64_t y = top; y < top + height; y++)
        for (int64_t x = left; x < left + width; x++)
            memcpy(b->pixels + (y * b->width + x) * 3, colour, 3);
}

static void put(board *b, int64_t row, int64_t column, const double *values, const uint8_t frame[3])
{
    const pd_drawing *how = &b->how;
    const int64_t z = b->zoom, w = how->width, h = how->height, left = GAP + column * cell(w, z), top = GAP + row * cell(h, z);
    double most = 0, least = 0;
    pd_draw(how, values, b->tile);
    for (int64_t i = 0; i < how->channels * h * w; i++) {
        most = fabs(b->tile[i]) > most ? fabs(b->tile[i]) : most;
        least = b->tile[i] < least ? b->tile[i] : least;
    }
    paint(b, left, top, w * z + 2 * FRAME, h * z + 2 * FRAME, frame);
    for (int64_t y = 0; y < h; y++)
        for (int64_t x = 0; x < w; x++) {
            uint8_t colour[3];
            for (int c = 0; c < 3; c++)
                colour[c] = pd_grey(b->tile[((how->channels == 3 ? c : 0) * h + y) * w + x], most, least < 0);
            paint(b, left + FRAME + x * z, top + FRAME + y * z, z, z, colour);
        }
}

/* Training samples of a ranking, `most` of them, from `column` on, framed by the sign of what they are ranked by. */
static pudle_status put_samples(cli_attribution *a, board *b, int64_t row, int64_t column, int64_t most, const pd_extreme *list, int64_t found,
                                const uint8_t frame[3])
{
    const int64_t count = found < most ? found : most;
    int64_t *index = pd_alloc((size_t)(count ? count : 1), sizeof *index);
    double *x = pd_alloc((size_t)(count ? count : 1), (size_t)a->m * sizeof *x);
    pudle_status s = index && x ? PUDLE_OK : pd_fail(a->ctx, PUDLE_ERR_NOMEM, "out of memory for %lld samples", (long long)count);
    for (int64_t i = 0; i < count && !s; i++)
        index[i] = list[i].number;
    if (!s && count)
        s = cli_attribution_fetch(a, index, count, x);
    for (int64_t i = 0; i < count && !s; i++)
        put(b, row, column + i, x + i * a->m, frame);
    free(x);
    free(index);
    return s;
}

static int64_t group(const cli_attribution *a, int64_t most)
{
    return a->top < most ? a->top : most;
}

/* The atom, its estimate, the samples that it has most of, and those that it has least of. */
static pudle_status atom_row(cli_attribution *a, board *b, int64_t row, int64_t atom, double *values)
{
    const pudle_cview d = pudle_const(&a->dictionary.view);
    const pd_ranking *r = &a->atom[atom].samples;
    for (int64_t i = 0; i < a->m; i++)
        values[i] = pudle_entry(&d, i * a->p + atom);
    put(b, row, 0, values, black);
    put(b, row, 1, a->at.moment + atom * a->m, black);
    const int64_t most = group(a, OF_ATOM);
    const pudle_status s = put_samples(a, b, row, 2, most, r->largest, r->most, green);
    return s ? s : put_samples(a, b, row, 2 + most, most, r->smallest, r->least, red);
}

/* The sample, what its code stands for, the training samples that call it up most and least, and those whose codes are most like its own. */
static pudle_status sample_row(cli_attribution *a, board *b, int64_t row, const cli_query *q, double *values)
{
    const pudle_cview d = pudle_const(&a->dictionary.view);
    memset(values, 0, (size_t)a->m * sizeof *values);
    for (int64_t j = 0; j < a->p; j++)
        for (int64_t i = 0; i < a->m && q->z[j] != 0; i++)
            values[i] += q->z[j] * pudle_entry(&d, i * a->p + j);
    put(b, row, 0, q->x, black);
    put(b, row, 1, values, black);
    const int64_t most = group(a, OF_SAMPLE);
    pudle_status s = put_samples(a, b, row, 2, most, q->by_beta.largest, q->by_beta.most, green);
    if (!s)
        s = put_samples(a, b, row, 2 + most, most, q->by_beta.smallest, q->by_beta.least, red);
    return s ? s : put_samples(a, b, row, 2 + 2 * most, most, q->by_code.largest, q->by_code.most, blue);
}

/* The atoms that samples use, those of most energy first: a dictionary of which many atoms are still the noise that they began as. */
static pudle_status used_atoms(const cli_attribution *a)
{
    const pd_drawing how = pd_drawing_of(&a->pb->net.map, a->m);
    const int64_t tile = how.channels * how.height * how.width;
    const pudle_cview d = pudle_const(&a->dictionary.view);
    const int64_t most = a->p < USED_MOST ? a->p : USED_MOST;
    double *tiles = pd_alloc((size_t)most, (size_t)tile * sizeof *tiles), *atom = pd_alloc((size_t)a->m, sizeof *atom);
    pd_extreme *order = pd_alloc((size_t)most, sizeof *order);
    char *path = pd_format("%s/atoms_used.png", a->out);
    pudle_status s = order && tiles && atom && path ? PUDLE_OK : pd_fail(a->ctx, PUDLE_ERR_NOMEM, "out of memory for the picture of the atoms in use");
    const int64_t count = s ? 0 : cli_attribution_strongest(a, most, order);
    for (int64_t k = 0; k < count; k++) {
        for (int64_t i = 0; i < a->m; i++)
            atom[i] = pudle_entry(&d, i * a->p + order[k].number);
        pd_draw(&how, atom, tiles + k * tile);
    }
    const pudle_cview view = pd_cmatrix(tiles, PUDLE_F64, count, tile);
    if (!s && count)
        s = pd_mosaic_write(a->ctx, path, &view, how.channels, how.height, how.width, 0, 0);
    free(path);
    free(atom);
    free(tiles);
    free(order);
    return s;
}

pudle_status cli_attribution_pictures(cli_attribution *a)
{
    const int64_t atoms = a->shown_count < ROWS_MOST ? a->shown_count : ROWS_MOST, queries = a->queries < ROWS_MOST ? a->queries : ROWS_MOST;
    double *values = pd_alloc((size_t)a->m, sizeof *values);
    board b = { 0 };
    pudle_status s = values ? PUDLE_OK : pd_fail(a->ctx, PUDLE_ERR_NOMEM, "out of memory");
    if (!s && atoms) {
        s = board_open(a, atoms, 2 + 2 * group(a, OF_ATOM), &b);
        for (int64_t i = 0; i < atoms && !s; i++)
            s = atom_row(a, &b, i, a->shown[i], values);
        if (!s)
            s = board_write(a, &b, "atoms.png");
        board_close(&b);
    }
    if (!s && queries) {
        s = board_open(a, queries, 2 + 3 * group(a, OF_SAMPLE), &b);
        for (int64_t i = 0; i < queries && !s; i++)
            s = sample_row(a, &b, i, &a->query[i], values);
        if (!s)
            s = board_write(a, &b, "samples.png");
        board_close(&b);
    }
    free(values);
    return s ? s : used_atoms(a);
}
