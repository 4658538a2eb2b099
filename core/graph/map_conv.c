/* The convolutional dictionary: D z is the sum over filters of the transposed convolution of its code map with stride s, D' the
 * correlation with stride s on the valid region. W is (atoms, channels, height, width), or (atoms, channels, length) in one
 * dimension, which is a picture of height 1. */
#include "graph/map.h"
#include "tensor/arrays.h"

static pudle_status apply(const pd_map *map, pudle_exec *lane, const pudle_cview *w, const pudle_cview *z, const pudle_view *u)
{
    return map->be->conv_apply(lane, &map->conv, w, z, u);
}

static pudle_status adjoint(const pd_map *map, pudle_exec *lane, const pudle_cview *w, double a, const pudle_cview *r, double b,
                            const pudle_view *v)
{
    return map->be->conv_adjoint(lane, &map->conv, w, a, r, b, v);
}

static pudle_status gradient(const pd_map *map, pudle_exec *lane, double a, const pudle_cview *r, const pudle_cview *z,
                             const pudle_view *gw)
{
    return map->be->conv_gradient(lane, &map->conv, a, r, z, gw);
}

static const pd_map_ops conv = { "conv", apply, adjoint, gradient };

void pd_map_conv(pd_map *map, const pudle_backend_ops *be, int32_t data_rank, const int64_t *data_shape, int64_t atoms,
                 const int64_t *kernel, const int64_t *stride)
{
    const int32_t dims = data_rank - 1;
    *map = (pd_map){ .ops = &conv, .be = be, .features = 1, .code = atoms, .atoms = atoms, .data_rank = data_rank, .code_rank = data_rank,
                     .weight_rank = data_rank + 1, .atom_axis = 0,
                     .conv = { .size = sizeof map->conv, .atoms = atoms, .channels = data_shape[0] } };
    map->weight_shape[0] = atoms;
    map->weight_shape[1] = map->code_shape[0] = data_shape[0];
    map->code_shape[0] = atoms;
    for (int32_t i = 0; i < data_rank; i++) {
        map->data_shape[i] = data_shape[i];
        map->features *= data_shape[i];
    }
    for (int32_t i = 0; i < 2; i++) { /* axis i of a picture is axis i + dims - 2 of the data, missing in one dimension */
        const int32_t axis = i + dims - 2;
        const int64_t data = axis < 0 ? 1 : data_shape[axis + 1], size = axis < 0 ? 1 : kernel[axis], step = axis < 0 ? 1 : stride[axis];
        map->conv.data[i] = data;
        map->conv.kernel[i] = size;
        map->conv.stride[i] = step;
        map->conv.code[i] = (data - size) / step + 1;
        if (axis < 0)
            continue;
        map->weight_shape[axis + 2] = size;
        map->code_shape[axis + 1] = map->conv.code[i];
        map->code *= map->conv.code[i];
    }
}
