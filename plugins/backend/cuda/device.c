/* The table of device.h over the CUDA runtime, which is linked statically, and cuBLAS, cuDNN and NVRTC, which are opened when they
 * are first needed: half a gigabyte of code that `pudle plugins list` need not wait for, and a plugin that loads on any machine. */
#include "device.h"

#include <cublas_v2.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>
#include <dlfcn.h>
#include <nvrtc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef PD_CUDA_LIB
#define PD_CUDA_LIB "/usr/local/cuda/lib64"
#endif

/* Of cuBLAS: fixed, as it is part of what makes results repeat, and must not move under a recording. Products of the sizes met here that are
 * cut along their inner dimension leave less than this in it. */
enum { WORKSPACE = 8 << 20 };

/* Memory of the device that is held. */
typedef struct piece {
    struct piece *next;
    void *at;
    size_t bytes;
} piece;

/* A shape of convolutions as cuDNN knows it; kept, for making one takes as long as a launch. */
typedef struct descriptors {
    struct descriptors *next;
    cuda_conv shape;
    cudnnTensorDescriptor_t images, codes;
    cudnnFilterDescriptor_t filters;
    cudnnConvolutionDescriptor_t conv;
    int math; /* what `conv` has */
} descriptors;

struct cuda_gpu {
    int index;
    bool tf32;
    cudaStream_t stream;
    cublasHandle_t blas;
    cudnnHandle_t dnn; /* NULL until a convolution is asked for */
    descriptors *shapes;
    void *workspace; /* NULL until a product is asked for */
    piece *pieces;
    size_t held, most;
};

static PUDLE_PRINTF(3, 4) bool fails(cuda_fault *why, pudle_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    why->status = status;
    vsnprintf(why->text, sizeof why->text, format, args);
    va_end(args);
    return false;
}

static bool runtime_good(cudaError_t e, const char *call, cuda_fault *why)
{
    if (e == cudaSuccess)
        return true;
    (void)cudaGetLastError(); /* an error that does not stick is told once */
    return fails(why, e == cudaErrorMemoryAllocation ? PUDLE_ERR_NOMEM : PUDLE_ERR_DEVICE, "%s: %s (%s)", call, cudaGetErrorString(e),
                 cudaGetErrorName(e));
}
#define RUN(call, ...) runtime_good(call(__VA_ARGS__), #call, why)

/* --------------------------------------------------------------- libraries */

#define BLAS_FUNCTIONS(X)                                                                                                \
    X(cublasCreate_v2) X(cublasDestroy_v2) X(cublasSetStream_v2) X(cublasSetWorkspace_v2) X(cublasGetVersion_v2)         \
    X(cublasGemmEx_64) X(cublasGetStatusString)
#define DNN_FUNCTIONS(X)                                                                                                 \
    X(cudnnCreate) X(cudnnDestroy) X(cudnnSetStream) X(cudnnGetVersion) X(cudnnGetErrorString)                           \
    X(cudnnCreateTensorDescriptor) X(cudnnDestroyTensorDescriptor) X(cudnnSetTensor4dDescriptor)                         \
    X(cudnnCreateFilterDescriptor) X(cudnnDestroyFilterDescriptor) X(cudnnSetFilter4dDescriptor)                         \
    X(cudnnCreateConvolutionDescriptor) X(cudnnDestroyConvolutionDescriptor) X(cudnnSetConvolution2dDescriptor)          \
    X(cudnnSetConvolutionMathType) X(cudnnGetConvolutionForwardAlgorithm_v7)                                             \
    X(cudnnGetConvolutionBackwardDataAlgorithm_v7) X(cudnnGetConvolutionBackwardFilterAlgorithm_v7)                      \
    X(cudnnConvolutionForward) X(cudnnConvolutionBackwardData) X(cudnnConvolutionBackwardFilter)
#define RTC_FUNCTIONS(X)                                                                                                 \
    X(nvrtcVersion) X(nvrtcGetNumSupportedArchs) X(nvrtcGetSupportedArchs) X(nvrtcCreateProgram) X(nvrtcDestroyProgram)  \
    X(nvrtcCompileProgram) X(nvrtcGetProgramLogSize) X(nvrtcGetProgramLog) X(nvrtcGetCUBINSize) X(nvrtcGetCUBIN)         \
    X(nvrtcGetPTXSize) X(nvrtcGetPTX) X(nvrtcGetErrorString)

