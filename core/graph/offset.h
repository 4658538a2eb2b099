/* core/graph/offset.h - a baseline a of D z + a that is learned: one number, one for each channel, or one for each entry of a sample. Internal to core.
 *
 * Every prediction has a in it, so where the gradient of D has r z' - alpha (g u' + h y'), that of a has the same r and h, summed over samples: r - alpha h. */
#ifndef PD_OFFSET_H
#define PD_OFFSET_H

#include "graph/lane.h"

/** The parameter, and what its sums need. The network has map, baseline and offset_groups, which divides the entries of a sample. */
pudle_status pd_offset_init(pd_network *net);
void pd_offset_fini(pd_network *net);

/** The parameter to what net->baseline has where it begins. @errors CONFIG where entries that are to share a number differ there */
pudle_status pd_offset_start(pd_network *net);
/** net->baseline, and the lanes' copies of it, to the present parameter. */
pudle_status pd_offset_refresh(pd_network *net);

/** The lane's gradient += a times the sum of r (rows, features) over its rows. */
pudle_status pd_offset_add(const pd_block *b, double a, const pudle_view *r);
/** The parameter's gradient, from the lanes'. */
pudle_status pd_offset_reduce(pd_network *net);

#endif
