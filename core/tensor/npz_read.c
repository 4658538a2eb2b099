/* core/tensor/npz_read.c - one array out of an .npz archive: a zip file with members stored or deflated, zip64 included.
 * Source: APPNOTE.TXT of PKWARE, version 6.3. The central directory is believed, local headers only locate the data; every
 * offset is checked against the file before it is followed. */
#include "files.h"

#include <string.h>
#include <zlib.h>

enum { END_SIZE = 22, LOCATOR_SIZE = 20, END64_SIZE = 56, ENTRY_SIZE = 46, LOCAL_SIZE = 30, STORED = 0, DEFLATED = 8 };
#define DAMAGED ": the archive is damaged or cut short, write or copy it again"

typedef struct directory { const unsigned char *at, *end; } directory;

typedef struct member {
    const char *name; /* not terminated */
    size_t name_size;
    unsigned flags, method;
    uint32_t crc;
    uint64_t packed, size, offset;
} member;

bool pd_is_zip(const pd_bytes *bytes)
{
    return bytes->size >= 4 && (memcmp(bytes->data, "PK\3\4", 4) == 0 || memcmp(bytes->data, "PK\5\6", 4) == 0);
}

/* The end record is the last thing in the file but for a comment of up to 65535 bytes. */
static const unsigned char *find_end(const pd_bytes *zip)
{
    if (zip->size < END_SIZE)
        return NULL;
    for (size_t comment = 0; comment <= 65535 && comment + END_SIZE <= zip->size; comment++) {
        const unsigned char *p = zip->data + zip->size - END_SIZE - comment;
        if (memcmp(p, "PK\5\6", 4) == 0 && pd_le16(p + 20) == comment)
            return p;
    }
    return NULL;
}

/* The zip64 end record, if a locator stands before the ordinary one. NULL: none, or none that can be reached. */
static const unsigned char *find_end64(const pd_bytes *zip, size_t end)
{
    if (end < LOCATOR_SIZE + END64_SIZE || memcmp(zip->data + end - LOCATOR_SIZE, "PK\6\7", 4) != 0)
        return NULL;
    const uint64_t at = pd_le64(zip->data + end - LOCATOR_SIZE + 8);
    if (at > end - LOCATOR_SIZE - END64_SIZE || memcmp(zip->data + at, "PK\6\6", 4) != 0)
        return NULL;
    return zip->data + at;
}

static pudle_status find_directory(pd_context *ctx, const char *path, const pd_bytes *zip, directory *out)
{
    const unsigned char *end = find_end(zip);
    if (!end)
        return pd_fail(ctx, PUDLE_ERR_IO, "%s: no directory at its end" DAMAGED, path);
    uint64_t size = pd_le32(end + 12), offset = pd_le32(end + 16);
    const unsigned char *end64 = find_end64(zip, (size_t)(end - zip->data));
    if (end64) {
        size = pd_le64(end64 + 40);
        offset = pd_le64(end64 + 48);
    }
    const uint64_t limit = (uint64_t)((end64 ? end64 : end) - zip->data);
    if (offset > limit || size > limit - offset)
        return pd_fail(ctx, PUDLE_ERR_IO, "%s: its directory lies outside the file" DAMAGED, path);
    out->at = zip->data + offset;
    out->end = out->at + size;
    return PUDLE_OK;
}

/* Values too large for their 32 bits stand in the extra field of id 1, in this order, only those that did not fit. */
static bool read_zip64(const unsigned char *extra, size_t size, member *m)
{
    uint64_t *const wanted[3] = { m->size == UINT32_MAX ? &m->size : NULL, m->packed == UINT32_MAX ? &m->packed : NULL,
                                  m->offset == UINT32_MAX ? &m->offset : NULL };
    if (!wanted[0] && !wanted[1] && !wanted[2])
        return true;
    while (size >= 4) {
        const size_t length = pd_le16(extra + 2);
        if (length > size - 4)
            return false;
        if (pd_le16(extra) == 1) {
            size_t at = 0;
            for (int i = 0; i < 3; i++)
                if (wanted[i]) {
                    if (at + 8 > length)
                        return false;
                    *wanted[i] = pd_le64(extra + 4 + at);
                    at += 8;
                }
            return true;
        }
        extra += 4 + length;
        size -= 4 + length;
    }
    return true; /* no such field: a value of exactly 2^32 - 1, judged by the bounds */
}

