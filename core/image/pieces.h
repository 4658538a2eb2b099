/* core/image/pieces.h - a picture cut into pieces of one size: every tile of every shift. Internal to core/image. */
#ifndef PD_PIECES_H
#define PD_PIECES_H

#include "context.h"

/** One axis of the picture. Coordinates are those of the extended picture; the picture itself begins at `before`, less the
 *  phase's shift. */
typedef struct pd_axis {
    int64_t size, stride;  /* of a filter */
    int64_t image;         /* pixels of the picture */
    int64_t before, whole; /* pixels in front of it, pixels of the extended picture: (whole - size) mod stride = 0 */
    int64_t phases;        /* shifts 0 .. phases - 1 */
    int64_t halo;
    int64_t tile, advance, tiles; /* length of a tile, from one origin to the next (the last tile ends with the picture), number */
} pd_axis;

typedef struct pd_pieces {
    int64_t channels;
    pd_axis axis[2]; /* down, across */
    int64_t count, at_once;
    int64_t bytes; /* estimate for at_once of them */
} pd_pieces;

/** What a piece costs, from the shapes of the network. */
typedef struct pd_cost {
    int64_t channels, atoms, width; /* width: bytes of a number */
} pd_cost;

/** Extension and halo of an axis; tile is the whole. */
pd_axis pd_axis_make(int64_t image, int64_t size, int64_t stride, int64_t layers, bool shifts);
/** The axis in tiles of `tile` pixels, at least 2 halo + stride unless it is the whole. */
void pd_axis_cut(pd_axis *axis, int64_t tile);

/** The fewest pixels in all such that one piece stays within `memory` bytes; then as many at once as fit, up to `most`.
 *  tileable: whether pieces may be smaller than the picture. @errors CONFIG when not even the smallest piece fits */
pudle_status pd_pieces_fit(pd_context *ctx, pd_pieces *pieces, const pd_cost *cost, int64_t memory, bool tileable, int64_t most);

/** Piece i as the network's input. picture (channels, height, width), to (channels, tile, tile), contiguous, of one dtype. */
void pd_piece_cut(const pd_pieces *pieces, int64_t i, const pudle_cview *picture, void *to);
/** The part of piece i's result that is its own, added to sum (channels, height, width). Over all pieces every pixel receives
 *  one value a phase. */
void pd_piece_add(const pd_pieces *pieces, int64_t i, const void *from, const pudle_view *sum);

#endif
