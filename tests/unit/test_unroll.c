/* A backend's own encoder, all layers as one operation (pudle/unroll.h), against the same network made of primitives: codes, gradients and
 * levels, on random problems of all densities, with every operator, in both precisions. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "backend/cpu/wide_bytes.h"
#include "network_setup.h"
#include "sanitized.h"

/* alone: of a pass without a gradient, which keeps no tape */
typedef struct outcome { double *code, *alone, *gradient, *level, loss, alone_loss; int64_t codes, weights, levels; bool unrolled; } outcome;

/* Everything a batch gives, with or without what the backend offers beyond primitives. */
static outcome outcome_of(const setup *s, bool primitives)
{
    opened o;
    outcome out = { .codes = s->n * s->p, .weights = s->m * s->p };
    open_problem(s, &o);
    pd_network *net = &o.pb.net;
    pudle_backend_ops bare = *net->be;
    if (s->infinite) {
        ((double *)net->level[0].parameter.value.data)[s->infinite - 1] = INFINITY;
        assert_int_equal(pd_network_refresh(net), PUDLE_OK);
    }
    bare.get_ext = NULL;
    if (primitives)
        net->be = &bare;
    void *memory = NULL;
    assert_int_equal(net->be->alloc(net->exec, (size_t)out.codes * pudle_dtype_size(net->dtype), &memory), PUDLE_OK);
    pd_pass pass = { .gradient = true, .code = pd_matrix(memory, net->dtype, s->n, s->p) };
    for (int i = 0; i < 4; i++) { /* with a tape, without, without, with: each finds what the one before has left */
        pass.gradient = i == 0 || i == 3;
        run(&o.pb, &pass);
        if (i == 2) {
            out.alone = doubles(&o.pb, &pass.code);
            out.alone_loss = pass.data_loss + pass.code_loss;
        }
    }
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
    free(o->alone);
    free(o->gradient);
    free(o->level);
}

/* A run of primitives on the reference backend whose every call of the operator is made twice more, its inputs moved down and up by
 * `reach` of the largest: where the outcome or its derivative jumps in between, a kink lies within reach. */
static struct watch { pudle_backend_ops ops; double reach; int kinks; } watched;

static bool jumps(const double *low, const double *high, int64_t count, double most)
{
    bool found = false;
    for (int64_t i = 0; i < count; i++)
        found |= !(fabs(high[i] - low[i]) <= most);
    return found;
}

static pudle_status watch_prox(pudle_exec *exec, const pudle_instance *prox, double tau, const pudle_cview *theta, const pudle_cview *v, const pudle_view *p)
{
    const pudle_prox_ops *ops = prox->desc->ops;
    const int64_t count = pudle_count(v);
    enum { MOVED, ONES, CODE, SLOPE = CODE + 2, PLACES = SLOPE + 2 }; /* code and slope: one place a side */
    double *memory = malloc((size_t)(count * PLACES) * sizeof *memory), *place[PLACES], largest = 0;
    pudle_view view[PLACES];
    assert_non_null(memory);
    for (int i = 0; i < PLACES; i++) {
        place[i] = memory + i * count;
        view[i] = pd_view(place[i], v->dtype, v->rank, v->shape);
    }
    for (int64_t i = 0; i < count; i++) {
        largest = fmax(largest, fabs(pudle_entry(v, i)));
        place[ONES][i] = 1;
    }
    const double reach = watched.reach * largest;
    const pudle_cview moved = pudle_const(&view[MOVED]), ones = pudle_const(&view[ONES]);
    for (int side = 0; side < 2; side++) {
        const int code = CODE + side, slope = SLOPE + side;
        for (int64_t i = 0; i < count; i++)
            place[MOVED][i] = pudle_entry(v, i) + (side ? reach : -reach);
        const pudle_cview out = pudle_const(&view[code]);
        assert_int_equal(watched.ops.prox_apply(exec, prox, tau, theta, &moved, &view[code]), PUDLE_OK);
        assert_int_equal(watched.ops.prox_vjp(exec, prox, tau, theta, ops->vjp_needs & PUDLE_VJP_INPUT ? &moved : NULL,
                                              ops->vjp_needs & PUDLE_VJP_OUTPUT ? &out : NULL, &ones, &view[slope], NULL), PUDLE_OK);
    }
    watched.kinks += jumps(place[CODE], place[CODE + 1], count, 100 * reach) || jumps(place[SLOPE], place[SLOPE + 1], count, 1e-3);
    free(memory);
    return watched.ops.prox_apply(exec, prox, tau, theta, v, p);
}