#define POINTER(f) __typeof__(&(f)) f##_at;
static struct { bool open; BLAS_FUNCTIONS(POINTER) } blas;
static struct { bool open; DNN_FUNCTIONS(POINTER) } dnn;
static struct { bool open; RTC_FUNCTIONS(POINTER) } rtc;

/* A library by its file name, where the loader looks and then where the toolkit was when this was built. */
static void *library(const char *file, const char *purpose, cuda_fault *why)
{
    char path[4096], first[600] = "";
    void *at = dlopen(file, RTLD_LAZY | RTLD_LOCAL);
    if (at)
        return at;
    snprintf(first, sizeof first, "%s", dlerror());
    snprintf(path, sizeof path, "%s/%s", PD_CUDA_LIB, file);
    if (!(at = dlopen(path, RTLD_LAZY | RTLD_LOCAL)))
        fails(why, PUDLE_ERR_DEVICE, "%s, for %s, cannot be loaded: %s; install it, or put its folder into LD_LIBRARY_PATH", file, purpose, first);
    return at;
}

/* A function pointer out of a data pointer, which ISO C has no cast for. */
static bool symbol(void *lib, const char *file, const char *name, void *function, cuda_fault *why)
{
    void *at = dlsym(lib, name);
    memcpy(function, &at, sizeof at);
    return at || fails(why, PUDLE_ERR_DEVICE, "%s has no %s: it is of another version than the one this backend was built with", file, name);
}

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)
#define BLAS_FILE "libcublas.so." TEXT(CUBLAS_VER_MAJOR)
#define DNN_FILE "libcudnn.so." TEXT(CUDNN_MAJOR)
#define RTC_FILE "libnvrtc.so." PD_NVRTC_MAJOR
#ifndef PD_NVRTC_MAJOR
#define PD_NVRTC_MAJOR TEXT(CUBLAS_VER_MAJOR) /* of one toolkit */
#endif

static bool open_blas(cuda_fault *why)
{
    void *lib = blas.open ? NULL : library(BLAS_FILE, "matrix products", why);
#define FIND(f) &&symbol(lib, BLAS_FILE, #f, &blas.f##_at, why)
    if (!blas.open)
        blas.open = lib BLAS_FUNCTIONS(FIND);
#undef FIND
    return blas.open;
}

static bool open_dnn(cuda_fault *why)
{
    void *lib = dnn.open ? NULL : library(DNN_FILE, "convolutions", why);
#define FIND(f) &&symbol(lib, DNN_FILE, #f, &dnn.f##_at, why)
    if (!dnn.open)
        dnn.open = lib DNN_FUNCTIONS(FIND);
#undef FIND
    return dnn.open;
}

static bool open_rtc(cuda_fault *why)
{
    void *lib = rtc.open ? NULL : library(RTC_FILE, "the kernels of prox and loss plugins", why);
#define FIND(f) &&symbol(lib, RTC_FILE, #f, &rtc.f##_at, why)
    if (!rtc.open)
        rtc.open = lib RTC_FUNCTIONS(FIND);
#undef FIND
    return rtc.open;
}

static bool blas_good(cublasStatus_t e, const char *call, cuda_fault *why)
{
    return e == CUBLAS_STATUS_SUCCESS ||
           fails(why, e == CUBLAS_STATUS_ALLOC_FAILED ? PUDLE_ERR_NOMEM : PUDLE_ERR_DEVICE, "%s: %s", call, blas.cublasGetStatusString_at(e));
}

static bool dnn_good(cudnnStatus_t e, const char *call, cuda_fault *why)
{
    return e == CUDNN_STATUS_SUCCESS || fails(why, PUDLE_ERR_DEVICE, "%s: %s", call, dnn.cudnnGetErrorString_at(e));
}

static bool rtc_good(nvrtcResult e, const char *call, cuda_fault *why)
{
    return e == NVRTC_SUCCESS || fails(why, PUDLE_ERR_DEVICE, "%s: %s", call, rtc.nvrtcGetErrorString_at(e));
}
#define BLAS(call, ...) blas_good(blas.call##_at(__VA_ARGS__), #call, why)
#define DNN(call, ...) dnn_good(dnn.call##_at(__VA_ARGS__), #call, why)
#define RTC(call, ...) rtc_good(rtc.call##_at(__VA_ARGS__), #call, why)