/* The next entry of the directory. False: the directory is damaged. */
static bool next_member(directory *d, member *m)
{
    const size_t left = (size_t)(d->end - d->at);
    if (left < ENTRY_SIZE || memcmp(d->at, "PK\1\2", 4) != 0)
        return false;
    const unsigned char *p = d->at;
    const size_t name = pd_le16(p + 28), extra = pd_le16(p + 30), comment = pd_le16(p + 32);
    if (name + extra + comment > left - ENTRY_SIZE)
        return false;
    m->flags = pd_le16(p + 8);
    m->method = pd_le16(p + 10);
    m->crc = pd_le32(p + 16);
    m->packed = pd_le32(p + 20);
    m->size = pd_le32(p + 24);
    m->offset = pd_le32(p + 42);
    m->name = (const char *)p + ENTRY_SIZE;
    m->name_size = name;
    d->at += ENTRY_SIZE + name + extra + comment;
    return read_zip64(p + ENTRY_SIZE + name, extra, m);
}

/* Length of the array's name: that of the member without ".npy"; 0 for a member that is no array. */
static size_t array_name(const member *m)
{
    const bool array = m->name_size > 4 && memcmp(m->name + m->name_size - 4, ".npy", 4) == 0;
    return array ? m->name_size - 4 : 0;
}

static bool matches(const member *m, const char *name)
{
    const size_t n = strlen(name), array = array_name(m);
    return array && (n == array || n == m->name_size) && memcmp(m->name, name, n) == 0;
}

/* ", "-separated names for a message. */
static void list_name(char *list, size_t size, const member *m)
{
    char shown[PD_SHOWN];
    const size_t used = strlen(list);
    pd_shown(m->name, array_name(m), shown);
    if (used + strlen(shown) + 8 < size)
        snprintf(list + used, size - used, "%s%s", used ? ", " : "", shown);
    else if (used < 3 || strcmp(list + used - 3, "...") != 0)
        snprintf(list + used, size - used, ", ...");
}

static pudle_status find_member(pd_context *ctx, const char *path, directory d, const char *name, member *out)
{
    char list[400] = "";
    int arrays = 0;
    bool found = false;
    while (d.at < d.end) {
        member m;
        if (!next_member(&d, &m))
            return pd_fail(ctx, PUDLE_ERR_IO, "%s: an entry of its directory makes no sense" DAMAGED, path);
        if (!array_name(&m))
            continue;
        arrays++;
        list_name(list, sizeof list, &m);
        if (!name || matches(&m, name)) { /* of two with one name the later counts, as in NumPy */
            *out = m;
            found = true;
        }
    }
    if (arrays == 0)
        return pd_fail(ctx, PUDLE_ERR_NOTFOUND, "%s: holds no array; write it with numpy.savez", path);
    if (!name && arrays > 1)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "%s: holds %d arrays, say which: %s:NAME with NAME one of %s", path, arrays,
                       path, list);
    if (!found)
        return pd_fail(ctx, PUDLE_ERR_NOTFOUND, "%s: holds no array '%s'; it holds %s", path, name, list);
    return PUDLE_OK;
}

/* The member's packed bytes. NULL: they lie outside the file. */
static const unsigned char *packed_bytes(const pd_bytes *zip, const member *m)
{
    if (zip->size < LOCAL_SIZE || m->offset > zip->size - LOCAL_SIZE)
        return NULL;
    const unsigned char *local = zip->data + m->offset;
    const uint64_t start = m->offset + LOCAL_SIZE + pd_le16(local + 26) + pd_le16(local + 28);
    if (memcmp(local, "PK\3\4", 4) != 0 || start > zip->size || m->packed > zip->size - start)
        return NULL;
    return zip->data + start;
}

