/* core/conform/parts.h - what the files of core/conform share. Nothing outside this folder includes it.
 *
 * runner.c runs tests in processes and prints; trial.c is what a test has at hand; arrays.c places arrays where a wrong access is
 * seen; host.c counts what a plugin takes; options.c draws options; general.c holds the tests of every kind and contract.c those of
 * every kernel; prox_*.c, loss_*.c, data.c and backend*.c the tests of each kind. */
#ifndef PD_CONFORM_PARTS_H
#define PD_CONFORM_PARTS_H

#include "conform/conform.h"
#include "context_private.h"

#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ verdicts */

enum { PD_RUNNING, PD_PASSED, PD_FAILED, PD_SKIPPED };

/** What a test leaves behind, in memory that its process shares with the runner. */
typedef struct pd_verdict {
    volatile int32_t state;
    char text[1536];        /* why it failed or was skipped */
    char drawn[1536];       /* the case at hand: options, shape, precision */
    const char *volatile calling; /* function of the plugin that runs now */
} pd_verdict;

/* --------------------------------------------------------------------- tests */

typedef struct pd_trial pd_trial;

/** One test: true if all is well; a false comes from pd_fails or pd_skips. */
typedef struct pd_test {
    const char *name;
    const char *claim; /* what is true of the plugin when it passes */
    bool (*run)(pd_trial *t);
} pd_test;

extern const pd_test pd_general_tests[], pd_prox_tests[], pd_loss_tests[], pd_data_tests[], pd_backend_tests[]; /* end with NULL */

/** Record the finding; the first one stays. Always false. */
bool pd_fails(pd_trial *t, const char *format, ...) PUDLE_PRINTF(2, 3);
bool pd_skips(pd_trial *t, const char *format, ...) PUDLE_PRINTF(2, 3);

/* ---------------------------------------------------------------------- host */

typedef struct pd_block pd_block;

/** A host that counts, fails on demand, and remembers what it was told. */
typedef struct pd_test_host {
    pd_host_binding binding; /* first: services of the core take the host's ctx for one */
    pudle_host table;
    pthread_mutex_t lock;
    long live, total;        /* blocks not yet freed; blocks ever taken */
    pd_block *blocks;
    bool pages;              /* blocks get pages of their own */
    long until_empty;        /* allocations that still succeed; negative: all */
    int failures;            /* calls of fail ... */
    bool silent;             /* ... one of them without words */
    char said[512];          /* the last message */
} pd_test_host;

void pd_test_host_init(pd_test_host *host, pd_context *ctx);
/** Blocks with pages of their own can or cannot be written. */
void pd_test_host_protect(pd_test_host *host, bool read_only);
bool pd_test_host_owns(const pd_test_host *host, const void *memory);
void pd_test_host_forget(pd_test_host *host); /* what was said */
/** Did the plugin say why it failed? The context's own errors count, as services of the core report there. */
bool pd_test_host_heard(pd_test_host *host);

/* --------------------------------------------------------------------- trial */

typedef struct pd_place pd_place;

struct pd_trial {
    pd_context *ctx;
    const pd_plugin *plugin;
    const pudle_desc *desc;
    const pd_conform_how *how;
    const pd_test *test;
    pudle_random random;
    pd_verdict *verdict;
    pd_test_host host;
    pd_place *places;     /* arrays of the case at hand */
    void *params;         /* of the instance at hand, from pd_draw_params */
    void *self;
    bool alive;           /* self is to be destroyed */
    bool strict;          /* defaults that are refused are no reason to draw others */
    bool refused;         /* the plugin refused the drawn options late, with words: the test begins anew with others */
    bool silent;          /* a check that refuses without words is a finding, no reason to draw others either */
    struct pd_pairs *pairs; /* what params were made from */
    char options[768];    /* the same in words */
};

/** Run f of the plugin, so that a crash in it is known as the plugin's. */
#define PD_IN(t, function, call) (PD_CALL((t)->desc->name, function), (t)->verdict->calling = (function), (call))
#define PD_OUT(t) (PD_RETURNED(), (void)((t)->verdict->calling = NULL))

