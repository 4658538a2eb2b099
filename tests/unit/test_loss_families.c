/* Every loss by its definition: slopes and curvature against differences, Lipschitz constants, links, precisions, what is outside a domain, weights. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "loss_trial.h"

enum { ANY, COUNTS, EVENTS, POSITIVE, CLASSES, GAPS }; /* what targets are like */

typedef struct family {
    const char *name;
    const char *const *settings;
    int targets;
    double lipschitz; /* 0: none, not even for known targets; -1: for known targets alone */
    bool canonical;   /* gradient = mean - target */
    double bad;       /* a target outside the domain; NaN: there is none but NaN */
} family;

static const double weights[20] = { 1, 2, 0, .5, 3, 1, 1, .25, 1, 1, 2, 2, 0, 1, 4, 1, 1, 1, 1, .125 };

static const family families[] = {
    { "least_squares", NULL, ANY, 1, true, INFINITY },
    { "masked_least_squares", NULL, GAPS, 1, false, INFINITY },
    { "weighted_least_squares", SETTINGS("path", "weights.npy"), ANY, 4, false, INFINITY },
    { "huber", SETTINGS("delta", "0.8"), ANY, 1, false, INFINITY },
    { "bernoulli", NULL, EVENTS, .25, true, 1.5 },
    { "binomial", SETTINGS("trials", "9"), COUNTS, 2.25, true, 2.5 },
    { "poisson", NULL, COUNTS, 0, true, -1 },
    { "poisson", SETTINGS("clip", "0.5"), COUNTS, 1.6487212707001282, true, -1 },
    { "poisson_softplus", NULL, COUNTS, -1, false, -1 },
    { "gamma", SETTINGS("shape", "2.5"), POSITIVE, 0, false, 0 },
    { "negative_binomial", SETTINGS("r", "3"), COUNTS, -1, false, -1 },
    { "categorical", NULL, CLASSES, .5, true, 2 },
};
enum { FAMILIES = sizeof families / sizeof *families };

typedef struct subject {
    trial t;
    const family *f;
    void *self;
} subject;

static void draw_targets(const subject *s)
{
    const pudle_view *b = &s->t.b;
    const int64_t n = fake_count(b), inner = b->rank > 2 ? b->shape[2] * b->shape[3] : 1, classes = b->shape[1];
    for (int64_t i = 0; i < n; i++) {
        const double v = normal();
        set(b, i, s->f->targets == COUNTS ? floor(fabs(2 * v)) : s->f->targets == EVENTS ? (double)(v > 0) : s->f->targets == POSITIVE ? 0.1 + fabs(v)
                  : s->f->targets == CLASSES ? (double)(i / inner % classes == i / inner / classes % classes) : s->f->targets == GAPS && i % 5 == 2 ? NAN : v);
    }
}

/* Every loss on vectors and on small pictures, at predictions of moderate size. */
static void for_each_family(int32_t dtype, void (*test)(subject *))
{
    static const struct { int32_t rank; int64_t extent[4]; } shapes[] = { { 2, { 6, 20 } }, { 4, { 2, 5, 2, 2 } }, { 2, { 0, 20 } } };
    fake.arrays = 1;
    fake.array[0] = (fake_array){ .path = "weights.npy", .rank = 1, .shape = { 20 }, .values = weights };
    for (int k = 0; k < FAMILIES; k++)
        for (int i = 0; i < 3; i++) {
            subject s = { .f = &families[k], .t = { .desc = fake_load("loss", families[k].name), .dtype = dtype } };
            trial *t = &s.t;
            t->ops = t->desc->ops;
            t->kernel = t->ops->kernels[0];
            t->params = s.self = fake_params(t->desc, families[k].settings);
            if (t->desc->create)
                assert_int_equal(fake_create(t->desc, t->params, &s.self), PUDLE_OK);
            void *const params = t->params;
            t->params = s.self;
            t->a = fake_view(dtype, shapes[i].rank, shapes[i].extent);
            t->b = fake_view(dtype, shapes[i].rank, shapes[i].extent);
            for (int64_t j = 0; j < fake_count(&t->a); j++)
                set(&t->a, j, 1.5 * normal());
            draw_targets(&s);
            const pudle_cview cb = pudle_const(&t->b);
            if (t->ops->check_target)
                assert_int_equal(t->ops->check_target(&fake_host, s.self, &cb), PUDLE_OK);
            test(&s);
            free(t->a.data);
            free(t->b.data);
            if (t->desc->create)
                t->desc->destroy(&fake_host, s.self);
            free(params);
        }
    assert_int_equal(fake.live, 0);
}

