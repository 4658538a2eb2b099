/* The operators that look at more than one entry on chosen numbers: their values, ties and extreme levels, and settings that are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_host.h"

/* apply on one dense sample of `atoms` doubles with one level. */
static pudle_status on(const char *name, const char *const *settings, int64_t atoms, const double *v, double level, double *p, double *f)
{
    const pudle_desc *desc = fake_load("prox", name);
    const pudle_prox_ops *ops = desc->ops;
    void *params = fake_params(desc, settings), *self = params;
    pudle_status s = desc->check ? desc->check(&fake_host, params) : PUDLE_OK;
    if (!s && desc->create)
        s = desc->create(&fake_host, params, &self);
    if (!s) {
        pudle_view in = fake_view(PUDLE_F64, 2, (const int64_t[]){ 1, atoms }), out = fake_copy(&in), t = fake_view(PUDLE_F64, 1, &(int64_t){ 1 });
        memcpy(in.data, v, (size_t)atoms * sizeof *v);
        set(&t, 0, level);
        const pudle_cview theta[2] = { pudle_const(&t), pudle_const(&t) }, cin = pudle_const(&in);
        s = ops->kernels[0]->apply(self, NULL, 1, theta, &cin, &out);
        if (p)
            memcpy(p, out.data, (size_t)atoms * sizeof *p);
        if (!s && f) /* of the input itself */
            s = ops->value(self, 1, theta, &cin, f);
        free(in.data);
        free(out.data);
        free(t.data);
    }
    if (desc->destroy && self != params)
        desc->destroy(&fake_host, self);
    free(params);
    assert_int_equal(fake.live, 0);
    return s;
}

static void value_is(const char *name, const char *const *settings, int64_t atoms, const double *v, double level, double want)
{
    double f = NAN;
    assert_int_equal(on(name, settings, atoms, v, level, NULL, &f), PUDLE_OK);
    if (!(f == want || fabs(f - want) <= 1e-14 * fabs(want)))
        fail_msg("%s: value %.17g instead of %.17g", name, f, want);
}

static void test_values(void **state)
{
    (void)state;
    const double v[] = { 3, -4, 0, 0 }, up[] = { 3, 4, 0, 0 };
    value_is("weighted_l1", SETTINGS("weights", "[1, 2, 3, 4]"), 4, v, 2, 22);
    value_is("weighted_l1", SETTINGS("weights", "2", "nonnegative", "true"), 4, v, 2, INFINITY);
    value_is("signed_soft_threshold", SETTINGS("signs", "[1, -1, 0, 0]"), 4, v, 2, 14);
    value_is("signed_soft_threshold", SETTINGS("signs", "[1, 1, 0, 0]"), 4, v, 2, INFINITY);
    value_is("group_soft_threshold", SETTINGS("size", "2", "weight", "one"), 4, v, 2, 10);
    value_is("group_soft_threshold", SETTINGS("size", "4"), 4, v, 2, 20);
    value_is("group_soft_threshold", SETTINGS("sizes", "[1, 3]", "weight", "one"), 4, v, 2, 14);
    value_is("nonnegative_group", SETTINGS("size", "2", "weight", "one"), 4, v, 2, INFINITY);
    value_is("nonnegative_group", SETTINGS("size", "2", "weight", "one"), 4, up, 2, 10);
    value_is("sparse_group", SETTINGS("size", "2", "weight", "one"), 4, v, 2, 24);
    value_is("top_k", SETTINGS("k", "2"), 4, v, 0, 0);
    value_is("top_k", SETTINGS("k", "1"), 4, v, 0, INFINITY);
    value_is("top_k", SETTINGS("k", "3", "nonnegative", "true"), 4, v, 0, INFINITY);
    value_is("batch_top_k", SETTINGS("k", "1"), 4, v, 0, INFINITY);
    value_is("support_selection", SETTINGS("fraction", "0.25"), 4, v, 2, 6);
    value_is("support_selection", SETTINGS("fraction", "0"), 4, v, 2, 14);
    value_is("l1_ball", NULL, 4, v, 7, 0);
    value_is("l1_ball", NULL, 4, v, 7 - 1e-6, 0);
    value_is("l1_ball", NULL, 4, v, 7 - 2e-6, INFINITY);
    value_is("simplex", NULL, 4, up, 7, 0);
    value_is("simplex", NULL, 4, up, 7 + 2e-6, INFINITY);
    value_is("simplex", NULL, 4, v, 7, INFINITY);
    value_is("tv1d", NULL, 4, v, 2, 22);
}

static void gives(const char *name, const char *const *settings, int64_t atoms, const double *v, double level, const double *want)
{
    double p[8];
    assert_int_equal(on(name, settings, atoms, v, level, p, NULL), PUDLE_OK);
    for (int64_t i = 0; i < atoms; i++)
        if (!(fabs(p[i] - want[i]) <= 1e-14 * (1 + fabs(want[i]))))
            fail_msg("%s: entry %d is %.17g instead of %.17g", name, (int)i, p[i], want[i]);
}

