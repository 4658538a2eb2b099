/* The operators that look at more than one entry against their definition: slow references, other points that must not do better, all
 * supports of short codes, and the certificate of total variation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "structured.h"

static void check_reference(trial *c)
{
    const int64_t n = fake_count(&c->v);
    const double bound = (c->op->reference == slow_tv ? 1e-5 : 1e-13) + (c->v.dtype == PUDLE_F64 ? 0 : 1e-6);
    double *v = calloc((size_t)n + 1, sizeof *v), *p = calloc((size_t)n + 1, sizeof *p);
    if (c->op->reference == slow_tv && c->last > 60)
        goto cleanup; /* the reference is too slow; see check_taut */
    for (int64_t i = 0; i < n; i++)
        v[i] = get(&c->v, i);
    c->op->reference(c, v, p);
    apply(c, &c->v, &c->p);
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(get(&c->p, i) - p[i]) <= bound * (1 + fabs(v[i]))))
            fail_msg("%s variant %d, entry %d of shape %d %d %d: %.17g, reference %.17g", c->op->name, c->variant, (int)i, (int)c->shape.batch,
                     (int)c->shape.atoms, (int)c->shape.inner, get(&c->p, i), p[i]);
cleanup:
    free(v);
    free(p);
}

/* No other point does better: points nearby, the prox of other inputs (they lie in the domain), and points between. */
static void check_optimal(trial *c)
{
    const int64_t n = fake_count(&c->v);
    apply(c, &c->v, &c->p);
    pudle_view q = fake_copy(&c->v), z = fake_copy(&c->v);
    double best = value(c, &c->p);
    assert_true(best >= 0 && best < INFINITY);
    double slack = 0; /* what a radius larger by as much as value() lets pass would gain */
    for (int64_t i = 0; i < n; i++) {
        const double moved = fabs(get(&c->p, i) - get(&c->v, i));
        best += moved * moved / 2;
        slack += c->op->reach == SET ? 3e-7 * mean_level(c) * moved : 0;
    }
    for (int round = 0; round < 40; round++) {
        const double mix = round % 4 == 0 ? 1 : pow(10, -4 * uniform());
        for (int64_t i = 0; i < n; i++)
            set(&z, i, get(&c->v, i) + (round % 2 ? 1 : 0.05) * normal());
        apply(c, &z, &q);
        double f = 0;
        for (int64_t i = 0; i < n; i++) {
            const double other = round % 3 ? get(&q, i) : get(&c->p, i) + 0.1 * normal();
            set(&z, i, c->op->caps & PUDLE_PROX_CONVEX || round % 3 == 0 ? get(&c->p, i) + mix * (other - get(&c->p, i)) : other);
            f += pow(get(&z, i) - get(&c->v, i), 2) / 2;
        }
        f += value(c, &z);
        if (!(best <= f + slack + (c->v.dtype == PUDLE_F64 ? 1e-9 : 1e-6) * (1 + f)))
            fail_msg("%s variant %d: %.17g is not the least, %.17g is less", c->op->name, c->variant, best, f);
    }
    free(q.data);
    free(z.data);
}

/* Shorter sets, all choices: the sum of the selection's own objective over every support. */
static void test_every_support(void **state)
{
    (void)state;
    for (int round = 0; round < 60; round++) {
        const op *o = &operators[round % 2 ? 5 : 7];
        trial c;
        trial_of(&c, o, round % 4 & ~(round % 2 ? 1 : 0), 4, PUDLE_F64, o->levels && round % 3 == 0);
        apply(&c, &c.v, &c.p);
        const int64_t n = c.shape.atoms, most = o->levels ? lround(c.fraction * (double)n) : c.k;
        for (int64_t b = 0; b < c.shape.batch; b++) {
            double least = INFINITY, got = 0;
            for (int mask = 0; mask < 1 << n; mask++) {
                double f = 0;
                int bits = 0;
                for (int64_t a = 0; a < n; a++) {
                    const double v = get(&c.v, b * n + a), t = o->levels ? level_at(&c, 0, a) : 0, q = o->levels ? naive_soft(v, t) : 0;
                    bits += mask >> a & 1;
                    f += mask >> a & 1 ? 0 : (q - v) * (q - v) / 2 + t * fabs(q);
                }
                least = bits <= most && f < least ? f : least;
            }
            for (int64_t a = 0; a < n; a++) { /* entries that were not shrunk cost nothing */
                const double v = get(&c.v, b * n + a), p = get(&c.p, b * n + a), t = o->levels ? level_at(&c, 0, a) : 0;
                got += p == v ? 0 : (p - v) * (p - v) / 2 + t * fabs(p);
            }
            assert_true(fabs(got - least) <= 1e-12 * (1 + least));
        }
        unmake(&c);
    }
}

