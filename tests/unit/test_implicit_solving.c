/* How the implicit gradient is solved for: all ways come to the same, with the same bits for any number of threads; and what is badly conditioned
 * is reported, or left out. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "graph/implicit.h"
#include "graph/lane.h"
#include "implicit_problems.h"

/* Factored and iterated solutions are the same, with and without the Gram matrix. */
static void ways_of_solving_agree(void **state)
{
    (void)state;
    int round = 0, tried = 0;
    while (round < 6 && tried++ < 30) {
        setup s = small();
        double *got[2];
        s.n = round % 2 ? 60 : 1; /* 60 samples of 15 atoms are worth a Gram matrix, one is not if atoms are many */
        s.p = round % 2 ? 15 : 40;
        s.m = between(9, 14);
        s.layers = 3000;
        s.prox = round < 2 ? NULL : "name = \"elastic_net\"; lambda = 0.1; mu = 0.05;";
        if (!well_posed(s)) /* 15 atoms in fewer dimensions: a slow sample may still use more atoms than there are dimensions */
            continue;
        for (int k = 0; k < 2; k++) {
            opened o;
            open_problem(&s, &o);
            pudle_desc coupled = *o.pb.net.prox.desc; /* a prox that does not say it is separable */
            coupled.caps &= ~(uint64_t)PUDLE_PROX_SEPARABLE;
            if (k)
                o.pb.net.prox.desc = &coupled;
            pd_pass pass = { .gradient = true };
            run(&o.pb, &pass);
            assert_true((o.pb.net.gram != NULL) == (round % 2 && !k));
            got[k] = doubles(&o.pb, &o.pb.net.dictionary.grad);
            close_problem(&o);
        }
        assert_true(relative_norm(got[1], got[0], s.m * s.p, 1e-6) <= 1e-9);
        free(got[0]);
        free(got[1]);
        round++;
    }
    print_message("# 6 of %d problems were well posed\n", tried);
    assert_int_equal(round, 6);
}

/* Supports on both sides of what is taken side by side, and of all atoms of many; within the memory that was planned for them. */
static void large_supports(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        setup s = small();
        double *got[2];
        s.n = 60;
        s.m = 240;
        s.p = round ? 150 : 300;
        s.layers = 60;
        s.data = "name = \"synthetic\"; samples = 60; features = 240; atoms = 300; sparsity = 20; noise_std = 0.3; seed = 5;";
        s.prox = round ? "name = \"ridge\"; mu = 0.5;" : "name = \"soft_threshold\"; lambda = 0.255;";
        for (int k = 0; k < 2; k++) {
            opened o;
            open_problem(&s, &o);
            pudle_desc coupled = *o.pb.net.prox.desc;
            coupled.caps &= ~(uint64_t)PUDLE_PROX_SEPARABLE;
            if (k)
                o.pb.net.prox.desc = &coupled;
            pd_pass pass = { .gradient = true };
            run(&o.pb, &pass);
            assert_int_equal(pass.ill_conditioned, 0);
            const pd_implicit_space *w = o.pb.net.space[0].implicit;
            int least = INT32_MAX, most = 0;
            for (int64_t i = 0; i < o.pb.net.rows && !k; i++) {
                least = w->count[i] < least ? w->count[i] : least;
                most = w->count[i] > most ? w->count[i] : most;
            }
            if (!k) {
                print_message("# supports of %d to %d atoms\n", least, most);
                assert_true(most > PD_TOGETHER && (round ? least == s.p : least <= PD_TOGETHER));
                assert_true((double)(w->matrix_room + w->work_room) * sizeof(double) <= pd_implicit_worst(&o.pb.net));
            }
            got[k] = doubles(&o.pb, &o.pb.net.dictionary.grad);
            close_problem(&o);
        }
        assert_true(relative_norm(got[1], got[0], s.m * s.p, 1e-6) <= 1e-9);
        free(got[0]);
        free(got[1]);
    }
}

