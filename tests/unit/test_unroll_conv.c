/* A backend's own encoder of a convolutional dictionary against the primitives that the core composes otherwise: codes, gradients and
 * thresholds' gradients on random odd shapes, in one and two dimensions, with strides up to more than a filter, densities from none to
 * all, several operators, with momentum and without, truncated adjoints; the same bits for any number of threads; and what is no number, or large, goes where it
 * should. */
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
#include "sanitized.h"

static char config_path[] = "/tmp/pudle-unroll-conv-XXXXXX";
static const char *subject = "cpu"; /* PUDLE_TEST_BACKEND names another, and PUDLE_TEST_WAY what its `unroll` is set to */

static bool on_cpu(void)
{
    return !strcmp(subject, "cpu");
}

static double uniform(void)
{
    return pudle_random_uniform(&random_state);
}

typedef struct setup {
    const char *precision, *learn, *loss, *momentum; /* as the config has it; NULL: none */
    char prox[160];      /* the group's text, with a place for the level */
    double level, factor; /* factor: of all levels, for the distance to a kink */
    int dims, threads;
    int64_t n, atoms, channels, data[2], kernel[2], stride[2], layers, depth;
    uint64_t seed;
    double spike; /* what the pixel in the middle of the first image is in place of noise; 0: noise */
} setup;

/* Patches of neighbours overlap by half and more, and there are several along both dimensions: two by two are correlated at once, in narrow
 * vectors where the stride is 1. */
static void share_pixels(setup *s)
{
    s->dims = 2;
    for (int i = 0; i < 2; i++) {
        s->kernel[i] = between(4, 20);
        s->stride[i] = between(0, 2) ? between(1, s->kernel[i] / 2) : 1;
        s->data[i] = s->kernel[i] + s->stride[i] * between(1, 14) + between(0, s->stride[i] - 1);
    }
}

static setup random_setup(void)
{
    static const char *const learns[] = { "none", "global", "atom", "layer", "layer_atom" };
    static const char *const operators[] = {
        "name = \"soft_threshold\"; lambda = %.17g;", "name = \"soft_threshold\"; lambda = %.17g; nonnegative = true;",
        "name = \"hard_threshold\"; threshold = %.17g;", "name = \"elastic_net\"; lambda = %.17g; mu = 0.1;",
        "name = \"mcp\"; lambda = %.17g;", "name = \"soft_threshold\"; lambda = %.17g; decay = 0.9;",
    };
    setup s = { .precision = "f64", .learn = learns[between(0, 4)], .loss = between(0, 1) ? "lasso" : "least_squares", .dims = between(0, 3) ? 2 : 1,
                .atoms = between(0, 2) ? between(1, 20) : between(20, 140), .channels = between(1, 3), .layers = between(1, 8), .factor = 1,
                .seed = (uint64_t)between(1, 1000000) };
    static const char *const momenta[] = { NULL, NULL, "fista", "0.6" };
    const int64_t batches[] = { 1, 1, 1, 3, 17 };
    const bool hard = s.seed % 6 == 2;
    strcpy(s.prox, operators[s.seed % 6]);
    s.n = batches[between(0, 4)];
    s.momentum = momenta[on_cpu() ? between(0, 3) : 0]; /* others have no encoder with it */
    s.depth = between(0, 2) ? s.layers : between(1, s.layers);
    s.level = hard ? 0.003 * pow(300, uniform()) : 0.01 * pow(1000, uniform());
    if (between(0, 9) == 0)
        s.level = hard ? 1e-9 : 0; /* nothing is in the dead zone */
    for (int i = 0; i < 2; i++) {
        const bool none = i == 0 && s.dims == 1;
        s.kernel[i] = none ? 1 : s.dims == 1 ? between(1, 60) : between(1, 12);
        s.stride[i] = none ? 1 : between(0, 5) ? between(1, s.kernel[i]) : s.kernel[i] + between(1, 3);
        s.data[i] = none ? 1 : s.kernel[i] + between(0, s.dims == 1 ? 300 : 40);
    }
    if (between(0, 1))
        share_pixels(&s);
    return s;
}

