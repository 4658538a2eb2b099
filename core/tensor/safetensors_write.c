/* core/tensor/safetensors_write.c - tensors and text in a .safetensors file:
 *
 *   length of the header (8 bytes, little endian), header (JSON, padded with blanks to a multiple of 8), tensor bytes;
 *   header {"__metadata__": {text: text}, name: {"dtype": "F32", "shape": [..], "data_offsets": [begin, end]}, ...}
 *
 * The metadata entry "sha256" is the digest of the header's text and the tensor bytes, with zeros in its own place: a changed
 * counter is seen as well as a changed number. F64 tensors come first, so that every tensor is aligned to its element size. */
#include "files.h"
#include "json.h"

#include <stdlib.h>
#include <string.h>

static void hash_piece(void *to, const void *data, size_t bytes)
{
    sha256_update(to, bytes, data);
}

static void write_piece(void *to, const void *data, size_t bytes)
{
    fwrite(data, 1, bytes, to); /* errors stick to the stream and are seen at the commit */
}

/* All tensors in the order of the file: F64, then F32. */
static void all_pieces(int tensors, const pd_tensor *tensor, pd_piece_fn take, void *to)
{
    for (int32_t dtype = PUDLE_F64; dtype >= PUDLE_F32; dtype--)
        for (int i = 0; i < tensors; i++)
            if (tensor[i].array.dtype == dtype)
                pd_pieces(&tensor[i].array, take, to);
}

static pudle_status check(pd_context *ctx, const char *path, int tensors, const pd_tensor *tensor, int metas,
                          const pd_meta *meta)
{
    if (!pd_little_endian())
        return pd_fail(ctx, PUDLE_ERR_UNSUPPORTED, "%s: .safetensors files can only be written on a little-endian machine; "
                       "write .npz instead", path);
    for (int i = 0; i < tensors; i++) {
        if (strcmp(tensor[i].name, "__metadata__") == 0)
            return pd_fail(ctx, PUDLE_ERR_ARG, "%s: a tensor is named '__metadata__', which the format reserves; rename it",
                           path);
        for (int j = 0; j < i; j++)
            if (strcmp(tensor[i].name, tensor[j].name) == 0)
                return pd_fail(ctx, PUDLE_ERR_ARG, "%s: two tensors are named '%s'; names must differ", path,
                               tensor[i].name);
        const pudle_status status = pd_view_check(ctx, path, &tensor[i].array);
        if (status)
            return status;
    }
    for (int i = 0; i < metas; i++) {
        if (strcmp(meta[i].key, "sha256") == 0)
            return pd_fail(ctx, PUDLE_ERR_ARG, "%s: the metadata key 'sha256' is written by pudle itself; use another",
                           path);
        for (int j = 0; j < i; j++)
            if (strcmp(meta[i].key, meta[j].key) == 0)
                return pd_fail(ctx, PUDLE_ERR_ARG, "%s: two metadata entries have the key '%s'; keys must differ", path,
                               meta[i].key);
    }
    return PUDLE_OK;
}

static bool describe(json_object *header, const pd_tensor *t, int64_t begin, int64_t end)
{
    json_object *entry = pd_json_add(header, t->name, json_object_new_object());
    json_object *type = pd_json_add(entry, "dtype", json_object_new_string(t->array.dtype == PUDLE_F64 ? "F64" : "F32"));
    json_object *shape = pd_json_add(entry, "shape", json_object_new_array());
    json_object *offsets = pd_json_add(entry, "data_offsets", json_object_new_array());
    bool good = type && shape && pd_json_append(offsets, json_object_new_int64(begin)) && pd_json_append(offsets, json_object_new_int64(end));
    for (int32_t i = 0; good && i < t->array.rank; i++)
        good = pd_json_append(shape, json_object_new_int64(t->array.shape[i])) != NULL;
    return good;
}

static bool fill_header(json_object *header, int tensors, const pd_tensor *tensor, int metas, const pd_meta *meta)
{
    json_object *text = pd_json_add(header, "__metadata__", json_object_new_object());
    if (!pd_json_texts(text, metas, meta) || !pd_json_texts(text, 1, &(pd_meta){ "sha256", PD_NO_DIGEST }))
        return false;
    int64_t at = 0;
    for (int32_t dtype = PUDLE_F64; dtype >= PUDLE_F32; dtype--)
        for (int i = 0; i < tensors; i++) {
            const pudle_cview *v = &tensor[i].array;
            if (v->dtype != dtype)
                continue;
            const int64_t bytes = pudle_count(v) * (int64_t)pudle_dtype_size(dtype);
            if (!describe(header, &tensor[i], at, at + bytes))
                return false;
            at += bytes;
        }
    return true;
}

/* Put the digest of header and tensors, taken while its own place holds zeros, into the header. */
static void sign(char *text, size_t length, int tensors, const pd_tensor *tensor)
{
    struct sha256_ctx sha;
    char digest[65];
    char *place = strstr(text, "\"sha256\":\"" PD_NO_DIGEST);
    sha256_init(&sha);
    sha256_update(&sha, length, (const uint8_t *)text);
    all_pieces(tensors, tensor, hash_piece, &sha);
    pd_sha256_finish(&sha, digest);
    if (place)
        memcpy(place + strlen("\"sha256\":\""), digest, 64);
}

static void write_header(FILE *to, const char *text, size_t length)
{
    static const char blanks[8] = { ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ' };
    const size_t pad = (8 - length % 8) % 8;
    unsigned char size[8];
    for (int i = 0; i < 8; i++)
        size[i] = (unsigned char)((uint64_t)(length + pad) >> 8 * i);
    fwrite(size, 1, sizeof size, to);
    fwrite(text, 1, length, to);
    fwrite(blanks, 1, pad, to);
}

pudle_status pd_safetensors_write(pd_context *ctx, const char *path, int tensors, const pd_tensor *tensor, int metas,
                                  const pd_meta *meta)
{
    char *text = NULL;
    pd_atomic *file = NULL;
    pudle_status status = check(ctx, path, tensors, tensor, metas, meta);
    if (status)
        return status;
    json_object *header = json_object_new_object();
    if (header && fill_header(header, tensors, tensor, metas, meta))
        text = pd_json_text(header, false);
    if (!text) {
        status = pd_fail(ctx, PUDLE_ERR_NOMEM, "%s: no memory for its header", path);
        goto done;
    }
    const size_t length = strlen(text);
    sign(text, length, tensors, tensor);
    status = pd_atomic_open(ctx, path, &file);
    if (status)
        goto done;
    write_header(pd_atomic_stream(file), text, length);
    all_pieces(tensors, tensor, write_piece, pd_atomic_stream(file));
    status = pd_atomic_commit(ctx, file);
done:
    free(text);
    json_object_put(header);
    return status;
}
