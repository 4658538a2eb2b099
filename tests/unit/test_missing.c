/* Losses that pass over what is missing: as the loss itself is on the entries that are there, 0 in the gaps, whatever the sizes and however many gaps; and
 * the network's gradient by differences. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "opened.h"

static char config_path[] = "/tmp/pudle-missing-XXXXXX", data_path[] = "/tmp/pudle-gaps-XXXXXX";

static const char *const losses[] = { "name = \"least_squares\";", "name = \"lasso\"; lambda = 0.1;", "name = \"masked_least_squares\";", "name = \"huber\"; delta = 0.8;",
                                      "name = \"bernoulli\";", "name = \"binomial\"; trials = 9;", "name = \"poisson\";", "name = \"poisson\"; clip = 0.5;",
                                      "name = \"poisson_softplus\";", "name = \"gamma\"; shape = 2.5;", "name = \"negative_binomial\"; r = 3.0;" };
enum { LOSSES = sizeof losses / sizeof *losses };

/* 1 or 0, as every loss takes it but gamma, for which it is 1 or 1/2. */
static double target_for(const char *loss)
{
    const bool one = pudle_random_uniform(&random_state) < 0.5;
    return one ? 1 : strstr(loss, "gamma") ? 0.5 : 0;
}

static void open_with(const char *loss, const char *precision, const char *data, const char *missing, opened *o)
{
    FILE *f = fopen(config_path, "w");
    assert_non_null(f);
    fprintf(f, "precision = \"%s\";\nbackend: { name = \"ref\"; };\ndata: { %s };\nmodel: { dictionary: { atoms = 6; init = \"random\"; }; layers = 4; step = 0.1; };\n"
               "prox: { name = \"soft_threshold\"; lambda = 0.05; };\nloss: { %s missing = \"%s\"; };\ntrain: { epochs = 1; seed = 3; };\n", precision, data, loss, missing);
    assert_int_equal(fclose(f), 0);
    if (pd_settings_load(ctx, config_path, NULL, 0, &o->settings) || pd_problem_open(ctx, o->settings, NULL, &o->pb))
        fail_msg("%s\n%s", loss, pd_error(ctx));
}

typedef struct arrays { int64_t n; int32_t dtype; void *pred, *target, *u, *out; } arrays;

static void put(const arrays *a, void *to, int64_t i, double v)
{
    if (a->dtype == PUDLE_F64)
        ((double *)to)[i] = v;
    else
        ((float *)to)[i] = (float)v;
}
static double at(const arrays *a, const void *from, int64_t i)
{
    return a->dtype == PUDLE_F64 ? ((const double *)from)[i] : (double)((const float *)from)[i];
}

/* One entry by the loss itself: {value, slope, curvature * u}. */
static void by_itself(const pudle_instance *loss, const arrays *a, int64_t i, double out[3])
{
    const pudle_loss_kernel *k = ((const pudle_loss_ops *)loss->desc->ops)->kernels[0];
    const size_t w = pudle_dtype_size(a->dtype);
    const int64_t shape[] = { 1, 1 };
    double memory = 0;
    const pudle_cview p = pd_cview((char *)a->pred + (size_t)i * w, a->dtype, 2, shape), x = pd_cview((char *)a->target + (size_t)i * w, a->dtype, 2, shape);
    const pudle_cview u = pd_cview((char *)a->u + (size_t)i * w, a->dtype, 2, shape);
    const pudle_view r = pd_view(&memory, a->dtype, 2, shape);
    assert_int_equal(k->value(loss->self, NULL, &p, &x, &out[0]), PUDLE_OK);
    assert_int_equal(k->grad(loss->self, NULL, &p, &x, &r), PUDLE_OK);
    out[1] = at(a, &memory, 0);
    assert_int_equal(k->hvp(loss->self, NULL, &p, &x, &u, &r), PUDLE_OK);
    out[2] = at(a, &memory, 0);
}

