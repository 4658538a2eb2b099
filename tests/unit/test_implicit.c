/* The implicit gradient against what it is the limit of: backpropagation through thousands of layers, and differences of the loss of
 * converged codes; for dense and convolutional maps, all the ways of solving, and every kind of prox that has a fixed point. What is
 * badly conditioned must be reported. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "graph/lane.h"
#include "graph/implicit.h"
#include "opened.h"

static char config_path[] = "/tmp/pudle-implicit-XXXXXX", targets_path[] = "/tmp/pudle-implicit-y-XXXXXX", inputs_path[] = "/tmp/pudle-implicit-x-XXXXXX";

/* ------------------------------------------------------- one problem at a time */

typedef struct setup {
    const char *backend, *precision, *gradient, *prox, *loss, *inner, *data, *dictionary, *ill; /* texts of groups; NULL: the usual */
    int64_t n, m, p, layers, seed;
    double step;
    int threads;
} setup;

static void open_problem(const setup *s, opened *o)
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
    if (s->ill && !strcmp(s->gradient, "implicit"))
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

static pudle_status try_run(pd_problem *pb, pd_pass *pass)
{
    pd_batch batch;
    assert_int_equal(pd_problem_first(pb, PUDLE_SPLIT_TRAIN, 0, pb->train.samples, &batch), PUDLE_OK);
    return pd_network_run(&pb->net, &batch, pass);
}

static void run(pd_problem *pb, pd_pass *pass)
{
    if (try_run(pb, pass))
        fail_msg("%s", pd_error(ctx));
}

/* A gradient of the dictionary, and of the first level where it is learned. */
typedef struct outcome {
    double *dictionary, *level, loss, fixed_point;
    int64_t weights, levels;
} outcome;

static outcome outcome_of(const setup *s)
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

static void outcome_free(outcome *o)
{
    free(o->dictionary);
    free(o->level);
}

/* ||a - b|| / ||b||, or against `size`, of which a gradient that is zero but for rounding is made. */
static double relative_norm(const double *a, const double *b, int64_t n, double size)
{
    double off = 0, norm = 0;
    for (int64_t i = 0; i < n; i++) {
        off += (a[i] - b[i]) * (a[i] - b[i]);
        norm += b[i] * b[i];
    }
    return n ? sqrt(off) / fmax(sqrt(norm), size) : 0;
}

/* The further off of a gradient's parts; NaN where the loss is. */
static double distance(const outcome *x, const outcome *y)
{
    const double size = 1e-3 * fabs(y->loss);
    assert_int_equal(x->weights, y->weights);
    assert_int_equal(x->levels, y->levels);
    return fmax(relative_norm(x->dictionary, y->dictionary, x->weights, size), relative_norm(x->level, y->level, x->levels, size)) + 0 * y->loss;
}

static void agree(const setup *a, const outcome *y, double bound, const char *what)
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
static pd_pass trial_of(setup s)
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
static bool well_posed(setup s)
{
    return trial_of(s).ill_conditioned == 0;
}

/* Are the codes at a fixed point, to rounding, and is it one that the others can be held to? */
static bool converged(setup s)
{
    const pd_pass pass = trial_of(s);
    return pass.fixed_point <= 1e-14 && pass.ill_conditioned == 0;
}

/* implicit on every backend against ae on ref, both with T layers. False: this problem has not converged in them, or ae's gradient, which
 * follows the codes, is another one after half of them. */
static bool against_ae(setup s, double bound, const char *what)
{
    setup deep = s;
    if (!converged(s))
        return false;
    deep.gradient = "ae";
    deep.backend = "ref";
    outcome y = outcome_of(&deep);
    deep.layers /= 2;
    outcome halfway = outcome_of(&deep);
    const bool settled = distance(&halfway, &y) <= bound;
    s.gradient = "implicit";
    for (size_t b = 0; b < 2 && settled; b++) {
        s.backend = backends[b];
        if (backend_found(s.backend))
            agree(&s, &y, bound, what);
    }
    outcome_free(&y);
    outcome_free(&halfway);
    return settled;
}

enum { DRAWS = 16 }; /* of problems of a kind, until one has converged */

