/* The float64 reference cases of the paper's networks, dense and convolutional: codes, reconstructions, losses and every gradient, on every backend
 * that can be found, in both precisions; and the trajectory of ten Adam updates. Each case goes the whole way: a config file,
 * the settings, the problem, one batch. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "train/dictionary.h"
#include "train/optimizer.h"
#include "train/problem.h"

static char folder[4096];
static json_object *index_json;
static char config_path[] = "/tmp/pudle-fixture-XXXXXX";
static pd_context *ctx;

static const char *backends[] = { "ref", "cpu" }; /* PUDLE_TEST_BACKEND names another one in place of the second */

static bool backend_found(const char *name)
{
    const pd_plugin *plugin = NULL;
    const bool found = !pd_plugin_find(ctx, PUDLE_KIND_BACKEND, name, &plugin);
    pd_error_clear(ctx);
    return found;
}

static json_object *member(json_object *object, const char *key)
{
    json_object *value = NULL;
    json_object_object_get_ex(object, key, &value);
    return value;
}

static double real(json_object *object, const char *key, double otherwise)
{
    json_object *value = member(object, key);
    return value ? json_object_get_double(value) : otherwise;
}

/* The config of one case: which network it is stands in the entry. reduction NULL: a dense case. */
static void write_config(const char *name, json_object *c, const char *backend, const char *precision, const char *gradient, const char *loss,
                         const char *reduction)
{
    const char *network = json_object_get_string(member(c, "network"));
    const bool hard = strstr(network, "hard") != NULL, learn = strstr(network, "learnbias") != NULL, decay = strstr(network, "decay") != NULL;
    FILE *f = fopen(config_path, "w");
    assert_non_null(f);
    fprintf(f, "precision = \"%s\";\nbackend: { name = \"%s\"; };\n", precision, backend);
    fprintf(f, "data: { name = \"npy\"; path = \"%s/%s/x.npy\";", folder, name);
    if (member(member(c, "files"), "target"))
        fprintf(f, " target = \"%s/%s/target.npy\";", folder, name);
    fprintf(f, " };\nmodel: { dictionary: { ");
    if (reduction)
        fprintf(f, "kind = \"conv\"; atoms = %d; size = %s; stride = %d; channels = %d;", json_object_get_int(member(c, "K")),
                json_object_to_json_string(member(c, "filter")), json_object_get_int(member(c, "stride")), json_object_get_int(member(c, "C")));
    else
        fprintf(f, "kind = \"dense\"; atoms = %d;", json_object_get_int(member(c, "p")));
    if (member(member(c, "files"), "W"))
        fprintf(f, " init = \"file\"; path = \"%s/%s/W.npy\"; };\n", folder, name);
    else
        fprintf(f, " init = \"random\"; };\n");
    fprintf(f, "  layers = %d; step = %.17g; gradient = \"%s\";", json_object_get_int(member(c, "T")), real(c, "step", 0), gradient);
    if (!strcmp(gradient, "truncated")) /* through all of them: the same as ae by another way */
        fprintf(f, " truncate = %d;", json_object_get_int(member(c, "T")));
    fprintf(f, " };\n");
    fprintf(f, "prox: { name = \"%s\"; nonnegative = %s;", hard ? "hard_threshold" : "soft_threshold",
            json_object_get_boolean(member(c, "twosided")) ? "false" : "true");
    if (hard)
        fprintf(f, " threshold = %.17g;", real(c, "threshold", 0));
    else
        fprintf(f, " lambda = %.17g;", real(c, "lam", 0));
    if (decay)
        fprintf(f, " decay = %.17g;", real(c, "beta", 1));
    if (learn && reduction)
        fprintf(f, " learn = \"atom\"; path = \"%s/%s/b.npy\";", folder, name);
    else if (learn && strcmp(gradient, "noodl") != 0)
        fprintf(f, " learn = \"global\";");
    const char *family = json_object_get_string(member(c, "family"));
    const bool l1 = !strcmp(loss, "lasso");
    fprintf(f, " };\nloss: { name = \"%s\";", family ? family : loss);
    if (reduction)
        fprintf(f, " reduction = \"%s\";", reduction);
    if (l1)
        fprintf(f, " %s = %.17g;", family ? "code_l1" : "lambda", real(c, "lam", 0));
    fprintf(f, " };\ntrain: { epochs = 1; optimizer = \"adam\"; learning_rate = 1e-3; epsilon = 1e-3; };\n");
    assert_int_equal(fclose(f), 0);
}

