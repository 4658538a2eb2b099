/* u by factoring a small matrix for each sample, in double whatever the network's precision:
 *   (diag c + D_S' H D_S) u = d_S,   S the entries where J is not 0,   c_i = (1 - j_i) / (alpha j_i)
 * for a dense D, an inner loss with a diagonal Hessian, and a prox that acts on every entry alone, so that J is the diagonal j. c is the
 * curvature of the prox's penalty: 0 for thresholds, mu for an elastic net.
 *
 * Eight samples of supports alike in size go side by side, with an upper bound of the condition number (small_systems.h). Where it does
 * not clear a sample, and for large supports, Cholesky of that one alone; its condition number in the 1-norm is estimated from a few
 * solutions (the idea of Hager 1984), and a support beyond PD_CONDITION_LIMIT, or whose matrix is not positive definite, is reported and
 * left out. */
#include "graph/implicit.h"
#include "graph/small_systems.h"
#include "measure/cholesky.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <pudle/elementwise.h>

enum { DONE = -1 };

bool pd_implicit_direct(const pd_network *net)
{
    return net->refit || (net->map.matrix && (net->prox.desc->caps & PUDLE_PROX_SEPARABLE) && (net->inner.desc->caps & PUDLE_LOSS_SEPARABLE));
}

/* ------------------------------------------------------------- small matrices */

typedef double eight __attribute__((vector_size(64), aligned(sizeof(double)), may_alias));

/* sums[j] = <x, y_j> over m entries, for four j: they share x, and do not wait for each other. */
PUDLE_CLONES static void products(const double *x, const double *const y[4], int64_t m, double sums[4])
{
    eight part[4] = { { 0 } };
    int64_t f = 0;
    for (; f + 8 <= m; f += 8) {
        const eight v = *(const eight *)(const void *)(x + f);
        for (int j = 0; j < 4; j++)
            part[j] += v * *(const eight *)(const void *)(y[j] + f);
    }
    for (int j = 0; j < 4; j++) {
        sums[j] = ((part[j][0] + part[j][1]) + (part[j][2] + part[j][3])) + ((part[j][4] + part[j][5]) + (part[j][6] + part[j][7]));
        for (int64_t k = f; k < m; k++)
            sums[j] += x[k] * y[j][k];
    }
}

/* to[k] = <x, atom s[k]>, k < n; s: NULL for 0, 1, ... */
static void row_of_gram(const pd_network *net, const double *x, const int32_t *s, int64_t n, double *to)
{
    const int64_t m = net->map.features;
    for (int64_t k = 0; k < n; k += 4) {
        const double *y[4];
        double sums[4];
        for (int64_t j = 0; j < 4; j++) {
            const int64_t at = k + j < n ? k + j : n - 1;
            y[j] = net->host_atoms + (s ? s[at] : at) * m;
        }
        products(x, y, m, sums);
        for (int64_t j = 0; j < 4 && k + j < n; j++)
            to[k + j] = sums[j];
    }
}

/* Four right-hand sides side by side, so that a small system has something for vectors to do. */
typedef double quad __attribute__((vector_size(32), aligned(8)));

/* x (n, 4) <- (L L')^-1 x */
PUDLE_CLONES static void solve(const double *l, int64_t n, double *x)
{
    quad *at = (quad *)(void *)x;
    for (int64_t i = 0; i < n; i++) {
        quad even = at[i], odd = { 0 };
        int64_t k = 0;
        for (; k + 2 <= i; k += 2) {
            even -= l[i * n + k] * at[k];
            odd -= l[i * n + k + 1] * at[k + 1];
        }
        if (k < i)
            even -= l[i * n + k] * at[k];
        at[i] = (even + odd) / l[i * n + i];
    }
    for (int64_t i = n - 1; i >= 0; i--) {
        const quad value = at[i] /= l[i * n + i];
        for (int64_t k = 0; k < i; k++)
            at[k] -= l[i * n + k] * value;
    }
}

