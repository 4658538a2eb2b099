/* Operations on arrays. Every array is cut into runs of contiguous entries (rows of a matrix, or 4096 entries at a time) and
 * the runs into parts, by shape alone: a sum is taken within a part and then over the parts in their order, so it has the
 * same bits whatever the number of threads. */
#include "cpu.h"
#include <math.h>
#include <string.h>
#include <pudle/elementwise.h>

/* The other files' loops may fuse multiply and add, but of a run's loop only the part in whole vectors might: not its end. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

#define REAL float
#define NAME(x) x##_f32
#define SQRT sqrtf
#include "kernels.h"
#undef REAL
#undef NAME
#undef SQRT
#define REAL double
#define NAME(x) x##_f64
#define SQRT sqrt
#include "kernels.h"
#undef REAL
#undef NAME
#undef SQRT

enum { MAX_OPERANDS = 4, MAX_PARTS = 64, RUN = 4096, PART = 16384 };

/* Up to four arrays of one shape, and what is done to them. */
typedef struct sweep {
    int64_t runs, length, total; /* entries of a run; of all runs, the last may be shorter */
    int64_t group;               /* runs in a part */
    bool wide;                   /* f64 */
    int operands;
    const char *in[MAX_OPERANDS];
    int64_t step[MAX_OPERANDS]; /* from run to run, in entries */
    double number[7];           /* scalars of the operation */
    double sum[MAX_PARTS];
    int64_t nonzero[MAX_PARTS], nonfinite[MAX_PARTS];
    void (*run)(struct sweep *s, int64_t part, char *const at[], int64_t n);
} sweep;

/* Lay the views out as runs; returns the number of parts. */
static int64_t lay_out(sweep *s, const pudle_cview *const v[], int operands)
{
    bool plain = true;
    for (int i = 0; i < operands; i++)
        plain = plain && host_contiguous(v[i]);
    s->total = pudle_count(v[0]);
    if (s->total == 0)
        return 0;
    s->length = plain ? RUN : v[0]->shape[1];
    s->runs = (s->total + s->length - 1) / s->length;
    s->wide = v[0]->dtype == PUDLE_F64;
    s->operands = operands;
    for (int i = 0; i < operands; i++) {
        s->in[i] = v[i]->data;
        s->step[i] = plain ? RUN : v[i]->stride[0];
    }
    const int64_t enough = s->length >= PART ? 1 : PART / s->length, spread = (s->runs + MAX_PARTS - 1) / MAX_PARTS;
    s->group = enough > spread ? enough : spread;
    return (s->runs + s->group - 1) / s->group;
}

static void sweep_part(void *ctx, int64_t part)
{
    sweep *s = ctx;
    const int64_t end = (part + 1) * s->group < s->runs ? (part + 1) * s->group : s->runs;
    for (int64_t r = part * s->group; r < end; r++) {
        const int64_t left = s->total - r * s->length, n = left < s->length ? left : s->length;
        char *at[MAX_OPERANDS] = { NULL };
        for (int i = 0; i < s->operands; i++) /* outputs came in as writable views: only the type had become const */
            at[i] = (char *)(uintptr_t)s->in[i] + (size_t)(r * s->step[i]) * (s->wide ? sizeof(double) : sizeof(float));
        s->run(s, part, at, n);
    }
}

static int64_t sweep_all(const pudle_exec *exec, sweep *s, const pudle_cview *const v[], int operands)
{
    const int64_t parts = lay_out(s, v, operands);
    cpu_share(exec, parts, (double)s->total, sweep_part, s);
    return parts;
}

/* ---------------------------------------------------------------- elementwise */

static void fill_run(sweep *s, int64_t part, char *const at[], int64_t n)
{
    (void)part;
    if (s->wide)
        fill_f64((double *)(void *)at[0], n, s->number[0]);
    else
        fill_f32((float *)(void *)at[0], n, (float)s->number[0]);
}

pudle_status cpu_fill(pudle_exec *exec, double value, const pudle_view *y)
{
    pudle_cview cy;
    const pudle_cview *const v[] = { host_const(y, &cy) };
    const pudle_status s = host_check(exec, "fill", "y", v[0]);
    if (s)
        return s;
    sweep sw = { .number = { value }, .run = fill_run };
    sweep_all(exec, &sw, v, 1);
    return PUDLE_OK;
}

static void copy_run(sweep *s, int64_t part, char *const at[], int64_t n)
{
    (void)part;
    memmove(at[1], at[0], (size_t)n * (s->wide ? sizeof(double) : sizeof(float)));
}

