/* The implicit gradient against what it is the limit of: backpropagation through thousands of layers, and differences of the loss of
 * converged codes; for dense and convolutional maps, and every kind of prox and loss that has a fixed point. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "implicit_problems.h"

enum { DRAWS = 16 }; /* of problems of a kind, until one has converged */

/* implicit on every backend against ae on ref, both with T layers. False: this problem has not converged in them, or ae's gradient, which
 * follows the codes, is another one after half of them. */
static bool against_ae(setup s, double bound, const char *what)
{
    setup deep = s;
    if (!converged(s))
        return false;
    deep.gradient = "ae";
    deep.backend = "ref";
    outcome y = outcome_of(&deep);
    deep.layers /= 2;
    outcome halfway = outcome_of(&deep);
    const bool settled = distance(&halfway, &y) <= bound;
    s.gradient = "implicit";
    for (size_t b = 0; b < 2 && settled; b++) {
        s.backend = backends[b];
        if (backend_found(s.backend))
            agree(&s, &y, bound, what);
    }
    outcome_free(&y);
    outcome_free(&halfway);
    return settled;
}

static void matches_5000_layers(void **state)
{
    (void)state;
    int compared = 0, tried = 0;
    while (compared < 10 && tried++ < 40) {
        setup s = small();
        bool settled = against_ae(s, 1e-8, "least_squares");
        s.loss = "name = \"lasso\"; lambda = 0.4;";
        s.inner = "name = \"least_squares\";";
        settled = settled && against_ae(s, 1e-8, "lasso");
        s.loss = "name = \"lasso\"; lambda = 0.03;"; /* not the encoder's lambda: no envelope */
        settled = settled && against_ae(s, 1e-8, "lasso of another lambda");
        compared += settled;
    }
    print_message("# %d of %d problems had converged\n", compared, tried);
    assert_int_equal(compared, 10);
}

static void other_operators(void **state)
{
    (void)state;
    static const char *const proxes[] = {
        "name = \"soft_threshold\"; lambda = 0.1; nonnegative = true;",
        "name = \"soft_threshold\"; lambda = 0.1; learn = \"global\";",
        "name = \"soft_threshold\"; lambda = 0.1; learn = \"atom\";",
        "name = \"soft_threshold\"; lambda = 0.1; nonnegative = true; learn = \"atom\";",
        "name = \"weighted_l1\"; lambda = 0.2; weights = [0.5, 0.4, 1.0, 1.0, 2.0, 0.5, 0.4, 1.0, 1.0, 2.0, 1.0, 1.0, 1.0, 0.8, 0.9]; learn = \"global\";",
        "name = \"elastic_net\"; lambda = 0.1; mu = 0.3;",
        "name = \"ridge\"; mu = 0.3;",
        "name = \"huber_penalty\"; lambda = 0.2;",
        "name = \"box\"; lower = -0.2; upper = 0.3; learn = \"atom\";",
        "name = \"nonnegative\";",
        "name = \"group_soft_threshold\"; size = 3; lambda = 0.3; learn = \"global\";",
        "name = \"sparse_group\"; size = 3; lambda = 0.05; lambda_group = 0.1; learn = \"global\";",
        "name = \"l1_ball\"; radius = 0.5; learn = \"global\";", /* often on a corner, where J = 0 */
        "name = \"l1_ball\"; radius = 4.0; learn = \"global\";",
        "name = \"simplex\"; radius = 3.0; learn = \"global\";",
        "name = \"tv1d\"; lambda = 0.3; learn = \"global\";",
    };
    int compared = 0;
    const int all = sizeof proxes / sizeof *proxes;
    for (int i = 0; i < all; i++) {
        bool done = false;
        for (int draw = 0; draw < DRAWS && !done; draw++) {
            setup s = small();
            s.p = 15;
            s.layers = 2000;
            s.m = 22; /* more features than atoms, so that operators without sparsity have one fixed point */
            s.prox = proxes[i];
            done = against_ae(s, 1e-7, proxes[i]);
        }
        compared += done;
        if (!done)
            print_message("# no problem with %s had converged\n", proxes[i]);
    }
    assert_true(compared >= all - 1);
}

/* Hard thresholds and penalties that are not convex have many fixed points; the derivative is that of the one that is reached. */
static void operators_that_are_not_convex(void **state)
{
    (void)state;
    static const char *const proxes[] = {
        "name = \"hard_threshold\"; threshold = 0.3;",
        "name = \"mcp\"; lambda = 0.1; gamma = 5.0; learn = \"global\";",
        "name = \"firm_threshold\"; lower = 0.05; upper = 0.5;",
        "name = \"top_k\"; k = 4;",
    };
    int compared = 0;
    const int all = sizeof proxes / sizeof *proxes;
    for (int i = 0; i < all; i++) {
        int done = 0;
        for (int draw = 0; draw < DRAWS && done < 2; draw++) {
            setup s = small();
            s.n = 8;
            s.m = 25;
            s.prox = proxes[i];
            done += against_ae(s, 1e-7, s.prox);
        }
        compared += done == 2;
    }
    assert_int_equal(compared, all);
}

