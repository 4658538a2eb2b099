/* core/graph/network.h - the unrolled autoencoder and its adjoint, for any linear map, prox and loss.
 *
 *   z_0 = 0;  v_t = z_{t-1} - alpha D' l_in'(D z_{t-1} + a; x);  z_t = prox_t(v_t), t = 1..T;   x_hat = D z_T + a
 *
 * With momentum v_t = y_{t-1} - alpha D' l_in'(D y_{t-1} + a; x), where y_t = z_t + b_t (z_t - z_{t-1}), y_0 = 0.
 * Where the samples are measurements of signals by a known matrix A, W = A D stands in place of D, and D learns by A' times its gradient.
 *
 * A gradient estimator is how far the derivative reaches (its depth, the number of layers from the last one) and what
 * stands for the code in the decoder's part. The training loss is a plugin; this file knows no operator by name. */
#ifndef PD_NETWORK_H
#define PD_NETWORK_H

#include "context.h"
#include "graph/map.h"
#include <pudle/unroll.h>
#include "tensor/arrays.h"

/** What multiplies the residual in the decoder's part of the gradient. */
enum { PD_CODE_ITSELF, PD_CODE_SIGN, PD_CODE_TRUE };

/** What a block of samples adds to the loss, and how many entries of an array are no numbers: results that a backend may defer. */
typedef struct pd_block_sums {
    double data_loss, code_loss;
    double code_norm, code_square; /* ||z_T||_1 and ||z_T||^2, where the network has a weight for them */
    int64_t nonzero, nonfinite;
} pd_block_sums;
typedef struct pd_census { int64_t nonzero, nonfinite; } pd_census;

/** Something that is learned: value and gradient live with the backend, as does the optimiser's state. */
typedef struct pd_parameter {
    char name[48];
    pudle_view value, grad;
    pudle_view state[2]; /* optimiser moments; data NULL when unused */
} pd_parameter;

/** One threshold of the prox: theta_t = parameter * beta^(t-1). A learned parameter is the level itself, in the units of the
 *  code (soft threshold: step * lambda), as in the authors' networks; it does not follow a step that changes later. */
typedef struct pd_level {
    const char *name;
    double initial;     /* the option's value */
    double min, max;    /* range of the option */
    bool bounded;       /* it has one */
    bool per_step;      /* theta = step * value */
    bool learned;
    int64_t rows, cols; /* of the parameter: 1 or T layers, 1 or K atoms */
    pd_parameter parameter; /* learned only; (rows, cols) */
    double *host;       /* (T, cols): theta of every layer */
    void *theta;        /* the same in the network's dtype, with the backend */
} pd_level;

#define PD_MAX_LEVELS 8
#define PD_MAX_PARAMETERS (5 + PD_MAX_LEVELS)
#define PD_DEFERRED_BLOCKS 64

/** Whose weights an encoder layer uses: v_t = z_{t-1} - alpha_t E' l_in'(B z_{t-1}; x). */
enum {
    PD_ENCODER_TIED,     /* E = B = D */
    PD_ENCODER_ANALYSIS, /* E its own, B = D */
    PD_ENCODER_UNTIED    /* E and B their own, D is the decoder's alone */
};

