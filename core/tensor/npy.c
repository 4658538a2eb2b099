/* core/tensor/npy.c - reading and writing whole arrays. */
#include "files.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* "a.npz:name" -> "a.npz" and "name"; any other path, and one that exists as it stands, -> itself and NULL.
 * *file is from malloc, *name lies in it. */
static pudle_status split_path(pd_context *ctx, const char *path, char **file, const char **name)
{
    char *copy = pd_strdup(path);
    if (!copy)
        return pd_fail(ctx, PUDLE_ERR_NOMEM, "%s: no memory for its name", path);
    char *cut = strstr(copy, ".npz:");
    *name = NULL;
    if (cut && access(path, F_OK) != 0) {
        cut[4] = '\0';
        *name = cut + 5;
        if (!**name) {
            free(copy);
            return pd_fail(ctx, PUDLE_ERR_CONFIG, "%s: an array's name must follow the colon; leave the colon out if the "
                           "file holds one array only", path);
        }
    }
    *file = copy;
    return PUDLE_OK;
}

pudle_status pd_npy_open(pd_context *ctx, const char *path, pd_bytes *bytes, pd_npy *npy)
{
    pd_bytes whole = { 0 }, member = { 0 };
    char *file = NULL;
    const char *name = NULL;
    pudle_status status = split_path(ctx, path, &file, &name);
    if (!status)
        status = pd_bytes_map(ctx, file, &whole);
    if (status)
        goto done;
    if (pd_is_zip(&whole)) {
        status = pd_npz_member(ctx, file, &whole, name, &member);
        pd_bytes_release(&whole);
        whole = member;
    } else if (name) {
        status = pd_fail(ctx, PUDLE_ERR_CONFIG, "%s: array '%s' was asked for, but the file is no .npz archive; write it "
                         "with numpy.savez, or leave ':%s' out", file, name, name);
    }
    if (!status)
        status = pd_npy_parse(ctx, path, &whole, npy);
    if (!status) {
        *bytes = whole;
        memset(&whole, 0, sizeof whole);
    }
done:
    pd_bytes_release(&whole);
    free(file);
    return status;
}

pudle_status pd_array_read(pd_context *ctx, const char *path, int32_t dtype, pd_array *out)
{
    pd_bytes bytes;
    pd_npy npy;
    if (dtype != PUDLE_F32 && dtype != PUDLE_F64)
        return pd_fail(ctx, PUDLE_ERR_ARG, "%s: asked for element type %d; legal are F32 (%d) and F64 (%d)", path,
                       (int)dtype, PUDLE_F32, PUDLE_F64);
    pudle_status status = pd_npy_open(ctx, path, &bytes, &npy);
    if (status)
        return status;
    const pudle_cview shape = pd_cview(NULL, dtype, npy.rank, npy.shape);
    const size_t count = (size_t)pudle_count(&shape);
    void *data = pd_alloc(count ? count : 1, pudle_dtype_size(dtype));
    if (!data) {
        status = pd_fail(ctx, PUDLE_ERR_NOMEM, "%s: no memory for its %zu elements; use fewer samples or f32", path, count);
    } else {
        pd_npy_convert(&npy, -1, dtype, data);
        out->view = pd_view(data, dtype, npy.rank, npy.shape);
    }
    pd_bytes_release(&bytes);
    return status;
}

static void write_piece(void *to, const void *data, size_t bytes)
{
    fwrite(data, 1, bytes, to); /* errors stick to the stream and are seen at the commit */
}

pudle_status pd_npy_write(pd_context *ctx, const char *path, const pudle_cview *array)
{
    char header[PD_NPY_HEADER_MAX];
    pd_atomic *file;
    pudle_status status = pd_view_check(ctx, path, array);
    if (!status)
        status = pd_atomic_open(ctx, path, &file);
    if (status)
        return status;
    write_piece(pd_atomic_stream(file), header, pd_npy_header(array, header));
    pd_pieces(array, write_piece, pd_atomic_stream(file));
    return pd_atomic_commit(ctx, file);
}
