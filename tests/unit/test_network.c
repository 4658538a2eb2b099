/* The unrolled network against a slow reference written straight from the formulas, on random odd shapes; its gradients against
 * finite differences; the same bits for any number of threads; sums that do not depend on how the batch is cut. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "network_setup.h"

/* Gradient of the mean training loss, sample by sample, entry by entry. theta (T, cols); gtheta (T, cols) or NULL. */
typedef struct slow { double loss, *gd, *gtheta; } slow;

static double shrink(const setup *s, double v, double t, double *dv, double *dt)
{
    const double a = s->nonnegative ? v : fabs(v);
    *dv = a > t;
    *dt = s->hard || !(a > t) ? 0 : v > 0 ? -1 : 1;
    return !(a > t) ? 0 : s->hard ? v : v > 0 ? v - t : v + t;
}

/* b_t by its formula. */
static double momentum_at(const setup *s, int64_t t)
{
    double a = 1, next = 1;
    if (!s->momentum || strcmp(s->momentum, "fista"))
        return s->momentum ? atof(s->momentum) : 0;
    for (int64_t i = 0; i < t; i++) {
        a = next;
        next = (1 + sqrt(1 + 4 * a * a)) / 2;
    }
    return (a - 1) / next;
}

static void slow_sample(const setup *s, const double *d, const double *x, const double *theta, int64_t cols, int64_t depth, slow *out)
{
    const int64_t m = s->m, p = s->p, T = s->layers;
    double *z = calloc((size_t)((T + 1) * p), sizeof *z), *dv = calloc((size_t)(T * p), sizeof *dv), *dt = calloc((size_t)(T * p), sizeof *dt);
    double *r = calloc((size_t)((T + 1) * m), sizeof *r), *u = calloc((size_t)p, sizeof *u), *h = calloc((size_t)m, sizeof *h);
    double *y = calloc((size_t)((T + 1) * p), sizeof *y), *w = calloc((size_t)p, sizeof *w);
    const double inner = 1.0 / (double)s->n, lasso = strcmp(s->loss, "lasso") ? 0 : 0.1;
    for (int64_t t = 0; t <= T; t++) {
        for (int64_t i = 0; i < m; i++) {
            r[t * m + i] = -x[i];
            for (int64_t k = 0; k < p; k++)
                r[t * m + i] += d[i * p + k] * (t < T ? y : z)[t * p + k];
        }
        for (int64_t k = 0; k < p && t < T; k++) {
            double v = y[t * p + k];
            for (int64_t i = 0; i < m; i++)
                v -= s->step * d[i * p + k] * r[t * m + i];
            z[(t + 1) * p + k] = shrink(s, v, theta[t * cols + (cols > 1 ? k : 0)], &dv[t * p + k], &dt[t * p + k]);
            y[(t + 1) * p + k] = z[(t + 1) * p + k] + momentum_at(s, t + 1) * (z[(t + 1) * p + k] - z[t * p + k]);
        }
    }
    for (int64_t i = 0; i < m; i++)
        out->loss += 0.5 * inner * r[T * m + i] * r[T * m + i];
    for (int64_t k = 0; k < p; k++) {
        out->loss += inner * (lasso * fabs(z[T * p + k]) + s->code_l2 / 2 * z[T * p + k] * z[T * p + k]);
        u[k] = lasso * (z[T * p + k] > 0 ? 1 : z[T * p + k] < 0 ? -1 : 0) + s->code_l2 * z[T * p + k];
        for (int64_t i = 0; i < m; i++) {
            u[k] += d[i * p + k] * r[T * m + i];
            out->gd[i * p + k] += inner * r[T * m + i] * z[T * p + k];
        }
    }
    for (int64_t t = T - 1; t >= T - depth; t--) {
        for (int64_t k = 0; k < p; k++) { /* y_{t+1} is of z_{t+1} and of z_t */
            const double b = momentum_at(s, t + 1), ahead = w[k];
            u[k] += (1 + b) * ahead;
            w[k] = -b * ahead;
            out->gtheta[t * cols + (cols > 1 ? k : 0)] += inner * dt[t * p + k] * u[k];
            u[k] *= dv[t * p + k];
        }
        for (int64_t i = 0; i < m; i++) {
            h[i] = 0;
            for (int64_t k = 0; k < p; k++)
                h[i] += d[i * p + k] * u[k];
            for (int64_t k = 0; k < p; k++)
                out->gd[i * p + k] -= inner * s->step * (r[t * m + i] * u[k] + h[i] * y[t * p + k]);
        }
        for (int64_t k = 0; k < p; k++) {
            const double of_code = w[k];
            w[k] = u[k];
            for (int64_t i = 0; i < m; i++)
                w[k] -= s->step * d[i * p + k] * h[i];
            u[k] = of_code;
        }
    }
    free(z);
    free(dv);
    free(dt);
    free(r);
    free(u);
    free(h);
    free(y);
    free(w);
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
    /* where codes fit the data to their last digits, what is left is rounding of the data's own size */
    double energy = 0;
    for (int64_t i = 0; i < s->n * s->m; i++)
        energy += 0.5 * x[i] * x[i] / (double)s->n;
    const double got = pass.data_loss + pass.code_loss, size = want.loss + 1e-4 * energy;
    if (!(fabs(got - want.loss) <= bound * size) || !(relative(gd, want.gd, s->m * s->p, size) <= bound))
        fail_msg("seed %lld %s %s %s: loss %.17g and %.17g, gradient off by %.3g", (long long)s->seed, s->backend, s->precision, s->gradient, got,
                 want.loss, relative(gd, want.gd, s->m * s->p, size));
    if (level->learned) {
        double *own = doubles(&o.pb, &level->parameter.grad), *sum = calloc((size_t)(level->rows * level->cols), sizeof *sum), beta = 1;
        for (int64_t t = 0; t < s->layers; t++, beta *= s->decay)
            for (int64_t k = 0; k < level->cols; k++)
                sum[(level->rows > 1 ? t : 0) * level->cols + k] += beta * want.gtheta[t * level->cols + k];
        if (!(relative(own, sum, level->rows * level->cols, size) <= bound * 10))
            fail_msg("seed %lld %s %s learn %s: threshold gradient off by %.3g", (long long)s->seed, s->backend, s->precision, s->learn,
                     relative(own, sum, level->rows * level->cols, size));
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
        setup s = with_momentum(random_setup());
        for (int b = 0; b < 2; b++) {
            s.backend = b ? other : "ref";
            if (!backend_found(s.backend))
                continue;
            s.precision = "f64";
            against_reference(&s, 1e-10);
        }
    }
}