/* Whether some input of a separable operator lies so near a kink or a jump that rounding may carry it across: there a support, and
 * with it a gradient, may rightly differ. */
static bool hangs_on_rounding(const setup *s, double reach)
{
    setup wide = *s;
    opened o;
    wide.precision = "f64";
    wide.backend = "ref";
    open_problem(&wide, &o);
    pd_network *net = &o.pb.net;
    watched = (struct watch){ .ops = *net->be, .reach = reach };
    pudle_backend_ops spy = *net->be;
    spy.get_ext = NULL;
    spy.prox_apply = watch_prox;
    net->be = &spy;
    pd_pass pass = { .gradient = false };
    run(&o.pb, &pass);
    pd_lanes_free(net);
    net->be = o.pb.be;
    close_problem(&o);
    return watched.kinks > 0;
}

/* What the backend's own encoder gives must be what primitives give. */
static void compare_ways(const setup *s, int round, double bound, outcome *fast)
{
    outcome bare = outcome_of(s, true);
    *fast = outcome_of(s, false);
    assert_true(!bare.unrolled);
    /* a loss near 0 is the rounding of residuals that cancel: nothing is compared to less than this */
    const double size = bare.loss + 1e-3;
    /* in single precision a code is exact to the roundings of what it is left of: its level, where that is larger */
    const bool single = !strcmp(s->precision, "f32");
    const double above = fmax(0.01, !single || s->prox ? 0 : s->hard ? s->lambda : s->step * s->lambda);
    const double code = fmax(relative(fast->code, bare.code, fast->codes, above), relative(fast->alone, bare.code, fast->codes, above));
    const double gradient = relative(fast->gradient, bare.gradient, fast->weights, size), level = relative(fast->level, bare.level, fast->levels, size);
    if (!(code <= bound) || !(gradient <= bound) || !(level <= 10 * bound) || !(fabs(fast->loss - bare.loss) <= bound * size) ||
        !(fabs(fast->alone_loss - bare.loss) <= bound * size))
        fail_msg("seed %lld round %d %s %s p %lld m %lld n %lld T %lld: code off by %.3g, gradient by %.3g, levels by %.3g, losses %.17g %.17g %.17g",
                 (long long)s->seed, round, s->precision, s->prox ? s->prox : s->hard ? "hard" : "soft", (long long)s->p, (long long)s->m,
                 (long long)s->n, (long long)s->layers, code, gradient, level, fast->loss, fast->alone_loss, bare.loss);
    outcome_free(&bare);
}

static void unrolled_matches_primitives(void **state)
{
    (void)state;
    if (!backend_found(other))
        skip();
    int compared = 0, single = 0, sparse = 0, dense = 0;
    for (int round = 0; round < 60; round++) {
        setup s = large_setup(round);
        const bool wide = round % 3 != 0;
        if (!strcmp(other, "cpu")) {
            s.way = round % 2 ? "rows" : NULL;
            s = with_momentum(s);
        }
        s.precision = wide ? "f64" : "f32";
        if (hangs_on_rounding(&s, wide ? 1e-12 : 5e-6))
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
        single += !wide;
    }
    print_message("# %d problems, %d of them in single precision, %d with few nonzeros, %d with many\n", compared, single, sparse, dense);
    assert_true(compared >= 30 && single >= 5 && sparse >= 3 && dense >= 3);
}

/* The tests below look at the ways of the cpu backend, which no other has. */
static bool about_another(void)
{
    const bool another = strcmp(other, "cpu") != 0;
    if (another)
        print_message("# SKIP it is about the cpu backend, and PUDLE_TEST_BACKEND is %s\n", other);
    return another;
}

