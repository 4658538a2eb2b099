/* Pairwise initialisation: the shared atom of two samples as the top singular vector of a reweighted second moment.
 * Source: Arora, Ge, Ma, Moitra 2015, Algorithm 3 (see init.h). M is never formed: its two largest singular values come from
 * a subspace iteration with four vectors, each step one pass over the samples. */
#include "train/init.h"
#include "train/draw.h"
#include "train/streams.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    WIDTH = 4,       /* vectors iterated; u, v and two random ones to begin with */
    ROUNDS = 50,     /* a pair that has not converged by then has no gap between s1 and s2, so it would not count */
    CHUNK = 4096     /* samples asked for in one call */
};
static const double top_factor = 0.5;     /* s1 >= top_factor s/p: the Omega of the paper */
static const double second_factor = 1.0;  /* s2 < second_factor s/(p log p): the O* of the paper */
static const double accuracy = 1e-4;      /* ||M a - s1 a|| <= accuracy s1 */

typedef struct search {
    int64_t n, m;
    double *x;       /* (n, m), scaled to mean squared norm s */
    double *weight;  /* (n): <x_i, u> <x_i, v> */
    double *q, *mq;  /* (m, WIDTH): orthonormal vectors and M times them */
    double *top;     /* (m): top singular vector */
    double least_top, most_second, least_distance;
} search;

static double dot(const double *a, const double *b, int64_t m)
{
    double s0 = 0, s1 = 0, s2 = 0, s3 = 0; /* four chains of additions run side by side */
    int64_t i = 0;
    for (; i + 4 <= m; i += 4) {
        s0 += a[i] * b[i];
        s1 += a[i + 1] * b[i + 1];
        s2 += a[i + 2] * b[i + 2];
        s3 += a[i + 3] * b[i + 3];
    }
    for (; i < m; i++)
        s0 += a[i] * b[i];
    return (s0 + s1) + (s2 + s3);
}

/* mq = 1/n sum_i weight_i x_i (x_i' q), the four columns side by side, written out so that they share vector registers. */
static void apply(const search *s)
{
    const double *restrict q = s->q;
    double *restrict mq = s->mq;
    memset(mq, 0, (size_t)s->m * WIDTH * sizeof *mq);
    for (int64_t i = 0; i < s->n; i++) {
        const double *x = s->x + i * s->m;
        double t0 = 0, t1 = 0, t2 = 0, t3 = 0;
        if (s->weight[i] == 0)
            continue;
        for (int64_t k = 0; k < s->m; k++) {
            t0 += x[k] * q[4 * k];
            t1 += x[k] * q[4 * k + 1];
            t2 += x[k] * q[4 * k + 2];
            t3 += x[k] * q[4 * k + 3];
        }
        const double w = s->weight[i] / (double)s->n;
        t0 *= w;
        t1 *= w;
        t2 *= w;
        t3 *= w;
        for (int64_t k = 0; k < s->m; k++) {
            mq[4 * k] += x[k] * t0;
            mq[4 * k + 1] += x[k] * t1;
            mq[4 * k + 2] += x[k] * t2;
            mq[4 * k + 3] += x[k] * t3;
        }
    }
}

static double column_dot(const double *a, int i, const double *b, int j, int64_t m)
{
    double sum = 0;
    for (int64_t k = 0; k < m; k++)
        sum += a[k * WIDTH + i] * b[k * WIDTH + j];
    return sum;
}

/* Gram and Schmidt, twice for accuracy; a column that depends on those before it becomes zero. */
static void orthonormalise(double *q, int64_t m)
{
    for (int c = 0; c < WIDTH; c++) {
        const double before = sqrt(column_dot(q, c, q, c, m));
        for (int pass = 0; pass < 2; pass++)
            for (int b = 0; b < c; b++) {
                const double along = column_dot(q, b, q, c, m);
                for (int64_t k = 0; k < m; k++)
                    q[k * WIDTH + c] -= along * q[k * WIDTH + b];
            }
        const double norm = sqrt(column_dot(q, c, q, c, m)), scale = norm > 1e-12 * before ? 1 / norm : 0;
        for (int64_t k = 0; k < m; k++)
            q[k * WIDTH + c] *= scale;
    }
}

