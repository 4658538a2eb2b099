/* core/tensor/safetensors_read.c - reading .safetensors, with nothing believed before it is checked: the header's length,
 * the JSON, the digest if there is one, each tensor's type, shape and place; tensors must cover the bytes without gap or
 * overlap, as the format demands. The layout is described in safetensors_write.c. */
#include "files.h"
#include "json.h"

#include <stdlib.h>
#include <string.h>

typedef struct entry {
    const char *name; /* lives in the header */
    uint64_t begin, end;
    pudle_cview array;
    void *copy; /* of a tensor that is not aligned to its element size; else NULL */
} entry;

struct pd_safetensors {
    json_object *header, *meta; /* meta lies in header; NULL: none */
    unsigned char *data;
    size_t size; /* of data */
    entry *entry;
    int entries;
};

#define HEADER_MAX 100000000u /* the limit of the reference implementation */
#define DAMAGED ": the file is damaged, restore or write it again"

void pd_safetensors_free(pd_safetensors *file)
{
    if (!file)
        return;
    for (int i = 0; i < file->entries; i++)
        free(file->entry[i].copy);
    json_object_put(file->header);
    free(file->entry);
    free(file->data);
    free(file);
}

static pudle_status parse_json(pd_context *ctx, const char *path, const char *text, size_t length, json_object **out)
{
    const char *why;
    size_t at;
    const pudle_status status = pd_json_parse(text, length, out, &why, &at);
    if (status == PUDLE_ERR_IO)
        return pd_fail(ctx, status, "%s: the header is wrong JSON at byte %zu (%s)" DAMAGED, path, 8 + at, why);
    return status ? pd_fail(ctx, status, "%s: no memory for its header", path) : PUDLE_OK;
}

/* The metadata: an object of strings. */
static pudle_status check_meta(pd_context *ctx, const char *path, pd_safetensors *f)
{
    char shown[PD_SHOWN];
    json_object *meta;
    if (!json_object_object_get_ex(f->header, "__metadata__", &meta))
        return PUDLE_OK;
    if (!json_object_is_type(meta, json_type_object))
        return pd_fail(ctx, PUDLE_ERR_IO, "%s: '__metadata__' is not an object" DAMAGED, path);
    struct json_object_iterator i = json_object_iter_begin(meta), end = json_object_iter_end(meta);
    for (; !json_object_iter_equal(&i, &end); json_object_iter_next(&i))
        if (!json_object_is_type(json_object_iter_peek_value(&i), json_type_string)) {
            const char *key = json_object_iter_peek_name(&i);
            return pd_fail(ctx, PUDLE_ERR_IO, "%s: the metadata entry '%s' is not text" DAMAGED, path,
                           pd_shown(key, strlen(key), shown));
        }
    f->meta = meta;
    return PUDLE_OK;
}

/* Length of the text without the blanks that pad it. */
static size_t trimmed(const char *text, size_t length)
{
    while (length > 0 && text[length - 1] == ' ')
        length--;
    return length;
}

/* The digest is taken of the header's text and the tensors, with zeros where it stands itself. */
static pudle_status check_digest(pd_context *ctx, const char *path, const char *text, size_t length, const pd_safetensors *f)
{
    struct sha256_ctx sha;
    char digest[65];
    const char *said = pd_safetensors_meta(f, "sha256"), *place = NULL;
    if (!said) {
        pd_log(ctx, PUDLE_LOG_WARNING, "%s: carries no checksum (sha256), so damage to its numbers cannot be seen", path);
        return PUDLE_OK;
    }
    const size_t digits = sizeof digest - 1;
    if (strlen(said) == digits)
        place = memmem(text, length, said, digits);
    sha256_init(&sha);
    if (place) {
        sha256_update(&sha, (size_t)(place - text), (const uint8_t *)text);
        sha256_update(&sha, digits, (const uint8_t *)PD_NO_DIGEST);
        sha256_update(&sha, length - (size_t)(place - text) - digits, (const uint8_t *)place + digits);
    }
    sha256_update(&sha, f->size, f->data);
    pd_sha256_finish(&sha, digest);
    if (!place || strcmp(digest, said) != 0)
        return pd_fail(ctx, PUDLE_ERR_IO, "%s: checksum differs" DAMAGED, path);
    return PUDLE_OK;
}

/* Member `key`, an array of at most `limit` whole numbers >= 0. False: it is not. */
static bool get_numbers(json_object *object, const char *key, size_t limit, size_t *count, int64_t *number)
{
    json_object *array;
    if (!json_object_object_get_ex(object, key, &array) || !json_object_is_type(array, json_type_array))
        return false;
    *count = json_object_array_length(array);
    for (size_t i = 0; i < *count && i < limit; i++) {
        json_object *item = json_object_array_get_idx(array, i);
        if (!json_object_is_type(item, json_type_int))
            return false;
        number[i] = json_object_get_int64(item); /* larger ones saturate and fail the bounds */
        if (number[i] < 0)
            return false;
    }
    return *count <= limit;
}

