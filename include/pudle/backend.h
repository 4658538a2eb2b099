/* pudle/backend.h - compute backends, kind PUDLE_KIND_BACKEND.
 *
 * A backend owns memory and execution. The core cuts a batch into blocks of samples, asks the backend to run some lanes
 * side by side, and inside a lane composes the primitives below; a lane's calls come from one thread, in order. How many
 * lanes and how large the blocks are is a function of the work's shape alone, never of the number of threads: sums over
 * blocks are then taken in the same order, and the bits are the same, on one thread or many.
 *
 * Views hold memory of the backend (alloc), all of one dtype per call. Matrices are row major with last stride 1 and any
 * row stride. Reductions accumulate in double. Work may be queued: an error may surface at sync. */
#ifndef PUDLE_BACKEND_H
#define PUDLE_BACKEND_H

#include <pudle/base.h>

/** Shape of the work, for plan(). */
typedef struct pudle_work {
    uint32_t size;
    int32_t dtype;
    int64_t samples;  /* in the batch */
    int64_t features; /* entries of one sample, m */
    int64_t code;     /* entries of one code, p */
    int64_t layers;   /* T */
    int32_t whole;    /* 1: the prox couples samples: one block only */
    int32_t reserved; /* 0; no padding at the end, so that the struct can grow */
    int64_t memory;   /* since 1.1: bytes that all lanes together should stay within, 0: no wish. The core sees to its own part of it */
} pudle_work;

/** Adam with bias correction, epsilon outside the root:  m <- b1 m + (1-b1) g,  v <- b2 v + (1-b2) g^2,
 *  w <- w - rate/(1-b1^k) m / (sqrt(v)/sqrt(1-b2^k) + epsilon).   Kingma and Ba, 2015 */
typedef struct pudle_adam {
    uint32_t size;
    int32_t reserved;
    double rate, beta1, beta2, epsilon;
    int64_t update; /* k, counted from 1 */
} pudle_adam;

/** A convolutional dictionary: `atoms` filters of (channels, kernel[0], kernel[1]), placed every stride[] pixels so that they lie
 *  wholly inside the image (valid region): code[i] = (data[i] - kernel[i]) / stride[i] + 1. A signal in one dimension is an
 *  image of height 1. Samples are rows (channels, data[0], data[1]), codes rows (atoms, code[0], code[1]), W is
 *  (atoms, channels, kernel[0], kernel[1]), contiguous. */
typedef struct pudle_conv {
    uint32_t size;
    int32_t reserved;
    int64_t atoms, channels;
    int64_t kernel[2], stride[2], data[2], code[2];
} pudle_conv;

typedef pudle_status (*pudle_lane_fn)(void *ctx, pudle_exec *lane, int64_t index);