/* Eigenvalues and eigenvectors (columns of e) of a small symmetric matrix by Jacobi rotations. */
static void eigen(double h[WIDTH][WIDTH], double e[WIDTH][WIDTH])
{
    for (int i = 0; i < WIDTH; i++)
        for (int j = 0; j < WIDTH; j++)
            e[i][j] = i == j;
    for (int sweep = 0; sweep < 30; sweep++) {
        double off = 0, all = 0;
        for (int i = 0; i < WIDTH; i++)
            for (int j = 0; j < WIDTH; j++) {
                all += h[i][j] * h[i][j];
                off += i != j ? h[i][j] * h[i][j] : 0;
            }
        if (off <= 1e-30 * all)
            return;
        for (int a = 0; a < WIDTH; a++)
            for (int b = a + 1; b < WIDTH; b++) {
                if (h[a][b] == 0)
                    continue;
                const double ratio = (h[b][b] - h[a][a]) / (2 * h[a][b]);
                const double t = (ratio < 0 ? -1 : 1) / (fabs(ratio) + sqrt(ratio * ratio + 1));
                const double c = 1 / sqrt(t * t + 1), sn = t * c;
                for (int k = 0; k < WIDTH; k++) {
                    const double x = h[k][a], y = h[k][b];
                    h[k][a] = c * x - sn * y;
                    h[k][b] = sn * x + c * y;
                }
                for (int k = 0; k < WIDTH; k++) {
                    const double x = h[a][k], y = h[b][k];
                    h[a][k] = c * x - sn * y;
                    h[b][k] = sn * x + c * y;
                }
                for (int k = 0; k < WIDTH; k++) {
                    const double x = e[k][a], y = e[k][b];
                    e[k][a] = c * x - sn * y;
                    e[k][b] = sn * x + c * y;
                }
            }
    }
}

/* Rayleigh and Ritz: s1 and s2 as q sees them, never more than those of M; s1's vector into top. Returns the residual. */
static double ritz(const search *s, double *s1, double *s2)
{
    double h[WIDTH][WIDTH], e[WIDTH][WIDTH], residual2 = 0;
    for (int i = 0; i < WIDTH; i++)
        for (int j = 0; j < WIDTH; j++)
            h[i][j] = column_dot(s->q, i, s->mq, j, s->m);
    eigen(h, e);
    int best = 0;
    for (int c = 1; c < WIDTH; c++)
        best = fabs(h[c][c]) > fabs(h[best][best]) ? c : best;
    *s2 = 0;
    for (int c = 0; c < WIDTH; c++)
        *s2 = c != best ? fmax(*s2, fabs(h[c][c])) : *s2;
    *s1 = fabs(h[best][best]);
    for (int64_t k = 0; k < s->m; k++) {
        double a = 0, ma = 0;
        for (int c = 0; c < WIDTH; c++) {
            a += s->q[k * WIDTH + c] * e[c][best];
            ma += s->mq[k * WIDTH + c] * e[c][best];
        }
        s->top[k] = a;
        residual2 += (ma - h[best][best] * a) * (ma - h[best][best] * a);
    }
    return sqrt(residual2);
}

/* Weights of the pair; the two samples themselves are left out, since they would favour their own directions. */
static void begin(search *s, int64_t u, int64_t v, uint64_t seed, int64_t pair)
{
    const double *xu = s->x + u * s->m, *xv = s->x + v * s->m;
    pudle_random random = pudle_random_at(seed, PD_STREAM_POWER, 0, (uint64_t)pair);
    for (int64_t i = 0; i < s->n; i++)
        s->weight[i] = dot(s->x + i * s->m, xu, s->m) * dot(s->x + i * s->m, xv, s->m);
    s->weight[u] = s->weight[v] = 0;
    for (int64_t k = 0; k < s->m; k++) {
        s->q[k * WIDTH] = xu[k];
        s->q[k * WIDTH + 1] = xv[k];
        for (int c = 2; c < WIDTH; c++)
            s->q[k * WIDTH + c] = pudle_random_normal(&random);
    }
}

