/* Shapes that all kinds of linear map share. */
#include "graph/map.h"
#include "tensor/arrays.h"

static pudle_view shaped(const pudle_view *rows, int32_t rank, const int64_t *shape)
{
    int64_t full[PUDLE_MAX_RANK] = { rows->shape[0] };
    for (int32_t i = 0; i < rank; i++)
        full[i + 1] = shape[i];
    return pd_view(rows->data, rows->dtype, rank + 1, full);
}

pudle_view pd_map_code_view(const pd_map *map, const pudle_view *rows)
{
    return shaped(rows, map->code_rank, map->code_shape);
}

pudle_view pd_map_data_view(const pd_map *map, const pudle_view *rows)
{
    return shaped(rows, map->data_rank, map->data_shape);
}

pudle_view pd_map_weight_matrix(const pd_map *map, const pudle_view *w)
{
    const pudle_cview c = pudle_const(w);
    const int64_t size = pudle_count(&c) / map->atoms;
    return map->atom_axis == 1 ? pd_matrix(w->data, w->dtype, size, map->atoms) : pd_matrix(w->data, w->dtype, map->atoms, size);
}
