/* plugins/backend/cuda/cuda.h - parts of the cuda backend. device.h is what it computes with, source.h makes kernels of plugins. */
#ifndef BACKEND_CUDA_H
#define BACKEND_CUDA_H

#include "../host.h"
#include "device.h"
#include "source.h"
#include <pudle/unroll.h>

enum { CUDA_PLACE_ANY, CUDA_PLACE_STRICT };

enum { CUDA_AUTO, CUDA_PRODUCTS, CUDA_LISTS };

typedef struct cuda_params {
    int64_t threads, device;
    bool tf32, synchronous, managed;
    int32_t placement, unroll;
} cuda_params;

/** Kernels of kernels.cu; each for both precisions. */
enum { CUDA_FILL, CUDA_AXPBY, CUDA_SIGN, CUDA_DOT, CUDA_CENSUS, CUDA_NORMALIZE, CUDA_TANGENT, CUDA_MOMENTUM, CUDA_ADAM, CUDA_OUTER, CUDA_UNFOLD, CUDA_SYMMETRIC,
       CUDA_ARRANGE, CUDA_IMAGE, CUDA_CODES, CUDA_FILTERS, CUDA_PARTS, CUDA_KERNELS };
/** Kernels of a prox, for cuda_plugin_kernel. */
enum { CUDA_APPLY, CUDA_VJP, CUDA_LEVEL_SUMS, CUDA_LAYER, CUDA_BACK, CUDA_LIST_LAYER, CUDA_LIST_BACK, CUDA_FILTER_LAYER, CUDA_FILTER_BACK, CUDA_OF_PLUGIN };

/** Memory that grows and is kept. */
typedef struct cuda_buffer {
    void *at;
    size_t bytes;
} cuda_buffer;

/** Kernels of one prox or loss, compiled; or the fact that it has none and is run on the host. */
typedef struct cuda_plugin {
    struct cuda_plugin *next;
    const pudle_desc *desc;
    cuda_module *module;  /* NULL: staged */
    cuda_module *filters; /* kernels for encoders with filters; NULL: not asked for so far */
    cuda_kernel *kernel[2][CUDA_OF_PLUGIN]; /* [f64][which], found when first used */
    int64_t staged;      /* calls that ran on the host */
    bool told;
} cuda_plugin;

enum { CUDA_ALGORITHMS = 16 };
/** The algorithms for one shape of a convolution, and the one in use. */
typedef struct cuda_choice {
    struct cuda_choice *next;
    cuda_conv shape;
    int which, count;
    cuda_algorithm list[CUDA_ALGORITHMS]; /* one that is refused when it is run is good no more */
    const cuda_algorithm *best;           /* NULL: none is left */
    char refused[600];                    /* those that were, each with the reason */
} cuda_choice;

enum { CUDA_NAMES = 8, CUDA_RESULTS = 1024 };

/** Where a sum goes: the one of the two that is not NULL. */
typedef struct cuda_sum {
    double *real;
    int64_t *whole;
} cuda_sum;

enum { CUDA_STAGES = 4, CUDA_STAGE_BYTES = 1 << 20 };
/** Pinned memory on the way to the device. */
typedef struct cuda_stage {
    void *pinned;    /* NULL: not used so far */
    cuda_mark *mark; /* behind the last copy from it */
} cuda_stage;

/** Memory that is there as far as it is used. */
typedef struct cuda_reserved {
    struct cuda_reserved *next;
    uint32_t *used; /* on the device: numbers in use, and the most that ever were */
    size_t width;
} cuda_reserved;

/** The exec of this backend. `base` comes first, so that the checks of host.c take it. */
typedef struct cuda_exec {
    pudle_exec base;
    cuda_params set;
    cuda_gpu *gpu;
    cuda_facts facts;
    cuda_module *module;
    cuda_kernel *kernel[2][CUDA_KERNELS], *sum_rows, *tape_begin;
    cuda_reserved *reserved;
    size_t reserved_peak; /* of those that are gone */
    bool told_managed;    /* that there is no managed memory */
    cuda_buffer partial, packed[2], workspace;
    int64_t workspace_moved; /* how often: what was recorded with the old one is void */
    double *result;         /* pinned: what reductions leave */
    double *device_result;
    cuda_sum awaited[CUDA_RESULTS]; /* sums on the device that are not delivered yet */
    int64_t awaited_count;
    bool deferring;         /* they may stay there until sync */
    cuda_stage stage[CUDA_STAGES]; /* used in turn */
    int next_stage;
    cuda_plugin *plugins;
    cuda_choice *choices;
    const char *queued[CUDA_NAMES]; /* the last operations since a sync, in a ring */
    int64_t queued_count;
    bool recording;      /* what is called is recorded; a refusal then may mean no more than that it cannot be */
    char unrecorded[1300]; /* the call that failed in the last recording, and why */
    bool cache_told;
    int list[32], targets; /* what the run-time compiler makes code for; targets 0: not yet asked */
    char arch[32], compiler[64];
} cuda_exec;