static void other_losses(void **state)
{
    (void)state;
    static const struct { const char *loss, *data; double step; } cases[] = {
        { "name = \"poisson\";", "family = \"poisson\"; amplitude_low = 0.3; amplitude_high = 0.8;", 0.02 },
        { "name = \"bernoulli\";", "family = \"bernoulli\";", 0 },
        { "name = \"poisson\"; code_l1 = 0.05; offset = 0.3;", "family = \"poisson\"; amplitude_low = 0.3; amplitude_high = 0.8; offset = 0.3;", 0.02 },
    };
    int compared = 0;
    for (int i = 0; i < 6; i++) {
        bool done = false;
        for (int draw = 0; draw < DRAWS && !done; draw++) {
            char data[400];
            setup s = small();
            s.n = 4;
            s.m = 30;
            s.p = 12;
            s.loss = cases[i / 2].loss;
            s.step = cases[i / 2].step;
            s.layers *= i % 2 ? 3 : 1; /* a soft threshold does not curve the problem */
            s.prox = i % 2 ? "name = \"soft_threshold\"; lambda = 0.3;" : "name = \"elastic_net\"; lambda = 0.2; mu = 0.1;";
            snprintf(data, sizeof data, "name = \"synthetic\"; samples = %lld; features = %lld; atoms = %lld; sparsity = 3; seed = %lld; %s", (long long)s.n,
                     (long long)s.m, (long long)s.p, (long long)s.seed, cases[i / 2].data);
            s.data = data;
            done = against_ae(s, 1e-7, s.loss);
        }
        compared += done;
        if (!done)
            print_message("# no problem with %s and %s had converged\n", cases[i / 2].loss, i % 2 ? "a soft threshold" : "an elastic net");
    }
    assert_int_equal(compared, 6);
}

/* A Hessian that is no diagonal: rows that sum to 1 under a softmax. */
static void loss_over_several_features(void **state)
{
    (void)state;
    int compared = 0;
    for (int draw = 0; draw < DRAWS && compared < 2; draw++) {
        enum { N = 5, M = 12 };
        double x[N * M] = { 0 };
        char data[400];
        setup s = small();
        for (int64_t i = 0; i < N; i++)
            x[i * M + between(0, M - 1)] = 1;
        const int64_t shape[] = { N, M };
        const pudle_cview v = pd_cview(x, PUDLE_F64, 2, shape);
        assert_int_equal(pd_npy_write(ctx, inputs_path, &v), PUDLE_OK);
        snprintf(data, sizeof data, "name = \"npy\"; path = \"%s\";", inputs_path);
        s.data = data;
        s.p = 10;
        s.loss = "name = \"categorical\";";
        s.prox = "name = \"elastic_net\"; lambda = 0.02; mu = 0.05; learn = \"global\";";
        compared += against_ae(s, 1e-7, "categorical");
    }
    assert_int_equal(compared, 2);
}

static void write_random(const char *path, int32_t rank, const int64_t *shape)
{
    int64_t count = 1;
    for (int32_t i = 0; i < rank; i++)
        count *= shape[i];
    double *x = malloc(sizeof *x * (size_t)count);
    assert_non_null(x);
    for (int64_t i = 0; i < count; i++)
        x[i] = pudle_random_normal(&random_state);
    const pudle_cview v = pd_cview(x, PUDLE_F64, rank, shape);
    assert_int_equal(pd_npy_write(ctx, path, &v), PUDLE_OK);
    free(x);
}

static void targets_of_their_own(void **state)
{
    (void)state;
    int compared = 0;
    for (int draw = 0; draw < DRAWS && compared < 2; draw++) {
        char data[400];
        setup s = small();
        const int64_t shape[] = { s.n, s.m };
        write_random(inputs_path, 2, shape);
        write_random(targets_path, 2, shape);
        snprintf(data, sizeof data, "name = \"npy\"; path = \"%s\"; target = \"%s\";", inputs_path, targets_path);
        s.data = data;
        s.prox = "name = \"soft_threshold\"; lambda = 0.3; learn = \"atom\";";
        compared += against_ae(s, 1e-8, "supervised");
    }
    assert_int_equal(compared, 2);
}