static void open_problem(const setup *s, opened *o)
{
    FILE *f = fopen(config_path, "w");
    assert_non_null(f);
    fprintf(f, "precision = \"%s\";\nbackend: { name = \"%s\"; threads = %d; ", s->precision, subject, s->threads ? s->threads : 1);
    if (getenv("PUDLE_TEST_WAY"))
        fprintf(f, "unroll = \"%s\"; ", getenv("PUDLE_TEST_WAY"));
    if (on_cpu())
        fprintf(f, "vectors = \"%s\"; ", s->seed / 7 % 3 ? "auto" : "narrow");
    fprintf(f, "};\ndata: { name = \"synthetic\"; samples = %lld; features = %lld; shape = [%lld, ", (long long)s->n,
            (long long)(s->channels * s->data[0] * s->data[1]), (long long)s->channels);
    if (s->dims == 2)
        fprintf(f, "%lld, ", (long long)s->data[0]);
    fprintf(f, "%lld]; atoms = 1; sparsity = 1; };\n", (long long)s->data[1]); /* for its shape: samples are our own */
    fprintf(f, "model: { dictionary: { kind = \"conv\"; atoms = %lld; init = \"random\"; ", (long long)s->atoms);
    if (s->dims == 1)
        fprintf(f, "size = [%lld]; stride = [%lld]; };\n", (long long)s->kernel[1], (long long)s->stride[1]);
    else
        fprintf(f, "size = [%lld, %lld]; stride = [%lld, %lld]; };\n", (long long)s->kernel[0], (long long)s->kernel[1], (long long)s->stride[0],
                (long long)s->stride[1]);
    fprintf(f, "layers = %lld; step = \"0.9/L\"; gradient = \"%s\"; ", (long long)s->layers, s->depth < s->layers ? "truncated" : "ae");
    if (s->depth < s->layers)
        fprintf(f, "truncate = %lld; ", (long long)s->depth);
    if (s->momentum)
        fprintf(f, "momentum = \"%s\"; ", s->momentum);
    fprintf(f, "};\nprox: { ");
    fprintf(f, s->prox, s->level);
    fprintf(f, " learn = \"%s\"; };\nloss: { name = \"%s\"; };\ntrain: { epochs = 1; seed = %llu; };\n", s->learn, s->loss, (unsigned long long)s->seed);
    assert_int_equal(fclose(f), 0);
    if (pd_settings_load(ctx, config_path, NULL, 0, &o->settings) || pd_problem_open(ctx, o->settings, NULL, &o->pb) || pd_problem_initialise(&o->pb))
        fail_msg("%s", pd_error(ctx));
}

/* Samples that are sparse codes and noise, so that a support is neither empty nor full for long. */
static void *samples(const setup *s, int32_t dtype, int64_t count)
{
    pudle_random r = pudle_random_at(s->seed, 7, 0, 0);
    void *x = malloc((size_t)count * pudle_dtype_size(dtype));
    assert_non_null(x);
    for (int64_t i = 0; i < count; i++) {
        const double noise = (float)(pudle_random_normal(&r) * (pudle_random_below(&r, 10) ? 0.3 : 2.0));
        const double value = s->spike != 0 && i == s->data[0] / 2 * s->data[1] + s->data[1] / 2 ? s->spike : noise;
        if (dtype == PUDLE_F64)
            ((double *)x)[i] = value;
        else
            ((float *)x)[i] = (float)value;
    }
    return x;
}

/* Levels that differ from atom to atom, where the config allows it, times the setup's factor. */
static void spread_levels(const setup *s, pd_problem *pb)
{
    pudle_random r = pudle_random_at(s->seed, 8, 0, 0);
    pd_level *level = &pb->net.level[0];
    pd_array all = { 0 };
    if (level->learned) {
        assert_int_equal(pd_problem_fetch(pb, &level->parameter.value, &all), PUDLE_OK);
        const pudle_cview c = pudle_const(&all.view);
        for (int64_t i = 0; i < pudle_count(&c); i++) {
            const double by = s->factor * (0.7 + 0.6 * pudle_random_uniform(&r));
            if (c.dtype == PUDLE_F64)
                ((double *)all.view.data)[i] *= by;
            else
                ((float *)all.view.data)[i] *= (float)by;
        }
        assert_int_equal(pb->be->upload(pb->exec, level->parameter.value.data, all.view.data, (size_t)pudle_count(&c) * pudle_dtype_size(c.dtype)), PUDLE_OK);
        pd_array_free(&all);
    }
    assert_int_equal(pd_network_refresh(&pb->net), PUDLE_OK);
}

typedef struct outcome {
    double *code, *alone, *gradient, *level, loss, alone_loss, nonzeros, step; /* alone: of a pass without a gradient */
    int64_t codes, weights, levels;
    bool unrolled;
    size_t bytes;
} outcome;