/* Largest sum of magnitudes of a column; the matrix is symmetric, its lower triangle given. */
static double matrix_norm1(const double *a, int64_t n, double *sum)
{
    double most = 0;
    memset(sum, 0, (size_t)n * sizeof *sum);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t k = 0; k < i; k++) {
            sum[i] += fabs(a[i * n + k]);
            sum[k] += fabs(a[i * n + k]);
        }
        sum[i] += fabs(a[i * n + i]);
    }
    for (int64_t i = 0; i < n; i++)
        most = sum[i] > most ? sum[i] : most;
    return most;
}

/* x <- A^-1 d, A = L L', and a lower bound, seldom far off, of the 1-norm of A^-1: the largest of norm1(A^-1 s) over three s of 1-norm 1
 * (all entries alike, signs in turn, the atom of the smallest pivot), and from each one step up the subgradient, which for a
 * symmetric matrix ends in the maximum of A^-1 sign(A^-1 s). x, y: (n, 4). */
static double solve_and_bound(const double *l, int64_t n, const double *d, double *x, double *y)
{
    int64_t weak = 0;
    double bound = 0, sum[4] = { 0 }, scale = 0;
    for (int64_t i = 1; i < n; i++)
        weak = l[i * n + i] < l[weak * n + weak] ? i : weak;
    for (int64_t i = 0; i < n; i++) {
        const double ramp = 1 + (n > 1 ? (double)i / (double)(n - 1) : 0); /* a start that no symmetry of the matrix cancels */
        scale += ramp;
        x[4 * i] = d[i];
        x[4 * i + 1] = 1.0 / (double)n;
        x[4 * i + 2] = i % 2 ? -ramp : ramp;
        x[4 * i + 3] = i == weak;
    }
    solve(l, n, x);
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < 4; c++) {
            sum[c] += fabs(x[4 * i + c]);
            y[4 * i + c] = x[4 * i + c] < 0 ? -1 : 1;
        }
    solve(l, n, y);
    bound = fmax(fmax(sum[1], sum[2] / scale), sum[3]);
    for (int64_t i = 0; i < 4 * n; i++)
        bound = fmax(bound, fabs(y[i]));
    return bound;
}

/* ------------------------------------------------------------------- samples */

static void read_row(double *to, const void *data, int32_t dtype, int64_t row, int64_t count)
{
    if (dtype == PUDLE_F64)
        memcpy(to, (const double *)data + row * count, (size_t)count * sizeof *to);
    else
        for (int64_t i = 0; i < count; i++)
            to[i] = (double)((const float *)data)[row * count + i];
}

/* The entries of j that are not 0, in order. */
static int64_t find_support(const double *j, int64_t p, int32_t *support)
{
    int64_t n = 0;
    for (int64_t k = 0; k < p; k++) {
        support[n] = (int32_t)k;
        n += j[k] != 0;
    }
    return n;
}

/* u, an entry for each atom of the support and 0 for the others; `apart` lie the entries of x. */
static void write_row(const pd_network *net, pd_implicit_space *w, int64_t row, const int32_t *support, int64_t n, const double *x, int64_t apart)
{
    const int64_t p = net->map.code;
    if (net->dtype == PUDLE_F64) {
        double *to = (double *)w->host_code[1] + row * p;
        memset(to, 0, (size_t)p * sizeof *to);
        for (int64_t i = 0; i < n; i++)
            to[support[i]] = x[i * apart];
    } else {
        float *to = (float *)w->host_code[1] + row * p;
        memset(to, 0, (size_t)p * sizeof *to);
        for (int64_t i = 0; i < n; i++)
            to[support[i]] = (float)x[i * apart];
    }
}

/* Doubles of vectors that solve_alone takes: two rows, the right-hand side, two arrays of four, and an atom. */
static int64_t alone_work(const pd_network *net, int64_t n)
{
    return 2 * net->map.code + 9 * n + net->map.features;
}