/* True if the pair counts; s->top is then its atom. Ritz values are lower bounds, so s2 too large is final. For a pair that
 * counts, u and v contain much of its atom and s1 is well above s2, so s1 shows at the second step: below half its threshold
 * there it is given up, which spares most of the work. */
static bool examine(search *s)
{
    double s1 = 0, s2 = 0;
    for (int round = 0; round < ROUNDS; round++) {
        orthonormalise(s->q, s->m);
        apply(s);
        const double residual = ritz(s, &s1, &s2);
        if (!(s2 < s->most_second) || (round > 0 && s1 < 0.5 * s->least_top))
            return false;
        if (residual <= accuracy * s1)
            return s1 >= s->least_top && pd_unit_vector(s->top, s->m) > 0;
        double *swapped = s->q;
        s->q = s->mq;
        s->mq = swapped;
    }
    return false;
}

static bool is_new(const search *s, const double *atoms, int64_t found)
{
    for (int64_t j = 0; j < found; j++) {
        double minus = 0, plus = 0;
        for (int64_t k = 0; k < s->m; k++) {
            const double a = s->top[k], b = atoms[j * s->m + k];
            minus += (a - b) * (a - b);
            plus += (a + b) * (a + b);
        }
        if (!(sqrt(fmin(minus, plus)) > s->least_distance))
            return false;
    }
    return true;
}

/* n different samples, in any order, scaled to mean squared norm `sparsity`. */
static pudle_status load(pd_context *ctx, search *s, const pd_sample_source *source, uint64_t seed, double sparsity,
                         int64_t *order)
{
    pudle_random random = pudle_random_at(seed, PD_STREAM_SAMPLES, 0, 0);
    double mean = 0;
    for (int64_t i = 0; i < source->samples; i++)
        order[i] = i;
    for (int64_t i = 0; i < s->n; i++)
        pd_draw_next(&random, order, source->samples, i);
    for (int64_t first = 0; first < s->n; first += CHUNK) {
        const int64_t count = s->n - first < CHUNK ? s->n - first : CHUNK;
        const pudle_status status = source->read(source->ctx, order + first, count, s->x + first * s->m);
        if (status)
            return status;
    }
    for (int64_t i = 0; i < s->n; i++)
        mean += dot(s->x + i * s->m, s->x + i * s->m, s->m) / (double)s->n;
    const double scale = sqrt(sparsity / mean);
    if (!isfinite(mean) || !isfinite(scale))
        return pd_fail(ctx, PUDLE_ERR_NUMERIC, "model.dictionary.init = \"pairwise\": the samples are %s",
                       mean < 1 ? "zero" : "not finite, or too large to be squared");
    for (int64_t i = 0; i < s->n * s->m; i++)
        s->x[i] *= scale;
    return PUDLE_OK;
}

static int64_t try_pairs(search *s, uint64_t seed, int64_t pairs, int64_t p, double *atoms, int64_t *tried)
{
    int64_t found = 0, pair = 0;
    for (; pair < pairs && found < p; pair++) {
        pudle_random random = pudle_random_at(seed, PD_STREAM_PAIRS, 0, (uint64_t)pair);
        const int64_t u = (int64_t)pudle_random_below(&random, (uint64_t)s->n);
        const int64_t w = (int64_t)pudle_random_below(&random, (uint64_t)s->n - 1), v = w + (w >= u);
        begin(s, u, v, seed, pair);
        if (!examine(s) || !is_new(s, atoms, found))
            continue;
        memcpy(atoms + found * s->m, s->top, (size_t)s->m * sizeof *atoms);
        found++;
    }
    *tried = pair;
    return found;
}

