/* core/train/atoms_picture.h - dictionary.png of a run, and how an atom or a sample is drawn. */
#ifndef PD_ATOMS_PICTURE_H
#define PD_ATOMS_PICTURE_H

#include "train/problem.h"

/** How atoms of `size` numbers are drawn, and samples, where dictionaries are dense: as pictures, or as `rows` curves of `length` numbers, one below
 *  the other. */
typedef struct pd_drawing {
    int channels;          /* of the tile that one takes, 1 or 3 */
    int64_t height, width;
    int64_t rows, length;  /* 0: a picture */
} pd_drawing;
pd_drawing pd_drawing_of(const pd_map *map, int64_t size);
/** values (size) to the tile (channels, height, width): what a mosaic takes. */
void pd_draw(const pd_drawing *drawing, const double *values, double *tile);

/** Draw the atoms of a dictionary in host memory, of the network's weight shape, in their order, row by row: pictures as such, with a range of
 *  grey for each; vectors and signals as bars. @errors NOMEM, IO */
pudle_status pd_atoms_picture(pd_problem *problem, const pd_array *dictionary, const char *png);

#endif
