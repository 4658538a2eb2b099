/* Convolutions: cuDNN. */
#include "device_parts.h"

#include <cudnn.h>
#include <stdlib.h>

#define DNN_FUNCTIONS(X)                                                                                                 \
    X(cudnnCreate) X(cudnnDestroy) X(cudnnSetStream) X(cudnnGetVersion) X(cudnnGetErrorString)                           \
    X(cudnnCreateTensorDescriptor) X(cudnnDestroyTensorDescriptor) X(cudnnSetTensor4dDescriptor)                         \
    X(cudnnCreateFilterDescriptor) X(cudnnDestroyFilterDescriptor) X(cudnnSetFilter4dDescriptor)                         \
    X(cudnnCreateConvolutionDescriptor) X(cudnnDestroyConvolutionDescriptor) X(cudnnSetConvolution2dDescriptor)          \
    X(cudnnSetConvolutionMathType) X(cudnnGetConvolutionForwardAlgorithm_v7)                                             \
    X(cudnnGetConvolutionBackwardDataAlgorithm_v7) X(cudnnGetConvolutionBackwardFilterAlgorithm_v7)                      \
    X(cudnnConvolutionForward) X(cudnnConvolutionBackwardData) X(cudnnConvolutionBackwardFilter)

/* A shape of convolutions as cuDNN knows it; kept, for making one takes as long as a launch. */
typedef struct descriptors {
    struct descriptors *next;
    cuda_conv shape;
    cudnnTensorDescriptor_t images, codes;
    cudnnFilterDescriptor_t filters;
    cudnnConvolutionDescriptor_t conv;
    int math; /* what `conv` has */
} descriptors;

struct gpu_dnn {
    cudnnHandle_t handle;
    descriptors *shapes;
};

#define FILE_NAME "libcudnn.so." GPU_TEXT(CUDNN_MAJOR)

GPU_LIBRARY(DNN_FUNCTIONS, "convolutions")

static bool dnn_good(cudnnStatus_t e, const char *call, cuda_fault *why)
{
    return e == CUDNN_STATUS_SUCCESS || gpu_fails(why, PUDLE_ERR_DEVICE, "%s: %s", call, library.cudnnGetErrorString_at(e));
}

#define DNN(call, ...) dnn_good(library.call##_at(__VA_ARGS__), #call, why)

static void describe_free(descriptors *d)
{
    if (d->images)
        (void)library.cudnnDestroyTensorDescriptor_at(d->images);
    if (d->codes)
        (void)library.cudnnDestroyTensorDescriptor_at(d->codes);
    if (d->filters)
        (void)library.cudnnDestroyFilterDescriptor_at(d->filters);
    if (d->conv)
        (void)library.cudnnDestroyConvolutionDescriptor_at(d->conv);
    free(d);
}

static bool rounds_to_tf32(const cuda_gpu *gpu, const cuda_conv *c)
{
    return gpu->tf32 && c->dtype == PUDLE_F32;
}

/* FMA_MATH keeps float at full precision; DEFAULT_MATH lets cuDNN round factors to TF32, and is all that double has. */
static int math_of(const cuda_gpu *gpu, const cuda_conv *c)
{
    return c->dtype == PUDLE_F32 && !gpu->tf32 ? CUDNN_FMA_MATH : CUDNN_DEFAULT_MATH;
}

static bool use_math(descriptors *d, int math, cuda_fault *why)
{
    if (d->math != math && !DNN(cudnnSetConvolutionMathType, d->conv, (cudnnMathType_t)math))
        return false;
    d->math = math;
    return true;
}