static setup small(void)
{
    return (setup){ .n = 8, .m = 10, .p = 15, .layers = 5000, .seed = between(1, 1000000), .gradient = "implicit" };
}

/* ------------------------------------------------------------------------ tests */

static void matches_5000_layers(void **state)
{
    (void)state;
    int compared = 0, tried = 0;
    while (compared < 10 && tried++ < 40) {
        setup s = small();
        bool settled = against_ae(s, 1e-8, "least_squares");
        s.loss = "name = \"lasso\"; lambda = 0.4;";
        s.inner = "name = \"least_squares\";";
        settled = settled && against_ae(s, 1e-8, "lasso");
        s.loss = "name = \"lasso\"; lambda = 0.03;"; /* not the encoder's lambda: no envelope */
        settled = settled && against_ae(s, 1e-8, "lasso of another lambda");
        compared += settled;
    }
    print_message("# %d of %d problems had converged\n", compared, tried);
    assert_int_equal(compared, 10);
}

static void other_operators(void **state)
{
    (void)state;
    static const char *const proxes[] = {
        "name = \"soft_threshold\"; lambda = 0.1; nonnegative = true;",
        "name = \"soft_threshold\"; lambda = 0.1; learn = \"global\";",
        "name = \"soft_threshold\"; lambda = 0.1; learn = \"atom\";",
        "name = \"soft_threshold\"; lambda = 0.1; nonnegative = true; learn = \"atom\";",
        "name = \"weighted_l1\"; lambda = 0.2; weights = [0.5, 0.4, 1.0, 1.0, 2.0, 0.5, 0.4, 1.0, 1.0, 2.0, 1.0, 1.0, 1.0, 0.8, 0.9]; learn = \"global\";",
        "name = \"elastic_net\"; lambda = 0.1; mu = 0.3;",
        "name = \"ridge\"; mu = 0.3;",
        "name = \"huber_penalty\"; lambda = 0.2;",
        "name = \"box\"; lower = -0.2; upper = 0.3; learn = \"atom\";",
        "name = \"nonnegative\";",
        "name = \"group_soft_threshold\"; size = 3; lambda = 0.3; learn = \"global\";",
        "name = \"sparse_group\"; size = 3; lambda = 0.05; lambda_group = 0.1; learn = \"global\";",
        "name = \"l1_ball\"; radius = 0.5; learn = \"global\";", /* often on a corner, where J = 0 */
        "name = \"l1_ball\"; radius = 4.0; learn = \"global\";",
        "name = \"simplex\"; radius = 3.0; learn = \"global\";",
        "name = \"tv1d\"; lambda = 0.3; learn = \"global\";",
    };
    int compared = 0;
    const int all = sizeof proxes / sizeof *proxes;
    for (int i = 0; i < all; i++) {
        bool done = false;
        for (int draw = 0; draw < DRAWS && !done; draw++) {
            setup s = small();
            s.p = 15;
            s.layers = 2000;
            s.m = 22; /* more features than atoms, so that operators without sparsity have one fixed point */
            s.prox = proxes[i];
            done = against_ae(s, 1e-7, proxes[i]);
        }
        compared += done;
        if (!done)
            print_message("# no problem with %s had converged\n", proxes[i]);
    }
    assert_true(compared >= all - 1);
}

/* Hard thresholds and penalties that are not convex have many fixed points; the derivative is that of the one that is reached. */
static void operators_that_are_not_convex(void **state)
{
    (void)state;
    static const char *const proxes[] = {
        "name = \"hard_threshold\"; threshold = 0.3;",
        "name = \"mcp\"; lambda = 0.1; gamma = 5.0; learn = \"global\";",
        "name = \"firm_threshold\"; lower = 0.05; upper = 0.5;",
        "name = \"top_k\"; k = 4;",
    };
    int compared = 0;
    const int all = sizeof proxes / sizeof *proxes;
    for (int i = 0; i < all; i++) {
        int done = 0;
        for (int draw = 0; draw < DRAWS && done < 2; draw++) {
            setup s = small();
            s.n = 8;
            s.m = 25;
            s.prox = proxes[i];
            done += against_ae(s, 1e-7, s.prox);
        }
        compared += done == 2;
    }
    assert_int_equal(compared, all);
}