/* And solve_together: x, and what form_lane and pd_small_solve want one after the other. */
static int64_t together_work(const pd_network *net, int64_t n)
{
    const int64_t form = 2 * net->map.code + net->map.features + n * n, solve = pd_small_work(n);
    return PD_SIDE * n + (form > solve ? form : solve);
}

double pd_implicit_worst(const pd_network *net)
{
    const int64_t p = net->map.code, n = p < PD_TOGETHER ? p : PD_TOGETHER;
    return (fmax((double)p * (double)p, (double)pd_small_room(n)) + (double)(alone_work(net, p) > together_work(net, n) ? alone_work(net, p) : together_work(net, n))) *
           sizeof(double);
}

/* Room for `matrix` doubles of matrices and `work` of vectors. */
static pudle_status room_for(const pd_network *net, pd_implicit_space *w, int64_t n, int64_t matrix, int64_t work)
{
    const struct { double **at; int64_t *room, wanted; } wanted[] = { { &w->matrix, &w->matrix_room, matrix }, { &w->work, &w->work_room, work } };
    for (int i = 0; i < 2; i++) {
        if (wanted[i].wanted <= *wanted[i].room)
            continue;
        free(*wanted[i].at);
        *wanted[i].room = 0;
        *wanted[i].at = pd_alloc((size_t)wanted[i].wanted, sizeof **wanted[i].at);
        if (!*wanted[i].at)
            return pd_fail(net->ctx, PUDLE_ERR_NOMEM, "out of memory for supports of %lld atoms: raise the threshold, or write  model.gradient = \"ae\";",
                           (long long)n);
        *wanted[i].room = wanted[i].wanted;
    }
    return PUDLE_OK;
}

/* The Gram matrix may stand for D' H D. */
static bool all_ones(const void *h, int32_t dtype, int64_t row, int64_t m)
{
    bool others = false;
    for (int64_t f = row * m; f < (row + 1) * m; f++)
        others |= dtype == PUDLE_F64 ? ((const double *)h)[f] != 1.0 : ((const float *)h)[f] != 1.0f;
    return !others;
}

/* Lower triangle of D_S' H D_S (n, n). weighted: room for an atom. */
static void form(const pd_network *net, const pd_implicit_space *w, int64_t row, const int32_t *s, int64_t n, double *matrix, double *weighted)
{
    const int64_t m = net->map.features, p = net->map.code;
    const bool plain = all_ones(w->host_data, net->dtype, row, m);
    if (net->gram && plain) {
        for (int64_t i = 0; i < n; i++)
            for (int64_t k = 0; k <= i; k++)
                matrix[i * n + k] = net->gram[s[i] * p + s[k]]; /* s increases: the lower triangle */
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        const double *atom = net->host_atoms + s[i] * m;
        if (!plain) {
            read_row(weighted, w->host_data, net->dtype, row, m);
            for (int64_t f = 0; f < m; f++)
                weighted[f] *= atom[f];
        }
        row_of_gram(net, plain ? atom : weighted, s, i + 1, matrix + i * n);
    }
}

static bool all_finite(const double *x, int64_t n, int64_t apart)
{
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(x[i * apart]))
            return false;
    return true;
}

