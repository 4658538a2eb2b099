/* plugins/backend/cuda/device.h - every call to CUDA and its libraries, as one table.
 *
 * device.c fills it from the CUDA runtime, cuBLAS, cuDNN and NVRTC. tests/cuda/fake.c fills it with plain loops in host memory,
 * which lets the conformance suite run all else of this backend on a machine without a GPU. So the table stays thin: what is
 * decided (shapes, leading dimensions, algorithms, grids) is decided above it. No header of CUDA is needed above it either.
 *
 * A function that fails returns false and says why in `fault`: which CUDA call, and in its own words. Work is queued on one stream
 * per device; download, sync and await wait for it. */
#ifndef CUDA_DEVICE_H
#define CUDA_DEVICE_H

#include <pudle/plugin.h>

typedef struct cuda_fault {
    pudle_status status; /* NOMEM, DEVICE or UNSUPPORTED */
    char text[1200];
} cuda_fault;

typedef struct cuda_gpu cuda_gpu;       /* an open device: stream, library handles */
typedef struct cuda_module cuda_module; /* loaded kernels */
typedef struct cuda_kernel cuda_kernel;
typedef struct cuda_graph cuda_graph;   /* recorded launches */
typedef struct cuda_mark cuda_mark;     /* a place in the queue */

typedef struct cuda_facts {
    char name[256];
    int major, minor;      /* compute capability */
    int multiprocessors;
    int driver, runtime;   /* 13000: 13.0 */
    size_t memory;
    bool tf32;             /* as asked for */
} cuda_facts;

/** C (m, n) <- a op(A) (m, k) op(B) (k, n) + b C, column major, as cuBLAS has it. */
typedef struct cuda_gemm {
    int32_t dtype;
    bool trans_a, trans_b;
    int64_t m, n, k, lda, ldb, ldc;
    double a, b;
    const void *A, *B;
    void *C;
} cuda_gemm;

/** Packed arrays of one call: images (n, c, h, w), filters (k, c, r, s), codes (n, k, p, q); correlation, no padding. */
typedef struct cuda_conv {
    int32_t dtype;
    int n, c, h, w, k, r, s, p, q, stride[2];
} cuda_conv;
enum { CUDA_FORWARD, CUDA_BACKWARD_DATA, CUDA_BACKWARD_FILTER };
/** codes <- a images * filters + b codes; images <- a codes *' filters + b images; filters <- a images *' codes + b filters. */
typedef struct cuda_conv_call {
    int which, algorithm, math; /* as cuda_algorithm has them */
    double a, b;
    void *images, *filters, *codes;
    void *workspace;
    size_t workspace_bytes;
} cuda_conv_call;
typedef struct cuda_algorithm {
    int id;
    size_t workspace;
    bool good, deterministic; /* good: it can do this shape */
    int math; /* the arithmetic that this was said of, in the library's numbers */
} cuda_algorithm;