static void other_losses(void **state)
{
    (void)state;
    static const struct { const char *loss, *data; double step; } cases[] = {
        { "name = \"poisson\";", "family = \"poisson\"; amplitude_low = 0.3; amplitude_high = 0.8;", 0.02 },
        { "name = \"bernoulli\";", "family = \"bernoulli\";", 0 },
        { "name = \"poisson\"; code_l1 = 0.05; offset = 0.3;", "family = \"poisson\"; amplitude_low = 0.3; amplitude_high = 0.8; offset = 0.3;", 0.02 },
    };
    int compared = 0;
    for (int i = 0; i < 6; i++) {
        bool done = false;
        for (int draw = 0; draw < DRAWS && !done; draw++) {
            char data[400];
            setup s = small();
            s.n = 4;
            s.m = 30;
            s.p = 12;
            s.loss = cases[i / 2].loss;
            s.step = cases[i / 2].step;
            s.layers *= i % 2 ? 3 : 1; /* a soft threshold does not curve the problem */
            s.prox = i % 2 ? "name = \"soft_threshold\"; lambda = 0.3;" : "name = \"elastic_net\"; lambda = 0.2; mu = 0.1;";
            snprintf(data, sizeof data, "name = \"synthetic\"; samples = %lld; features = %lld; atoms = %lld; sparsity = 3; seed = %lld; %s", (long long)s.n,
                     (long long)s.m, (long long)s.p, (long long)s.seed, cases[i / 2].data);
            s.data = data;
            done = against_ae(s, 1e-7, s.loss);
        }
        compared += done;
        if (!done)
            print_message("# no problem with %s and %s had converged\n", cases[i / 2].loss, i % 2 ? "a soft threshold" : "an elastic net");
    }
    assert_int_equal(compared, 6);
}

/* A Hessian that is no diagonal: rows that sum to 1 under a softmax. */
static void loss_over_several_features(void **state)
{
    (void)state;
    int compared = 0;
    for (int draw = 0; draw < DRAWS && compared < 2; draw++) {
        enum { N = 5, M = 12 };
        double x[N * M] = { 0 };
        char data[400];
        setup s = small();
        for (int64_t i = 0; i < N; i++)
            x[i * M + between(0, M - 1)] = 1;
        const int64_t shape[] = { N, M };
        const pudle_cview v = pd_cview(x, PUDLE_F64, 2, shape);
        assert_int_equal(pd_npy_write(ctx, inputs_path, &v), PUDLE_OK);
        snprintf(data, sizeof data, "name = \"npy\"; path = \"%s\";", inputs_path);
        s.data = data;
        s.p = 10;
        s.loss = "name = \"categorical\";";
        s.prox = "name = \"elastic_net\"; lambda = 0.02; mu = 0.05; learn = \"global\";";
        compared += against_ae(s, 1e-7, "categorical");
    }
    assert_int_equal(compared, 2);
}

static void write_random(const char *path, int32_t rank, const int64_t *shape)
{
    int64_t count = 1;
    for (int32_t i = 0; i < rank; i++)
        count *= shape[i];
    double *x = malloc(sizeof *x * (size_t)count);
    assert_non_null(x);
    for (int64_t i = 0; i < count; i++)
        x[i] = pudle_random_normal(&random_state);
    const pudle_cview v = pd_cview(x, PUDLE_F64, rank, shape);
    assert_int_equal(pd_npy_write(ctx, path, &v), PUDLE_OK);
    free(x);
}

static void targets_of_their_own(void **state)
{
    (void)state;
    int compared = 0;
    for (int draw = 0; draw < DRAWS && compared < 2; draw++) {
        char data[400];
        setup s = small();
        const int64_t shape[] = { s.n, s.m };
        write_random(inputs_path, 2, shape);
        write_random(targets_path, 2, shape);
        snprintf(data, sizeof data, "name = \"npy\"; path = \"%s\"; target = \"%s\";", inputs_path, targets_path);
        s.data = data;
        s.prox = "name = \"soft_threshold\"; lambda = 0.3; learn = \"atom\";";
        compared += against_ae(s, 1e-8, "supervised");
    }
    assert_int_equal(compared, 2);
}

