/* Samples that are measurements A D z. The gradient against double loops written from the formulas and against finite differences; every estimator, with any
 * loss and encoder, against the same problem with the dictionary A D; the start of encoders, steps, unit norms, and the truth in signals. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "opened.h"
#include "train/measured.h"
#include "train/optimizer.h"

static char config_path[] = "/tmp/pudle-measurement-XXXXXX", a_path[] = "/tmp/pudle-measurement-a-XXXXXX", d_path[] = "/tmp/pudle-measurement-d-XXXXXX",
            w_path[] = "/tmp/pudle-measurement-w-XXXXXX";
static const char *backends[] = { "ref", "cpu" }; /* PUDLE_TEST_BACKEND names another in place of the second */

/* m entries of a sample, n of a signal, p atoms; A, D and W = A D. */
typedef struct setup {
    const char *backend, *precision, *model, *loss, *train;
    int64_t samples, m, n, p, layers, seed;
    double step, lambda;
    bool measured; /* else the dictionary is W */
    double *a, *d, *w;
} setup;

static void write_matrix(const char *path, int64_t rows, int64_t columns, const double *values)
{
    const pudle_cview v = pd_cmatrix(values, PUDLE_F64, rows, columns);
    assert_int_equal(pd_npy_write(ctx, path, &v), PUDLE_OK);
}

static double *random_matrix(int64_t rows, int64_t columns, double size)
{
    double *out = malloc(sizeof *out * (size_t)(rows * columns));
    assert_non_null(out);
    for (int64_t i = 0; i < rows * columns; i++)
        out[i] = size * pudle_random_normal(&random_state);
    return out;
}

static double *product(int64_t m, int64_t n, int64_t p, const double *a, const double *d)
{
    double *out = calloc((size_t)(m * p), sizeof *out);
    assert_non_null(out);
    for (int64_t i = 0; i < m; i++)
        for (int64_t k = 0; k < p; k++)
            for (int64_t j = 0; j < n; j++)
                out[i * p + k] += a[i * n + j] * d[j * p + k];
    return out;
}

/* gD = A' gW */
static double *back(const setup *s, const double *gw)
{
    double *out = calloc((size_t)(s->n * s->p), sizeof *out);
    assert_non_null(out);
    for (int64_t i = 0; i < s->m; i++)
        for (int64_t j = 0; j < s->n; j++)
            for (int64_t k = 0; k < s->p; k++)
                out[j * s->p + k] += s->a[i * s->n + j] * gw[i * s->p + k];
    return out;
}

static setup random_setup(void)
{
    setup s = { .backend = "ref", .precision = "f64", .model = "gradient = \"ae\";", .loss = "name = \"least_squares\";", .train = "", .samples = between(1, 40),
                .m = between(3, 12), .n = between(2, 20), .p = between(4, 25), .layers = between(2, 8), .seed = between(1, 1000000), .step = 0.1, .lambda = 0.05,
                .measured = true };
    s.a = random_matrix(s.m, s.n, 1 / sqrt((double)s.n));
    s.d = random_matrix(s.n, s.p, 1 / sqrt((double)s.n));
    s.w = product(s.m, s.n, s.p, s.a, s.d);
    write_matrix(a_path, s.m, s.n, s.a);
    write_matrix(d_path, s.n, s.p, s.d);
    write_matrix(w_path, s.m, s.p, s.w);
    return s;
}

static void setup_free(setup *s)
{
    free(s->a);
    free(s->d);
    free(s->w);
}

