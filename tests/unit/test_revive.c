/* Dead atoms: which ones are, what they become, and that nothing else changes. */
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
#include "train/optimizer.h"
#include "train/revive.h"

static char config_path[] = "/tmp/pudle-revive-XXXXXX", data_path[] = "/tmp/pudle-revive-x-XXXXXX", start_path[] = "/tmp/pudle-revive-d-XXXXXX";
#define LOSS "loss: { name = \"least_squares\"; };\n"
static const char *const backends[] = { "ref", "cpu" };

static void write_array(const char *path, const double *values, int32_t rank, const int64_t *shape)
{
    const pudle_cview v = pd_cview(values, PUDLE_F64, rank, shape);
    assert_int_equal(pd_npy_write(ctx, path, &v), PUDLE_OK);
}

/* Samples and dictionary lie in their files; `groups` is the rest of the config. */
static void open_config(const char *backend, const char *groups, opened *o)
{
    FILE *f = fopen(config_path, "w");
    assert_non_null(f);
    fprintf(f, "precision = \"f64\";\nbackend: { name = \"%s\"; };\ndata: { name = \"npy\"; path = \"%s\"; };\n%s", backend, data_path, groups);
    assert_int_equal(fclose(f), 0);
    if (pd_settings_load(ctx, config_path, NULL, 0, &o->settings) || pd_problem_open(ctx, o->settings, NULL, &o->pb) || pd_optimizer_init(&o->pb) ||
        pd_problem_initialise(&o->pb))
        fail_msg("%s", pd_error(ctx));
}

static pd_revival revive(opened *o)
{
    pd_revival found;
    if (pd_revive(&o->pb, 1, 10, NULL, &found))
        fail_msg("%s", pd_error(ctx));
    return found;
}

static void fill(opened *o, double value, const pudle_view *v)
{
    assert_int_equal(o->pb.be->fill(o->pb.exec, value, v), PUDLE_OK);
}

/* Column `atom` of every matrix (rows, columns) in the array is `wanted`, over and over, and all else `others`; NULL: the unit vectors of the axes. */
static void check_columns(opened *o, const pudle_view *array, int64_t columns, int64_t atom, const double *wanted, int64_t rows, const double *others)
{
    double *got = doubles(&o->pb, array);
    const pudle_cview c = pudle_const(array);
    for (int64_t i = 0; i < pudle_count(&c); i++) {
        const int64_t row = i / columns % rows, column = i % columns;
        if (column == atom)
            assert_true(fabs(got[i] - wanted[row]) < 1e-12);
        else
            assert_true(got[i] == (others ? *others : row == column));
    }
    free(got);
}

static const double axes[4 * 3] = { 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0 };

/* Three atoms along axes, the third of which no sample needs; what is missing most lies along the fourth. */
static void residual_of_largest_norm(void **state)
{
    (void)state;
    const double x[5 * 4] = { 2, 1, 0, 0, 0, 3, 0, 1, 2, 0, 0, -5, 1, -1, 0, 2, 0, 0, 0, 0 };
    write_array(data_path, x, 2, (const int64_t[]){ 5, 4 });
    write_array(start_path, axes, 2, (const int64_t[]){ 4, 3 });
    for (int b = 0; b < 2; b++) {
        char groups[1024];
        opened o;
        if (!backend_found(backends[b]))
            continue;
        snprintf(groups, sizeof groups, "model: { dictionary: { atoms = 3; init = \"file\"; path = \"%s\"; }; layers = 2; step = 1.0; encoder = \"untied\"; "
                 "encoder_layers = true; };\nprox: { name = \"soft_threshold\"; lambda = 0.1; learn = \"layer_atom\"; };\n"
                 LOSS "train: { epochs = 2; batch = 2; revive = \"residual\"; };\n", start_path);
        open_config(backends[b], groups, &o);
        pd_network *net = &o.pb.net;
        pd_parameter *const level = &net->level[0].parameter, *const weights[] = { &net->dictionary, &net->analysis, &net->synthesis };
        const double one = 1, zeros[4] = { 0 }, learned = 0.3, starts[2] = { 0.1, 0.1 };
        for (int i = 0; i < 3; i++)
            for (int k = 0; k < 2; k++)
                fill(&o, 1, &weights[i]->state[k]);
        fill(&o, learned, &level->value);
        fill(&o, 1, &level->state[0]);
        fill(&o, 1, &level->state[1]);
        const pd_revival found = revive(&o);
        assert_true(found.looked == 5 && found.dead == 1 && found.replaced == 1 && !found.stopped);
        const double wanted[4] = { 0, 0, 0, -1 }; /* of sample 2: what no atom has, without what the threshold leaves of the first */
        for (int i = 0; i < 3; i++) {
            check_columns(&o, &weights[i]->value, 3, 2, wanted, 4, NULL);
            check_columns(&o, &weights[i]->state[0], 3, 2, zeros, 4, &one);
            check_columns(&o, &weights[i]->state[1], 3, 2, zeros, 4, &one);
        }
        check_columns(&o, &level->value, 3, 2, starts, 2, &learned);
        check_columns(&o, &level->state[0], 3, 2, zeros, 2, &one);
        check_columns(&o, &level->state[1], 3, 2, zeros, 2, &one);
        close_problem(&o);
    }
}