/* The certificate of total variation: w_i = sum up to i of p - v stays within t, ends at 0, and is t sign(jump) at every jump. */
static void certify_line(const double *v, const double *p, int64_t n, double t, double bound)
{
    double w = 0, size = 1;
    for (int64_t i = 0; i < n; i++)
        size += fabs(v[i]);
    for (int64_t i = 0; i < n; i++) {
        const double jump = i + 1 < n ? p[i + 1] - p[i] : 0;
        w += p[i] - v[i];
        assert_true(fabs(w) <= (i + 1 < n ? t : 0) + bound * size);
        if (jump != 0)
            assert_true(fabs(w - (jump > 0 ? t : -t)) <= bound * size);
    }
}

static void check_taut(trial *c)
{
    if (c->op->reference != slow_tv)
        return;
    double v[128], p[128];
    apply(c, &c->v, &c->p);
    for (int64_t at = 0; at < fake_count(&c->v); at += c->last) {
        for (int64_t i = 0; i < c->last; i++) {
            v[i] = get(&c->v, at + i);
            p[i] = get(&c->p, at + i);
        }
        certify_line(v, p, c->last, c->v.rank > 2 ? level_at(c, 0, atom_at(c, at)) : mean_level(c), c->v.dtype == PUDLE_F64 ? 1e-14 : 1e-6);
    }
}

/* Long lines of several kinds, in place: walks, slopes, steps, spikes, constants. */
static void test_long_lines(void **state)
{
    (void)state;
    enum { LENGTH = 3000 };
    const pudle_desc *desc = fake_load("prox", "tv1d");
    const pudle_prox_ops *ops = desc->ops;
    void *params = fake_params(desc, NULL);
    pudle_view v = fake_view(PUDLE_F64, 2, (const int64_t[]){ 1, LENGTH }), p = fake_copy(&v), theta = fake_view(PUDLE_F64, 1, &(int64_t){ 1 });
    const double levels[] = { 0, 0.01, 1, 30, 1e6 };
    for (int kind = 0; kind < 6; kind++)
        for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
            double walk = 0;
            for (int64_t i = 0; i < LENGTH; i++) {
                walk += normal();
                const double x = kind == 0 ? walk : kind == 1 ? 0.01 * (double)i : kind == 2 ? (double)(i / 100 % 3) + 0.1 * normal()
                                 : kind == 3 ? (i % 97 == 0 ? 50 : 0) : kind == 4 ? 2.5 : normal();
                set(&v, i, x);
                set(&p, i, x);
            }
            set(&theta, 0, levels[l]);
            const pudle_cview t = pudle_const(&theta), in = pudle_const(&p);
            assert_int_equal(ops->kernels[0]->apply(params, NULL, 1, &t, &in, &p), PUDLE_OK);
            certify_line(v.data, p.data, LENGTH, levels[l], 1e-13);
        }
    free(params);
    free(v.data);
    free(p.data);
    free(theta.data);
}

TEST(reference, 0)
TEST(optimal, 0)
TEST(taut, 0)

static void test_descriptors(void **state)
{
    (void)state;
    for (int k = 0; k < OPERATORS; k++) {
        const pudle_desc *desc = fake_load("prox", operators[k].name);
        int levels = 0;
        assert_int_equal(desc->caps, operators[k].caps);
        for (const pudle_option *row = desc->options; row && row->name; row++)
            levels += (row->flags & PUDLE_THRESHOLD) != 0;
        assert_int_equal(levels, operators[k].levels);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_descriptors, fresh),
        cmocka_unit_test_setup(test_reference, fresh),
        cmocka_unit_test_setup(test_optimal, fresh),
        cmocka_unit_test_setup(test_every_support, fresh),
        cmocka_unit_test_setup(test_taut, fresh),
        cmocka_unit_test_setup(test_long_lines, fresh),
    };
    fake_random();
    return cmocka_run_group_tests_name("structured_definition", tests, NULL, NULL);
}