/* Near the truth, on the cpu backend in double precision, by one of its ways. */
static setup near_setup(const char *way)
{
    setup s = random_setup();
    s.near = true;
    s.backend = "cpu";
    s.precision = "f64";
    s.way = way;
    return with_momentum(s);
}

/* Many layers near the truth, where most atoms can be left out of most layers; with and without a Gram matrix, by shares and by
 * outer products, as sizes have it. */
static void long_unrolls_match_primitives(void **state)
{
    (void)state;
    if (about_another() || !backend_found("cpu"))
        skip();
    for (int round = 0; round < 40; round++) {
        static const int64_t samples[] = { 1, 3, 9, 40, 150 };
        setup s = near_setup(round % 10 < 5 ? "rows" : "tiles");
        s.p = between(20, round % 4 ? 90 : 400);
        s.m = between(s.p / 2 + 5, s.p + 20);
        s.n = samples[round % 5];
        s.layers = between(40, 160);
        s.truncate = between(1, s.layers);
        s.step = 0.1 + 0.1 * pudle_random_uniform(&random_state);
        s.lambda = s.hard ? 0.1 + 0.1 * pudle_random_uniform(&random_state) : 0.05 + 0.3 * pudle_random_uniform(&random_state);
        s.decay = between(0, 2) ? 1.0 : 0.995;
        outcome fast;
        compare_ways(&s, round, 1e-11, &fast);
        assert_true(fast.unrolled);
        outcome_free(&fast);
    }
}

/* Momentum with every estimator, by rows: those that go back through the layers, and those that take but the code. */
static void momentum_unrolls_with_every_estimator(void **state)
{
    static const char *const estimators[] = { "dec", "ae", "truncated", "noodl", "oracle", "implicit", "refit" };
    (void)state;
    if (about_another() || !backend_found("cpu"))
        skip();
    int single = 0, compared[sizeof estimators / sizeof *estimators] = { 0 };
    for (size_t i = 0; i < 8 * sizeof estimators / sizeof *estimators; i++) {
        const bool wide = i % 2 == 0;
        setup s = near_setup("rows");
        s.momentum = i / 2 % 2 ? "fista" : "0.6";
        s.gradient = estimators[i / 8];
        s.precision = wide ? "f64" : "f32";
        s.loss = "least_squares";
        s.code_l2 = 0;
        s.p = between(3, i % 8 < 4 ? 60 : 300);
        s.m = strcmp(s.gradient, "implicit") && strcmp(s.gradient, "refit") ? between(s.p / 2 + 5, s.p + 20) : s.p + 20; /* these solve with the atoms of a code */
        s.n = between(1, wide ? 40 : 10); /* few, lest some entry hang on its rounding */
        s.layers = between(2, 60);
        s.truncate = between(1, s.layers);
        s.step = 0.2;
        s.hard = false;
        s.lambda = 0.1 + 0.3 * pudle_random_uniform(&random_state);
        if (strcmp(s.gradient, "ae") && strcmp(s.gradient, "truncated"))
            s.learn = "none";
        if (hangs_on_rounding(&s, wide ? 1e-12 : 5e-6))
            continue;
        outcome fast;
        compare_ways(&s, (int)i, wide ? 1e-11 : 1e-5, &fast);
        assert_true(fast.unrolled);
        outcome_free(&fast);
        single += !wide;
        compared[i / 8] += wide;
    }
    for (size_t i = 0; i < sizeof estimators / sizeof *estimators; i++)
        if (!compared[i])
            fail_msg("%s was compared in no problem", estimators[i]);
    print_message("# %d of 28 in single precision\n", single);
    assert_true(single >= 7);
}

/* In single precision against double: a bound, or ten times what primitives lose, for c - G z is less exact than D'(x - D z) where
 * the two parts are large and nearly cancel. And a gradient follows its codes: it may be off by ten times as much more than they as that of the primitives is than
 * theirs. Without a threshold little of the data is left, and the gradient is that little times the codes. */
