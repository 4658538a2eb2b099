/* Which products two by two positions of a convolution need (unroll_conv_pairs_kernels.h), and whether they are worth it. */
#include "unroll_conv_pairs.h"

const conv_pair_point conv_pair_points[PAIR_POINTS] = {
    { 0, 0, 2, 1, -1, { 1, 0, 0 } },
    { 1, 1, 2, 1, 1, { 0.5, 0.5, 0.5 } },
    { 2, 2, 1, 1, -1, { 0.5, -0.5, 0.5 } },
    { 3, 1, 3, 1, -1, { 0, 0, 1 } },
    { 0, 0, 1, 1, -1, { 1, 0, 0 } },
    { 1, 1, 1, 0.5, 0.5, { 1, 1, 0 } },
    { 3, 1, 2, 1, -1, { 0, 1, 0 } },
};

/* The taps of a dimension that are `stride` apart are cut into threes and, where one would be left over, two twos. Finds where the threes
 * begin, or the twos, and returns how many there are; at: NULL, or room for them. */
static int64_t cut_taps(int64_t kernel, int64_t stride, bool threes, int64_t *at)
{
    int64_t found = 0;
    for (int64_t phase = 0; phase < stride; phase++)
        for (int64_t tap = phase, left = (kernel - phase + stride - 1) / stride; left > 0;) {
            const int64_t taps = left == 2 || left == 4 ? 2 : 3;
            if ((taps == 3) == threes) {
                if (at)
                    at[found] = tap;
                found++;
            }
            tap += taps * stride;
            left -= taps;
        }
    return found;
}

/* Cycles for a block and all atoms, as measured: of products for every position, and of pairs; to their products come the sums along both
 * dimensions, and those of the image. */
static bool pays(const conv_pairs *g, bool wide, int64_t lanes, int64_t ld)
{
    const double vectors = (double)ld / (double)lanes, product = wide ? 0.55 : 0.85; /* fewer registers, more loads */
    const double singly = 2 * (double)g->taps * vectors;
    return product * (double)g->products * vectors + 10 * vectors + 20 * (double)(g->rows * g->stride[1]) / (double)lanes < singly;
}

/* All products, ordered by the rows' slot, points, channels, segments along columns; along rows threes come first over all of these. */
static void list_products(conv_pairs *g, const pudle_conv *conv, int64_t strip_rows, conv_pair_row *row, int64_t *offset)
{
    const conv_segments *y = &g->segment[0], *x = &g->segment[1];
    int64_t rows = 0;
    for (int slot = 0; slot < PAIR_SLOTS; slot++) {
        g->first[slot] = rows;
        for (int point = 0; point < PAIR_POINTS; point++) {
            if (conv_pair_points[point].slot != slot)
                continue;
            const bool twos = point >= PAIR_SLOTS;
            for (int64_t c = 0; c < g->channels; c++)
                for (int64_t i = y->start[twos]; i < y->start[twos + 1]; i++)
                    row[rows++] = (conv_pair_row){ (c * strip_rows + y->at[i]) * g->width, (c * conv->kernel[0] + y->at[i]) * g->across, point };
        }
        g->offset[slot] = offset;
        g->threes[slot] = (rows - g->first[slot]) * x->start[1];
        g->all[slot] = (rows - g->first[slot]) * x->start[2];
        for (int twos = 0; twos < 2; twos++)
            for (int64_t i = g->first[slot]; i < rows; i++)
                for (int64_t j = x->start[twos]; j < x->start[twos + 1]; j++)
                    *offset++ = i * g->pitch + x->at[j];
    }
    g->first[PAIR_SLOTS] = rows;
}

/* Which columns of points begin a three, and whether a two begins in one of them: both repeat from block to block. */
static void mark_columns(conv_pairs *g, int64_t width)
{
    const conv_segments *x = &g->segment[1];
    const int64_t period = 2 * g->stride[1];
    g->three = g->columns.at;
    for (int64_t j = 0; j < x->start[1]; j++) {
        for (int64_t column = x->at[j] % period; column < g->pitch; column += period)
            memset((char *)g->columns.at + column * width, 0xff, (size_t)width);
        for (int64_t k = x->start[1]; k < x->start[2]; k++)
            if (x->at[j] % period == x->at[k] % period)
                g->twos = PAIR_SLOTS;
    }
}

pudle_status conv_pairs_make(parts_memory *m, conv_pairs *g, const pudle_conv *conv, int64_t strip_rows, int64_t vector, int64_t width, int64_t ld)
{
    const int64_t lanes = vector / width;
    *g = (conv_pairs){ .channels = conv->channels, .width = conv->data[1], .across = conv->kernel[1],
                      .taps = conv->channels * conv->kernel[0] * conv->kernel[1] };
    for (int i = 0; i < 2; i++) {
        g->stride[i] = conv->stride[i];
        if (conv->kernel[i] < 2 * conv->stride[i] || conv->code[i] < 2) /* a pixel of a filter that meets one position has no neighbour */
            return PUDLE_OK;
        g->segment[i].start[1] = cut_taps(conv->kernel[i], conv->stride[i], true, NULL);
        g->segment[i].start[2] = g->segment[i].start[1] + cut_taps(conv->kernel[i], conv->stride[i], false, NULL);
    }
    const conv_segments *y = &g->segment[0], *x = &g->segment[1];
    g->rows = g->channels * (3 * y->start[2] + y->start[1]);
    g->products = g->rows * (3 * x->start[2] + x->start[1]);
    g->used = pays(g, vector == 64, lanes, ld);
    if (!g->used)
        return PUDLE_OK;
    pudle_status s = parts_want(m, &g->segments, y->start[2] + x->start[2], sizeof(int64_t));
    if (!s)
        s = parts_want(m, &g->rows_list, g->rows, sizeof(conv_pair_row));
    if (!s)
        s = parts_want(m, &g->offsets, g->rows * x->start[2], sizeof(int64_t));
    if (s)
        return s;
    int64_t *at = g->segments.at;
    for (int i = 0; i < 2; at += g->segment[i++].start[2]) {
        cut_taps(conv->kernel[i], conv->stride[i], true, at);
        cut_taps(conv->kernel[i], conv->stride[i], false, at + g->segment[i].start[1]);
        g->segment[i].at = at;
    }
    for (int64_t j = 0; j < x->start[2]; j++)
        g->reach = x->at[j] + 1 > g->reach ? x->at[j] + 1 : g->reach;
    const int64_t apart = 2 * g->stride[1] + g->reach; /* blocks that follow each other have their points side by side, others begin anew */
    g->pitch = PAIR_BLOCKS * ((apart + lanes - 1) / lanes * lanes);
    g->plane = g->rows * g->pitch;
    s = parts_want(m, &g->columns, g->pitch, (size_t)width);
    if (s)
        return s;
    mark_columns(g, width);
    g->row = g->rows_list.at;
    list_products(g, conv, strip_rows, g->rows_list.at, g->offsets.at);
    return PUDLE_OK;
}

void conv_pairs_free(parts_memory *m, conv_pairs *g)
{
    parts_release(m, &g->segments);
    parts_release(m, &g->rows_list);
    parts_release(m, &g->offsets);
    parts_release(m, &g->columns);
}
