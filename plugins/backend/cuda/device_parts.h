/* The device in parts: device.c has the table, the CUDA runtime, memory and recordings; device_blas.c, device_dnn.c and device_compile.c each a library that is opened
 * when it is first needed. */
#ifndef CUDA_DEVICE_PARTS_H
#define CUDA_DEVICE_PARTS_H

#include "device.h"

#include <cublas_v2.h>
#include <cuda_runtime_api.h>

/** Memory of the device that is held. */
typedef struct gpu_piece {
    struct gpu_piece *next;
    void *at;
    size_t bytes;
} gpu_piece;

struct cuda_gpu {
    int index;
    bool tf32;
    cudaStream_t stream;
    cublasHandle_t blas;
    void *workspace;     /* of cuBLAS; NULL until a product is asked for */
    struct gpu_dnn *dnn; /* NULL until a convolution is asked for */
    gpu_piece *pieces;
    size_t held, most;
};

/** false, with the reason. */
PUDLE_PRINTF(3, 4) bool gpu_fails(cuda_fault *why, pudle_status status, const char *format, ...);

/** A library by its file name, where the loader looks and then where the toolkit was when this was built; NULL, with the reason. */
void *gpu_library(const char *file, const char *purpose, cuda_fault *why);
/** The address of a function into a pointer to it. */
bool gpu_symbol(void *lib, const char *file, const char *name, void *function, cuda_fault *why);
/** A library that is opened once, by open_library(why): library.f_at for each name f of the list FUNCTIONS. FILE_NAME is a macro of the file that says this. */
#define GPU_POINTER(f) __typeof__(&(f)) f##_at;
#define GPU_FIND(f) &&gpu_symbol(at, FILE_NAME, #f, &library.f##_at, why)
#define GPU_LIBRARY(FUNCTIONS, purpose)                                              \
    static struct { bool open; FUNCTIONS(GPU_POINTER) } library;                     \
    static bool open_library(cuda_fault *why)                                        \
    {                                                                                \
        void *at = library.open ? NULL : gpu_library(FILE_NAME, purpose, why);       \
        if (!library.open)                                                           \
            library.open = at FUNCTIONS(GPU_FIND);                                   \
        return library.open;                                                         \
    }
#define GPU_TEXT_OF(x) #x
#define GPU_TEXT(x) GPU_TEXT_OF(x)

bool gpu_alloc(cuda_gpu *gpu, size_t bytes, void **memory, cuda_fault *why);

/* cuBLAS. Versions are three numbers; false: the library cannot be loaded. */
bool gpu_blas_open(cuda_gpu *gpu, cuda_fault *why);
void gpu_blas_close(cuda_gpu *gpu);
bool gpu_blas_version(cuda_gpu *gpu, int version[3]);
bool gpu_gemm(cuda_gpu *gpu, const cuda_gemm *c, cuda_fault *why);
bool gpu_workspace(cuda_gpu *gpu, void **memory, size_t *bytes, cuda_fault *why);

/* cuDNN */
void gpu_dnn_close(cuda_gpu *gpu);
bool gpu_dnn_version(int version[3]);
bool gpu_conv_algorithms(cuda_gpu *gpu, const cuda_conv *c, int which, cuda_algorithm *list, int room, int *count, cuda_fault *why);
bool gpu_conv(cuda_gpu *gpu, const cuda_conv *c, const cuda_conv_call *k, cuda_fault *why);

/* NVRTC */
bool gpu_compiler_version(int version[3]);
bool gpu_targets(cuda_gpu *gpu, int *list, int room, int *count, char *compiler, size_t size, cuda_fault *why);
bool gpu_compile(cuda_gpu *gpu, const char *text, const char *name, const char *arch, void **image, size_t *bytes, cuda_fault *why);

#endif