/* -------------------------------------------------------------------- life */

static void describe_free(descriptors *d);

static void gpu_close(cuda_gpu *gpu)
{
    if (!gpu)
        return;
    (void)cudaSetDevice(gpu->index);
    for (descriptors *d = gpu->shapes, *next; d; d = next) {
        next = d->next;
        describe_free(d);
    }
    if (gpu->dnn)
        (void)dnn.cudnnDestroy_at(gpu->dnn);
    if (gpu->blas)
        (void)blas.cublasDestroy_v2_at(gpu->blas);
    for (piece *p = gpu->pieces, *next; p; p = next) { /* the workspace */
        next = p->next;
        (void)cudaFree(p->at);
        free(p);
    }
    if (gpu->stream)
        (void)cudaStreamDestroy(gpu->stream);
    free(gpu);
}

static bool find_device(int64_t index, cuda_fault *why)
{
    int count = 0, driver = 0;
    (void)cudaDriverGetVersion(&driver); /* 0: none is installed */
    const cudaError_t e = cudaGetDeviceCount(&count);
    if (driver == 0)
        return fails(why, PUDLE_ERR_DEVICE, "no NVIDIA driver is installed, which CUDA %d.%d needs; cudaGetDeviceCount says: %s (%s)",
                     CUDART_VERSION / 1000, CUDART_VERSION / 10 % 100, cudaGetErrorString(e), cudaGetErrorName(e));
    if (e == cudaErrorInsufficientDriver)
        return fails(why, PUDLE_ERR_DEVICE, "the NVIDIA driver is one for CUDA %d.%d and older, and this backend was built with CUDA %d.%d (%s)",
                     driver / 1000, driver / 10 % 100, CUDART_VERSION / 1000, CUDART_VERSION / 10 % 100, cudaGetErrorName(e));
    if (!runtime_good(e, "cudaGetDeviceCount", why))
        return false;
    if (count == 0)
        return fails(why, PUDLE_ERR_DEVICE, "cudaGetDeviceCount finds no device");
    return index < count || fails(why, PUDLE_ERR_DEVICE, "cudaGetDeviceCount finds %d: device 0 to %d", count, count - 1);
}

static bool learn(cuda_gpu *gpu, cuda_facts *facts, cuda_fault *why)
{
    struct cudaDeviceProp p;
    size_t left = 0;
    if (!RUN(cudaGetDeviceProperties, &p, gpu->index) || !RUN(cudaDriverGetVersion, &facts->driver) ||
        !RUN(cudaRuntimeGetVersion, &facts->runtime) || !RUN(cudaMemGetInfo, &left, &facts->memory))
        return false;
    snprintf(facts->name, sizeof facts->name, "%s", p.name);
    facts->major = p.major;
    facts->minor = p.minor;
    facts->multiprocessors = p.multiProcessorCount;
    facts->tf32 = gpu->tf32;
    return true;
}

static bool gpu_open(int64_t index, bool tf32, cuda_gpu **out, cuda_facts *facts, cuda_fault *why)
{
    if (!find_device(index, why) || !open_blas(why))
        return false;
    cuda_gpu *gpu = calloc(1, sizeof *gpu);
    if (!gpu)
        return fails(why, PUDLE_ERR_NOMEM, "out of memory");
    gpu->index = (int)index;
    gpu->tf32 = tf32;
    if (RUN(cudaSetDevice, gpu->index) && learn(gpu, facts, why) && RUN(cudaStreamCreateWithFlags, &gpu->stream, cudaStreamNonBlocking) &&
        BLAS(cublasCreate_v2, &gpu->blas) && BLAS(cublasSetStream_v2, gpu->blas, gpu->stream)) {
        *out = gpu;
        return true;
    }
    gpu_close(gpu);
    return false;
}

static void version_line(char *text, size_t size, const char *format, const char *name, int a, int b, int c)
{
    const size_t used = strlen(text);
    snprintf(text + used, size - used, format, used ? "\n" : "", name, a, b, c);
}

