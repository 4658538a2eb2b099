/* The cpu backend's unroll when memory runs out: whichever of the first allocations fails, and of the many that follow some by chance, the error says
 * so, nothing is left behind, and the next attempt with memory gives the same bits. With each of its ways, evaluations in bytes among them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_host.h"
#include "backend/cpu/wide_bytes.h"
#include <pudle/unroll.h>

/* Which evaluations there were, as the unroll says at its end. */
static long long exactly, in_bytes;

static PUDLE_PRINTF(3, 4) void hear(void *ctx, int32_t level, const char *format, ...)
{
    char text[512];
    static const char counts[] = "correlations of all atoms for ";
    const char *at;
    va_list args;
    (void)ctx;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (level == PUDLE_LOG_DEBUG && (at = strstr(text, counts)))
        assert_int_equal(sscanf(at + sizeof counts - 1, "%lld rows exactly, for %lld in bytes", &exactly, &in_bytes), 2);
}

static pudle_host host;
static const pudle_backend_ops *ops;
static const pudle_unroll_ops *unroll;
static pudle_exec *exec;
static pudle_instance prox, inner;

enum { DATA, CODE, ESTIMATE, RESIDUAL, DIRECT, GRADIENT, LEVEL, VIEWS };

/* A network, its data near the dictionary, and room for what comes out. */
typedef struct problem {
    pudle_unroll_spec spec;
    pudle_conv conv;
    pudle_view dictionary, theta, view[VIEWS];
    double *step, *momentum;
} problem;

typedef struct sizes {
    const char *name, *way; /* the backend's option `unroll` */
    int64_t samples, features, atoms, layers;
    double lambda, step;
    bool bytes;   /* are to be evaluated in, where the processor can */
    bool filters; /* in place of a dense dictionary; features and atoms are those of make_filters */
    double momentum; /* b of every layer; 0: none */
} sizes;

static void fill(const pudle_view *v, double scale)
{
    for (int64_t i = 0; i < fake_count(v); i++)
        set(v, i, scale * normal());
}

static pudle_view matrix(int64_t rows, int64_t cols)
{
    return fake_view(PUDLE_F32, 2, (const int64_t[]){ rows, cols });
}

/* x = D z, a few of z's entries other than 0, and D a little off afterwards. */
static void make_dense(problem *p, const sizes *s)
{
    p->dictionary = matrix(s->features, s->atoms);
    fill(&p->dictionary, 1 / sqrt((double)s->features));
    for (int64_t i = 0; i < s->samples; i++)
        for (int k = 0; k < 3; k++) {
            const int64_t j = (int64_t)pudle_random_below(fake_random(), (uint64_t)s->atoms);
            const double size = 1 + fabs(normal());
            for (int64_t f = 0; f < s->features; f++)
                set(&p->view[DATA], i * s->features + f, get(&p->view[DATA], i * s->features + f) + size * get(&p->dictionary, f * s->atoms + j));
        }
    for (int64_t i = 0; i < fake_count(&p->dictionary); i++)
        set(&p->dictionary, i, get(&p->dictionary, i) + 0.005 * normal() / sqrt((double)s->features));
}

static void make_filters(problem *p, const sizes *s)
{
    p->conv = (pudle_conv){ .size = sizeof p->conv, .atoms = 8, .channels = 1, .kernel = { 5, 5 }, .stride = { 2, 2 }, .data = { 31, 33 }, .code = { 14, 15 } };
    assert_int_equal(s->features, 31 * 33);
    assert_int_equal(s->atoms, 8 * 14 * 15);
    p->dictionary = fake_view(PUDLE_F32, 4, (const int64_t[]){ 8, 1, 5, 5 });
    fill(&p->dictionary, 0.2);
    fill(&p->view[DATA], 0.3);
    p->spec.conv = &p->conv;
}