static void convolutional(void **state)
{
    (void)state;
    int round = 0;
    for (int draw = 0; draw < DRAWS && round < 4; draw++) {
        char data[400];
        setup s = small();
        const int64_t shape[] = { 2, 2, 8, 7 };
        write_random(inputs_path, 4, shape);
        snprintf(data, sizeof data, "name = \"npy\"; path = \"%s\";", inputs_path);
        s.data = data;
        s.p = 4;
        s.layers = 1500;
        s.dictionary = round % 2 ? "kind = \"conv\"; size = [3, 3]; stride = [2];" : "kind = \"conv\"; size = [4, 3]; stride = [1];";
        s.prox = round < 2 ? "name = \"soft_threshold\"; lambda = 0.6; learn = \"atom\";" : "name = \"elastic_net\"; lambda = 0.5; mu = 0.2;";
        s.loss = round % 2 ? "name = \"least_squares\"; reduction = \"mean\";" : "name = \"least_squares\"; code_l1 = 0.1;";
        round += against_ae(s, 1e-7, s.dictionary);
    }
    assert_int_equal(round, 4);
}

/* Entries of the gradient against central differences of the loss, codes converged at both ends. */
static void matches_differences(void **state)
{
    (void)state;
    int used = 0, tried = 0;
    for (int round = 0; round < 8; round++) {
        setup s = small();
        opened o;
        s.n = 6;
        s.m = 14;
        s.layers = 2000;
        s.step = 0.15;
        s.prox = round % 2 ? "name = \"soft_threshold\"; lambda = 0.4; learn = \"atom\";" : "name = \"elastic_net\"; lambda = 0.1; mu = 0.2;";
        if (round % 4 >= 2)
            s.loss = "name = \"least_squares\"; offset = 0.1; learn_offset = \"entry\";";
        if (!converged(s))
            continue;
        open_problem(&s, &o);
        pd_pass pass = { .gradient = true };
        run(&o.pb, &pass);
        pd_parameter *list[PD_MAX_PARAMETERS];
        const int parameters = pd_network_parameters(&o.pb.net, list);
        for (int k = 0; k < parameters; k++) {
            const pudle_cview c = pudle_const(&list[k]->value);
            double *g = doubles(&o.pb, &list[k]->grad), *x = list[k]->value.data; /* host memory on this backend */
            for (int probe = 0; probe < 10; probe++) {
                const int64_t i = between(0, pudle_count(&c) - 1);
                const double kept = x[i];
                double slope[2];
                for (int narrow = 0; narrow < 2; narrow++) {
                    const double h = narrow ? 2.5e-6 : 1e-5;
                    double f[2];
                    for (int side = 0; side < 2; side++) {
                        pd_pass forward = { .gradient = false };
                        x[i] = kept + (side ? h : -h);
                        assert_int_equal(pd_network_refresh(&o.pb.net), PUDLE_OK);
                        run(&o.pb, &forward);
                        f[side] = forward.data_loss + forward.code_loss;
                    }
                    slope[narrow] = (f[1] - f[0]) / (2 * h);
                }
                x[i] = kept;
                tried++;
                if (fabs(slope[0] - slope[1]) > 1e-7 + 1e-6 * fabs(slope[0])) /* a support changes: a kink */
                    continue;
                used++;
                if (!(fabs(slope[0] - g[i]) <= 1e-6 + 1e-5 * fabs(g[i])))
                    fail_msg("seed %lld %s entry %lld: difference %.12g, derivative %.12g", (long long)s.seed, list[k]->name, (long long)i, slope[0], g[i]);
            }
            free(g);
        }
        assert_int_equal(pd_network_refresh(&o.pb.net), PUDLE_OK);
        close_problem(&o);
    }
    print_message("# %d of %d entries away from kinks\n", used, tried);
    assert_true(tried >= 40 && used * 10 >= tried * 8);
}

static void single_precision(void **state)
{
    (void)state;
    for (int round = 0; round < 6; round++)
        for (size_t b = 0; b < 2; b++) {
            setup s = small(), wide;
            s.n = 20;
            s.m = 20;
            s.layers = 2000;
            s.prox = round % 2 ? "name = \"group_soft_threshold\"; size = 5; lambda = 0.3;" : NULL; /* both ways of solving */
            wide = s;
            s.precision = "f32";
            s.backend = backends[b];
            wide.backend = "ref";
            if (!backend_found(s.backend))
                continue;
            outcome y = outcome_of(&wide);
            agree(&s, &y, 2e-3, "f32");
            outcome_free(&y);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_5000_layers),
        cmocka_unit_test(other_operators),
        cmocka_unit_test(operators_that_are_not_convex),
        cmocka_unit_test(other_losses),
        cmocka_unit_test(loss_over_several_features),
        cmocka_unit_test(targets_of_their_own),
        cmocka_unit_test(convolutional),
        cmocka_unit_test(matches_differences),
        cmocka_unit_test(single_precision),
    };
    return cmocka_run_group_tests_name("implicit: the limit", tests, set_up, tear_down);
}