/** Draw options and make an instance; the one before is destroyed. draw 0: the defaults. */
bool pd_instance_draw(pd_trial *t, int draw);
void pd_instance_drop(pd_trial *t);
/** The drawn options alone. False (skipped) where one is required and cannot be drawn. */
bool pd_params_draw(pd_trial *t, int draw);
/** The defaults and what --set says; failed where the plugin refuses them, but skipped where it has options that cannot be drawn. */
bool pd_params_default(pd_trial *t);
/** An instance from the params at hand. */
bool pd_instance_adopt(pd_trial *t);
/** Params that differ from those at hand only in newly drawn levels; NULL: none was found. */
void *pd_levels_draw(pd_trial *t);
/** check and create with the trial's host. */
pudle_status pd_instance_make(pd_trial *t, void **self);
void pd_instance_unmake(pd_trial *t, void *self);

/** Free the arrays of the case at hand. */
void pd_trial_clear(pd_trial *t);
/** Say what the case at hand is, for reports; follows the options. */
void pd_drawn(pd_trial *t, const char *format, ...) PUDLE_PRINTF(2, 3);

/* -------------------------------------------------------------------- random */

double pd_uniform(pd_trial *t);
double pd_normal(pd_trial *t);
int64_t pd_below(pd_trial *t, int64_t n); /* 0 .. n-1 */
double pd_single(double x);               /* rounded to float: what both precisions can hold */
void pd_fill_normal(pd_trial *t, double *x, int64_t n, double scale); /* entries that both precisions can hold */

/* --------------------------------------------------------------- tolerances */

