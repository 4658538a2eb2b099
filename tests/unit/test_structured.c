/* The operators that look at more than one entry: against slow references written here, against their definition, derivatives
 * against differences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_host.h"

enum { MOST_ATOMS = 64, MOST = 1100 }; /* atoms, entries of a code */

/* ------------------------------------------------------------------ trials */

enum reach { ENTRY, GROUP, SET, LINE }; /* what one NaN spoils */

struct trial;
typedef struct op {
    const char *name;
    int levels, variants;
    uint64_t caps;
    enum reach reach;
    double low, high; /* of the levels */
    void (*reference)(const struct trial *c, const double *v, double *p);
} op;

typedef struct trial {
    const op *op;
    int variant;
    bool per_atom;
    pudle_code_shape shape;
    int64_t last; /* extent of the last axis */
    double weight[MOST_ATOMS];
    int sign[MOST_ATOMS];
    int64_t size[MOST_ATOMS];
    int groups;
    bool root, nonnegative, position;
    int64_t k;
    double fraction;
    const pudle_desc *desc;
    const pudle_prox_ops *ops;
    const pudle_prox_kernel *kernel;
    void *params, *self;
    pudle_view theta[2], v, p;
} trial;

static double level_at(const trial *c, int i, int64_t atom)
{
    return get(&c->theta[i], fake_count(&c->theta[i]) > 1 ? atom : 0);
}

static double mean_level(const trial *c)
{
    double sum = 0;
    for (int64_t i = 0; i < fake_count(&c->theta[0]); i++)
        sum += get(&c->theta[0], i);
    return sum / (double)fake_count(&c->theta[0]);
}

static int64_t atom_at(const trial *c, int64_t i)
{
    return i / c->shape.inner % c->shape.atoms;
}

/* -------------------------------------------------------------- references */

static double naive_soft(double v, double t)
{
    return v > t ? v - t : v < -t ? v + t : 0;
}

static void slow_atomwise(const trial *c, const double *v, double *p)
{
    for (int64_t i = 0; i < fake_count(&c->v); i++) {
        const int64_t a = atom_at(c, i);
        const double q = naive_soft(v[i], level_at(c, 0, a) * c->weight[a]);
        p[i] = q * c->sign[a] < 0 ? 0 : q;
    }
}

static void slow_group(const trial *c, const double *v, double *p)
{
    const bool sparse = c->op->levels == 2;
    for (int64_t b = 0; b < c->shape.batch; b++)
        for (int64_t x = 0; x < c->shape.inner; x++)
            for (int64_t g = 0, first = 0; g < c->groups; first += c->size[g++]) {
                double norm = 0, level = 0;
                const double n = (double)c->size[g];
                for (int64_t a = first; a < first + c->size[g]; a++) {
                    const int64_t i = (b * c->shape.atoms + a) * c->shape.inner + x;
                    p[i] = sparse ? naive_soft(v[i], level_at(c, 0, a)) : v[i];
                    if (c->nonnegative && p[i] < 0)
                        p[i] = 0;
                    norm += p[i] * p[i];
                    level += level_at(c, sparse, a) / n;
                }
                norm = sqrt(norm);
                level *= c->root ? sqrt(n) : 1;
                for (int64_t a = first; a < first + c->size[g]; a++)
                    p[(b * c->shape.atoms + a) * c->shape.inner + x] *= norm > level ? (norm - level) / norm : 0;
            }
}

/* The entries of a set, in order: returns how many. */
static int64_t members(const trial *c, int64_t set, int64_t index[])
{
    int64_t n = 0;
    for (int64_t i = 0; i < fake_count(&c->v); i++) {
        const int64_t sample = i / (c->shape.atoms * c->shape.inner);
        if ((c->position ? sample * c->shape.inner + i % c->shape.inner : sample) == set || !strcmp(c->op->name, "batch_top_k"))
            index[n++] = i;
    }
    return n;
}

static int64_t sets(const trial *c)
{
    const int64_t n = c->position ? c->shape.batch * c->shape.inner : c->shape.batch;
    return !fake_count(&c->v) ? 0 : !strcmp(c->op->name, "batch_top_k") ? 1 : n;
}

/* Mark the `most` largest, one by one, the first of equals. */
static void take_largest(const double *worth, int64_t n, int64_t most, bool *taken)
{
    memset(taken, 0, (size_t)n);
    for (int64_t round = 0; round < most && round < n; round++) {
        int64_t best = -1;
        for (int64_t i = 0; i < n; i++)
            if (!taken[i] && (best < 0 || worth[i] > worth[best]))
                best = i;
        taken[best] = true;
    }
}

static void slow_top(const trial *c, const double *v, double *p)
{
    int64_t index[MOST];
    double worth[MOST];
    bool taken[MOST];
    for (int64_t s = 0; s < sets(c); s++) {
        const int64_t n = members(c, s, index), each = c->shape.atoms * c->shape.inner;
        const bool batch = !strcmp(c->op->name, "batch_top_k");
        for (int64_t i = 0; i < n; i++)
            worth[i] = c->nonnegative ? fmax(v[index[i]], 0) : fabs(v[index[i]]);
        take_largest(worth, n, batch ? (c->k < each ? c->k : each) * c->shape.batch : c->k, taken);
        for (int64_t i = 0; i < n; i++)
            p[index[i]] = !taken[i] || (c->nonnegative && v[index[i]] < 0) ? 0 : v[index[i]];
    }
}

