/* Problems for tests of the implicit gradient: a config of some kind with random data, and the gradient that comes of it. Include after cmocka.h. */
#ifndef TESTS_IMPLICIT_PROBLEMS_H
#define TESTS_IMPLICIT_PROBLEMS_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "opened.h"

static char config_path[] = "/tmp/pudle-implicit-XXXXXX", targets_path[] = "/tmp/pudle-implicit-y-XXXXXX", inputs_path[] = "/tmp/pudle-implicit-x-XXXXXX";

/* ------------------------------------------------------- one problem at a time */

typedef struct setup {
    const char *backend, *precision, *gradient, *prox, *loss, *inner, *data, *dictionary, *ill; /* texts of groups; NULL: the usual */
    int64_t n, m, p, layers, seed;
    double step;
    int threads;
} setup;

static inline void open_problem(const setup *s, opened *o)
{
    FILE *f = fopen(config_path, "w");
    assert_non_null(f);
    fprintf(f, "precision = \"%s\";\nbackend: { name = \"%s\"; ", s->precision ? s->precision : "f64", s->backend ? s->backend : "ref");
    if (s->backend && !strcmp(s->backend, "cpu")) /* problems this small are no work for two */
        fprintf(f, "threads = %d; ", s->threads ? s->threads : 1);
    if (s->data)
        fprintf(f, "};\ndata: { %s };\n", s->data);
    else
        fprintf(f, "};\ndata: { name = \"synthetic\"; samples = %lld; features = %lld; atoms = %lld; sparsity = %d; seed = %lld; };\n", (long long)s->n,
                (long long)s->m, (long long)s->p, s->p < 3 ? 1 : 3, (long long)s->seed);
    fprintf(f, "model: { dictionary: { atoms = %lld; %s }; layers = %lld; gradient = \"%s\"; step = ", (long long)s->p,
            s->dictionary ? s->dictionary : "init = \"random\";", (long long)s->layers, s->gradient);
    fprintf(f, s->step > 0 ? "%.17g; " : "\"1/L\"; ", s->step);
    if (s->ill && (!strcmp(s->gradient, "implicit") || !strcmp(s->gradient, "refit")))
        fprintf(f, "ill_conditioned = \"%s\"; ", s->ill);
    fprintf(f, "};\nprox: { %s };\nloss: { %s };\n", s->prox ? s->prox : "name = \"soft_threshold\"; lambda = 0.4;",
            s->loss ? s->loss : "name = \"least_squares\";");
    if (s->inner)
        fprintf(f, "inner_loss: { %s };\n", s->inner);
    fprintf(f, "train: { epochs = 1; seed = %lld; };\n", (long long)s->seed);
    assert_int_equal(fclose(f), 0);
    if (pd_settings_load(ctx, config_path, NULL, 0, &o->settings) || pd_problem_open(ctx, o->settings, NULL, &o->pb) || pd_problem_initialise(&o->pb))
        fail_msg("%s", pd_error(ctx));
}

static inline pudle_status try_run(pd_problem *pb, pd_pass *pass)
{
    pd_batch batch;
    assert_int_equal(pd_problem_first(pb, PUDLE_SPLIT_TRAIN, 0, pb->train.samples, &batch), PUDLE_OK);
    return pd_network_run(&pb->net, &batch, pass);
}

static inline void run(pd_problem *pb, pd_pass *pass)
{
    if (try_run(pb, pass))
        fail_msg("%s", pd_error(ctx));
}

/* A gradient of the dictionary, and of the first level where it is learned. */
typedef struct outcome {
    double *dictionary, *level, loss, fixed_point;
    int64_t weights, levels;
} outcome;

static inline outcome outcome_of(const setup *s)
{
    opened o;
    outcome out = { 0 };
    open_problem(s, &o);
    pd_network *net = &o.pb.net;
    pd_pass pass = { .gradient = true };
    run(&o.pb, &pass);
    const pudle_cview d = pudle_const(&net->dictionary.grad);
    out.loss = pass.data_loss + pass.code_loss;
    out.fixed_point = pass.fixed_point;
    out.dictionary = doubles(&o.pb, &net->dictionary.grad);
    out.weights = pudle_count(&d);
    if (net->levels && net->level[0].learned) {
        out.level = doubles(&o.pb, &net->level[0].parameter.grad);
        out.levels = net->level[0].rows * net->level[0].cols;
    }
    close_problem(&o);
    return out;
}

static inline void outcome_free(outcome *o)
{
    free(o->dictionary);
    free(o->level);
}

/* ||a - b|| / ||b||, or against `size`, of which a gradient that is zero but for rounding is made. */
static inline double relative_norm(const double *a, const double *b, int64_t n, double size)
{
    double off = 0, norm = 0;
    for (int64_t i = 0; i < n; i++) {
        off += (a[i] - b[i]) * (a[i] - b[i]);
        norm += b[i] * b[i];
    }
    return n ? sqrt(off) / fmax(sqrt(norm), size) : 0;
}

/* How far off a gradient's parts are, added up; NaN where any of them is, or the loss. */
static inline double distance(const outcome *x, const outcome *y)
{
    const double size = 1e-3 * fabs(y->loss);
    assert_int_equal(x->weights, y->weights);
    assert_int_equal(x->levels, y->levels);
    return relative_norm(x->dictionary, y->dictionary, x->weights, size) + relative_norm(x->level, y->level, x->levels, size) + 0 * y->loss;
}

static inline void agree(const setup *a, const outcome *y, double bound, const char *what)
{
    outcome x = outcome_of(a);
    const double off = distance(&x, y);
    if (!(off <= bound))
        fail_msg("%s, seed %lld: %s %s %s: off by %.3g (fixed point %.3g)", what, (long long)a->seed, a->backend, a->gradient, a->prox ? a->prox : "", off,
                 x.fixed_point);
    outcome_free(&x);
}

static const char *const backends[] = { "ref", "cpu" };

/* implicit on ref, where dependent atoms are counted and no error. */
static inline pd_pass trial_of(setup s)
{
    opened o;
    pd_pass pass = { .gradient = true };
    s.gradient = "implicit";
    s.backend = "ref";
    s.ill = "skip";
    open_problem(&s, &o);
    run(&o.pb, &pass);
    close_problem(&o);
    return pass;
}

/* Has every sample one implicit gradient? */
static inline bool well_posed(setup s)
{
    return trial_of(s).ill_conditioned == 0;
}

/* Are the codes at a fixed point, to rounding, and is it one that the others can be held to? */
static inline bool converged(setup s)
{
    const pd_pass pass = trial_of(s);
    return pass.fixed_point <= 1e-14 && pass.ill_conditioned == 0;
}

static inline setup small(void)
{
    return (setup){ .n = 8, .m = 10, .p = 15, .layers = 5000, .seed = between(1, 1000000), .gradient = "implicit" };
}

static inline int set_up(void **state)
{
    (void)state;
    return begin_tests((char *const[]){ config_path, targets_path, inputs_path }, 3) || !backend_found("ref"); /* without a backend nothing would be tested */
}

static inline int tear_down(void **state)
{
    (void)state;
    return end_tests((char *const[]){ config_path, targets_path, inputs_path }, 3);
}

#endif
