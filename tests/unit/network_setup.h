/* One problem at a time, of random shape and options, opened on a backend: what the tests of the network and of a backend's own encoder share.
 * Include after cmocka.h. */
#ifndef TESTS_NETWORK_SETUP_H
#define TESTS_NETWORK_SETUP_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "graph/lane.h"
#include "opened.h"

static char config_path[] = "/tmp/pudle-network-XXXXXX";
static const char *other = "cpu"; /* the backend compared with the reference; PUDLE_TEST_BACKEND names another */

typedef struct setup {
    const char *backend, *precision, *gradient, *learn, *loss;
    int64_t n, m, p, layers, truncate, seed;
    double step, lambda, decay, code_l2;
    bool nonnegative, hard, over_l; /* over_l: step = "1/L" */
    int threads; /* 0: the backend's default */
    const char *encoder, *learn_step; /* NULL: tied, none */
    bool encoder_layers;
    const char *prox; /* the group's text, where it is none of the thresholds with lambda */
    bool near; /* begin near the dictionary that the data was made of */
    int64_t infinite; /* the layer, from 1 on, whose learned level is infinite in host memory; 0: none */
    const char *way; /* the cpu backend's option `unroll`; NULL: auto */
    const char *momentum; /* of the layers, as the config has it; NULL: none */
    const char *learn_offset; /* NULL: there is no offset */
} setup;

static void open_problem(const setup *s, opened *o)
{
    FILE *f = fopen(config_path, "w");
    assert_non_null(f);
    fprintf(f, "precision = \"%s\";\nbackend: { name = \"%s\"; ", s->precision, s->backend);
    if (s->threads)
        fprintf(f, "threads = %d; ", s->threads);
    if (s->way && !strcmp(s->backend, "cpu"))
        fprintf(f, "unroll = \"%s\"; ", s->way);
    if (!strcmp(s->backend, "cpu") && s->seed % 3 == 0) /* where they are the only ones, the same once more */
        fprintf(f, "vectors = \"narrow\"; ");
    fprintf(f, "};\ndata: { name = \"synthetic\"; samples = %lld; features = %lld; atoms = %lld; sparsity = %lld; seed = %lld; };\n", (long long)s->n,
            (long long)s->m, (long long)s->p, (long long)(s->p < 3 ? 1 : 3), (long long)s->seed);
    fprintf(f, "model: { dictionary: { kind = \"dense\"; atoms = %lld; %s }; layers = %lld; gradient = \"%s\";", (long long)s->p,
            s->near ? "init = \"truth\"; noise = 0.02;" : "init = \"random\";", (long long)s->layers, s->gradient);
    if (s->over_l)
        fprintf(f, " step = \"1/L\";");
    else
        fprintf(f, " step = %.17g;", s->step);
    if (!strcmp(s->gradient, "truncated"))
        fprintf(f, " truncate = %lld;", (long long)s->truncate);
    fprintf(f, " encoder = \"%s\"; encoder_layers = %s; learn_step = \"%s\";", s->encoder ? s->encoder : "tied",
            s->encoder_layers ? "true" : "false", s->learn_step ? s->learn_step : "none");
    if (s->momentum)
        fprintf(f, " momentum = \"%s\";", s->momentum);
    if (s->prox)
        fprintf(f, " };\nprox: { %s };\n", s->prox);
    else
        fprintf(f, " };\nprox: { name = \"%s\"; %s = %.17g; nonnegative = %s; decay = %.17g; learn = \"%s\"; };\n",
                s->hard ? "hard_threshold" : "soft_threshold", s->hard ? "threshold" : "lambda", s->lambda, s->nonnegative ? "true" : "false",
                s->decay, s->learn);
    fprintf(f, "loss: { name = \"%s\"; %scode_l2 = %.17g; %s%s%s };\ntrain: { epochs = 1; seed = %lld; };\n", s->loss, strcmp(s->loss, "lasso") ? "" : "lambda = 0.1; ",
            s->code_l2, s->learn_offset ? "offset = 0.3; learn_offset = \"" : "", s->learn_offset ? s->learn_offset : "", s->learn_offset ? "\";" : "",
            (long long)s->seed);
    assert_int_equal(fclose(f), 0);
    if (pd_settings_load(ctx, config_path, NULL, 0, &o->settings) || pd_problem_open(ctx, o->settings, NULL, &o->pb) || pd_problem_initialise(&o->pb))
        fail_msg("%s", pd_error(ctx));
}

static void run(pd_problem *pb, pd_pass *pass)
{
    pd_batch batch;
    assert_int_equal(pd_problem_first(pb, PUDLE_SPLIT_TRAIN, 0, pb->train.samples, &batch), PUDLE_OK);
    if (pd_network_run(&pb->net, &batch, pass))
        fail_msg("%s", pd_error(ctx));
}

static setup random_setup(void)
{
    static const char *const learns[] = { "none", "global", "atom", "layer", "layer_atom" };
    setup s = { .gradient = between(0, 1) ? "ae" : "truncated", .learn = learns[between(0, 4)], .loss = between(0, 1) ? "lasso" : "least_squares",
                .n = between(1, 70), .m = between(1, 23), .p = between(1, 31), .layers = between(1, 9), .seed = between(1, 1000000),
                .step = 0.05 + 0.1 * pudle_random_uniform(&random_state), .lambda = 0.3 * pudle_random_uniform(&random_state) + 0.01,
                .decay = between(0, 1) ? 1.0 : 0.9, .code_l2 = between(0, 2) ? 0 : 0.3, .nonnegative = between(0, 1) == 1, .hard = between(0, 3) == 0 };
    s.truncate = between(1, s.layers);
    return s;
}

/* The same with one of the ways to begin a layer ahead of the code. */
static setup with_momentum(setup s)
{
    static const char *const ways[] = { NULL, "fista", "0.6" };
    s.momentum = ways[between(0, 2)];
    return s;
}

/* Sizes at which samples use few of the atoms, some, and all of them; and densities from almost none to all. */
static setup large_setup(int round)
{
    static const int64_t atoms[] = { 7, 40, 100, 150, 400 };
    setup s = random_setup();
    s.p = atoms[round % 5] + between(0, 30);
    s.m = between(5, 90);
    s.n = between(1, round % 5 == 4 ? 9 : 60);
    s.layers = between(1, 25);
    s.truncate = between(1, s.layers);
    s.step = 0.3 / (1 + sqrt((double)s.p / (double)s.m)) / (1 + sqrt((double)s.p / (double)s.m));
    s.lambda = s.hard ? 0.02 * pow(30, pudle_random_uniform(&random_state)) : 0.02 * pow(200, pudle_random_uniform(&random_state));
    s.backend = other;
    return s;
}

static int set_up(void **state)
{
    (void)state;
    const char *named = getenv("PUDLE_TEST_BACKEND");
    if (named)
        other = named;
    return begin_tests((char *const[]){ config_path }, 1) || !backend_found("ref"); /* without a backend nothing would be tested */
}

static int tear_down(void **state)
{
    (void)state;
    return end_tests((char *const[]){ config_path }, 1);
}

#endif
