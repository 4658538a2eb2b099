/* Correlations of a convolutional unroll for blocks of two by two positions: what of an image and of a filter is multiplied. The arithmetic and
 * its formulas are in unroll_conv_pairs_kernels.h. */
#ifndef BACKEND_CPU_UNROLL_CONV_PAIRS_H
#define BACKEND_CPU_UNROLL_CONV_PAIRS_H

#include "unroll_parts.h"

enum {
    PAIR_SLOTS = 4,  /* sums of products in one dimension */
    PAIR_POINTS = 7, /* what goes into them: 0 .. 3 of threes, 4 .. 6 of twos */
    PAIR_PLANES = 6, /* along rows the last of these is a third one's negative; four, where twos' points lie among those of threes */
    PAIR_BLOCKS = 6  /* that are done at once; a multiple of three */
};

/* A point of a segment of a filter's taps t0, t1, t2: one d[first] + two d[other], in strides from where the segment begins, is multiplied by
 * the taps' sum with these factors, and adds to a slot. */
typedef struct conv_pair_point {
    int slot, first, other;
    double one, two, factor[3];
} conv_pair_point;
extern const conv_pair_point conv_pair_points[PAIR_POINTS];

/* A row of points: which, and where its segment begins, from a block on. */
typedef struct conv_pair_row {
    int64_t at;
    int64_t tap;   /* of the filter, where the segment begins */
    int point;
} conv_pair_row;

/* A filter in one dimension, cut into segments of three taps and of two, `stride` apart: where they begin, threes at [start[0], start[1]), twos at
 * [start[1], start[2]). */
typedef struct conv_segments {
    const int64_t *at;
    int64_t start[3];
} conv_segments;

typedef struct conv_pairs {
    bool used;                     /* by these sizes it is worth it */
    int64_t stride[2], across;     /* across: taps of a filter's row */
    int64_t taps;                  /* of a filter, all channels */
    conv_segments segment[2];
    int64_t channels, width;       /* of an image */
    int64_t rows, pitch, plane;    /* of the points: rows, entries from row to row, and from one point along rows to the next */
    int64_t reach;                 /* columns of points that a block meets */
    int64_t twos;                  /* the plane where points of twos begin: 0, where no column begins both a two and a three, or PAIR_SLOTS */
    const void *three;             /* (pitch) numbers as wide as the reals, all bits set where a column begins a three */
    int64_t products;              /* of a filter and a block */
    const conv_pair_row *row;      /* (rows), by their slots */
    int64_t first[PAIR_SLOTS + 1]; /* rows of a slot */
    const int64_t *offset[PAIR_SLOTS]; /* of a slot of rows: where the factors of its products lie, threes along rows first */
    int64_t threes[PAIR_SLOTS], all[PAIR_SLOTS];
    parts_buffer segments, rows_list, offsets, columns;
} conv_pairs;

/* strip_rows: of an image; vector, width: bytes of a vector and of a number; ld: atoms, padded to vectors. Not used, and without memory, where it
 * would not pay. */
pudle_status conv_pairs_make(parts_memory *m, conv_pairs *g, const pudle_conv *conv, int64_t strip_rows, int64_t vector, int64_t width, int64_t ld);
void conv_pairs_free(parts_memory *m, conv_pairs *g);

#endif