static void outcome_free(outcome *o)
{
    free(o->code);
    free(o->alone);
    free(o->gradient);
    free(o->level);
}

static outcome outcome_of(const setup *s, bool primitives)
{
    opened o;
    open_problem(s, &o);
    pd_network *net = &o.pb.net;
    assert_int_equal(net->depth, s->depth); /* else there would be no tape */
    pudle_backend_ops bare = *net->be;
    bare.get_ext = NULL;
    if (primitives)
        net->be = &bare;
    spread_levels(s, &o.pb);
    outcome out = { .codes = s->n * net->map.code };
    const pudle_view given = pd_matrix(samples(s, net->dtype, s->n * net->map.features), net->dtype, s->n, net->map.features);
    const pudle_cview x = pudle_const(&given);
    void *memory = NULL;
    pd_batch batch;
    assert_int_equal(net->be->alloc(net->exec, (size_t)out.codes * pudle_dtype_size(net->dtype), &memory), PUDLE_OK);
    pd_pass pass = { .gradient = true, .code = pd_matrix(memory, net->dtype, s->n, net->map.code) };
    assert_int_equal(pd_problem_own_batch(&o.pb, &x, false, &batch), PUDLE_OK);
    for (int i = 0; i < 4; i++) { /* with a tape, without, without, with: each finds what the one before has left */
        pass.gradient = i == 0 || i == 3;
        if (pd_network_run(net, &batch, &pass))
            fail_msg("%s", pd_error(ctx));
        if (i == 2) {
            out.alone = doubles(&o.pb, &pass.code);
            out.alone_loss = pass.data_loss + pass.code_loss;
        }
    }
    out.loss = pass.data_loss + pass.code_loss;
    out.nonzeros = pass.nonzeros / (double)net->map.code;
    out.code = doubles(&o.pb, &pass.code);
    out.gradient = doubles(&o.pb, &net->dictionary.grad);
    const pudle_cview w = pudle_const(&net->dictionary.grad);
    out.weights = pudle_count(&w);
    out.unrolled = net->unroll != NULL;
    out.step = net->step;
    out.bytes = net->unroll ? net->unroller->bytes(net->unroll) : 0;
    if (net->level[0].learned) {
        out.level = doubles(&o.pb, &net->level[0].parameter.grad);
        out.levels = net->level[0].rows * net->level[0].cols;
    }
    net->be->free(net->exec, memory);
    free(given.data);
    pd_lanes_free(net);
    net->be = o.pb.be;
    close_problem(&o);
    return out;
}

/* Do the supports of all layers stay as they are when the levels change by a little? If not, rounding may change one. */
static bool steady(const setup *s, double by)
{
    for (int64_t t = 1; t <= s->layers; t++) {
        double nonzeros[2];
        for (int i = 0; i < 2; i++) {
            setup near = *s;
            near.precision = "f64";
            near.layers = near.depth = t;
            near.threads = 1;
            near.factor = 1 + (i ? by : -by);
            near.level *= strcmp(s->learn, "none") ? 1 : near.factor;
            outcome o = outcome_of(&near, true);
            nonzeros[i] = o.nonzeros;
            outcome_free(&o);
        }
        if (nonzeros[0] != nonzeros[1])
            return false;
    }
    return true;
}

static void describe(const setup *s, char *text, size_t size)
{
    char prox[200];
    snprintf(prox, sizeof prox, s->prox, s->level);
    snprintf(text, size, "seed %llu %s %dD n %lld atoms %lld channels %lld data %lldx%lld kernel %lldx%lld stride %lldx%lld T %lld K %lld momentum %s %s learn %s %s",
             (unsigned long long)s->seed, s->precision, s->dims, (long long)s->n, (long long)s->atoms, (long long)s->channels, (long long)s->data[0],
             (long long)s->data[1], (long long)s->kernel[0], (long long)s->kernel[1], (long long)s->stride[0], (long long)s->stride[1],
             (long long)s->layers, (long long)s->depth, s->momentum ? s->momentum : "none", prox, s->learn, s->loss);
}