typedef struct pd_network {
    pd_context *ctx;
    const pudle_backend_ops *be;
    pudle_exec *exec;
    int32_t dtype;
    pd_map map;
    pudle_instance prox, loss, inner;
    int64_t layers;
    int64_t depth;      /* layers the derivative reaches back through: 0 .. T */
    int32_t decoder_code; /* PD_CODE_* */
    bool implicit;        /* a system is solved for each sample, for the derivative of the fixed point, graph/implicit.h; depth is then 0 */
    bool refit;           /* and it is the code fitted again instead, graph/refit.c */
    bool keeps_gram;      /* every gradient comes with code_gram */
    bool further;         /* every pass tells how far its codes are from fixed points */
    bool skip_ill;        /* implicit: samples with a badly conditioned support go without it, instead of an error */
    double step;        /* alpha of the config, or c/L */
    double *alpha;      /* (T): the step of every layer: `step`, or what is learned */
    double *momentum;   /* (T): b_t, with which layer t+1 begins at y_t = z_t + b_t (z_t - z_{t-1}); NULL: at z_t */
    int32_t encoder;    /* PD_ENCODER_* */
    int64_t encoder_rows, step_rows; /* weights, and learned steps: 1 for all layers, or T; step_rows 0: not learned */
    double beta;        /* decay of the levels with the layer */
    double data_weight, code_weight; /* of the two parts of the training loss: 1, or 1 / positions (loss.reduction = "mean") */
    double code_l1, code_l2; /* weights of ||z_T||_1 and of 1/2 ||z_T||^2 in the training loss, besides the loss's own penalty */
    const double *baseline; /* a of eta = D z + a, one number an entry of a sample; NULL: 0. The caller's, or own_baseline */
    int64_t offset_groups;  /* a is learned, as so many numbers, each for as many entries that follow each other; 0: it is not; graph/offset.h */
    double *own_baseline;
    pudle_view offset_sum, offset_ones;
    pd_parameter dictionary;
    pudle_view measurement;           /* A (m, n), with the backend: then D is (n, p); data NULL: there is none */
    pd_parameter effective;           /* what stands in the layers, and its gradient: W = A D (m, p), or D itself, in the same memory */
    pudle_view code_gram;             /* (p, p), where the network keeps_gram: the batch's mean of z_T z_T' */
    pd_parameter analysis, synthesis; /* E and B: (encoder_rows, shape of W); no value where they are W */
    pd_parameter steps;               /* (step_rows); no value where the step is not learned */
    pd_parameter offset;              /* (offset_groups, 1); no value where it is not learned */
    int levels;
    pd_level level[PD_MAX_LEVELS];
    int64_t memory;              /* most bytes that the workspaces may take; 0: no limit. The backend's own encoder comes on top */
    struct pd_lane_space *space; /* workspaces, kept from batch to batch */
    int64_t lanes, rows;
    int64_t planned_lanes, planned_rows; /* what the backend would have had, before the budget */
    double workspace_bytes;      /* of all workspaces */
    const pudle_unroll_ops *unroller; /* NULL: the backend composes primitives */
    pudle_unroll *unroll;             /* its own encoder, for the present lanes and rows; NULL: primitives */
    pudle_cview unroll_theta[PD_MAX_LEVELS];
    double *unroll_step;              /* (T) */
    double *host_atoms, *gram;        /* implicit: D' (p, m) in double, and D'D or NULL; in host memory */
    bool plain;                       /* the present workspaces are for primitives whatever the backend offers */
    bool defers;                      /* this pass: results of blocks and of the gradients' census come with its sync */
    pd_block_sums deferred[PD_DEFERRED_BLOCKS]; /* of the batch's blocks; these must outlive any queue that still writes to them */
    pd_census gradient_census[PD_MAX_PARAMETERS];
    double gradient_square;
} pd_network;

/** One batch, with the backend: (n, features), targets the same (data NULL: the input itself), true codes (n, code) or NULL. */
typedef struct pd_batch {
    int64_t count;
    pudle_cview x, y, truth;
    const int64_t *index; /* numbers of the samples in their source, for messages; NULL: unknown */
} pd_batch;

typedef struct pd_pass {
    bool gradient;                 /* fill dictionary.grad and the levels' gradients */
    bool norm;                     /* and tell the norm of the first */
    pudle_view code, reconstruction; /* optional outputs (n, code), (n, features), with the backend */
    double data_loss, code_loss;   /* out: means over the batch; the training loss is their sum */
    double nonzeros;               /* out: mean number of nonzero entries of a code */
    int64_t nonfinite;             /* out: entries of all gradients that are no numbers */
    double gradient_norm;          /* out: ||dictionary.grad||; NaN unless it was asked for */
    double moved, size;            /* out: sums over the batch of ||z_T - F(z_T)||^2, F one layer more, and of ||z_T||^2; 0 unless net->further, or an implicit
                                      gradient was asked */
    double fixed_point;            /* out: the root of their ratio; NaN where they are not known */
    int64_t ill_conditioned;       /* out: samples whose support was too badly conditioned for it */
    double worst_condition;        /* out: of those; INFINITY: not positive definite */
} pd_pass;