static void compare(const char *text, const pudle_instance *own, const pudle_instance *skips, const arrays *a)
{
    const pudle_loss_kernel *k = ((const pudle_loss_ops *)skips->desc->ops)->kernels[0];
    const int64_t shape[] = { a->n, 1 };
    const size_t bytes = (size_t)a->n * pudle_dtype_size(a->dtype);
    const pudle_cview p = pd_cview(a->pred, a->dtype, 2, shape), x = pd_cview(a->target, a->dtype, 2, shape), u = pd_cview(a->u, a->dtype, 2, shape);
    const pudle_view out = pd_view(a->out, a->dtype, 2, shape);
    const pudle_cview in = pudle_const(&out);
    double got = NAN, want[3], sum = 0;
    assert_int_equal(k->value(skips->self, NULL, &p, &x, &got), PUDLE_OK);
    for (int what = 1; what <= 2; what++)
        for (int in_place = 0; in_place < 2; in_place++) {
            const pudle_cview *const pred = what == 1 && in_place ? &in : &p, *const along = what == 2 && in_place ? &in : &u;
            memcpy(a->out, what == 1 ? a->pred : a->u, bytes);
            assert_int_equal(what == 1 ? k->grad(skips->self, NULL, pred, &x, &out) : k->hvp(skips->self, NULL, &p, &x, along, &out), PUDLE_OK);
            for (int64_t i = 0; i < a->n; i++) {
                if (isnan(at(a, a->target, i))) {
                    assert_true(at(a, a->out, i) == 0);
                    continue;
                }
                by_itself(own, a, i, want);
                if (!(fabs(at(a, a->out, i) - want[what]) <= 1e-6 * fabs(want[what])))
                    fail_msg("%s: %d, entry %lld of %lld: %g and %g", text, what, (long long)i, (long long)a->n, at(a, a->out, i), want[what]);
                sum += what == 1 && in_place ? want[0] : 0;
            }
        }
    assert_true(fabs(got - sum) <= 1e-6 * (1 + fabs(sum)) * (double)(1 + a->n / 256));
}

static void every_loss_skips(void **state)
{
    (void)state;
    for (int l = 0; l < LOSSES; l++)
        for (int wide = 0; wide < 2; wide++) {
            static const double shares[] = { 0, 0.1, 0.5, 1 };
            opened own, skips;
            open_with(losses[l], wide ? "f64" : "f32", "name = \"synthetic\"; samples = 9; features = 5; atoms = 6; sparsity = 2;", "refuse", &own);
            open_with(losses[l], wide ? "f64" : "f32", "name = \"synthetic\"; samples = 9; features = 5; atoms = 6; sparsity = 2;", "skip", &skips);
            for (int round = 0; round < 8; round++) {
                arrays a = { .n = round < 2 ? 256 * (round + 1) : between(1, 700), .dtype = wide ? PUDLE_F64 : PUDLE_F32 };
                void **const parts[] = { &a.pred, &a.target, &a.u, &a.out };
                for (int i = 0; i < 4; i++)
                    assert_non_null(*parts[i] = calloc((size_t)a.n, sizeof(double)));
                for (int64_t i = 0; i < a.n; i++) {
                    put(&a, a.pred, i, pudle_random_normal(&random_state));
                    put(&a, a.u, i, pudle_random_normal(&random_state));
                    put(&a, a.target, i, pudle_random_uniform(&random_state) < shares[round % 4] ? NAN : target_for(losses[l]));
                }
                compare(losses[l], &own.pb.loss, &skips.pb.loss, &a);
                for (int i = 0; i < 4; i++)
                    free(*parts[i]);
            }
            close_problem(&own);
            close_problem(&skips);
        }
}

/* A target that is there and outside the domain is found among gaps, in its place. */
static void bad_targets_are_found(void **state)
{
    (void)state;
    static const double x[] = { NAN, NAN, 1, 0, NAN, 2, NAN, -1, NAN };
    opened o;
    open_with("name = \"poisson\";", "f64", "name = \"synthetic\"; samples = 9; features = 5; atoms = 6; sparsity = 2;", "skip", &o);
    const pudle_loss_ops *ops = o.pb.loss.desc->ops;
    const pudle_cview v = pd_cview(x, PUDLE_F64, 2, (const int64_t[]){ 3, 3 });
    assert_int_equal(ops->check_target(pd_host(ctx), o.pb.loss.self, &v), PUDLE_ERR_ARG);
    assert_non_null(strstr(pd_error(ctx), "sample 2 of the batch, entry 1: the target is -1"));
    pd_error_clear(ctx);
    const pudle_cview good = pd_cview(x, PUDLE_F64, 2, (const int64_t[]){ 2, 3 }), none = pd_cview(x, PUDLE_F64, 2, (const int64_t[]){ 1, 2 });
    assert_int_equal(ops->check_target(pd_host(ctx), o.pb.loss.self, &good), PUDLE_OK);
    assert_int_equal(ops->check_target(pd_host(ctx), o.pb.loss.self, &none), PUDLE_OK);
    close_problem(&o);
    static const double y[] = { NAN, 1, 2, -INFINITY };
    open_with("name = \"least_squares\";", "f64", "name = \"synthetic\"; samples = 9; features = 5; atoms = 6; sparsity = 2;", "skip", &o);
    ops = o.pb.loss.desc->ops;
    const pudle_cview w = pd_cview(y, PUDLE_F64, 2, (const int64_t[]){ 2, 2 });
    assert_int_equal(ops->check_target(pd_host(ctx), o.pb.loss.self, &w), PUDLE_ERR_ARG); /* though the loss itself looks at nothing */
    assert_non_null(strstr(pd_error(ctx), "sample 1 of the batch, entry 1: the target is -inf"));
    pd_error_clear(ctx);
    close_problem(&o);
}