static void hvp(const trial *c, const pudle_view *u, const pudle_view *hu)
{
    const pudle_cview p = pudle_const(&c->a), t = pudle_const(&c->b), cu = pudle_const(u);
    assert_int_equal(c->kernel->hvp(c->params, NULL, &p, &t, &cu, hu), PUDLE_OK);
}

static pudle_view random_like(const pudle_view *v)
{
    pudle_view u = fake_copy(v);
    for (int64_t i = 0; i < fake_count(&u); i++)
        set(&u, i, normal());
    return u;
}

static double inner(const pudle_view *a, const pudle_view *b)
{
    double sum = 0;
    for (int64_t i = 0; i < fake_count(a); i++)
        sum += get(a, i) * get(b, i);
    return sum;
}

/* Does a residual lie on the kink of the second derivative, where differences say nothing? */
static bool at_kink(const subject *s, int64_t i)
{
    const double h = 1e-4;
    if (!strcmp(s->f->name, "huber"))
        return fabs(fabs(get(&s->t.a, i) - get(&s->t.b, i)) - 0.8) < h;
    return s->f->lipschitz > 1.6 && s->f->lipschitz < 1.7 && fabs(get(&s->t.a, i) - 0.5) < h;
}

static void check_slopes(subject *s)
{
    const double h = 1e-5;
    trial *c = &s->t;
    pudle_view g = fake_copy(&c->a), in_place = fake_copy(&c->a);
    grad(c, &c->a, &g);
    for (int64_t i = 0; i < fake_count(&g); i++) {
        const double a = get(&c->a, i);
        set(&c->a, i, a + h);
        const double up = value(c, &c->a);
        set(&c->a, i, a - h);
        const double slope = (up - value(c, &c->a)) / (2 * h);
        set(&c->a, i, a);
        if (!(fabs(get(&g, i) - slope) <= 1e-6 * (1 + fabs(slope))))
            fail_msg("%s: at %.17g, target %.17g the gradient is %.17g, differences give %.17g", s->f->name, a, get(&c->b, i), get(&g, i), slope);
    }
    grad(c, &in_place, &in_place);
    assert_true(same_bits(&in_place, &g));
    free(g.data);
    free(in_place.data);
}

static void check_curvature(subject *s)
{
    const double h = 1e-5;
    trial *c = &s->t;
    const int64_t n = fake_count(&c->a);
    pudle_view u = random_like(&c->a), w = random_like(&c->a), hu = fake_copy(&c->a), hw = fake_copy(&c->a);
    pudle_view up = fake_copy(&c->a), down = fake_copy(&c->a);
    for (int64_t i = 0; i < n; i++) {
        if (at_kink(s, i))
            set(&u, i, 0);
        set(&up, i, get(&c->a, i) + h * get(&u, i));
        set(&down, i, get(&c->a, i) - h * get(&u, i));
    }
    hvp(c, &u, &hu);
    hvp(c, &w, &hw);
    assert_true(fabs(inner(&w, &hu) - inner(&u, &hw)) <= 1e-12 * (1 + fabs(inner(&w, &hu)))); /* symmetric */
    if (c->desc->caps & PUDLE_LOSS_CONVEX)
        assert_true(inner(&u, &hu) >= -1e-12);
    grad(c, &up, &up);
    grad(c, &down, &down);
    for (int64_t i = 0; i < n; i++) {
        const double difference = (get(&up, i) - get(&down, i)) / (2 * h);
        if (!(fabs(get(&hu, i) - difference) <= 1e-5 * (1 + fabs(difference))))
            fail_msg("%s: at %.17g, target %g the curvature gives %.17g, differences give %.17g", s->f->name, get(&c->a, i), get(&c->b, i), get(&hu, i),
                     difference);
    }
    hvp(c, &u, &u); /* hu may be u */
    assert_true(same_bits(&u, &hu));
    void *const memory[] = { u.data, w.data, hu.data, hw.data, up.data, down.data };
    for (int i = 0; i < 6; i++)
        free(memory[i]);
}