/** A (m, n), in host memory and the network's precision, before pd_network_init. */
pudle_status pd_measurement_init(pd_network *net, const pudle_cview *a);
void pd_measurement_fini(pd_network *net);
/** W to the present D. These two do nothing where there is no measurement. */
pudle_status pd_measurement_refresh(pd_network *net);
/** D's gradient from W's. */
pudle_status pd_measurement_gradient(pd_network *net);
/** D z for codes (count, p), with the backend, into (count, n): the signals that predictions are measurements of. */
pudle_status pd_measurement_signals(pd_network *net, const pudle_cview *codes, const pudle_view *signals);

/** Allocate D, gradients, level arrays. The caller has set ctx, be, exec, dtype, map, instances, layers, depth, step, beta,
 *  encoder, encoder_rows, step_rows and the levels' descriptions. */
pudle_status pd_network_init(pd_network *net);
void pd_network_fini(pd_network *net);

/** No gradient will be asked for: no tape, and no systems to solve. */
void pd_network_forward_only(pd_network *net);
/** Everything that is learned, D first; returns how many. */
int pd_network_parameters(pd_network *net, pd_parameter *out[PD_MAX_PARAMETERS]);
/** E and B to what stands in the layers now, learned steps to `step`. */
pudle_status pd_network_start_encoder(pd_network *net);
/** A matrix of the backend's memory, as it comes. */
pudle_status pd_network_take(const pd_network *net, pudle_view *v, int64_t rows, int64_t cols);
/** A parameter's memory: value and gradient, both 0. */
pudle_status pd_parameter_init(pd_network *net, pd_parameter *p, int32_t rank, const int64_t *shape);

/** b_t of every layer: all the same, or FISTA's sequence (Beck and Teboulle 2009, doi:10.1137/080716542). Before pd_network_init. */
pudle_status pd_network_momentum(pd_network *net, bool fista, double b);

/** Learned levels to their initial values, times the step where the option says so: the step must be known. */
pudle_status pd_network_start_levels(pd_network *net);
/** The mean of a learned level as the last refresh found it, over its layers and atoms; and how many of these numbers are 0, and not because of a
 *  decay. */
double pd_level_mean(const pd_network *net, const pd_level *level, int64_t *zeros);
/** Level i of layer t, as the prox takes it. */
pudle_cview pd_level_theta(const pd_network *net, int i, int64_t t);
/** What an option's value is multiplied by to become a level: the step, or 1. */
double pd_level_scale(const pd_network *net, const pd_level *level);

/** Bring theta of every layer up to date with parameters, step and beta. Call after any of them changed. */
pudle_status pd_network_refresh(pd_network *net);

/** Forward through all layers, and, where asked, the estimator's gradient, averaged over the batch.
 *  Same bits for any number of threads. @errors NUMERIC where an implicit gradient meets a badly conditioned support, unless
 *  skip_ill */
pudle_status pd_network_run(pd_network *net, const pd_batch *batch, pd_pass *pass);

/** Where the numbers first stop being finite, for the report of a divergence: the layer (1..T) of the forward pass, or, if
 *  that is clean, of the adjoint; 0: everything is finite; T+1: the loss or the decoder. *prox: the layer's input was finite, and the
 *  prox made of it what is not. */
pudle_status pd_network_diagnose(pd_network *net, const pd_batch *batch, int64_t *layer, bool *in_adjoint, bool *prox);

/** sigma_max(D)^2, or that of A D, from below, by power iteration on D'D from a fixed start, until a round changes it by no more than `change`, relative, or after 200 rounds. */
#define PD_SIGMA_STEP 1e-7 /* for a step made of it */
#define PD_SIGMA_TOLD 1e-3 /* to be told: a tenth of the rounds */
pudle_status pd_network_sigma2(pd_network *net, double change, double *sigma2);

/** The backend may put off the results of reductions on this queue until sync(), or may not any more. Nothing where it cannot. */
void pd_defer(const pudle_backend_ops *be, pudle_exec *exec, bool on);
bool pd_can_defer(const pudle_backend_ops *be);

#endif
