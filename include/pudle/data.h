/* pudle/data.h - data sources, kind PUDLE_KIND_DATA.
 *
 * A source is a pure function of (params, request): the same request gives the same samples, on any thread and after any
 * other request. Shuffling belongs to the core. */
#ifndef PUDLE_DATA_H
#define PUDLE_DATA_H

#include <pudle/base.h>

enum {
    PUDLE_DATA_EPOCH_FREE = 1 << 0 /* samples do not depend on request.epoch, so they may be kept */
};

enum { PUDLE_SPLIT_TRAIN = 0, PUDLE_SPLIT_TEST = 1 };

typedef struct pudle_data_info {
    uint32_t size;
    int32_t rank;                    /* of one sample: 1 for vectors, 3 for (channels, height, width) */
    int64_t samples;
    int64_t shape[PUDLE_MAX_RANK];   /* of one sample */
    int64_t target_shape[PUDLE_MAX_RANK]; /* of one target, same rank; equal to shape unless the source says otherwise */
    int32_t has_target;              /* 1: the target differs from the input (supervised, denoising) */
    int32_t reserved;                /* 0; no padding at the end, so that the struct can grow */
} pudle_data_info;

typedef struct pudle_data_request {
    uint32_t size;
    int32_t split;
    uint64_t seed;  /* of the run: for noise, crops, flips that are drawn anew every epoch */
    uint64_t epoch;
    const int64_t *index; /* count sample numbers, each in [0, samples) */
    int64_t count;
    const pudle_view *x; /* (count, shape...), contiguous, f32 or f64: the caller's choice */
    const pudle_view *y; /* targets, or NULL when not wanted; filled only if has_target */
} pudle_data_request;

typedef struct pudle_data_ops {
    uint32_t size, flags;
    /** @errors NOTFOUND when the source has no such split */
    pudle_status (*describe)(const pudle_host *host, const void *self, int32_t split, pudle_data_info *info);
    /** @errors ARG for an index outside [0, samples) @thread re-entrant */
    pudle_status (*read)(const pudle_host *host, const void *self, const pudle_data_request *request);
} pudle_data_ops;

/** Extension of sources that know what made their data (get_ext): recovery metrics and oracle gradients need it. Re-entrant, as read is. */
#define PUDLE_DATA_TRUTH "pudle.data.truth/1"
typedef struct pudle_data_truth {
    uint32_t size, flags;
    int64_t (*atoms)(const void *self);
    pudle_status (*dictionary)(const void *self, const pudle_view *d); /* (m, p), f32 or f64; m the entries of D z */
    pudle_status (*codes)(const pudle_host *host, const void *self, const pudle_data_request *request); /* request.x is (count, p) */
    /** Since 1.1. m, where samples are measurements of D z, by a matrix that the user knows; 0 where they are D z. Optional: absent means 0. */
    int64_t (*measured)(const void *self);
    /** Since 1.1. Where the dictionary consists of filters: the number of axes of one, (channels, length) or (channels, height, width), their extents into
     *  shape, and the distance of neighbouring places along each axis but the channels' into stride. Then samples have as many axes, d of `dictionary` is
     *  (atoms, extents), and x of `codes` (count, atoms * places), D z being what backend.h calls conv_apply. 0: it is a matrix. Optional: absent means 0. */
    int32_t (*filters)(const void *self, int64_t shape[3], int64_t stride[2]);
} pudle_data_truth;

/** Extension of sources whose samples belong to classes (get_ext): reports say which, and tell classes apart. Re-entrant, as read is.
 *  labels: request->count numbers, each at least 0, or PUDLE_NO_LABEL; request->x and y are NULL.
 *  @errors ARG for an index outside [0, samples), NOTFOUND when the source has no such split */
#define PUDLE_DATA_LABELS "pudle.data.labels/1"
#define PUDLE_NO_LABEL ((int64_t)-1)
typedef struct pudle_data_labels {
    uint32_t size, flags;
    pudle_status (*labels)(const pudle_host *host, const void *self, const pudle_data_request *request, int64_t *labels);
} pudle_data_labels;

/** Host service: numeric arrays from NumPy files (.npy, and arrays inside .npz as "file.npz:name"). All integer, boolean
 *  and floating element types of NumPy up to 64 bits are converted; Fortran order and either byte order are understood. */
#define PUDLE_HOST_ARRAYS "pudle.host.arrays/1"
typedef struct pudle_array_file pudle_array_file;
typedef struct pudle_host_arrays {
    uint32_t size, flags;
    pudle_status (*open)(void *ctx, const char *path, pudle_array_file **file); /* ctx of pudle_host; fails through host->fail */
    int32_t (*rank)(const pudle_array_file *file);
    int64_t (*extent)(const pudle_array_file *file, int32_t axis);
    /** Copy entry `row` of the first axis into out, converted to dtype. @thread re-entrant */
    pudle_status (*read_row)(void *ctx, const pudle_array_file *file, int64_t row, int32_t dtype, void *out);
    void (*close)(pudle_array_file *file); /* NULL is legal */
} pudle_host_arrays;

#endif