static bool describe(const cuda_gpu *gpu, const cuda_conv *c, descriptors *d, cuda_fault *why)
{
    const cudnnDataType_t type = c->dtype == PUDLE_F64 ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT;
    return DNN(cudnnCreateTensorDescriptor, &d->images) && DNN(cudnnCreateTensorDescriptor, &d->codes) &&
           DNN(cudnnCreateFilterDescriptor, &d->filters) && DNN(cudnnCreateConvolutionDescriptor, &d->conv) &&
           DNN(cudnnSetTensor4dDescriptor, d->images, CUDNN_TENSOR_NCHW, type, c->n, c->c, c->h, c->w) &&
           DNN(cudnnSetTensor4dDescriptor, d->codes, CUDNN_TENSOR_NCHW, type, c->n, c->k, c->p, c->q) &&
           DNN(cudnnSetFilter4dDescriptor, d->filters, type, CUDNN_TENSOR_NCHW, c->k, c->c, c->r, c->s) &&
           DNN(cudnnSetConvolution2dDescriptor, d->conv, 0, 0, c->stride[0], c->stride[1], 1, 1, CUDNN_CROSS_CORRELATION, type) &&
           use_math(d, math_of(gpu, c), why);
}

static bool same_shape(const cuda_conv *x, const cuda_conv *y)
{
    return x->dtype == y->dtype && x->n == y->n && x->c == y->c && x->h == y->h && x->w == y->w && x->k == y->k && x->r == y->r && x->s == y->s &&
           x->p == y->p && x->q == y->q && x->stride[0] == y->stride[0] && x->stride[1] == y->stride[1];
}

/* NULL with a fault where cuDNN will not have it. */
static descriptors *described(cuda_gpu *gpu, const cuda_conv *c, cuda_fault *why)
{
    descriptors *d = gpu->dnn->shapes;
    while (d && !same_shape(&d->shape, c))
        d = d->next;
    if (d)
        return d;
    if (!(d = calloc(1, sizeof *d))) { /* math 0, as a new descriptor's is: DEFAULT_MATH */
        gpu_fails(why, PUDLE_ERR_NOMEM, "out of memory");
        return NULL;
    }
    if (!describe(gpu, c, d, why)) {
        describe_free(d);
        return NULL;
    }
    d->shape = *c;
    d->next = gpu->dnn->shapes;
    return gpu->dnn->shapes = d;
}

static bool dnn_ready(cuda_gpu *gpu, cuda_fault *why)
{
    if (gpu->dnn)
        return true;
    if (!open_library(why))
        return false;
    if (!(gpu->dnn = calloc(1, sizeof *gpu->dnn)))
        return gpu_fails(why, PUDLE_ERR_NOMEM, "out of memory");
    if (DNN(cudnnCreate, &gpu->dnn->handle) && DNN(cudnnSetStream, gpu->dnn->handle, gpu->stream))
        return true;
    gpu_dnn_close(gpu);
    return false;
}

void gpu_dnn_close(cuda_gpu *gpu)
{
    struct gpu_dnn *const n = gpu->dnn;
    if (!n)
        return;
    for (descriptors *d = n->shapes, *next; d; d = next) {
        next = d->next;
        describe_free(d);
    }
    if (n->handle)
        (void)library.cudnnDestroy_at(n->handle);
    free(n);
    gpu->dnn = NULL;
}

bool gpu_dnn_version(int version[3])
{
    cuda_fault why;
    const bool good = open_library(&why);
    const int v = good ? (int)library.cudnnGetVersion_at() : 0;
    version[0] = v / 10000;
    version[1] = v / 100 % 100;
    version[2] = v % 100;
    return good;
}

/* Winograd's products of small filters lose digits that float has, and what a Fourier transform loses is relative to the largest entry, of
 * which small ones take all; who wants speed for digits sets tf32. */
static bool exact(int which, int algorithm)
{
    switch (which) { /* products, explicit or implicit, come before transforms */
    case CUDA_FORWARD: return algorithm < CUDNN_CONVOLUTION_FWD_ALGO_FFT;
    case CUDA_BACKWARD_DATA: return algorithm < CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT;
    default: return algorithm < CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT || algorithm == CUDNN_CONVOLUTION_BWD_FILTER_ALGO_3;
    }
}

