/* The dense dictionary: D is a matrix (features, atoms), one GEMM each way. */
#include "graph/map.h"
#include "tensor/arrays.h"

/* U = Z D'  (rows, m) = (rows, p)(p, m) */
static pudle_status apply(const pd_map *map, pudle_exec *lane, const pudle_cview *w, const pudle_cview *z, const pudle_view *u)
{
    return map->be->gemm(lane, false, true, 1.0, z, w, 0.0, u);
}

/* V = a R D + b V  (rows, p) = (rows, m)(m, p) */
static pudle_status adjoint(const pd_map *map, pudle_exec *lane, const pudle_cview *w, double a, const pudle_cview *r, double b,
                            const pudle_view *v)
{
    return map->be->gemm(lane, false, false, a, r, w, b, v);
}

/* G += a R' Z  (m, p) = (m, rows)(rows, p) */
static pudle_status gradient(const pd_map *map, pudle_exec *lane, double a, const pudle_cview *r, const pudle_cview *z,
                             const pudle_view *gw)
{
    return map->be->gemm(lane, true, false, a, r, z, 1.0, gw);
}

static const pd_map_ops dense = { "dense", apply, adjoint, gradient };

void pd_map_dense(pd_map *map, const pudle_backend_ops *be, int32_t data_rank, const int64_t *data_shape, int64_t atoms)
{
    *map = (pd_map){ .ops = &dense, .be = be, .features = 1, .code = atoms, .atoms = atoms, .data_rank = data_rank, .code_rank = 1,
                     .weight_rank = 2, .atom_axis = 1, .matrix = true };
    for (int32_t i = 0; i < data_rank; i++) {
        map->data_shape[i] = data_shape[i];
        map->features *= data_shape[i];
    }
    map->code_shape[0] = atoms;
    map->weight_shape[0] = map->features;
    map->weight_shape[1] = atoms;
}