/* ||g(a) - g(b)|| <= L ||a - b||, and L is what the loss's own formula says. */
static void check_lipschitz(subject *s)
{
    trial *c = &s->t;
    const pudle_cview t = pudle_const(&c->b);
    double constant = -1, always = -1;
    const pudle_status known = c->ops->lipschitz ? c->ops->lipschitz(s->self, &t, &constant) : PUDLE_ERR_UNSUPPORTED;
    const pudle_status any = c->ops->lipschitz ? c->ops->lipschitz(s->self, NULL, &always) : PUDLE_ERR_UNSUPPORTED;
    if (!fake_count(&c->b))
        return;
    assert_int_equal(known, s->f->lipschitz == 0 ? PUDLE_ERR_UNSUPPORTED : PUDLE_OK);
    assert_int_equal(any, s->f->lipschitz > 0 ? PUDLE_OK : PUDLE_ERR_UNSUPPORTED);
    if (known)
        return;
    if (!any)
        assert_true(fabs(always - s->f->lipschitz) <= 1e-12 && always == constant);
    for (int k = 0; k < 50; k++) {
        pudle_view a = random_like(&c->a), b = random_like(&c->a), ga = fake_copy(&c->a), gb = fake_copy(&c->a);
        const double spread = k < 25 ? 4 : 0.01;
        double change = 0, distance = 0;
        for (int64_t i = 0; i < fake_count(&a); i++)
            set(&b, i, get(&a, i) + spread * get(&b, i));
        grad(c, &a, &ga);
        grad(c, &b, &gb);
        for (int64_t i = 0; i < fake_count(&a); i++) {
            change += pow(get(&ga, i) - get(&gb, i), 2);
            distance += pow(get(&a, i) - get(&b, i), 2);
        }
        assert_true(sqrt(change) <= constant * sqrt(distance) * (1 + 1e-9));
        free(a.data);
        free(b.data);
        free(ga.data);
        free(gb.data);
    }
}

/* A target that is the mean pulls nowhere: gradient and link belong together. */
static void check_link(subject *s)
{
    trial *c = &s->t;
    const pudle_cview p = pudle_const(&c->a);
    pudle_view m = fake_copy(&c->a), g = fake_copy(&c->a);
    const bool has = PUDLE_HAS(c->kernel, pudle_loss_kernel, mean) && c->kernel->mean;
    if (has) {
        assert_int_equal(c->kernel->mean(s->self, NULL, &p, &m), PUDLE_OK);
        pudle_view in_place = fake_copy(&c->a);
        const pudle_cview same = pudle_const(&in_place);
        assert_int_equal(c->kernel->mean(s->self, NULL, &same, &in_place), PUDLE_OK);
        assert_true(same_bits(&in_place, &m));
        free(in_place.data);
    }
    if (s->f->canonical) {
        grad(c, &c->a, &g);
        for (int64_t i = 0; i < fake_count(&g); i++)
            assert_true(fabs(get(&g, i) - (get(&m, i) - get(&c->b, i))) <= 1e-14 * (1 + fabs(get(&m, i))));
    }
    for (int64_t i = 0; i < fake_count(&m); i++)
        set(&c->b, i, get(&m, i));
    grad(c, &c->a, &g);
    for (int64_t i = 0; i < fake_count(&g); i++)
        assert_true(fabs(get(&g, i)) <= 1e-13 * (1 + fabs(get(&m, i))));
    free(m.data);
    free(g.data);
}

static double difference_of(const pudle_view *wide, const pudle_view *narrow)
{
    double worst = 0;
    for (int64_t i = 0; i < fake_count(wide); i++)
        worst = fmax(worst, fabs(get(wide, i) - get(narrow, i)) / (1 + fabs(get(wide, i))));
    return worst;
}