/* max |a - b| / max |b| */
static double distance(const pd_array *a, const pd_array *b)
{
    const pudle_cview ca = pudle_const(&a->view), cb = pudle_const(&b->view);
    const double *x = ca.data, *y = cb.data;
    double worst = 0, scale = 0;
    assert_true(pudle_count(&ca) == pudle_count(&cb));
    for (int64_t i = 0; i < pudle_count(&ca); i++) {
        worst = fmax(worst, fabs(x[i] - y[i]));
        scale = fmax(scale, fabs(y[i]));
        if (isnan(x[i]))
            return INFINITY;
    }
    return scale > 0 ? worst / scale : worst;
}

static void widen(pd_array *a)
{
    const pudle_cview c = pudle_const(&a->view);
    if (c.dtype == PUDLE_F64)
        return;
    double *wide = pd_alloc((size_t)pudle_count(&c), sizeof *wide);
    assert_non_null(wide);
    for (int64_t i = 0; i < pudle_count(&c); i++)
        wide[i] = (double)((const float *)c.data)[i];
    const pudle_view v = pd_view(wide, PUDLE_F64, c.rank, c.shape);
    pd_array_free(a);
    a->view = v;
}

static void check(pd_problem *pb, const pudle_view *got, const char *name, const char *what, double bound, const char *how)
{
    pd_array own = { 0 }, wanted = { 0 };
    char path[8192];
    snprintf(path, sizeof path, "%s/%s/%s.npy", folder, name, what);
    assert_int_equal(pd_problem_fetch(pb, got, &own), PUDLE_OK);
    assert_int_equal(pd_array_read(ctx, path, PUDLE_F64, &wanted), PUDLE_OK);
    widen(&own);
    const double d = distance(&own, &wanted);
    if (!(d <= bound))
        fail_msg("%s %s %s: relative difference %.3g, bound %.3g", name, how, what, d, bound);
    pd_array_free(&own);
    pd_array_free(&wanted);
}

static void run_case(const char *name, json_object *c, const char *backend, const char *precision, const char *gradient, const char *loss,
                     const char *expected, const char *reduction, double bound)
{
    pd_settings *settings = NULL;
    pd_problem pb;
    pd_batch batch;
    pd_pass pass = { .gradient = true };
    char how[128], file[64], key[32];
    write_config(name, c, backend, precision, gradient, loss, reduction);
    const bool family = member(c, "family") != NULL;
    const char *sum = reduction && !family && !strcmp(reduction, "sum") ? "_sum" : "";
    snprintf(how, sizeof how, "[%s %s %s %s%s]", backend, precision, gradient, loss, sum);
    snprintf(file, sizeof file, "%s%s", expected, sum);
    snprintf(key, sizeof key, "%s%s", !strcmp(loss, "lasso") ? "lasso" : "ls", sum);
    if (pd_settings_load(ctx, config_path, NULL, 0, &settings) || pd_problem_open(ctx, settings, NULL, &pb) || pd_problem_initialise(&pb))
        fail_msg("%s %s: %s", name, how, pd_error(ctx));
    void *code = NULL, *reconstruction = NULL;
    const int64_t n = pb.train.samples;
    assert_int_equal(pb.be->alloc(pb.exec, (size_t)(n * pb.net.map.code) * 8, &code), PUDLE_OK);
    assert_int_equal(pb.be->alloc(pb.exec, (size_t)(n * pb.net.map.features) * 8, &reconstruction), PUDLE_OK);
    pass.code = pd_matrix(code, pb.dtype, n, pb.net.map.code);
    pass.reconstruction = pd_matrix(reconstruction, pb.dtype, n, pb.net.map.features);
    assert_int_equal(pd_problem_first(&pb, PUDLE_SPLIT_TRAIN, 0, n, &batch), PUDLE_OK);
    assert_int_equal(pd_network_run(&pb.net, &batch, &pass), PUDLE_OK);
    check(&pb, &pass.code, name, "zT", bound, how);
    check(&pb, &pass.reconstruction, name, family ? "eta" : "xhat", bound, how);
    if (family) {
        assert_true(pd_problem_has_mean(&pb));
        assert_int_equal(pd_problem_mean(&pb, &pass.reconstruction), PUDLE_OK);
        check(&pb, &pass.reconstruction, name, "mean", bound, how);
    }
    check(&pb, &pb.net.dictionary.grad, name, file, bound, how);
    if (pb.net.level[0].learned) {
        snprintf(file, sizeof file, "%s%s_b", expected, sum);
        check(&pb, &pb.net.level[0].parameter.grad, name, file, bound, how);
    }
    const double wanted = real(member(c, "loss"), key, NAN), got = pass.data_loss + pass.code_loss;
    if (!(fabs(got - wanted) <= bound * wanted))
        fail_msg("%s %s: loss %.17g, expected %.17g", name, how, got, wanted);
    pb.be->free(pb.exec, code);
    pb.be->free(pb.exec, reconstruction);
    pd_problem_close(&pb);
    pd_settings_destroy(settings);
}

