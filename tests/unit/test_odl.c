/* Online dictionary learning: several updates against the definition, sums of codes and samples and one atom after the other, in double. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "implicit_problems.h"
#include "train/optimizer.h"
#include "train/replace.h"

typedef struct memory { double forget, prior; } memory;

/* The setup's problem, but for the optimiser; other: one override more, or NULL. */
static pudle_status try_odl(const setup *s, const memory *how, const char *other, opened *o)
{
    char forget[64], prior[64];
    const char *list[] = { "train.optimizer=odl", forget, prior, other };
    snprintf(forget, sizeof forget, "train.forget=%.17g", how->forget);
    snprintf(prior, sizeof prior, "train.prior=%.17g", how->prior);
    open_problem(s, o);
    close_problem(o);
    o->settings = NULL;
    pudle_status status = pd_settings_load(ctx, config_path, list, other ? 4 : 3, &o->settings);
    if (status)
        return status;
    status = pd_problem_open(ctx, o->settings, NULL, &o->pb);
    if (status)
        pd_settings_destroy(o->settings);
    return status;
}

static void open_odl(const setup *s, const memory *how, opened *o)
{
    if (try_odl(s, how, NULL, o) || pd_problem_initialise(&o->pb) || pd_optimizer_init(&o->pb) || pd_normalize_atoms(&o->pb))
        fail_msg("%s", pd_error(ctx));
}

typedef struct sums { double *a, *b; } sums; /* (p, p) and (m, p) */

static void add(sums *to, const double *z, const double *x, const double *d, const setup *s, const memory *how, int64_t t)
{
    const double kept = pow(1 - 1 / ((double)t + how->prior), how->forget), share = 1 / (double)s->n;
    double trace = 0;
    for (int64_t i = 0; i < s->n * s->p; i++)
        trace += share * z[i] * z[i];
    for (int64_t i = 0; t == 1 && i < s->p * s->p; i++)
        to->a[i] = i % (s->p + 1) ? 0 : how->prior * trace / (double)s->p;
    for (int64_t i = 0; t == 1 && i < s->m * s->p; i++)
        to->b[i] = how->prior * trace / (double)s->p * d[i];
    for (int64_t j = 0; j < s->p; j++) {
        for (int64_t k = 0; k < s->p; k++) {
            to->a[j * s->p + k] *= kept;
            for (int64_t n = 0; n < s->n; n++)
                to->a[j * s->p + k] += share * z[n * s->p + j] * z[n * s->p + k];
        }
        for (int64_t i = 0; i < s->m; i++) {
            to->b[i * s->p + j] *= kept;
            for (int64_t n = 0; n < s->n; n++)
                to->b[i * s->p + j] += share * x[n * s->m + i] * z[n * s->p + j];
        }
    }
}

static void solve_atom(const sums *of, double *d, int64_t j, const setup *s)
{
    const double weight = of->a[j * s->p + j];
    double *v = calloc((size_t)s->m, sizeof *v), square = 0;
    assert_non_null(v);
    for (int64_t i = 0; i < s->m && weight > 0; i++) {
        double rest = of->b[i * s->p + j];
        for (int64_t k = 0; k < s->p; k++)
            rest -= d[i * s->p + k] * of->a[k * s->p + j];
        v[i] = d[i * s->p + j] + rest / weight;
        square += v[i] * v[i];
    }
    for (int64_t i = 0; i < s->m && square > 0; i++)
        d[i * s->p + j] = v[i] / sqrt(square);
    free(v);
}

static double *samples_of(opened *o)
{
    pd_batch batch;
    assert_int_equal(pd_problem_first(&o->pb, PUDLE_SPLIT_TRAIN, 0, o->pb.train.samples, &batch), PUDLE_OK);
    const pudle_view x = pd_matrix((void *)(uintptr_t)batch.x.data, o->pb.dtype, o->pb.train.samples, o->pb.net.map.features);
    return doubles(&o->pb, &x);
}

/* The problem with codes of the present dictionary, which are returned. */
static double *codes_of(opened *o, const setup *s)
{
    void *device;
    assert_int_equal(pd_problem_refresh(&o->pb, 1), PUDLE_OK);
    assert_int_equal(o->pb.be->alloc(o->pb.exec, (size_t)(s->n * s->p) * pudle_dtype_size(o->pb.dtype), &device), PUDLE_OK);
    pd_pass pass = { .gradient = true, .code = pd_matrix(device, o->pb.dtype, s->n, s->p) };
    run(&o->pb, &pass);
    double *z = doubles(&o->pb, &pass.code);
    o->pb.be->free(o->pb.exec, device);
    return z;
}

