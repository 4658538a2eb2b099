/* The stand-in for a GPU in parts: fake.c has the table, memory and recordings, fake_kernels.c what is compiled, fake_products.c what cuBLAS and cuDNN do. */
#ifndef TESTS_FAKE_H
#define TESTS_FAKE_H

#include "device.h"

typedef struct step { /* of a recording */
    struct step *next;
    cuda_kernel *kernel;
    int64_t blocks;
    int threads;
    void *bound;
    cuda_gemm gemm;
    cuda_conv conv;
    cuda_conv_call call;
    int what; /* 0: kernel, 1: gemm, 2: conv, 3: copy */
    void *to;
    const void *from;
    size_t to_pitch, from_pitch, bytes, rows;
} step;

typedef struct block block; /* of memory */
typedef struct send send;   /* a copy that waits */
struct cuda_graph { step *first, **end; };
struct cuda_mark { long at; };
struct cuda_gpu {
    bool recording;
    send *sends, **last_send;
    long queued, done; /* marks */
    long waits;
    size_t held, most;
    void *workspace; /* NULL: nobody has asked for it */
    cuda_graph *graph;
    block *blocks;
    cuda_kernel *kernels;
};
struct cuda_module { void *lib; };
struct cuda_kernel {
    struct cuda_kernel *next;
    void (*call)(long long, int, void **);
    void (*look)(void **, void (*)(void *, const void *), void *);
    void *(*bind)(void **);
    void (*again)(long long, int, void *);
};

/** false, with the reason. */
PUDLE_PRINTF(3, 4) bool fake_fails(cuda_fault *why, pudle_status status, const char *format, ...);
/** What no backend may do: the process ends. */
PUDLE_PRINTF(1, 2) _Noreturn void fake_wrong(const char *format, ...);
/** Does this call succeed, or does PUDLE_FAKE_FAIL name it now? */
bool fake_good(const char *name, cuda_fault *why);
/** May memory of the device be touched from here on? */
void fake_touch(bool on);
void fake_must_be_inside(const cuda_gpu *gpu, const char *what, const void *at, size_t bytes);
/** All copies that are queued are made: before whatever comes behind them. */
void fake_settle(cuda_gpu *gpu);
/** Of the workspace, which products of the stand-in spoil and do not need. */
size_t fake_workspace_bytes(void);
/** A step more of the recording. */
step *fake_record(cuda_gpu *gpu, int what);

/* Of the table, and for replays. */
bool fake_image(const void **image, size_t *bytes, cuda_fault *why);
bool fake_load(cuda_gpu *gpu, const void *image, size_t bytes, cuda_module **module, cuda_fault *why);
void fake_unload(cuda_gpu *gpu, cuda_module *module);
bool fake_find(cuda_gpu *gpu, cuda_module *module, const char *name, cuda_kernel **kernel, cuda_fault *why);
bool fake_launch(cuda_gpu *gpu, cuda_kernel *kernel, int64_t grid, int threads, void **arguments, cuda_fault *why);
bool fake_targets(cuda_gpu *gpu, int *list, int room, int *count, char *compiler, size_t size, cuda_fault *why);
bool fake_compile(cuda_gpu *gpu, const char *text, const char *name, const char *arch, void **image, size_t *bytes, cuda_fault *why);
void fake_gemm_now(const cuda_gpu *gpu, const cuda_gemm *c);
bool fake_gemm(cuda_gpu *gpu, const cuda_gemm *c, cuda_fault *why);
bool fake_conv_algorithms(cuda_gpu *gpu, const cuda_conv *conv, int which, cuda_algorithm *list, int room, int *count, cuda_fault *why);
void fake_conv_now(const cuda_conv *s, const cuda_conv_call *c);
bool fake_conv(cuda_gpu *gpu, const cuda_conv *s, const cuda_conv_call *c, cuda_fault *why);

#endif