static void single_is_as_good(const setup *wide, const outcome *exact, double bound)
{
    setup s = *wide;
    s.precision = "f32";
    outcome fast = outcome_of(&s, false), bare = outcome_of(&s, true);
    const double size = exact->loss + 1e-3;
    const double code[] = { relative(fast.code, exact->code, exact->codes, 0.01), relative(bare.code, exact->code, exact->codes, 0.01) };
    const double gradient[] = { relative(fast.gradient, exact->gradient, exact->weights, size), relative(bare.gradient, exact->gradient, exact->weights, size) };
    const double follows = code[1] > 0 ? 10 * gradient[1] / code[1] * code[0] : 0;
    if (!(code[0] <= fmax(bound, 10 * code[1])) || !(gradient[0] <= fmax(fmax(bound, 10 * gradient[1]), follows)))
        fail_msg("seed %lld %s p %lld m %lld n %lld T %lld in f32: code off by %.3g, with primitives %.3g; gradient by %.3g, %.3g", (long long)s.seed, s.prox,
                 (long long)s.p, (long long)s.m, (long long)s.n, (long long)s.layers, code[0], code[1], gradient[0], gradient[1]);
    outcome_free(&fast);
    outcome_free(&bare);
}

/* How many lines of a file speak of something; the file is closed. */
static int lines_with(FILE *file, const char *what)
{
    char line[1024];
    int count = 0;
    rewind(file);
    while (fgets(line, sizeof line, file))
        count += strstr(line, what) != NULL;
    fclose(file);
    return count;
}

/* Wide dictionaries and few samples, which go without a Gram matrix: layers by the correlations of few atoms, one or several until the next
 * evaluation, and stretches that begin behind such layers; every other time with samples enough for evaluations in bytes. Those that can be
 * compared in single precision are left to chance: on until there are some. */
static void few_atoms_match_primitives(void **state)
{
    (void)state;
    if (about_another() || !backend_found("cpu"))
        skip();
    int single = 0;
    FILE *log = tmpfile();
    assert_non_null(log);
    pd_log_file(ctx, log);
    pd_log_level(ctx, PUDLE_LOG_DEBUG);
    for (int round = 0; round < rounds_of(24) || (single < 3 && round < 96); round++) {
        static const int64_t features[] = { 127, 128, 129, 200, 256, 257 }; /* about the bands that sums are cut into */
        setup s = near_setup("rows");
        s.m = features[round / 2 % 6];
        s.p = between(2 * s.m, 600);
        s.n = between(round % 2 ? 2 : 8, s.p / 24 - 1);
        s.layers = between(30, 80);
        s.truncate = between(1, s.layers);
        s.step = 0.2;
        s.lambda = s.hard ? 0.1 + 0.1 * pudle_random_uniform(&random_state) : 0.05 + 0.25 * pudle_random_uniform(&random_state);
        s.decay = between(0, 3) ? 1.0 : 0.995;
        if (round % 5 == 4)
            s.gradient = "dec"; /* whose tape is the last code alone */
        outcome fast;
        compare_ways(&s, round, 1e-11, &fast);
        assert_true(fast.unrolled);
        outcome_free(&fast);
        setup clipped = s;
        clipped.learn = "layer";
        clipped.infinite = between(3, 14); /* a layer that leaves nothing, in which every bound holds; hard: the correlations before it are small */
        clipped.hard = true;
        clipped.lambda = 0.1 + 0.1 * pudle_random_uniform(&random_state);
        compare_ways(&clipped, round, 1e-11, &fast);
        outcome_free(&fast);
        s.hard = false;
        if (!hangs_on_rounding(&s, 1e-6)) {
            outcome wide = outcome_of(&s, true);
            single_is_as_good(&s, &wide, 1e-5);
            outcome_free(&wide);
            single++;
        }
        s.precision = "f32"; /* for bits alone */
        s.threads = 2;
        outcome two = outcome_of(&s, false);
        s.threads = 1;
        outcome one = outcome_of(&s, false);
        assert_memory_equal(one.code, two.code, (size_t)one.codes * sizeof *one.code);
        assert_memory_equal(one.gradient, two.gradient, (size_t)one.weights * sizeof *one.gradient);
        outcome_free(&one);
        outcome_free(&two);
    }
    pd_log_level(ctx, PUDLE_LOG_INFO);
    pd_log_file(ctx, NULL);
    const int coarse = lines_with(log, "in bytes");
    print_message("# %d in single precision; %d passes with evaluations in bytes\n", single, coarse);
    assert_true(single >= 3);
    assert_true(coarse > 0 || !bytes_here());
}