static void compare(const setup *s, double bound, int density[3])
{
    char text[512];
    outcome fast = outcome_of(s, false), bare = outcome_of(s, true);
    describe(s, text, sizeof text);
    assert_true(fast.unrolled == (!on_cpu() || s->channels * s->kernel[0] * s->kernel[1] >= 16)); /* smaller filters are not worth it there */
    assert_true(!bare.unrolled && fast.unrolled == (fast.bytes > 0));
    /* what a code's few small entries are the rest of, was at least the threshold, and was rounded as such */
    const double size = fabs(bare.loss) + 1e-3, least = fmax(0.01, s->level * bare.step);
    const double code = fmax(relative(fast.code, bare.code, fast.codes, least), relative(fast.alone, bare.code, fast.codes, least));
    const double gradient = relative(fast.gradient, bare.gradient, fast.weights, size), level = relative(fast.level, bare.level, fast.levels, size);
    if (!(code <= bound) || !(gradient <= bound) || !(level <= 10 * bound) || !(fabs(fast.loss - bare.loss) <= bound * size) ||
        !(fabs(fast.alone_loss - bare.loss) <= bound * size))
        fail_msg("%s: code off by %.3g, gradient by %.3g, levels by %.3g, losses %.17g %.17g %.17g", text, code, gradient, level, fast.loss,
                 fast.alone_loss, bare.loss);
    density[bare.nonzeros < 0.05 ? 0 : bare.nonzeros < 0.5 ? 1 : 2]++;
    outcome_free(&fast);
    outcome_free(&bare);
}

/* Fewer on another backend, where a device is opened for every outcome. */
static int rounds(int wanted)
{
    return on_cpu() ? rounds_of(wanted) : wanted / 5;
}

/* Bits for any threads, and operators that a sparse tape does not fit, are promises of the cpu backend's encoder. */
static bool about_another(void)
{
    if (!on_cpu())
        print_message("# SKIP it is about the cpu backend, and PUDLE_TEST_BACKEND is %s\n", subject);
    return !on_cpu();
}

static void matches_primitives(void **state)
{
    (void)state;
    if (!backend_found(subject))
        skip();
    int density[3] = { 0 };
    for (int round = 0; round < rounds(150); round++) {
        const setup s = random_setup();
        compare(&s, 1e-11, density);
    }
    print_message("# densities below 0.05: %d, below 0.5: %d, above: %d\n", density[0], density[1], density[2]);
    assert_true(!on_cpu() || (density[0] >= 3 && density[1] >= 3 && density[2] >= 3));
}

/* Layers with momentum begin at two codes, also where those are on no tape, or the older one is not. */
static void matches_primitives_with_momentum(void **state)
{
    (void)state;
    if (about_another() || !backend_found("cpu"))
        skip();
    int density[3] = { 0 };
    for (int round = 0; round < 60; round++) {
        setup s = random_setup();
        s.momentum = round % 2 ? "fista" : "0.6";
        s.layers = between(3, 10);
        s.depth = between(1, round % 3 ? s.layers : 3);
        s.level = 0.1 * pow(30, uniform());
        s.data[1] = s.kernel[1] + s.stride[1] * between(8, 30); /* a band has more positions than are done at once */
        compare(&s, 1e-11, density);
    }
    print_message("# densities below 0.05: %d, below 0.5: %d, above: %d\n", density[0], density[1], density[2]);
    assert_true(density[1] >= 3);
}

static void matches_primitives_in_single_precision(void **state)
{
    (void)state;
    if (!backend_found(subject))
        skip();
    int density[3] = { 0 }, compared = 0;
    for (int round = 0; round < rounds(60); round++) {
        setup s = random_setup();
        s.layers = s.depth = between(1, 4);
        if (!steady(&s, 2e-5))
            continue;
        s.precision = "f32";
        compare(&s, 1e-5, density);
        compared++;
    }
    print_message("# %d problems, densities below 0.05: %d, below 0.5: %d, above: %d\n", compared, density[0], density[1], density[2]);
    assert_true(compared >= (on_cpu() ? 10 : 1));
}

static void same_bits(const double *a, const double *b, int64_t n, const char *what, const setup *s)
{
    char text[512];
    describe(s, text, sizeof text);
    for (int64_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0)
            fail_msg("%s: %s differ at %lld: %.17g %.17g", text, what, (long long)i, a[i], b[i]);
}

static void same_bits_for_any_threads(void **state)
{
    (void)state;
    if (about_another() || !backend_found("cpu"))
        skip();
    for (int round = 0; round < rounds(40); round++) {
        setup s = random_setup();
        s.precision = round % 2 ? "f32" : "f64";
        s.threads = 1;
        outcome one = outcome_of(&s, false);
        s.threads = 2 + round % 3;
        outcome many = outcome_of(&s, false);
        same_bits(one.code, many.code, one.codes, "codes", &s);
        same_bits(one.alone, many.alone, one.codes, "codes without a tape", &s);
        same_bits(one.gradient, many.gradient, one.weights, "gradients", &s);
        same_bits(one.level, many.level, one.levels, "levels' gradients", &s);
        outcome_free(&one);
        outcome_free(&many);
    }
}