/* u of one sample in place of its d; with its condition number estimated. */
static pudle_status solve_alone(const pd_block *b, int64_t row, const int32_t *support, int64_t n)
{
    const pd_network *net = b->net;
    pd_implicit_space *w = b->space->implicit;
    const int64_t p = net->map.code;
    const double step = net->alpha[net->layers - 1];
    pudle_status s = room_for(net, w, n, n * n, alone_work(net, n));
    if (s)
        return s;
    double *all = w->work, *d = all + 2 * p, *x = d + n, *y = x + 4 * n, *weighted = y + 4 * n;
    read_row(all, w->host_code[0], net->dtype, row, p);
    read_row(all + p, w->host_code[1], net->dtype, row, p);
    form(net, w, row, support, n, w->matrix, weighted);
    bool sound = true;
    for (int64_t i = 0; i < n; i++) {
        const double j = all[support[i]];
        w->matrix[i * n + i] += (1 - j) / (step * j);
        d[i] = all[p + support[i]];
        sound = sound && isfinite(d[i]);
    }
    const double size = matrix_norm1(w->matrix, n, x);
    const int64_t stopped = pd_cholesky(w->matrix, n, x);
    const bool positive = stopped < 0, nan = !positive && isnan(w->matrix[stopped * n + stopped]);
    const double condition = positive ? size * solve_and_bound(w->matrix, n, d, x, y) : INFINITY;
    if (!sound || nan || isnan(size) || isinf(size)) { /* a divergence, and reported as such: the gradient must not look sound */
        for (int64_t i = 0; i < n; i++)
            x[4 * i] = NAN;
    } else if (condition > PD_CONDITION_LIMIT) {
        pd_implicit_report(b, row, condition);
        n = 0;
    }
    write_row(net, w, row, support, n, x, 4);
    return PUDLE_OK;
}

/* Matrix and right-hand side of sample `row` in a lane of `matrix` and x, between identity and 0. */
static void form_lane(const pd_block *b, int64_t row, const int32_t *s, int64_t n, int64_t most, int lane, double *matrix, double *x, double *room)
{
    const pd_network *net = b->net;
    const pd_implicit_space *w = b->space->implicit;
    const int64_t p = net->map.code;
    const double step = net->alpha[net->layers - 1];
    double *const j = room, *const d = j + p, *const weighted = d + p, *const alone = weighted + net->map.features;
    read_row(j, w->host_code[0], net->dtype, row, p);
    read_row(d, w->host_code[1], net->dtype, row, p);
    form(net, w, row, s, n, alone, weighted);
    for (int64_t i = 0; i < n; i++) {
        double *const to = matrix + pd_small_at(i, 0, lane);
        for (int64_t k = 0; k <= i; k++)
            to[k * PD_SIDE] = alone[i * n + k];
        to[i * PD_SIDE] += (1 - j[s[i]]) / (step * j[s[i]]);
        x[i * PD_SIDE + lane] = d[s[i]];
    }
    for (int64_t i = n; i < most; i++) {
        for (int64_t k = 0; k <= i; k++)
            matrix[pd_small_at(i, k, lane)] = i == k;
        x[i * PD_SIDE + lane] = 0;
    }
}

/* The support of a sample; w->work has room for a row. */
static void read_support(const pd_block *b, int64_t row, int32_t *support)
{
    pd_implicit_space *w = b->space->implicit;
    read_row(w->work, w->host_code[0], b->net->dtype, row, b->net->map.code);
    find_support(w->work, b->net->map.code, support);
}

static pudle_status solve_large(const pd_block *b, int64_t row)
{
    pd_implicit_space *w = b->space->implicit;
    read_support(b, row, w->support);
    return solve_alone(b, row, w->support, w->count[row]);
}

/* u of at most eight samples side by side. Those that the bound of the condition number does not clear are taken once more, alone. */
static pudle_status solve_together(const pd_block *b, const int32_t *sample, int samples)
{
    const pd_network *net = b->net;
    pd_implicit_space *w = b->space->implicit;
    const int64_t p = net->map.code, most = w->count[sample[samples - 1]]; /* they are in order */
    int64_t size[PD_SIDE] = { 0 };
    double bound[PD_SIDE];
    pudle_status s = room_for(net, w, most, pd_small_room(most), together_work(net, most));
    if (s)
        return s;
    for (int lane = 0; lane < samples; lane++) {
        size[lane] = w->count[sample[lane]];
        read_support(b, sample[lane], w->support + lane * p);
    }
    double *const x = w->work, *const room = x + PD_SIDE * most;
    for (int lane = 0; lane < PD_SIDE; lane++)
        form_lane(b, sample[lane < samples ? lane : 0], w->support + lane * p, size[lane], most, lane, w->matrix, x, room);
    pd_small_solve(w->matrix, most, size, x, room, bound);
    for (int lane = 0; lane < samples; lane++)
        if (bound[lane] <= PD_CONDITION_LIMIT && all_finite(x + lane, size[lane], PD_SIDE)) {
            write_row(net, w, sample[lane], w->support + lane * p, size[lane], x + lane, PD_SIDE);
            size[lane] = DONE;
        }
    for (int lane = 0; lane < samples && !s; lane++)
        if (size[lane] != DONE)
            s = solve_alone(b, sample[lane], w->support + lane * p, size[lane]);
    return s;
}