static void slow_selection(const trial *c, const double *v, double *p)
{
    int64_t index[MOST];
    double worth[MOST];
    bool taken[MOST];
    for (int64_t s = 0; s < sets(c); s++) {
        const int64_t n = members(c, s, index);
        for (int64_t i = 0; i < n; i++) { /* what shrinking costs: 1/2 (q - v)^2 + t |q| at the best q */
            const double x = v[index[i]], t = level_at(c, 0, atom_at(c, index[i])), q = naive_soft(x, t);
            worth[i] = c->per_atom ? (q - x) * (q - x) / 2 + t * fabs(q) : fabs(x);
        }
        take_largest(worth, n, lround(c->fraction * (double)n), taken);
        for (int64_t i = 0; i < n; i++)
            p[index[i]] = taken[i] ? v[index[i]] : naive_soft(v[index[i]], level_at(c, 0, atom_at(c, index[i])));
    }
}

static int falling(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* By sorting: the threshold of the longest prefix whose entries all stay above it. */
static void slow_projection(const trial *c, const double *v, double *p)
{
    int64_t index[MOST];
    double sorted[MOST];
    const bool ball = !strcmp(c->op->name, "l1_ball");
    const double r = mean_level(c);
    for (int64_t s = 0; s < sets(c); s++) {
        const int64_t n = members(c, s, index);
        double norm = 0, sum = 0, h = 0;
        for (int64_t i = 0; i < n; i++) {
            sorted[i] = ball ? fabs(v[index[i]]) : v[index[i]];
            norm += sorted[i];
        }
        qsort(sorted, (size_t)n, sizeof *sorted, falling);
        for (int64_t i = 0; i < n; i++) {
            sum += sorted[i];
            if (sorted[i] - (sum - r) / (double)(i + 1) > 0)
                h = (sum - r) / (double)(i + 1);
        }
        for (int64_t i = 0; i < n; i++) {
            const double x = v[index[i]];
            p[index[i]] = !ball ? fmax(x - h, 0) : norm <= r ? x : naive_soft(x, h);
        }
    }
}

/* Accelerated projected gradient on the dual: p = v - D'u, |u| <= t. */
static void slow_line(const double *v, double *p, int64_t n, double t)
{
    double *u = calloc((size_t)n + 1, sizeof *u), *y = calloc((size_t)n + 1, sizeof *y), *old = calloc((size_t)n + 1, sizeof *old), a = 1;
    for (int round = 0; round < 20000; round++) {
        const double b = (1 + sqrt(1 + 4 * a * a)) / 2;
        for (int64_t i = 0; i < n; i++)
            p[i] = v[i] - (i > 0 ? y[i - 1] : 0) + (i < n - 1 ? y[i] : 0);
        double moved = 0;
        for (int64_t i = 0; i < n - 1; i++) {
            old[i] = u[i];
            u[i] = fmin(fmax(y[i] + 0.25 * (p[i + 1] - p[i]), -t), t);
            moved += fabs(u[i] - old[i]);
        }
        for (int64_t i = 0; i < n - 1; i++)
            y[i] = u[i] + (a - 1) / b * (u[i] - old[i]);
        a = moved == 0 ? 1 : b;
    }
    for (int64_t i = 0; i < n; i++)
        p[i] = v[i] - (i > 0 ? u[i - 1] : 0) + (i < n - 1 ? u[i] : 0);
    free(u);
    free(y);
    free(old);
}

static void slow_tv(const trial *c, const double *v, double *p)
{
    for (int64_t at = 0; at < fake_count(&c->v); at += c->last)
        slow_line(v + at, p + at, c->last, c->v.rank > 2 ? level_at(c, 0, atom_at(c, at)) : mean_level(c));
}

#define CONVEX (PUDLE_PROX_CONVEX | PUDLE_PROX_INPLACE)
static const op operators[] = {
    { "weighted_l1", 1, 2, CONVEX | PUDLE_PROX_SEPARABLE, ENTRY, 0.1, 1, slow_atomwise },
    { "signed_soft_threshold", 1, 1, CONVEX | PUDLE_PROX_SEPARABLE, ENTRY, 0.1, 1, slow_atomwise },
    { "group_soft_threshold", 1, 4, CONVEX, GROUP, 0.1, 1.2, slow_group },
    { "nonnegative_group", 1, 4, CONVEX | PUDLE_PROX_NONNEG, GROUP, 0.1, 1.2, slow_group },
    { "sparse_group", 2, 8, CONVEX, GROUP, 0.1, 0.8, slow_group },
    { "top_k", 0, 8, PUDLE_PROX_INPLACE, ENTRY, 0, 0, slow_top },
    { "batch_top_k", 0, 4, PUDLE_PROX_INPLACE | PUDLE_PROX_BATCH_COUPLED, ENTRY, 0, 0, slow_top },
    { "support_selection", 1, 4, PUDLE_PROX_INPLACE, ENTRY, 0.1, 1.2, slow_selection },
    { "l1_ball", 1, 2, CONVEX, SET, 0.5, 6, slow_projection },
    { "simplex", 1, 2, CONVEX | PUDLE_PROX_NONNEG, SET, 0.5, 6, slow_projection },
    { "tv1d", 1, 1, CONVEX, LINE, 0.05, 2, slow_tv },
};
enum { OPERATORS = sizeof operators / sizeof *operators };

static const struct { int32_t rank; int64_t extent[4]; } shapes[] = {
    { 2, { 9, 59 } }, { 2, { 2, 1 } }, { 2, { 0, 5 } }, { 2, { 3, 0 } }, { 2, { 5, 12 } }, { 3, { 2, 6, 71 } }, { 3, { 2, 4, 0 } },
    { 4, { 3, 5, 4, 3 } }, { 4, { 2, 3, 1, 1 } }, { 3, { 3, 7, 2 } },
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static double uniform(void)
{
    return pudle_random_uniform(fake_random());
}

static int64_t below(int64_t n)
{
    return (int64_t)pudle_random_below(fake_random(), (uint64_t)n);
}

/* ---------------------------------------------------------------- settings */

static double file_values[MOST_ATOMS];

static const char *as_file(int64_t atoms)
{
    fake.array[0] = (fake_array){ .path = "values.npy", .rank = 1, .shape = { atoms }, .values = file_values };
    fake.arrays = 1;
    return "values.npy";
}

static void groups_of(trial *c, char *text, size_t size, bool even)
{
    int64_t left = c->shape.atoms;
    const int64_t each = left % 3 == 0 && left ? 3 : left % 2 == 0 && left ? 2 : 1;
    size_t at = 0;
    text[0] = '\0';
    for (c->groups = 0; left > 0; left -= c->size[c->groups++]) {
        c->size[c->groups] = even ? each : c->groups == 15 ? left : 1 + below(left < 6 ? left : 6);
        if (!even)
            at += (size_t)snprintf(text + at, size - at, "%s%d", c->groups ? ", " : "[", (int)c->size[c->groups]);
    }
    if (even || c->groups > 16)
        snprintf(text, size, "%d", (int)each);
}

static void make(trial *c)
{
    static char text[4][256];
    const char *list[12] = { NULL };
    int n = 0;
    const int64_t K = c->shape.atoms;
    const int bit = c->variant;
    for (int64_t a = 0; a < K; a++) {
        c->weight[a] = 1;
        c->sign[a] = 0;
    }
#define PUT(NAME, VALUE) (list[n++] = (NAME), list[n++] = (VALUE))
    if (!strcmp(c->op->name, "weighted_l1")) {
        for (int64_t a = 0; a < K; a++) {
            c->weight[a] = file_values[a] = a % 5 == 3 ? 0 : 0.25 * (double)(1 + below(8));
            c->sign[a] = bit & 1;
        }
        if (K == 0)
            PUT("weights", "1");
        else
            PUT("weights_file", as_file(K));
        PUT("nonnegative", bit & 1 ? "true" : "false");
    } else if (!strcmp(c->op->name, "signed_soft_threshold")) {
        size_t at = 0;
        for (int64_t a = 0; a < K; a++) {
            file_values[a] = c->sign[a] = (int)below(3) - 1;
            if (K <= 16)
                at += (size_t)snprintf(text[0] + at, sizeof text[0] - at, "%s%d", a ? ", " : "[", c->sign[a]);
        }
        if (K > 16)
            PUT("signs_file", as_file(K));
        else
            PUT("signs", K ? text[0] : "[-1, 0]"); /* no atom at all: refused */
        if (K == 0)
            list[n - 1] = "0";
    } else if (c->op->reach == GROUP) {
        const bool even = (bit & 1) || K > 16 || K == 0;
        groups_of(c, text[0], sizeof text[0], even);
        c->root = (bit & 2) == 0;
        c->nonnegative = !strcmp(c->op->name, "nonnegative_group") || bit & 4;
        PUT(even ? "size" : "sizes", text[0]);
        PUT("weight", c->root ? "sqrt" : "one");
        if (c->op->levels == 2)
            PUT("nonnegative", c->nonnegative ? "true" : "false");
    } else if (!strcmp(c->op->name, "top_k") || !strcmp(c->op->name, "batch_top_k")) {
        c->nonnegative = bit & 1;
        c->k = bit & 2 ? 1 + below(4) : 1 + below(40);
        snprintf(text[0], sizeof text[0], "%d", (int)c->k);
        PUT("k", text[0]);
        PUT("nonnegative", c->nonnegative ? "true" : "false");
        c->position = bit & 4;
        if (!strcmp(c->op->name, "top_k"))
            PUT("over", c->position ? "position" : "sample");
    } else if (!strcmp(c->op->name, "support_selection")) {
        c->position = bit & 1;
        c->fraction = bit & 2 ? 0.11 : 0.4;
        snprintf(text[0], sizeof text[0], "%g", c->fraction);
        PUT("fraction", text[0]);
        PUT("over", c->position ? "position" : "sample");
    } else if (c->op->reach == SET) {
        c->position = bit & 1;
        PUT("over", c->position ? "position" : "sample");
    }
    c->params = fake_params(c->desc, list);
    c->self = c->params;
    if (c->desc->check)
        assert_int_equal(c->desc->check(&fake_host, c->params), PUDLE_OK);
    if (c->desc->create)
        assert_int_equal(c->desc->create(&fake_host, c->params, &c->self), PUDLE_OK);
}

static void unmake(trial *c)
{
    if (c->desc->destroy)
        c->desc->destroy(&fake_host, c->self);
    free(c->params);
    free(c->v.data);
    free(c->p.data);
    free(c->theta[0].data);
    free(c->theta[1].data);
    assert_int_equal(fake.live, 0);
}

static void fill(trial *c)
{
    for (int k = 0; k < 2; k++)
        for (int64_t i = 0; i < fake_count(&c->theta[k]); i++)
            set(&c->theta[k], i, c->op->low + (c->op->high - c->op->low) * uniform());
    for (int64_t i = 0; i < fake_count(&c->v); i++)
        set(&c->v, i, 1.3 * normal());
}

static void trial_of(trial *c, const op *o, int variant, int s, int32_t dtype, bool per_atom)
{
    *c = (trial){ .op = o, .variant = variant, .desc = fake_load("prox", o->name), .per_atom = per_atom };
    c->ops = c->desc->ops;
    c->kernel = c->ops->kernels[0];
    c->v = fake_view(dtype, shapes[s].rank, shapes[s].extent);
    c->p = fake_view(dtype, shapes[s].rank, shapes[s].extent);
    c->last = shapes[s].extent[shapes[s].rank - 1];
    const pudle_cview v = pudle_const(&c->v);
    c->shape = pudle_code_shape_of(&v);
    for (int k = 0; k < 2; k++)
        c->theta[k] = fake_view(dtype, 1, &(int64_t){ per_atom ? c->shape.atoms : 1 });
    make(c);
    fill(c);
}

static void for_each_trial(void (*test)(trial *), int32_t only)
{
    for (int k = 0; k < OPERATORS; k++)
        for (int variant = 0; variant < operators[k].variants; variant++)
            for (int rest = 0; rest < 4 * SHAPES; rest++) {
                const int32_t dtype = rest & 1 ? PUDLE_F64 : PUDLE_F32;
                const bool per_atom = rest & 2;
                trial c;
                if ((only && dtype != only) || (per_atom && operators[k].levels == 0))
                    continue;
                trial_of(&c, &operators[k], variant, rest / 4, dtype, per_atom);
                test(&c);
                unmake(&c);
            }
}

static void apply(const trial *c, const pudle_view *v, const pudle_view *p)
{
    const pudle_cview theta[2] = { pudle_const(&c->theta[0]), pudle_const(&c->theta[1]) }, in = pudle_const(v);
    assert_int_equal(c->kernel->apply(c->self, NULL, 0.3, theta, &in, p), PUDLE_OK);
}

/* At v, whose prox must be in p. */
static void vjp(const trial *c, const pudle_view *g, const pudle_view *gv, const pudle_view *gtheta)
{
    const pudle_cview theta[2] = { pudle_const(&c->theta[0]), pudle_const(&c->theta[1]) };
    const pudle_cview v = pudle_const(&c->v), p = pudle_const(&c->p), up = pudle_const(g);
    assert_int_equal(c->kernel->vjp(c->self, NULL, 0.3, theta, c->ops->vjp_needs & PUDLE_VJP_INPUT ? &v : NULL,
                                    c->ops->vjp_needs & PUDLE_VJP_OUTPUT ? &p : NULL, &up, gv, gtheta), PUDLE_OK);
}

static double value(const trial *c, const pudle_view *p)
{
    const pudle_cview theta[2] = { pudle_const(&c->theta[0]), pudle_const(&c->theta[1]) }, in = pudle_const(p);
    double f = NAN;
    assert_int_equal(c->ops->value(c->self, 0.3, theta, &in, &f), PUDLE_OK);
    return f;
}

static double inner(const pudle_view *a, const pudle_view *b)
{
    double sum = 0;
    for (int64_t i = 0; i < fake_count(a); i++)
        sum += get(a, i) * get(b, i);
    return sum;
}

static pudle_view draw_like(const pudle_view *v)
{
    pudle_view g = fake_copy(v);
    for (int64_t i = 0; i < fake_count(v); i++)
        set(&g, i, normal());
    return g;
}

/* ------------------------------------------------------------------- tests */

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

/* (dp/dx)' g for one number x of the input, by differences; false next to a kink, where left and right differ. */
static bool slope(const trial *c, const pudle_view *of, int64_t i, const pudle_view *g, double *out)
{
    const double x = get(of, i), h = 1e-6;
    pudle_view p = fake_copy(&c->p);
    double f[3];
    for (int k = 0; k < 3; k++) {
        set(of, i, x + (k - 1) * h);
        apply(c, &c->v, &p);
        f[k] = 0;
        for (int64_t j = 0; j < fake_count(g); j++)
            f[k] += get(g, j) * (get(&p, j) - get(&c->p, j));
    }
    set(of, i, x);
    free(p.data);
    *out = (f[2] - f[0]) / (2 * h);
    return fabs(f[2] - 2 * f[1] + f[0]) <= 1e-4 * h * (1 + fabs(*out));
}

static void check_derivative(trial *c)
{
    const int64_t n = fake_count(&c->v), levels = fake_count(&c->theta[0]);
    int skipped = 0, asked = 0;
    apply(c, &c->v, &c->p);
    pudle_view g = draw_like(&c->v), gv = fake_copy(&c->v), gtheta[2];
    for (int k = 0; k < 2; k++) {
        gtheta[k] = fake_view(PUDLE_F64, 1, &levels);
        for (int64_t i = 0; i < levels; i++)
            set(&gtheta[k], i, 1.5); /* added to */
    }
    for (int64_t i = 0; i < n; i++)
        set(&gv, i, NAN); /* overwritten */
    vjp(c, &g, &gv, c->op->levels ? gtheta : NULL);
    double want;
    for (int64_t i = 0; i < n; i += n > 200 ? 1 + below(8) : 1, asked++)
        if (!slope(c, &c->v, i, &g, &want))
            skipped++;
        else if (!(fabs(get(&gv, i) - want) <= 1e-6 * (1 + fabs(want))))
            fail_msg("%s variant %d: derivative %d is %.12g, by differences %.12g", c->op->name, c->variant, (int)i, get(&gv, i), want);
    for (int k = 0; k < c->op->levels; k++)
        for (int64_t i = 0; i < levels; i++, asked++)
            if (!slope(c, &c->theta[k], i, &g, &want))
                skipped++;
            else if (!(fabs(get(&gtheta[k], i) - 1.5 - want) <= 1e-5 * (1 + fabs(want))))
                fail_msg("%s variant %d: derivative of level %d, %d is %.12g, by differences %.12g", c->op->name, c->variant, k, (int)i,
                         get(&gtheta[k], i) - 1.5, want);
    assert_true(skipped <= 3 + asked / 50);

    pudle_view alone = fake_copy(&g); /* in place, and no gradient of the level: the same gv */
    vjp(c, &alone, &alone, NULL);
    assert_true(same_bits(&alone, &gv));
    free(alone.data);
    free(g.data);
    free(gv.data);
    free(gtheta[0].data);
    free(gtheta[1].data);
}

static void check_symmetric(trial *c)
{
    apply(c, &c->v, &c->p);
    pudle_view a = draw_like(&c->v), b = draw_like(&c->v), ja = fake_copy(&a), jb = fake_copy(&b);
    vjp(c, &a, &ja, NULL);
    vjp(c, &b, &jb, NULL);
    const double bound = c->v.dtype == PUDLE_F64 ? 1e-12 : 1e-4;
    assert_true(fabs(inner(&a, &jb) - inner(&b, &ja)) <= bound * (1 + sqrt(inner(&a, &a) * inner(&b, &b))));
    free(a.data);
    free(b.data);
    free(ja.data);
    free(jb.data);
}

static void check_firm(trial *c)
{
    if (!(c->op->caps & PUDLE_PROX_CONVEX))
        return;
    pudle_view v = fake_copy(&c->v), p = fake_copy(&c->v);
    for (int round = 0; round < 6; round++) {
        for (int64_t i = 0; i < fake_count(&v); i++)
            set(&v, i, get(&c->v, i) + pow(10, -round) * normal());
        apply(c, &c->v, &c->p);
        apply(c, &v, &p);
        double square = 0, product = 0;
        for (int64_t i = 0; i < fake_count(&v); i++) {
            const double dp = get(&p, i) - get(&c->p, i);
            square += dp * dp;
            product += dp * (get(&v, i) - get(&c->v, i));
        }
        assert_true(square <= product + (c->v.dtype == PUDLE_F64 ? 1e-13 : 1e-5) * (1 + product));
    }
    free(v.data);
    free(p.data);
}

/* Float against double on the same numbers; apply and vjp. */
static void check_float(trial *c)
{
    trial d = *c;
    const int64_t n = fake_count(&c->v), levels = fake_count(&c->theta[0]);
    pudle_view g = draw_like(&c->v), wide = fake_view(PUDLE_F64, c->v.rank, c->v.shape), gv = fake_copy(&g), wide_gv = fake_copy(&wide);
    pudle_view gtheta[4];
    d.v = fake_copy(&wide);
    d.p = fake_copy(&wide);
    for (int64_t i = 0; i < n; i++) {
        set(&d.v, i, get(&c->v, i));
        set(&wide, i, get(&g, i));
    }
    for (int k = 0; k < 2; k++) {
        d.theta[k] = fake_view(PUDLE_F64, 1, &levels);
        gtheta[k] = fake_view(PUDLE_F64, 1, &levels);
        gtheta[k + 2] = fake_view(PUDLE_F64, 1, &levels);
        for (int64_t i = 0; i < levels; i++)
            set(&d.theta[k], i, get(&c->theta[k], i));
    }
    apply(c, &c->v, &c->p);
    apply(&d, &d.v, &d.p);
    vjp(c, &g, &gv, c->op->levels ? gtheta : NULL);
    vjp(&d, &wide, &wide_gv, c->op->levels ? gtheta + 2 : NULL);
    for (int64_t i = 0; i < n; i++) {
        assert_true(fabs(get(&c->p, i) - get(&d.p, i)) <= 1e-5);
        assert_true(fabs(get(&gv, i) - get(&wide_gv, i)) <= 1e-4);
    }
    for (int k = 0; k < c->op->levels; k++)
        for (int64_t i = 0; i < levels; i++)
            assert_true(fabs(get(&gtheta[k], i) - get(&gtheta[k + 2], i)) <= 1e-3);
    pudle_view *const all[] = { &g, &wide, &gv, &wide_gv, &d.v, &d.p, &d.theta[0], &d.theta[1], &gtheta[0], &gtheta[1], &gtheta[2], &gtheta[3] };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]->data);
}