/* Ties, levels 0 and infinite, large numbers with a small sum. */
static void test_edges(void **state)
{
    (void)state;
    const double equal[] = { -2, 2, 1, 2, -2 }, zero[5] = { 0 };
    gives("top_k", SETTINGS("k", "2"), 5, equal, 0, (const double[]){ -2, 2, 0, 0, 0 });
    gives("top_k", SETTINGS("k", "2", "nonnegative", "true"), 5, equal, 0, (const double[]){ 0, 2, 0, 2, 0 });
    gives("top_k", SETTINGS("k", "9"), 5, equal, 0, equal);
    gives("batch_top_k", SETTINGS("k", "3"), 5, equal, 0, (const double[]){ -2, 2, 0, 2, 0 });
    gives("support_selection", SETTINGS("fraction", "0.4"), 5, equal, 0.5, (const double[]){ -2, 2, 0.5, 1.5, -1.5 });
    gives("group_soft_threshold", SETTINGS("size", "5"), 5, equal, 0, equal);
    gives("group_soft_threshold", SETTINGS("size", "5"), 5, zero, 0, zero);
    gives("group_soft_threshold", SETTINGS("size", "5"), 5, equal, INFINITY, zero);
    gives("weighted_l1", SETTINGS("weights", "0"), 5, equal, 3, equal);
    gives("l1_ball", NULL, 5, equal, 9, equal);
    gives("l1_ball", NULL, 5, equal, 0, zero);
    gives("l1_ball", NULL, 5, equal, INFINITY, equal);
    gives("simplex", NULL, 5, equal, 0, zero);
    gives("simplex", NULL, 4, (const double[]){ 1e15, 1e15, 0, -1e300 }, 1, (const double[]){ 0.5, 0.5, 0, 0 });
    gives("tv1d", NULL, 5, equal, 0, equal);
    gives("tv1d", NULL, 5, equal, INFINITY, (const double[]){ 0.2, 0.2, 0.2, 0.2, 0.2 });
    gives("tv1d", NULL, 5, (const double[]){ 1, 1, 5, 1, 1 }, 1, (const double[]){ 1.5, 1.5, 3, 1.5, 1.5 });
}

static void refused(const char *name, const char *const *settings, int64_t atoms, pudle_status want, const char *part)
{
    const double v[8] = { 0 };
    fake.error[0] = '\0';
    assert_int_equal(on(name, settings, atoms, v, 1, NULL, NULL), want);
    if (!strstr(fake.error, part))
        fail_msg("%s says '%s', without '%s'", name, fake.error, part);
}

static void test_refusals(void **state)
{
    (void)state;
    static const double bad[] = { 1, -2, NAN };
    fake.array[0] = (fake_array){ .path = "bad.npy", .rank = 1, .shape = { 3 }, .values = bad };
    fake.array[1] = (fake_array){ .path = "square.npy", .rank = 2, .shape = { 3, 1 }, .values = bad };
    fake.arrays = 2;
    refused("weighted_l1", NULL, 3, PUDLE_ERR_CONFIG, "nowhere");
    refused("weighted_l1", SETTINGS("weights", "1", "weights_file", "bad.npy"), 3, PUDLE_ERR_CONFIG, "twice");
    refused("weighted_l1", SETTINGS("weights_file", "bad.npy"), 3, PUDLE_ERR_CONFIG, "atom 1 is -2");
    refused("weighted_l1", SETTINGS("weights_file", "square.npy"), 3, PUDLE_ERR_CONFIG, "rank 2");
    refused("weighted_l1", SETTINGS("weights_file", "none.npy"), 3, PUDLE_ERR_NOTFOUND, "none.npy");
    refused("weighted_l1", SETTINGS("weights", "[1, 2]"), 3, PUDLE_ERR_ARG, "2 values, and the dictionary has 3 atoms");
    refused("signed_soft_threshold", NULL, 3, PUDLE_ERR_CONFIG, "nowhere");
    refused("signed_soft_threshold", SETTINGS("signs_file", "bad.npy"), 3, PUDLE_ERR_CONFIG, "atom 1 is -2");
    refused("signed_soft_threshold", SETTINGS("signs", "[1, 0]"), 3, PUDLE_ERR_ARG, "2 values");
    refused("group_soft_threshold", NULL, 3, PUDLE_ERR_CONFIG, "nowhere");
    refused("sparse_group", SETTINGS("size", "1", "sizes", "[1]"), 3, PUDLE_ERR_CONFIG, "twice");
    refused("group_soft_threshold", SETTINGS("size", "2"), 3, PUDLE_ERR_ARG, "size = 2 does not divide the 3 atoms");
    refused("nonnegative_group", SETTINGS("sizes", "[2, 2]"), 3, PUDLE_ERR_ARG, "add up to 4");
    fake.no_arrays = true;
    refused("weighted_l1", SETTINGS("weights_file", "bad.npy"), 3, PUDLE_ERR_UNSUPPORTED, "does not read");
    fake.no_arrays = false;
    fake.until_empty = 0;
    refused("weighted_l1", SETTINGS("weights", "1"), 3, PUDLE_ERR_NOMEM, "no memory");
    refused("group_soft_threshold", SETTINGS("size", "1"), 3, PUDLE_ERR_NOMEM, "no memory");
    fake.until_empty = -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_values, fresh),
        cmocka_unit_test_setup(test_edges, fresh),
        cmocka_unit_test_setup(test_refusals, fresh),
    };
    fake_random();
    return cmocka_run_group_tests_name("structured_values", tests, NULL, NULL);
}
