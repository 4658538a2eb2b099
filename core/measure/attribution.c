/* Dictionaries as combinations of the samples that they were learned from. */
#include "measure/attribution.h"
#include "measure/cholesky.h"
#include "tensor/arrays.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double alone = 1e-12; /* 1 - z'w of a sample without which A would hardly have a direction: rounding, and what it leaves of x is 0 / 0 */

pudle_status pd_attribution_open(pd_context *ctx, int64_t m, int64_t p, pd_attribution *out)
{
    pd_attribution a = { .m = m, .p = p, .gram = pd_alloc((size_t)p, (size_t)p * sizeof(double)), .moment = pd_alloc((size_t)p, (size_t)m * sizeof(double)) };
    if (!a.gram || !a.moment) {
        pd_attribution_close(&a);
        return pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory for the moments of codes of %" PRId64 " entries", p);
    }
    *out = a;
    return PUDLE_OK;
}

void pd_attribution_close(pd_attribution *a)
{
    free(a->gram);
    free(a->moment);
    a->gram = a->moment = NULL;
}

/* y += factor x */
static void add(int64_t n, double factor, const double *restrict x, double *restrict y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += factor * x[i];
}

static double dot(int64_t n, const double *a, const double *b)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

void pd_attribution_add(pd_attribution *a, const double *x, const double *z)
{
    for (int64_t j = 0; j < a->p; j++) {
        if (z[j] == 0)
            continue;
        add(a->m, z[j], x, a->moment + j * a->m);
        double *row = a->gram + j * a->p;
        for (int64_t i = 0; i <= j; i++)
            row[i] += z[j] * z[i];
    }
}

/* L becomes M = L^-1, row after row: L M = I gives row i of M from the rows above it. */
static void invert(double *l, int64_t p, double *row)
{
    for (int64_t i = 0; i < p; i++) {
        double *const own = l + i * p;
        memset(row, 0, (size_t)i * sizeof *row);
        for (int64_t k = 0; k < i; k++)
            add(k + 1, own[k], l + k * p, row);
        own[i] = 1 / own[i];
        for (int64_t k = 0; k < i; k++)
            own[k] = -row[k] * own[i];
    }
}

/* A^-1 = M'M, in place: row i of its lower half takes rows i and below of M, so the rows above may be results already. The upper half is filled at last. */
static void square(double *m, int64_t p, double *row)
{
    for (int64_t i = 0; i < p; i++) {
        memset(row, 0, (size_t)(i + 1) * sizeof *row);
        for (int64_t k = i; k < p; k++)
            add(i + 1, m[k * p + i], m + k * p, row);
        memcpy(m + i * p, row, (size_t)(i + 1) * sizeof *row);
    }
    for (int64_t i = 0; i < p; i++)
        for (int64_t k = i + 1; k < p; k++)
            m[i * p + k] = m[k * p + i];
}

pudle_status pd_attribution_solve(pd_context *ctx, pd_attribution *a, double omega)
{
    const int64_t p = a->p, m = a->m;
    double *row = pd_alloc((size_t)p, sizeof *row), *estimate = pd_alloc((size_t)p, (size_t)m * sizeof *estimate);
    pudle_status s = row && estimate ? PUDLE_OK : pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory for the moments of codes of %" PRId64 " entries", p);
    a->omega = omega;
    for (int64_t j = 0; j < p; j++)
        a->gram[j * p + j] += omega;
    const int64_t stopped = s ? -1 : pd_cholesky(a->gram, p, row);
    if (stopped >= 0)
        s = pd_fail(ctx, PUDLE_ERR_NUMERIC, "the moments of the codes are not positive definite at atom %" PRId64 " (%g): an atom that no sample uses, or atoms "
                    "that are used alike, need omega > 0", stopped, a->gram[stopped * p + stopped]);
    if (!s) {
        invert(a->gram, p, row);
        square(a->gram, p, row);
        for (int64_t j = 0; j < p; j++)
            for (int64_t i = 0; i < p; i++)
                add(m, a->gram[j * p + i], a->moment + i * m, estimate + j * m);
        free(a->moment);
        a->moment = estimate;
        estimate = NULL;
    }
    free(estimate);
    free(row);
    return s;
}

void pd_attribution_weights(const pd_attribution *a, const double *z, double *w)
{
    memset(w, 0, (size_t)a->p * sizeof *w);
    for (int64_t j = 0; j < a->p; j++)
        if (z[j] != 0)
            add(a->p, z[j], a->gram + j * a->p, w);
}

double pd_attribution_beta_norm(const pd_attribution *a, const double *z, const double *w)
{
    const double square_ = dot(a->p, w, z) - a->omega * dot(a->p, w, w);
    return square_ > 0 ? sqrt(square_) : 0;
}

double pd_attribution_leave_out(const pd_attribution *a, const double *x, const double *z, const double *w, double *room)
{
    memcpy(room, x, (size_t)a->m * sizeof *room);
    for (int64_t j = 0; j < a->p; j++)
        if (z[j] != 0)
            add(a->m, -z[j], a->moment + j * a->m, room);
    const double error = sqrt(dot(a->m, room, room)), rest = 1 - dot(a->p, z, w);
    return rest > alone ? error / rest : INFINITY;
}

/* Into a list that falls by `sign` times the value. */
static void insert(pd_extreme *list, int64_t *count, int64_t room, double sign, double value, int64_t number)
{
    if (*count == room && !(sign * value > sign * list[room - 1].value))
        return;
    int64_t at = *count < room ? (*count)++ : room - 1;
    for (; at > 0 && sign * value > sign * list[at - 1].value; at--)
        list[at] = list[at - 1];
    list[at] = (pd_extreme){ value, number };
}

void pd_ranking_add(pd_ranking *r, double value, int64_t number)
{
    if (value > 0)
        insert(r->largest, &r->most, r->room, 1, value, number);
    else if (value < 0)
        insert(r->smallest, &r->least, r->room, -1, value, number);
}