/* With tf32 the arithmetic that the algorithm is meant for; else what digits ask for. */
static cuda_algorithm offer(const cuda_gpu *gpu, const cuda_conv *c, int which, int id, bool can, size_t workspace, bool deterministic, cudnnMathType_t math)
{
    static const size_t absurd = (size_t)1 << 40; /* a size that no algorithm means */
    const bool loose = rounds_to_tf32(gpu, c), tensor = math == CUDNN_TENSOR_OP_MATH || math == CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION;
    return (cuda_algorithm){ id, workspace, can && workspace < absurd && (loose || (exact(which, id) && (c->dtype == PUDLE_F64 || !tensor))),
                             deterministic, loose ? (int)math : math_of(gpu, c) };
}

#define PERF_LIST(TYPE, CALL, ...)                                                                                       \
    {                                                                                                                    \
        TYPE perf[16];                                                                                                   \
        int got = 0;                                                                                                     \
        good = DNN(CALL, gpu->dnn->handle, __VA_ARGS__, 16, &got, perf);                                                 \
        for (int i = 0; good && i < got && *count < room; i++)                                                           \
            list[(*count)++] = offer(gpu, c, which, (int)perf[i].algo, perf[i].status == CUDNN_STATUS_SUCCESS, perf[i].memory, \
                                     perf[i].determinism == CUDNN_DETERMINISTIC, perf[i].mathType);                      \
    }

bool gpu_conv_algorithms(cuda_gpu *gpu, const cuda_conv *c, int which, cuda_algorithm *list, int room, int *count, cuda_fault *why)
{
    *count = 0;
    if (!dnn_ready(gpu, why))
        return false;
    descriptors *d = described(gpu, c, why);
    bool good = d && use_math(d, math_of(gpu, c), why);
    if (good && which == CUDA_FORWARD)
        PERF_LIST(cudnnConvolutionFwdAlgoPerf_t, cudnnGetConvolutionForwardAlgorithm_v7, d->images, d->filters, d->conv, d->codes)
    else if (good && which == CUDA_BACKWARD_DATA)
        PERF_LIST(cudnnConvolutionBwdDataAlgoPerf_t, cudnnGetConvolutionBackwardDataAlgorithm_v7, d->filters, d->codes, d->conv, d->images)
    else if (good)
        PERF_LIST(cudnnConvolutionBwdFilterAlgoPerf_t, cudnnGetConvolutionBackwardFilterAlgorithm_v7, d->images, d->codes, d->conv, d->filters)
    return good;
}

bool gpu_conv(cuda_gpu *gpu, const cuda_conv *c, const cuda_conv_call *k, cuda_fault *why)
{
    const float a32 = (float)k->a, b32 = (float)k->b;
    const void *a = c->dtype == PUDLE_F64 ? (const void *)&k->a : &a32, *b = c->dtype == PUDLE_F64 ? (const void *)&k->b : &b32;
    descriptors *d = dnn_ready(gpu, why) ? described(gpu, c, why) : NULL;
    if (!d || !use_math(d, k->math, why))
        return false;
    switch (k->which) {
    case CUDA_FORWARD:
        return DNN(cudnnConvolutionForward, gpu->dnn->handle, a, d->images, k->images, d->filters, k->filters, d->conv,
                   (cudnnConvolutionFwdAlgo_t)k->algorithm, k->workspace, k->workspace_bytes, b, d->codes, k->codes);
    case CUDA_BACKWARD_DATA:
        return DNN(cudnnConvolutionBackwardData, gpu->dnn->handle, a, d->filters, k->filters, d->codes, k->codes, d->conv,
                   (cudnnConvolutionBwdDataAlgo_t)k->algorithm, k->workspace, k->workspace_bytes, b, d->images, k->images);
    default:
        return DNN(cudnnConvolutionBackwardFilter, gpu->dnn->handle, a, d->images, k->images, d->codes, k->codes, d->conv,
                   (cudnnConvolutionBwdFilterAlgo_t)k->algorithm, k->workspace, k->workspace_bytes, b, d->filters, k->filters);
    }
}