static inline cuda_exec *cuda_of(pudle_exec *exec)
{
    return (cuda_exec *)(void *)exec;
}

/* ---- errors and launches (cuda.c) */

/** Report a failed call of the table for operation `op`. */
pudle_status cuda_failed(cuda_exec *e, const char *op, const cuda_fault *why);
/** An operation begins on this thread; its name is remembered until the next sync. */
pudle_status cuda_begin(cuda_exec *e, const char *op);
/** It has been queued; with `synchronous` wait for it. */
pudle_status cuda_end(cuda_exec *e, const char *op);
/** A kernel on `blocks` blocks of CUDA_BLOCK threads; arguments: addresses, as CUDA wants them. */
pudle_status cuda_start(cuda_exec *e, const char *op, cuda_kernel *kernel, int64_t blocks, void **arguments);
enum { CUDA_BLOCK = 256, CUDA_DEPTH = 32 }; /* PUDLE_BLOCK of grid.h; the lesser PUDLE_DEPTH of tiles.h */
/** Blocks for n entries that do not depend on one another. */
int64_t cuda_blocks(int64_t n);
/** Blocks of a reduction over n entries: a function of n alone, so that sums are taken in one order on every card. */
int64_t cuda_reduction(int64_t n);
/** At least `bytes` on the device; what was there is lost. */
pudle_status cuda_room(cuda_exec *e, const char *op, cuda_buffer *b, size_t bytes);
/** The most bytes of it that were ever in use; waits for the device. 0 if it is no more than its name, or cannot be read: what failed shows in the next call. */
size_t cuda_reserved_use(cuda_exec *e, const cuda_reserved *r);
/** The sums of the rows of partial (rows, cols) to their places: now, or, while they may be deferred, by the next sync. */
pudle_status cuda_collect(cuda_exec *e, const char *op, const double *partial, int64_t rows, int64_t cols, const cuda_sum to[]);
/** Queue a copy of host memory, which the caller may change as soon as this returns. */
pudle_status cuda_send(cuda_exec *e, const char *op, void *to, const void *host, size_t bytes);
/** out[0 .. rows) += the same, on the device, without waiting. */
pudle_status cuda_add_sums(cuda_exec *e, const char *op, const double *partial, int64_t rows, int64_t cols, double *out);

/* ---- compiled kernels (jit.c, cache.c) */

/** The plugin's kernels, compiled or out of the cache on first use; module NULL: it has no device source. */
pudle_status cuda_plugin_of(cuda_exec *e, const char *op, const pudle_desc *desc, cuda_plugin **out);
/** One more call on the host: counted, said once. @errors UNSUPPORTED under placement = "strict" */
pudle_status cuda_plugin_stage(cuda_exec *e, const char *op, cuda_plugin *plugin);
pudle_status cuda_plugin_kernel(cuda_exec *e, const char *op, cuda_plugin *plugin, const char *name, int which, int32_t dtype, cuda_kernel **out);
void cuda_plugins_free(cuda_exec *e);

/** "sm_90" where the compiler (`list`, ascending) knows the device, else the best "compute_XX" below it, for the driver to finish;
 *  false: it knows nothing that this device runs. */
bool cuda_arch(int device, const int *list, int count, char *arch, size_t size);

/** Image of a text compiled for `arch` by `compiler`, from malloc; false: not there. The whole text is compared, so a file is never
 *  taken for another, and a damaged one is not there. */
bool cuda_cache_get(const char *text, const char *arch, const char *compiler, void **image, size_t *bytes);
/** Keep an image; false with a reason if it could not be. The file appears at once and whole. */
bool cuda_cache_put(const char *text, const char *arch, const char *compiler, const void *image, size_t bytes, char *reason, size_t size);
/** Where: $XDG_CACHE_HOME/pudle/cuda, or $HOME/.cache/pudle/cuda; false: neither is set. */
bool cuda_cache_folder(char *path, size_t size);

enum { CUDA_OPTIONS_MOST = 2048, CUDA_OPTIONS_ROOM = CUDA_OPTIONS_MOST / sizeof(double) + 1 }; /* a params struct in bytes; in doubles */
/** The params struct as a kernel takes it: rounded up to 8 bytes, with nothing beyond the plugin's own read. */
void *cuda_options_of(const pudle_instance *plugin, double room[CUDA_OPTIONS_ROOM]);

/* ---- arithmetic that decides, without a device */

