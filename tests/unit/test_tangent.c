/* Gradients tangent to the sphere that atoms are kept on: one step of every optimiser against its formula, for D and for an encoder's own weights. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "implicit_problems.h"
#include "train/optimizer.h"

static const double rate = 0.05;
enum { ADAM, SGD, MOMENTUM, OPTIMIZERS };
static const int optimizers[OPTIMIZERS] = { PD_OPTIMIZER_ADAM, PD_OPTIMIZER_SGD, PD_OPTIMIZER_MOMENTUM };

/* The first step of an optimiser, entry by entry: adam's is that of the sign, but for epsilon. */
static double step_of(int optimizer, double g, double epsilon)
{
    return optimizer == ADAM ? g / (fabs(g) + epsilon) : g;
}

/* w - rate step(g - <w, g> w) for atom j, back on the sphere. */
static void step_atom(const pd_problem *pb, int optimizer, double *w, const double *g, int64_t atom, int64_t entries, int64_t atoms)
{
    const int64_t first = pb->net.map.atom_axis ? atom : atom * entries, apart = pb->net.map.atom_axis ? atoms : 1;
    double along = 0, squares = 0, length = 0;
    for (int64_t i = 0; i < entries; i++) {
        along += w[first + i * apart] * g[first + i * apart];
        squares += w[first + i * apart] * w[first + i * apart];
    }
    for (int64_t i = 0; i < entries; i++) {
        double *at = &w[first + i * apart];
        *at -= rate * step_of(optimizer, g[first + i * apart] - along / squares * *at, pb->settings->train.epsilon);
        length += *at * *at;
    }
    for (int64_t i = 0; i < entries; i++)
        w[first + i * apart] /= sqrt(length);
}

/* `rows` sets of atoms, each `entries` numbers. */
static void check_weights(pd_problem *pb, int optimizer, const double *before, const double *gradient, const pudle_view *after, int64_t rows, const setup *s)
{
    const pudle_cview d = pudle_const(&pb->net.dictionary.value);
    const int64_t count = pudle_count(&d), atoms = pb->net.map.atom_axis ? d.shape[1] : d.shape[0];
    double *wanted = calloc((size_t)(rows * count), sizeof *wanted), *got = doubles(pb, after);
    assert_non_null(wanted);
    memcpy(wanted, before, (size_t)(rows * count) * sizeof *wanted);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t j = 0; j < atoms; j++)
            step_atom(pb, optimizer, wanted + r * count, gradient + r * count, j, count / atoms, atoms);
    const double off = relative_norm(got, wanted, rows * count, 1e-3), bound = s->precision[1] == '6' ? 1e-10 : 1e-4;
    if (!(off <= bound))
        fail_msg("seed %lld, %s, %s, optimizer %d: off by %.3g", (long long)s->seed, s->backend, s->precision, optimizer, off);
    free(wanted);
    free(got);
}

static void check_step(const setup *s, int optimizer)
{
    opened o;
    open_problem(s, &o);
    pd_network *net = &o.pb.net;
    pd_train_params *how = &o.settings->train;
    how->optimizer = optimizers[optimizer];
    how->tangent = true;
    how->epsilon = 1e-2; /* entries whose gradient is rounding alone move by rounding alone */
    assert_int_equal(pd_optimizer_init(&o.pb), PUDLE_OK);
    assert_int_equal(pd_normalize_atoms(&o.pb), PUDLE_OK);
    assert_int_equal(pd_problem_refresh(&o.pb, pd_problem_beta(&o.pb, 0)), PUDLE_OK);
    pd_pass pass = { .gradient = true };
    run(&o.pb, &pass);
    pd_parameter *const list[] = { &net->dictionary, &net->analysis, &net->synthesis };
    double *before[3] = { NULL }, *gradient[3] = { NULL };
    for (int i = 0; i < 3; i++)
        if (list[i]->value.data) {
            before[i] = doubles(&o.pb, &list[i]->value);
            gradient[i] = doubles(&o.pb, &list[i]->grad);
        }
    if (pd_optimizer_step(&o.pb, rate, rate, 1))
        fail_msg("%s", pd_error(ctx));
    for (int i = 0; i < 3; i++)
        if (before[i]) {
            check_weights(&o.pb, optimizer, before[i], gradient[i], &list[i]->value, i ? net->encoder_rows : 1, s);
            free(before[i]);
            free(gradient[i]);
        }
    close_problem(&o);
}

static setup some(int round)
{
    return (setup){ .backend = backends[round % 2], .precision = round % 4 < 2 ? "f64" : "f32", .gradient = round % 3 == 2 ? "ae\"; encoder = \"untied" : "ae",
                    .n = between(1, 30), .m = between(2, 20), .p = between(1, 25), .layers = 4, .step = 0.05, .seed = between(1, 1000000), .threads = 1 };
}

static void dense(void **state)
{
    (void)state;
    for (int round = 0; round < 36; round++) {
        const setup s = some(round);
        check_step(&s, round % OPTIMIZERS);
        check_step(&s, ADAM);
    }
}

static void filters(void **state)
{
    (void)state;
    for (int round = 0; round < 24; round++) {
        setup s = some(round);
        s.data = "name = \"synthetic\"; samples = 6; features = 60; shape = [2, 5, 6]; atoms = 5; sparsity = 2;";
        s.dictionary = "kind = \"conv\"; size = [3, 2]; init = \"random\";";
        check_step(&s, round % OPTIMIZERS);
    }
}

static void refused(void **state)
{
    (void)state;
    static const char *const wrong[][2] = { { "train.tangent=true", "train.normalize=false" }, { "train.tangent=true", "train.normalize_at=\"end\"" } };
    setup s = some(0);
    opened o;
    open_problem(&s, &o); /* leaves a config that is good */
    close_problem(&o);
    for (int i = 0; i < 2; i++) {
        pd_settings *settings = NULL;
        assert_int_equal(pd_settings_load(ctx, config_path, wrong[i], 2, &settings), PUDLE_ERR_CONFIG);
        assert_non_null(strstr(pd_error(ctx), "train.tangent"));
        assert_non_null(strstr(pd_error(ctx), i ? "is read only with train.normalize_at = \"update\"" : "is read only with train.normalize = true"));
        pd_error_clear(ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(dense), cmocka_unit_test(filters), cmocka_unit_test(refused) };
    return cmocka_run_group_tests_name("gradients tangent to the sphere of atoms", tests, set_up, tear_down);
}
