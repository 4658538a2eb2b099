/* core/tensor/host_arrays.c - the host service that reads NumPy files row by row. A .npy file is mapped, so that a file
 * larger than memory is no obstacle; an array of an .npz archive is unpacked into memory. */
#include "files.h"

#include <stdlib.h>

struct pudle_array_file {
    pd_bytes bytes;
    pd_npy npy;
    char *path;
};

static void close_file(pudle_array_file *file)
{
    if (!file)
        return;
    pd_bytes_release(&file->bytes);
    free(file->path);
    free(file);
}

static pudle_status open_file(void *ctx, const char *path, pudle_array_file **file)
{
    pd_context *c = ((const pd_host_binding *)ctx)->ctx;
    pudle_array_file *f = calloc(1, sizeof *f);
    if (!f || !(f->path = pd_strdup(path))) {
        free(f);
        return pd_fail(c, PUDLE_ERR_NOMEM, "%s: no memory to open it", path);
    }
    const pudle_status status = pd_npy_open(c, path, &f->bytes, &f->npy);
    if (status) {
        close_file(f);
        return status;
    }
    *file = f;
    return PUDLE_OK;
}

static int32_t rank_of(const pudle_array_file *file)
{
    return file->npy.rank;
}

static int64_t extent_of(const pudle_array_file *file, int32_t axis)
{
    return axis >= 0 && axis < file->npy.rank ? file->npy.shape[axis] : 1;
}

static pudle_status read_row(void *ctx, const pudle_array_file *file, int64_t row, int32_t dtype, void *out)
{
    pd_context *c = ((const pd_host_binding *)ctx)->ctx;
    const int64_t rows = extent_of(file, 0);
    if (row < 0 || row >= rows)
        return pd_fail(c, PUDLE_ERR_ARG, "%s: row %lld asked for, rows are 0 to %lld", file->path, (long long)row,
                       (long long)rows - 1);
    if (dtype != PUDLE_F32 && dtype != PUDLE_F64)
        return pd_fail(c, PUDLE_ERR_ARG, "%s: asked for element type %d; legal are F32 (%d) and F64 (%d)", file->path,
                       (int)dtype, PUDLE_F32, PUDLE_F64);
    pd_npy_convert(&file->npy, row, dtype, out);
    return PUDLE_OK;
}

const pudle_host_arrays pd_host_arrays = { (uint32_t)sizeof(pudle_host_arrays), 0, open_file, rank_of, extent_of, read_row,
                                           close_file };