static double loss_of(pd_problem *pb)
{
    pd_batch batch;
    pd_pass pass = { .gradient = false };
    assert_int_equal(pd_problem_first(pb, PUDLE_SPLIT_TRAIN, 0, pb->train.samples, &batch), PUDLE_OK);
    assert_int_equal(pd_network_run(&pb->net, &batch, &pass), PUDLE_OK);
    return pass.data_loss + pass.code_loss;
}

static void write_gaps(const char *loss, int64_t n, int64_t m)
{
    FILE *f = fopen(data_path, "w");
    char header[128];
    assert_non_null(f);
    const int used = snprintf(header, sizeof header, "{'descr': '<f8', 'fortran_order': False, 'shape': (%lld, %lld), }", (long long)n, (long long)m);
    fwrite("\x93NUMPY\x01\x00v\x00", 1, 10, f);
    fprintf(f, "%-117s\n", header);
    assert_true(used < 117);
    for (int64_t i = 0; i < n * m; i++) {
        const double v = pudle_random_uniform(&random_state) < 0.3 ? NAN : target_for(loss);
        assert_int_equal(fwrite(&v, sizeof v, 1, f), 1);
    }
    assert_int_equal(fclose(f), 0);
}

static void gradients_match_differences(void **state)
{
    (void)state;
    int used = 0, tried = 0;
    for (int l = 0; l < LOSSES; l++) {
        char data[256];
        opened o;
        write_gaps(losses[l], 12, 7);
        snprintf(data, sizeof data, "name = \"npy\"; path = \"%s\"; missing = true;", data_path);
        open_with(losses[l], "f64", data, "skip", &o);
        assert_int_equal(pd_problem_initialise(&o.pb), PUDLE_OK);
        pd_batch batch;
        pd_pass pass = { .gradient = true };
        assert_int_equal(pd_problem_first(&o.pb, PUDLE_SPLIT_TRAIN, 0, 12, &batch), PUDLE_OK);
        assert_int_equal(pd_network_run(&o.pb.net, &batch, &pass), PUDLE_OK);
        double *g = doubles(&o.pb, &o.pb.net.dictionary.grad), *d = o.pb.net.dictionary.value.data;
        for (int64_t i = 0; i < 42; i++) {
            const double kept = d[i], h[] = { 1e-5, 2.5e-6 };
            double slope[2];
            for (int k = 0; k < 2; k++) {
                d[i] = kept + h[k];
                const double up = loss_of(&o.pb);
                d[i] = kept - h[k];
                slope[k] = (up - loss_of(&o.pb)) / (2 * h[k]);
            }
            d[i] = kept;
            tried++;
            if (fabs(slope[0] - slope[1]) > 1e-7 + 1e-6 * fabs(slope[0])) /* a kink */
                continue;
            used++;
            if (!(fabs(slope[1] - g[i]) <= 1e-6 + 1e-5 * fabs(g[i])))
                fail_msg("%s entry %lld: difference %.12g, derivative %.12g", losses[l], (long long)i, slope[1], g[i]);
        }
        free(g);
        close_problem(&o);
    }
    print_message("# %d of %d entries away from kinks\n", used, tried);
    assert_true(used * 10 >= tried * 7);
}

static int set_up(void **state)
{
    (void)state;
    return begin_tests((char *const[]){ config_path, data_path }, 2) || !backend_found("ref");
}

static int tear_down(void **state)
{
    (void)state;
    return end_tests((char *const[]){ config_path, data_path }, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_loss_skips),
        cmocka_unit_test(bad_targets_are_found),
        cmocka_unit_test(gradients_match_differences),
    };
    return cmocka_run_group_tests_name("missing", tests, set_up, tear_down);
}