static void dense_cases(void **state)
{
    (void)state;
    static const struct { const char *gradient, *loss, *file; } estimators[] = {
        { "dec", "least_squares", "grad_dec" }, { "dec", "lasso", "grad_dec" },         { "ae", "lasso", "grad_aelasso" },
        { "ae", "least_squares", "grad_aels" }, { "noodl", "least_squares", "grad_noodl" },
    };
    if (!index_json)
        skip(); /* the reference cases do not lie beside the project */
    int runs = 0;
    json_object_object_foreach(member(index_json, "cases"), name, c)
    {
        if (!strchr("abcdgh", name[0]) || strncmp(name + 1, "_dense", 6) != 0)
            continue;
        for (size_t b = 0; b < sizeof backends / sizeof *backends; b++)
            for (size_t e = 0; backend_found(backends[b]) && e < sizeof estimators / sizeof *estimators; e++) {
                run_case(name, c, backends[b], "f64", estimators[e].gradient, estimators[e].loss, estimators[e].file, NULL, 1e-10);
                run_case(name, c, backends[b], "f32", estimators[e].gradient, estimators[e].loss, estimators[e].file, NULL, 1e-4);
                runs += 2;
            }
    }
    print_message("# %d combinations of case, backend, precision and estimator\n", runs);
    assert_true(runs >= 8 * 3 * 5 * 2);
}

static void convolutional_cases(void **state)
{
    (void)state;
    static const struct { const char *gradient, *loss, *file; } estimators[] = {
        { "dec", "least_squares", "grad_dec" }, { "dec", "lasso", "grad_dec" }, { "ae", "lasso", "grad_aelasso" }, { "ae", "least_squares", "grad_aels" },
    };
    static const char *const reductions[] = { "channels", "sum" };
    if (!index_json)
        skip();
    int runs = 0;
    json_object_object_foreach(member(index_json, "cases"), name, c)
    {
        if (!strchr("efgh", name[0]) || strncmp(name + 1, "_conv", 5) != 0)
            continue;
        for (size_t b = 0; b < sizeof backends / sizeof *backends; b++)
            for (size_t e = 0; backend_found(backends[b]) && e < sizeof estimators / sizeof *estimators; e++)
                for (int r = 0; r < 2; r++) {
                    run_case(name, c, backends[b], "f64", estimators[e].gradient, estimators[e].loss, estimators[e].file, reductions[r], 1e-10);
                    run_case(name, c, backends[b], "f32", estimators[e].gradient, estimators[e].loss, estimators[e].file, reductions[r], 1e-4);
                    runs += 2;
                }
    }
    print_message("# %d combinations of case, backend, precision, estimator and reduction\n", runs);
    assert_true(runs >= 10 * 4 * 2 * 2);
}

