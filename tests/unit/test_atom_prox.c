/* Operators on the dictionary: one step of proximal descent, against its formula. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "implicit_problems.h"
#include "train/optimizer.h"

/* One update of plain descent with this operator: D before, its gradient, and D after. */
typedef struct step { double *before, *gradient, *after; int64_t count; } step;

static const double rate = 0.05;

static step step_of(setup *s, const char *prox, bool normalize)
{
    char loss[256];
    opened o;
    snprintf(loss, sizeof loss, "name = \"least_squares\"; };\ndictionary_prox: { %s", prox);
    s->loss = loss;
    open_problem(s, &o);
    o.settings->train.optimizer = PD_OPTIMIZER_SGD;
    o.settings->train.normalize = normalize;
    o.settings->train.tangent = false; /* tests/unit/test_tangent.c */
    assert_int_equal(pd_optimizer_init(&o.pb), PUDLE_OK);
    pd_pass pass = { .gradient = true };
    run(&o.pb, &pass);
    const pudle_cview d = pudle_const(&o.pb.net.dictionary.value);
    step out = { .count = pudle_count(&d), .before = doubles(&o.pb, &o.pb.net.dictionary.value), .gradient = doubles(&o.pb, &o.pb.net.dictionary.grad) };
    if (pd_optimizer_step(&o.pb, rate, rate, 1))
        fail_msg("%s", pd_error(ctx));
    out.after = doubles(&o.pb, &o.pb.net.dictionary.value);
    close_problem(&o);
    return out;
}

static void step_free(step *s)
{
    free(s->before);
    free(s->gradient);
    free(s->after);
}

static setup dense(int round)
{
    return (setup){ .backend = backends[round % 2], .precision = round % 4 < 2 ? "f64" : "f32", .gradient = "ae", .n = between(1, 30), .m = between(2, 20), .p = between(1, 25),
                    .layers = 4, .seed = between(1, 1000000), .threads = 1 };
}

/* prox of v, entry by entry. */
static double of_entry(int kind, double v)
{
    const double t = rate * 0.7;
    return kind == 0 ? fmax(v, 0) : kind == 1 ? (v > t ? v - t : v < -t ? v + t : 0) : fmin(fmax(v, -0.1), 0.2);
}

static void dense_entries(void **state)
{
    (void)state;
    static const char *const proxes[] = { "name = \"nonnegative\";", "name = \"soft_threshold\"; lambda = 0.7;", "name = \"box\"; lower = -0.1; upper = 0.2;" };
    for (int round = 0; round < 24; round++) {
        setup s = dense(round);
        const bool normalize = round % 3 == 0 && round % 2; /* box and norm do not both hold */
        step d = step_of(&s, proxes[round % 3], normalize);
        double *wanted = calloc((size_t)d.count, sizeof *wanted);
        assert_non_null(wanted);
        for (int64_t i = 0; i < d.count; i++)
            wanted[i] = of_entry(round % 3, d.before[i] - rate * d.gradient[i]);
        for (int64_t j = 0; j < s.p && normalize; j++) {
            double norm = 0;
            for (int64_t i = 0; i < s.m; i++)
                norm += wanted[i * s.p + j] * wanted[i * s.p + j];
            for (int64_t i = 0; i < s.m && norm > 0; i++)
                wanted[i * s.p + j] /= sqrt(norm);
        }
        const double off = relative(d.after, wanted, d.count, 1e-3), bound = s.precision[1] == '6' ? 1e-12 : 1e-5;
        if (!(off <= bound))
            fail_msg("seed %lld, %s: off by %.3g", (long long)s.seed, proxes[round % 3], off);
        free(wanted);
        step_free(&d);
    }
}

/* Filters are what the operator sees: each is on the simplex afterwards. */
static void filters(void **state)
{
    (void)state;
    for (int round = 0; round < 8; round++) {
        setup s = dense(round);
        s.data = "name = \"synthetic\"; samples = 6; features = 30; shape = [1, 30]; atoms = 5; sparsity = 2;";
        s.dictionary = "kind = \"conv\"; size = [7]; init = \"random\";";
        s.step = 0.05;
        step d = step_of(&s, "name = \"simplex\";", false);
        for (int64_t k = 0; k < s.p; k++) {
            double sum = 0;
            for (int64_t i = 0; i < 7; i++) {
                assert_true(d.after[k * 7 + i] >= 0);
                sum += d.after[k * 7 + i];
            }
            assert_true(fabs(sum - 1) <= 1e-5);
        }
        step_free(&d);
    }
}

static void refused(void **state)
{
    (void)state;
    setup s = dense(0);
    pd_settings *settings = NULL;
    pd_problem pb;
    s.loss = "name = \"least_squares\"; };\ndictionary_prox: { name = \"nonnegative\";";
    opened o;
    open_problem(&s, &o); /* leaves a config that is good */
    close_problem(&o);
    const char *const other[] = { "dictionary_prox.name=simplex" };
    assert_int_equal(pd_settings_load(ctx, config_path, other, 1, &settings), PUDLE_OK);
    assert_int_equal(pd_problem_open(ctx, settings, NULL, &pb), PUDLE_ERR_CONFIG);
    assert_non_null(strstr(pd_error(ctx), "dictionary_prox: \"simplex\" looks at several entries"));
    pd_error_clear(ctx);
    pd_settings_destroy(settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(dense_entries), cmocka_unit_test(filters), cmocka_unit_test(refused) };
    return cmocka_run_group_tests_name("operators on the dictionary", tests, set_up, tear_down);
}
