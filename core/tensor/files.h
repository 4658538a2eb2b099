/* core/tensor/files.h - what the array formats share; private to core/tensor. */
#ifndef PD_TENSOR_FILES_H
#define PD_TENSOR_FILES_H

#include <nettle/sha2.h>

#include "arrays.h"

/* ------------------------------------------------------------------- bytes */

/** The bytes of a file (mapped) or of a member of an archive (owned memory). */
typedef struct pd_bytes {
    const unsigned char *data;
    size_t size;
    void *memory; /* from pd_alloc, NULL if mapped */
    bool mapped;
} pd_bytes;

/** Map a regular file read only. Whoever cuts the file short while it is mapped makes the process fault, which is why pudle
 *  replaces files and never rewrites them. @errors NOTFOUND, IO */
pudle_status pd_bytes_map(pd_context *ctx, const char *path, pd_bytes *out);
void pd_bytes_release(pd_bytes *bytes); /* zeroed is legal */

static inline uint16_t pd_le16(const unsigned char *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t pd_le32(const unsigned char *p)
{
    return (uint32_t)pd_le16(p) | (uint32_t)pd_le16(p + 2) << 16;
}

static inline uint64_t pd_le64(const unsigned char *p)
{
    return (uint64_t)pd_le32(p) | (uint64_t)pd_le32(p + 4) << 32;
}

static inline bool pd_little_endian(void)
{
    const uint16_t one = 1;
    return *(const unsigned char *)&one == 1;
}

#define PD_SHOWN 64
/** Text from a file made fit for a message: cut, and control characters replaced. Returns shown. */
const char *pd_shown(const char *text, size_t length, char shown[PD_SHOWN]);

/* ------------------------------------------------------------------- views */

/** A view that can be written to a file: known dtype, legal rank, no negative extent, data present. @errors ARG */
pudle_status pd_view_check(pd_context *ctx, const char *what, const pudle_cview *v);
/** Copy `count` elements, from element `first` in C order, whatever the strides. */
void pd_gather(const pudle_cview *v, int64_t first, int64_t count, void *out);

/** Called with consecutive pieces of an array's bytes in C order. */
typedef void (*pd_piece_fn)(void *to, const void *data, size_t bytes);
void pd_pieces(const pudle_cview *v, pd_piece_fn take, void *to);

/* --------------------------------------------------------------------- npy */

/** What the header of a .npy file says. */
typedef struct pd_npy {
    int32_t rank;
    char kind;     /* b, i, u, f */
    uint32_t item; /* bytes of an element */
    bool swapped;  /* not in the byte order of this machine */
    int64_t shape[PUDLE_MAX_RANK], stride[PUDLE_MAX_RANK]; /* stride in elements, as stored */
    bool fortran;
    const unsigned char *data;
} pd_npy;

#define PD_NPY_HEADER_MAX 256
/** Parse and check against the number of bytes there are. @errors IO (damaged), CONFIG (not numbers) */
pudle_status pd_npy_parse(pd_context *ctx, const char *path, const pd_bytes *bytes, pd_npy *out);
/** The header for an array, version 1.0; returns its length, a multiple of 64. */
size_t pd_npy_header(const pudle_cview *array, char header[PD_NPY_HEADER_MAX]);
/** Convert all elements (row < 0) or one entry of the first axis, in C order. */
void pd_npy_convert(const pd_npy *npy, int64_t row, int32_t dtype, void *out);
bool pd_npy_known(char kind, uint32_t item);
/** Open "a.npy" or "a.npz:name": on success release bytes with pd_bytes_release. */
pudle_status pd_npy_open(pd_context *ctx, const char *path, pd_bytes *bytes, pd_npy *npy);

/* --------------------------------------------------------------------- npz */

bool pd_is_zip(const pd_bytes *bytes);
/** Unpack member `name` (with or without ".npy"; NULL: the only array) and check its CRC. @errors IO, NOTFOUND, CONFIG */
pudle_status pd_npz_member(pd_context *ctx, const char *path, const pd_bytes *zip, const char *name, pd_bytes *out);

/* ------------------------------------------------------------------ digest */

/* What stands for the digest of a .safetensors file while it is taken: 64 zeros. */
#define PD_NO_DIGEST "0000000000000000000000000000000000000000000000000000000000000000"
void pd_sha256_finish(struct sha256_ctx *sha, char hex[65]);

#endif
