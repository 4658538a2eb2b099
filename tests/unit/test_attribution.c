/* Attribution against its definition: G = (Z'Z + omega I)^-1 formed in full, and dictionaries fitted again without a sample. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pudle/random.h>
#include "elimination.h"
#include "measure/attribution.h"
#include "tensor/arrays.h"

enum { ROUNDS = 30 };

static pd_context *ctx;
static pudle_random rng;

static int64_t between(int64_t low, int64_t high)
{
    return low + (int64_t)pudle_random_below(&rng, (uint64_t)(high - low + 1));
}

static double *room(int64_t count)
{
    double *a = pd_alloc((size_t)count, sizeof *a);
    assert_non_null(a);
    return a;
}

/* Samples (n, m), codes (n, p) that are mostly zero. */
typedef struct problem { int64_t n, m, p; double *x, *z, omega; } problem;

static problem draw(void)
{
    problem q = { .n = between(1, 14), .m = between(1, 6), .p = between(1, 9) };
    q.x = room(q.n * q.m);
    q.z = room(q.n * q.p);
    q.omega = pow(10, -3 + 4 * pudle_random_uniform(&rng));
    for (int64_t i = 0; i < q.n * q.m; i++)
        q.x[i] = pudle_random_normal(&rng);
    for (int64_t i = 0; i < q.n * q.p; i++)
        q.z[i] = pudle_random_uniform(&rng) < 0.4 ? pudle_random_normal(&rng) : 0;
    return q;
}

static void drop(problem *q)
{
    free(q->x);
    free(q->z);
}

/* G Z' (n, p), by its definition. */
static double *weights_of(const problem *q)
{
    double *g = room(q->n * q->n), *w = room(q->n * q->p);
    for (int64_t i = 0; i < q->n; i++)
        for (int64_t k = 0; k < q->n; k++) {
            for (int64_t j = 0; j < q->p; j++)
                g[i * q->n + k] += q->z[i * q->p + j] * q->z[k * q->p + j];
            g[i * q->n + k] += i == k ? q->omega : 0;
        }
    memcpy(w, q->z, (size_t)(q->n * q->p) * sizeof *w);
    eliminate(q->n, q->p, g, w);
    free(g);
    return w;
}

static pd_attribution attribute(const problem *q)
{
    pd_attribution a;
    assert_int_equal(pd_attribution_open(ctx, q->m, q->p, &a), PUDLE_OK);
    for (int64_t k = 0; k < q->n; k++)
        pd_attribution_add(&a, q->x + k * q->m, q->z + k * q->p);
    assert_int_equal(pd_attribution_solve(ctx, &a, q->omega), PUDLE_OK);
    return a;
}

static void near(double value, double expected, double scale)
{
    if (!(fabs(value - expected) <= 1e-9 * fmax(scale, fabs(expected))))
        fail_msg("%.17g is not %.17g", value, expected);
}

static void weights_and_estimate(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        problem q = draw();
        double *wanted = weights_of(&q), *w = room(q.p);
        pd_attribution a = attribute(&q);
        for (int64_t k = 0; k < q.n; k++) {
            pd_attribution_weights(&a, q.z + k * q.p, w);
            for (int64_t j = 0; j < q.p; j++)
                near(w[j], wanted[k * q.p + j], 1 / q.omega);
        }
        for (int64_t j = 0; j < q.p; j++)
            for (int64_t i = 0; i < q.m; i++) {
                double atom = 0;
                for (int64_t k = 0; k < q.n; k++)
                    atom += q.x[k * q.m + i] * wanted[k * q.p + j];
                near(a.moment[j * q.m + i], atom, 1 / q.omega);
            }
        pd_attribution_close(&a);
        free(w);
        free(wanted);
        drop(&q);
    }
}

/* beta = G Z' z of a code that is none of the samples': its length, and X beta = D z. */
static void a_new_code(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        problem q = draw();
        double *wanted = weights_of(&q), *w = room(q.p), *z = room(q.p), length = 0;
        pd_attribution a = attribute(&q);
        for (int64_t j = 0; j < q.p; j++)
            z[j] = pudle_random_normal(&rng);
        pd_attribution_weights(&a, z, w);
        for (int64_t k = 0; k < q.n; k++) {
            double beta = 0, found = 0;
            for (int64_t j = 0; j < q.p; j++) {
                beta += wanted[k * q.p + j] * z[j];
                found += w[j] * q.z[k * q.p + j];
            }
            near(found, beta, 1 / q.omega);
            length += beta * beta;
        }
        const double norm = pd_attribution_beta_norm(&a, z, w);
        if (!(fabs(norm * norm - length) <= 1e-9 * (1 + 1 / q.omega)))
            fail_msg("||beta||^2 is %.17g, not %.17g", norm * norm, length);
        pd_attribution_close(&a);
        free(z);
        free(w);
        free(wanted);
        drop(&q);
    }
}