static void open_problem(const setup *s, opened *o)
{
    FILE *f = fopen(config_path, "w");
    assert_non_null(f);
    fprintf(f, "precision = \"%s\";\nbackend: { name = \"%s\"; };\n", s->precision, s->backend);
    fprintf(f, "data: { name = \"synthetic\"; samples = %lld; features = %lld; atoms = %lld; sparsity = 2; measurement = \"%s\"; seed = %lld; };\n", (long long)s->samples,
            (long long)s->n, (long long)s->p, a_path, (long long)s->seed);
    fprintf(f, "model: { dictionary: { atoms = %lld; init = \"file\"; path = \"%s\"; }; layers = %lld; step = ", (long long)s->p, s->measured ? d_path : w_path, (long long)s->layers);
    fprintf(f, s->step > 0 ? "%.17g; " : "\"1/L\"; ", s->step);
    if (s->measured)
        fprintf(f, "measurement = \"%s\"; ", a_path);
    fprintf(f, "%s };\nprox: { name = \"soft_threshold\"; lambda = %.17g; };\nloss: { %s };\ntrain: { epochs = 1; %s };\n", s->model, s->lambda, s->loss, s->train);
    assert_int_equal(fclose(f), 0);
    if (pd_settings_load(ctx, config_path, NULL, 0, &o->settings) || pd_problem_open(ctx, o->settings, NULL, &o->pb) || pd_problem_initialise(&o->pb))
        fail_msg("%s", pd_error(ctx));
}

static pd_pass run(pd_problem *pb, bool gradient)
{
    pd_batch batch;
    pd_pass pass = { .gradient = gradient };
    assert_int_equal(pd_problem_first(pb, PUDLE_SPLIT_TRAIN, 0, pb->train.samples, &batch), PUDLE_OK);
    if (pd_network_run(&pb->net, &batch, &pass))
        fail_msg("%s", pd_error(ctx));
    return pass;
}

static double *samples_of(pd_problem *pb)
{
    pd_batch batch;
    assert_int_equal(pd_problem_first(pb, PUDLE_SPLIT_TRAIN, 0, pb->train.samples, &batch), PUDLE_OK);
    const pudle_view x = pd_matrix((void *)(uintptr_t)batch.x.data, pb->dtype, batch.x.shape[0], batch.x.shape[1]);
    return doubles(pb, &x);
}

/* ------------------------------------------------------------ double loops */

/* Least squares through all layers: what one sample adds to the loss and to the gradient of W. */
static void add_sample(const setup *s, const double *x, double *loss, double *gw)
{
    const int64_t m = s->m, p = s->p, T = s->layers;
    const double share = 1.0 / (double)s->samples, *w = s->w;
    double z[10][32] = { { 0 } }, r[10][16], u[32] = { 0 }, h[16];
    for (int64_t t = 0; t <= T; t++) {
        for (int64_t i = 0; i < m; i++) {
            r[t][i] = -x[i];
            for (int64_t k = 0; k < p; k++)
                r[t][i] += w[i * p + k] * z[t][k];
        }
        for (int64_t k = 0; k < p && t < T; k++) {
            double v = z[t][k];
            for (int64_t i = 0; i < m; i++)
                v -= s->step * w[i * p + k] * r[t][i];
            z[t + 1][k] = fabs(v) > s->step * s->lambda ? v - copysign(s->step * s->lambda, v) : 0;
        }
    }
    for (int64_t i = 0; i < m; i++) {
        *loss += share * r[T][i] * r[T][i] / 2;
        for (int64_t k = 0; k < p; k++) {
            u[k] += w[i * p + k] * r[T][i];
            gw[i * p + k] += share * r[T][i] * z[T][k];
        }
    }
    for (int64_t t = T; t > 0; t--) {
        for (int64_t k = 0; k < p; k++)
            u[k] = z[t][k] != 0 ? u[k] : 0;
        for (int64_t i = 0; i < m; i++) {
            h[i] = 0;
            for (int64_t k = 0; k < p; k++)
                h[i] += w[i * p + k] * u[k];
            for (int64_t k = 0; k < p; k++)
                gw[i * p + k] -= share * s->step * (r[t - 1][i] * u[k] + h[i] * z[t - 1][k]);
        }
        for (int64_t k = 0; k < p; k++)
            for (int64_t i = 0; i < m; i++)
                u[k] -= s->step * w[i * p + k] * h[i];
    }
}