static void same_bits_for_any_threads(void **state)
{
    (void)state;
    if (!backend_found("cpu"))
        skip();
    for (int round = 0; round < 4; round++) {
        setup s = small();
        double *d[2];
        s.n = between(300, 700);
        s.m = 30;
        s.p = 50;
        s.layers = 50;
        s.precision = round % 2 ? "f32" : "f64";
        s.backend = "cpu";
        s.prox = round > 1 ? "name = \"group_soft_threshold\"; size = 5; lambda = 0.3;" : "name = \"soft_threshold\"; lambda = 0.2; learn = \"atom\";";
        s.ill = "skip"; /* 50 layers leave some supports too large: these, too, must not depend on threads */
        for (int k = 0; k < 2; k++) {
            opened o;
            s.threads = 1 + k;
            open_problem(&s, &o);
            pd_pass pass = { .gradient = true };
            run(&o.pb, &pass);
            d[k] = doubles(&o.pb, &o.pb.net.dictionary.grad);
            close_problem(&o);
        }
        assert_memory_equal(d[0], d[1], (size_t)(s.m * s.p) * sizeof **d);
        free(d[0]);
        free(d[1]);
    }
}

/* Two atoms the same: every sample that uses them has a singular matrix. */
static void dependent_atoms_are_reported(void **state)
{
    (void)state;
    int64_t all = 0, users = 0;
    for (int round = 0; round < 8; round++) {
        setup s = small();
        opened o;
        void *memory = NULL;
        s.n = 20;
        s.m = 20; /* else more atoms than dimensions would be dependent as well */
        s.layers = 3000;
        s.step = 0.1;
        s.backend = backends[round % 2];
        s.precision = round / 2 % 2 ? "f32" : "f64";
        s.ill = round < 4 ? "stop" : "skip";
        if (!backend_found(s.backend))
            continue;
        open_problem(&s, &o);
        pd_network *net = &o.pb.net;
        float *narrow = net->dictionary.value.data;
        double *wide = net->dictionary.value.data; /* host memory on these backends */
        for (int64_t i = 0; i < s.m; i++) {
            if (net->dtype == PUDLE_F64)
                wide[i * s.p + 1] = wide[i * s.p];
            else
                narrow[i * s.p + 1] = narrow[i * s.p];
        }
        assert_int_equal(net->be->alloc(net->exec, (size_t)(s.n * s.p) * sizeof(double), &memory), PUDLE_OK);
        pd_pass pass = { .gradient = true, .code = pd_matrix(memory, net->dtype, s.n, s.p) };
        const pudle_status status = try_run(&o.pb, &pass);
        double *code = doubles(&o.pb, &pass.code);
        int64_t using = 0;
        for (int64_t i = 0; i < s.n; i++)
            using += code[i * s.p] != 0 && code[i * s.p + 1] != 0;
        free(code);
        net->be->free(net->exec, memory);
        all += s.n;
        users += using;
        assert_int_equal(pass.ill_conditioned, using);
        assert_true(!using || pass.worst_condition > 1e12);
        if (round < 4 && using) {
            assert_int_equal(status, PUDLE_ERR_NUMERIC);
            assert_non_null(strstr(pd_error(ctx), "sample "));
            assert_non_null(strstr(pd_error(ctx), "ill_conditioned"));
            pd_error_clear(ctx);
        } else {
            assert_int_equal(status, PUDLE_OK);
            double *g = doubles(&o.pb, &net->dictionary.grad);
            for (int64_t i = 0; i < s.m * s.p; i++)
                assert_true(isfinite(g[i]));
            free(g);
        }
        close_problem(&o);
    }
    assert_true(users > 0 && users < all);
}