static void make(problem *p, const sizes *s)
{
    const int64_t n = s->samples, m = s->features, atoms = s->atoms;
    const int64_t cols[VIEWS] = { [DATA] = m, [CODE] = atoms, [ESTIMATE] = m, [RESIDUAL] = m, [DIRECT] = atoms };
    memset(p, 0, sizeof *p);
    for (int i = 0; i < GRADIENT; i++)
        p->view[i] = matrix(n, cols[i]);
    if (s->filters)
        make_filters(p, s);
    else
        make_dense(p, s);
    p->view[GRADIENT] = fake_view(PUDLE_F32, p->dictionary.rank, p->dictionary.shape);
    p->theta = matrix(s->layers, 1);
    p->view[LEVEL] = fake_view(PUDLE_F64, 2, p->theta.shape);
    p->step = calloc((size_t)s->layers, sizeof *p->step);
    p->momentum = calloc((size_t)s->layers, sizeof *p->momentum);
    assert_non_null(p->step);
    assert_non_null(p->momentum);
    for (int64_t t = 0; t < s->layers; t++) {
        p->step[t] = s->step;
        p->momentum[t] = s->momentum;
        set(&p->theta, t, s->lambda);
    }
    p->spec.size = sizeof p->spec;
    p->spec.dtype = PUDLE_F32;
    p->spec.features = m;
    p->spec.atoms = atoms;
    p->spec.layers = p->spec.depth = s->layers;
    p->spec.rows = n;
    p->spec.lanes = 1;
    p->spec.prox = prox;
    p->spec.inner = inner;
    p->spec.levels = 1;
    p->spec.dictionary = pudle_const(&p->dictionary);
    p->spec.step = p->step;
    p->spec.momentum = s->momentum != 0 ? p->momentum : NULL;
}

static void unmake(problem *p)
{
    for (int i = 0; i < VIEWS; i++)
        free(p->view[i].data);
    free(p->dictionary.data);
    free(p->theta.data);
    free(p->step);
    free(p->momentum);
}

/* A batch forwards and back: codes in CODE, and GRADIENT and LEVEL from zero. */
static pudle_status batch(pudle_unroll *u, problem *p)
{
    pudle_view *const v = p->view;
    const pudle_cview x = pudle_const(&v[DATA]), residual = pudle_const(&v[RESIDUAL]);
    memset(v[GRADIENT].data, 0, (size_t)fake_count(&v[GRADIENT]) * sizeof(float));
    memset(v[LEVEL].data, 0, (size_t)fake_count(&v[LEVEL]) * sizeof(double));
    memset(v[DIRECT].data, 0, (size_t)fake_count(&v[DIRECT]) * sizeof(float));
    pudle_status s = unroll->refresh(u, p->spec.rows);
    if (!s)
        s = unroll->forward(u, exec, 0, &x, false, &v[CODE]); /* without a tape, */
    if (!s)
        s = unroll->forward(u, exec, 0, &x, true, &v[CODE]); /* and with one */
    if (!s)
        s = unroll->decode(u, exec, 0, &v[ESTIMATE]);
    for (int64_t i = 0; i < fake_count(&v[DATA]); i++)
        set(&v[RESIDUAL], i, get(&v[ESTIMATE], i) - get(&v[DATA], i));
    if (!s)
        s = unroll->adjoint(u, exec, 0, &residual, &v[DIRECT], &v[GRADIENT], &v[LEVEL]);
    return s ? s : unroll->finish(u, 1, &v[GRADIENT]);
}

/* Allocation number `failing` fails; then there is memory again. True: there was none of that number. */
static bool all_allocated(problem *p, long failing, bool retry, const pudle_view clean[VIEWS])
{
    const pudle_cview theta = pudle_const(&p->theta);
    p->spec.theta = &theta;
    const long before = fake.live;
    pudle_unroll *u = NULL;
    fake.error[0] = '\0';
    fake.until_empty = failing;
    pudle_status s = unroll->create(exec, &p->spec, &u);
    if (!s)
        s = batch(u, p);
    fake.until_empty = -1;
    const bool none = s == PUDLE_OK;
    if (!none) {
        assert_int_equal(s, PUDLE_ERR_NOMEM);
        assert_true(fake.error[0]);
        if (u && retry) {
            s = batch(u, p);
            assert_int_equal(s, PUDLE_OK);
        }
    }
    for (int i = 0; i < VIEWS && clean && s == PUDLE_OK; i++)
        assert_true(same_bits(&p->view[i], &clean[i]));
    unroll->destroy(u);
    assert_int_equal(fake.live, before);
    return none;
}