static void convolutional(void **state)
{
    (void)state;
    int round = 0;
    for (int draw = 0; draw < DRAWS && round < 4; draw++) {
        char data[400];
        setup s = small();
        const int64_t shape[] = { 2, 2, 8, 7 };
        write_random(inputs_path, 4, shape);
        snprintf(data, sizeof data, "name = \"npy\"; path = \"%s\";", inputs_path);
        s.data = data;
        s.p = 4;
        s.layers = 1500;
        s.dictionary = round % 2 ? "kind = \"conv\"; size = [3, 3]; stride = [2];" : "kind = \"conv\"; size = [4, 3]; stride = [1];";
        s.prox = round < 2 ? "name = \"soft_threshold\"; lambda = 0.6; learn = \"atom\";" : "name = \"elastic_net\"; lambda = 0.5; mu = 0.2;";
        s.loss = round % 2 ? "name = \"least_squares\"; reduction = \"mean\";" : "name = \"least_squares\"; code_l1 = 0.1;";
        round += against_ae(s, 1e-7, s.dictionary);
    }
    assert_int_equal(round, 4);
}

/* Entries of the gradient against central differences of the loss, codes converged at both ends. */
static void matches_differences(void **state)
{
    (void)state;
    int used = 0, tried = 0;
    for (int round = 0; round < 8; round++) {
        setup s = small();
        opened o;
        s.n = 6;
        s.m = 14;
        s.layers = 2000;
        s.step = 0.15;
        s.prox = round % 2 ? "name = \"soft_threshold\"; lambda = 0.4; learn = \"atom\";" : "name = \"elastic_net\"; lambda = 0.1; mu = 0.2;";
        if (!converged(s))
            continue;
        open_problem(&s, &o);
        pd_pass pass = { .gradient = true };
        run(&o.pb, &pass);
        pd_parameter *list[PD_MAX_PARAMETERS];
        const int parameters = pd_network_parameters(&o.pb.net, list);
        for (int k = 0; k < parameters; k++) {
            const pudle_cview c = pudle_const(&list[k]->value);
            double *g = doubles(&o.pb, &list[k]->grad), *x = list[k]->value.data; /* host memory on this backend */
            for (int probe = 0; probe < 10; probe++) {
                const int64_t i = between(0, pudle_count(&c) - 1);
                const double kept = x[i];
                double slope[2];
                for (int narrow = 0; narrow < 2; narrow++) {
                    const double h = narrow ? 2.5e-6 : 1e-5;
                    double f[2];
                    for (int side = 0; side < 2; side++) {
                        pd_pass forward = { .gradient = false };
                        x[i] = kept + (side ? h : -h);
                        assert_int_equal(pd_network_refresh(&o.pb.net), PUDLE_OK);
                        run(&o.pb, &forward);
                        f[side] = forward.data_loss + forward.code_loss;
                    }
                    slope[narrow] = (f[1] - f[0]) / (2 * h);
                }
                x[i] = kept;
                tried++;
                if (fabs(slope[0] - slope[1]) > 1e-7 + 1e-6 * fabs(slope[0])) /* a support changes: a kink */
                    continue;
                used++;
                if (!(fabs(slope[0] - g[i]) <= 1e-6 + 1e-5 * fabs(g[i])))
                    fail_msg("seed %lld %s entry %lld: difference %.12g, derivative %.12g", (long long)s.seed, list[k]->name, (long long)i, slope[0], g[i]);
            }
            free(g);
        }
        assert_int_equal(pd_network_refresh(&o.pb.net), PUDLE_OK);
        close_problem(&o);
    }
    print_message("# %d of %d entries away from kinks\n", used, tried);
    assert_true(tried >= 40 && used * 10 >= tried * 8);
}