/* Tiles that are full, blocks of several, and lanes of several blocks; few atoms, down to one, which are no whole vectors; so many
 * layers that most of them go back by few atoms, all of them or the last ones. */
static void many_samples_match_primitives(void **state)
{
    (void)state;
    if (about_another() || !backend_found("cpu"))
        skip();
    int single = 0;
    for (int round = 0; round < rounds_of(24) || (single < 3 && round < 96); round++) {
        setup s = near_setup("tiles");
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
        if (round % 3 && !hangs_on_rounding(&s, 1e-6)) { /* and in vectors of twice the width, where no support hangs on rounding */
            outcome wide = outcome_of(&s, true);
            single_is_as_good(&s, &wide, 1e-5);
            outcome_free(&wide);
            single++;
        }
    }
    print_message("# %d in single precision\n", single);
    assert_true(single >= 3);
}

/* Tiles have codes as words of 64 bits: atoms that fill a word to its last bit, or begin another with one, up to as many as tiles take; full
 * codes and sparse ones, in both precisions and both widths of vectors. */
static void words_match_primitives(void **state)
{
    static const int64_t atoms[] = { 63, 64, 65, 127, 128, 129, 192, 257, 512 };
    (void)state;
    if (about_another() || !backend_found("cpu"))
        skip();
    int single = 0;
    for (size_t i = 0; i < 8 * sizeof atoms / sizeof *atoms; i++) {
        const bool wide = i % 2 == 0, full = i / 4 % 2 == 0;
        setup s = near_setup("tiles");
        s.seed = 3 * between(1, 300000) + (int64_t)(i / 2 % 2); /* which says how wide vectors are */
        s.precision = wide ? "f64" : "f32";
        s.p = atoms[i / 8];
        s.m = between(s.p / 2 + 5, s.p + 20);
        s.n = wide ? between(1, s.p < 200 ? 70 : 5) : between(1, s.p < 200 ? 5 : 2); /* few, lest some entry hang on its rounding */
        s.layers = between(2, wide ? 12 : 5);
        s.truncate = between(1, s.layers);
        s.step = 0.2;
        s.hard = false;
        s.nonnegative = s.nonnegative && !full;
        s.lambda = full ? 1e-4 : 0.05 + 0.4 * pudle_random_uniform(&random_state);
        s.decay = 1;
        if (hangs_on_rounding(&s, wide ? 1e-12 : 5e-6))
            continue;
        outcome fast;
        compare_ways(&s, (int)i, wide ? 1e-11 : 1e-5, &fast);
        assert_true(fast.unrolled);
        outcome_free(&fast);
        single += !wide;
    }
    print_message("# %d of 36 in single precision\n", single);
    assert_true(single >= 18);
}

/* The most nonzeros that a sample's code has. */
static int64_t fullest(const outcome *o, int64_t samples)
{
    int64_t most = 0;
    for (int64_t i = 0; i < samples; i++) {
        int64_t own = 0;
        for (int64_t k = 0; k < o->codes / samples; k++)
            own += o->code[i * (o->codes / samples) + k] != 0;
        most = own > most ? own : most;
    }
    return most;
}

/* Windows whose rows have more atoms than a word has bits, wherever the words of all atoms end: codes that have settled, with 66 to 80 nonzeros in double precision, where a
 * row may have 96, and with 66 to 160 in single, where it may have 192. One level for all layers, and levels that change. */