/* Poisson and Bernoulli: the losses by their names, the l1 norm of the code by loss.code_l1. */
static void exponential_cases(void **state)
{
    (void)state;
    static const struct { const char *gradient, *loss, *file; } estimators[] = {
        { "dec", "", "grad_dec" }, { "dec", "lasso", "grad_dec" }, { "ae", "lasso", "grad_aelasso" }, { "ae", "", "grad_aels" },
        { "truncated", "", "grad_aels" }, { "noodl", "", "grad_noodl" },
    };
    if (!index_json)
        skip();
    int runs = 0;
    json_object_object_foreach(member(index_json, "cases"), name, c)
    {
        if (name[0] != 'i')
            continue;
        const bool conv = strncmp(name, "i_conv", 6) == 0;
        for (size_t b = 0; b < sizeof backends / sizeof *backends; b++)
            for (size_t e = 0; backend_found(backends[b]) && e < sizeof estimators / sizeof *estimators; e++) {
                if (!member(member(c, "files"), estimators[e].file))
                    continue;
                const char *reduction = conv ? "sum" : NULL;
                run_case(name, c, backends[b], "f64", estimators[e].gradient, estimators[e].loss, estimators[e].file, reduction, 1e-10);
                run_case(name, c, backends[b], "f32", estimators[e].gradient, estimators[e].loss, estimators[e].file, reduction, 1e-4);
                runs += 2;
            }
    }
    print_message("# %d combinations of case, backend, precision and estimator\n", runs);
    assert_true(runs >= (12 * 6 + 4 * 5) * 2);
}

/* Gradient and training loss of g_ae under one config and one override. */
static double gradient_of(const char *override, pd_array *out)
{
    pd_settings *settings = NULL;
    pd_problem pb;
    pd_batch batch;
    pd_pass pass = { .gradient = true };
    if (pd_settings_load(ctx, config_path, &override, override ? 1 : 0, &settings) || pd_problem_open(ctx, settings, NULL, &pb) ||
        pd_problem_initialise(&pb))
        fail_msg("%s", pd_error(ctx));
    assert_int_equal(pd_problem_first(&pb, PUDLE_SPLIT_TRAIN, 0, pb.train.samples, &batch), PUDLE_OK);
    assert_int_equal(pd_network_run(&pb.net, &batch, &pass), PUDLE_OK);
    assert_int_equal(pd_problem_fetch(&pb, &pb.net.dictionary.grad, out), PUDLE_OK);
    pd_problem_close(&pb);
    pd_settings_destroy(settings);
    return pass.data_loss + pass.code_loss;
}

/* loss.code_l1 on least_squares is the lasso: the same bits of the gradient, for every reduction. */
static void code_l1_is_lasso(void **state)
{
    (void)state;
    static const struct { const char *name, *reduction, *gradient; } cases[] = {
        { "a_dense_soft_twosided_T15", NULL, "ae" }, { "b_dense_soft_onesided_T03", NULL, "dec" }, { "f_conv3ch_soft_twosided_T04", "sum", "ae" },
        { "f_conv3ch_soft_twosided_T04", "mean", "ae" }, { "e_conv1ch_soft_onesided_T04", "channels", "ae" },
    };
    if (!index_json)
        skip();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t b = 0; b < sizeof backends / sizeof *backends; b++)
            for (int f64 = 0; f64 < 2 && backend_found(backends[b]); f64++) {
                pd_array lasso = { 0 }, l1 = { 0 };
                json_object *c = member(member(index_json, "cases"), cases[i].name);
                char override[64];
                snprintf(override, sizeof override, "loss.code_l1=%.17g", real(c, "lam", 0));
                write_config(cases[i].name, c, backends[b], f64 ? "f64" : "f32", cases[i].gradient, "lasso", cases[i].reduction);
                const double wanted = gradient_of(NULL, &lasso);
                write_config(cases[i].name, c, backends[b], f64 ? "f64" : "f32", cases[i].gradient, "least_squares", cases[i].reduction);
                const double got = gradient_of(override, &l1);
                const pudle_cview view = pudle_const(&l1.view);
                assert_memory_equal(l1.view.data, lasso.view.data, (size_t)pudle_count(&view) * pudle_dtype_size(view.dtype));
                assert_true(fabs(got - wanted) <= 1e-14 * wanted);
                pd_array_free(&lasso);
                pd_array_free(&l1);
            }
}

