/* Filters that made the data: the model's own D z of the true codes is the sample, and what is told of a dictionary that is theirs, in another order, moved, or of
 * another size. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "opened.h"
#include "train/truth.h"

static char config_path[] = "/tmp/pudle-truth-XXXXXX";

enum { SAMPLES = 6, ATOMS = 3 };

static void open_problem(const char *data, const char *dictionary, opened *o)
{
    FILE *file = fopen(config_path, "w");
    assert_non_null(file);
    fprintf(file, "precision = \"f64\";\nbackend: { name = \"ref\"; };\n"
                  "data: { name = \"synthetic\"; samples = %d; atoms = %d; sparsity = 3; sign = \"per_entry\"; seed = %lld; %s };\n"
                  "model: { dictionary: { atoms = %d; %s }; layers = 2; step = 0.1; };\n"
                  "prox: { name = \"soft_threshold\"; lambda = 0.1; };\nloss: { name = \"least_squares\"; };\n"
                  "train: { updates = 1; batch = 2; learning_rate = 0.1; };\n", SAMPLES, ATOMS, (long long)between(1, 1000000), data, ATOMS, dictionary);
    assert_int_equal(fclose(file), 0);
    o->settings = NULL;
    const pudle_status s = pd_settings_load(ctx, config_path, NULL, 0, &o->settings);
    if (s || pd_problem_open(ctx, o->settings, NULL, &o->pb))
        fail_msg("%s", pd_error(ctx));
}

static void begin_problem(const char *data, const char *dictionary, opened *o)
{
    open_problem(data, dictionary, o);
    if (pd_problem_initialise(&o->pb))
        fail_msg("%s", pd_error(ctx));
}

#define PLAIN "shape = [1, 30]; features = 30; filters = [7];"
static const char *const kinds[][2] = {
    { PLAIN, "kind = \"conv\"; size = [7]; init = \"truth\";" },
    { "shape = [2, 31]; features = 62; filters = [5]; stride = [3];", "kind = \"conv\"; size = [5]; stride = [3]; init = \"truth\";" },
    { "shape = [3, 9, 11]; features = 297; filters = [4, 3]; stride = [2, 3];", "kind = \"conv\"; size = [4, 3]; stride = [2, 3]; init = \"truth\";" },
    { "features = 12;", "kind = \"dense\"; init = \"truth\";" },
};

static void the_model_makes_the_samples(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        opened o;
        begin_problem(kinds[i][0], kinds[i][1], &o);
        pd_problem *pb = &o.pb;
        const pd_map *map = &pb->net.map;
        const size_t codes = (size_t)(SAMPLES * map->code), entries = (size_t)(SAMPLES * map->features);
        double *host = malloc(sizeof *host * codes), fixed = 1, assigned = 1;
        void *z = NULL, *x = NULL;
        assert_non_null(host);
        assert_true(pd_problem_knows_truth(pb) && pd_problem_knows_codes(pb));
        const pudle_view real = pd_matrix(host, PUDLE_F64, SAMPLES, map->code);
        assert_int_equal(pd_problem_true_codes(pb, PUDLE_SPLIT_TRAIN, 0, SAMPLES, &real), PUDLE_OK);
        assert_int_equal(pb->be->alloc(pb->exec, sizeof *host * codes, &z), PUDLE_OK);
        assert_int_equal(pb->be->alloc(pb->exec, sizeof *host * entries, &x), PUDLE_OK);
        assert_int_equal(pb->be->upload(pb->exec, z, host, sizeof *host * codes), PUDLE_OK);
        const pudle_cview w = pudle_const(&pb->net.dictionary.value), code = pd_cmatrix(z, PUDLE_F64, SAMPLES, map->code);
        const pudle_view made = pd_matrix(x, PUDLE_F64, SAMPLES, map->features);
        assert_int_equal(map->ops->apply(map, pb->exec, &w, &code, &made), PUDLE_OK);
        pd_batch batch;
        assert_int_equal(pd_problem_first(pb, PUDLE_SPLIT_TRAIN, 0, SAMPLES, &batch), PUDLE_OK);
        double *own = doubles(pb, &made);
        for (size_t k = 0; k < entries; k++)
            assert_true(fabs(own[k] - ((const double *)pb->host.x)[k]) <= 1e-13);
        assert_int_equal(pd_problem_dictionary_error(pb, &fixed, &assigned), PUDLE_OK);
        assert_true(fixed <= 1e-14 && assigned <= 1e-7);
        free(own);
        free(host);
        pb->be->free(pb->exec, x);
        pb->be->free(pb->exec, z);
        close_problem(&o);
    }
}

/* The true filters, in the order 1, 2, 0, with sign and factor, moved by `by` to the right: taps that leave the frame are lost. */
static void set_moved(pd_problem *pb, int64_t taps, int64_t by)
{
    const double *truth = pb->true_dictionary.view.data;
    double *d = calloc((size_t)(ATOMS * taps), sizeof *d);
    assert_non_null(d);
    for (int64_t k = 0; k < ATOMS; k++)
        for (int64_t i = by; i < taps; i++)
            d[(k + 1) % ATOMS * taps + i] = (k % 2 ? -2.0 : 0.5) * truth[k * taps + i - by];
    const pudle_cview c = pd_cview(d, PUDLE_F64, 3, (const int64_t[]){ ATOMS, 1, taps });
    assert_int_equal(pd_problem_set_dictionary(pb, &c), PUDLE_OK);
    free(d);
}