pudle_status cpu_copy(pudle_exec *exec, const pudle_cview *x, const pudle_view *y)
{
    pudle_cview cy;
    const pudle_cview *const v[] = { x, host_const(y, &cy) };
    const pudle_status s = host_check_alike(exec, "copy", "x|y", v, 2);
    if (s)
        return s;
    sweep sw = { .run = copy_run };
    sweep_all(exec, &sw, v, 2);
    return PUDLE_OK;
}

static void axpby_run(sweep *s, int64_t part, char *const at[], int64_t n)
{
    (void)part;
    if (s->wide)
        axpby_f64(s->number[0], (const double *)(void *)at[0], s->number[1], (double *)(void *)at[1], n);
    else
        axpby_f32((float)s->number[0], (const float *)(void *)at[0], (float)s->number[1], (float *)(void *)at[1], n);
}

pudle_status cpu_axpby(pudle_exec *exec, double a, const pudle_cview *x, double b, const pudle_view *y)
{
    pudle_cview cy;
    const pudle_cview *const v[] = { x, host_const(y, &cy) };
    const pudle_status s = host_check_alike(exec, "axpby", "x|y", v, 2);
    if (s)
        return s;
    sweep sw = { .number = { a, b }, .run = axpby_run };
    sweep_all(exec, &sw, v, 2);
    return PUDLE_OK;
}

static void sign_run(sweep *s, int64_t part, char *const at[], int64_t n)
{
    (void)part;
    if (s->wide)
        sign_f64((const double *)(void *)at[0], (double *)(void *)at[1], n);
    else
        sign_f32((const float *)(void *)at[0], (float *)(void *)at[1], n);
}

pudle_status cpu_sign(pudle_exec *exec, const pudle_cview *x, const pudle_view *y)
{
    pudle_cview cy;
    const pudle_cview *const v[] = { x, host_const(y, &cy) };
    const pudle_status s = host_check_alike(exec, "sign", "x|y", v, 2);
    if (s)
        return s;
    sweep sw = { .run = sign_run };
    sweep_all(exec, &sw, v, 2);
    return PUDLE_OK;
}

/* ----------------------------------------------------------------- reductions */

static void dot_run(sweep *s, int64_t part, char *const at[], int64_t n)
{
    s->sum[part] += s->wide ? dot_f64((const double *)(void *)at[0], (const double *)(void *)at[1], n)
                            : dot_f32((const float *)(void *)at[0], (const float *)(void *)at[1], n);
}

pudle_status cpu_dot(pudle_exec *exec, const pudle_cview *x, const pudle_cview *y, double *sum)
{
    const pudle_cview *const v[] = { x, y };
    const pudle_status s = host_check_alike(exec, "dot", "x|y", v, 2);
    if (s)
        return s;
    if (!sum)
        return FAIL(exec, PUDLE_ERR_ARG, "dot: no place for the result");
    sweep sw = { .run = dot_run };
    const int64_t parts = sweep_all(exec, &sw, v, 2);
    double total = 0;
    for (int64_t i = 0; i < parts; i++)
        total += sw.sum[i];
    *sum = total;
    return PUDLE_OK;
}

static void census_run(sweep *s, int64_t part, char *const at[], int64_t n)
{
    if (s->wide)
        census_f64((const double *)(void *)at[0], n, &s->nonzero[part], &s->nonfinite[part]);
    else
        census_f32((const float *)(void *)at[0], n, &s->nonzero[part], &s->nonfinite[part]);
}

pudle_status cpu_census(pudle_exec *exec, const pudle_cview *x, int64_t *nonzero, int64_t *nonfinite)
{
    const pudle_cview *const v[] = { x };
    const pudle_status s = host_check(exec, "census", "x", x);
    if (s)
        return s;
    if (!nonzero || !nonfinite)
        return FAIL(exec, PUDLE_ERR_ARG, "census: no place for the results");
    sweep sw = { .run = census_run };
    const int64_t parts = sweep_all(exec, &sw, v, 1);
    int64_t filled = 0, bad = 0;
    for (int64_t i = 0; i < parts; i++) {
        filled += sw.nonzero[i];
        bad += sw.nonfinite[i];
    }
    *nonzero = filled;
    *nonfinite = bad;
    return PUDLE_OK;
}

/* ----------------------------------------------------------------- optimisers */

static void momentum_run(sweep *s, int64_t part, char *const at[], int64_t n)
{
    (void)part;
    if (s->wide)
        momentum_f64(s->number[0], s->number[1], (const double *)(void *)at[0], (double *)(void *)at[1],
                     (double *)(void *)at[2], n);
    else
        momentum_f32((float)s->number[0], (float)s->number[1], (const float *)(void *)at[0], (float *)(void *)at[1],
                     (float *)(void *)at[2], n);
}

