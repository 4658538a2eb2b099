/* core/graph/lane.h - one lane's workspace: the tape of a block of samples and its share of the gradient. Internal to core/graph. */
#ifndef PD_LANE_H
#define PD_LANE_H

#include "graph/network.h"

/** What a lane keeps. The K = depth last layers are kept, W at a time: those of a window are on the tape together, the first of it in
 *  slot 0, and the windows before the last run again on the way back. Without a budget one window has them all, and slot s stands for
 *  layer T-K+1+s. The layers before share slot 0. Memory does not grow with the batch: a block's tape is used again for the next. */
typedef struct pd_lane_space {
    int64_t window, windows; /* W, 0 where nothing is kept; ceil(K / W), at least 1 */
    pudle_view data;  /* (max(W,1), rows, features): D y_{t-1}, overwritten by the inner gradient in the adjoint */
    pudle_view input; /* (max(W,1) or 1, rows, code): v_t */
    pudle_view code;  /* (W+1, rows, code): z before the window's first layer .. after its last */
    pudle_view point; /* with momentum, like code: y_t, where layer t+1 begins; else it is the code, and this has no data */
    pudle_view begin; /* (windows - 1, rows, code): z before the first layer of every window but the last; data NULL: there is but one */
    pudle_view begin_point; /* the same of y */
    pudle_view back_code, back_data; /* (chunk, rows, code or features): adjoints u_t and H D u_t of a chunk of layers */
    pudle_view reconstruction, residual; /* (rows, features) */
    pudle_view adjoint;                  /* (rows, code) */
    pudle_view adjoint_point;            /* with momentum: of y_t, and `adjoint` is then of z_t but for its part in y_t */
    pudle_view baseline;                 /* (rows, features): a in every row; data NULL: none */
    pudle_view offset, ones;             /* where a is learned: (1, features) its sum, before entries that share a number are added up; (1, rows of a chunk) of 1 */
    pudle_view gradient;                 /* like D: this lane's sum */
    pudle_view analysis, synthesis;      /* the same for E and B, where they are not D */
    pudle_view code_gram;                /* where the network keeps_gram: (code, code), this lane's sum */
    double *step_gradient;               /* (T), where steps are learned */
    double *theta_gradient[PD_MAX_LEVELS]; /* (T, cols) f64, with the backend */
    int64_t chunk;
    bool keeps_input;
    double data_loss, code_loss; /* this lane's sums */
    int64_t nonzeros;
    struct pd_implicit_space *implicit; /* NULL: another estimator */
    int64_t left_out, worst_sample; /* of an implicit gradient: samples that were ill conditioned, and the worst of them */
    double worst_condition;
    double moved, size;          /* squared norms of z_T - F(z_T) and of z_T */
    int64_t bad_layer, bad_adjoint; /* diagnosis: first layer that is not finite; 0: none */
    bool bad_prox;                  /* and its input was */
} pd_lane_space;

/** A block of samples on its way. */
typedef struct pd_block {
    const pd_network *net;
    pudle_exec *exec;
    pd_lane_space *space;
    int64_t lane, first, rows; /* samples [first, first + rows) of the batch */
    pudle_cview x, y;
    bool diagnose;
    double share;              /* of a sample in the batch's mean, 1 / count: adjoints begin with it, so that the gradient of a lane alone needs no pass for it */
} pd_block;

/** Make net->space for batches of `samples` within net->memory, or keep it where it fits. plain: for primitives, whatever the backend
 *  offers, and without a budget: a diagnosis looks into every layer. @errors CONFIG where the budget is too small */
pudle_status pd_lanes_prepare(pd_network *net, int64_t samples, bool plain);
void pd_lanes_free(pd_network *net);
/** net->baseline has changed: the lanes' copies of it. */
pudle_status pd_lanes_baseline(pd_network *net);

/** Samples [first, first + rows) of the batch through the network: the gradient into the lane's, the rest into `sums`, at once or, where
 *  net->defers, by the next sync. */
pudle_status pd_lane_block(const pd_network *net, pudle_exec *exec, pd_lane_space *space, const pd_batch *batch, const pd_pass *pass,
                           int64_t first, int64_t rows, bool diagnose, pd_block_sums *sums);
/** The weights of layer t: the parameter's, one for all layers or one each, or D where it has none. */
pudle_cview pd_lane_weights(const pd_network *net, const pd_parameter *p, int64_t t);
/** u = W z + a. */
pudle_status pd_lane_predict(const pd_block *b, const pudle_cview *w, const pudle_cview *z, const pudle_view *u);

/** One layer more without momentum, F(z_T) of a block's codes: its v and F(z_T) to `v` and `next`, g_in to `g`, z_T - F(z_T) to `change`, which may be `v`; and the squared
 *  norms of the last and of z_T are added to the lane's. */
pudle_status pd_lane_further(const pd_block *b, const pudle_view *code, const pudle_view *estimate, const pudle_view *g, const pudle_view *v,
                             const pudle_view *next, const pudle_view *change);

/** A block's sums to those of its lane. */
void pd_lane_add(const pd_network *net, pd_lane_space *space, const pd_block_sums *sums);

#endif