/* Factored and iterated solutions are the same, with and without the Gram matrix. */
static void ways_of_solving_agree(void **state)
{
    (void)state;
    int round = 0, tried = 0;
    while (round < 6 && tried++ < 30) {
        setup s = small();
        double *got[2];
        s.n = round % 2 ? 60 : 1; /* 60 samples of 15 atoms are worth a Gram matrix, one is not if atoms are many */
        s.p = round % 2 ? 15 : 40;
        s.m = between(9, 14);
        s.layers = 3000;
        s.prox = round < 2 ? NULL : "name = \"elastic_net\"; lambda = 0.1; mu = 0.05;";
        if (!well_posed(s)) /* 15 atoms in fewer dimensions: a slow sample may still use more atoms than there are dimensions */
            continue;
        for (int k = 0; k < 2; k++) {
            opened o;
            open_problem(&s, &o);
            pudle_desc coupled = *o.pb.net.prox.desc; /* a prox that does not say it is separable */
            coupled.caps &= ~(uint64_t)PUDLE_PROX_SEPARABLE;
            if (k)
                o.pb.net.prox.desc = &coupled;
            pd_pass pass = { .gradient = true };
            run(&o.pb, &pass);
            assert_true((o.pb.net.gram != NULL) == (round % 2 && !k));
            got[k] = doubles(&o.pb, &o.pb.net.dictionary.grad);
            close_problem(&o);
        }
        assert_true(relative_norm(got[1], got[0], s.m * s.p, 1e-6) <= 1e-9);
        free(got[0]);
        free(got[1]);
        round++;
    }
    print_message("# 6 of %d problems were well posed\n", tried);
    assert_int_equal(round, 6);
}

/* Supports on both sides of what is taken side by side, and of all atoms of many; within the memory that was planned for them. */
static void large_supports(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        setup s = small();
        double *got[2];
        s.n = 60;
        s.m = 240;
        s.p = round ? 150 : 300;
        s.layers = 60;
        s.data = "name = \"synthetic\"; samples = 60; features = 240; atoms = 300; sparsity = 20; noise_std = 0.3; seed = 5;";
        s.prox = round ? "name = \"ridge\"; mu = 0.5;" : "name = \"soft_threshold\"; lambda = 0.255;";
        for (int k = 0; k < 2; k++) {
            opened o;
            open_problem(&s, &o);
            pudle_desc coupled = *o.pb.net.prox.desc;
            coupled.caps &= ~(uint64_t)PUDLE_PROX_SEPARABLE;
            if (k)
                o.pb.net.prox.desc = &coupled;
            pd_pass pass = { .gradient = true };
            run(&o.pb, &pass);
            assert_int_equal(pass.ill_conditioned, 0);
            const pd_implicit_space *w = o.pb.net.space[0].implicit;
            int least = INT32_MAX, most = 0;
            for (int64_t i = 0; i < o.pb.net.rows && !k; i++) {
                least = w->count[i] < least ? w->count[i] : least;
                most = w->count[i] > most ? w->count[i] : most;
            }
            if (!k) {
                print_message("# supports of %d to %d atoms\n", least, most);
                assert_true(most > PD_TOGETHER && (round ? least == s.p : least <= PD_TOGETHER));
                assert_true((double)(w->matrix_room + w->work_room) * sizeof(double) <= pd_implicit_worst(&o.pb.net));
            }
            got[k] = doubles(&o.pb, &o.pb.net.dictionary.grad);
            close_problem(&o);
        }
        assert_true(relative_norm(got[1], got[0], s.m * s.p, 1e-6) <= 1e-9);
        free(got[0]);
        free(got[1]);
    }
}

static void single_precision(void **state)
{
    (void)state;
    for (int round = 0; round < 6; round++)
        for (size_t b = 0; b < 2; b++) {
            setup s = small(), wide;
            s.n = 20;
            s.m = 20;
            s.layers = 2000;
            s.prox = round % 2 ? "name = \"group_soft_threshold\"; size = 5; lambda = 0.3;" : NULL; /* both ways of solving */
            wide = s;
            s.precision = "f32";
            s.backend = backends[b];
            wide.backend = "ref";
            if (!backend_found(s.backend))
                continue;
            outcome y = outcome_of(&wide);
            agree(&s, &y, 2e-3, "f32");
            outcome_free(&y);
        }
}