/* The same numbers in f32 and in f64: the results agree to single precision. */
static void check_precisions(subject *s)
{
    trial narrow = s->t, wide = s->t;
    pudle_view *const mine[] = { &wide.a, &wide.b };
    const pudle_view *const from[] = { &narrow.a, &narrow.b };
    for (int k = 0; k < 2; k++) {
        *mine[k] = fake_view(PUDLE_F64, from[k]->rank, from[k]->shape);
        for (int64_t i = 0; i < fake_count(from[k]); i++)
            set(mine[k], i, get(from[k], i));
    }
    wide.dtype = PUDLE_F64;
    assert_true(fabs(value(&narrow, &narrow.a) - value(&wide, &wide.a)) <= 1e-13 * (1 + fabs(value(&wide, &wide.a))));
    pudle_view g = fake_copy(&narrow.a), wide_g = fake_copy(&wide.a), u = random_like(&narrow.a), wide_u = fake_copy(&wide.a);
    for (int64_t i = 0; i < fake_count(&u); i++)
        set(&wide_u, i, get(&u, i));
    grad(&narrow, &narrow.a, &g);
    grad(&wide, &wide.a, &wide_g);
    assert_true(difference_of(&wide_g, &g) <= 2e-6);
    bool kink = false;
    for (int64_t i = 0; i < fake_count(&u); i++)
        kink = kink || at_kink(s, i);
    hvp(&narrow, &u, &g);
    hvp(&wide, &wide_u, &wide_g);
    assert_true(kink || difference_of(&wide_g, &g) <= 5e-6);
    void *const memory[] = { wide.a.data, wide.b.data, g.data, wide_g.data, u.data, wide_u.data };
    for (int i = 0; i < 6; i++)
        free(memory[i]);
}

static void check_family_nan(subject *s)
{
    trial *c = &s->t;
    const int64_t n = fake_count(&c->a);
    pudle_view g = fake_copy(&c->a);
    if (n) {
        set(&c->a, n / 2, NAN);
        grad(c, &c->a, &g);
        assert_true(isnan(get(&g, n / 2)));
        for (int64_t i = 0; i < n; i++)
            assert_true(s->f->targets == CLASSES || i == n / 2 || !isnan(get(&g, i)));
        assert_true(isnan(value(c, &c->a)));
    }
    free(g.data);
}

/* Far out nothing overflows that need not, and no digit is lost to a difference of large numbers. */
static void check_far(subject *s)
{
    trial *c = &s->t;
    pudle_view g = fake_copy(&c->a), hu = fake_copy(&c->a), u = random_like(&c->a);
    for (int sign = -1; sign <= 1; sign += 2) {
        for (int64_t i = 0; i < fake_count(&c->a); i++)
            set(&c->a, i, sign * (20 + 3.0 * (double)(i % 20)));
        assert_true(isfinite(value(c, &c->a)));
        grad(c, &c->a, &g);
        hvp(c, &u, &hu);
        for (int64_t i = 0; i < fake_count(&g); i++)
            assert_true(isfinite(get(&g, i)) && isfinite(get(&hu, i)));
    }
    free(hu.data);
    free(g.data);
    free(u.data);
}

static void check_domain(subject *s)
{
    trial *c = &s->t;
    const pudle_cview t = pudle_const(&c->b);
    if (!fake_count(&c->b) || !c->ops->check_target || !strcmp(s->f->name, "weighted_least_squares"))
        return;
    const double bad[] = { s->f->bad, NAN };
    for (int k = 0; k < (s->f->targets == GAPS ? 1 : 2); k++) {
        const int64_t at = fake_count(&c->b) - 1; /* the last sample */
        const double before = get(&c->b, at);
        char sample[64];
        set(&c->b, at, bad[k]);
        snprintf(sample, sizeof sample, "sample %lld of the batch", (long long)(c->b.shape[0] - 1));
        fake.error[0] = 0;
        assert_int_equal(c->ops->check_target(&fake_host, s->self, &t), PUDLE_ERR_ARG);
        assert_non_null(strstr(fake.error, sample));
        assert_non_null(strstr(fake.error, s->f->name));
        set(&c->b, at, before);
    }
}

static void test_slopes(void **state)
{
    (void)state;
    for_each_family(PUDLE_F64, check_slopes);
}

static void test_curvature(void **state)
{
    (void)state;
    for_each_family(PUDLE_F64, check_curvature);
}

static void test_lipschitz(void **state)
{
    (void)state;
    for_each_family(PUDLE_F64, check_lipschitz);
}

static void test_link(void **state)
{
    (void)state;
    for_each_family(PUDLE_F64, check_link);
}

static void test_precisions(void **state)
{
    (void)state;
    for_each_family(PUDLE_F32, check_precisions);
}