/* An entry that is no number, or too large to be added to others, makes those codes that see it what they are by primitives, and no others. */
static void what_is_no_number_goes_through(void **state)
{
    (void)state;
    if (!backend_found(subject))
        skip();
    for (int round = 0; round < rounds(60); round++) {
        setup s = random_setup();
        const bool single = round % 2;
        const double spikes[] = { NAN, INFINITY, single ? 3e38 : 1.7e308 };
        char text[512];
        s.precision = single ? "f32" : "f64";
        s.loss = "least_squares";
        s.n = 1;
        s.layers = s.depth = round % 3 == 2 ? 1 : between(2, 5); /* with momentum the code before matters from the third layer on */
        if (round % 2)
            s.momentum = "fista";
        s.spike = spikes[round % 3];
        outcome fast = outcome_of(&s, false), bare = outcome_of(&s, true);
        describe(&s, text, sizeof text);
        for (int64_t i = 0; i < fast.codes; i++)
            if (isnan(fast.code[i]) != isnan(bare.code[i]) || isnan(fast.alone[i]) != isnan(bare.code[i]))
                fail_msg("%s: %g in the data: entry %lld is %g and %g, and %g by primitives", text, s.spike, (long long)i, fast.code[i], fast.alone[i], bare.code[i]);
        outcome_free(&fast);
        outcome_free(&bare);
    }
}

/* Codes that do not see a pixel have nothing of it, not even the rounding of what cancels. */
static void large_entries_stay_where_they_are(void **state)
{
    (void)state;
    if (!backend_found(subject))
        skip();
    for (int round = 0; round < rounds(20); round++) {
        setup s = random_setup();
        char text[512];
        share_pixels(&s);
        s.precision = "f32";
        s.loss = "least_squares";
        s.learn = "none";
        strcpy(s.prox, "name = \"soft_threshold\"; lambda = %.17g;");
        s.level = 0.01;
        s.n = s.layers = s.depth = 1;
        setup calm = s;
        s.spike = 1e12;
        outcome fast = outcome_of(&s, false), bare = outcome_of(&s, true), without = outcome_of(&calm, true);
        describe(&s, text, sizeof text);
        for (int64_t i = 0; i < fast.codes; i++)
            if (bare.code[i] == without.code[i] && !(fabs(fast.alone[i] - bare.code[i]) < 1e-3 && fabs(fast.code[i] - bare.code[i]) < 1e-3))
                fail_msg("%s: entry %lld is %.9g and %.9g, and %.9g by primitives", text, (long long)i, fast.code[i], fast.alone[i], bare.code[i]);
        outcome_free(&fast);
        outcome_free(&bare);
        outcome_free(&without);
    }
}

/* Operators that a sparse tape does not fit are left to the primitives. */
static void leaves_others_alone(void **state)
{
    (void)state;
    static const char *const operators[] = { "name = \"hard_threshold_ste\"; threshold = %.17g;", "name = \"top_k\"; k = 2; # %.17g\n" };
    if (about_another() || !backend_found("cpu"))
        skip();
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        setup s = random_setup();
        s.atoms = 5;
        s.kernel[1] = 20; /* not left alone for being small */
        s.data[1] = 50;
        s.learn = "none";
        s.level = 0.1;
        strcpy(s.prox, operators[i]);
        outcome o = outcome_of(&s, false);
        assert_false(o.unrolled);
        outcome_free(&o);
    }
}

static int set_up(void **state)
{
    (void)state;
    const char *named = getenv("PUDLE_TEST_BACKEND");
    if (named)
        subject = named;
    return begin_tests((char *const[]){ config_path }, 1);
}

static int tear_down(void **state)
{
    (void)state;
    return end_tests((char *const[]){ config_path }, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_primitives), cmocka_unit_test(matches_primitives_with_momentum), cmocka_unit_test(matches_primitives_in_single_precision), cmocka_unit_test(same_bits_for_any_threads),
        cmocka_unit_test(what_is_no_number_goes_through), cmocka_unit_test(large_entries_stay_where_they_are), cmocka_unit_test(leaves_others_alone),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
