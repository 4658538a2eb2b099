/* core/tensor/npz_write.c - an .npz archive of deflated arrays. Like NumPy, every local header carries the zip64 field, so
 * that an array's size need not be known to fit 32 bits; the directory carries it where it is needed. The date is the zip
 * format's first day: equal arrays make equal files. */
#include "files.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

typedef struct packed { uint32_t crc; uint64_t size, packed, offset; } packed;

typedef struct deflater {
    z_stream z;
    FILE *to;
    uint32_t crc;
    uint64_t in, out;
    unsigned char buffer[1 << 16];
} deflater;

static void deflate_piece(deflater *d, const void *data, size_t bytes, int flush)
{
    d->z.next_in = (Bytef *)(uintptr_t)data;
    d->z.avail_in = (uInt)bytes; /* pieces are small */
    do {
        d->z.next_out = d->buffer;
        d->z.avail_out = sizeof d->buffer;
        deflate(&d->z, flush);
        const size_t n = sizeof d->buffer - d->z.avail_out;
        fwrite(d->buffer, 1, n, d->to);
        d->out += n;
    } while (d->z.avail_out == 0);
}

static void take_piece(void *to, const void *data, size_t bytes)
{
    deflater *d = to;
    d->crc = (uint32_t)crc32_z(d->crc, data, bytes);
    d->in += bytes;
    deflate_piece(d, data, bytes, Z_NO_FLUSH);
}

/* A record under construction, little endian. */
typedef struct record { unsigned char bytes[128]; size_t size; } record;

static void put(record *r, int bytes, uint64_t value)
{
    for (int i = 0; i < bytes; i++)
        r->bytes[r->size++] = (unsigned char)(value >> 8 * i);
}

static uint32_t cap32(uint64_t v)
{
    return v < UINT32_MAX ? (uint32_t)v : UINT32_MAX;
}

static unsigned name_flags(const char *name)
{
    for (; *name; name++)
        if ((unsigned char)*name >= 0x80)
            return 1u << 11; /* UTF-8 */
    return 0;
}

/* What local header and directory entry have in common, from "version needed" to the two sizes. */
static void put_common(record *r, const char *name, const packed *p, bool wide)
{
    put(r, 2, 45); /* 4.5: zip64 */
    put(r, 2, name_flags(name));
    put(r, 2, 8);      /* deflated */
    put(r, 2, 0);      /* 00:00 */
    put(r, 2, 0x0021); /* 1980-01-01 */
    put(r, 4, p->crc);
    put(r, 4, wide ? UINT32_MAX : cap32(p->packed));
    put(r, 4, wide ? UINT32_MAX : cap32(p->size));
    put(r, 2, strlen(name) + 4);
}

static void write_name(FILE *to, const char *name)
{
    fwrite(name, 1, strlen(name), to);
    fwrite(".npy", 1, 4, to);
}

static void write_local(FILE *to, const char *name, const packed *p)
{
    record head = { .size = 0 }, extra = { .size = 0 };
    put(&head, 4, 0x04034b50);
    put_common(&head, name, p, true);
    put(&head, 2, 20); /* of extra field */
    put(&extra, 2, 1);
    put(&extra, 2, 16);
    put(&extra, 8, p->size);
    put(&extra, 8, p->packed);
    fwrite(head.bytes, 1, head.size, to);
    write_name(to, name);
    fwrite(extra.bytes, 1, extra.size, to);
}

static void write_entry(FILE *to, const char *name, const packed *p)
{
    const uint64_t values[3] = { p->size, p->packed, p->offset };
    record head = { .size = 0 }, wide = { .size = 0 }, extra = { .size = 0 };
    for (int i = 0; i < 3; i++)
        if (values[i] >= UINT32_MAX)
            put(&wide, 8, values[i]);
    if (wide.size > 0) {
        put(&extra, 2, 1);
        put(&extra, 2, wide.size);
    }
    put(&head, 4, 0x02014b50);
    put(&head, 2, 3 << 8 | 45); /* made on Unix, so the attributes below count */
    put_common(&head, name, p, false);
    put(&head, 2, extra.size + wide.size);
    put(&head, 6, 0);                      /* comment, disk, internal attributes */
    put(&head, 4, (uint64_t)0100644 << 16); /* a regular file, rw-r--r-- */
    put(&head, 4, cap32(p->offset));
    fwrite(head.bytes, 1, head.size, to);
    write_name(to, name);
    fwrite(extra.bytes, 1, extra.size, to);
    fwrite(wide.bytes, 1, wide.size, to);
}