static void gpu_libraries(cuda_gpu *gpu, char *text, size_t size)
{
    cuda_fault why;
    int version = 0, major = 0, minor = 0;
    static const char line[] = "%s%s: %d.%d.%d", none[] = "%s%s: cannot be loaded%.0d%.0d%.0d";
    *text = '\0';
    if (blas.cublasGetVersion_v2_at(gpu->blas, &version) == CUBLAS_STATUS_SUCCESS)
        version_line(text, size, line, "cuBLAS", version / 10000, version / 100 % 100, version % 100);
    const bool conv = open_dnn(&why);
    const int v = conv ? (int)dnn.cudnnGetVersion_at() : 0;
    version_line(text, size, conv ? line : none, "cuDNN", v / 10000, v / 100 % 100, v % 100);
    const bool compiler = open_rtc(&why) && rtc.nvrtcVersion_at(&major, &minor) == NVRTC_SUCCESS;
    version_line(text, size, compiler ? line : none, "NVRTC", major, minor, 0);
}

static bool gpu_bind(cuda_gpu *gpu, cuda_fault *why)
{
    return RUN(cudaSetDevice, gpu->index);
}

static bool gpu_sync(cuda_gpu *gpu, cuda_fault *why)
{
    return RUN(cudaStreamSynchronize, gpu->stream);
}

/* ------------------------------------------------------------------ memory */

/* Takes note of memory; counted: of these bytes. */
static bool note_piece(cuda_gpu *gpu, void *at, size_t counted, cuda_fault *why)
{
    piece *p = malloc(sizeof *p);
    if (!p) {
        (void)cudaFree(at);
        return fails(why, PUDLE_ERR_NOMEM, "out of memory on the host");
    }
    *p = (piece){ gpu->pieces, at, counted };
    gpu->pieces = p;
    gpu->held += counted;
    gpu->most = gpu->held > gpu->most ? gpu->held : gpu->most;
    return true;
}

static bool gpu_alloc(cuda_gpu *gpu, size_t bytes, void **memory, cuda_fault *why)
{
    void *at = NULL;
    if (!RUN(cudaMalloc, &at, bytes ? bytes : 1) || !note_piece(gpu, at, bytes, why))
        return false;
    *memory = at;
    return true;
}

/* Managed memory has a page where a kernel first writes to it, and none before, if the device can ask for pages; else it would all be there. Not more of it than the
 * device has free: what does not fit would go to the host and back. */
static bool gpu_reserve(cuda_gpu *gpu, size_t bytes, void **memory, bool *whole, cuda_fault *why)
{
    int pages = 0;
    size_t left = 0, all = 0;
    void *at = NULL;
    if (!RUN(cudaDeviceGetAttribute, &pages, cudaDevAttrConcurrentManagedAccess, gpu->index) || !RUN(cudaMemGetInfo, &left, &all))
        return false;
    if (bytes > left)
        return fails(why, PUDLE_ERR_NOMEM, "%.1f MiB are wanted, and the device has %.1f free", (double)bytes / 1048576, (double)left / 1048576);
    *whole = !pages || cudaMallocManaged(&at, bytes ? bytes : 1, cudaMemAttachGlobal) != cudaSuccess;
    if (*whole) {
        (void)cudaGetLastError();
        return gpu_alloc(gpu, bytes, memory, why);
    }
    *memory = at;
    return note_piece(gpu, at, 0, why);
}

static size_t gpu_peak(const cuda_gpu *gpu)
{
    return gpu->most;
}

/* What is queued may still use it, and cudaFree need not wait. */
static void gpu_free(cuda_gpu *gpu, void *memory)
{
    piece **link = &gpu->pieces;
    while (*link && (*link)->at != memory)
        link = &(*link)->next;
    piece *const p = *link;
    if (!p)
        return;
    *link = p->next;
    gpu->held -= p->bytes;
    free(p);
    (void)cudaStreamSynchronize(gpu->stream);
    (void)cudaFree(memory);
}

static bool gpu_pin(cuda_gpu *gpu, size_t bytes, void **host, cuda_fault *why)
{
    (void)gpu;
    return RUN(cudaMallocHost, host, bytes);
}

static void gpu_unpin(cuda_gpu *gpu, void *host)
{
    (void)gpu;
    (void)cudaFreeHost(host);
}

static bool gpu_upload(cuda_gpu *gpu, void *to, const void *pinned, size_t bytes, cuda_fault *why)
{
    return RUN(cudaMemcpyAsync, to, pinned, bytes, cudaMemcpyHostToDevice, gpu->stream);
}

