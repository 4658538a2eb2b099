/* Kernels from text at run time: NVRTC. */
#include "device_parts.h"

#include <nvrtc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RTC_FUNCTIONS(X)                                                                                                 \
    X(nvrtcVersion) X(nvrtcGetNumSupportedArchs) X(nvrtcGetSupportedArchs) X(nvrtcCreateProgram) X(nvrtcDestroyProgram)  \
    X(nvrtcCompileProgram) X(nvrtcGetProgramLogSize) X(nvrtcGetProgramLog) X(nvrtcGetCUBINSize) X(nvrtcGetCUBIN)         \
    X(nvrtcGetPTXSize) X(nvrtcGetPTX) X(nvrtcGetErrorString)

#define FILE_NAME "libnvrtc.so." GPU_TEXT(CUBLAS_VER_MAJOR) /* of one toolkit */

GPU_LIBRARY(RTC_FUNCTIONS, "the kernels of prox and loss plugins")

static bool rtc_good(nvrtcResult e, const char *call, cuda_fault *why)
{
    return e == NVRTC_SUCCESS || gpu_fails(why, PUDLE_ERR_DEVICE, "%s: %s", call, library.nvrtcGetErrorString_at(e));
}
#define RTC(call, ...) rtc_good(library.call##_at(__VA_ARGS__), #call, why)

bool gpu_compiler_version(int version[3])
{
    cuda_fault why;
    version[0] = version[1] = version[2] = 0;
    return open_library(&why) && library.nvrtcVersion_at(&version[0], &version[1]) == NVRTC_SUCCESS;
}

bool gpu_targets(cuda_gpu *gpu, int *list, int room, int *count, char *compiler, size_t size, cuda_fault *why)
{
    int n = 0, major = 0, minor = 0;
    (void)gpu;
    if (!open_library(why) || !RTC(nvrtcVersion, &major, &minor) || !RTC(nvrtcGetNumSupportedArchs, &n))
        return false;
    int *all = calloc((size_t)n + 1, sizeof *all);
    if (!all)
        return gpu_fails(why, PUDLE_ERR_NOMEM, "out of memory");
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
    if (library.nvrtcGetProgramLogSize_at(program, &size) == NVRTC_SUCCESS && (log = calloc(size + 1, 1)))
        (void)library.nvrtcGetProgramLog_at(program, log);
    gpu_fails(why, PUDLE_ERR_UNSUPPORTED, "nvrtcCompileProgram refuses the device source of '%s': %s", name, log ? log : "it does not say why");
    free(log);
    return false;
}

bool gpu_compile(cuda_gpu *gpu, const char *text, const char *name, const char *arch, void **image, size_t *bytes, cuda_fault *why)
{
    char target[64];
    const char *const options[] = { target, CUDA_COMPILE };
    const bool cubin = !strncmp(arch, "sm_", 3);
    nvrtcProgram program = NULL;
    void *out = NULL;
    (void)gpu;
    snprintf(target, sizeof target, "--gpu-architecture=%s", arch);
    if (!open_library(why) || !RTC(nvrtcCreateProgram, &program, text, name, 0, NULL, NULL))
        return false;
    const nvrtcResult e = library.nvrtcCompileProgram_at(program, 2, options);
    bool good = e == NVRTC_ERROR_COMPILATION ? complaint(program, name, why) : rtc_good(e, "nvrtcCompileProgram", why);
    good = good && (cubin ? RTC(nvrtcGetCUBINSize, program, bytes) : RTC(nvrtcGetPTXSize, program, bytes));
    if (good && !(out = malloc(*bytes + 1)))
        good = gpu_fails(why, PUDLE_ERR_NOMEM, "out of memory");
    good = good && (cubin ? RTC(nvrtcGetCUBIN, program, out) : RTC(nvrtcGetPTX, program, out));
    (void)library.nvrtcDestroyProgram_at(&program);
    if (!good)
        free(out);
    else
        *image = out;
    return good;
}