static void open_backend(const char *way)
{
    const pudle_desc *desc = fake_load("backend", "cpu");
    void *params = fake_params(desc, SETTINGS("unroll", way, "threads", "1"));
    ops = desc->ops;
    assert_int_equal(ops->open(&host, params, &exec), PUDLE_OK);
    unroll = ops->get_ext(exec, PUDLE_UNROLL);
    assert_non_null(unroll);
    free(params);
}

static void memory_runs_out(void **state)
{
    const sizes *s = *state;
    problem p;
    pudle_view clean[VIEWS];
    open_backend(s->way);
    make(&p, s);
    exactly = in_bytes = 0;
    assert_true(all_allocated(&p, -1, false, NULL));
    print_message("# %s: %lld rows evaluated exactly, %lld in bytes\n", s->name, exactly, in_bytes);
    if (s->bytes && bytes_here())
        assert_true(in_bytes > 0);
    for (int i = 0; i < VIEWS; i++)
        clean[i] = fake_copy(&p.view[i]);
    long failing = 0, tried = 0;
    while (!all_allocated(&p, failing, tried % 2 == 0, clean)) {
        tried++; /* each of the first, then some of the many that a sample's growing tape makes */
        failing += failing < 40 ? 1 : 1 + (long)pudle_random_below(fake_random(), (uint64_t)failing / 8);
    }
    print_message("# %s: %ld of %ld allocations failed\n", s->name, tried, failing);
    assert_true(tried >= 8);
    for (int i = 0; i < VIEWS; i++)
        free(clean[i].data);
    unmake(&p);
    ops->close(exec);
}

static pudle_instance instance(const char *kind, const char *name)
{
    const pudle_desc *desc = fake_load(kind, name);
    assert_null(desc->create);
    return (pudle_instance){ desc, fake_params(desc, NULL) }; /* without create() options are all there is to an instance */
}

static int begin(void **state)
{
    (void)state;
    host = fake_host;
    host.log = hear;
    prox = instance("prox", "soft_threshold");
    inner = instance("loss", "least_squares");
    return 0;
}

static int end(void **state)
{
    (void)state;
    free(prox.self);
    free(inner.self);
    return 0;
}

static sizes all[] = {
    { "rows_without_gram", "rows", 30, 250, 780, 40, 0.15, 0.2, true, false, 0 },
    { "rows_without_gram_ahead", "rows", 30, 250, 780, 40, 0.15, 0.2, true, false, 0.5 },
    { "rows_with_gram", "rows", 40, 60, 90, 20, 0.15, 0.2, false, false, 0 },
    { "rows_with_gram_ahead", "rows", 40, 60, 90, 20, 0.15, 0.2, false, false, 0.5 },
    { "tiles", "tiles", 70, 50, 90, 20, 0.15, 0.2, false, false, 0 },
    { "tiles_ahead", "tiles", 70, 50, 90, 20, 0.15, 0.2, false, false, 0.5 },
    { "filters", "auto", 3, 31 * 33, 8 * 14 * 15, 12, 0.1, 0.1, false, true, 0 },
    { "filters_ahead", "auto", 3, 31 * 33, 8 * 14 * 15, 12, 0.1, 0.1, false, true, 0.5 },
};

int main(void)
{
    struct CMUnitTest tests[sizeof all / sizeof *all];
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        tests[i] = (struct CMUnitTest){ .name = all[i].name, .test_func = memory_runs_out, .initial_state = &all[i] };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("unroll_memory", tests, begin, end);
}