static void same_bits_for_any_threads(void **state)
{
    (void)state;
    if (!backend_found("cpu"))
        skip();
    for (int round = 0; round < 4; round++) {
        setup s = small();
        double *d[2];
        s.n = between(300, 700);
        s.m = 30;
        s.p = 50;
        s.layers = 50;
        s.precision = round % 2 ? "f32" : "f64";
        s.backend = "cpu";
        s.prox = round > 1 ? "name = \"group_soft_threshold\"; size = 5; lambda = 0.3;" : "name = \"soft_threshold\"; lambda = 0.2; learn = \"atom\";";
        s.ill = "skip"; /* 50 layers leave some supports too large: these, too, must not depend on threads */
        for (int k = 0; k < 2; k++) {
            opened o;
            s.threads = 1 + k;
            open_problem(&s, &o);
            pd_pass pass = { .gradient = true };
            run(&o.pb, &pass);
            d[k] = doubles(&o.pb, &o.pb.net.dictionary.grad);
            close_problem(&o);
        }
        assert_memory_equal(d[0], d[1], (size_t)(s.m * s.p) * sizeof **d);
        free(d[0]);
        free(d[1]);
    }
}

/* Two atoms the same: every sample that uses them has a singular matrix. */
static void dependent_atoms_are_reported(void **state)
{
    (void)state;
    int64_t all = 0, users = 0;
    for (int round = 0; round < 8; round++) {
        setup s = small();
        opened o;
        void *memory = NULL;
        s.n = 20;
        s.m = 20; /* else more atoms than dimensions would be dependent as well */
        s.layers = 3000;
        s.step = 0.1;
        s.backend = backends[round % 2];
        s.precision = round / 2 % 2 ? "f32" : "f64";
        s.ill = round < 4 ? "stop" : "skip";
        if (!backend_found(s.backend))
            continue;
        open_problem(&s, &o);
        pd_network *net = &o.pb.net;
        float *narrow = net->dictionary.value.data;
        double *wide = net->dictionary.value.data; /* host memory on these backends */
        for (int64_t i = 0; i < s.m; i++) {
            if (net->dtype == PUDLE_F64)
                wide[i * s.p + 1] = wide[i * s.p];
            else
                narrow[i * s.p + 1] = narrow[i * s.p];
        }
        assert_int_equal(net->be->alloc(net->exec, (size_t)(s.n * s.p) * sizeof(double), &memory), PUDLE_OK);
        pd_pass pass = { .gradient = true, .code = pd_matrix(memory, net->dtype, s.n, s.p) };
        const pudle_status status = try_run(&o.pb, &pass);
        double *code = doubles(&o.pb, &pass.code);
        int64_t using = 0;
        for (int64_t i = 0; i < s.n; i++)
            using += code[i * s.p] != 0 && code[i * s.p + 1] != 0;
        free(code);
        net->be->free(net->exec, memory);
        all += s.n;
        users += using;
        assert_int_equal(pass.ill_conditioned, using);
        assert_true(!using || pass.worst_condition > 1e12);
        if (round < 4 && using) {
            assert_int_equal(status, PUDLE_ERR_NUMERIC);
            assert_non_null(strstr(pd_error(ctx), "sample "));
            assert_non_null(strstr(pd_error(ctx), "ill_conditioned"));
            pd_error_clear(ctx);
        } else {
            assert_int_equal(status, PUDLE_OK);
            double *g = doubles(&o.pb, &net->dictionary.grad);
            for (int64_t i = 0; i < s.m * s.p; i++)
                assert_true(isfinite(g[i]));
            free(g);
        }
        close_problem(&o);
    }
    assert_true(users > 0 && users < all);
}

/* Two atoms a little apart: their Gram matrix has the condition number 4 / distance^2, and the limit lies between these two. */
static void the_condition_number_is_found(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        const double distance = round ? 1e-5 : 1e-7, condition = 4 / (distance * distance);
        setup s = small();
        opened o;
        s.m = 4;
        s.p = 2;
        s.layers = 1;
        s.step = 0.1;
        s.prox = "name = \"ridge\"; mu = 0.0;"; /* both atoms in use */
        s.ill = "skip";
        open_problem(&s, &o);
        double *d = o.pb.net.dictionary.value.data; /* host memory on this backend */
        memset(d, 0, (size_t)(s.m * s.p) * sizeof *d);
        d[0] = d[1] = cos(distance / 2);
        d[2] = sin(distance / 2);
        d[3] = -d[2];
        pd_pass pass = { .gradient = true };
        run(&o.pb, &pass);
        assert_int_equal(pass.ill_conditioned, round ? 0 : s.n);
        assert_true(round || (pass.worst_condition > condition / 4 && pass.worst_condition < condition * 4));
        close_problem(&o);
    }
}

