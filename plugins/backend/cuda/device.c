/* The table of device.h over the CUDA runtime, which is linked statically, and cuBLAS, cuDNN and NVRTC, which are opened when they
 * are first needed: half a gigabyte of code that `pudle plugins list` need not wait for, and a plugin that loads on any machine. */
#include "device_parts.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef PD_CUDA_LIB
#define PD_CUDA_LIB "/usr/local/cuda/lib64"
#endif

bool gpu_fails(cuda_fault *why, pudle_status status, const char *format, ...)
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
    return gpu_fails(why, e == cudaErrorMemoryAllocation ? PUDLE_ERR_NOMEM : PUDLE_ERR_DEVICE, "%s: %s (%s)", call, cudaGetErrorString(e),
                 cudaGetErrorName(e));
}
#define RUN(call, ...) runtime_good(call(__VA_ARGS__), #call, why)

void *gpu_library(const char *file, const char *purpose, cuda_fault *why)
{
    char path[4096], first[600] = "";
    void *at = dlopen(file, RTLD_LAZY | RTLD_LOCAL);
    if (at)
        return at;
    snprintf(first, sizeof first, "%s", dlerror());
    snprintf(path, sizeof path, "%s/%s", PD_CUDA_LIB, file);
    if (!(at = dlopen(path, RTLD_LAZY | RTLD_LOCAL)))
        gpu_fails(why, PUDLE_ERR_DEVICE, "%s, for %s, cannot be loaded: %s; install it, or put its folder into LD_LIBRARY_PATH", file, purpose, first);
    return at;
}

/* A function pointer out of a data pointer, which ISO C has no cast for. */
bool gpu_symbol(void *lib, const char *file, const char *name, void *function, cuda_fault *why)
{
    void *at = dlsym(lib, name);
    memcpy(function, &at, sizeof at);
    return at || gpu_fails(why, PUDLE_ERR_DEVICE, "%s has no %s: it is of another version than the one this backend was built with", file, name);
}

/* -------------------------------------------------------------------- life */

static void gpu_close(cuda_gpu *gpu)
{
    if (!gpu)
        return;
    (void)cudaSetDevice(gpu->index);
    gpu_dnn_close(gpu);
    gpu_blas_close(gpu);
    for (gpu_piece *p = gpu->pieces, *next; p; p = next) { /* the workspace */
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
        return gpu_fails(why, PUDLE_ERR_DEVICE, "no NVIDIA driver is installed, which CUDA %d.%d needs; cudaGetDeviceCount says: %s (%s)",
                     CUDART_VERSION / 1000, CUDART_VERSION / 10 % 100, cudaGetErrorString(e), cudaGetErrorName(e));
    if (e == cudaErrorInsufficientDriver)
        return gpu_fails(why, PUDLE_ERR_DEVICE, "the NVIDIA driver is one for CUDA %d.%d and older, and this backend was built with CUDA %d.%d (%s)",
                     driver / 1000, driver / 10 % 100, CUDART_VERSION / 1000, CUDART_VERSION / 10 % 100, cudaGetErrorName(e));
    if (!runtime_good(e, "cudaGetDeviceCount", why))
        return false;
    if (count == 0)
        return gpu_fails(why, PUDLE_ERR_DEVICE, "cudaGetDeviceCount finds no device");
    return index < count || gpu_fails(why, PUDLE_ERR_DEVICE, "cudaGetDeviceCount finds %d: device 0 to %d", count, count - 1);
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
    if (!find_device(index, why))
        return false;
    cuda_gpu *gpu = calloc(1, sizeof *gpu);
    if (!gpu)
        return gpu_fails(why, PUDLE_ERR_NOMEM, "out of memory");
    gpu->index = (int)index;
    gpu->tf32 = tf32;
    if (RUN(cudaSetDevice, gpu->index) && learn(gpu, facts, why) && RUN(cudaStreamCreateWithFlags, &gpu->stream, cudaStreamNonBlocking) &&
        gpu_blas_open(gpu, why)) {
        *out = gpu;
        return true;
    }
    gpu_close(gpu);
    return false;
}

static void version_line(char *text, size_t size, const char *name, bool found, const int v[3])
{
    const size_t used = strlen(text);
    snprintf(text + used, size - used, found ? "%s%s: %d.%d.%d" : "%s%s: cannot be loaded%.0d%.0d%.0d", used ? "\n" : "", name, v[0], v[1], v[2]);
}

static void gpu_libraries(cuda_gpu *gpu, char *text, size_t size)
{
    int v[3] = { 0, 0, 0 };
    *text = '\0';
    if (gpu_blas_version(gpu, v))
        version_line(text, size, "cuBLAS", true, v);
    const bool conv = gpu_dnn_version(v);
    version_line(text, size, "cuDNN", conv, v);
    const bool compiler = gpu_compiler_version(v);
    version_line(text, size, "NVRTC", compiler, v);
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
    gpu_piece *p = malloc(sizeof *p);
    if (!p) {
        (void)cudaFree(at);
        return gpu_fails(why, PUDLE_ERR_NOMEM, "out of memory on the host");
    }
    *p = (gpu_piece){ gpu->pieces, at, counted };
    gpu->pieces = p;
    gpu->held += counted;
    gpu->most = gpu->held > gpu->most ? gpu->held : gpu->most;
    return true;
}

bool gpu_alloc(cuda_gpu *gpu, size_t bytes, void **memory, cuda_fault *why)
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
        return gpu_fails(why, PUDLE_ERR_NOMEM, "%.1f MiB are wanted, and the device has %.1f free; smaller blocks (train.batch, train.memory) and backend.unroll = "
                         "\"products\" take less", (double)bytes / 1048576, (double)left / 1048576);
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
    gpu_piece **link = &gpu->pieces;
    while (*link && (*link)->at != memory)
        link = &(*link)->next;
    gpu_piece *const p = *link;
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
    .gemm = gpu_gemm, .workspace = gpu_workspace, .conv_algorithms = gpu_conv_algorithms, .conv = gpu_conv,
    .record_begin = gpu_record_begin, .record_end = gpu_record_end, .replay = gpu_replay, .forget = gpu_forget,
};
