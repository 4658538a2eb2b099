/* Correlations of a convolutional unroll for blocks of two by two positions: what of an image and of a filter is multiplied. The arithmetic and
 * its formulas are in unroll_conv_pairs_kernels.h. */
#ifndef BACKEND_CPU_UNROLL_CONV_PAIRS_H
#define BACKEND_CPU_UNROLL_CONV_PAIRS_H

#include "unroll_parts.h"

enum { PAIR_POINTS = 4, PAIR_BLOCKS = 6 }; /* PAIR_BLOCKS: that are done at once; a multiple of three */

/* A row of sums and differences of an image's rows: which point of a segment of the filter, and where the segment begins, from a block on. */
typedef struct conv_pair_row {
    int64_t at;
    int point;
} conv_pair_row;

/* A filter in one dimension, cut into segments of three taps and of two, `stride` apart: where they begin, threes first. */
typedef struct conv_segments {
    const int64_t *at;
    int64_t threes, all;
} conv_segments;

typedef struct conv_pairs {
    bool used;                     /* by these sizes it is worth it */
    int64_t kernel[2], stride[2];
    int64_t taps;                  /* of a filter, all channels */
    conv_segments segment[2];
    int64_t channels, width;       /* of an image */
    int64_t rows, pitch, plane;    /* of the points: rows, entries from row to row, and from one point along rows to the next */
    int64_t reach;                 /* columns of points that a block meets */
    int64_t products;              /* of a filter and a block */
    const conv_pair_row *row;      /* (rows) */
    const int64_t *offset[PAIR_POINTS]; /* by the rows' point: where the factors of its products lie, threes along rows first */
    int64_t threes[PAIR_POINTS], all[PAIR_POINTS];
    parts_buffer segments, rows_list, offsets;
} conv_pairs;

/* strip_rows: of an image; wide: vectors of 512 bits; lanes: numbers in a vector; ld: atoms, padded to vectors. Not used, and without memory, where it
 * would not pay. */
pudle_status conv_pairs_make(parts_memory *m, conv_pairs *g, const pudle_conv *conv, int64_t strip_rows, bool wide, int64_t lanes, int64_t ld);
void conv_pairs_free(parts_memory *m, conv_pairs *g);

#endif