/* Left out altogether, the implicit part is nothing: what remains is the decoder's gradient. Factored, and by conjugate gradients, which
 * have nothing to find either where d has a part that the singular matrix does not reach. */
static void what_is_skipped_is_the_decoders(void **state)
{
    (void)state;
    for (int round = 0; round < 6; round++) {
        setup s = small();
        opened o;
        s.n = 1;
        s.m = 3;
        s.p = 12;
        s.layers = 1; /* far from converged: more atoms than features, and a single step */
        s.prox = "name = \"soft_threshold\"; lambda = 0.001; learn = \"atom\";";
        s.loss = "name = \"lasso\"; lambda = 0.5;";
        s.ill = "skip";
        open_problem(&s, &o);
        pudle_desc coupled = *o.pb.net.prox.desc; /* a prox that does not say it is separable */
        coupled.caps &= ~(uint64_t)PUDLE_PROX_SEPARABLE;
        if (round % 2)
            o.pb.net.prox.desc = &coupled;
        pd_pass pass = { .gradient = true };
        run(&o.pb, &pass);
        assert_int_equal(pass.ill_conditioned, 1);
        assert_true(pass.fixed_point > 1e-3);
        double *left = doubles(&o.pb, &o.pb.net.dictionary.grad), *level = doubles(&o.pb, &o.pb.net.level[0].parameter.grad);
        close_problem(&o);
        s.gradient = "dec";
        s.prox = "name = \"soft_threshold\"; lambda = 0.001;";
        outcome dec = outcome_of(&s);
        assert_true(relative_norm(left, dec.dictionary, 36, 0) <= 1e-14);
        for (int64_t k = 0; k < 12; k++)
            assert_true(level[k] == 0);
        outcome_free(&dec);
        free(left);
        free(level);
    }
}

/* A divergence is one, and no matter of conditioning. */
static void divergence_is_told_apart(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        setup s = small();
        opened o;
        s.precision = "f32";
        s.step = 1e6;
        s.layers = 100;
        s.prox = round ? "name = \"group_soft_threshold\"; size = 5; lambda = 0.3;" : NULL;
        open_problem(&s, &o);
        pd_batch batch;
        pd_pass pass = { .gradient = true };
        run(&o.pb, &pass);
        assert_int_equal(pass.ill_conditioned, 0);
        assert_int_equal(pd_problem_first(&o.pb, PUDLE_SPLIT_TRAIN, 0, s.n, &batch), PUDLE_OK);
        assert_int_equal(pd_problem_check_finite(&o.pb, &batch, &pass, 7), PUDLE_ERR_NUMERIC);
        assert_non_null(strstr(pd_error(ctx), "diverged at update 7"));
        pd_error_clear(ctx);
        close_problem(&o);
    }
}

static int set_up(void **state)
{
    (void)state;
    return begin_tests((char *const[]){ config_path, targets_path, inputs_path }, 3) || !backend_found("ref"); /* without a backend nothing would be tested */
}

static int tear_down(void **state)
{
    (void)state;
    return end_tests((char *const[]){ config_path, targets_path, inputs_path }, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_5000_layers),       cmocka_unit_test(other_operators),
        cmocka_unit_test(operators_that_are_not_convex), cmocka_unit_test(other_losses),
        cmocka_unit_test(loss_over_several_features),
        cmocka_unit_test(targets_of_their_own),      cmocka_unit_test(convolutional),
        cmocka_unit_test(matches_differences),       cmocka_unit_test(ways_of_solving_agree), cmocka_unit_test(large_supports),
        cmocka_unit_test(single_precision),          cmocka_unit_test(same_bits_for_any_threads),
        cmocka_unit_test(dependent_atoms_are_reported), cmocka_unit_test(the_condition_number_is_found), cmocka_unit_test(what_is_skipped_is_the_decoders),
        cmocka_unit_test(divergence_is_told_apart),
    };
    return cmocka_run_group_tests_name("implicit", tests, set_up, tear_down);
}