/* cudaEvent_t is a pointer; cuda_mark stands for what it points to. */
static bool gpu_mark(cuda_gpu *gpu, cuda_mark **mark, cuda_fault *why)
{
    cudaEvent_t event = (cudaEvent_t)(void *)*mark;
    if (!event && !RUN(cudaEventCreateWithFlags, &event, cudaEventDisableTiming))
        return false;
    *mark = (cuda_mark *)(void *)event;
    return RUN(cudaEventRecord, event, gpu->stream);
}

static bool gpu_await(cuda_gpu *gpu, cuda_mark *mark, cuda_fault *why)
{
    (void)gpu;
    return RUN(cudaEventSynchronize, (cudaEvent_t)(void *)mark);
}

static void gpu_unmark(cuda_gpu *gpu, cuda_mark *mark)
{
    (void)gpu;
    (void)cudaEventDestroy((cudaEvent_t)(void *)mark);
}

static bool gpu_download(cuda_gpu *gpu, void *host, const void *from, size_t bytes, cuda_fault *why)
{
    return RUN(cudaMemcpyAsync, host, from, bytes, cudaMemcpyDeviceToHost, gpu->stream) && RUN(cudaStreamSynchronize, gpu->stream);
}

static bool gpu_copy(cuda_gpu *gpu, void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t bytes, size_t rows, cuda_fault *why)
{
    if (rows == 1)
        return RUN(cudaMemcpyAsync, to, from, bytes, cudaMemcpyDeviceToDevice, gpu->stream);
    return RUN(cudaMemcpy2DAsync, to, to_pitch, from, from_pitch, bytes, rows, cudaMemcpyDeviceToDevice, gpu->stream);
}

/* ----------------------------------------------------------------- kernels */

/* cudaLibrary_t and cudaKernel_t are pointers; the names of device.h stand for what they point to. */
static bool gpu_load(cuda_gpu *gpu, const void *image, size_t bytes, cuda_module **module, cuda_fault *why)
{
    cudaLibrary_t lib = NULL;
    (void)gpu, (void)bytes;
    if (!RUN(cudaLibraryLoadData, &lib, image, NULL, NULL, 0, NULL, NULL, 0))
        return false;
    *module = (cuda_module *)(void *)lib;
    return true;
}

static void gpu_unload(cuda_gpu *gpu, cuda_module *module)
{
    (void)gpu;
    (void)cudaLibraryUnload((cudaLibrary_t)(void *)module);
}

static bool gpu_find(cuda_gpu *gpu, cuda_module *module, const char *name, cuda_kernel **kernel, cuda_fault *why)
{
    cudaKernel_t k = NULL;
    (void)gpu;
    if (!RUN(cudaLibraryGetKernel, &k, (cudaLibrary_t)(void *)module, name))
        return false;
    *kernel = (cuda_kernel *)(void *)k;
    return true;
}

static bool gpu_launch(cuda_gpu *gpu, cuda_kernel *kernel, int64_t blocks, int threads, void **arguments, cuda_fault *why)
{
    const struct dim3 grid = { (unsigned)blocks, 1, 1 }, block = { (unsigned)threads, 1, 1 };
    return RUN(cudaLaunchKernel, (const void *)kernel, grid, block, arguments, 0, gpu->stream);
}

/* kernels.fatbin, put in by the assembler. */
__asm__(".pushsection .rodata\n"
        ".balign 64\n"
        "pudle_cuda_image:\n"
        ".incbin \"" PD_CUDA_IMAGE "\"\n"
        "pudle_cuda_image_end:\n"
        ".popsection\n");
extern const unsigned char pudle_cuda_image[], pudle_cuda_image_end[];

static bool gpu_image(const void **image, size_t *bytes, cuda_fault *why)
{
    (void)why;
    *image = pudle_cuda_image;
    *bytes = (size_t)(pudle_cuda_image_end - pudle_cuda_image);
    return true;
}

/* ---------------------------------------------------------------- compiler */

static bool gpu_targets(cuda_gpu *gpu, int *list, int room, int *count, char *compiler, size_t size, cuda_fault *why)
{
    int n = 0, major = 0, minor = 0;
    (void)gpu;
    if (!open_rtc(why) || !RTC(nvrtcVersion, &major, &minor) || !RTC(nvrtcGetNumSupportedArchs, &n))
        return false;
    int *all = calloc((size_t)n + 1, sizeof *all);
    if (!all)
        return fails(why, PUDLE_ERR_NOMEM, "out of memory");
    const bool good = RTC(nvrtcGetSupportedArchs, all);
    *count = n < room ? n : room;
    memcpy(list, all, (size_t)*count * sizeof *list);
    free(all);
    snprintf(compiler, size, "NVRTC %d.%d", major, minor);
    return good;
}