/* j of a code that is fitted again on its own support: 1 there, so that no prox has a part in the matrix. */
static void mark_support(const pd_block *b)
{
    void *const j = b->space->implicit->host_code[0];
    const int64_t count = b->rows * b->net->map.code;
    for (int64_t i = 0; i < count; i++) {
        if (b->net->dtype == PUDLE_F64)
            ((double *)j)[i] = ((double *)j)[i] != 0;
        else
            ((float *)j)[i] = ((float *)j)[i] != 0;
    }
}

/* j and the diagonal of H: what J and H make of ones. Of a code that is fitted again, j's place holds the code. */
static pudle_status diagonals(const pd_block *b, const pudle_view *estimate)
{
    const pd_network *net = b->net;
    const pudle_backend_ops *be = net->be;
    pd_implicit_space *w = b->space->implicit;
    const pudle_view ones = pd_rows(&w->code[PD_IMPLICIT_U], 0, b->rows), j = pd_rows(&w->code[PD_IMPLICIT_JACOBIAN], 0, b->rows);
    const pudle_view h = pd_rows(&w->data[PD_IMPLICIT_H], 0, b->rows);
    const size_t width = pudle_dtype_size(net->dtype), codes = (size_t)(b->rows * net->map.code) * width;
    pudle_status s = be->fill(b->exec, 1.0, &ones);
    if (!s && !net->refit)
        s = pd_implicit_jacobian(b, &ones, &j, NULL);
    if (!s)
        s = be->fill(b->exec, 1.0, &h);
    if (!s)
        s = pd_implicit_hessian(b, estimate, &h);
    if (!s)
        s = be->download(b->exec, w->host_code[0], j.data, codes);
    if (!s)
        s = be->download(b->exec, w->host_code[1], b->space->adjoint.data, codes);
    if (!s && net->refit)
        mark_support(b);
    return s ? s : be->download(b->exec, w->host_data, h.data, (size_t)(b->rows * net->map.features) * width);
}

/* The samples of the block, those of small supports first, so that such of a size meet. */
static pudle_status sort_samples(const pd_block *b)
{
    pd_implicit_space *w = b->space->implicit;
    const int64_t p = b->net->map.code;
    const pudle_status s = room_for(b->net, w, p, 0, p);
    if (s)
        return s;
    memset(w->place, 0, (size_t)(p + 2) * sizeof *w->place);
    for (int64_t i = 0; i < b->rows; i++) {
        read_row(w->work, w->host_code[0], b->net->dtype, i, p);
        w->count[i] = (int32_t)find_support(w->work, p, w->support);
        w->place[w->count[i] + 1]++;
    }
    for (int64_t n = 0; n <= p; n++)
        w->place[n + 1] += w->place[n];
    for (int64_t i = 0; i < b->rows; i++)
        w->order[w->place[w->count[i]]++] = (int32_t)i;
    return PUDLE_OK;
}

pudle_status pd_implicit_factor(const pd_block *b, const pudle_view *estimate)
{
    const pd_implicit_space *w = b->space->implicit;
    pudle_status s = diagonals(b, estimate);
    if (!s)
        s = sort_samples(b);
    for (int64_t i = 0, samples; i < b->rows && !s; i += samples) {
        const bool large = w->count[w->order[i]] > PD_TOGETHER; /* and so are all that follow */
        for (samples = 1; samples < PD_SIDE && i + samples < b->rows && !large && w->count[w->order[i + samples]] <= PD_TOGETHER;)
            samples++;
        s = large ? solve_large(b, w->order[i]) : solve_together(b, w->order + i, (int)samples);
    }
    if (s)
        return s;
    const size_t bytes = (size_t)(b->rows * b->net->map.code) * pudle_dtype_size(b->net->dtype);
    return b->net->be->upload(b->exec, w->code[PD_IMPLICIT_U].data, w->host_code[1], bytes);
}