static setup some(int round)
{
    return (setup){ .backend = backends[round % 2], .precision = round % 4 < 2 ? "f64" : "f32", .gradient = "dec", .prox = "name = \"soft_threshold\"; lambda = 0.1;",
                    .n = round % 5 ? between(1, 40) : between(100, 700), .m = between(2, 20), .p = round % 3 ? between(1, 30) : between(33, 100), .layers = 5,
                    .seed = between(1, 1000000), .threads = 1 + round % 3 % 2 };
}

static void updates(void **state)
{
    (void)state;
    for (int round = 0; round < 24; round++) {
        const setup s = some(round);
        const memory how = { round % 3 == 0 ? 0 : round % 3 == 1 ? 1.5 : 1e9, round % 2 ? 0 : 3.5 };
        opened o;
        open_odl(&s, &how, &o);
        double *x = samples_of(&o);
        sums of = { calloc((size_t)(s.p * s.p), sizeof *of.a), calloc((size_t)(s.m * s.p), sizeof *of.b) };
        assert_true(of.a && of.b);
        for (int64_t t = 1; t <= 3; t++) {
            double *d = doubles(&o.pb, &o.pb.net.dictionary.value), *z = codes_of(&o, &s);
            add(&of, z, x, d, &s, &how, t);
            for (int64_t j = 0; j < s.p; j++)
                solve_atom(&of, d, j, &s);
            if (pd_optimizer_step(&o.pb, NAN, NAN, t))
                fail_msg("%s", pd_error(ctx));
            double *got = doubles(&o.pb, &o.pb.net.dictionary.value), *a = doubles(&o.pb, &o.pb.net.dictionary.state[1]), *b = doubles(&o.pb, &o.pb.net.dictionary.state[0]);
            const double off_a = relative_norm(a, of.a, s.p * s.p, 1e-9), off_b = relative_norm(b, of.b, s.m * s.p, 1e-9), off = relative_norm(got, d, s.m * s.p, 1e-9);
            const double sum_bound = s.precision[1] == '6' ? 1e-13 : 2e-5, bound = s.precision[1] == '6' ? 1e-8 : 5e-3; /* an atom is a quotient, of what few codes have left */
            if (!(off_a <= sum_bound && off_b <= 10 * sum_bound && off <= bound))
                fail_msg("seed %lld, %s, %s, %lld x %lld, n = %lld, update %lld: A off by %.3g, B by %.3g, D by %.3g", (long long)s.seed, s.backend, s.precision, (long long)s.m,
                         (long long)s.p, (long long)s.n, (long long)t, off_a, off_b, off);
            memcpy(of.a, a, (size_t)(s.p * s.p) * sizeof *a); /* so that rounding does not add up */
            memcpy(of.b, b, (size_t)(s.m * s.p) * sizeof *b);
            free(got);
            free(a);
            free(b);
            free(z);
            free(d);
        }
        free(of.a);
        free(of.b);
        free(x);
        close_problem(&o);
    }
}

/* An atom that is made anew has no past, and the others do not take over what it has explained. */
static void replaced(void **state)
{
    (void)state;
    for (int round = 0; round < 6; round++) {
        setup s = some(round);
        s.p = between(3, 30);
        const memory how = { 0, 1 };
        opened o;
        open_odl(&s, &how, &o);
        free(codes_of(&o, &s));
        assert_int_equal(pd_optimizer_step(&o.pb, NAN, NAN, 1), PUDLE_OK);
        const int64_t atom[] = { 0, s.p - 1 };
        double *values = calloc((size_t)(2 * s.m), sizeof *values);
        assert_non_null(values);
        values[0] = values[s.m + 1] = 1;
        double *was_a = doubles(&o.pb, &o.pb.net.dictionary.state[1]), *was_b = doubles(&o.pb, &o.pb.net.dictionary.state[0]), *was_d = doubles(&o.pb, &o.pb.net.dictionary.value);
        assert_int_equal(pd_replace_atoms(&o.pb, 2, atom, values), PUDLE_OK);
        double *a = doubles(&o.pb, &o.pb.net.dictionary.state[1]), *b = doubles(&o.pb, &o.pb.net.dictionary.state[0]), *d = doubles(&o.pb, &o.pb.net.dictionary.value);
        int64_t kept = 0;
        for (int64_t j = 0; j < s.p; j++) {
            const bool fresh = j == 0 || j == s.p - 1;
            for (int64_t k = 0; k < s.p; k++)
                if (fresh || k == 0 || k == s.p - 1)
                    assert_true(a[j * s.p + k] == 0);
                else
                    kept += a[j * s.p + k] != 0;
            for (int64_t i = 0; i < s.m && fresh; i++)
                assert_true(b[i * s.p + j] == 0 && d[i * s.p + j] == (i == (j > 0)));
        }
        assert_true(kept > 0); /* the prior's at least */
        for (int64_t i = 0; i < s.m; i++)
            for (int64_t k = 1; k < s.p - 1; k++) {
                const double left = was_b[i * s.p + k] - was_d[i * s.p] * was_a[k] - was_d[i * s.p + s.p - 1] * was_a[(s.p - 1) * s.p + k];
                assert_true(fabs(b[i * s.p + k] - left) <= 1e-5 * (1 + fabs(left)));
            }
        free(was_a);
        free(was_b);
        free(was_d);
        free(a);
        free(b);
        free(d);
        free(values);
        close_problem(&o);
    }
}