static void wide_windows_match_primitives(void **state)
{
    (void)state;
    if (about_another() || !backend_found("cpu"))
        skip();
    int wide = 0, single = 0;
    double lambda[2] = { 0.05, 0.03 };
    for (int round = 0; round < 160 && (wide < 6 || single < 4); round++) {
        const bool narrow = wide >= 6 || (round % 2 && single < 4);
        setup s = near_setup("tiles");
        s.seed = 3 * between(1, 300000) + 1; /* vectors of 512 bits, where there are */
        s.precision = narrow ? "f32" : "f64";
        s.p = between(200, 330);
        s.m = s.p;
        s.n = narrow ? 1 : between(1, 4); /* few, lest some entry hang on its rounding */
        s.layers = between(60, 120);
        s.truncate = s.layers;
        s.gradient = "ae";
        s.learn = "none"; /* learned levels want to be asked about all atoms */
        s.step = 0.3;
        s.hard = false;
        s.lambda = lambda[narrow];
        s.decay = round / 2 % 2 ? 1 : 0.9999;
        outcome fast = outcome_of(&s, false);
        const int64_t most = fullest(&fast, s.n), limit = narrow ? 160 : 80;
        lambda[narrow] *= most > limit - 6 ? 1.15 : most < 72 ? 0.85 : 1;
        outcome_free(&fast);
        if (most <= 66 || most >= limit || hangs_on_rounding(&s, narrow ? 5e-6 : 1e-12))
            continue;
        compare_ways(&s, round, narrow ? 1e-5 : 1e-11, &fast);
        assert_true(fast.unrolled);
        outcome_free(&fast);
        wide += !narrow;
        single += narrow;
    }
    print_message("# %d problems with such rows in double precision, %d in single\n", wide, single);
    assert_true(wide >= 6 && single >= 4);
}

/* A large dictionary and few samples: the threads share the tiles of one lane. */
static void threads_share_tiles(void **state)
{
    (void)state;
    if (about_another() || !backend_found("cpu"))
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
 * in any case. The cpu backend's takes all of these, another's those that have a source for devices, with fewer problems each: a device is
 * opened for every outcome. */
static void every_prox_unrolls_the_same(void **state)
{
    (void)state;
    if (!backend_found(other))
        skip();
    const bool all = !strcmp(other, "cpu");
    const int rounds = all && !SANITIZED ? 8 : 4;
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
        const int before = single;
        bool left = false; /* to the primitives */
        for (int round = 0; round < rounds && !left; round++) {
            const bool near = round >= rounds / 2;
            setup s = { .backend = other, .precision = "f64", .gradient = "ae", .learn = "none", .loss = "least_squares", .near = near,
                        .n = between(1, 9), .m = between(10, 40), .p = between(3, 60), .layers = near ? 60 : 8, .seed = between(1, 1000000),
                        .step = 0.1, .decay = 1, .prox = text, .way = rows_too && round % 2 ? "rows" : "tiles" };
            if (!strcmp(other, "cpu"))
                s = with_momentum(s);
            options_of(plugin->desc->name, s.p, text, sizeof text);
            outcome fast;
            /* derivatives above 1, which only operators have that are not convex, multiply rounding from layer to layer: there single
             * precision is only looked at for something else than rounding, and double for what is a hundred times more */
            const bool convex = caps & PUDLE_PROX_CONVEX;
            compare_ways(&s, round, convex ? 1e-11 : 1e-9, &fast);
            left = !all && !fast.unrolled;
            assert_true(fast.unrolled || left);
            if (!left && !hangs_on_rounding(&s, 2e-6)) {
                single_is_as_good(&s, &fast, convex ? 1e-5 : 1e-2);
                single++;
            }
            outcome_free(&fast);
        }
        if (single == before && !left)
            fail_msg("%s: no problem of %d was compared in single precision", plugin->desc->name, rounds);
        unrolled += !left;
    }
    pd_plugin_rows_free(rows, count);
    print_message("# %d operators, %d problems of %d in single precision\n", unrolled, single, rounds * unrolled);
    assert_true(unrolled > 0 && single >= rounds / 2 * unrolled);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unrolled_matches_primitives), cmocka_unit_test(long_unrolls_match_primitives), cmocka_unit_test(few_atoms_match_primitives),
        cmocka_unit_test(momentum_unrolls_with_every_estimator),
        cmocka_unit_test(many_samples_match_primitives), cmocka_unit_test(words_match_primitives),
        cmocka_unit_test(wide_windows_match_primitives), cmocka_unit_test(threads_share_tiles), cmocka_unit_test(every_prox_unrolls_the_same),
    };
    return cmocka_run_group_tests_name("unroll", tests, set_up, tear_down);
}