/* ---------------------------------------------------- once for all samples of a batch */

/* The Gram matrix costs p^2 m, the supports of n samples without it n s^2 m. s is not known before, and the choice must not depend on
 * what the numbers turn out to be at a place where a run may be resumed: supports of 16 are assumed. */
static bool gram_pays(const pd_network *net, int64_t samples)
{
    const uint64_t identity = PUDLE_LOSS_QUADRATIC | PUDLE_LOSS_SEPARABLE;
    const double p = (double)net->map.code;
    return (net->inner.desc->caps & identity) == identity && p * p <= 256.0 * (double)samples;
}

static pudle_status form_gram(pd_network *net)
{
    const int64_t m = net->map.features, p = net->map.code;
    if (!net->gram)
        net->gram = pd_alloc((size_t)p, (size_t)p * sizeof *net->gram);
    if (!net->gram)
        return pd_fail(net->ctx, PUDLE_ERR_NOMEM, "out of memory for the Gram matrix of %lld atoms", (long long)p);
    for (int64_t i = 0; i < p; i++)
        row_of_gram(net, net->host_atoms + i * m, NULL, i + 1, net->gram + i * p);
    return PUDLE_OK;
}

enum { TURNED = 16, BROUGHT = 1 << 20 }; /* rows of D that are turned at a time, a cache line or two of a column; bytes that are brought */

/* to[k][first + f] = rows[f][k], in double, for count rows of p. */
static void turn(double *to, int64_t m, int64_t first, const void *rows, int32_t dtype, int64_t from, int64_t count, int64_t p)
{
    for (int64_t k = 0; k < p; k++) {
        double *row = to + k * m + first;
        if (dtype == PUDLE_F64)
            for (int64_t f = 0; f < count; f++)
                row[f] = ((const double *)rows)[(from + f) * p + k];
        else
            for (int64_t f = 0; f < count; f++)
                row[f] = (double)((const float *)rows)[(from + f) * p + k];
    }
}

/* The atoms one by one, in double. */
static pudle_status bring_atoms(pd_network *net)
{
    const int64_t m = net->map.features, p = net->map.code;
    const size_t width = pudle_dtype_size(net->dtype);
    const int64_t fit = BROUGHT / (p * (int64_t)width), some = fit > TURNED ? fit : TURNED, most = some < m ? some : m;
    if (!net->host_atoms)
        net->host_atoms = pd_alloc((size_t)(m * p), sizeof *net->host_atoms);
    void *rows = net->host_atoms ? pd_alloc((size_t)(most * p), width) : NULL;
    if (!rows)
        return pd_fail(net->ctx, PUDLE_ERR_NOMEM, "out of memory for the implicit gradient");
    pudle_status s = PUDLE_OK;
    for (int64_t first = 0; first < m && !s; first += most) {
        const int64_t count = m - first < most ? m - first : most;
        s = net->be->download(net->exec, rows, (const char *)net->effective.value.data + (size_t)(first * p) * width, (size_t)(count * p) * width);
        for (int64_t f = 0; f < count && !s; f += TURNED)
            turn(net->host_atoms, m, first + f, rows, net->dtype, f, count - f < TURNED ? count - f : TURNED, p);
    }
    free(rows);
    return s;
}

pudle_status pd_implicit_refresh(pd_network *net, int64_t samples)
{
    if (!pd_implicit_direct(net))
        return PUDLE_OK;
    const pudle_status s = bring_atoms(net);
    if (s)
        return s;
    if (gram_pays(net, samples))
        return form_gram(net);
    free(net->gram); /* of another batch size */
    net->gram = NULL;
    return PUDLE_OK;
}