/* What the compiler says about a text that it refuses. */
static bool complaint(nvrtcProgram program, const char *name, cuda_fault *why)
{
    size_t size = 0;
    char *log = NULL;
    if (rtc.nvrtcGetProgramLogSize_at(program, &size) == NVRTC_SUCCESS && (log = calloc(size + 1, 1)))
        (void)rtc.nvrtcGetProgramLog_at(program, log);
    fails(why, PUDLE_ERR_UNSUPPORTED, "nvrtcCompileProgram refuses the device source of '%s': %s", name, log ? log : "it does not say why");
    free(log);
    return false;
}

static bool gpu_compile(cuda_gpu *gpu, const char *text, const char *name, const char *arch, void **image, size_t *bytes, cuda_fault *why)
{
    char target[64];
    const char *const options[] = { target, CUDA_COMPILE };
    const bool cubin = !strncmp(arch, "sm_", 3);
    nvrtcProgram program = NULL;
    void *out = NULL;
    (void)gpu;
    snprintf(target, sizeof target, "--gpu-architecture=%s", arch);
    if (!open_rtc(why) || !RTC(nvrtcCreateProgram, &program, text, name, 0, NULL, NULL))
        return false;
    const nvrtcResult e = rtc.nvrtcCompileProgram_at(program, 2, options);
    bool good = e == NVRTC_ERROR_COMPILATION ? complaint(program, name, why) : rtc_good(e, "nvrtcCompileProgram", why);
    good = good && (cubin ? RTC(nvrtcGetCUBINSize, program, bytes) : RTC(nvrtcGetPTXSize, program, bytes));
    if (good && !(out = malloc(*bytes + 1)))
        good = fails(why, PUDLE_ERR_NOMEM, "out of memory");
    good = good && (cubin ? RTC(nvrtcGetCUBIN, program, out) : RTC(nvrtcGetPTX, program, out));
    (void)rtc.nvrtcDestroyProgram_at(&program);
    if (!good)
        free(out);
    else
        *image = out;
    return good;
}

/* ------------------------------------------------------------------ cuBLAS */

/* The first product of a kind is never in a recording, which could not take memory. */
static bool blas_ready(cuda_gpu *gpu, cuda_fault *why)
{
    return gpu->workspace ||
           (gpu_alloc(gpu, WORKSPACE, &gpu->workspace, why) && BLAS(cublasSetWorkspace_v2, gpu->blas, gpu->workspace, WORKSPACE));
}

static bool gpu_gemm(cuda_gpu *gpu, const cuda_gemm *c, cuda_fault *why)
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

/* ------------------------------------------------------------------- cuDNN */

static void describe_free(descriptors *d)
{
    if (d->images)
        (void)dnn.cudnnDestroyTensorDescriptor_at(d->images);
    if (d->codes)
        (void)dnn.cudnnDestroyTensorDescriptor_at(d->codes);
    if (d->filters)
        (void)dnn.cudnnDestroyFilterDescriptor_at(d->filters);
    if (d->conv)
        (void)dnn.cudnnDestroyConvolutionDescriptor_at(d->conv);
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
    descriptors *d = gpu->shapes;
    while (d && !same_shape(&d->shape, c))
        d = d->next;
    if (d)
        return d;
    if (!(d = calloc(1, sizeof *d))) { /* math 0, as a new descriptor's is: DEFAULT_MATH */
        fails(why, PUDLE_ERR_NOMEM, "out of memory");
        return NULL;
    }
    if (!describe(gpu, c, d, why)) {
        describe_free(d);
        return NULL;
    }
    d->shape = *c;
    d->next = gpu->shapes;
    return gpu->shapes = d;
}

