/* Windows of samples: their energies by brute force, and filters that begin as some of them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <pudle/random.h>
#include "graph/map.h"
#include "opened.h"
#include "memory_source.h"
#include "tensor/arrays.h"
#include "train/draw.h"
#include "train/windows.h"

static char config_path[] = "/tmp/pudle-windows-XXXXXX", data_path[] = "/tmp/pudle-windows-x-XXXXXX";

static double *room(int64_t count)
{
    double *a = pd_alloc((size_t)count, sizeof *a);
    assert_non_null(a);
    return a;
}

static double *normals(int64_t count)
{
    double *a = room(count);
    for (int64_t i = 0; i < count; i++)
        a[i] = pudle_random_normal(&random_state);
    return a;
}

/* Filters, channels, strides and samples of odd shapes, in one dimension or two. */
static pd_map odd_map(bool picture)
{
    const int64_t kernel[2] = { between(1, 5), between(1, 4) }, stride[2] = { between(1, 3), between(1, 3) };
    const int64_t data[3] = { between(1, 3), kernel[0] + between(0, 7), kernel[1] + between(0, 9) };
    pd_map map;
    pd_map_conv(&map, NULL, picture ? 3 : 2, data, 3, kernel, stride);
    return map;
}

/* One entry of the window at a position. */
static double window_entry(const pudle_conv *conv, const double *sample, int64_t position, int64_t c, int64_t y, int64_t x)
{
    const int64_t row = position / conv->code[1] * conv->stride[0] + y, column = position % conv->code[1] * conv->stride[1] + x;
    return sample[(c * conv->data[0] + row) * conv->data[1] + column];
}

static int64_t taps_of(const pudle_conv *conv)
{
    return conv->channels * conv->kernel[0] * conv->kernel[1];
}

/* ... and all of it, as a filter. */
static void window(const pudle_conv *conv, const double *sample, int64_t position, double *out)
{
    for (int64_t c = 0; c < conv->channels; c++)
        for (int64_t y = 0; y < conv->kernel[0]; y++)
            for (int64_t x = 0; x < conv->kernel[1]; x++)
                *out++ = window_entry(conv, sample, position, c, y, x);
}

static double energy_of(const double *window, int64_t taps)
{
    double sum = 0;
    for (int64_t i = 0; i < taps; i++)
        sum += window[i] * window[i];
    return sum;
}

static void energies_and_cuts(void **state)
{
    (void)state;
    for (int trial = 0; trial < 100; trial++) {
        const pd_map map = odd_map(trial % 2);
        const pudle_conv *conv = &map.conv;
        const int64_t count = conv->code[0] * conv->code[1], taps = taps_of(conv);
        double *x = normals(map.features), *energy = room(count), *scratch = room(pd_window_room(conv)), *cut = room(taps), *wanted = room(taps);
        pd_window_energies(conv, x, scratch, energy);
        for (int64_t i = 0; i < count; i++) {
            window(conv, x, i, wanted);
            pd_window_cut(conv, x, i, cut);
            assert_memory_equal(cut, wanted, (size_t)taps * sizeof *cut);
            assert_true(fabs(energy[i] - energy_of(wanted, taps)) <= 1e-13 * energy_of(wanted, taps));
        }
        free(x);
        free(energy);
        free(scratch);
        free(cut);
        free(wanted);
    }
}

/* --------------------------------------------------------------------- drawing */

static pudle_status draw(const pd_map *map, const double *x, int64_t n, uint64_t seed, int64_t p, double *filters)
{
    memory m = { x, map->features, -1 };
    const pd_sample_source source = { n, map->features, read_memory, &m, false };
    return pd_init_windows(ctx, &source, &map->conv, seed, p, filters);
}

/* Which sample and position is a filter of, to the last bit? And has it energy enough? -1: none. */
static int64_t window_of(const pudle_conv *conv, const double *x, int64_t n, int64_t features, const double *filter, double factor)
{
    const int64_t count = conv->code[0] * conv->code[1], taps = taps_of(conv);
    double *w = room(taps);
    int64_t found = -1;
    for (int64_t i = 0; i < n && found < 0; i++) {
        double mean = 0;
        for (int64_t at = 0; at < count; at++) {
            window(conv, x + i * features, at, w);
            mean += energy_of(w, taps) / (double)count;
        }
        for (int64_t at = 0; at < count && found < 0; at++) {
            window(conv, x + i * features, at, w);
            const bool enough = energy_of(w, taps) >= mean * (1 - 1e-12);
            pd_unit_vector(w, taps);
            for (int64_t k = 0; k < taps; k++)
                w[k] *= factor;
            found = enough && !memcmp(w, filter, (size_t)taps * sizeof *w) ? i * count + at : -1;
        }
    }
    free(w);
    return found;
}