static void check_in_place(trial *c)
{
    pudle_view v = fake_copy(&c->v);
    apply(c, &c->v, &c->p);
    apply(c, &v, &v);
    assert_true(same_bits(&v, &c->p));
    free(v.data);
}

static int64_t group_of(const trial *c, int64_t atom)
{
    int64_t g = 0;
    while (atom >= c->size[g])
        atom -= c->size[g++];
    return g;
}

static bool reached(const trial *c, int64_t i, int64_t nan)
{
    const int64_t sample = i / (c->shape.atoms * c->shape.inner), nan_sample = nan / (c->shape.atoms * c->shape.inner);
    const bool position = i % c->shape.inner == nan % c->shape.inner;
    switch (c->op->reach) {
    case ENTRY: return i == nan;
    case GROUP: return sample == nan_sample && position && group_of(c, atom_at(c, i)) == group_of(c, atom_at(c, nan));
    case SET: return sample == nan_sample && (position || !c->position);
    default: return i / c->last == nan / c->last;
    }
}

/* NaN spoils what depends on it and nothing else, forward and back; so does a level that is NaN. */
static void check_nan(trial *c)
{
    const int64_t n = fake_count(&c->v);
    if (n == 0)
        return;
    const int64_t at[2] = { below(n), below(n) };
    set(&c->v, at[0], NAN);
    set(&c->v, at[1], -NAN);
    apply(c, &c->v, &c->p);
    for (int64_t i = 0; i < n; i++)
        assert_int_equal(!!isnan(get(&c->p, i)), reached(c, i, at[0]) || reached(c, i, at[1]));
    assert_true(isnan(value(c, &c->p)));
    pudle_view g = draw_like(&c->v);
    set(&c->v, at[0], 1);
    set(&c->v, at[1], 1);
    apply(c, &c->v, &c->p);
    for (int64_t i = 0; i < n; i++)
        set(&g, i, NAN);
    vjp(c, &g, &g, NULL);
    for (int64_t i = 0; i < n; i++)
        assert_true(get(&c->p, i) == 0 || isnan(get(&g, i)));
    free(g.data);
    for (int k = 0; k < 2; k++)
        for (int64_t i = 0; i < fake_count(&c->theta[k]); i++)
            set(&c->theta[k], i, NAN);
    apply(c, &c->v, &c->p);
    for (int64_t i = 0; i < n && c->op->levels; i++)
        assert_true(isnan(get(&c->p, i)) || (c->op->reference == slow_atomwise && get(&c->p, i) != 0));
}