typedef struct cuda_api {
    /** @errors DEVICE: no driver, no device, no such device, a library that is not there */
    bool (*open)(int64_t index, bool tf32, cuda_gpu **gpu, cuda_facts *facts, cuda_fault *why);
    void (*close)(cuda_gpu *gpu);
    /** "cuBLAS 13.0.2" and the like, one a line; libraries that are used only sometimes are loaded for it. */
    void (*libraries)(cuda_gpu *gpu, char *text, size_t size);
    /** Before calls from a thread that may be another than before. */
    bool (*bind)(cuda_gpu *gpu, cuda_fault *why);
    bool (*sync)(cuda_gpu *gpu, cuda_fault *why);

    bool (*alloc)(cuda_gpu *gpu, size_t bytes, void **memory, cuda_fault *why);
    /** Addresses that memory of the device comes behind where they are first touched, which peak knows nothing of; where the system cannot do that, `*whole` and memory as
     *  from alloc. @errors NOMEM if the device has not so much free: it would be the host's then, and slow */
    bool (*reserve)(cuda_gpu *gpu, size_t bytes, void **memory, bool *whole, cuda_fault *why);
    void (*free)(cuda_gpu *gpu, void *memory);
    /** The most bytes that were given out at one time, the workspace of matrix products included. */
    size_t (*peak)(const cuda_gpu *gpu);
    bool (*pin)(cuda_gpu *gpu, size_t bytes, void **host, cuda_fault *why); /* host memory that a device copies to at speed */
    void (*unpin)(cuda_gpu *gpu, void *host);
    /** Queue a copy from pinned memory, which must stay as it is until a mark that follows has come by. */
    bool (*upload)(cuda_gpu *gpu, void *to, const void *pinned, size_t bytes, cuda_fault *why);
    /** Mark what is queued so far; *mark NULL: make one. */
    bool (*mark)(cuda_gpu *gpu, cuda_mark **mark, cuda_fault *why);
    bool (*await)(cuda_gpu *gpu, cuda_mark *mark, cuda_fault *why);
    void (*unmark)(cuda_gpu *gpu, cuda_mark *mark);
    bool (*download)(cuda_gpu *gpu, void *host, const void *from, size_t bytes, cuda_fault *why);
    /** Rows on the device, `pitch` bytes apart. */
    bool (*copy)(cuda_gpu *gpu, void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t bytes, size_t rows, cuda_fault *why);

    /** Kernels of a cubin, fatbin or PTX. */
    bool (*load)(cuda_gpu *gpu, const void *image, size_t bytes, cuda_module **module, cuda_fault *why);
    void (*unload)(cuda_gpu *gpu, cuda_module *module);
    bool (*find)(cuda_gpu *gpu, cuda_module *module, const char *name, cuda_kernel **kernel, cuda_fault *why);
    bool (*launch)(cuda_gpu *gpu, cuda_kernel *kernel, int64_t blocks, int threads, void **arguments, cuda_fault *why);
    /** The kernels of this backend, as nvcc compiled them. */
    bool (*image)(const void **image, size_t *bytes, cuda_fault *why);

    /** Versions (10 * major + minor) that the run-time compiler makes code for, ascending; and a text that names the compiler. */
    bool (*targets)(cuda_gpu *gpu, int *list, int room, int *count, char *compiler, size_t size, cuda_fault *why);
    /** With the options CUDA_COMPILE. @param arch "sm_90" for a cubin, "compute_90" for PTX.  image: from malloc */
    bool (*compile)(cuda_gpu *gpu, const char *text, const char *name, const char *arch, void **image, size_t *bytes, cuda_fault *why);

    bool (*gemm)(cuda_gpu *gpu, const cuda_gemm *call, cuda_fault *why);
    /** The workspace of matrix products, for others to use between two of them, which leave anything in it. It stays where it is, and is not to be freed. */
    bool (*workspace)(cuda_gpu *gpu, void **memory, size_t *bytes, cuda_fault *why);
    /** Algorithms for a shape, the one thought best first. */
    bool (*conv_algorithms)(cuda_gpu *gpu, const cuda_conv *conv, int which, cuda_algorithm *list, int room, int *count, cuda_fault *why);
    bool (*conv)(cuda_gpu *gpu, const cuda_conv *conv, const cuda_conv_call *call, cuda_fault *why);

    /** What is queued between begin and end is recorded and not run; replay queues it. Nothing may wait, allocate or free in between. */
    bool (*record_begin)(cuda_gpu *gpu, cuda_fault *why);
    bool (*record_end)(cuda_gpu *gpu, cuda_graph **graph, cuda_fault *why); /* graph NULL: throw it away */
    bool (*replay)(cuda_gpu *gpu, cuda_graph *graph, cuda_fault *why);
    void (*forget)(cuda_gpu *gpu, cuda_graph *graph);
} cuda_api;

extern const cuda_api cuda;

/** What the run-time compiler is told beside the target; part of the key of what is kept on disk. */
#define CUDA_COMPILE "--std=c++17"

#endif
