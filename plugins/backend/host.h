/* plugins/backend/host.h - what the backends that compute in host memory share: the checks of arguments, memory, and the
 * calls into the "host" kernels of prox and loss plugins. Compiled into each of them; the arithmetic itself is their own. */
#ifndef BACKEND_HOST_H
#define BACKEND_HOST_H

#include <pudle/plugin.h>

/** A queue of these backends: the root, made by open, or one lane of run(). */
struct pudle_exec {
    const pudle_host *host;
    int threads;      /* that a call on it may use; 1 in a lane */
    int unroll;       /* of the root: what an option of the backend says of it */
    bool wide;        /* kernels in vectors of 512 bits; the same in its lanes */
    void *pool;       /* of the root: its threads */
    pudle_exec *lane; /* `threads` of them; NULL in a lane */
    void *scratch;    /* memory kept between calls, grown when an operation needs more */
    size_t scratch_bytes;
};

/* Bytes behind every allocation that kernels may read. In BLIS those for haswell and zen2 read a vector
 * across the end of C. */
enum { HOST_PAD = 64 };

#define FAIL(exec, status, ...) ((exec)->host->fail((exec)->host->ctx, (status), __VA_ARGS__))

/** Three matrices and the sizes of their product: C (rows, cols) <- op(A) (rows, inner) op(B) (inner, cols). */
typedef struct host_gemm {
    int64_t rows, cols, inner;
    int64_t lda, ldb, ldc; /* row strides as stored, never below the number of columns, never below 1 */
} host_gemm;

/* ---- checks: PUDLE_OK, or PUDLE_ERR_ARG said through host->fail. `op` names the operation in the message. */

/** Dtype, rank, shape, strides and pointer of one view. */
pudle_status host_check(pudle_exec *exec, const char *op, const char *name, const pudle_cview *v);
/** All views are good and of the first one's dtype and shape. names: one letter or word each, separated by '|'. */
pudle_status host_check_alike(pudle_exec *exec, const char *op, const char *names, const pudle_cview *const v[], int count);
pudle_status host_check_gemm(pudle_exec *exec, bool trans_a, bool trans_b, const pudle_cview *A, const pudle_cview *B,
                             const pudle_view *C, host_gemm *sizes);
pudle_status host_check_normalize(pudle_exec *exec, int32_t axis, double norm, const pudle_view *w);
pudle_status host_check_tangent(pudle_exec *exec, int32_t axis, const pudle_cview *w, const pudle_view *g);
pudle_status host_check_adam(pudle_exec *exec, const pudle_adam *how);
pudle_status host_check_conv(pudle_exec *exec, const char *op, const pudle_conv *c, const pudle_cview *w, const pudle_cview *code,
                             const pudle_cview *image);
pudle_status host_check_work(pudle_exec *exec, const pudle_work *work);

/* What a prox or a loss is called with, and its "host" kernel, which has the function asked for. The memory itself is not looked
 * at: a backend elsewhere may ask too. */
pudle_status host_check_prox_apply(pudle_exec *exec, const pudle_instance *prox, const pudle_cview *v, const pudle_view *p,
                                   const pudle_prox_kernel **kernel);
pudle_status host_check_prox_vjp(pudle_exec *exec, const pudle_instance *prox, const pudle_cview *v, const pudle_cview *p,
                                 const pudle_cview *g, const pudle_view *gv, const pudle_prox_kernel **kernel);
pudle_status host_check_loss_value(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *pred, const pudle_cview *target, double *sum,
                                   const pudle_loss_kernel **kernel);
pudle_status host_check_loss_grad(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *pred, const pudle_cview *target,
                                  const pudle_view *g, const pudle_loss_kernel **kernel);
pudle_status host_check_loss_hvp(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *pred, const pudle_cview *target,
                                 const pudle_cview *u, const pudle_view *hu, const pudle_loss_kernel **kernel);
/* mean, code_value and code_grad are optional: the kernel may lack them. */
pudle_status host_check_loss_mean(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *pred, const pudle_view *m,
                                  const pudle_loss_kernel **kernel);
pudle_status host_check_code_value(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *z, double *sum,
                                   const pudle_loss_kernel **kernel);
pudle_status host_check_code_grad(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *z, const pudle_view *g,
                                  const pudle_loss_kernel **kernel);

/** Is the Hessian of a loss the identity, so that its gradient is pred - target? Asked of the loss itself. */
bool host_identity_hessian(pudle_exec *exec, const pudle_instance *loss, int32_t dtype);

/** The read-only view; NULL stays NULL. */
static inline const pudle_cview *host_const(const pudle_view *v, pudle_cview *store)
{
    if (!v)
        return NULL;
    *store = pudle_const(v);
    return store;
}
bool host_contiguous(const pudle_cview *v);

/** Euclidean norm of count entries from `first` on, `step` apart, without overflow or underflow in between. */
double host_norm(const pudle_cview *v, int64_t first, int64_t step, int64_t count);

/** At least `bytes` of memory that this exec keeps for the next time. */
pudle_status host_scratch(pudle_exec *exec, size_t bytes, void **memory);
void host_scratch_free(pudle_exec *exec);

/* ---- members of pudle_backend_ops that are the same in host memory */
pudle_status host_sync(pudle_exec *exec);
pudle_status host_alloc(pudle_exec *exec, size_t bytes, void **memory);
void host_free(pudle_exec *exec, void *memory);
pudle_status host_transfer(pudle_exec *exec, void *to, const void *from, size_t bytes); /* upload and download */
pudle_status host_prox_apply(pudle_exec *exec, const pudle_instance *prox, double tau, const pudle_cview *theta,
                             const pudle_cview *v, const pudle_view *p);
pudle_status host_prox_vjp(pudle_exec *exec, const pudle_instance *prox, double tau, const pudle_cview *theta,
                           const pudle_cview *v, const pudle_cview *p, const pudle_cview *g, const pudle_view *gv,
                           const pudle_view *gtheta);
pudle_status host_loss_value(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *pred,
                             const pudle_cview *target, double *sum);
pudle_status host_loss_grad(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *pred, const pudle_cview *target,
                            const pudle_view *g);
pudle_status host_loss_mean(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *pred, const pudle_view *m);
pudle_status host_loss_hvp(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *pred, const pudle_cview *target,
                           const pudle_cview *u, const pudle_view *hu);
pudle_status host_code_value(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *z, double *sum);
pudle_status host_code_grad(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *z, const pudle_view *g);
const void *host_get_ext(pudle_exec *exec, const char *id); /* NULL */

/** What these backends can run, ends with NULL: {"host", NULL}. */
extern const char *const host_targets[];

#endif