static void matches_double_loops(void **state)
{
    (void)state;
    for (int round = 0; round < 40; round++) {
        setup s = random_setup();
        for (size_t b = 0; b < 4 && backend_found(backends[b % 2]); b++) {
            opened o;
            s.backend = backends[b % 2];
            s.precision = b < 2 ? "f64" : "f32";
            open_problem(&s, &o);
            assert_int_equal(o.pb.train.shape[0], s.m);
            const pd_pass pass = run(&o.pb, true);
            double loss = 0, *gw = calloc((size_t)(s.m * s.p), sizeof *gw), *x = samples_of(&o.pb), *got = doubles(&o.pb, &o.pb.net.dictionary.grad);
            for (int64_t i = 0; i < s.samples; i++)
                add_sample(&s, x + i * s.m, &loss, gw);
            double *want = back(&s, gw);
            const double bound = b < 2 ? 1e-11 : 5e-3; /* a rounding may change a support */
            if (!(fabs(pass.data_loss - loss) <= bound * loss) || !(relative(got, want, s.n * s.p, loss) <= bound))
                fail_msg("seed %lld %s %s: loss %.17g, wanted %.17g; gradient off by %.3g", (long long)s.seed, s.backend, s.precision, pass.data_loss, loss,
                         relative(got, want, s.n * s.p, loss));
            free(gw);
            free(x);
            free(got);
            free(want);
            close_problem(&o);
        }
        setup_free(&s);
    }
}

/* ------------------------------------------------------ finite differences */

static double loss_at(pd_problem *pb, double *entry, double value)
{
    *entry = value;
    assert_int_equal(pd_problem_refresh(pb, 1), PUDLE_OK);
    const pd_pass pass = run(pb, false);
    return pass.data_loss + pass.code_loss;
}

/* Entries of D where a support changes between the points are left out: two distances then disagree. */
static void matches_finite_differences(void **state)
{
    (void)state;
    static const char *const losses[] = { "name = \"least_squares\"; code_l2 = 0.1;", "name = \"huber\"; delta = 0.3; code_l1 = 0.05;" };
    int used = 0, tried = 0;
    for (int round = 0; round < 10; round++) {
        setup s = random_setup();
        opened o;
        s.loss = losses[round % 2];
        open_problem(&s, &o);
        run(&o.pb, true);
        double *g = doubles(&o.pb, &o.pb.net.dictionary.grad), *d = o.pb.net.dictionary.value.data; /* host memory on this backend */
        for (int probe = 0; probe < 20; probe++, tried++) {
            const int64_t i = between(0, s.n * s.p - 1);
            const double kept = d[i], h[2] = { 1e-5, 2.5e-6 };
            double slope[2];
            for (int k = 0; k < 2; k++)
                slope[k] = (loss_at(&o.pb, &d[i], kept + h[k]) - loss_at(&o.pb, &d[i], kept - h[k])) / (2 * h[k]);
            loss_at(&o.pb, &d[i], kept);
            if (fabs(slope[0] - slope[1]) > 1e-7 + 1e-6 * fabs(slope[0]))
                continue;
            used++;
            if (!(fabs(slope[1] - g[i]) <= 1e-6 + 1e-5 * fabs(g[i])))
                fail_msg("seed %lld %s, entry %lld: difference %.12g, derivative %.12g", (long long)s.seed, s.loss, (long long)i, slope[1], g[i]);
        }
        free(g);
        close_problem(&o);
        setup_free(&s);
    }
    assert_true(used * 10 >= tried * 8);
}

/* ------------------------------------------- the same with A D for dictionary */

