/* Matrix products: cuBLAS. */
#include "device_parts.h"

/* The workspace: fixed, as it is part of what makes results repeat, and must not move under a recording. Products of the sizes met here that are
 * cut along their inner dimension leave less than this in it. */
enum { WORKSPACE = 8 << 20 };

#define BLAS_FUNCTIONS(X)                                                                                                \
    X(cublasCreate_v2) X(cublasDestroy_v2) X(cublasSetStream_v2) X(cublasSetWorkspace_v2) X(cublasGetVersion_v2)         \
    X(cublasGemmEx_64) X(cublasGetStatusString)

#define FILE_NAME "libcublas.so." GPU_TEXT(CUBLAS_VER_MAJOR)

GPU_LIBRARY(BLAS_FUNCTIONS, "matrix products")

static bool blas_good(cublasStatus_t e, const char *call, cuda_fault *why)
{
    return e == CUBLAS_STATUS_SUCCESS ||
           gpu_fails(why, e == CUBLAS_STATUS_ALLOC_FAILED ? PUDLE_ERR_NOMEM : PUDLE_ERR_DEVICE, "%s: %s", call, library.cublasGetStatusString_at(e));
}

#define BLAS(call, ...) blas_good(library.call##_at(__VA_ARGS__), #call, why)

bool gpu_blas_open(cuda_gpu *gpu, cuda_fault *why)
{
    return open_library(why) && BLAS(cublasCreate_v2, &gpu->blas) && BLAS(cublasSetStream_v2, gpu->blas, gpu->stream);
}

void gpu_blas_close(cuda_gpu *gpu)
{
    if (gpu->blas)
        (void)library.cublasDestroy_v2_at(gpu->blas);
}

bool gpu_blas_version(cuda_gpu *gpu, int version[3])
{
    int v = 0;
    const bool good = library.cublasGetVersion_v2_at(gpu->blas, &v) == CUBLAS_STATUS_SUCCESS;
    version[0] = v / 10000;
    version[1] = v / 100 % 100;
    version[2] = v % 100;
    return good;
}

/* The first product of a kind is never in a recording, which could not take memory. */
static bool blas_ready(cuda_gpu *gpu, cuda_fault *why)
{
    return gpu->workspace ||
           (gpu_alloc(gpu, WORKSPACE, &gpu->workspace, why) && BLAS(cublasSetWorkspace_v2, gpu->blas, gpu->workspace, WORKSPACE));
}

bool gpu_workspace(cuda_gpu *gpu, void **memory, size_t *bytes, cuda_fault *why)
{
    if (!blas_ready(gpu, why))
        return false;
    *memory = gpu->workspace;
    *bytes = WORKSPACE;
    return true;
}

bool gpu_gemm(cuda_gpu *gpu, const cuda_gemm *c, cuda_fault *why)
{
    if (!blas_ready(gpu, why))
        return false;
    const bool wide = c->dtype == PUDLE_F64;
    const float a32 = (float)c->a, b32 = (float)c->b;
    const cudaDataType type = wide ? CUDA_R_64F : CUDA_R_32F;
    const cublasComputeType_t compute = wide ? CUBLAS_COMPUTE_64F : gpu->tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    return BLAS(cublasGemmEx_64, gpu->blas, c->trans_a ? CUBLAS_OP_T : CUBLAS_OP_N, c->trans_b ? CUBLAS_OP_T : CUBLAS_OP_N, c->m, c->n, c->k,
                wide ? (const void *)&c->a : &a32, c->A, type, c->lda, c->B, type, c->ldb, wide ? (const void *)&c->b : &b32, c->C, type, c->ldc,
                compute, CUBLAS_GEMM_DEFAULT);
}