static pudle_status parse_entry(pd_context *ctx, const char *path, const char *name, json_object *object, size_t size,
                                entry *e)
{
    char shown[PD_SHOWN];
    json_object *type;
    int64_t shape[PUDLE_MAX_RANK] = { 0 }, place[2];
    size_t rank = 0, ends = 0, bytes;
    pd_shown(name, strlen(name), shown);
    if (!json_object_is_type(object, json_type_object) || !json_object_object_get_ex(object, "dtype", &type) ||
        !json_object_is_type(type, json_type_string))
        return pd_fail(ctx, PUDLE_ERR_IO, "%s: tensor '%s' has no 'dtype'" DAMAGED, path, shown);
    const char *text = json_object_get_string(type);
    const bool wide = strcmp(text, "F64") == 0;
    if (!wide && strcmp(text, "F32") != 0) {
        char shown_type[PD_SHOWN];
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "%s: tensor '%s' has element type '%s'; F32 and F64 are supported: convert "
                       "it and save it again", path, shown, pd_shown(text, strlen(text), shown_type));
    }
    if (!get_numbers(object, "shape", PUDLE_MAX_RANK, &rank, shape)) {
        if (rank > PUDLE_MAX_RANK)
            return pd_fail(ctx, PUDLE_ERR_CONFIG, "%s: tensor '%s' has %zu axes, at most %d are supported; reshape it", path,
                           shown, rank, PUDLE_MAX_RANK);
        return pd_fail(ctx, PUDLE_ERR_IO, "%s: tensor '%s' has no legal 'shape'" DAMAGED, path, shown);
    }
    if (!get_numbers(object, "data_offsets", 2, &ends, place) || ends != 2)
        return pd_fail(ctx, PUDLE_ERR_IO, "%s: tensor '%s' has no legal 'data_offsets'" DAMAGED, path, shown);

    /* the product over extents that are not 0, so that later products in any order are safe too */
    int64_t count = wide ? 8 : 4;
    bool empty = false;
    for (size_t i = 0; i < rank; i++) {
        empty = empty || shape[i] == 0;
        if (shape[i] > 0 && count > INT64_MAX / 8 / shape[i])
            return pd_fail(ctx, PUDLE_ERR_IO, "%s: tensor '%s' claims an impossible shape (axis %zu has extent "
                           "%lld)" DAMAGED, path, shown, i, (long long)shape[i]);
        count *= shape[i] > 0 ? shape[i] : 1;
    }
    bytes = empty ? 0 : (size_t)count;
    const uint64_t begin = (uint64_t)place[0], end = (uint64_t)place[1];
    if (begin > end || end > size)
        return pd_fail(ctx, PUDLE_ERR_IO, "%s: tensor '%s' claims bytes %llu to %llu of the %zu there are" DAMAGED, path,
                       shown, (unsigned long long)begin, (unsigned long long)end, size);
    if (end - begin != bytes)
        return pd_fail(ctx, PUDLE_ERR_IO, "%s: tensor '%s' takes %zu bytes by its shape, %llu by its place" DAMAGED, path,
                       shown, bytes, (unsigned long long)(end - begin));
    *e = (entry){ name, begin, end, pd_cview(NULL, wide ? PUDLE_F64 : PUDLE_F32, (int32_t)rank, shape), NULL };
    return PUDLE_OK;
}