static void test_family_nan(void **state)
{
    (void)state;
    for_each_family(PUDLE_F32, check_family_nan);
    for_each_family(PUDLE_F64, check_family_nan);
}

static void test_far(void **state)
{
    (void)state;
    for_each_family(PUDLE_F32, check_far);
    for_each_family(PUDLE_F64, check_far);
}

static void test_domain(void **state)
{
    (void)state;
    for_each_family(PUDLE_F32, check_domain);
    for_each_family(PUDLE_F64, check_domain);
}

/* With `clip` the mean is a straight line beyond it, and all that is differentiated is continuous there. */
static void test_clip(void **state)
{
    (void)state;
    const int64_t n = 3;
    trial c = { .desc = fake_load("loss", "poisson"), .dtype = PUDLE_F64 };
    c.ops = c.desc->ops;
    c.kernel = c.ops->kernels[0];
    c.params = fake_params(c.desc, SETTINGS("clip", "0.5"));
    c.a = fake_view(PUDLE_F64, 1, &n);
    c.b = fake_view(PUDLE_F64, 1, &n);
    pudle_view g = fake_view(PUDLE_F64, 1, &n), h = fake_view(PUDLE_F64, 1, &n), ones = fake_view(PUDLE_F64, 1, &n);
    const double at[] = { 0.5, 0.5 + 1e-9, 2.5 }, e = exp(0.5);
    for (int i = 0; i < 3; i++) {
        set(&c.a, i, at[i]);
        set(&c.b, i, 2);
        set(&ones, i, 1);
    }
    grad(&c, &c.a, &g);
    hvp(&c, &ones, &h);
    assert_true(fabs(get(&g, 0) - (e - 2)) < 1e-14 && fabs(get(&g, 1) - get(&g, 0)) < 1e-8);
    assert_true(fabs(get(&g, 2) - (e * 3 - 2)) < 1e-14);
    for (int i = 0; i < 3; i++)
        assert_true(fabs(get(&h, i) - e) < 1e-14);
    free(c.a.data);
    free(c.b.data);
    free(g.data);
    free(h.data);
    free(ones.data);
    free(c.params);
}

/* What the weights' file must hold. */
static void test_weights(void **state)
{
    (void)state;
    static const double negative[] = { 1, -1 }, none[] = { 0, 0 };
    const pudle_desc *desc = fake_load("loss", "weighted_least_squares");
    void *params = fake_params(desc, SETTINGS("path", "weights.npy")), *self = NULL;
    fake.arrays = 1;
    fake.array[0] = (fake_array){ .path = "weights.npy", .rank = 1, .shape = { 2 }, .values = negative };
    assert_int_equal(desc->create(&fake_host, params, &self), PUDLE_ERR_CONFIG);
    assert_non_null(strstr(fake.error, "weight 1 is -1"));
    fake.array[0].values = none;
    assert_int_equal(desc->create(&fake_host, params, &self), PUDLE_ERR_CONFIG);
    fake.array[0].values = weights;
    assert_int_equal(desc->create(&fake_host, params, &self), PUDLE_OK);
    const int64_t shape[] = { 4, 3 };
    pudle_view x = fake_view(PUDLE_F64, 2, shape);
    const pudle_cview cx = pudle_const(&x);
    assert_int_equal(((const pudle_loss_ops *)desc->ops)->check_target(&fake_host, self, &cx), PUDLE_ERR_CONFIG);
    assert_non_null(strstr(fake.error, "2 weights, and a sample has 3 entries"));
    desc->destroy(&fake_host, self);
    fake.arrays = 0;
    assert_int_equal(desc->create(&fake_host, params, &self), PUDLE_ERR_NOTFOUND);
    assert_int_equal(fake.live, 0);
    free(x.data);
    free(params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slopes),
        cmocka_unit_test(test_curvature),
        cmocka_unit_test(test_lipschitz),
        cmocka_unit_test(test_link),
        cmocka_unit_test(test_precisions),
        cmocka_unit_test(test_family_nan),
        cmocka_unit_test(test_far),
        cmocka_unit_test(test_domain),
        cmocka_unit_test(test_clip),
        cmocka_unit_test(test_weights),
    };
    fake_random();
    return cmocka_run_group_tests_name("losses: families", tests, NULL, NULL);
}