/* Two atoms a little apart: their Gram matrix has the condition number 4 / distance^2, and the limit lies between these two. */
static void the_condition_number_is_found(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        const double distance = round ? 1e-5 : 1e-7, condition = 4 / (distance * distance);
        setup s = small();
        opened o;
        s.m = 4;
        s.p = 2;
        s.layers = 1;
        s.step = 0.1;
        s.prox = "name = \"ridge\"; mu = 0.0;"; /* both atoms in use */
        s.ill = "skip";
        open_problem(&s, &o);
        double *d = o.pb.net.dictionary.value.data; /* host memory on this backend */
        memset(d, 0, (size_t)(s.m * s.p) * sizeof *d);
        d[0] = d[1] = cos(distance / 2);
        d[2] = sin(distance / 2);
        d[3] = -d[2];
        pd_pass pass = { .gradient = true };
        run(&o.pb, &pass);
        assert_int_equal(pass.ill_conditioned, round ? 0 : s.n);
        assert_true(round || (pass.worst_condition > condition / 4 && pass.worst_condition < condition * 4));
        close_problem(&o);
    }
}

/* Left out altogether, the implicit part is nothing: what remains is the decoder's gradient. Factored, and by conjugate gradients, which
 * have nothing to find either where d has a part that the singular matrix does not reach. */
static void what_is_skipped_is_the_decoders(void **state)
{
    (void)state;
    for (int round = 0; round < 6; round++) {
        setup s = small();
        opened o;
        s.n = 1;
        s.m = 3;
        s.p = 12;
        s.layers = 1; /* far from converged: more atoms than features, and a single step */
        s.prox = "name = \"soft_threshold\"; lambda = 0.001; learn = \"atom\";";
        s.loss = "name = \"lasso\"; lambda = 0.5;";
        s.ill = "skip";
        open_problem(&s, &o);
        pudle_desc coupled = *o.pb.net.prox.desc; /* a prox that does not say it is separable */
        coupled.caps &= ~(uint64_t)PUDLE_PROX_SEPARABLE;
        if (round % 2)
            o.pb.net.prox.desc = &coupled;
        pd_pass pass = { .gradient = true };
        run(&o.pb, &pass);
        assert_int_equal(pass.ill_conditioned, 1);
        assert_true(pass.fixed_point > 1e-3);
        double *left = doubles(&o.pb, &o.pb.net.dictionary.grad), *level = doubles(&o.pb, &o.pb.net.level[0].parameter.grad);
        close_problem(&o);
        s.gradient = "dec";
        s.prox = "name = \"soft_threshold\"; lambda = 0.001;";
        outcome dec = outcome_of(&s);
        assert_true(relative_norm(left, dec.dictionary, 36, 0) <= 1e-14);
        for (int64_t k = 0; k < 12; k++)
            assert_true(level[k] == 0);
        outcome_free(&dec);
        free(left);
        free(level);
    }
}

/* A divergence is one, and no matter of conditioning. */
static void divergence_is_told_apart(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        setup s = small();
        opened o;
        s.precision = "f32";
        s.step = 1e6;
        s.layers = 100;
        s.prox = round ? "name = \"group_soft_threshold\"; size = 5; lambda = 0.3;" : NULL;
        open_problem(&s, &o);
        pd_batch batch;
        pd_pass pass = { .gradient = true };
        run(&o.pb, &pass);
        assert_int_equal(pass.ill_conditioned, 0);
        assert_int_equal(pd_problem_first(&o.pb, PUDLE_SPLIT_TRAIN, 0, s.n, &batch), PUDLE_OK);
        assert_int_equal(pd_problem_check_finite(&o.pb, &batch, &pass, 7), PUDLE_ERR_NUMERIC);
        assert_non_null(strstr(pd_error(ctx), "diverged at update 7"));
        pd_error_clear(ctx);
        close_problem(&o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ways_of_solving_agree),
        cmocka_unit_test(large_supports),
        cmocka_unit_test(same_bits_for_any_threads),
        cmocka_unit_test(dependent_atoms_are_reported),
        cmocka_unit_test(the_condition_number_is_found),
        cmocka_unit_test(what_is_skipped_is_the_decoders),
        cmocka_unit_test(divergence_is_told_apart),
    };
    return cmocka_run_group_tests_name("implicit: solving", tests, set_up, tear_down);
}