#define TEST(NAME, DTYPE)                      \
    static void test_##NAME(void **state)      \
    {                                          \
        (void)state;                           \
        for_each_trial(check_##NAME, (DTYPE)); \
    }
TEST(reference, 0)
TEST(optimal, 0)
TEST(taut, 0)
TEST(derivative, PUDLE_F64)
TEST(symmetric, 0)
TEST(firm, 0)
TEST(float, PUDLE_F32)
TEST(in_place, 0)
TEST(nan, 0)

/* --------------------------------------------------------- chosen numbers */

/* apply on one dense sample of `atoms` doubles with one level. */
static pudle_status on(const char *name, const char *const *settings, int64_t atoms, const double *v, double level, double *p, double *f)
{
    const pudle_desc *desc = fake_load("prox", name);
    const pudle_prox_ops *ops = desc->ops;
    void *params = fake_params(desc, settings), *self = params;
    pudle_status s = desc->check ? desc->check(&fake_host, params) : PUDLE_OK;
    if (!s && desc->create)
        s = desc->create(&fake_host, params, &self);
    if (!s) {
        pudle_view in = fake_view(PUDLE_F64, 2, (const int64_t[]){ 1, atoms }), out = fake_copy(&in), t = fake_view(PUDLE_F64, 1, &(int64_t){ 1 });
        memcpy(in.data, v, (size_t)atoms * sizeof *v);
        set(&t, 0, level);
        const pudle_cview theta[2] = { pudle_const(&t), pudle_const(&t) }, cin = pudle_const(&in);
        s = ops->kernels[0]->apply(self, NULL, 1, theta, &cin, &out);
        if (p)
            memcpy(p, out.data, (size_t)atoms * sizeof *p);
        if (!s && f) /* of the input itself */
            s = ops->value(self, 1, theta, &cin, f);
        free(in.data);
        free(out.data);
        free(t.data);
    }
    if (desc->destroy && self != params)
        desc->destroy(&fake_host, self);
    free(params);
    assert_int_equal(fake.live, 0);
    return s;
}

static void value_is(const char *name, const char *const *settings, int64_t atoms, const double *v, double level, double want)
{
    double f = NAN;
    assert_int_equal(on(name, settings, atoms, v, level, NULL, &f), PUDLE_OK);
    if (!(f == want || fabs(f - want) <= 1e-14 * fabs(want)))
        fail_msg("%s: value %.17g instead of %.17g", name, f, want);
}

static void test_values(void **state)
{
    (void)state;
    const double v[] = { 3, -4, 0, 0 }, up[] = { 3, 4, 0, 0 };
    value_is("weighted_l1", SETTINGS("weights", "[1, 2, 3, 4]"), 4, v, 2, 22);
    value_is("weighted_l1", SETTINGS("weights", "2", "nonnegative", "true"), 4, v, 2, INFINITY);
    value_is("signed_soft_threshold", SETTINGS("signs", "[1, -1, 0, 0]"), 4, v, 2, 14);
    value_is("signed_soft_threshold", SETTINGS("signs", "[1, 1, 0, 0]"), 4, v, 2, INFINITY);
    value_is("group_soft_threshold", SETTINGS("size", "2", "weight", "one"), 4, v, 2, 10);
    value_is("group_soft_threshold", SETTINGS("size", "4"), 4, v, 2, 20);
    value_is("group_soft_threshold", SETTINGS("sizes", "[1, 3]", "weight", "one"), 4, v, 2, 14);
    value_is("nonnegative_group", SETTINGS("size", "2", "weight", "one"), 4, v, 2, INFINITY);
    value_is("nonnegative_group", SETTINGS("size", "2", "weight", "one"), 4, up, 2, 10);
    value_is("sparse_group", SETTINGS("size", "2", "weight", "one"), 4, v, 2, 24);
    value_is("top_k", SETTINGS("k", "2"), 4, v, 0, 0);
    value_is("top_k", SETTINGS("k", "1"), 4, v, 0, INFINITY);
    value_is("top_k", SETTINGS("k", "3", "nonnegative", "true"), 4, v, 0, INFINITY);
    value_is("batch_top_k", SETTINGS("k", "1"), 4, v, 0, INFINITY);
    value_is("support_selection", SETTINGS("fraction", "0.25"), 4, v, 2, 6);
    value_is("support_selection", SETTINGS("fraction", "0"), 4, v, 2, 14);
    value_is("l1_ball", NULL, 4, v, 7, 0);
    value_is("l1_ball", NULL, 4, v, 7 - 1e-6, 0);
    value_is("l1_ball", NULL, 4, v, 7 - 2e-6, INFINITY);
    value_is("simplex", NULL, 4, up, 7, 0);
    value_is("simplex", NULL, 4, up, 7 + 2e-6, INFINITY);
    value_is("simplex", NULL, 4, v, 7, INFINITY);
    value_is("tv1d", NULL, 4, v, 2, 22);
}

static void gives(const char *name, const char *const *settings, int64_t atoms, const double *v, double level, const double *want)
{
    double p[8];
    assert_int_equal(on(name, settings, atoms, v, level, p, NULL), PUDLE_OK);
    for (int64_t i = 0; i < atoms; i++)
        if (!(fabs(p[i] - want[i]) <= 1e-14 * (1 + fabs(want[i]))))
            fail_msg("%s: entry %d is %.17g instead of %.17g", name, (int)i, p[i], want[i]);
}

/* Ties, levels 0 and infinite, large numbers with a small sum. */
static void test_edges(void **state)
{
    (void)state;
    const double equal[] = { -2, 2, 1, 2, -2 }, zero[5] = { 0 };
    gives("top_k", SETTINGS("k", "2"), 5, equal, 0, (const double[]){ -2, 2, 0, 0, 0 });
    gives("top_k", SETTINGS("k", "2", "nonnegative", "true"), 5, equal, 0, (const double[]){ 0, 2, 0, 2, 0 });
    gives("top_k", SETTINGS("k", "9"), 5, equal, 0, equal);
    gives("batch_top_k", SETTINGS("k", "3"), 5, equal, 0, (const double[]){ -2, 2, 0, 2, 0 });
    gives("support_selection", SETTINGS("fraction", "0.4"), 5, equal, 0.5, (const double[]){ -2, 2, 0.5, 1.5, -1.5 });
    gives("group_soft_threshold", SETTINGS("size", "5"), 5, equal, 0, equal);
    gives("group_soft_threshold", SETTINGS("size", "5"), 5, zero, 0, zero);
    gives("group_soft_threshold", SETTINGS("size", "5"), 5, equal, INFINITY, zero);
    gives("weighted_l1", SETTINGS("weights", "0"), 5, equal, 3, equal);
    gives("l1_ball", NULL, 5, equal, 9, equal);
    gives("l1_ball", NULL, 5, equal, 0, zero);
    gives("l1_ball", NULL, 5, equal, INFINITY, equal);
    gives("simplex", NULL, 5, equal, 0, zero);
    gives("simplex", NULL, 4, (const double[]){ 1e15, 1e15, 0, -1e300 }, 1, (const double[]){ 0.5, 0.5, 0, 0 });
    gives("tv1d", NULL, 5, equal, 0, equal);
    gives("tv1d", NULL, 5, equal, INFINITY, (const double[]){ 0.2, 0.2, 0.2, 0.2, 0.2 });
    gives("tv1d", NULL, 5, (const double[]){ 1, 1, 5, 1, 1 }, 1, (const double[]){ 1.5, 1.5, 3, 1.5, 1.5 });
}

static void refused(const char *name, const char *const *settings, int64_t atoms, pudle_status want, const char *part)
{
    const double v[8] = { 0 };
    fake.error[0] = '\0';
    assert_int_equal(on(name, settings, atoms, v, 1, NULL, NULL), want);
    if (!strstr(fake.error, part))
        fail_msg("%s says '%s', without '%s'", name, fake.error, part);
}

static void test_refusals(void **state)
{
    (void)state;
    static const double bad[] = { 1, -2, NAN };
    fake.array[0] = (fake_array){ .path = "bad.npy", .rank = 1, .shape = { 3 }, .values = bad };
    fake.array[1] = (fake_array){ .path = "square.npy", .rank = 2, .shape = { 3, 1 }, .values = bad };
    fake.arrays = 2;
    refused("weighted_l1", NULL, 3, PUDLE_ERR_CONFIG, "nowhere");
    refused("weighted_l1", SETTINGS("weights", "1", "weights_file", "bad.npy"), 3, PUDLE_ERR_CONFIG, "twice");
    refused("weighted_l1", SETTINGS("weights_file", "bad.npy"), 3, PUDLE_ERR_CONFIG, "atom 1 is -2");
    refused("weighted_l1", SETTINGS("weights_file", "square.npy"), 3, PUDLE_ERR_CONFIG, "rank 2");
    refused("weighted_l1", SETTINGS("weights_file", "none.npy"), 3, PUDLE_ERR_NOTFOUND, "none.npy");
    refused("weighted_l1", SETTINGS("weights", "[1, 2]"), 3, PUDLE_ERR_ARG, "2 values, and the dictionary has 3 atoms");
    refused("signed_soft_threshold", NULL, 3, PUDLE_ERR_CONFIG, "nowhere");
    refused("signed_soft_threshold", SETTINGS("signs_file", "bad.npy"), 3, PUDLE_ERR_CONFIG, "atom 1 is -2");
    refused("signed_soft_threshold", SETTINGS("signs", "[1, 0]"), 3, PUDLE_ERR_ARG, "2 values");
    refused("group_soft_threshold", NULL, 3, PUDLE_ERR_CONFIG, "nowhere");
    refused("sparse_group", SETTINGS("size", "1", "sizes", "[1]"), 3, PUDLE_ERR_CONFIG, "twice");
    refused("group_soft_threshold", SETTINGS("size", "2"), 3, PUDLE_ERR_ARG, "size = 2 does not divide the 3 atoms");
    refused("nonnegative_group", SETTINGS("sizes", "[2, 2]"), 3, PUDLE_ERR_ARG, "add up to 4");
    fake.no_arrays = true;
    refused("weighted_l1", SETTINGS("weights_file", "bad.npy"), 3, PUDLE_ERR_UNSUPPORTED, "does not read");
    fake.no_arrays = false;
    fake.until_empty = 0;
    refused("weighted_l1", SETTINGS("weights", "1"), 3, PUDLE_ERR_NOMEM, "no memory");
    refused("group_soft_threshold", SETTINGS("size", "1"), 3, PUDLE_ERR_NOMEM, "no memory");
    fake.until_empty = -1;
}

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

/* What a failed test leaves behind is no failure of the next one. */
static int fresh(void **state)
{
    (void)state;
    fake.live = 0;
    return 0;
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
        cmocka_unit_test_setup(test_derivative, fresh),
        cmocka_unit_test_setup(test_symmetric, fresh),
        cmocka_unit_test_setup(test_firm, fresh),
        cmocka_unit_test_setup(test_float, fresh),
        cmocka_unit_test_setup(test_in_place, fresh),
        cmocka_unit_test_setup(test_nan, fresh),
        cmocka_unit_test_setup(test_values, fresh),
        cmocka_unit_test_setup(test_edges, fresh),
        cmocka_unit_test_setup(test_refusals, fresh),
    };
    fake_random();
    return cmocka_run_group_tests_name("structured", tests, NULL, NULL);
}
