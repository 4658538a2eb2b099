/* core/graph/map.h - the linear map from code to data, x = D z: all the unroller knows about a dictionary.
 *
 * Codes and data are handed over as matrices, one sample a row, whatever their shape is inside: (rows, code) and
 * (rows, features). A kind of map (dense, convolutional) is one vtable. */
#ifndef PD_MAP_H
#define PD_MAP_H

#include "context.h"

typedef struct pd_map pd_map;

typedef struct pd_map_ops {
    const char *kind;
    /** u = D z.  z (rows, code), u (rows, features) */
    pudle_status (*apply)(const pd_map *map, pudle_exec *lane, const pudle_cview *w, const pudle_cview *z, const pudle_view *u);
    /** v = a D' r + b v.  r (rows, features), v (rows, code) */
    pudle_status (*adjoint)(const pd_map *map, pudle_exec *lane, const pudle_cview *w, double a, const pudle_cview *r, double b,
                            const pudle_view *v);
    /** gw += a d<r, D z>/dD: for a dense map a r' z.  r (rows, features), z (rows, code) */
    pudle_status (*gradient)(const pd_map *map, pudle_exec *lane, double a, const pudle_cview *r, const pudle_cview *z,
                             const pudle_view *gw);
} pd_map_ops;

struct pd_map {
    const pd_map_ops *ops;
    const pudle_backend_ops *be;
    int64_t features, code, atoms; /* entries of a sample, entries of its code, atoms */
    int32_t data_rank, code_rank;  /* shapes of one sample and of one code */
    int64_t data_shape[PUDLE_MAX_RANK], code_shape[PUDLE_MAX_RANK];
    int32_t weight_rank;           /* shape of D as it stands in files */
    int64_t weight_shape[PUDLE_MAX_RANK];
    int32_t atom_axis;             /* of D seen as a matrix: 1 when atoms are columns, 0 when they are rows */
    bool matrix;                   /* D is a plain (features, code) matrix; else it is what `conv` says */
    pudle_conv conv;               /* convolutional maps only */
};

/** D is (features, atoms), atoms are columns. */
void pd_map_dense(pd_map *map, const pudle_backend_ops *be, int32_t data_rank, const int64_t *data_shape, int64_t atoms);

/** Filters of shape (data_shape[0], kernel...), stride per spatial axis; data (channels, length) or (channels, height, width).
 *  The caller has checked that a filter fits into the data. */
void pd_map_conv(pd_map *map, const pudle_backend_ops *be, int32_t data_rank, const int64_t *data_shape, int64_t atoms,
                 const int64_t *kernel, const int64_t *stride);

/** D, or other weights of its kind, as the matrix whose slices along atom_axis are the atoms. */
pudle_view pd_map_weight_matrix(const pd_map *map, const pudle_view *w);

/** Views of rows (rows, code) or (rows, features) in the shape that prox and loss plugins expect: (rows, shape...). */
pudle_view pd_map_code_view(const pd_map *map, const pudle_view *rows);
pudle_view pd_map_data_view(const pd_map *map, const pudle_view *rows);

#endif