/* A number that is learned, set to another; what follows from it is brought up to date. */
static double loss_at(pd_problem *pb, double *value, double to)
{
    pd_pass forward = { .gradient = false };
    *value = to;
    assert_int_equal(pd_network_refresh(&pb->net), PUDLE_OK);
    run(pb, &forward);
    return forward.data_loss + forward.code_loss;
}

/* The loss's slope in a number that is learned, by central differences. False at a kink, which is no test of a derivative: where two steps disagree,
 * a support changes inside the larger; and where the slopes of both sides differ by more than curvature, which grows with the step, at the
 * number itself. */
static bool slope_at(pd_problem *pb, double *value, double *slope)
{
    const double kept = *value, h[2] = { 1e-6, 2.5e-7 }, f = loss_at(pb, value, kept);
    double central[2], jump[2];
    for (int i = 0; i < 2; i++) {
        const double up = loss_at(pb, value, kept + h[i]), down = loss_at(pb, value, kept - h[i]);
        central[i] = (up - down) / (2 * h[i]);
        jump[i] = (up - 2 * f + down) / h[i];
    }
    loss_at(pb, value, kept);
    *slope = central[0];
    return fabs(central[0] - central[1]) <= 1e-7 + 1e-7 * fabs(*slope) && fabs(4 * jump[1] - jump[0]) / 3 <= 1e-6 + 1e-5 * fabs(*slope);
}

typedef struct probes { int used, tried; } probes;

/* Entries of the gradients of all that is learned, on a backend in host memory. */
static void probe(opened *o, const char *what, int64_t seed, probes *count)
{
    enum { MOST = 20 };
    pd_parameter *list[PD_MAX_PARAMETERS];
    const int n = pd_network_parameters(&o->pb.net, list);
    pd_pass pass = { .gradient = true };
    run(&o->pb, &pass);
    for (int k = 0; k < n; k++) {
        const pudle_cview c = pudle_const(&list[k]->value);
        double *g = doubles(&o->pb, &list[k]->grad), *value = list[k]->value.data;
        const int64_t entries = pudle_count(&c), most = entries < MOST ? entries : MOST;
        for (int64_t j = 0; j < most; j++) {
            const int64_t i = entries == most ? j : between(0, entries - 1);
            double wide = 0;
            count->tried++;
            if (!slope_at(&o->pb, &value[i], &wide))
                continue;
            count->used++;
            if (!(fabs(wide - g[i]) <= 1e-6 + 1e-5 * fabs(g[i])))
                fail_msg("seed %lld %s, %s, entry %lld: difference %.12g, derivative %.12g", (long long)seed, what, list[k]->name, (long long)i, wide, g[i]);
        }
        free(g);
    }
}

