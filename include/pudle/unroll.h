/* pudle/unroll.h - extension of backends: all layers of an encoder, and their adjoint, as one operation. A draft: its id changes
 * with its layout.
 *
 * What it computes is what the core composes of primitives where a backend has it not, and the tests hold it to that:
 *   z_0 = 0;  v_t = z_{t-1} - step_t D' l'(D z_{t-1}; x);  z_t = prox_t(v_t),  t = 1 .. T
 *   u = direct + D' residual;  gD <- gD + residual z_T'
 *   for t = T .. T-K+1:  u <- J_t' u;  gD <- gD - step_t (g_t u' + (H D u) z_{t-1}');  u <- u - step_t D' H D u
 * and, where spec.momentum is not NULL, with layers that begin at y_t = z_t + b_t (z_t - z_{t-1}), y_0 = 0, in the place of z_t:
 *   v_t = y_{t-1} - step_t D' l'(D y_{t-1}; x)
 *   w = 0;  for t = T .. T-K+1:  u <- J_t' (u + (1 + b_t) w);  gD <- gD - step_t (g_t u' + (H D u) y_{t-1}');  w' = u - step_t D' H D u;
 *     u <- -b_t w;  w <- w'
 * for a dense D, or a convolutional one where spec.conv says how. A backend is free in how: it owns the tape, and may use that codes
 * are sparse and that the Gram matrix of D serves all layers. */
#ifndef PUDLE_UNROLL_H
#define PUDLE_UNROLL_H

#include <pudle/backend.h>

#define PUDLE_UNROLL "pudle.unroll/2"

/** The work, fixed for the life of an unroll but for the numbers behind the pointers. */
typedef struct pudle_unroll_spec {
    uint32_t size;
    int32_t dtype;
    int64_t features, atoms;       /* entries of a sample, m, and of a code, p */
    int64_t layers, depth;         /* T, and K: the last K layers are differentiated; 0: there will be no tape and no adjoint */
    int64_t rows, lanes;           /* of a block, as plan() said */
    pudle_instance prox, inner;    /* inner: the loss that the encoder descends */
    int32_t levels;                /* of the prox */
    int32_t reserved;
    pudle_cview dictionary;        /* (m, p); filters: (atoms, channels, kernel...), contiguous */
    const pudle_cview *theta;      /* `levels` of (T, 1 or p); filters: (T, 1 or conv->atoms) */
    const double *step;            /* T */
    const pudle_conv *conv;        /* NULL: D is a matrix. Else atoms counts the entries of a code, conv->atoms the filters, which are
                                      `dictionary`, and z and the adjoint are rows (conv->atoms, code[0], code[1]) */
    const double *momentum;        /* T: b_t; NULL: none */
} pudle_unroll_spec;

typedef struct pudle_unroll pudle_unroll;

typedef struct pudle_unroll_ops {
    uint32_t size, flags;
    /** @errors UNSUPPORTED, without a message, where this backend leaves such work to its primitives */
    pudle_status (*create)(pudle_exec *exec, const pudle_unroll_spec *spec, pudle_unroll **out);
    void (*destroy)(pudle_unroll *u); /* NULL is legal */
    /** Before the lanes of every batch, on the root: D, theta or step may have changed. samples: in this batch, at most
     *  spec.rows to a block as before. */
    pudle_status (*refresh)(pudle_unroll *u, int64_t samples);
    /** A block of x (rows <= spec.rows, m) to its codes z (rows, p). With tape, adjoint may follow for the same
     *  block: from the same exec, with no other block in between. */
    pudle_status (*forward)(pudle_unroll *u, pudle_exec *lane, int64_t index, const pudle_cview *x, bool tape, const pudle_view *z);
    /** D z_T (rows, m) of the block that forward did last. */
    pudle_status (*decode)(pudle_unroll *u, pudle_exec *lane, int64_t index, const pudle_view *estimate);
    /** Decoder and encoder, back. residual: d loss / d(D z_T) (rows, m). direct: what z_T adds to the loss by itself, d loss / d z_T
     *  (rows, p); may be overwritten. gradient, of D's shape: residual' z_T and the encoder's part are added to it, but for what finish
     *  adds. gtheta: NULL, or for each level in theta's shape in f64, added to. */
    pudle_status (*adjoint)(pudle_unroll *u, pudle_exec *lane, int64_t index, const pudle_cview *residual, const pudle_view *direct,
                            const pudle_view *gradient, const pudle_view *gtheta);
    /** What the lanes have gathered since refresh: gradient += scale * it. On the root, after the lanes. */
    pudle_status (*finish)(pudle_unroll *u, double scale, const pudle_view *gradient);
    /** Memory it holds now, in bytes. */
    size_t (*bytes)(const pudle_unroll *u);
} pudle_unroll_ops;

#endif
