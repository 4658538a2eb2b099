/* core/train/problem.h - a config come to life: plugin instances, backend, data, network. What every command starts from. */
#ifndef PD_PROBLEM_H
#define PD_PROBLEM_H

#include "config/settings.h"
#include "graph/network.h"
#include "train/ahead.h"

typedef struct pd_problem {
    pd_context *ctx;
    const pd_settings *settings;
    pudle_instance backend, data, prox, loss, inner; /* inner.self is loss.self when the config names no inner loss */
    bool own_inner;
    struct pd_missing *gaps, *inner_gaps; /* what loss and inner need to pass over missing entries; NULL: they do not */
    const pudle_backend_ops *be;
    pudle_exec *exec;
    const pudle_data_ops *source;
    const pudle_data_truth *truth; /* NULL: the source does not know */
    pudle_data_info train;         /* the training split */
    bool epoch_free;
    int32_t dtype;
    pd_network net;
    double sigma2;                 /* of D, or A D, when the step was last set from it */
    double lipschitz;              /* of the inner loss; 0: not asked yet. A checkpoint keeps it */
    double *baseline;              /* the network's at first, one number an entry of a sample; NULL: 0 */
    pd_array true_dictionary;      /* read once, when first asked for */
    pd_array host_dictionary;      /* room for the one that is compared with it, update after update */

    /* one batch: in host memory, with the backend, and the next one, where it is read ahead */
    int64_t capacity;
    pd_samples host, next;
    void *x, *y, *code;
    pd_ahead *ahead;    /* NULL: nothing was ever asked for */
    bool alone;         /* there can be none */
    int64_t *held;      /* indices the buffers hold now, so that a repeated full batch is read once */
    int64_t held_count; /* 0: nothing */
    pd_census after_step; /* of D, after the optimiser's last step: a backend may defer it */
    double last_rate;
    struct pd_atom_prox *atom_prox; /* NULL: atoms are held to nothing but their norm */
    double zero_loss;      /* the most that codes of zeros were found to cost; train/stability.h */
    bool growth_told;
    int held_split;
} pd_problem;

/** Plugin instances and the network, D not yet set. Checks that data, dictionary and prox fit together. given: the shape of
 *  samples that the caller brings itself, so that the config's data source is left alone; else NULL. */
pudle_status pd_problem_open(pd_context *ctx, const pd_settings *settings, const pudle_data_info *given, pd_problem *problem);
void pd_problem_close(pd_problem *problem);

/** D as the config's init says, thresholds likewise; step and levels brought up to date. */
pudle_status pd_problem_initialise(pd_problem *problem);
/** The norm atoms are kept at: 1, or 1 / channels. */
double pd_problem_atom_norm(const pd_problem *problem);
/** D from a host array of the network's weight shape. */
pudle_status pd_problem_set_dictionary(pd_problem *problem, const pudle_cview *d);
/** D into a host array that the caller frees. out: zeroed, or what an earlier call gave, whose memory is used again. */
pudle_status pd_problem_get_dictionary(pd_problem *problem, pd_array *out);

/** What stands in the layers, step ("c/L" needs the present D) and layer decay, then the levels. Call after every update of D. */
pudle_status pd_problem_refresh(pd_problem *problem, double beta);

/** The layer decay that is in force at an update. */
double pd_problem_beta(const pd_problem *problem, int64_t update);

/** Read samples and hand them to the backend. The batch is valid until the next call. */
pudle_status pd_problem_batch(pd_problem *problem, int split, uint64_t epoch, const int64_t *index, int64_t count, pd_batch *batch);
/** Has a loss a check of its targets? One that has not takes no number that is not finite. */
bool pd_looks_at_targets(const pudle_desc *loss);
/** Look at all training samples, where they are the same in every epoch and a loss looks at its targets: what would end the run in its middle
 *  is found before it begins. */
pudle_status pd_problem_check_targets(pd_problem *problem);
/** Samples that will be asked for next, of at most the last batch's number: they may be read meanwhile. */
void pd_problem_ahead(pd_problem *problem, int split, uint64_t epoch, const int64_t *index, int64_t count);
/** `count` samples that the caller brings: x (count, features) in host memory, of the problem's dtype. targets: the training loss will be asked about them, too. */
pudle_status pd_problem_own_batch(pd_problem *problem, const pudle_cview *x, bool targets, pd_batch *batch);
/** `count` samples in order. */
pudle_status pd_problem_first(pd_problem *problem, int split, int64_t first, int64_t count, pd_batch *batch);

/** Predictions (count, features), with the backend, become those of codes of zeros: the baseline. */
pudle_status pd_problem_baseline(pd_problem *problem, const pudle_view *predictions);
/** Does a prediction stand for a mean other than itself? */
bool pd_problem_has_mean(const pd_problem *problem);
/** Predictions (count, features), with the backend, become the means that they stand for: what the data is expected to be. */
pudle_status pd_problem_mean(pd_problem *problem, const pudle_view *predictions);

/** ||D - D*||_F / ||D*||_F on unit atoms, in fixed order, and after the best permutation and signs, and lags where they are filters; NaN where no truth is
 *  known. assigned may be NULL: it costs O(p^3), and what pd_distance_shifted says. */
pudle_status pd_problem_dictionary_error(pd_problem *problem, double *fixed, double *assigned);

/** Does the source know the dictionary that made its data, of as many atoms of the same shape as D's? */
bool pd_problem_knows_truth(const pd_problem *problem);
/** And codes that have an entry for each of the model's? Filters lie at the same places, too. */
bool pd_problem_knows_codes(const pd_problem *problem);
/** Then: which entry of a code stands for each true one, and what it is multiplied by to stand for that one: sign and ratio of norms. moved: some filters suit the
 *  true ones best at another lag, and so no entries do. match, factor: (entries of a code) */
pudle_status pd_problem_match_truth(pd_problem *problem, int64_t *match, double *factor, bool *moved);
/** Then: the true codes of `count` samples in order, into host memory. codes: (count, entries of a code), f32 or f64 */
pudle_status pd_problem_true_codes(pd_problem *problem, int split, int64_t first, int64_t count, const pudle_view *codes);

/** The number of samples of a split. @errors NOTFOUND */
pudle_status pd_problem_samples(pd_problem *problem, int split, int64_t *samples);
/** That of the test samples, which train.test_every asks for. */
pudle_status pd_problem_tests(pd_problem *problem, int64_t *samples);

/** Stop with NUMERIC, naming layer and update, if the loss or the gradient is not finite. */
pudle_status pd_problem_check_finite(pd_problem *problem, const pd_batch *batch, const pd_pass *pass, int64_t update);

/** Write D as .npy, and as a picture of its atoms unless png is NULL. */
pudle_status pd_problem_write_dictionary(pd_problem *problem, const char *npy, const char *png);

#endif