pudle_status cpu_momentum(pudle_exec *exec, double rate, double mu, const pudle_cview *g, const pudle_view *buf,
                          const pudle_view *w)
{
    pudle_cview cb, cw;
    const pudle_cview *const v[] = { g, host_const(buf, &cb), host_const(w, &cw) };
    const pudle_status s = host_check_alike(exec, "momentum", "g|buf|w", v, 3);
    if (s)
        return s;
    sweep sw = { .number = { rate, mu }, .run = momentum_run };
    sweep_all(exec, &sw, v, 3);
    return PUDLE_OK;
}

static void adam_run(sweep *s, int64_t part, char *const at[], int64_t n)
{
    (void)part;
    if (s->wide)
        adam_f64(s->number, (const double *)(void *)at[0], (double *)(void *)at[1], (double *)(void *)at[2],
                 (double *)(void *)at[3], n);
    else
        adam_f32(s->number, (const float *)(void *)at[0], (float *)(void *)at[1], (float *)(void *)at[2],
                 (float *)(void *)at[3], n);
}

pudle_status cpu_adam(pudle_exec *exec, const pudle_adam *how, const pudle_cview *g, const pudle_view *m,
                      const pudle_view *v, const pudle_view *w)
{
    pudle_cview cm, cv, cw;
    const pudle_cview *const all[] = { g, host_const(m, &cm), host_const(v, &cv), host_const(w, &cw) };
    pudle_status s = host_check_adam(exec, how);
    if (!s)
        s = host_check_alike(exec, "adam", "g|m|v|w", all, 4);
    if (s)
        return s;
    const double k = (double)how->update;
    sweep sw = { .number = { how->beta1, 1 - how->beta1, how->beta2, 1 - how->beta2, how->rate / (1 - pow(how->beta1, k)),
                             1 / sqrt(1 - pow(how->beta2, k)), how->epsilon },
                 .run = adam_run };
    sweep_all(exec, &sw, all, 4);
    return PUDLE_OK;
}

/* ------------------------------------------------------------- normalised atoms */

enum { COLUMNS = 128 };

typedef struct slices {
    pudle_cview view;
    char *data;
    double norm;
    int64_t count, entries, step; /* slices; entries of one; from row to row */
    int64_t group;                /* slices in a part */
} slices;

/* norm / max(length, 1e-12). A sum of squares beyond the range of double is taken again with scaling. */
static double scale_of(const slices *s, double sum, int64_t first, int64_t step)
{
    const double length = isfinite(sum) ? sqrt(sum) : host_norm(&s->view, first, step, s->entries);
    return s->norm / (length < 1e-12 ? 1e-12 : length);
}

/* Columns [128 part, 128 (part+1)): the sums of all of them side by side, so that rows are read as they lie. */
static void normalize_columns(void *ctx, int64_t part)
{
    const slices *s = ctx;
    const int64_t first = part * COLUMNS, n = s->count - first < COLUMNS ? s->count - first : COLUMNS;
    double scale[COLUMNS] = { 0 };
    float *f = (float *)(void *)s->data;
    double *d = (double *)(void *)s->data;
    const bool wide = s->view.dtype == PUDLE_F64;
    for (int64_t i = 0; i < s->entries; i++)
        if (wide)
            add_squares_f64(d + i * s->step + first, scale, n);
        else
            add_squares_f32(f + i * s->step + first, scale, n);
    for (int64_t j = 0; j < n; j++)
        scale[j] = scale_of(s, scale[j], first + j, s->step);
    for (int64_t i = 0; i < s->entries; i++)
        if (wide)
            rescale_f64(d + i * s->step + first, scale, n, false);
        else
            rescale_f32(f + i * s->step + first, scale, n, false);
}

static void normalize_rows(void *ctx, int64_t part)
{
    const slices *s = ctx;
    const int64_t end = (part + 1) * s->group < s->count ? (part + 1) * s->group : s->count;
    for (int64_t i = part * s->group; i < end; i++) {
        if (s->view.dtype == PUDLE_F64) {
            double *row = (double *)(void *)s->data + i * s->step;
            const double scale = scale_of(s, dot_f64(row, row, s->entries), i * s->step, 1);
            rescale_f64(row, &scale, s->entries, true);
        } else {
            float *row = (float *)(void *)s->data + i * s->step;
            const double scale = scale_of(s, dot_f32(row, row, s->entries), i * s->step, 1);
            rescale_f32(row, &scale, s->entries, true);
        }
    }
}