/* What the worst samples have in common is one atom, not one each. */
static void residuals_at_right_angles(void **state)
{
    (void)state;
    const double x[4 * 4] = { 1, 0, 6, 0, 0, 1, 5, 0.1, 0, 0, 3, 3, 0, 0, 0, 1 };
    const double start[4 * 5] = { 1, 0, 0, 0, 0, 0, 1, -1, -1, -1 };
    write_array(data_path, x, 2, (const int64_t[]){ 4, 4 });
    write_array(start_path, start, 2, (const int64_t[]){ 4, 5 });
    for (int b = 0; b < 2; b++) {
        char groups[1024];
        opened o;
        if (!backend_found(backends[b]))
            continue;
        snprintf(groups, sizeof groups, "model: { dictionary: { atoms = 5; init = \"file\"; path = \"%s\"; }; layers = 40; step = 0.2; };\n"
                 "prox: { name = \"soft_threshold\"; lambda = 0.1; nonnegative = true; };\n" LOSS "train: { epochs = 2; batch = 3; revive = \"residual\"; };\n", start_path);
        open_config(backends[b], groups, &o);
        const pd_revival found = revive(&o);
        double *d = doubles(&o.pb, &o.pb.net.dictionary.value);
        assert_true(found.dead == 3 && found.replaced == 2); /* the second sample would be the first once more */
        for (int k = 0; k < 4; k++) {
            assert_true(fabs(d[k * 5 + 2] - (k == 2)) < 1e-12);
            assert_true(fabs(d[k * 5 + 3] - (k == 3)) < 1e-12);
            assert_true(d[k * 5 + 4] == start[k * 5 + 4]);
        }
        free(d);
        close_problem(&o);
    }
}

/* How many of the samples an atom must be used by to live: the second is by two of five. */
static void dead_by_its_share(void **state)
{
    (void)state;
    const double x[5 * 4] = { 2, 1, 1, 0, 1, 3, 1, 1, 2, 0, 1, -5, 1, 0, 1, 2, 0, 0, 1, 0 };
    write_array(data_path, x, 2, (const int64_t[]){ 5, 4 });
    write_array(start_path, axes, 2, (const int64_t[]){ 4, 3 });
    for (int round = 0; round < 2; round++) {
        char groups[1024];
        opened o;
        snprintf(groups, sizeof groups, "model: { dictionary: { atoms = 3; init = \"file\"; path = \"%s\"; }; layers = 2; step = 1.0; };\n"
                 "prox: { name = \"soft_threshold\"; lambda = 0.1; };\n" LOSS "train: { epochs = 2; revive = \"samples\"; revive_below = %s; };\n", start_path,
                 round ? "0.4" : "0.39");
        open_config("ref", groups, &o);
        const pd_revival found = revive(&o);
        assert_true(found.dead == round && found.replaced == round);
        close_problem(&o);
    }
}

/* Is column j a sample less the baseline, scaled? Which one. */
static int sample_of(const double *d, int64_t atoms, int64_t j, const double *x, int64_t samples, double baseline)
{
    for (int i = 0; i < samples; i++) {
        double norm = 0, worst = 0;
        for (int k = 0; k < 4; k++)
            norm += (x[4 * i + k] - baseline) * (x[4 * i + k] - baseline);
        for (int k = 0; norm > 0 && k < 4; k++)
            worst = fmax(worst, fabs(d[k * atoms + j] - (x[4 * i + k] - baseline) / sqrt(norm)));
        if (norm > 0 && worst < 1e-12)
            return i;
    }
    return -1;
}

/* All atoms are dead; each becomes another sample, as long as there are any that are not nothing. */
static void samples_are_distinct(void **state)
{
    (void)state;
    const double x[4 * 4] = { 2.5, 1, 0, 0, 0.5, 0.5, 0.5, 0.5, 0, 3, 0, 1, 2, 0, 0, -5 };
    write_array(data_path, x, 2, (const int64_t[]){ 4, 4 });
    for (int b = 0; b < 2; b++) {
        opened o;
        if (!backend_found(backends[b]))
            continue;
        open_config(backends[b], "model: { dictionary: { atoms = 5; }; layers = 2; step = 0.5; };\nprox: { name = \"soft_threshold\"; lambda = 100.0; };\n"
                    "loss: { name = \"least_squares\"; offset = 0.5; };\ntrain: { epochs = 2; batch = 3; revive = \"samples\"; };\n", &o);
        double *before = doubles(&o.pb, &o.pb.net.dictionary.value);
        const pd_revival found = revive(&o);
        double *after = doubles(&o.pb, &o.pb.net.dictionary.value);
        assert_true(found.dead == 5 && found.replaced == 3);
        int seen = 0;
        for (int j = 0; j < 3; j++)
            seen |= 1 << sample_of(after, 5, j, x, 4, 0.5);
        assert_int_equal(seen, 1 | 4 | 8);
        for (int k = 0; k < 4; k++)
            for (int j = 3; j < 5; j++)
                assert_true(after[k * 5 + j] == before[k * 5 + j]);
        free(after);
        free(before);
        close_problem(&o);
    }
}