static int by_place(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* Tensors, sorted by place, must follow each other from the first byte to the last. */
static pudle_status check_cover(pd_context *ctx, const char *path, const pd_safetensors *f)
{
    char shown[PD_SHOWN], before[PD_SHOWN];
    uint64_t at = 0;
    for (int i = 0; i < f->entries; i++) {
        const entry *e = &f->entry[i];
        pd_shown(e->name, strlen(e->name), shown);
        if (e->begin < at)
            return pd_fail(ctx, PUDLE_ERR_IO, "%s: tensors '%s' and '%s' overlap" DAMAGED, path,
                           pd_shown(e[-1].name, strlen(e[-1].name), before), shown);
        if (e->begin > at)
            return pd_fail(ctx, PUDLE_ERR_IO, "%s: %llu bytes before tensor '%s' belong to none" DAMAGED, path,
                           (unsigned long long)(e->begin - at), shown);
        at = e->end;
    }
    if (at != f->size)
        return pd_fail(ctx, PUDLE_ERR_IO, "%s: the last %llu bytes belong to no tensor" DAMAGED, path,
                       (unsigned long long)(f->size - at));
    return PUDLE_OK;
}

/* Point the views at the data; a tensor that is not aligned gets a copy that is. */
static pudle_status place_views(pd_context *ctx, const char *path, pd_safetensors *f)
{
    for (int i = 0; i < f->entries; i++) {
        entry *e = &f->entry[i];
        const size_t bytes = (size_t)(e->end - e->begin);
        e->array.data = f->data + e->begin;
        if (e->begin % pudle_dtype_size(e->array.dtype) == 0)
            continue;
        e->copy = pd_alloc(bytes ? bytes : 1, 1);
        if (!e->copy)
            return pd_fail(ctx, PUDLE_ERR_NOMEM, "%s: no memory for %zu bytes of a tensor", path, bytes);
        memcpy(e->copy, f->data + e->begin, bytes);
        e->array.data = e->copy;
    }
    return PUDLE_OK;
}

static pudle_status read_entries(pd_context *ctx, const char *path, pd_safetensors *f)
{
    pudle_status status = PUDLE_OK;
    f->entry = calloc((size_t)json_object_object_length(f->header) + 1, sizeof *f->entry);
    if (!f->entry)
        return pd_fail(ctx, PUDLE_ERR_NOMEM, "%s: no memory for its list of tensors", path);
    struct json_object_iterator i = json_object_iter_begin(f->header), end = json_object_iter_end(f->header);
    for (; !status && !json_object_iter_equal(&i, &end); json_object_iter_next(&i)) {
        const char *name = json_object_iter_peek_name(&i);
        if (strcmp(name, "__metadata__") == 0)
            continue;
        status = parse_entry(ctx, path, name, json_object_iter_peek_value(&i), f->size, &f->entry[f->entries]);
        f->entries += status == PUDLE_OK;
    }
    if (status)
        return status;
    qsort(f->entry, (size_t)f->entries, sizeof *f->entry, by_place);
    status = check_cover(ctx, path, f);
    return status ? status : place_views(ctx, path, f);
}

static pudle_status read_mapped(pd_context *ctx, const char *path, const pd_bytes *bytes, pd_safetensors *f)
{
    if (!pd_little_endian())
        return pd_fail(ctx, PUDLE_ERR_UNSUPPORTED, "%s: .safetensors files can only be read on a little-endian machine",
                       path);
    if (bytes->size < 8)
        return pd_fail(ctx, PUDLE_ERR_IO, "%s: %zu bytes are too few for a .safetensors file" DAMAGED, path, bytes->size);
    const uint64_t length = pd_le64(bytes->data);
    const char *text = (const char *)bytes->data + 8;
    if (length > HEADER_MAX || (bytes->size > 8 && text[0] != '{'))
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "%s: not a .safetensors file (its first bytes are no header); give a "
                       "checkpoint that pudle wrote", path);
    if (length > bytes->size - 8)
        return pd_fail(ctx, PUDLE_ERR_IO, "%s: the header takes %llu bytes, the file has %zu: it is cut short, copy it "
                       "again", path, (unsigned long long)length, bytes->size - 8);
    pudle_status status = parse_json(ctx, path, text, (size_t)length, &f->header);
    if (!status)
        status = check_meta(ctx, path, f);
    if (status)
        return status;
    f->size = bytes->size - 8 - (size_t)length;
    f->data = pd_alloc(f->size ? f->size : 1, 1);
    if (!f->data)
        return pd_fail(ctx, PUDLE_ERR_NOMEM, "%s: no memory for its %zu bytes of tensors", path, f->size);
    if (f->size)
        memcpy(f->data, bytes->data + 8 + length, f->size);
    status = check_digest(ctx, path, text, trimmed(text, (size_t)length), f);
    return status ? status : read_entries(ctx, path, f);
}

pudle_status pd_safetensors_read(pd_context *ctx, const char *path, pd_safetensors **out)
{
    pd_bytes bytes;
    pudle_status status = pd_bytes_map(ctx, path, &bytes);
    if (status)
        return status;
    pd_safetensors *f = calloc(1, sizeof *f);
    status = f ? read_mapped(ctx, path, &bytes, f) : pd_fail(ctx, PUDLE_ERR_NOMEM, "%s: no memory to read it", path);
    pd_bytes_release(&bytes);
    if (status)
        pd_safetensors_free(f);
    else
        *out = f;
    return status;
}

const char *pd_safetensors_meta(const pd_safetensors *file, const char *key)
{
    json_object *value;
    if (!file->meta || !json_object_object_get_ex(file->meta, key, &value))
        return NULL;
    return json_object_get_string(value);
}

const pudle_cview *pd_safetensors_tensor(const pd_safetensors *file, const char *name)
{
    for (int i = 0; i < file->entries; i++)
        if (strcmp(file->entry[i].name, name) == 0)
            return &file->entry[i].array;
    return NULL;
}