static void write_end(FILE *to, uint64_t count, uint64_t start, uint64_t end)
{
    record r = { .size = 0 };
    if (count >= UINT16_MAX || end >= UINT32_MAX) {
        put(&r, 4, 0x06064b50);
        put(&r, 8, 44); /* of the rest of this record */
        put(&r, 2, 45);
        put(&r, 2, 45);
        put(&r, 8, 0); /* disks */
        put(&r, 8, count);
        put(&r, 8, count);
        put(&r, 8, end - start);
        put(&r, 8, start);
        put(&r, 4, 0x07064b50); /* locator */
        put(&r, 4, 0);
        put(&r, 8, end);
        put(&r, 4, 1);
    }
    put(&r, 4, 0x06054b50);
    put(&r, 4, 0); /* disks */
    put(&r, 2, count < UINT16_MAX ? count : UINT16_MAX);
    put(&r, 2, count < UINT16_MAX ? count : UINT16_MAX);
    put(&r, 4, cap32(end - start));
    put(&r, 4, cap32(start));
    put(&r, 2, 0); /* comment */
    fwrite(r.bytes, 1, r.size, to);
}

/* One array: a header to be completed, the data, the completed header. */
static void write_member(deflater *d, const char *name, const pudle_cview *array, packed *p)
{
    char header[PD_NPY_HEADER_MAX];
    FILE *to = d->to;
    memset(p, 0, sizeof *p);
    p->offset = (uint64_t)ftello(to);
    write_local(to, name, p);
    deflateReset(&d->z);
    d->crc = 0;
    d->in = d->out = 0;
    take_piece(d, header, pd_npy_header(array, header));
    pd_pieces(array, take_piece, d);
    deflate_piece(d, "", 0, Z_FINISH);
    p->crc = d->crc;
    p->size = d->in;
    p->packed = d->out;
    fseeko(to, (off_t)p->offset, SEEK_SET);
    write_local(to, name, p);
    fseeko(to, 0, SEEK_END);
}

static pudle_status check(pd_context *ctx, const char *path, int count, const char *const *names, const pudle_cview *arrays)
{
    for (int i = 0; i < count; i++) {
        const size_t n = strlen(names[i]);
        if (n == 0 || n > 65000)
            return pd_fail(ctx, PUDLE_ERR_ARG, "%s: the name of array %d has %zu characters; legal are 1 to 65000", path, i,
                           n);
        for (int j = 0; j < i; j++)
            if (strcmp(names[i], names[j]) == 0)
                return pd_fail(ctx, PUDLE_ERR_ARG, "%s: two arrays are named '%s'; names must differ", path, names[i]);
        const pudle_status status = pd_view_check(ctx, path, &arrays[i]);
        if (status)
            return status;
    }
    return PUDLE_OK;
}

pudle_status pd_npz_write(pd_context *ctx, const char *path, int count, const char *const *names, const pudle_cview *arrays)
{
    pudle_status status = check(ctx, path, count, names, arrays);
    if (status)
        return status;
    pd_atomic *file = NULL;
    packed *members = calloc(count > 0 ? (size_t)count : 1, sizeof *members);
    deflater *d = calloc(1, sizeof *d);
    if (!members || !d || deflateInit2(&d->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8,
                                       Z_DEFAULT_STRATEGY) != Z_OK) {
        status = pd_fail(ctx, PUDLE_ERR_NOMEM, "%s: no memory to write it", path);
        goto done;
    }
    status = pd_atomic_open(ctx, path, &file);
    if (status) {
        deflateEnd(&d->z);
        goto done;
    }
    d->to = pd_atomic_stream(file);
    for (int i = 0; i < count; i++)
        write_member(d, names[i], &arrays[i], &members[i]);
    const uint64_t start = (uint64_t)ftello(d->to);
    for (int i = 0; i < count; i++)
        write_entry(d->to, names[i], &members[i]);
    write_end(d->to, (uint64_t)count, start, (uint64_t)ftello(d->to));
    deflateEnd(&d->z);
    status = pd_atomic_commit(ctx, file);
done:
    free(members);
    free(d);
    return status;
}
