/* The unrolled network against a slow reference written straight from the formulas, on random odd shapes; its gradients against
 * finite differences; the same bits for any number of threads; sums that do not depend on how the batch is cut. */
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
#include "opened.h"

static char config_path[] = "/tmp/pudle-network-XXXXXX";
static const char *other = "cpu"; /* the backend compared with the reference; PUDLE_TEST_BACKEND names another */

static bool backend_found(const char *name)
{
    const pd_plugin *plugin = NULL;
    const bool found = !pd_plugin_find(ctx, PUDLE_KIND_BACKEND, name, &plugin);
    pd_error_clear(ctx);
    return found;
}

/* ------------------------------------------------------- one problem at a time */

typedef struct setup {
    const char *backend, *precision, *gradient, *learn, *loss;
    int64_t n, m, p, layers, truncate, seed;
    double step, lambda, decay;
    bool nonnegative, hard, over_l; /* over_l: step = "1/L" */
    int threads; /* 0: the backend's default */
    const char *encoder, *learn_step; /* NULL: tied, none */
    bool encoder_layers;
    const char *prox; /* the group's text, where it is none of the thresholds with lambda */
    bool near; /* begin near the dictionary that the data was made of */
    const char *way; /* the cpu backend's option `unroll`; NULL: auto */
    double nudge; /* the dictionary is multiplied by 1 + nudge (f64 in the memory of the host) */
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
    if (s->prox)
        fprintf(f, " };\nprox: { %s };\n", s->prox);
    else
        fprintf(f, " };\nprox: { name = \"%s\"; %s = %.17g; nonnegative = %s; decay = %.17g; learn = \"%s\"; };\n",
                s->hard ? "hard_threshold" : "soft_threshold", s->hard ? "threshold" : "lambda", s->lambda, s->nonnegative ? "true" : "false",
                s->decay, s->learn);
    fprintf(f, "loss: { name = \"%s\"; };\ntrain: { epochs = 1; seed = %lld; };\n", s->loss, (long long)s->seed);
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

/* ------------------------------------------------------------- slow reference */

/* Gradient of the mean training loss, sample by sample, entry by entry. theta (T, cols); gtheta (T, cols) or NULL. */
typedef struct slow { double loss, *gd, *gtheta; } slow;

static double shrink(const setup *s, double v, double t, double *dv, double *dt)
{
    const double a = s->nonnegative ? v : fabs(v);
    *dv = a > t;
    *dt = s->hard || !(a > t) ? 0 : v > 0 ? -1 : 1;
    return !(a > t) ? 0 : s->hard ? v : v > 0 ? v - t : v + t;
}

static void slow_sample(const setup *s, const double *d, const double *x, const double *theta, int64_t cols, int64_t depth, slow *out)
{
    const int64_t m = s->m, p = s->p, T = s->layers;
    double *z = calloc((size_t)((T + 1) * p), sizeof *z), *dv = calloc((size_t)(T * p), sizeof *dv), *dt = calloc((size_t)(T * p), sizeof *dt);
    double *r = calloc((size_t)((T + 1) * m), sizeof *r), *u = calloc((size_t)p, sizeof *u), *h = calloc((size_t)m, sizeof *h);
    const double inner = 1.0 / (double)s->n, lasso = strcmp(s->loss, "lasso") ? 0 : 0.1;
    for (int64_t t = 0; t <= T; t++) {
        for (int64_t i = 0; i < m; i++) {
            r[t * m + i] = -x[i];
            for (int64_t k = 0; k < p; k++)
                r[t * m + i] += d[i * p + k] * z[t * p + k];
        }
        for (int64_t k = 0; k < p && t < T; k++) {
            double v = z[t * p + k];
            for (int64_t i = 0; i < m; i++)
                v -= s->step * d[i * p + k] * r[t * m + i];
            z[(t + 1) * p + k] = shrink(s, v, theta[t * cols + (cols > 1 ? k : 0)], &dv[t * p + k], &dt[t * p + k]);
        }
    }
    for (int64_t i = 0; i < m; i++)
        out->loss += 0.5 * inner * r[T * m + i] * r[T * m + i];
    for (int64_t k = 0; k < p; k++) {
        out->loss += inner * lasso * fabs(z[T * p + k]);
        u[k] = lasso * (z[T * p + k] > 0 ? 1 : z[T * p + k] < 0 ? -1 : 0);
        for (int64_t i = 0; i < m; i++) {
            u[k] += d[i * p + k] * r[T * m + i];
            out->gd[i * p + k] += inner * r[T * m + i] * z[T * p + k];
        }
    }
    for (int64_t t = T - 1; t >= T - depth; t--) {
        for (int64_t k = 0; k < p; k++) {
            out->gtheta[t * cols + (cols > 1 ? k : 0)] += inner * dt[t * p + k] * u[k];
            u[k] *= dv[t * p + k];
        }
        for (int64_t i = 0; i < m; i++) {
            h[i] = 0;
            for (int64_t k = 0; k < p; k++)
                h[i] += d[i * p + k] * u[k];
            for (int64_t k = 0; k < p; k++)
                out->gd[i * p + k] -= inner * s->step * (r[t * m + i] * u[k] + h[i] * z[t * p + k]);
        }
        for (int64_t k = 0; k < p; k++)
            for (int64_t i = 0; i < m; i++)
                u[k] -= s->step * d[i * p + k] * h[i];
    }
    free(z);
    free(dv);
    free(dt);
    free(r);
    free(u);
    free(h);
}

/* max |a - b| against max |b|, or against `size`, of which a gradient that is zero but for rounding is made. */
static double relative(const double *a, const double *b, int64_t n, double size)
{
    double worst = 0, scale = size;
    for (int64_t i = 0; i < n; i++) {
        worst = fmax(worst, isnan(a[i]) ? INFINITY : fabs(a[i] - b[i]));
        scale = fmax(scale, fabs(b[i]));
    }
    return scale > 0 ? worst / scale : worst;
}

static setup random_setup(void)
{
    static const char *const learns[] = { "none", "global", "atom", "layer", "layer_atom" };
    setup s = { .gradient = between(0, 1) ? "ae" : "truncated", .learn = learns[between(0, 4)], .loss = between(0, 1) ? "lasso" : "least_squares",
                .n = between(1, 70), .m = between(1, 23), .p = between(1, 31), .layers = between(1, 9), .seed = between(1, 1000000),
                .step = 0.05 + 0.1 * pudle_random_uniform(&random_state), .lambda = 0.3 * pudle_random_uniform(&random_state) + 0.01,
                .decay = between(0, 1) ? 1.0 : 0.9, .nonnegative = between(0, 1) == 1, .hard = between(0, 3) == 0 };
    s.truncate = between(1, s.layers);
    return s;
}

static void against_reference(const setup *s, double bound)
{
    opened o;
    open_problem(s, &o);
    pd_network *net = &o.pb.net;
    const pd_level *level = &net->level[0];
    const int64_t depth = !strcmp(s->gradient, "ae") || s->truncate > s->layers ? s->layers : s->truncate;
    pd_pass pass = { .gradient = true };
    run(&o.pb, &pass);
    pd_batch batch;
    assert_int_equal(pd_problem_first(&o.pb, PUDLE_SPLIT_TRAIN, 0, s->n, &batch), PUDLE_OK);
    const pudle_view bx = pd_view((void *)(uintptr_t)batch.x.data, batch.x.dtype, 2, batch.x.shape);
    double *x = doubles(&o.pb, &bx), *d = doubles(&o.pb, &net->dictionary.value), *gd = doubles(&o.pb, &net->dictionary.grad);
    slow want = { 0, calloc((size_t)(s->m * s->p), sizeof(double)), calloc((size_t)(s->layers * level->cols), sizeof(double)) };
    for (int64_t i = 0; i < s->n; i++)
        slow_sample(s, d, x + i * s->m, level->host, level->cols, depth, &want);
    const double got = pass.data_loss + pass.code_loss;
    if (!(fabs(got - want.loss) <= bound * fabs(want.loss)) || !(relative(gd, want.gd, s->m * s->p, want.loss) <= bound))
        fail_msg("seed %lld %s %s %s: loss %.17g and %.17g, gradient off by %.3g", (long long)s->seed, s->backend, s->precision, s->gradient, got,
                 want.loss, relative(gd, want.gd, s->m * s->p, want.loss));
    if (level->learned) {
        double *own = doubles(&o.pb, &level->parameter.grad), *sum = calloc((size_t)(level->rows * level->cols), sizeof *sum), beta = 1;
        for (int64_t t = 0; t < s->layers; t++, beta *= s->decay)
            for (int64_t k = 0; k < level->cols; k++)
                sum[(level->rows > 1 ? t : 0) * level->cols + k] += beta * want.gtheta[t * level->cols + k];
        if (!(relative(own, sum, level->rows * level->cols, want.loss) <= bound * 10))
            fail_msg("seed %lld %s %s learn %s: threshold gradient off by %.3g", (long long)s->seed, s->backend, s->precision, s->learn,
                     relative(own, sum, level->rows * level->cols, want.loss));
        free(own);
        free(sum);
    }
    free(x);
    free(d);
    free(gd);
    free(want.gd);
    free(want.gtheta);
    close_problem(&o);
}

static void matches_slow_reference(void **state)
{
    (void)state;
    for (int round = 0; round < 60; round++) {
        setup s = random_setup();
        for (int b = 0; b < 2; b++) {
            s.backend = b ? other : "ref";
            if (!backend_found(s.backend))
                continue;
            s.precision = "f64";
            against_reference(&s, 1e-10);
        }
    }
}

/* ---------------------------------------------- a backend's own encoder */

typedef struct outcome { double *code, *gradient, *level, loss; int64_t codes, weights, levels; bool unrolled; } outcome;

/* Everything a batch gives, with or without what the backend offers beyond primitives. */
static outcome outcome_of(const setup *s, bool primitives)
{
    opened o;
    outcome out = { .codes = s->n * s->p, .weights = s->m * s->p };
    open_problem(s, &o);
    pd_network *net = &o.pb.net;
    pudle_backend_ops bare = *net->be;
    bare.get_ext = NULL;
    if (primitives)
        net->be = &bare;
    if (s->nudge != 0) {
        double *d = net->dictionary.value.data;
        for (int64_t i = 0; i < out.weights; i++)
            d[i] *= 1 + s->nudge;
        assert_int_equal(pd_network_refresh(net), PUDLE_OK);
    }
    void *memory = NULL;
    assert_int_equal(net->be->alloc(net->exec, (size_t)out.codes * pudle_dtype_size(net->dtype), &memory), PUDLE_OK);
    pd_pass pass = { .gradient = true, .code = pd_matrix(memory, net->dtype, s->n, s->p) };
    run(&o.pb, &pass);
    run(&o.pb, &pass); /* the second batch finds what the first has left */
    out.loss = pass.data_loss + pass.code_loss;
    out.code = doubles(&o.pb, &pass.code);
    out.gradient = doubles(&o.pb, &net->dictionary.grad);
    out.unrolled = net->unroll != NULL;
    if (net->level[0].learned) {
        out.level = doubles(&o.pb, &net->level[0].parameter.grad);
        out.levels = net->level[0].rows * net->level[0].cols;
    }
    net->be->free(net->exec, memory);
    pd_lanes_free(net);
    net->be = o.pb.be;
    close_problem(&o);
    return out;
}

static void outcome_free(outcome *o)
{
    free(o->code);
    free(o->gradient);
    free(o->level);
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

/* Distance of the input of the prox that is nearest to a kink: within rounding of it a support may differ. */
static double margin(const setup *s)
{
    opened o;
    setup wide = *s;
    wide.precision = "f64";
    wide.backend = "ref";
    open_problem(&wide, &o);
    pd_batch batch;
    assert_int_equal(pd_problem_first(&o.pb, PUDLE_SPLIT_TRAIN, 0, s->n, &batch), PUDLE_OK);
    const double *x = batch.x.data, *d = o.pb.net.dictionary.value.data;
    const pd_level *level = &o.pb.net.level[0];
    assert_int_equal(pd_network_refresh(&o.pb.net), PUDLE_OK);
    double *z = malloc((size_t)s->p * sizeof *z), *r = malloc((size_t)s->m * sizeof *r), least = INFINITY, unused[2];
    for (int64_t i = 0; i < s->n; i++) {
        memset(z, 0, (size_t)s->p * sizeof *z);
        for (int64_t t = 0; t < s->layers; t++) {
            for (int64_t f = 0; f < s->m; f++) {
                r[f] = -x[i * s->m + f];
                for (int64_t k = 0; k < s->p; k++)
                    r[f] += d[f * s->p + k] * z[k];
            }
            for (int64_t k = 0; k < s->p; k++) {
                double v = z[k];
                for (int64_t f = 0; f < s->m; f++)
                    v -= s->step * d[f * s->p + k] * r[f];
                const double level_k = level->host[t * level->cols + (level->cols > 1 ? k : 0)];
                least = fmin(least, fabs(fabs(v) - level_k));
                z[k] = shrink(s, v, level_k, &unused[0], &unused[1]);
            }
        }
    }
    free(z);
    free(r);
    close_problem(&o);
    return least;
}

/* What the backend's own encoder gives must be what primitives give. */
static void compare_ways(const setup *s, int round, double bound, outcome *fast)
{
    outcome bare = outcome_of(s, true);
    *fast = outcome_of(s, false);
    assert_true(!bare.unrolled);
    const double size = bare.loss + 1e-3;
    const double code = relative(fast->code, bare.code, fast->codes, 0.01), gradient = relative(fast->gradient, bare.gradient, fast->weights, size),
                 level = relative(fast->level, bare.level, fast->levels, size);
    if (!(code <= bound) || !(gradient <= bound) || !(level <= 10 * bound) || !(fabs(fast->loss - bare.loss) <= bound * bare.loss))
        fail_msg("seed %lld round %d %s %s p %lld m %lld n %lld T %lld: code off by %.3g, gradient by %.3g, levels by %.3g, losses %.17g %.17g",
                 (long long)s->seed, round, s->precision, s->prox ? s->prox : s->hard ? "hard" : "soft", (long long)s->p, (long long)s->m,
                 (long long)s->n, (long long)s->layers, code, gradient, level, fast->loss, bare.loss);
    outcome_free(&bare);
}

static void unrolled_matches_primitives(void **state)
{
    (void)state;
    if (!backend_found(other))
        skip();
    int compared = 0, sparse = 0, dense = 0;
    for (int round = 0; round < 60; round++) {
        setup s = large_setup(round);
        const bool wide = round % 3 != 0;
        s.way = round % 2 && !strcmp(other, "cpu") ? "rows" : NULL;
        s.precision = wide ? "f64" : "f32";
        if (margin(&s) < (wide ? 1e-12 : 1e-5))
            continue;
        outcome fast;
        compare_ways(&s, round, wide ? 1e-11 : 1e-5, &fast);
        assert_true(fast.unrolled);
        int64_t nonzero = 0;
        for (int64_t i = 0; i < fast.codes; i++)
            nonzero += fast.code[i] != 0;
        sparse += nonzero < fast.codes / 10;
        dense += nonzero > fast.codes / 3;
        outcome_free(&fast);
        compared++;
    }
    print_message("# %d problems, %d with few nonzeros, %d with many\n", compared, sparse, dense);
    assert_true(compared >= 30 && sparse >= 3 && dense >= 3);
}

/* Many layers near the truth, where most atoms can be left out of most layers; with and without a Gram matrix, by shares and by
 * outer products, as sizes have it. */
static void long_unrolls_match_primitives(void **state)
{
    (void)state;
    if (!backend_found("cpu"))
        skip();
    for (int round = 0; round < 40; round++) {
        static const int64_t samples[] = { 1, 3, 9, 40, 150 };
        setup s = random_setup();
        s.near = true;
        s.backend = "cpu";
        s.precision = "f64";
        s.p = between(20, round % 4 ? 90 : 400);
        s.m = between(s.p / 2 + 5, s.p + 20);
        s.n = samples[round % 5];
        s.layers = between(40, 160);
        s.truncate = between(1, s.layers);
        s.step = 0.1 + 0.1 * pudle_random_uniform(&random_state);
        s.lambda = s.hard ? 0.1 + 0.1 * pudle_random_uniform(&random_state) : 0.05 + 0.3 * pudle_random_uniform(&random_state);
        s.decay = between(0, 2) ? 1.0 : 0.995;
        s.way = round % 10 < 5 ? "rows" : "tiles";
        outcome fast;
        compare_ways(&s, round, 1e-11, &fast);
        assert_true(fast.unrolled);
        outcome_free(&fast);
    }
}

/* Whether some input of an operator lies so near a kink or a jump that rounding in single precision may carry it across: then the
 * outcome is not smooth when all weights change by a few roundings, and the second difference of it is no longer tiny. */
static bool hangs_on_rounding(const setup *wide, const outcome *exact, double bound)
{
    const double size = exact->loss + 1e-3;
    setup s = *wide;
    outcome side[2];
    for (int i = 0; i < 2; i++) {
        s.nudge = i ? 4e-6 : -4e-6;
        side[i] = outcome_of(&s, true);
    }
    for (int64_t i = 0; i < exact->codes; i++) /* both sides less the middle, to be compared with the middle */
        side[0].code[i] -= exact->code[i] - side[1].code[i];
    for (int64_t i = 0; i < exact->weights; i++)
        side[0].gradient[i] -= exact->gradient[i] - side[1].gradient[i];
    const bool hangs = !(relative(side[0].code, exact->code, exact->codes, 0.01) <= bound) ||
                       !(relative(side[0].gradient, exact->gradient, exact->weights, size) <= bound);
    outcome_free(&side[0]);
    outcome_free(&side[1]);
    return hangs;
}

/* In single precision against double: a bound, or ten times what primitives lose, for c - G z is less exact than D'(x - D z) where
 * the two parts are large and nearly cancel. */
static void single_is_as_good(const setup *wide, const outcome *exact, double bound)
{
    setup s = *wide;
    s.precision = "f32";
    outcome fast = outcome_of(&s, false), bare = outcome_of(&s, true);
    const double size = exact->loss + 1e-3;
    const double code[] = { relative(fast.code, exact->code, exact->codes, 0.01), relative(bare.code, exact->code, exact->codes, 0.01) };
    const double gradient[] = { relative(fast.gradient, exact->gradient, exact->weights, size), relative(bare.gradient, exact->gradient, exact->weights, size) };
    if (!(code[0] <= fmax(bound, 10 * code[1])) || !(gradient[0] <= fmax(bound, 10 * gradient[1])))
        fail_msg("seed %lld %s p %lld m %lld n %lld T %lld in f32: code off by %.3g, with primitives %.3g; gradient by %.3g, %.3g", (long long)s.seed, s.prox,
                 (long long)s.p, (long long)s.m, (long long)s.n, (long long)s.layers, code[0], code[1], gradient[0], gradient[1]);
    outcome_free(&fast);
    outcome_free(&bare);
}

/* Tiles that are full, blocks of several, and lanes of several blocks; few atoms, down to one, which are no whole vectors; so many
 * layers that most of them go back by few atoms, all of them or the last ones. */
static void many_samples_match_primitives(void **state)
{
    (void)state;
    if (!backend_found("cpu"))
        skip();
    int single = 0;
    for (int round = 0; round < 24; round++) {
        setup s = random_setup();
        s.near = true;
        s.backend = "cpu";
        s.precision = "f64";
        s.way = "tiles";
        s.p = round % 3 ? between(1, 20) : between(40, 110);
        s.m = between(s.p / 2 + 5, s.p + 20);
        s.n = between(512, 1100);
        s.layers = round % 4 ? between(60, 130) : between(1, 12);
        s.truncate = between(1, s.layers);
        s.step = 0.2;
        s.lambda = s.hard ? 0.1 + 0.1 * pudle_random_uniform(&random_state) : 0.05 + 0.4 * pudle_random_uniform(&random_state);
        s.decay = 1;
        outcome fast;
        compare_ways(&s, round, 1e-11, &fast);
        assert_true(fast.unrolled);
        outcome_free(&fast);
        s.hard = false;
        s.gradient = "ae";
        if (round % 3 && margin(&s) >= 2e-6) { /* and in vectors of twice the width, where no support hangs on rounding */
            outcome wide = outcome_of(&s, true);
            single_is_as_good(&s, &wide, 1e-5);
            outcome_free(&wide);
            single++;
        }
    }
    print_message("# %d in single precision\n", single);
    assert_true(single > 0);
}

/* A large dictionary and few samples: the threads share the tiles of one lane. */
static void threads_share_tiles(void **state)
{
    (void)state;
    if (!backend_found("cpu"))
        skip();
    setup s = { .backend = "cpu", .precision = "f64", .gradient = "ae", .learn = "none", .loss = "least_squares", .n = 70, .m = 750, .p = 400, .layers = 12,
                .seed = between(1, 1000000), .step = 0.1, .lambda = 0.1, .decay = 1, .way = "tiles", .threads = 2 };
    outcome one, two;
    compare_ways(&s, 0, 1e-11, &one);
    outcome_free(&one);
    s.precision = "f32"; /* for bits alone: some support hangs on its rounding */
    two = outcome_of(&s, false);
    s.threads = 1;
    one = outcome_of(&s, false);
    assert_true(one.unrolled && two.unrolled);
    assert_memory_equal(one.code, two.code, (size_t)one.codes * sizeof *one.code);
    assert_memory_equal(one.gradient, two.gradient, (size_t)one.weights * sizeof *one.gradient);
    outcome_free(&one);
    outcome_free(&two);
}

/* The group of a prox, with a number an atom where its options are lists of them. */
static void options_of(const char *name, int64_t atoms, char *text, size_t size)
{
    const bool weights = !strcmp(name, "weighted_l1"), signs = !strcmp(name, "signed_soft_threshold");
    size_t used = (size_t)snprintf(text, size, "name = \"%s\";%s", name, weights ? " weights = [" : signs ? " signs = [" : "");
    for (int64_t k = 0; k < atoms && (weights || signs); k++) {
        const char *const comma = k + 1 < atoms ? ", " : "];";
        used += weights ? (size_t)snprintf(text + used, size - used, "%.2f%s", 0.5 + 0.01 * (double)k, comma)
                        : (size_t)snprintf(text + used, size - used, "%d%s", (int)(k % 3) - 1, comma);
    }
    assert_true(used < size);
}

/* Every operator that the backend's own encoder takes, with the values its options have by themselves; primitives do the others
 * in any case. */
static void every_prox_unrolls_the_same(void **state)
{
    (void)state;
    if (!backend_found("cpu"))
        skip();
    pd_plugin_row *rows = NULL;
    int count = 0, unrolled = 0, single = 0;
    assert_int_equal(pd_plugin_scan(ctx, &rows, &count), PUDLE_OK);
    for (int i = 0; i < count; i++) {
        const pd_plugin *plugin = rows[i].plugin;
        if (rows[i].kind != PUDLE_KIND_PROX || rows[i].reason || rows[i].shadowed)
            continue;
        const pudle_prox_ops *ops = plugin->desc->ops;
        const uint32_t caps = plugin->desc->caps;
        if (!(caps & PUDLE_PROX_SEPARABLE) || ops->vjp_needs == PUDLE_VJP_NONE)
            continue;
        const bool rows_too = !(caps & PUDLE_PROX_SURROGATE) && ops->dead_zone; /* tiles take every operator */
        char text[1024];
        for (int round = 0; round < 8; round++) {
            setup s = { .backend = "cpu", .precision = "f64", .gradient = "ae", .learn = "none", .loss = "least_squares", .near = round > 3,
                        .n = between(1, 9), .m = between(10, 40), .p = between(3, 60), .layers = round > 3 ? 60 : 8, .seed = between(1, 1000000),
                        .step = 0.1, .decay = 1, .prox = text, .way = rows_too && round % 2 ? "rows" : "tiles" };
            options_of(plugin->desc->name, s.p, text, sizeof text);
            outcome fast;
            compare_ways(&s, round, 1e-11, &fast);
            assert_true(fast.unrolled);
            /* derivatives above 1, which only operators have that are not convex, multiply rounding from layer to layer: there single
             * precision is only looked at for something else than rounding */
            if (!hangs_on_rounding(&s, &fast, 1e-6)) {
                single_is_as_good(&s, &fast, caps & PUDLE_PROX_CONVEX ? 1e-5 : 1e-2);
                single++;
            }
            outcome_free(&fast);
        }
        unrolled++;
    }
    pd_plugin_rows_free(rows, count);
    print_message("# %d operators, %d problems of %d in single precision\n", unrolled, single, 8 * unrolled);
    assert_true(unrolled > 0 && single >= 4 * unrolled);
}

/* Central difference of the loss in entry i of a parameter. */
static double difference(pd_problem *pb, double *d, int64_t i, double h)
{
    const double kept = d[i];
    double f[2];
    for (int k = 0; k < 2; k++) {
        pd_pass forward = { .gradient = false };
        d[i] = kept + (k ? h : -h);
        assert_int_equal(pd_network_refresh(&pb->net), PUDLE_OK);
        run(pb, &forward);
        f[k] = forward.data_loss + forward.code_loss;
    }
    d[i] = kept;
    assert_int_equal(pd_network_refresh(&pb->net), PUDLE_OK);
    return (f[1] - f[0]) / (2 * h);
}

/* ------------------------------------------------ encoders of their own */

static setup encoder_setup(void)
{
    static const char *const steps[] = { "none", "global", "layer" };
    setup s = random_setup();
    s.precision = "f64";
    s.hard = false;
    s.encoder = between(0, 1) ? "analysis" : "untied";
    s.encoder_layers = between(0, 1) == 1;
    s.learn_step = steps[between(0, 2)];
    return s;
}

/* Entry i of something that is learned, changed by h; what follows from it is brought up to date. */
static double loss_at(pd_problem *pb, double *value, double to)
{
    pd_pass forward = { .gradient = false };
    *value = to;
    assert_int_equal(pd_network_refresh(&pb->net), PUDLE_OK);
    run(pb, &forward);
    return forward.data_loss + forward.code_loss;
}

static double central(pd_problem *pb, double *value, double h)
{
    const double kept = *value, up = loss_at(pb, value, kept + h), down = loss_at(pb, value, kept - h);
    loss_at(pb, value, kept);
    return (up - down) / (2 * h);
}

static void encoders_match_finite_differences(void **state)
{
    (void)state;
    int used = 0, tried = 0;
    for (int round = 0; round < 12; round++) {
        setup s = encoder_setup();
        opened o;
        s.backend = "ref";
        s.gradient = "ae";
        open_problem(&s, &o);
        pd_parameter *list[PD_MAX_PARAMETERS];
        const int n = pd_network_parameters(&o.pb.net, list);
        assert_true(n >= 2);
        for (int k = 0; k < n; k++) { /* away from E = B = D */
            const pudle_cview c = pudle_const(&list[k]->value);
            for (int64_t i = 0; i < pudle_count(&c); i++)
                ((double *)list[k]->value.data)[i] *= 1 + 0.1 * (pudle_random_uniform(&random_state) - 0.5);
        }
        assert_int_equal(pd_network_refresh(&o.pb.net), PUDLE_OK);
        pd_pass pass = { .gradient = true };
        run(&o.pb, &pass);
        for (int k = 0; k < n; k++) {
            const pudle_cview c = pudle_const(&list[k]->value);
            const int64_t count = pudle_count(&c);
            double *g = doubles(&o.pb, &list[k]->grad), *value = list[k]->value.data; /* host memory on this backend */
            for (int probe = 0; probe < 12; probe++) {
                const int64_t i = between(0, count - 1);
                const double wide = central(&o.pb, &value[i], 1e-6), narrow = central(&o.pb, &value[i], 2.5e-7);
                tried++;
                if (fabs(wide - narrow) > 1e-7 + 1e-7 * fabs(wide))
                    continue;
                used++;
                if (!(fabs(wide - g[i]) <= 1e-6 + 1e-5 * fabs(g[i])))
                    fail_msg("seed %lld %s %s, entry %lld: difference %.12g, derivative %.12g", (long long)s.seed, s.encoder, list[k]->name, (long long)i,
                             wide, g[i]);
            }
            free(g);
        }
        close_problem(&o);
    }
    assert_true(used * 10 >= tried * 8);
}

/* While all weights are D, the gradients of D, E and B add up to the one of the tied network; backends agree. */
static void encoders_begin_as_the_tied_one(void **state)
{
    (void)state;
    for (int round = 0; round < 12; round++)
        for (int b = 0; b < 2; b++) {
            setup s = encoder_setup(), tied = s;
            opened o, t;
            s.backend = tied.backend = b ? other : "ref";
            if (!backend_found(s.backend))
                continue;
            tied.encoder = tied.learn_step = NULL;
            tied.encoder_layers = false;
            open_problem(&s, &o);
            open_problem(&tied, &t);
            pd_pass pass = { .gradient = true };
            run(&o.pb, &pass);
            const double loss = pass.data_loss + pass.code_loss;
            run(&t.pb, &pass);
            assert_true(fabs(loss - pass.data_loss - pass.code_loss) <= 1e-12 * fabs(loss));
            const int64_t count = s.m * s.p;
            double *sum = doubles(&o.pb, &o.pb.net.dictionary.grad), *want = doubles(&t.pb, &t.pb.net.dictionary.grad);
            const pd_parameter *const own[] = { &o.pb.net.analysis, &o.pb.net.synthesis };
            for (int k = 0; k < 2; k++) {
                if (!own[k]->value.data)
                    continue;
                double *g = doubles(&o.pb, &own[k]->grad);
                for (int64_t i = 0; i < count * own[k]->value.shape[0]; i++)
                    sum[i % count] += g[i];
                free(g);
            }
            assert_true(relative(sum, want, count, loss) <= 1e-10);
            free(sum);
            free(want);
            close_problem(&o);
            close_problem(&t);
        }
}

typedef struct probes { int used, tried; } probes;

/* Entries of the dictionary's gradient, and of the levels' where they are learned. Where two steps disagree a support changes
 * inside the larger: a kink, and no test of the derivative. */
static void against_differences(const setup *s, probes *count)
{
    opened o;
    open_problem(s, &o);
    pd_network *net = &o.pb.net;
    pd_pass pass = { .gradient = true };
    run(&o.pb, &pass);
    for (int which = -1; which < net->levels; which++) {
        if (which >= 0 && !net->level[which].learned)
            continue;
        pd_parameter *parameter = which < 0 ? &net->dictionary : &net->level[which].parameter;
        const pudle_cview c = pudle_const(&parameter->value);
        double *g = doubles(&o.pb, &parameter->grad), *x = parameter->value.data; /* host memory on this backend */
        for (int probe = 0; probe < 20; probe++) {
            const int64_t i = between(0, pudle_count(&c) - 1);
            const double wide = difference(&o.pb, x, i, 1e-6), narrow = difference(&o.pb, x, i, 2.5e-7);
            count->tried++;
            if (fabs(wide - narrow) > 1e-7 + 1e-7 * fabs(wide))
                continue;
            count->used++;
            if (!(fabs(wide - g[i]) <= 1e-6 + 1e-5 * fabs(g[i])))
                fail_msg("seed %lld %s, %s, entry %lld: difference %.12g, derivative %.12g", (long long)s->seed, s->prox ? s->prox : "soft",
                         parameter->name, (long long)i, wide, g[i]);
        }
        free(g);
    }
    close_problem(&o);
}

static void matches_finite_differences(void **state)
{
    (void)state;
    probes count = { 0, 0 };
    for (int round = 0; round < 10; round++) {
        setup s = random_setup();
        s.backend = "ref";
        s.precision = "f64";
        s.gradient = "ae";
        s.hard = false;
        against_differences(&s, &count);
    }
    assert_true(count.used * 10 >= count.tried * 8);
}

/* Operators that look at more than one entry: the whole network with each of them, levels learned. */
static void structured_prox_matches_finite_differences(void **state)
{
    (void)state;
    static const char *const proxes[] = {
        "name = \"weighted_l1\"; weights = 0.5; lambda = 0.2; learn = \"atom\";",
        "name = \"signed_soft_threshold\"; signs = [1, -1, 0, 0, 1, -1, 1, 0, 0, 0, 1, 1]; lambda = 0.1; learn = \"layer\";",
        "name = \"group_soft_threshold\"; size = 3; lambda = 0.1; learn = \"layer_atom\"; decay = 0.9;",
        "name = \"nonnegative_group\"; sizes = [4, 1, 7]; lambda = 0.1; learn = \"atom\";",
        "name = \"sparse_group\"; size = 4; lambda = 0.05; lambda_group = 0.05; learn = \"global\";",
        "name = \"top_k\"; k = 4;",
        "name = \"batch_top_k\"; k = 4;",
        "name = \"support_selection\"; fraction = 0.25; lambda = 0.2; learn = \"layer\";",
        "name = \"l1_ball\"; radius = 1.0; learn = \"layer\";",
        "name = \"simplex\"; radius = 1.5; learn = \"global\";",
        "name = \"tv1d\"; lambda = 0.3; learn = \"global\";",
    };
    for (size_t i = 0; i < sizeof proxes / sizeof *proxes; i++) {
        probes count = { 0, 0 };
        for (int round = 0; round < 4; round++) {
            setup s = random_setup();
            s.backend = "ref";
            s.precision = "f64";
            s.gradient = "ae";
            s.p = 12;
            s.m = between(8, 20);
            s.prox = proxes[i];
            against_differences(&s, &count);
        }
        print_message("# %.24s: %d of %d entries away from kinks\n", proxes[i] + 7, count.used, count.tried);
        assert_true(count.used * 10 >= count.tried * 6);
    }
}

static void single_precision_is_close(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++)
        for (int b = 0; b < 2; b++) {
            setup s = random_setup();
            s.backend = b ? other : "ref";
            if (!backend_found(s.backend))
                continue;
            s.hard = false; /* a hard threshold jumps: one rounding may change a support */
            s.precision = "f32";
            against_reference(&s, 2e-3);
        }
}

static void same_bits_for_any_threads(void **state)
{
    (void)state;
    if (!backend_found(other))
        skip();
    for (int round = 0; round < 6; round++) {
        setup s = round > 2 ? large_setup(round) : random_setup();
        pd_array d[2] = { { { 0 } } };
        s.backend = other;
        s.precision = round % 2 ? "f32" : "f64";
        s.n = between(100, 700);
        for (int k = 0; k < 2; k++) {
            opened o;
            s.threads = 1 + k;
            open_problem(&s, &o);
            pd_pass pass = { .gradient = true };
            run(&o.pb, &pass);
            assert_int_equal(pd_problem_fetch(&o.pb, &o.pb.net.dictionary.grad, &d[k]), PUDLE_OK);
            close_problem(&o);
        }
        const pudle_cview c = pudle_const(&d[0].view);
        assert_memory_equal(d[0].view.data, d[1].view.data, (size_t)pudle_count(&c) * pudle_dtype_size(c.dtype));
        pd_array_free(&d[0]);
        pd_array_free(&d[1]);
    }
}

static void spectral_norm(void **state)
{
    (void)state;
    setup s = random_setup();
    opened o;
    s.backend = "ref";
    s.precision = "f64";
    open_problem(&s, &o);
    double *d = o.pb.net.dictionary.value.data, sigma2 = 0;
    for (int64_t i = 0; i < s.m; i++) /* orthogonal columns of known length: the largest wins */
        for (int64_t k = 0; k < s.p; k++)
            d[i * s.p + k] = i == k ? 1.0 + (double)k : 0.0;
    assert_int_equal(pd_network_sigma2(&o.pb.net, &sigma2), PUDLE_OK);
    const double largest = (double)(s.m < s.p ? s.m : s.p);
    assert_true(fabs(sigma2 - largest * largest) <= 1e-4 * largest * largest);
    close_problem(&o);
}

/* Learned levels begin where the fixed ones are, also when the step is found from the dictionary. */
static void learned_levels_begin_at_the_options(void **state)
{
    (void)state;
    double loss[5];
    static const char *const learns[] = { "none", "global", "atom", "layer", "layer_atom" };
    setup s = random_setup();
    s.backend = "ref";
    s.precision = "f64";
    s.gradient = "ae";
    s.hard = false;
    s.over_l = true;
    for (int i = 0; i < 5; i++) {
        opened o;
        pd_pass pass = { .gradient = false };
        s.learn = learns[i];
        open_problem(&s, &o);
        run(&o.pb, &pass);
        loss[i] = pass.data_loss + pass.code_loss;
        close_problem(&o);
        assert_true(fabs(loss[i] - loss[0]) <= 1e-12 * fabs(loss[0]));
    }
}

static void divergence_names_the_layer(void **state)
{
    (void)state;
    setup s = random_setup();
    opened o;
    s = (setup){ .backend = "ref", .precision = "f32", .gradient = "ae", .learn = "none", .loss = "least_squares", .n = 20, .m = 10, .p = 15, .layers = 40,
                 .seed = 1, .step = 1e4, .lambda = 0.1, .decay = 1 };
    open_problem(&s, &o);
    pd_batch batch;
    pd_pass pass = { .gradient = true };
    run(&o.pb, &pass);
    assert_int_equal(pd_problem_first(&o.pb, PUDLE_SPLIT_TRAIN, 0, 20, &batch), PUDLE_OK);
    assert_int_equal(pd_problem_check_finite(&o.pb, &batch, &pass, 7), PUDLE_ERR_NUMERIC);
    assert_non_null(strstr(pd_error(ctx), "update 7"));
    assert_non_null(strstr(pd_error(ctx), "layer "));
    pd_error_clear(ctx);
    close_problem(&o);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_slow_reference),   cmocka_unit_test(matches_finite_differences), cmocka_unit_test(single_precision_is_close),
        cmocka_unit_test(same_bits_for_any_threads), cmocka_unit_test(spectral_norm),             cmocka_unit_test(divergence_names_the_layer),
        cmocka_unit_test(learned_levels_begin_at_the_options), cmocka_unit_test(unrolled_matches_primitives),
        cmocka_unit_test(long_unrolls_match_primitives), cmocka_unit_test(many_samples_match_primitives),
        cmocka_unit_test(threads_share_tiles), cmocka_unit_test(every_prox_unrolls_the_same),
        cmocka_unit_test(encoders_match_finite_differences), cmocka_unit_test(encoders_begin_as_the_tied_one),
        cmocka_unit_test(structured_prox_matches_finite_differences),
    };
    return cmocka_run_group_tests_name("network", tests, set_up, tear_down);
}
