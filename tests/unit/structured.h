/* The operators that look at more than one entry, each with a slow reference written here, and trials of them on random codes of several
 * shapes with random settings and levels. Include after cmocka.h. */
#ifndef TESTS_STRUCTURED_H
#define TESTS_STRUCTURED_H

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
    for (int64_t i = 0; i < n; i++)
        taken[i] = false;
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

static double value(const trial *c, const pudle_view *p)
{
    const pudle_cview theta[2] = { pudle_const(&c->theta[0]), pudle_const(&c->theta[1]) }, in = pudle_const(p);
    double f = NAN;
    assert_int_equal(c->ops->value(c->self, 0.3, theta, &in, &f), PUDLE_OK);
    return f;
}

#define TEST(NAME, DTYPE)                      \
    static void test_##NAME(void **state)      \
    {                                          \
        (void)state;                           \
        for_each_trial(check_##NAME, (DTYPE)); \
    }

#endif
