/* core/graph/implicit.h - the gradient of the converged code, without a tape. Internal to core/graph.
 *
 * The encoder's layer F(z) = prox(v), v = z - alpha D' l_in'(D z + a; x), has a fixed point. With J = d prox / dv there, B = D' H D and
 * d = d loss / d code, backpropagation through infinitely many layers sums to
 *   w = (I - J (I - alpha B))^-1 J d,   u = alpha w,   gD = q z' - g u' - (H D u) z'
 * (docs/mathematics.md derives it). q is d loss / d prediction, g and H are gradient and Hessian of the inner loss at D z + a. */
#ifndef PD_IMPLICIT_GRADIENT_H
#define PD_IMPLICIT_GRADIENT_H

#include "graph/lane.h"

/** Beyond this estimated condition number (1-norm) a support is reported, and nothing is solved with it. */
#define PD_CONDITION_LIMIT 1e12

/** Supports of more atoms than this are taken one by one: eight of their matrices leave the cache, and the bound of the condition number,
 *  which grows exponentially with their size, no longer clears them where atoms are coherent. */
enum { PD_TOGETHER = 128 };

/** Places for arrays like the codes of a block. */
enum { PD_IMPLICIT_NEXT, PD_IMPLICIT_U, PD_IMPLICIT_JACOBIAN, PD_IMPLICIT_RESIDUAL, PD_IMPLICIT_P, PD_IMPLICIT_DIRECTION, PD_IMPLICIT_CODES };
/** And like its data. */
enum { PD_IMPLICIT_G, PD_IMPLICIT_H, PD_IMPLICIT_DATA };

typedef struct pd_implicit_space {
    pudle_view code[PD_IMPLICIT_CODES]; /* (rows, code); what the way of solving does not use has no data */
    pudle_view data[PD_IMPLICIT_DATA];  /* (rows, features) */
    void *host_code[2], *host_data;     /* the direct way: diagonal of J, d -> u; Hessian of the block's samples */
    double *matrix, *work;              /* room for matrices and vectors of supports */
    int64_t matrix_room, work_room;     /* doubles */
    int32_t *support, *place;           /* (8, code): of samples side by side; (code + 2) */
    int32_t *count, *order;             /* (rows): size of each support; samples by it */
    double *row;                        /* (rows, 4): scalars of the conjugate gradients */
    bool *left_out;                     /* (rows): ill conditioned, u = 0 */
} pd_implicit_space;

/** Is the matrix of each sample factored, rather than only applied? It is where the prox and the inner loss act on every entry alone
 *  and D is dense: then it is a small symmetric matrix on the support. */
bool pd_implicit_direct(const pd_network *net);

/** What pd_implicit_make takes for a lane, and what a support of all atoms would add to it. */
double pd_implicit_bytes(const pd_network *net, int64_t rows);
pudle_status pd_implicit_make(const pd_network *net, pd_lane_space *space, int64_t rows);
void pd_implicit_free(const pd_network *net, pd_lane_space *space);

/** Bytes of matrices and vectors that pd_implicit_factor adds for a support of all atoms. */
double pd_implicit_worst(const pd_network *net);

/** D, and its Gram matrix where the batch is worth it, to host memory: before the lanes of every batch. The network holds them once, in
 *  double, beside what its lanes take. */
pudle_status pd_implicit_refresh(pd_network *net, int64_t samples);

/** The lane's gradient += that of a block. code: z_T; estimate: D z_T + a; r: q, changed; space->adjoint holds d, changed. */
pudle_status pd_implicit_gradient(const pd_block *b, const pudle_view *code, const pudle_view *estimate, const pudle_view *r);

/** The lane's gradient += (D z' - x) z'' of a block, z' the code fitted again on the support of `code` (graph/refit.c). r: room for a residual. */
pudle_status pd_refit_gradient(const pd_block *b, const pudle_view *code, const pudle_view *estimate, const pudle_view *r);

/** u of every sample, into PD_IMPLICIT_U. v stands in space->input, prox(v) in PD_IMPLICIT_NEXT. */
pudle_status pd_implicit_factor(const pd_block *b, const pudle_view *estimate);
pudle_status pd_implicit_iterate(const pd_block *b, const pudle_view *estimate);

/** gv = J' g at v; gtheta: NULL, or for each level where its gradient is added. */
pudle_status pd_implicit_jacobian(const pd_block *b, const pudle_view *g, const pudle_view *gv, const pudle_view *gtheta);
/** h = H h at the block's estimate. */
pudle_status pd_implicit_hessian(const pd_block *b, const pudle_view *estimate, const pudle_view *h);
/** A diagnosis: is u a number everywhere? */
pudle_status pd_implicit_note(const pd_block *b, const pudle_cview *u);
/** Sample `row` of the block has no usable matrix: its u stays 0, and the lane counts it. condition: the estimate, INFINITY for a matrix
 *  that is not positive definite. */
void pd_implicit_report(const pd_block *b, int64_t row, double condition);

#endif