static pudle_status conclude(pd_context *ctx, const search *s, uint64_t seed, int64_t p, int64_t found, int64_t tried,
                             double *atoms)
{
    if (!found)
        return pd_fail(ctx, PUDLE_ERR_NUMERIC,
                       "model.dictionary.init = \"pairwise\" found no atom in %lld pairs of %lld samples: raise "
                       "model.dictionary.pairs or samples, check that model.dictionary.sparsity is the number of nonzeros "
                       "of a code, or take init = \"samples\"", (long long)tried, (long long)s->n);
    if (found < p)
        pd_log(ctx, PUDLE_LOG_WARNING,
               "pairwise initialisation found %lld of %lld atoms in %lld pairs of %lld samples; the others are random unit "
               "vectors (raise model.dictionary.pairs to find more)", (long long)found, (long long)p, (long long)tried,
               (long long)s->n);
    else
        pd_log(ctx, PUDLE_LOG_INFO, "pairwise initialisation found all %lld atoms in %lld pairs of %lld samples",
               (long long)p, (long long)tried, (long long)s->n);
    for (int64_t j = found; j < p; j++)
        pd_random_atom(seed, j, s->m, atoms + j * s->m);
    return PUDLE_OK;
}

static pudle_status check(pd_context *ctx, const pd_sample_source *source, const pd_pairwise *how, int64_t p)
{
    if (how->sparsity < 1 || how->sparsity > p)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "model.dictionary.sparsity = %lld: init = \"pairwise\" needs the number of "
                       "nonzeros of a code, 1 to %lld", (long long)how->sparsity, (long long)p);
    if (how->pairs < 1)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "model.dictionary.pairs = %lld: init = \"pairwise\" needs at least 1",
                       (long long)how->pairs);
    if (how->samples < 0 || how->samples == 1 || source->samples < 2)
        return pd_fail(ctx, PUDLE_ERR_CONFIG, "model.dictionary.init = \"pairwise\" needs at least 2 samples: "
                       "model.dictionary.samples = %lld, the data have %lld", (long long)how->samples,
                       (long long)source->samples);
    return PUDLE_OK;
}

static double *doubles(int64_t a, int64_t b)
{
    return a > 0 && b > 0 && a <= INT64_MAX / b ? pd_alloc((size_t)(a * b), sizeof(double)) : NULL;
}

pudle_status pd_init_pairwise(pd_context *ctx, const pd_sample_source *source, const pd_pairwise *how, uint64_t seed,
                              int64_t p, double *d, int64_t *found)
{
    pudle_status status = check(ctx, source, how, p);
    if (status)
        return status;
    const int64_t m = source->features, all = source->samples;
    const int64_t n = how->samples > 0 && how->samples < all ? how->samples : all;
    const double sparsity = (double)how->sparsity, atoms_wanted = (double)p, log_p = log(p > 2 ? atoms_wanted : 2);
    search s = { .n = n, .m = m, .x = doubles(n, m), .weight = doubles(n, 1), .q = doubles(m, WIDTH),
                 .mq = doubles(m, WIDTH), .top = doubles(m, 1), .least_top = top_factor * sparsity / atoms_wanted,
                 .most_second = second_factor * sparsity / (atoms_wanted * log_p),
                 .least_distance = fmin(2 / log_p, 1) }; /* unit vectors up to sign are at most sqrt(2) apart */
    double *atoms = doubles(p, m);
    int64_t *order = pd_alloc((size_t)source->samples, sizeof *order);
    if (!s.x || !s.weight || !s.q || !s.mq || !s.top || !atoms || !order) {
        status = pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory for %lld samples of %lld numbers: set "
                         "model.dictionary.samples lower", (long long)n, (long long)m);
        goto cleanup;
    }
    status = load(ctx, &s, source, seed, sparsity, order);
    if (status)
        goto cleanup;
    int64_t tried = 0;
    const int64_t count = try_pairs(&s, seed, how->pairs, p, atoms, &tried);
    status = conclude(ctx, &s, seed, p, count, tried, atoms);
    if (status)
        goto cleanup;
    pd_atoms_to_columns(atoms, m, p, d);
    if (found)
        *found = count;
cleanup:
    free(order);
    free(atoms);
    free(s.top);
    free(s.mq);
    free(s.q);
    free(s.weight);
    free(s.x);
    return status;
}