/* W_traj (11, m, p): before, and after each of ten updates. */
static void follow(const char *name, const char *backend, const char *gradient, const char *loss)
{
    pd_settings *settings = NULL;
    pd_problem pb;
    pd_array trajectory = { 0 }, own = { 0 };
    char path[8192];
    json_object *c = member(member(index_json, "cases"), name);
    write_config(name, c, backend, "f64", gradient, loss, NULL);
    snprintf(path, sizeof path, "%s/%s/W_traj.npy", folder, name);
    assert_int_equal(pd_array_read(ctx, path, PUDLE_F64, &trajectory), PUDLE_OK);
    const int64_t m = trajectory.view.shape[1], p = trajectory.view.shape[2];
    if (pd_settings_load(ctx, config_path, NULL, 0, &settings) ||
        pd_problem_open(ctx, settings, NULL, &pb) || pd_optimizer_init(&pb) || pd_problem_initialise(&pb))
        fail_msg("%s: %s", name, pd_error(ctx));
    settings->train.tangent = false; /* as the program that the fixtures are of */
    pd_array start = { .view = pd_matrix(trajectory.view.data, PUDLE_F64, m, p) };
    const pudle_cview d0 = pudle_const(&start.view);
    assert_int_equal(pd_problem_set_dictionary(&pb, &d0), PUDLE_OK);
    for (int k = 1; k <= 10; k++) {
        pd_batch batch;
        pd_pass pass = { .gradient = true };
        assert_int_equal(pd_problem_first(&pb, PUDLE_SPLIT_TRAIN, 0, pb.train.samples, &batch), PUDLE_OK);
        assert_int_equal(pd_network_run(&pb.net, &batch, &pass), PUDLE_OK);
        const double wanted = json_object_get_double(json_object_array_get_idx(member(c, "losses"), (size_t)k - 1));
        assert_true(fabs(pass.data_loss + pass.code_loss - wanted) <= 1e-10 * wanted);
        assert_int_equal(pd_optimizer_step(&pb, 1e-3, 1e-3, k), PUDLE_OK);
        assert_int_equal(pd_problem_get_dictionary(&pb, &own), PUDLE_OK);
        pd_array step = { .view = pd_matrix((double *)trajectory.view.data + (int64_t)k * m * p, PUDLE_F64, m, p) };
        assert_true(distance(&own, &step) <= 1e-10);
        pd_array_free(&own);
    }
    pd_array_free(&trajectory);
    pd_problem_close(&pb);
    pd_settings_destroy(settings);
}

static void adam_trajectories(void **state)
{
    (void)state;
    if (!index_json)
        skip();
    for (size_t b = 0; b < sizeof backends / sizeof *backends; b++) {
        if (!backend_found(backends[b]))
            continue;
        follow("x_train_adam_normalize_dec", backends[b], "dec", "lasso");
        follow("x_train_adam_normalize_aelasso", backends[b], "ae", "lasso");
        follow("x_train_adam_normalize_aels", backends[b], "ae", "least_squares");
    }
}

static int set_up(void **state)
{
    (void)state;
    const char *top = getenv("top_srcdir"), *other = getenv("PUDLE_TEST_BACKEND");
    if (other)
        backends[1] = other;
    char path[8192];
    snprintf(folder, sizeof folder, "%s/../shared/reference/fixtures", top ? top : ".");
    snprintf(path, sizeof path, "%s/index.json", folder);
    if (access(path, R_OK) == 0)
        index_json = json_object_from_file(path);
    else
        print_message("# skipped: %s is not there\n", path);
    const int fd = mkstemp(config_path);
    ctx = pd_context_create();
    if (ctx) /* thresholds learned with an estimator that does not reach them are on purpose here */
        pd_log_level(ctx, PUDLE_LOG_WARNING + 1);
    return fd < 0 || close(fd) || !ctx;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(config_path);
    if (index_json)
        json_object_put(index_json);
    pd_context_destroy(ctx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(dense_cases), cmocka_unit_test(convolutional_cases), cmocka_unit_test(exponential_cases),
                                        cmocka_unit_test(code_l1_is_lasso), cmocka_unit_test(adam_trajectories) };
    return cmocka_run_group_tests_name("reference cases", tests, set_up, tear_down);
}