typedef struct pudle_backend_ops {
    uint32_t size, flags;
    const char *const *targets; /* kernels it can run, best first, ends with NULL: {"host", NULL} */

    /* life and execution */
    pudle_status (*open)(const pudle_host *host, const void *self, pudle_exec **exec);
    void (*close)(pudle_exec *exec);
    /** Facts for `doctor`, one a line: library, architecture, threads, device. Text is cut at size. What may change a result's bits is told by
     *  the lines that do not begin with a blank, without what stands in parentheses: runs remember these. */
    void (*describe)(pudle_exec *exec, char *text, size_t size);
    /** How to cut the work: samples per block and number of lanes; both >= 1. */
    pudle_status (*plan)(pudle_exec *exec, const pudle_work *work, int64_t *rows, int64_t *lanes);
    /** Call fn(ctx, lane, i) for i = 0 .. lanes-1, each once, possibly at the same time; returns after all. The first error
     *  by lane number is returned. */
    pudle_status (*run)(pudle_exec *exec, int64_t lanes, pudle_lane_fn fn, void *ctx);
    pudle_status (*sync)(pudle_exec *exec);

    /* memory, aligned to 64 bytes */
    pudle_status (*alloc)(pudle_exec *exec, size_t bytes, void **memory);
    void (*free)(pudle_exec *exec, void *memory);
    pudle_status (*upload)(pudle_exec *exec, void *to, const void *from_host, size_t bytes);
    pudle_status (*download)(pudle_exec *exec, void *to_host, const void *from, size_t bytes);

    /* arrays of any rank, contiguous unless they are matrices */
    pudle_status (*fill)(pudle_exec *exec, double value, const pudle_view *y);
    pudle_status (*copy)(pudle_exec *exec, const pudle_cview *x, const pudle_view *y);
    pudle_status (*axpby)(pudle_exec *exec, double a, const pudle_cview *x, double b, const pudle_view *y); /* y <- a x + b y; b = 0 ignores old y, even NaN */
    pudle_status (*sign)(pudle_exec *exec, const pudle_cview *x, const pudle_view *y); /* sign(0) = 0, sign(NaN) = NaN */
    pudle_status (*dot)(pudle_exec *exec, const pudle_cview *x, const pudle_cview *y, double *sum);
    pudle_status (*census)(pudle_exec *exec, const pudle_cview *x, int64_t *nonzero, int64_t *nonfinite);

    /* matrices */
    /** C <- a op(A) op(B) + b C; b = 0 ignores old C, even NaN. trans: transpose that factor. */
    pudle_status (*gemm)(pudle_exec *exec, bool trans_a, bool trans_b, double a, const pudle_cview *A, const pudle_cview *B,
                         double b, const pudle_view *C);
    /** Scale each slice along `axis` (1: columns, dense atoms; 0: rows, filters) to Euclidean norm `norm`. A slice of norm
     *  below 1e-12 is divided by 1e-12 / norm instead, so zero stays zero. */
    pudle_status (*normalize)(pudle_exec *exec, int32_t axis, double norm, const pudle_view *w);

    /* optimiser steps, fused: w, g and the state have one shape */
    pudle_status (*momentum)(pudle_exec *exec, double rate, double mu, const pudle_cview *g, const pudle_view *buf, const pudle_view *w); /* buf <- mu buf + g; w <- w - rate buf */
    pudle_status (*adam)(pudle_exec *exec, const pudle_adam *how, const pudle_cview *g, const pudle_view *m, const pudle_view *v, const pudle_view *w);

    /* plugins: the backend picks the kernel of the best target it can run */
    pudle_status (*prox_apply)(pudle_exec *exec, const pudle_instance *prox, double tau, const pudle_cview *theta, const pudle_cview *v, const pudle_view *p);
    pudle_status (*prox_vjp)(pudle_exec *exec, const pudle_instance *prox, double tau, const pudle_cview *theta, const pudle_cview *v,
                             const pudle_cview *p, const pudle_cview *g, const pudle_view *gv, const pudle_view *gtheta);
    pudle_status (*loss_value)(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *pred, const pudle_cview *target, double *sum);
    pudle_status (*loss_grad)(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *pred, const pudle_cview *target, const pudle_view *g);
    pudle_status (*loss_hvp)(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *pred, const pudle_cview *target,
                             const pudle_cview *u, const pudle_view *hu);
    pudle_status (*code_value)(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *z, double *sum);      /* 0 if the loss has none */
    pudle_status (*code_grad)(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *z, const pudle_view *g); /* g += ... */

    const void *(*get_ext)(pudle_exec *exec, const char *id); /* fused operations; NULL: none */

    /* convolution; rows of r, u, z, v may be strided */
    /** u[c, y, x] = sum over atoms k and taps of w[k, c, y - i s, x - j s] z[k, i, j] */
    pudle_status (*conv_apply)(pudle_exec *exec, const pudle_conv *conv, const pudle_cview *w, const pudle_cview *z, const pudle_view *u);
    /** v[k, i, j] = a sum over channels and taps of w[k, c, ky, kx] r[c, i s + ky, j s + kx] + b v; b = 0 ignores old v */
    pudle_status (*conv_adjoint)(pudle_exec *exec, const pudle_conv *conv, const pudle_cview *w, double a, const pudle_cview *r, double b,
                                 const pudle_view *v);
    /** gw[k, c, ky, kx] += a sum over samples and positions of z[k, i, j] r[c, i s + ky, j s + kx] */
    pudle_status (*conv_gradient)(pudle_exec *exec, const pudle_conv *conv, double a, const pudle_cview *r, const pudle_cview *z,
                                  const pudle_view *gw);
    /** Since 1.1. m <- mean of the target that pred stands for; pred itself where the loss has no such function. Optional. */
    pudle_status (*loss_mean)(pudle_exec *exec, const pudle_instance *loss, const pudle_cview *pred, const pudle_view *m);
    /** Since 1.1. Between defer(exec, true) and defer(exec, false) the results of dot, census, loss_value and code_value need not be there
     *  when a call returns: they are when sync() next does, or an error is. Where they go must stay in place until then. Lets a device go
     *  on with what follows. Optional. */
    void (*defer)(pudle_exec *exec, bool on);
    /** Since 1.1. The most bytes that this exec has held at one time of memory which is not the process's: a device's. Optional. */
    size_t (*peak)(pudle_exec *exec);
    /** Since 1.1. g <- g - <w, g>/<w, w> w in each slice along `axis`, which is as in normalize: what is left of a gradient is tangent to the sphere that the slice of w
     *  lies on. A slice of w of zeros leaves g as it is. w and g have one shape. Optional: without it train.tangent is refused. */
    pudle_status (*tangent)(pudle_exec *exec, int32_t axis, const pudle_cview *w, const pudle_view *g);
} pudle_backend_ops;

#endif