/* The estimate of all samples but one, fitted anew. */
static void leaving_one_out(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        problem q = draw();
        double *w = room(q.p), *place = room(q.m);
        pd_attribution all = attribute(&q);
        const int64_t k = between(0, q.n - 1);
        problem rest = { q.n, q.m, q.p, room(q.n * q.m), room(q.n * q.p), q.omega };
        memcpy(rest.x, q.x, (size_t)(q.n * q.m) * sizeof *q.x);
        memcpy(rest.z, q.z, (size_t)(q.n * q.p) * sizeof *q.z);
        memset(rest.z + k * q.p, 0, (size_t)q.p * sizeof *q.z); /* a code of zeros has no part in D */
        pd_attribution without = attribute(&rest);
        pd_attribution_weights(&all, q.z + k * q.p, w);
        const double factor = pd_attribution_leave_out(&all, q.x + k * q.m, q.z + k * q.p, w, place);
        for (int64_t j = 0; j < q.p; j++) {
            double moved = 0;
            for (int64_t i = 0; i < q.m; i++) {
                const double step = all.moment[j * q.m + i] - without.moment[j * q.m + i];
                moved += step * step;
            }
            near(factor * fabs(w[j]), sqrt(moved), 1 / q.omega);
        }
        pd_attribution_close(&without);
        pd_attribution_close(&all);
        drop(&rest);
        free(place);
        free(w);
        drop(&q);
    }
}

/* One sample, one atom, no weight decay: without it nothing is determined. With a little, its atom would be 0. */
static void alone(void **state)
{
    (void)state;
    const double x = 3, z = 2;
    for (int k = 0; k < 2; k++) {
        double w, place;
        pd_attribution a;
        assert_int_equal(pd_attribution_open(ctx, 1, 1, &a), PUDLE_OK);
        pd_attribution_add(&a, &x, &z);
        assert_int_equal(pd_attribution_solve(ctx, &a, k ? 1e-3 : 0), PUDLE_OK);
        pd_attribution_weights(&a, &z, &w);
        const double factor = pd_attribution_leave_out(&a, &x, &z, &w, &place);
        if (k)
            near(factor * w, a.moment[0], 1);
        else
            assert_true(isinf(factor));
        pd_attribution_close(&a);
    }
}

static void an_atom_without_samples(void **state)
{
    (void)state;
    const double x[2] = { 1, 2 }, z[3] = { 1, 0, 0.5 };
    pd_attribution a;
    assert_int_equal(pd_attribution_open(ctx, 2, 3, &a), PUDLE_OK);
    pd_attribution_add(&a, x, z);
    assert_int_equal(pd_attribution_solve(ctx, &a, 0), PUDLE_ERR_NUMERIC);
    assert_non_null(strstr(pd_error(ctx), "atom 1"));
    pd_error_clear(ctx);
    pd_attribution_close(&a);
    pd_attribution_close(&a);
}

/* The largest and the smallest, against a sort of everything. */
static void rankings(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        const int64_t n = between(0, 30), k = between(1, 12);
        pd_extreme lists[24];
        pd_ranking r = { .room = k, .largest = lists, .smallest = lists + 12 };
        double value[30];
        for (int64_t i = 0; i < n; i++) {
            value[i] = floor(6 * pudle_random_normal(&rng)); /* with ties and zeros */
            pd_ranking_add(&r, value[i], i);
        }
        int64_t above = 0, below = 0;
        for (int64_t i = 0; i < n; i++) {
            int64_t more = 0, less = 0; /* that come before it in each list */
            for (int64_t j = 0; j < n; j++) {
                more += value[j] > value[i] || (value[j] == value[i] && j < i);
                less += value[j] < value[i] || (value[j] == value[i] && j < i);
            }
            if (value[i] > 0 && ++above && more < k)
                assert_true(r.largest[more].number == i && r.largest[more].value == value[i]);
            if (value[i] < 0 && ++below && less < k)
                assert_true(r.smallest[less].number == i && r.smallest[less].value == value[i]);
        }
        assert_int_equal(r.most, above < k ? above : k);
        assert_int_equal(r.least, below < k ? below : k);
    }
}

static int begin(void **state)
{
    (void)state;
    const char *given = getenv("PUDLE_TEST_SEED");
    const uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)getpid() * 2654435761u;
    print_message("# seed %llu (set PUDLE_TEST_SEED to repeat)\n", (unsigned long long)seed);
    rng = pudle_random_at(seed, 1, 0, 0);
    return !(ctx = pd_context_create());
}

static int end(void **state)
{
    (void)state;
    pd_context_destroy(ctx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_and_estimate), cmocka_unit_test(a_new_code), cmocka_unit_test(leaving_one_out),
        cmocka_unit_test(alone), cmocka_unit_test(an_atom_without_samples), cmocka_unit_test(rankings),
    };
    return cmocka_run_group_tests_name("attribution", tests, begin, end);
}
