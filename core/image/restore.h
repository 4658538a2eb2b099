/* core/image/restore.h - a picture of any size through a trained convolutional model, and back at its own size.
 *
 * Extension. Filters at stride s cover a side of n pixels without a rest when (n - k) mod s = 0. Where they do not, the picture
 * is continued at the right and at the bottom by reflection (the edge itself is not repeated) up to the next size that fits,
 * and the result is cut back. A picture that fits is left as it is.
 *
 * Shift averaging. The mean over the s x s positions of the picture on the grid of strides. All are windows of one picture
 * extended by s pixels at the left and top, and by s and the rest to the grid at the right and bottom; in phase (i, j) the
 * picture begins at row s - i and column s - j of it.
 *
 * Tiles. A pixel of the result depends on pixels no further away than
 *     halo = (T - 1) floor((k - 1) / s) s + k - s
 * beyond the tile's own code positions: a layer joins a code position with its floor((k - 1) / s) neighbours on either side, the
 * first layer joins none, and the decoder reaches back over one filter. So tiles that overlap by two halos, with origins that
 * are multiples of s, give what the whole picture gives, up to rounding. */
#ifndef PD_RESTORE_H
#define PD_RESTORE_H

#include <signal.h>
#include "train/problem.h"

#define PD_RESTORE_MEMORY ((int64_t)1 << 30)

typedef struct pd_restore_options {
    bool shift_average;
    int64_t memory; /* bytes for code, workspace and batch; 0: PD_RESTORE_MEMORY. The pictures themselves come on top */
    const volatile sig_atomic_t *stop; /* set from a signal handler: give up before the next batch of tiles; may be NULL */
} pd_restore_options;

typedef struct pd_restorer pd_restorer;

/** The shape of samples at which a model is to be opened when its parameters are all that is wanted of it: (channels, h, w) with
 *  33 code positions a side. A step "c/L" gets its L from this size, so that it is the same for every picture and tile.
 *  @errors CONFIG when the model is not a convolutional one on pictures */
pudle_status pd_restore_model_shape(pd_context *ctx, const pd_settings *settings, int64_t channels, pudle_data_info *given);

/** Take the parameters, step and levels of an open model, which the caller may close then. settings: the model's; they must
 *  outlive the restorer. @errors CONFIG, NOMEM */
pudle_status pd_restorer_open(pd_context *ctx, pd_problem *model, const pd_restore_options *options, pd_restorer **out);
void pd_restorer_close(pd_restorer *restorer); /* NULL is legal */

/** x_hat = D z_T(x). picture, out: (channels, height, width), contiguous, of the model's precision; they may not overlap.
 *  What is open for one size is used again for the next picture of that size. A NaN in the picture makes NaNs.
 *  @errors CONFIG: smaller than a filter, other channels, memory too little for one tile; NUMERIC: diverged, or stopped; NOMEM */
pudle_status pd_restore(pd_restorer *restorer, const pudle_cview *picture, const pudle_view *out);

/** How the last picture was cut, for the log. */
typedef struct pd_restore_facts {
    int64_t phases, tiles[2], tile[2]; /* shifts; tiles down and across, each of this height and width */
    int64_t at_once;                   /* tiles run side by side */
    int64_t bytes;                     /* estimate for those */
} pd_restore_facts;
void pd_restorer_facts(const pd_restorer *restorer, pd_restore_facts *facts);

#endif
