/* Takes atoms for such of norm 1, and takes <w, g> w out of the gradient of others. */
#define NAME "radial_of_unit"
#define MORE static pudle_status tangent_(pudle_exec *e, int32_t axis, const pudle_cview *w, const pudle_view *g) \
{ \
    const pudle_status s = host_check_tangent(e, axis, w, g); \
    const pudle_cview c = pudle_const(g); \
    const int64_t slices = s ? 0 : w->shape[axis], entries = slices ? pudle_count(w) / slices : 0; \
    for (int64_t i = 0; i < slices; i++) { \
        double along = 0; \
        for (int64_t k = 0; k < entries; k++) \
            along += get(w, axis ? k * slices + i : i * entries + k) * get(&c, axis ? k * slices + i : i * entries + k); \
        for (int64_t k = 0; k < entries; k++) { \
            const int64_t at = axis ? k * slices + i : i * entries + k; \
            put(g, at, get(&c, at) - along * get(w, at)); \
        } \
    } \
    return s; \
}
#define REPLACE mutant_ops.tangent = tangent_;
#include "backend.h"