/* Filters of three at every second place: of the windows on the grid, the one with the most. */
static void window_of_most_energy(void **state)
{
    (void)state;
    const double x[2 * 2 * 11] = { [22 + 5] = 1, [22 + 6] = 3, [22 + 7] = 2, [33 + 6] = 1 };
    const double norm = 2 * sqrt(9 + 4 + 1), wanted[6] = { 3 / norm, 2 / norm, 0, 1 / norm, 0, 0 }; /* and at norm 1 / channels */
    write_array(data_path, x, 3, (const int64_t[]){ 2, 2, 11 });
    for (int b = 0; b < 2; b++) {
        opened o;
        if (!backend_found(backends[b]))
            continue;
        open_config(backends[b], "model: { dictionary: { kind = \"conv\"; atoms = 2; size = [3]; stride = [2]; channel_divisor = true; }; layers = 2; step = 0.1; };\n"
                    "prox: { name = \"soft_threshold\"; lambda = 100.0; };\n" LOSS "train: { epochs = 2; revive = \"residual\"; };\n", &o);
        double *before = doubles(&o.pb, &o.pb.net.dictionary.value);
        fill(&o, 1, &o.pb.net.dictionary.state[1]);
        const pd_revival found = revive(&o);
        double *after = doubles(&o.pb, &o.pb.net.dictionary.value), *moment = doubles(&o.pb, &o.pb.net.dictionary.state[1]);
        assert_true(found.dead == 2 && found.replaced == 1);
        for (int i = 0; i < 6; i++) {
            assert_true(fabs(after[i] - wanted[i]) < 1e-12);
            assert_true(after[6 + i] == before[6 + i] && moment[i] == 0 && moment[6 + i] == 1);
        }
        free(moment);
        free(after);
        free(before);
        close_problem(&o);
    }
}

static void at_most_so_many_samples(void **state)
{
    (void)state;
    enum { MANY = 25000 };
    double *x = calloc(MANY, 2 * sizeof *x);
    assert_non_null(x);
    for (int i = 0; i < MANY; i++)
        x[2 * i] = 1;
    write_array(data_path, x, 2, (const int64_t[]){ MANY, 2 });
    free(x);
    opened o;
    open_config("ref", "model: { dictionary: { atoms = 2; }; layers = 1; step = 0.5; };\nprox: { name = \"soft_threshold\"; lambda = 100.0; };\n"
                LOSS "train: { epochs = 2; revive = \"residual\"; };\n", &o);
    assert_true(revive(&o).looked == 10000);
    close_problem(&o);
}

static void a_signal_changes_nothing(void **state)
{
    (void)state;
    const volatile sig_atomic_t stop = 1;
    const double x[2] = { 1, 2 };
    pd_revival found;
    opened o;
    write_array(data_path, x, 2, (const int64_t[]){ 1, 2 });
    open_config("ref", "model: { dictionary: { atoms = 2; }; layers = 1; step = 0.5; };\nprox: { name = \"soft_threshold\"; lambda = 100.0; };\n"
                LOSS "train: { epochs = 2; revive = \"residual\"; };\n", &o);
    double *before = doubles(&o.pb, &o.pb.net.dictionary.value);
    assert_int_equal(pd_revive(&o.pb, 1, 1, &stop, &found), PUDLE_OK);
    double *after = doubles(&o.pb, &o.pb.net.dictionary.value);
    assert_true(found.stopped && !found.replaced);
    assert_memory_equal(before, after, 4 * sizeof *after);
    free(after);
    free(before);
    close_problem(&o);
}

static char *const paths[] = { config_path, data_path, start_path };

static int set_up(void **state)
{
    (void)state;
    return begin_tests(paths, 3) || !backend_found("ref");
}

static int tear_down(void **state)
{
    (void)state;
    return end_tests(paths, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(residual_of_largest_norm), cmocka_unit_test(residuals_at_right_angles),
                                        cmocka_unit_test(dead_by_its_share), cmocka_unit_test(samples_are_distinct),
                                        cmocka_unit_test(window_of_most_energy), cmocka_unit_test(at_most_so_many_samples),
                                        cmocka_unit_test(a_signal_changes_nothing) };
    return cmocka_run_group_tests_name("revive", tests, set_up, tear_down);
}