static bool dnn_ready(cuda_gpu *gpu, cuda_fault *why)
{
    return gpu->dnn || (open_dnn(why) && DNN(cudnnCreate, &gpu->dnn) && DNN(cudnnSetStream, gpu->dnn, gpu->stream));
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
        good = DNN(CALL, gpu->dnn, __VA_ARGS__, 16, &got, perf);                                                         \
        for (int i = 0; good && i < got && *count < room; i++)                                                           \
            list[(*count)++] = offer(gpu, c, which, (int)perf[i].algo, perf[i].status == CUDNN_STATUS_SUCCESS, perf[i].memory, \
                                     perf[i].determinism == CUDNN_DETERMINISTIC, perf[i].mathType);                      \
    }

static bool gpu_conv_algorithms(cuda_gpu *gpu, const cuda_conv *c, int which, cuda_algorithm *list, int room, int *count, cuda_fault *why)
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

static bool gpu_conv(cuda_gpu *gpu, const cuda_conv *c, const cuda_conv_call *k, cuda_fault *why)
{
    const float a32 = (float)k->a, b32 = (float)k->b;
    const void *a = c->dtype == PUDLE_F64 ? (const void *)&k->a : &a32, *b = c->dtype == PUDLE_F64 ? (const void *)&k->b : &b32;
    descriptors *d = dnn_ready(gpu, why) ? described(gpu, c, why) : NULL;
    if (!d || !use_math(d, k->math, why))
        return false;
    switch (k->which) {
    case CUDA_FORWARD:
        return DNN(cudnnConvolutionForward, gpu->dnn, a, d->images, k->images, d->filters, k->filters, d->conv,
                   (cudnnConvolutionFwdAlgo_t)k->algorithm, k->workspace, k->workspace_bytes, b, d->codes, k->codes);
    case CUDA_BACKWARD_DATA:
        return DNN(cudnnConvolutionBackwardData, gpu->dnn, a, d->filters, k->filters, d->codes, k->codes, d->conv,
                   (cudnnConvolutionBwdDataAlgo_t)k->algorithm, k->workspace, k->workspace_bytes, b, d->images, k->images);
    default:
        return DNN(cudnnConvolutionBackwardFilter, gpu->dnn, a, d->images, k->images, d->codes, k->codes, d->conv,
                   (cudnnConvolutionBwdFilterAlgo_t)k->algorithm, k->workspace, k->workspace_bytes, b, d->filters, k->filters);
    }
}

/* ------------------------------------------------------------------ graphs */

static bool gpu_record_begin(cuda_gpu *gpu, cuda_fault *why)
{
    return RUN(cudaStreamBeginCapture, gpu->stream, cudaStreamCaptureModeThreadLocal);
}

static bool gpu_record_end(cuda_gpu *gpu, cuda_graph **graph, cuda_fault *why)
{
    cudaGraph_t recorded = NULL;
    cudaGraphExec_t ready = NULL;
    bool good = RUN(cudaStreamEndCapture, gpu->stream, &recorded);
    if (good && graph)
        good = RUN(cudaGraphInstantiate, &ready, recorded, 0);
    if (recorded)
        (void)cudaGraphDestroy(recorded);
    if (good && graph)
        *graph = (cuda_graph *)(void *)ready;
    return good;
}

static bool gpu_replay(cuda_gpu *gpu, cuda_graph *graph, cuda_fault *why)
{
    return RUN(cudaGraphLaunch, (cudaGraphExec_t)(void *)graph, gpu->stream);
}

static void gpu_forget(cuda_gpu *gpu, cuda_graph *graph)
{
    (void)gpu;
    if (graph)
        (void)cudaGraphExecDestroy((cudaGraphExec_t)(void *)graph);
}

const cuda_api cuda = {
    .open = gpu_open, .close = gpu_close, .libraries = gpu_libraries, .bind = gpu_bind, .sync = gpu_sync,
    .alloc = gpu_alloc, .reserve = gpu_reserve, .free = gpu_free, .peak = gpu_peak, .pin = gpu_pin, .unpin = gpu_unpin, .upload = gpu_upload, .download = gpu_download,
    .mark = gpu_mark, .await = gpu_await, .unmark = gpu_unmark, .copy = gpu_copy,
    .load = gpu_load, .unload = gpu_unload, .find = gpu_find, .launch = gpu_launch, .image = gpu_image,
    .targets = gpu_targets, .compile = gpu_compile,
    .gemm = gpu_gemm, .conv_algorithms = gpu_conv_algorithms, .conv = gpu_conv,
    .record_begin = gpu_record_begin, .record_end = gpu_record_end, .replay = gpu_replay, .forget = gpu_forget,
};