static void filters_are_matched(void **state)
{
    (void)state;
    enum { TAPS = 7, PLACES = 24 };
    opened o;
    double fixed, assigned, factor[ATOMS * PLACES];
    int64_t match[ATOMS * PLACES];
    bool moved = true;
    begin_problem(PLAIN, "kind = \"conv\"; size = [7]; init = \"truth\";", &o);
    set_moved(&o.pb, TAPS, 0);
    assert_int_equal(pd_problem_dictionary_error(&o.pb, &fixed, &assigned), PUDLE_OK);
    assert_true(fixed > 0.5 && assigned <= 1e-7);
    assert_int_equal(pd_problem_match_truth(&o.pb, match, factor, &moved), PUDLE_OK);
    assert_false(moved);
    for (int64_t k = 0; k < ATOMS; k++)
        for (int64_t i = 0; i < PLACES; i++) {
            assert_int_equal(match[k * PLACES + i], (k + 1) % ATOMS * PLACES + i);
            assert_true(fabs(factor[k * PLACES + i] - (k % 2 ? -2.0 : 0.5)) <= 1e-12);
        }
    set_moved(&o.pb, TAPS, 1);
    double lost = 0; /* unit filters of which one tap is lost: c = sqrt(1 - tap^2) */
    for (int64_t k = 0; k < ATOMS; k++) {
        const double last = ((const double *)o.pb.true_dictionary.view.data)[k * TAPS + TAPS - 1];
        lost += 2 - 2 * sqrt(1 - last * last);
    }
    assert_int_equal(pd_problem_dictionary_error(&o.pb, &fixed, &assigned), PUDLE_OK);
    assert_true(assigned <= sqrt(lost / ATOMS) + 1e-7);
    assert_int_equal(pd_problem_match_truth(&o.pb, match, factor, &moved), PUDLE_OK);
    assert_true(moved);
    close_problem(&o);
    begin_problem(PLAIN, "kind = \"conv\"; size = [7]; init = \"truth\"; noise = 0.1; channel_divisor = true;", &o);
    assert_int_equal(pd_problem_dictionary_error(&o.pb, &fixed, &assigned), PUDLE_OK);
    assert_true(fixed > 0.01 && fixed < 0.8 && assigned <= fixed + 1e-12);
    close_problem(&o);
}

static void what_is_of_another_shape(void **state)
{
    (void)state;
    static const struct { const char *data, *dictionary; bool truth, codes; const char *said; } cases[] = {
        { PLAIN, "kind = \"conv\"; size = [7]; stride = [2];", true, false, NULL },
        { PLAIN, "kind = \"conv\"; size = [9];", false, false, "size = [7];" },
        { PLAIN, "kind = \"dense\";", false, false, "has filters; write  kind = \"conv\";" },
        { "shape = [1, 30]; features = 30;", "kind = \"conv\"; size = [7];", false, false, "is a matrix; write  kind = \"dense\";" },
        { "shape = [1, 9, 9]; features = 81; filters = [3, 2]; stride = [1, 2];", "kind = \"conv\"; size = [3, 3];", false, false, "size = [3, 2];" },
        { "shape = [1, 9, 9]; features = 81; filters = [3, 3]; stride = [1, 2];", "kind = \"conv\"; size = [3, 3]; stride = [1, 2];", true, true, NULL },
        { "shape = [1, 9, 9]; features = 81; filters = [3, 3]; stride = [2, 1];", "kind = \"conv\"; size = [3, 3]; stride = [1, 2];", true, false, NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        opened o;
        double fixed, assigned;
        open_problem(cases[i].data, cases[i].dictionary, &o);
        assert_int_equal(pd_problem_knows_truth(&o.pb), cases[i].truth);
        assert_int_equal(pd_problem_knows_codes(&o.pb), cases[i].codes);
        if (cases[i].said) {
            assert_int_equal(pd_problem_dictionary_error(&o.pb, &fixed, &assigned), PUDLE_OK);
            assert_true(isnan(fixed) && isnan(assigned));
            assert_int_equal(pd_problem_true_dictionary(&o.pb), PUDLE_ERR_CONFIG);
            if (!strstr(pd_error(ctx), cases[i].said))
                fail_msg("'%s' is not in: %s", cases[i].said, pd_error(ctx));
            pd_error_clear(ctx);
        }
        close_problem(&o);
    }
}

/* A source of before 1.1, whose table ends where these functions begin, has a matrix. */
static void an_older_source(void **state)
{
    (void)state;
    opened o;
    open_problem("features = 12;", "kind = \"dense\";", &o);
    pudle_data_truth old = *o.pb.truth;
    old.size = (uint32_t)offsetof(pudle_data_truth, measured);
    old.measured = NULL;
    memset(&old.filters, 0xff, sizeof old.filters);
    o.pb.truth = &old;
    assert_int_equal(pd_truth_axes(&o.pb), 0);
    assert_true(pd_problem_knows_truth(&o.pb) && pd_problem_knows_codes(&o.pb));
    close_problem(&o);
}

static int set_up(void **state)
{
    (void)state;
    return begin_tests((char *const[]){ config_path }, 1) || !backend_found("ref"); /* without a backend nothing would be tested */
}

static int tear_down(void **state)
{
    (void)state;
    return end_tests((char *const[]){ config_path }, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_model_makes_the_samples), cmocka_unit_test(filters_are_matched), cmocka_unit_test(what_is_of_another_shape),
                                        cmocka_unit_test(an_older_source) };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