/** The cuBLAS call for a row-major product: column major sees every matrix transposed, so C' = op(B)' op(A)'. */
void cuda_gemm_of(const host_gemm *sizes, bool trans_a, bool trans_b, cuda_gemm *call);
/** The first algorithm that is good, deterministic and modest in workspace; then one that is good. NULL: none. */
const cuda_algorithm *cuda_choose(const cuda_algorithm *list, int count, size_t most);
/** Cut of the work by shape alone. */
void cuda_cut(const pudle_work *work, int64_t *rows, int64_t *lanes);
/** In how many chunks the entries of an atom are summed for the gradient of levels. */
int64_t cuda_chunks(const cuda_code *code);

/* ---- convolutions as products (filters.c) */

/** The tile of a product of tiles.h with `count` rows and `results` columns, and how many there are. */
cuda_tile cuda_tile_of(int64_t count, int64_t results);
int64_t cuda_tiles_of(const cuda_tile *tile, int64_t count, int64_t results);
/** Of the gradient; and over how many blocks a tile's sum is shared out, at most. */
cuda_tile cuda_gradient_tile(const cuda_filters *f);
int64_t cuda_gradient_splits(const cuda_filters *f);
/** The shape of a convolution as tiles.h has it, but for pointers; false: its places do not fit an int. */
bool cuda_filters_of(const pudle_conv *conv, cuda_filters *f);
/** Its two matrices, (terms, filters) and (taps k, pixels): for each entry its place in D, or -1. */
void cuda_filters_arrange(const cuda_filters *f, int *analysis, int *synthesis);
int64_t cuda_analysis_entries(const cuda_filters *f);
int64_t cuda_synthesis_entries(const cuda_filters *f);

/* ---- operations */

pudle_status cuda_fill(pudle_exec *exec, double value, const pudle_view *y);
pudle_status cuda_copy(pudle_exec *exec, const pudle_cview *x, const pudle_view *y);
pudle_status cuda_axpby(pudle_exec *exec, double a, const pudle_cview *x, double b, const pudle_view *y);
pudle_status cuda_sign(pudle_exec *exec, const pudle_cview *x, const pudle_view *y);
pudle_status cuda_dot(pudle_exec *exec, const pudle_cview *x, const pudle_cview *y, double *sum);
pudle_status cuda_census(pudle_exec *exec, const pudle_cview *x, int64_t *nonzero, int64_t *nonfinite);
pudle_status cuda_gemm_run(pudle_exec *exec, bool trans_a, bool trans_b, double a, const pudle_cview *A, const pudle_cview *B, double b,
                           const pudle_view *C);
pudle_status cuda_normalize(pudle_exec *exec, int32_t axis, double norm, const pudle_view *w);
pudle_status cuda_tangent(pudle_exec *exec, int32_t axis, const pudle_cview *w, const pudle_view *g);
pudle_status cuda_momentum(pudle_exec *exec, double rate, double mu, const pudle_cview *g, const pudle_view *buf, const pudle_view *w);
pudle_status cuda_adam_run(pudle_exec *exec, const pudle_adam *how, const pudle_cview *g, const pudle_view *m, const pudle_view *v,
                           const pudle_view *w);

pudle_status cuda_prox_apply(pudle_exec *exec, const pudle_instance *prox, double tau, const pudle_cview *theta, const pudle_cview *v,
                             const pudle_view *p);
pudle_status cuda_prox_vjp(pudle_exec *exec, const pudle_instance *prox, double tau, const pudle_cview *theta, const pudle_cview *v,
                           const pudle_cview *p, const pudle_cview *g, const pudle_view *gv, const pudle_view *gtheta);
pudle_status cuda_loss_value(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *pred, const pudle_cview *target, double *sum);
pudle_status cuda_loss_grad(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *pred, const pudle_cview *target, const pudle_view *g);
pudle_status cuda_loss_hvp(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *pred, const pudle_cview *target,
                           const pudle_cview *u, const pudle_view *hu);
pudle_status cuda_loss_mean(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *pred, const pudle_view *m);
pudle_status cuda_code_value(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *z, double *sum);
pudle_status cuda_code_grad(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *z, const pudle_view *g);

pudle_status cuda_conv_apply(pudle_exec *exec, const pudle_conv *conv, const pudle_cview *w, const pudle_cview *z, const pudle_view *u);
pudle_status cuda_conv_adjoint(pudle_exec *exec, const pudle_conv *conv, const pudle_cview *w, double a, const pudle_cview *r, double b,
                               const pudle_view *v);
pudle_status cuda_conv_gradient(pudle_exec *exec, const pudle_conv *conv, double a, const pudle_cview *r, const pudle_cview *z,
                                const pudle_view *gw);
void cuda_choices_free(cuda_exec *e);

extern const pudle_unroll_ops cuda_unroll_ops;

#endif