static void every_estimator_goes_by_the_chain_rule(void **state)
{
    (void)state;
    static const struct { const char *model, *loss; } cases[] = {
        { "gradient = \"ae\";", "name = \"lasso\"; lambda = 0.05;" },
        { "gradient = \"dec\";", "name = \"least_squares\"; offset = 0.1;" },
        { "gradient = \"noodl\";", "name = \"least_squares\";" },
        { "gradient = \"oracle\";", "name = \"least_squares\";" },
        { "gradient = \"truncated\"; truncate = 2;", "name = \"huber\";" },
        { "gradient = \"ae\"; momentum = \"fista\";", "name = \"least_squares\"; offset = 0.1; learn_offset = \"entry\"; missing = \"skip\";" },
        { "gradient = \"implicit\"; ill_conditioned = \"skip\";", "name = \"lasso\"; lambda = 0.02;" },
        { "gradient = \"refit\"; ill_conditioned = \"skip\";", "name = \"least_squares\";" },
        { "gradient = \"ae\"; encoder = \"analysis\"; learn_step = \"layer\";", "name = \"least_squares\";" },
        { "gradient = \"ae\"; encoder = \"untied\"; encoder_layers = true;", "name = \"least_squares\"; code_l1 = 0.1;" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t b = 0; b < 2 && backend_found(backends[b]); b++) {
            setup s = random_setup();
            opened measured, plain;
            s.backend = backends[b];
            s.model = cases[i].model;
            s.loss = cases[i].loss;
            open_problem(&s, &measured);
            s.measured = false;
            open_problem(&s, &plain);
            const pd_pass one = run(&measured.pb, true), other = run(&plain.pb, true);
            double *got = doubles(&measured.pb, &measured.pb.net.dictionary.grad), *gw = doubles(&plain.pb, &plain.pb.net.dictionary.grad), *want = back(&s, gw);
            const double loss = other.data_loss + other.code_loss;
            if (!(fabs(one.data_loss + one.code_loss - loss) <= 1e-11 * loss) || !(relative(got, want, s.n * s.p, loss) <= 1e-9))
                fail_msg("seed %lld %s %s: gradient off by %.3g", (long long)s.seed, s.backend, s.model, relative(got, want, s.n * s.p, loss));
            if (measured.pb.net.analysis.value.data) {
                double *e = doubles(&measured.pb, &measured.pb.net.analysis.grad), *f = doubles(&plain.pb, &plain.pb.net.analysis.grad);
                assert_true(relative(e, f, s.m * s.p, loss) <= 1e-9);
                free(e);
                free(f);
            }
            free(got);
            free(gw);
            free(want);
            close_problem(&measured);
            close_problem(&plain);
            setup_free(&s);
        }
}

/* L is that of A D, encoders of their own begin as A D; after a step the atoms of D have unit norm, W is A D again, and the encoder is left alone. */
static void what_follows_the_dictionary(void **state)
{
    (void)state;
    setup s = random_setup();
    opened measured, plain;
    s.step = 0;
    open_problem(&s, &measured);
    s.measured = false;
    open_problem(&s, &plain);
    assert_true(fabs(measured.pb.net.step - plain.pb.net.step) <= 1e-9 * plain.pb.net.step);
    close_problem(&measured);
    close_problem(&plain);
    s.measured = true;
    s.step = 0.1;
    s.model = "gradient = \"ae\"; encoder = \"untied\";";
    s.train = "learning_rate = 1e-30;";
    open_problem(&s, &measured);
    pd_network *net = &measured.pb.net;
    assert_int_equal(pd_optimizer_init(&measured.pb), PUDLE_OK);
    double *e = doubles(&measured.pb, &net->synthesis.value);
    assert_true(relative(e, s.w, s.m * s.p, 0) <= 1e-12);
    free(e);
    run(&measured.pb, true);
    assert_int_equal(pd_optimizer_step(&measured.pb, 1e-30, 1e-30, 1), PUDLE_OK);
    assert_int_equal(pd_problem_refresh(&measured.pb, 1), PUDLE_OK);
    double *d = doubles(&measured.pb, &net->dictionary.value), *w = doubles(&measured.pb, &net->effective.value), *again = product(s.m, s.n, s.p, s.a, d);
    e = doubles(&measured.pb, &net->synthesis.value);
    for (int64_t k = 0; k < s.p; k++) {
        double norm = 0;
        for (int64_t j = 0; j < s.n; j++)
            norm += d[j * s.p + k] * d[j * s.p + k];
        assert_true(fabs(norm - 1) <= 1e-12);
    }
    assert_true(relative(w, again, s.m * s.p, 0) <= 1e-12);
    assert_true(relative(e, s.w, s.m * s.p, 0) <= 1e-12);
    free(d);
    free(w);
    free(again);
    free(e);
    close_problem(&measured);
    setup_free(&s);
}

/* At the true dictionary everything agrees: x = A D* z*, and the errors are 0; what measures the truth leaves the dictionary as it was. */
static void the_truth_is_of_signals(void **state)
{
    (void)state;
    setup s = random_setup();
    opened o;
    double fixed = 1, assigned = 1;
    open_problem(&s, &o);
    assert_true(pd_problem_knows_truth(&o.pb));
    double *codes = malloc(sizeof *codes * (size_t)(s.samples * s.p)), *signals = malloc(sizeof *signals * (size_t)(s.samples * s.n)), *x = samples_of(&o.pb);
    const pudle_view to = pd_matrix(codes, PUDLE_F64, s.samples, s.p);
    const pudle_cview z = pudle_const(&to);
    assert_int_equal(pd_problem_true_codes(&o.pb, PUDLE_SPLIT_TRAIN, 0, s.samples, &to), PUDLE_OK);
    assert_int_equal(pd_measured_truth(&o.pb, &z, signals), PUDLE_OK);
    for (int64_t i = 0; i < s.samples; i++)
        for (int64_t k = 0; k < s.m; k++) {
            double measured = 0;
            for (int64_t j = 0; j < s.n; j++)
                measured += s.a[k * s.n + j] * signals[i * s.n + j];
            assert_true(fabs(measured - x[i * s.m + k]) <= 1e-12 * (1 + fabs(measured)));
        }
    double *before = doubles(&o.pb, &o.pb.net.dictionary.value);
    assert_int_equal(pd_measured_error(&o.pb, &fixed, &assigned), PUDLE_OK);
    double *after = doubles(&o.pb, &o.pb.net.dictionary.value);
    assert_memory_equal(before, after, sizeof *before * (size_t)(s.n * s.p));
    assert_true(fixed > 0.01 && assigned > 0.01);
    const pudle_cview truth = pudle_const(&o.pb.true_dictionary.view);
    assert_int_equal(truth.shape[0], s.n);
    assert_int_equal(pd_problem_set_dictionary(&o.pb, &truth), PUDLE_OK);
    assert_int_equal(pd_measured_error(&o.pb, &fixed, &assigned), PUDLE_OK);
    assert_true(fixed <= 1e-12 && assigned <= 1e-6);
    free(before);
    free(after);
    free(codes);
    free(signals);
    free(x);
    close_problem(&o);
    setup_free(&s);
}

static int set_up(void **state)
{
    (void)state;
    const char *named = getenv("PUDLE_TEST_BACKEND");
    if (named)
        backends[1] = named;
    return begin_tests((char *const[]){ config_path, a_path, d_path, w_path }, 4) || !backend_found("ref"); /* without a backend nothing would be tested */
}

static int tear_down(void **state)
{
    (void)state;
    return end_tests((char *const[]){ config_path, a_path, d_path, w_path }, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(matches_double_loops), cmocka_unit_test(matches_finite_differences),
                                        cmocka_unit_test(every_estimator_goes_by_the_chain_rule), cmocka_unit_test(what_follows_the_dictionary),
                                        cmocka_unit_test(the_truth_is_of_signals) };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
