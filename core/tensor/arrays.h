/* core/tensor/arrays.h - numeric arrays in files: NumPy .npy and .npz, .safetensors; atomic writing; digests. */
#ifndef PD_ARRAYS_H
#define PD_ARRAYS_H

#include "context.h"

/** An array in host memory, C order. */
typedef struct pd_array { pudle_view view; /* data owned, from pd_alloc */ } pd_array;

pudle_cview pd_array_const(const pd_array *a);
void pd_array_free(pd_array *a); /* zeroed or NULL is legal */
/** A contiguous view over memory. */
pudle_view pd_view(void *data, int32_t dtype, int32_t rank, const int64_t *shape);
pudle_view pd_matrix(void *data, int32_t dtype, int64_t rows, int64_t cols);
pudle_cview pd_cview(const void *data, int32_t dtype, int32_t rank, const int64_t *shape);
pudle_cview pd_cmatrix(const void *data, int32_t dtype, int64_t rows, int64_t cols);
pudle_view pd_rows(const pudle_view *v, int64_t first, int64_t count); /* rows of the first axis */
pudle_view pd_slice(const pudle_view *v, int64_t i); /* entry i of the first axis, without that axis */
pudle_cview pd_crows(const pudle_cview *v, int64_t first, int64_t count);
bool pd_same_shape(const pudle_cview *a, const pudle_cview *b);

/** Entry i of memory in host memory that holds numbers of this dtype. */
static inline double pd_get(const void *data, int32_t dtype, int64_t i)
{
    return dtype == PUDLE_F64 ? ((const double *)data)[i] : (double)((const float *)data)[i];
}
static inline void pd_put(void *data, int32_t dtype, int64_t i, double value)
{
    if (dtype == PUDLE_F64)
        ((double *)data)[i] = value;
    else
        ((float *)data)[i] = (float)value;
}

/** Read a whole array ("a.npy", "a.npz:name"; an .npz with one array needs no name), converted to dtype. Every element type of
 *  NumPy up to 64 bits (bool, ints, f2, f4, f8), both byte orders, C and Fortran order. Sizes in the header are checked against
 *  the file before memory is taken. @errors IO, NOTFOUND, CONFIG naming the file and what is wrong */
pudle_status pd_array_read(pd_context *ctx, const char *path, int32_t dtype, pd_array *out);
/** Write .npy version 1.0, atomically. */
pudle_status pd_npy_write(pd_context *ctx, const char *path, const pudle_cview *array);
/** Write .npz (deflated), atomically. */
pudle_status pd_npz_write(pd_context *ctx, const char *path, int count, const char *const *names, const pudle_cview *arrays);

/** A file that appears whole or not at all: a temporary name in the same folder, fsync, rename, fsync of the folder. */
typedef struct pd_atomic pd_atomic;
pudle_status pd_atomic_open(pd_context *ctx, const char *path, pd_atomic **file);
FILE *pd_atomic_stream(pd_atomic *file);
pudle_status pd_atomic_commit(pd_context *ctx, pd_atomic *file); /* frees it; on failure the old file is untouched */
void pd_atomic_abandon(pd_atomic *file);                        /* NULL is legal */

/** One tensor or text entry of a .safetensors file. */
typedef struct pd_tensor { const char *name; pudle_cview array; } pd_tensor;
typedef struct pd_meta { const char *key, *value; } pd_meta;
/** Tensors (F32, F64) and metadata, with "sha256" of header and tensors among the metadata; atomic. */
pudle_status pd_safetensors_write(pd_context *ctx, const char *path, int tensors, const pd_tensor *tensor, int metas, const pd_meta *meta);
typedef struct pd_safetensors pd_safetensors;
/** Read and verify: header, bounds, overlap, digest. @errors IO, CONFIG with what is wrong ("checksum differs: the file is damaged") */
pudle_status pd_safetensors_read(pd_context *ctx, const char *path, pd_safetensors **out);
const char *pd_safetensors_meta(const pd_safetensors *file, const char *key); /* NULL if absent */
const pudle_cview *pd_safetensors_tensor(const pd_safetensors *file, const char *name); /* NULL if absent */
void pd_safetensors_free(pd_safetensors *file);

pudle_status pd_sha256_file(pd_context *ctx, const char *path, char hex[65]);
void pd_sha256(const void *data, size_t bytes, char hex[65]);

/** Host service PUDLE_HOST_ARRAYS. */
extern const pudle_host_arrays pd_host_arrays;

/** 8-bit PNG, channels 1 or 3, rows top to bottom; atomic. */
pudle_status pd_png_write(pd_context *ctx, const char *path, int64_t width, int64_t height, int channels, const uint8_t *pixels);
/** The same with 16 bits. */
pudle_status pd_png_write_deep(pd_context *ctx, const char *path, int64_t width, int64_t height, int channels, const uint16_t *pixels);
/** A value as grey: [-scale, scale] to [1, 255] with 0 at 128 where there are signs, else [0, scale] to [0, 255]; what is not finite is mid-grey. */
uint8_t pd_grey(double value, double scale, bool is_signed);
/** Atoms as tiles: each of `count` tiles is (channels, height, width), scaled to its own range symmetric about mid-grey
 *  (signed) or from 0 (all values >= 0), separated by a 1-pixel line, `columns` per row (0: near square), each pixel enlarged
 *  `zoom` times (0: chosen). tiles is (count, channels*height*width). */
pudle_status pd_mosaic_write(pd_context *ctx, const char *path, const pudle_cview *tiles, int channels, int64_t height, int64_t width,
                             int64_t columns, int64_t zoom);

#endif