/* Without codes nothing begins, and the prior waits. */
static void no_codes(void **state)
{
    (void)state;
    setup s = some(0);
    s.prox = "name = \"soft_threshold\"; lambda = 1e6;";
    const memory how = { 1, 10 };
    opened o;
    open_odl(&s, &how, &o);
    double *before = doubles(&o.pb, &o.pb.net.dictionary.value);
    free(codes_of(&o, &s));
    assert_int_equal(pd_optimizer_step(&o.pb, NAN, NAN, 1), PUDLE_OK);
    double *after = doubles(&o.pb, &o.pb.net.dictionary.value), *a = doubles(&o.pb, &o.pb.net.dictionary.state[1]);
    assert_memory_equal(after, before, (size_t)(s.m * s.p) * sizeof *before);
    for (int64_t i = 0; i < s.p * s.p; i++)
        assert_true(a[i] == 0);
    o.pb.net.level[0].initial = 0.1;
    double *z = codes_of(&o, &s), trace = 0;
    for (int64_t i = 0; i < s.n * s.p; i++)
        trace += z[i] * z[i] / (double)s.n;
    assert_int_equal(pd_optimizer_step(&o.pb, NAN, NAN, 2), PUDLE_OK);
    double *later = doubles(&o.pb, &o.pb.net.dictionary.state[1]), known = 0;
    for (int64_t j = 0; j < s.p; j++)
        known += later[j * s.p + j];
    assert_true(trace > 0 && fabs(known - trace * (1 + how.prior * (1 - 1 / (2 + how.prior)))) <= 1e-9 * known);
    free(z);
    free(a);
    free(later);
    free(before);
    free(after);
    close_problem(&o);
}

static void refused(void **state)
{
    (void)state;
    static const struct { const char *override, *says; } configs[] = {
        { "model.gradient=ae", "odl takes its sums from the decoder's gradient; write  model.gradient = \"dec\"" },
        { "train.normalize=false", "odl keeps atoms at unit norm" },
        { "train.normalize_at=end", "odl keeps atoms at unit norm" },
        { "loss.missing=skip", "odl has no place for gaps" },
        { "prox.learn=atom", "odl learns the dictionary alone" },
        { "loss.learn_offset=global", "odl learns the dictionary alone" },
        { "train.learning_rate=0.1", "is read only with train.optimizer = \"sgd\" or \"momentum\" or \"adam\", and here is train.optimizer = \"odl\"" },
        { "train.tangent=false", "is read only with train.optimizer" },
        { "train.schedule=cosine", "is read only with train.optimizer" },
    };
    static const char *const losses[] = { "name = \"huber\";", "name = \"masked_least_squares\";", "name = \"poisson\"; };\ninner_loss: { name = \"least_squares\";" };
    const memory how = { 0, 1 };
    setup s = some(0);
    opened o;
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        assert_int_equal(try_odl(&s, &how, configs[i].override, &o), PUDLE_ERR_CONFIG);
        if (!strstr(pd_error(ctx), configs[i].says))
            fail_msg("%s", pd_error(ctx));
        pd_error_clear(ctx);
    }
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++) {
        s.loss = losses[i];
        assert_int_equal(try_odl(&s, &how, NULL, &o), PUDLE_OK);
        assert_int_equal(pd_optimizer_init(&o.pb), PUDLE_ERR_CONFIG);
        assert_non_null(strstr(pd_error(ctx), "train.optimizer = \"odl\" is for least squares over all entries"));
        pd_error_clear(ctx);
        close_problem(&o);
    }
    s.loss = "name = \"lasso\"; lambda = 0.1;"; /* whose data part is least squares */
    assert_int_equal(try_odl(&s, &how, NULL, &o), PUDLE_OK);
    assert_int_equal(pd_optimizer_init(&o.pb), PUDLE_OK);
    close_problem(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(updates), cmocka_unit_test(replaced), cmocka_unit_test(no_codes), cmocka_unit_test(refused) };
    return cmocka_run_group_tests_name("online dictionary learning", tests, set_up, tear_down);
}