/* ------------------------------------------------ encoders of their own */

static setup encoder_setup(void)
{
    static const char *const steps[] = { "none", "global", "layer" };
    setup s = with_momentum(random_setup());
    s.precision = "f64";
    s.hard = false;
    s.encoder = between(0, 1) ? "analysis" : "untied";
    s.encoder_layers = between(0, 1) == 1;
    s.learn_step = steps[between(0, 2)];
    s.learn_offset = between(0, 1) ? "entry" : NULL;
    return s;
}

static void encoders_match_finite_differences(void **state)
{
    (void)state;
    probes count = { 0, 0 };
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
        probe(&o, s.encoder, s.seed, &count);
        close_problem(&o);
    }
    assert_true(count.used * 10 >= count.tried * 8);
}

/* Filters on signals of two channels, with momentum and baselines of all kinds. */
static void filters_match_finite_differences(void **state)
{
    static const char *const momenta[] = { "0", "fista", "0.5" }, *const offsets[] = { "none", "channel", "global" };
    (void)state;
    probes count = { 0, 0 };
    for (int round = 0; round < 9; round++) {
        opened o;
        FILE *f = fopen(config_path, "w");
        assert_non_null(f);
        fprintf(f, "precision = \"f64\";\nbackend: { name = \"ref\"; };\ndata: { name = \"synthetic\"; shape = [2, %lld]; samples = 4; features = %lld; atoms = 20; sparsity = 3; "
                   "seed = %lld; };\nmodel: { dictionary: { kind = \"conv\"; atoms = 3; size = [%lld]; stride = [%lld]; }; layers = 5; step = 0.1; momentum = \"%s\"; };\n"
                   "prox: { name = \"soft_threshold\"; lambda = 0.1; learn = \"atom\"; };\nloss: { name = \"least_squares\"; offset = 0.1; learn_offset = \"%s\"; };\n"
                   "train: { epochs = 1; seed = %d; };\n", 12LL, 24LL, (long long)between(1, 100000), (long long)between(2, 5), (long long)between(1, 2), momenta[round % 3],
                offsets[round / 3], round + 1);
        assert_int_equal(fclose(f), 0);
        if (pd_settings_load(ctx, config_path, NULL, 0, &o.settings) || pd_problem_open(ctx, o.settings, NULL, &o.pb) || pd_problem_initialise(&o.pb))
            fail_msg("%s", pd_error(ctx));
        probe(&o, momenta[round % 3], round, &count);
        close_problem(&o);
    }
    assert_true(count.used * 10 >= count.tried * 8);
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

static void against_differences(const setup *s, probes *count)
{
    opened o;
    open_problem(s, &o);
    probe(&o, s->prox ? s->prox : "soft", s->seed, count);
    close_problem(&o);
}

static void matches_finite_differences(void **state)
{
    (void)state;
    probes count = { 0, 0 };
    for (int round = 0; round < 10; round++) {
        static const char *const offsets[] = { NULL, "entry", "global" };
        setup s = with_momentum(random_setup());
        s.learn_offset = offsets[round % 3];
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
            setup s = with_momentum(random_setup());
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
        setup s = with_momentum(round > 2 ? large_setup(round) : random_setup());
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
    assert_int_equal(pd_network_sigma2(&o.pb.net, PD_SIGMA_STEP, &sigma2), PUDLE_OK);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_slow_reference),   cmocka_unit_test(matches_finite_differences), cmocka_unit_test(single_precision_is_close),
        cmocka_unit_test(same_bits_for_any_threads), cmocka_unit_test(spectral_norm),             cmocka_unit_test(divergence_names_the_layer),
        cmocka_unit_test(learned_levels_begin_at_the_options), cmocka_unit_test(encoders_match_finite_differences),
        cmocka_unit_test(encoders_begin_as_the_tied_one), cmocka_unit_test(filters_match_finite_differences), cmocka_unit_test(structured_prox_matches_finite_differences),
    };
    return cmocka_run_group_tests_name("network", tests, set_up, tear_down);
}