pudle_status cpu_normalize(pudle_exec *exec, int32_t axis, double norm, const pudle_view *w)
{
    const pudle_status status = host_check_normalize(exec, axis, norm, w);
    if (status)
        return status;
    slices s = { .view = pudle_const(w), .data = w->data, .norm = norm, .count = w->shape[axis] };
    const int64_t all = pudle_count(&s.view);
    if (all == 0)
        return PUDLE_OK;
    s.entries = all / s.count;
    if (axis == 1) {
        s.step = w->shape[0] > 1 ? w->stride[0] : s.count;
        cpu_share(exec, (s.count + COLUMNS - 1) / COLUMNS, (double)all, normalize_columns, &s);
    } else {
        s.step = w->rank == 2 && w->shape[0] > 1 ? w->stride[0] : s.entries;
        s.group = s.entries >= PART ? 1 : PART / s.entries;
        cpu_share(exec, (s.count + s.group - 1) / s.group, (double)all, normalize_rows, &s);
    }
    return PUDLE_OK;
}

/* ------------------------------------------------------- gradients of these atoms */

typedef struct tangents {
    const char *w;
    char *g;
    bool wide;
    int64_t count, entries, w_step, g_step; /* slices; entries of one; from row to row */
    int64_t group;                          /* slices in a part */
} tangents;

static double share_of(double along, double squares)
{
    return squares == 0 ? 0 : along / squares;
}

/* Columns [128 part, 128 (part+1)), all of them side by side. */
static void tangent_columns(void *ctx, int64_t part)
{
    const tangents *s = ctx;
    const int64_t first = part * COLUMNS, n = s->count - first < COLUMNS ? s->count - first : COLUMNS;
    double along[COLUMNS] = { 0 }, squares[COLUMNS] = { 0 };
    const float *wf = (const float *)(const void *)s->w + first;
    const double *wd = (const double *)(const void *)s->w + first;
    float *gf = (float *)(void *)s->g + first;
    double *gd = (double *)(void *)s->g + first;
    for (int64_t i = 0; i < s->entries; i++)
        if (s->wide) {
            add_products_f64(wd + i * s->w_step, gd + i * s->g_step, along, n);
            add_squares_f64(wd + i * s->w_step, squares, n);
        } else {
            add_products_f32(wf + i * s->w_step, gf + i * s->g_step, along, n);
            add_squares_f32(wf + i * s->w_step, squares, n);
        }
    for (int64_t j = 0; j < n; j++)
        along[j] = share_of(along[j], squares[j]);
    for (int64_t i = 0; i < s->entries; i++)
        if (s->wide)
            subtract_shares_f64(wd + i * s->w_step, gd + i * s->g_step, along, n, false);
        else
            subtract_shares_f32(wf + i * s->w_step, gf + i * s->g_step, along, n, false);
}

static void tangent_rows(void *ctx, int64_t part)
{
    const tangents *s = ctx;
    const int64_t end = (part + 1) * s->group < s->count ? (part + 1) * s->group : s->count;
    for (int64_t i = part * s->group; i < end; i++) {
        if (s->wide) {
            const double *w = (const double *)(const void *)s->w + i * s->w_step;
            double *g = (double *)(void *)s->g + i * s->g_step;
            const double share = share_of(dot_f64(w, g, s->entries), dot_f64(w, w, s->entries));
            subtract_shares_f64(w, g, &share, s->entries, true);
        } else {
            const float *w = (const float *)(const void *)s->w + i * s->w_step;
            float *g = (float *)(void *)s->g + i * s->g_step;
            const double share = share_of(dot_f32(w, g, s->entries), dot_f32(w, w, s->entries));
            subtract_shares_f32(w, g, &share, s->entries, true);
        }
    }
}

static int64_t step_of(int32_t rank, const int64_t *shape, const int64_t *stride, int64_t row)
{
    return rank == 2 && shape[0] > 1 ? stride[0] : row;
}

pudle_status cpu_tangent(pudle_exec *exec, int32_t axis, const pudle_cview *w, const pudle_view *g)
{
    const pudle_status status = host_check_tangent(exec, axis, w, g);
    if (status)
        return status;
    tangents s = { .w = w->data, .g = g->data, .wide = w->dtype == PUDLE_F64, .count = w->shape[axis] };
    const int64_t all = pudle_count(w);
    if (all == 0)
        return PUDLE_OK;
    s.entries = all / s.count;
    const int64_t row = axis == 1 ? s.count : s.entries;
    s.w_step = step_of(w->rank, w->shape, w->stride, row);
    s.g_step = step_of(g->rank, g->shape, g->stride, row);
    s.group = axis == 1 ? COLUMNS : s.entries >= PART ? 1 : PART / s.entries;
    cpu_share(exec, (s.count + s.group - 1) / s.group, (double)all, axis == 1 ? tangent_columns : tangent_rows, &s);
    return PUDLE_OK;
}