/** Equal, or both not a number: that a result is none is another test's to say. */
static inline bool pd_same_number(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

/** The same up to `most`. */
static inline bool pd_near_number(double a, double b, double most)
{
    return fabs(a - b) <= most || pd_same_number(a, b);
}

/** Does the table have every option that a source for devices reads as o->NAME? There its members are called as the options are. Else the trial fails. */
bool pd_knows_options(pd_trial *t, const char *body);

/** The one tolerance: a rounding error of 16 units in each of n terms, taken as independent. */
static inline double pd_tolerance(int32_t dtype, int64_t n)
{
    return 16 * (dtype == PUDLE_F64 ? DBL_EPSILON : (double)FLT_EPSILON) * sqrt((double)(n > 1 ? n : 1));
}
/** Step of finite differences in double for arguments of size about 1, the error that central ones then have, and the least
 *  difference between one-sided ones that tells a kink. */
#define PD_STEP 1e-6
#define PD_STEP_ERROR 1e-5
#define PD_KINK 1e-4
/** Of the entries drawn, how many may be left out because they lie at a kink. */
#define PD_KINKS_ALLOWED 0.2

/** How many entries were compared, and how many lay at a kink. */
typedef struct pd_differences { int64_t compared, kinks; } pd_differences;
/** One claimed derivative against the two one-sided differences; scale: what counts as 1. */
bool pd_difference_compare(pd_trial *t, pd_differences *all, const char *what, int64_t entry, double claimed, double right,
                           double left, double scale, double at);
bool pd_difference_enough(pd_trial *t, const pd_differences *all, const char *of);

/* -------------------------------------------------------------------- arrays */

/** PADDED: cheap, for numbers of the suite. PLAIN: pages of its own, which can be made read only or a trap. GUARD: an access outside is
 *  seen at once on that side, and a write on the other side by pd_place_intact. */
enum { PD_PADDED, PD_PLAIN, PD_GUARD_AFTER, PD_GUARD_BEFORE };

/** Memory for an array that lives until pd_trial_clear; NULL, with the trial failed, without memory. name: for reports. */
void *pd_place_new(pd_trial *t, size_t bytes, int guard, const char *name);
/** Everything placed after the mark is freed. */
void *pd_mark(pd_trial *t);
void pd_release(pd_trial *t, void *mark);
double *pd_scratch(pd_trial *t, int64_t n); /* cleared, plain */
/** A view over new memory, shaped like `like`; holding `from` converted, if given. */
pudle_view pd_view_new(pd_trial *t, int32_t dtype, int32_t rank, const int64_t *shape, int guard, const char *name, const double *from);
void pd_view_put(const pudle_view *v, const double *from);
void pd_view_get(const pudle_view *v, double *to);
size_t pd_view_bytes(const pudle_view *v);
void pd_place_protect(pd_trial *t, const void *memory, bool read_only);
/** Are the bytes around the array as they were? false: written before its start or after its end (*after). */
bool pd_place_intact(pd_trial *t, const void *memory, bool *after);

/** The upper half of an array of more than two pages becomes a trap: whoever touches it first waits until fn(ctx) has been
 *  called on another thread. false: the array is too small, or there is no thread. */
bool pd_pause_begin(pd_trial *t, const void *memory, bool (*fn)(void *ctx), void *ctx);
/** true: somebody waited. *result: what fn returned. */
bool pd_pause_end(bool *result);

/** From now on a fault in this process is told to the runner, with the array it hit; in a process of its own it then ends. */
void pd_faults_watch(pd_verdict *verdict, bool own_process);
void pd_faults_watch_host(const pd_test_host *host);

/* ------------------------------------------------------------------ contract */

enum { PD_CALL_INPUTS = 12, PD_CALL_OUTPUTS = 10, PD_CALLS = 8, PD_LEVELS = 8 };

/** A call of a kernel, with arrays in and out, so that what is demanded of all kernels is tested once for all. */
typedef struct pd_call {
    const char *name; /* "apply" */
    int inputs, outputs;
    pudle_view in[PD_CALL_INPUTS], out[PD_CALL_OUTPUTS]; /* out: what is in it stays if added[], else is overwritten */
    const char *in_name[PD_CALL_INPUTS], *out_name[PD_CALL_OUTPUTS];
    bool added[PD_CALL_OUTPUTS];
    int in_place;     /* input that out[0] may lie on; -1: none */
    const void *self;
    const void *owner; /* of the kind */
    pudle_status (*run)(const struct pd_call *call, const pudle_cview *in, const pudle_view *out);
} pd_call;

/** The cases of a kind. */
typedef struct pd_cases {
    /** Draw options, an instance, a shape of at most `limit` entries (0: an empty one), and numbers. */
    bool (*open)(pd_trial *t, void *c, int draw, int64_t limit);
    /** New numbers. */
    bool (*refresh)(pd_trial *t, void *c);
    /** All functions of the host kernel on the case's numbers, in a precision; arrays of the trial. */
    int (*calls)(pd_trial *t, void *c, int32_t dtype, pd_call *calls);
    size_t size;
} pd_cases;

bool pd_contract_output(pd_trial *t, const pd_cases *cases);        /* every entry is written, none is read first */
bool pd_contract_deterministic(pd_trial *t, const pd_cases *cases);
bool pd_contract_in_place(pd_trial *t, const pd_cases *cases);
bool pd_contract_bounds(pd_trial *t, const pd_cases *cases);
bool pd_contract_inputs(pd_trial *t, const pd_cases *cases);
bool pd_contract_threads(pd_trial *t, const pd_cases *cases);
bool pd_contract_empty(pd_trial *t, const pd_cases *cases);
const char *pd_status_text(pudle_status status);
const char *pd_dtype_text(int32_t dtype);
void pd_shape_text(char *text, size_t room, int32_t rank, const int64_t *shape);
/** A shape of a code or of data: (B, K) or (B, K, h, w), at most `limit` entries; limit 0: with an extent of 0. */
void pd_shape_draw(pd_trial *t, int64_t limit, int32_t *rank, int64_t *shape);

/* ---------------------------------------------------------------------- prox */

/** An instance, a shape, levels, and numbers that both precisions can hold. */
typedef struct pd_prox_case {
    const pudle_prox_ops *ops;
    const pudle_prox_kernel *kernel;
    double tau;
    int levels;
    bool per_atom;
    double *level[PD_LEVELS]; /* 1 or atoms values */
    double level_min[PD_LEVELS], level_max[PD_LEVELS];
    int32_t rank;
    int64_t shape[PUDLE_MAX_RANK], n, atoms, inner, sample; /* sample: entries of one */
    double scale;             /* of v */
    double *v, *g;
} pd_prox_case;

extern const pd_cases pd_prox_cases;
int64_t pd_prox_level_count(const pd_prox_case *c);
double pd_prox_level(const pd_prox_case *c, int k, int64_t entry); /* for one entry of v */
/** p = prox(v) in a precision, numbers in double. */
bool pd_prox_apply(pd_trial *t, const pd_prox_case *c, int32_t dtype, const double *v, double *p);
/** gv and, if wanted, gtheta (levels x level_count, overwritten here) at v. */
bool pd_prox_vjp(pd_trial *t, const pd_prox_case *c, int32_t dtype, const double *v, const double *g, double *gv, double *gtheta);
/** tau f(p). */
bool pd_prox_value(pd_trial *t, const pd_prox_case *c, int32_t dtype, const double *p, double *f);

/** Does it refuse these levels or this shape, with PUDLE_ERR_ARG or PUDLE_ERR_UNSUPPORTED? */
bool pd_prox_refuses(pd_trial *t, const pd_prox_case *c);

bool pd_prox_optimal(pd_trial *t);
bool pd_prox_monotone(pd_trial *t);
bool pd_prox_nonexpansive(pd_trial *t);
bool pd_prox_derivative(pd_trial *t);
bool pd_prox_levels(pd_trial *t);
bool pd_prox_jacobian(pd_trial *t);

/* ---------------------------------------------------------------------- loss */

typedef struct pd_loss_case {
    const pudle_loss_ops *ops;
    const pudle_loss_kernel *kernel;
    int32_t rank;
    int64_t shape[PUDLE_MAX_RANK], n, sample;
    int family;               /* of targets */
    double *pred, *target, *u;
} pd_loss_case;

extern const pd_cases pd_loss_cases;
enum { PD_TARGET_FAMILIES = 7 };
const char *pd_target_family(int family);
void pd_target_draw(pd_trial *t, int family, int32_t rank, const int64_t *shape, double *x);
bool pd_loss_value(pd_trial *t, const pd_loss_case *c, int32_t dtype, const double *pred, double *f);
bool pd_loss_grad(pd_trial *t, const pd_loss_case *c, int32_t dtype, const double *pred, double *g);
bool pd_loss_hvp(pd_trial *t, const pd_loss_case *c, int32_t dtype, const double *pred, const double *u, double *hu);
/** The penalty on a code, of the shape of pred, where the host kernel has one; and its gradient, added to g. */
bool pd_loss_penalty(pd_trial *t, const pd_loss_case *c, int32_t dtype, const double *z, double *f);
bool pd_loss_penalty_grad(pd_trial *t, const pd_loss_case *c, int32_t dtype, const double *z, double *g);
bool pd_loss_has_mean(const pd_loss_case *c);

bool pd_loss_gradient(pd_trial *t);
bool pd_loss_curvature(pd_trial *t);
bool pd_loss_symmetric(pd_trial *t);
bool pd_loss_lipschitz(pd_trial *t);
bool pd_loss_convex(pd_trial *t);
bool pd_loss_quadratic(pd_trial *t);
bool pd_loss_separable(pd_trial *t);
bool pd_loss_code(pd_trial *t);

/* ------------------------------------------------------------------ backend */

/** An open backend of its own instance, for checks of kernels through it. */
typedef struct pd_bench {
    pd_trial *t;
    const pudle_backend_ops *ops;
    pudle_instance instance;
    void *params;
    pudle_exec *exec;
} pd_bench;

bool pd_bench_open(pd_trial *t, pd_bench *b);                  /* the plugin under test */
/** The backend of --backend, to run a plugin's kernels through; skipped without one. other: the target of its second kernel, or NULL. */
bool pd_bench_open_named(pd_trial *t, const char *other, pd_bench *b);
void pd_bench_close(pd_bench *b);
bool pd_bench_can(const pd_bench *b, const char *target);
/** A view in the backend's memory with `from` in it, and back. */
bool pd_bench_put(pd_bench *b, int32_t dtype, int32_t rank, const int64_t *shape, const double *from, pudle_view *v);
bool pd_bench_get(pd_bench *b, const pudle_view *v, double *to);
void pd_bench_free(pd_bench *b, pudle_view *v);
/** fn on one lane, then sync. */
pudle_status pd_bench_run(pd_bench *b, pudle_lane_fn fn, void *ctx);

bool pd_backend_convolution(pd_trial *t);
bool pd_backend_adjoint(pd_trial *t);
bool pd_backend_plugins(pd_trial *t);

#endif