/* Inflate all of `from` into exactly `size` bytes; zlib counts in unsigned int, so large members go in slices. */
static bool inflate_all(const unsigned char *from, uint64_t packed, unsigned char *to, uint64_t size)
{
    const uint64_t slice = 1u << 30;
    z_stream z = { 0 };
    int code;
    if (inflateInit2(&z, -MAX_WBITS) != Z_OK)
        return false;
    z.next_in = (Bytef *)(uintptr_t)from;
    z.next_out = to;
    do {
        const uint64_t in = packed < slice ? packed : slice, out = size < slice ? size : slice;
        z.avail_in = (uInt)in;
        z.avail_out = (uInt)out;
        code = inflate(&z, Z_NO_FLUSH);
        packed -= in - z.avail_in;
        size -= out - z.avail_out;
    } while (code == Z_OK); /* no progress is Z_BUF_ERROR */
    inflateEnd(&z);
    return code == Z_STREAM_END && packed == 0 && size == 0;
}

static uint32_t crc_of(const unsigned char *data, size_t size)
{
    return (uint32_t)crc32_z(crc32_z(0, NULL, 0), data, size);
}

static pudle_status unpack(pd_context *ctx, const char *path, const pd_bytes *zip, const member *m, pd_bytes *out)
{
    char shown[PD_SHOWN];
    pd_shown(m->name, array_name(m), shown);
    const unsigned char *packed = packed_bytes(zip, m);
    if (m->flags & 1)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "%s: array '%s' is encrypted; write it without a password", path, shown);
    if (m->method != STORED && m->method != DEFLATED)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "%s: array '%s' is packed by method %u; only 0 (stored) and 8 (deflated) are "
                       "supported: write it with numpy.savez or numpy.savez_compressed", path, shown, m->method);
    if (!packed)
        return pd_fail(ctx, PUDLE_ERR_IO, "%s: array '%s' lies outside the file" DAMAGED, path, shown);
    /* deflate shrinks by at most 1032 to 1, so a larger claim is a lie, told before memory is taken */
    if (m->method == STORED ? m->size != m->packed : m->size / 1032 > m->packed + 1)
        return pd_fail(ctx, PUDLE_ERR_IO, "%s: array '%s' claims %llu bytes from %llu packed ones" DAMAGED, path, shown,
                       (unsigned long long)m->size, (unsigned long long)m->packed);
    if (m->size > SIZE_MAX - 64)
        return pd_fail(ctx, PUDLE_ERR_NOMEM, "%s: array '%s' is larger than this machine can address", path, shown);
    const size_t size = (size_t)m->size;
    unsigned char *memory = pd_alloc(size ? size : 1, 1);
    if (!memory)
        return pd_fail(ctx, PUDLE_ERR_NOMEM, "%s: no memory for the %zu bytes of array '%s'; save it alone as .npy, which "
                       "is read without a copy", path, size, shown);
    pd_bytes bytes = { memory, size, memory, false };
    bool sound = true;
    if (m->method == STORED)
        memcpy(memory, packed, size);
    else
        sound = inflate_all(packed, m->packed, memory, m->size);
    if (!sound || crc_of(memory, size) != m->crc) {
        pd_bytes_release(&bytes);
        return pd_fail(ctx, PUDLE_ERR_IO, "%s: array '%s' %s" DAMAGED, path, shown,
                       sound ? "does not fit its checksum (CRC-32)" : "cannot be unpacked");
    }
    *out = bytes;
    return PUDLE_OK;
}

pudle_status pd_npz_member(pd_context *ctx, const char *path, const pd_bytes *zip, const char *name, pd_bytes *out)
{
    directory d = { 0 };
    member m = { 0 };
    pudle_status status = find_directory(ctx, path, zip, &d);
    if (!status)
        status = find_member(ctx, path, d, name, &m);
    return status ? status : unpack(ctx, path, zip, &m, out);
}
