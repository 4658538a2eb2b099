/* The plugin contract as ABI 1.0 had it, for prox and loss: what a plugin was compiled against that nobody compiles again.
 * Frozen. It shares no line with the headers of today, so that a change of those cannot reach the plugins built with it. */
#ifndef PUDLE_1_0_H
#define PUDLE_1_0_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int32_t pudle_status;
enum { PUDLE_OK = 0, PUDLE_ERR_ARG = -1, PUDLE_ERR_CONFIG = -4 };

enum { PUDLE_F32 = 1, PUDLE_F64 = 2 };
#define PUDLE_MAX_RANK 6

typedef struct pudle_view {
    void *data;
    int32_t dtype, rank;
    int64_t shape[PUDLE_MAX_RANK], stride[PUDLE_MAX_RANK];
} pudle_view;

typedef struct pudle_cview {
    const void *data;
    int32_t dtype, rank;
    int64_t shape[PUDLE_MAX_RANK], stride[PUDLE_MAX_RANK];
} pudle_cview;

static inline int64_t pudle_count(const pudle_cview *v)
{
    int64_t n = 1;
    for (int32_t i = 0; i < v->rank; i++)
        n *= v->shape[i];
    return n;
}

typedef struct pudle_host {
    uint32_t size;
    uint16_t abi_major, abi_minor;
    void *ctx;
    void *(*alloc)(void *ctx, size_t bytes);
    void (*free)(void *ctx, void *memory);
    void (*log)(void *ctx, int32_t level, const char *format, ...);
    pudle_status (*fail)(void *ctx, pudle_status status, const char *format, ...);
    const void *(*get_ext)(void *ctx, const char *id);
} pudle_host;

enum { PUDLE_REAL = 3 };
enum { PUDLE_OPEN_MAX = 1 << 2, PUDLE_THRESHOLD = 1 << 3, PUDLE_PER_STEP = 1 << 4 };

typedef struct pudle_option {
    const char *name;
    int32_t type;
    uint32_t flags;
    uint32_t offset;
    const char *dflt;
    double min, max;
    const char *choices;
    const char *unit;
    const char *doc;
} pudle_option;

enum { PUDLE_KIND_PROX = 1, PUDLE_KIND_LOSS = 2 };

typedef struct pudle_desc {
    uint32_t size;
    int32_t kind;
    const char *name, *version, *summary, *math, *cite, *license;
    uint64_t caps;
    const pudle_option *options;
    uint32_t option_size;
    uint32_t params_size;
    pudle_status (*check)(const pudle_host *host, const void *params);
    pudle_status (*create)(const pudle_host *host, const void *params, void **self);
    void (*destroy)(const pudle_host *host, void *self);
    const void *ops;
    const void *(*get_ext)(const char *id);
} pudle_desc;

typedef struct pudle_plugin_entry {
    uint32_t magic;
    uint16_t abi_major, abi_minor;
    uint32_t size;
    uint32_t flags;
    const pudle_desc *const *plugins;
} pudle_plugin_entry;

extern __attribute__((visibility("default"))) const pudle_plugin_entry pudle_plugin;

#define PUDLE_PLUGIN(...)                                                       \
    static const pudle_desc *const pudle_plugin_list[] = { __VA_ARGS__, NULL }; \
    const pudle_plugin_entry pudle_plugin = { 0x4c445550u, 1, 0, (uint32_t)sizeof(pudle_plugin_entry), 0, pudle_plugin_list }

typedef struct pudle_exec pudle_exec;

enum { PUDLE_PROX_CONVEX = 1 << 0, PUDLE_PROX_SEPARABLE = 1 << 1, PUDLE_PROX_INPLACE = 1 << 2 };
enum { PUDLE_VJP_OUTPUT = 1 };

typedef struct pudle_prox_kernel {
    uint32_t size, flags;
    const char *target;
    pudle_status (*apply)(const void *self, pudle_exec *exec, double tau, const pudle_cview *theta,
                          const pudle_cview *v, const pudle_view *p);
    pudle_status (*vjp)(const void *self, pudle_exec *exec, double tau, const pudle_cview *theta,
                        const pudle_cview *v, const pudle_cview *p, const pudle_cview *g,
                        const pudle_view *gv, const pudle_view *gtheta);
} pudle_prox_kernel;

typedef struct pudle_prox_ops {
    uint32_t size;
    int32_t vjp_needs;
    const pudle_prox_kernel *const *kernels;
    pudle_status (*value)(const void *self, double tau, const pudle_cview *theta, const pudle_cview *p, double *f);
    double (*dead_zone)(const void *self, double tau, const double *theta);
} pudle_prox_ops;

enum { PUDLE_LOSS_CONVEX = 1 << 0, PUDLE_LOSS_QUADRATIC = 1 << 1, PUDLE_LOSS_SEPARABLE = 1 << 2 };

typedef struct pudle_loss_kernel {
    uint32_t size, flags;
    const char *target;
    pudle_status (*value)(const void *self, pudle_exec *exec, const pudle_cview *pred, const pudle_cview *target_, double *sum);
    pudle_status (*grad)(const void *self, pudle_exec *exec, const pudle_cview *pred, const pudle_cview *target_, const pudle_view *g);
    pudle_status (*hvp)(const void *self, pudle_exec *exec, const pudle_cview *pred, const pudle_cview *target_,
                        const pudle_cview *u, const pudle_view *hu);
    pudle_status (*code_value)(const void *self, pudle_exec *exec, const pudle_cview *z, double *sum);
    pudle_status (*code_grad)(const void *self, pudle_exec *exec, const pudle_cview *z, const pudle_view *g);
} pudle_loss_kernel;

typedef struct pudle_loss_ops {
    uint32_t size, flags;
    const char *pred_domain, *target_domain;
    const pudle_loss_kernel *const *kernels;
    pudle_status (*lipschitz)(const void *self, const pudle_cview *target_, double *constant);
    pudle_status (*check_target)(const pudle_host *host, const void *self, const pudle_cview *target_);
} pudle_loss_ops;

#if defined(__x86_64__) && defined(__LP64__)
_Static_assert(sizeof(pudle_host) == 56 && sizeof(pudle_option) == 72 && sizeof(pudle_desc) == 120, "as 1.0 was");
_Static_assert(sizeof(pudle_plugin_entry) == 24 && sizeof(pudle_prox_kernel) == 32 && sizeof(pudle_prox_ops) == 32, "as 1.0 was");
_Static_assert(sizeof(pudle_loss_kernel) == 56 && sizeof(pudle_loss_ops) == 48, "as 1.0 was");
#endif

/* What lies behind a struct of 1.0: a host that reads on without looking at its size takes this for a pointer and crashes. */
typedef struct poison { uintptr_t word[8]; } poison;
#define POISON { { 0xdead, 0xdead, 0xdead, 0xdead, 0xdead, 0xdead, 0xdead, 0xdead } }

#endif
