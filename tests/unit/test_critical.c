/* Critical values of levels, found by trying, against their formulas. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "opened.h"
#include "tensor/arrays.h"
#include "train/critical.h"

static char config_path[] = "/tmp/pudle-critical-XXXXXX", data_path[] = "/tmp/pudle-critical-x-XXXXXX";
static const char *const backends[] = { "ref", "cpu" };
enum { N = 9, M = 8, P = 6 };

/* Normal samples, of sizes that differ. */
static void write_samples(double *x, int32_t rank, const int64_t *shape)
{
    for (int i = 0; i < N * M; i++)
        x[i] = (1 + 0.2 * (i / M)) * pudle_random_normal(&random_state);
    const pudle_cview v = pd_cview(x, PUDLE_F64, rank, shape);
    assert_int_equal(pd_npy_write(ctx, data_path, &v), PUDLE_OK);
}

static void open_config(const char *backend, const char *groups, opened *o)
{
    FILE *f = fopen(config_path, "w");
    assert_non_null(f);
    fprintf(f, "precision = \"f64\";\nbackend: { name = \"%s\"; };\ndata: { name = \"npy\"; path = \"%s\"; };\n%s", backend, data_path, groups);
    assert_int_equal(fclose(f), 0);
    if (pd_settings_load(ctx, config_path, NULL, 0, &o->settings) || pd_problem_open(ctx, o->settings, NULL, &o->pb) || pd_problem_initialise(&o->pb))
        fail_msg("%s", pd_error(ctx));
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void assert_found(const pd_critical *c, double *sample)
{
    qsort(sample, N, sizeof *sample, ascending);
    if (fabs(c->all - sample[N - 1]) > 1e-9 * sample[N - 1] || fabs(c->half - sample[N / 2]) > 1e-9 * sample[N / 2])
        fail_msg("%.15g and %.15g, wanted %.15g and %.15g", c->all, c->half, sample[N - 1], sample[N / 2]);
}

/* <d_j, x_i - a> of a dense dictionary (M, P). */
static double correlation(const double *d, const double *x, int i, int j, double a)
{
    double sum = 0;
    for (int k = 0; k < M; k++)
        sum += d[k * P + j] * (x[i * M + k] - a);
    return sum;
}

typedef struct formula { const char *groups; double offset, factor; double (*of)(const double *c); } formula;

static double largest_size(const double *c)
{
    double most = 0;
    for (int j = 0; j < P; j++)
        most = fmax(most, fabs(c[j]));
    return most;
}

static double largest(const double *c)
{
    double most = 0;
    for (int j = 0; j < P; j++)
        most = fmax(most, c[j]);
    return most;
}

/* Groups of three atoms, each of weight sqrt(3). */
static double largest_group(const double *c)
{
    double most = 0;
    for (int g = 0; g < P; g += 3)
        most = fmax(most, sqrt((c[g] * c[g] + c[g + 1] * c[g + 1] + c[g + 2] * c[g + 2]) / 3));
    return most;
}

#define MODEL "model: { dictionary: { atoms = 6; init = \"random\"; }; layers = 4; step = 0.1; };\ntrain: { epochs = 1; batch = 4; };\n"
#define LOSS "loss: { name = \"least_squares\"; };\n"

static void as_their_formulas_say(void **state)
{
    static const formula formulas[] = {
        { MODEL LOSS "prox: { name = \"soft_threshold\"; lambda = 0.1; };\n", 0, 1, largest_size },
        { MODEL "loss: { name = \"least_squares\"; offset = 0.3; };\nprox: { name = \"soft_threshold\"; lambda = 0.1; };\n", 0.3, 1, largest_size },
        { MODEL LOSS "prox: { name = \"soft_threshold\"; lambda = 0.1; nonnegative = true; };\n", 0, 1, largest },
        { MODEL LOSS "prox: { name = \"soft_threshold\"; lambda = 0.1; decay = 0.5; };\n", 0, 8, largest_size }, /* three times halved */
        { MODEL LOSS "prox: { name = \"soft_threshold\"; lambda = 0.1; learn = \"layer_atom\"; };\n", 0, 1, largest_size },
        { MODEL LOSS "prox: { name = \"hard_threshold\"; threshold = 0.1; };\n", 0, 0.1, largest_size }, /* the step: it is a number of the code */
        { MODEL LOSS "prox: { name = \"group_soft_threshold\"; lambda = 0.1; size = 3; };\n", 0, 1, largest_group },
        { MODEL LOSS "prox: { name = \"elastic_net\"; lambda = 0.1; mu = 3.0; };\n", 0, 1, largest_size },
    };
    double x[N * M];
    (void)state;
    write_samples(x, 2, (const int64_t[]){ N, M });
    for (int b = 0; b < 2; b++)
        for (size_t f = 0; f < sizeof formulas / sizeof *formulas && backend_found(backends[b]); f++) {
            pd_critical found[PD_MAX_LEVELS];
            double sample[N], c[P];
            opened o;
            open_config(backends[b], formulas[f].groups, &o);
            double *d = doubles(&o.pb, &o.pb.net.dictionary.value);
            for (int i = 0; i < N; i++) {
                for (int j = 0; j < P; j++)
                    c[j] = correlation(d, x, i, j, formulas[f].offset);
                sample[i] = formulas[f].factor * formulas[f].of(c);
            }
            assert_int_equal(pd_critical_find(&o.pb, found), PUDLE_OK);
            assert_found(&found[0], sample);
            assert_true(isnan(found[1].all)); /* there is no second level, or, as the weight of squares, none that makes zeros */
            free(d);
            close_problem(&o);
        }
}

static void of_filters(void **state)
{
    double x[N * M];
    (void)state;
    write_samples(x, 3, (const int64_t[]){ N, 1, M });
    for (int b = 0; b < 2; b++) {
        pd_critical found[PD_MAX_LEVELS];
        double sample[N] = { 0 };
        opened o;
        if (!backend_found(backends[b]))
            continue;
        open_config(backends[b], "model: { dictionary: { kind = \"conv\"; atoms = 2; size = 3; }; layers = 2; step = 0.1; };\ntrain: { epochs = 1; };\n"
                    "prox: { name = \"soft_threshold\"; lambda = 0.1; };\n" LOSS, &o);
        double *w = doubles(&o.pb, &o.pb.net.dictionary.value);
        for (int i = 0; i < N; i++)
            for (int k = 0; k < 2 * (M - 2); k++) {
                const int filter = k / (M - 2), at = k % (M - 2);
                double sum = 0;
                for (int t = 0; t < 3; t++)
                    sum += w[3 * filter + t] * x[i * M + at + t];
                sample[i] = fmax(sample[i], fabs(sum));
            }
        assert_int_equal(pd_critical_find(&o.pb, found), PUDLE_OK);
        assert_found(&found[0], sample);
        free(w);
        close_problem(&o);
    }
}

static void where_there_is_none(void **state)
{
    static const char *const proxes[] = { "ridge", "box\"; lower = -1.0; upper = 1.0; // \"", "l1_ball", "simplex", "tv1d", "batch_top_k\"; k = 3; // \"",
                                          "firm_threshold\"; lower = 0.001; upper = 0.002; // \"" /* its option may not be larger than the other */ };
    double x[N * M];
    (void)state;
    write_samples(x, 2, (const int64_t[]){ N, M });
    for (size_t i = 0; i < sizeof proxes / sizeof *proxes; i++) {
        char groups[512];
        pd_critical found[PD_MAX_LEVELS];
        opened o;
        snprintf(groups, sizeof groups, MODEL LOSS "prox: { name = \"%s\";\n };\n", proxes[i]);
        open_config("ref", groups, &o);
        assert_int_equal(pd_critical_find(&o.pb, found), PUDLE_OK);
        assert_int_equal(pd_error_count(ctx), 0);
        assert_true(isnan(found[0].all) && isnan(found[0].half));
        close_problem(&o);
    }
}

/* A multiple becomes a number that is in force, and in the options. */
static void multiples(void **state)
{
    double x[N * M];
    (void)state;
    write_samples(x, 2, (const int64_t[]){ N, M });
    pd_critical found[PD_MAX_LEVELS];
    opened o;
    open_config("ref", MODEL LOSS "prox: { name = \"soft_threshold\"; lambda = \"0.25 * max\"; };\n", &o);
    const pd_level *level = &o.pb.net.level[0];
    assert_int_equal(pd_critical_find(&o.pb, found), PUDLE_OK);
    assert_true(level->initial == 0.25 * found[0].all && level->host[0] == level->initial * 0.1);
    assert_true(o.settings->multiple->found && !strcmp(pd_settings_multiple(o.settings, "prox.lambda"), "0.25*max") && !pd_settings_multiple(o.settings, "prox.decay"));
    FILE *f = fopen(config_path, "w");
    assert_non_null(f);
    assert_int_equal(pd_settings_write(ctx, o.settings, f), PUDLE_OK);
    assert_int_equal(fclose(f), 0);
    opened again;
    if (pd_settings_load(ctx, config_path, NULL, 0, &again.settings) || pd_problem_open(ctx, again.settings, NULL, &again.pb) || pd_problem_initialise(&again.pb))
        fail_msg("%s", pd_error(ctx));
    assert_true(again.pb.net.level[0].initial == level->initial && again.settings->multiple->found);
    close_problem(&again);
    close_problem(&o);
}

static char *const paths[] = { config_path, data_path };

static int set_up(void **state)
{
    (void)state;
    return begin_tests(paths, 2) || !backend_found("ref");
}

static int tear_down(void **state)
{
    (void)state;
    return end_tests(paths, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(as_their_formulas_say), cmocka_unit_test(of_filters), cmocka_unit_test(where_there_is_none),
                                        cmocka_unit_test(multiples) };
    return cmocka_run_group_tests_name("critical", tests, set_up, tear_down);
}