/* Every filter is a window of a sample, no two are one, and a seed gives the same ones. With samples enough, each is of another. */
static void filters_are_windows(void **state)
{
    (void)state;
    for (int trial = 0; trial < 60; trial++) {
        enum { N = 5, P = 5 };
        pd_map map = odd_map(trial % 2);
        if (taps_of(&map.conv) == 1) /* all windows are the same up to a factor */
            continue;
        const int64_t count = map.conv.code[0] * map.conv.code[1], taps = taps_of(&map.conv), n = trial % 3 && count > 8 ? 2 : N;
        double *x = normals(N * map.features), *filters = room(P * taps), *again = room(P * taps), *other = room(P * taps);
        const uint64_t seed = (uint64_t)between(0, 1000);
        const int64_t p = n == N ? P : 2;
        int64_t found[P];
        assert_int_equal(draw(&map, x, n, seed, p, filters), PUDLE_OK);
        assert_int_equal(draw(&map, x, n, seed, p, again), PUDLE_OK);
        assert_int_equal(draw(&map, x, n, seed + 1, p, other), PUDLE_OK);
        assert_memory_equal(filters, again, (size_t)(p * taps) * sizeof *filters);
        for (int64_t k = 0; k < p; k++) {
            found[k] = window_of(&map.conv, x, n, map.features, filters + k * taps, 1);
            assert_true(found[k] >= 0 && window_of(&map.conv, x, n, map.features, other + k * taps, 1) >= 0);
            for (int64_t i = 0; i < k; i++)
                assert_true(found[i] / count != found[k] / count);
        }
        free(x);
        free(filters);
        free(again);
        free(other);
    }
}

/* Two samples give eight filters, four each; another seed gives others. */
static void samples_take_turns(void **state)
{
    (void)state;
    enum { P = 8, TAPS = 3, M = 60 };
    const int64_t data[2] = { 1, M }, kernel[1] = { TAPS }, stride[1] = { 1 };
    double *x = normals(2 * M), filters[P * TAPS], other[P * TAPS];
    int64_t of[2] = { 0, 0 }, seen[P];
    pd_map map;
    pd_map_conv(&map, NULL, 2, data, P, kernel, stride);
    assert_int_equal(draw(&map, x, 2, 7, P, filters), PUDLE_OK);
    assert_int_equal(draw(&map, x, 2, 8, P, other), PUDLE_OK);
    assert_memory_not_equal(filters, other, sizeof other);
    for (int k = 0; k < P; k++) {
        seen[k] = window_of(&map.conv, x, 2, M, filters + k * TAPS, 1);
        assert_true(seen[k] >= 0);
        of[seen[k] / map.conv.code[1]]++;
        for (int i = 0; i < k; i++)
            assert_true(seen[i] != seen[k]);
    }
    assert_true(of[0] == 4 && of[1] == 4);
    free(x);
}

/* Places of little energy are left alone, as those of zeros and of what is missing; what stands there once more, larger or with another sign, is no other filter. */
static void what_is_passed_over(void **state)
{
    (void)state;
    enum { M = 16 };
    const int64_t data[2] = { 1, M }, kernel[1] = { 2 }, stride[1] = { 2 };
    const double x[3 * M] = { 0, 0, 0.1, 0, 3, 4, 0, 0, -6, -8, 0, 0.1, NAN, 1, 0, 0, /* one filter, and twice of it */
                              [2 * M] = 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5 };
    double filters[6];
    pd_map map;
    pd_map_conv(&map, NULL, 2, data, 2, kernel, stride);
    for (uint64_t seed = 0; seed < 20; seed++) {
        assert_int_equal(draw(&map, x, 3, seed, 2, filters), PUDLE_OK);
        const int flat = filters[0] == filters[1] ? 0 : 1;
        assert_true(fabs(filters[2 * flat] - sqrt(0.5)) < 1e-15 && fabs(filters[2 * flat + 1] - sqrt(0.5)) < 1e-15);
        assert_true(fabs(fabs(filters[2 * !flat]) - 0.6) < 1e-15 && fabs(filters[2 * !flat + 1] / filters[2 * !flat] - 4.0 / 3) < 1e-15);
    }
    assert_int_equal(draw(&map, x, 3, 1, 3, filters), PUDLE_ERR_CONFIG);
    assert_non_null(strstr(pd_error(ctx), "needs 3 different windows of a filter's size, and 3 samples have 2"));
    pd_error_clear(ctx);
    assert_int_equal(draw(&map, x + M, 1, 1, 1, filters), PUDLE_ERR_CONFIG);
    assert_non_null(strstr(pd_error(ctx), "of 1 samples every window of a filter's size is zero or not finite"));
    pd_error_clear(ctx);
    memory broken = { x, M, 2 };
    const pd_sample_source source = { 3, M, read_memory, &broken, false };
    assert_int_equal(pd_init_windows(ctx, &source, &map.conv, 1, 2, filters), PUDLE_ERR_IO);
    pd_error_clear(ctx);
}

