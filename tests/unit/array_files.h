/* Files of arrays put together byte by byte, as other programs write them and as none would. Include after cmocka.h. */
#ifndef TESTS_ARRAY_FILES_H
#define TESTS_ARRAY_FILES_H

#include "scratch.h"

typedef struct blob { unsigned char *data; size_t size, room; } blob;

static void add(blob *b, const void *data, size_t size)
{
    if (b->size + size > b->room) {
        b->room = (b->size + size) * 2;
        b->data = realloc(b->data, b->room);
        assert_non_null(b->data);
    }
    if (size)
        memcpy(b->data + b->size, data, size);
    b->size += size;
}

static void add_le(blob *b, int bytes, uint64_t value)
{
    for (int i = 0; i < bytes; i++) {
        const unsigned char c = (unsigned char)(value >> 8 * i);
        add(b, &c, 1);
    }
}

/* A .npy file with this dictionary and these bytes of elements. */
static blob npy_file(unsigned version, const char *dictionary, const void *elements, size_t bytes)
{
    blob b = { 0 };
    const unsigned char head[8] = { 0x93, 'N', 'U', 'M', 'P', 'Y', (unsigned char)version, 0 };
    add(&b, head, 8);
    add_le(&b, version == 1 ? 2 : 4, strlen(dictionary));
    add(&b, dictionary, strlen(dictionary));
    add(&b, elements, bytes);
    return b;
}

static void put_npy(const char *path, const char *dictionary, const void *elements, size_t bytes)
{
    blob b = npy_file(1, dictionary, elements, bytes);
    put_file(path, b.data, b.size);
    free(b.data);
}

static uint32_t crc32_of(const unsigned char *p, size_t n)
{
    uint32_t c = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        for (int k = 0; k < 8; k++)
            c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
    }
    return ~c;
}

/* A stored-only zip of one member, plain or with every zip64 field there is. */
static blob zip_of(const char *name, const blob *member, bool wide, unsigned method, unsigned flags)
{
    blob b = { 0 };
    const uint32_t crc = crc32_of(member->data, member->size), narrow = wide ? 0xffffffffu : (uint32_t)member->size;
    add_le(&b, 4, 0x04034b50);
    add_le(&b, 2, 45);
    add_le(&b, 2, flags);
    add_le(&b, 2, method);
    add_le(&b, 4, 0);
    add_le(&b, 4, crc);
    add_le(&b, 4, narrow);
    add_le(&b, 4, narrow);
    add_le(&b, 2, strlen(name));
    add_le(&b, 2, 5); /* an extra field of another kind */
    add(&b, name, strlen(name));
    add(&b, "\x55\x54\1\0x", 5);
    add(&b, member->data, member->size);
    const size_t start = b.size;
    add_le(&b, 4, 0x02014b50);
    add_le(&b, 4, 45 << 16 | 45);
    add_le(&b, 2, flags);
    add_le(&b, 2, method);
    add_le(&b, 4, 0);
    add_le(&b, 4, crc);
    add_le(&b, 4, narrow);
    add_le(&b, 4, narrow);
    add_le(&b, 2, strlen(name));
    add_le(&b, 2, wide ? 5 + 28 : 0);
    add_le(&b, 8, 0);
    add_le(&b, 2, 0);
    add_le(&b, 4, wide ? 0xffffffffu : 0);
    add(&b, name, strlen(name));
    if (wide) {
        add(&b, "\x55\x54\1\0x", 5);
        add_le(&b, 2, 1);
        add_le(&b, 2, 24);
        add_le(&b, 8, member->size);
        add_le(&b, 8, member->size);
        add_le(&b, 8, 0);
    }
    const size_t end = b.size;
    if (wide) {
        add_le(&b, 4, 0x06064b50);
        add_le(&b, 8, 44);
        add_le(&b, 4, 45 << 16 | 45);
        add_le(&b, 8, 0);
        add_le(&b, 8, 1);
        add_le(&b, 8, 1);
        add_le(&b, 8, end - start);
        add_le(&b, 8, start);
        add_le(&b, 4, 0x07064b50);
        add_le(&b, 4, 0);
        add_le(&b, 8, end);
        add_le(&b, 4, 1);
    }
    add_le(&b, 4, 0x06054b50);
    add_le(&b, 4, 0);
    add_le(&b, 4, wide ? 0xffffffffu : 1 << 16 | 1);
    add_le(&b, 4, wide ? 0xffffffffu : end - start);
    add_le(&b, 4, wide ? 0xffffffffu : start);
    add_le(&b, 2, 3);
    add(&b, "hey", 3); /* a comment */
    return b;
}

/* A .safetensors file with this header and these bytes. */
static void put_safetensors(const char *path, const char *header, const void *data, size_t bytes)
{
    blob b = { 0 };
    add_le(&b, 8, strlen(header));
    add(&b, header, strlen(header));
    add(&b, data, bytes);
    put_file(path, b.data, b.size);
    free(b.data);
}

static void write_checkpoint(const char *path, const double w[6], const float b[5])
{
    const int64_t five[1] = { 5 };
    const pd_tensor tensors[4] = { { "b", pd_cview(b, PUDLE_F32, 1, five) },
                                   { "step/\"quoted\"", pd_cview(w, PUDLE_F64, 0, NULL) },
                                   { "w", pd_cmatrix(w, PUDLE_F64, 2, 3) },
                                   { "none", pd_cmatrix(NULL, PUDLE_F32, 0, 3) } };
    const pd_meta metas[2] = { { "format", "pt" }, { "config", "a = \"b\\c\";\n\ttau = 1/L" } };
    assert_worked(pd_safetensors_write(ctx, path, 4, tensors, 2, metas));
}

#endif