/* -------------------------------------------------------------------- backends */

/* By way of a config: the dictionary of every backend begins as windows, at the norm that filters are kept at. */
static void on_every_backend(void **state)
{
    (void)state;
    static const char *const backends[] = { "ref", "cpu", "cuda" };
    static const struct { int32_t rank; int64_t shape[4]; const char *dictionary; double norm; } cases[] = {
        { 3, { 6, 1, 40 }, "atoms = 9; size = [7]; stride = [3];", 1 },
        { 3, { 3, 2, 31 }, "atoms = 4; size = [5]; channel_divisor = true;", 0.5 },
        { 4, { 5, 3, 13, 17 }, "atoms = 8; size = [5, 4]; stride = [2, 1];", 1 },
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const pudle_cview shape = pd_cview(NULL, PUDLE_F64, cases[c].rank, cases[c].shape);
        double *x = normals(pudle_count(&shape)), *first = NULL;
        const pudle_cview v = pd_cview(x, PUDLE_F64, cases[c].rank, cases[c].shape);
        assert_int_equal(pd_npy_write(ctx, data_path, &v), PUDLE_OK);
        for (size_t b = 0; b < sizeof backends / sizeof *backends; b++) {
            opened o = { .settings = NULL };
            FILE *f = fopen(config_path, "w");
            assert_non_null(f);
            fprintf(f, "precision = \"f64\";\nbackend: { name = \"%s\"; };\ndata: { name = \"npy\"; path = \"%s\"; };\n"
                    "model: { dictionary: { kind = \"conv\"; init = \"samples\"; %s }; layers = 2; step = 0.1; };\nprox: { name = \"soft_threshold\"; lambda = 0.1; };\n"
                    "loss: { name = \"least_squares\"; };\ntrain: { epochs = 1; seed = 11; };\n", backends[b], data_path, cases[c].dictionary);
            assert_int_equal(fclose(f), 0);
            if (!backend_found(backends[b]))
                continue;
            if (pd_settings_load(ctx, config_path, NULL, 0, &o.settings) || pd_problem_open(ctx, o.settings, NULL, &o.pb)) {
                assert_true(b == 2); /* a machine without a device */
                pd_error_clear(ctx);
                pd_settings_destroy(o.settings);
                continue;
            }
            if (pd_problem_initialise(&o.pb))
                fail_msg("%s", pd_error(ctx));
            double *d = doubles(&o.pb, &o.pb.net.dictionary.value);
            const pd_map *map = &o.pb.net.map;
            const int64_t taps = taps_of(&map->conv);
            for (int64_t k = 0; k < map->atoms; k++)
                assert_true(window_of(&map->conv, x, cases[c].shape[0], map->features, d + k * taps, cases[c].norm) >= 0);
            if (first)
                assert_memory_equal(first, d, (size_t)(map->atoms * taps) * sizeof *d);
            free(first);
            first = d;
            close_problem(&o);
        }
        free(first);
        free(x);
    }
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
    const struct CMUnitTest tests[] = { cmocka_unit_test(energies_and_cuts), cmocka_unit_test(filters_are_windows), cmocka_unit_test(samples_take_turns),
                                        cmocka_unit_test(what_is_passed_over), cmocka_unit_test(on_every_backend) };
    return cmocka_run_group_tests_name("windows", tests, set_up, tear_down);
}
