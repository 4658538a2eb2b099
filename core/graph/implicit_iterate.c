/* u by conjugate gradients, for any map, prox and inner loss, on any backend: only J, D, H and D' are applied.
 *
 * With w = J y the equation w = J (d + (I - alpha B) w) becomes
 *   A y = J d,   A = J - J^2 + alpha J B J,
 * which is symmetric, J being so, and positive on the range of J where J <= I and B >= 0. All vectors stay in that range, so nothing
 * needs an inverse of J: it serves thresholds (J a mask), curved penalties (J between 0 and 1) and operators that tie entries together
 * (J no diagonal). A block's samples go side by side, each with step lengths of its own. */
#include "graph/implicit.h"
#include <float.h>
#include <math.h>

enum { RHO, ENOUGH, LEAST, MOST, SCALARS }; /* of a sample: <r, r>, where it is small enough, smallest and largest curvature met */

static pudle_view place(const pd_block *b, int which)
{
    return pd_rows(&b->space->implicit->code[which], 0, b->rows);
}

static pudle_status row_dot(const pd_block *b, const pudle_view *x, const pudle_view *y, int64_t i, double *sum)
{
    const pudle_view xi = pd_rows(x, i, 1), yi = pd_rows(y, i, 1);
    const pudle_cview cx = pudle_const(&xi), cy = pudle_const(&yi);
    return b->net->be->dot(b->exec, &cx, &cy, sum);
}

static pudle_status row_axpby(const pd_block *b, double a, const pudle_view *x, double c, const pudle_view *y, int64_t i)
{
    const pudle_view xi = pd_rows(x, i, 1), yi = pd_rows(y, i, 1);
    const pudle_cview cx = pudle_const(&xi);
    return b->net->be->axpby(b->exec, a, &cx, c, &yi);
}

static pudle_status row_fill(const pd_block *b, const pudle_view *x, int64_t i)
{
    const pudle_view xi = pd_rows(x, i, 1);
    return b->net->be->fill(b->exec, 0.0, &xi);
}

/* A p, into DIRECTION. */
static pudle_status apply(const pd_block *b, const pudle_view *estimate)
{
    const pd_network *net = b->net;
    const pudle_view h = pd_rows(&b->space->implicit->data[PD_IMPLICIT_H], 0, b->rows), p = place(b, PD_IMPLICIT_P),
                     out = place(b, PD_IMPLICIT_DIRECTION), sum = place(b, PD_IMPLICIT_JACOBIAN);
    const pudle_cview w = pudle_const(&net->effective.value), cp = pudle_const(&p), cj = pudle_const(&out), ch = pudle_const(&h);
    pudle_status s = pd_implicit_jacobian(b, &p, &out, NULL); /* J p */
    if (!s)
        s = net->map.ops->apply(&net->map, b->exec, &w, &cj, &h);
    if (!s)
        s = pd_implicit_hessian(b, estimate, &h);
    if (!s)
        s = net->be->copy(b->exec, &cp, &sum);
    if (!s)
        s = net->be->axpby(b->exec, -1.0, &cj, 1.0, &sum);
    if (!s)
        s = net->map.ops->adjoint(&net->map, b->exec, &w, net->alpha[net->layers - 1], &ch, 1.0, &sum);
    return s ? s : pd_implicit_jacobian(b, &sum, &out, NULL);
}

/* A sample stops: converged, or reported, or no number any more (the gradient then is none either). */
static pudle_status stop(const pd_block *b, int64_t i, int64_t *running)
{
    const pudle_view p = place(b, PD_IMPLICIT_P);
    b->space->implicit->row[SCALARS * i + RHO] = 0;
    --*running;
    return row_fill(b, &p, i);
}

static pudle_status give_up(const pd_block *b, int64_t i, double condition, int64_t *running)
{
    const pudle_view y = place(b, PD_IMPLICIT_U);
    pd_implicit_report(b, i, condition);
    const pudle_status s = row_fill(b, &y, i);
    return s ? s : stop(b, i, running);
}

/* One step of one sample, A p being in DIRECTION: y += c p, r -= c A p, p = r + (new <r, r> / old) p. */
static pudle_status advance(const pd_block *b, int64_t i, int64_t *running)
{
    const pudle_view y = place(b, PD_IMPLICIT_U), r = place(b, PD_IMPLICIT_RESIDUAL), p = place(b, PD_IMPLICIT_P),
                     change = place(b, PD_IMPLICIT_DIRECTION);
    double *row = b->space->implicit->row + SCALARS * i, bend = 0, size = 0, rho = 0;
    pudle_status s = row_dot(b, &p, &change, i, &bend);
    if (!s)
        s = row_dot(b, &p, &p, i, &size);
    if (s)
        return s;
    if (!isfinite(bend))
        return stop(b, i, running);
    row[LEAST] = fmin(row[LEAST], bend / size);
    row[MOST] = fmax(row[MOST], bend / size);
    if (!(row[LEAST] > 0) || row[MOST] > PD_CONDITION_LIMIT * row[LEAST])
        return give_up(b, i, row[LEAST] > 0 ? row[MOST] / row[LEAST] : INFINITY, running);
    s = row_axpby(b, row[RHO] / bend, &p, 1.0, &y, i);
    if (!s)
        s = row_axpby(b, -row[RHO] / bend, &change, 1.0, &r, i);
    if (!s)
        s = row_dot(b, &r, &r, i, &rho);
    if (s)
        return s;
    if (!(rho > row[ENOUGH]))
        return stop(b, i, running);
    const double turn = rho / row[RHO];
    row[RHO] = rho;
    return row_axpby(b, 1.0, &r, turn, &p, i);
}

/* Small enough: a share of the first residual, or what rounding leaves of J d, which may be all of it (one entry alone on the l1 ball). */
static pudle_status begin(const pd_block *b, int64_t *running)
{
    const bool wide = b->net->dtype == PUDLE_F64;
    const double tolerance = wide ? 1e-12 : 1e-6, rounding = 64 * (wide ? DBL_EPSILON : (double)FLT_EPSILON);
    const pudle_backend_ops *be = b->net->be;
    const pudle_view y = place(b, PD_IMPLICIT_U), r = place(b, PD_IMPLICIT_RESIDUAL), p = place(b, PD_IMPLICIT_P),
                     d = pd_rows(&b->space->adjoint, 0, b->rows);
    const pudle_cview cr = pudle_const(&r);
    pudle_status s = be->fill(b->exec, 0.0, &y);
    if (!s)
        s = pd_implicit_jacobian(b, &d, &r, NULL);
    if (!s)
        s = be->copy(b->exec, &cr, &p);
    *running = b->rows;
    for (int64_t i = 0; i < b->rows && !s; i++) {
        double *row = b->space->implicit->row + SCALARS * i, size = 0;
        row[LEAST] = INFINITY;
        row[MOST] = 0;
        s = row_dot(b, &r, &r, i, &row[RHO]);
        if (!s)
            s = row_dot(b, &d, &d, i, &size);
        row[ENOUGH] = fmax(tolerance * tolerance * row[RHO], rounding * rounding * size);
        if (!s && !(row[RHO] > row[ENOUGH]))
            s = stop(b, i, running);
    }
    return s;
}

/* In exact arithmetic as many rounds as the code has entries are enough. */
static int64_t most_rounds(const pd_network *net)
{
    const int64_t rounds = net->map.code > 1000 ? 10000 : 10 * net->map.code;
    return rounds < 100 ? 100 : rounds;
}

pudle_status pd_implicit_iterate(const pd_block *b, const pudle_view *estimate)
{
    const pudle_view y = place(b, PD_IMPLICIT_U), w = place(b, PD_IMPLICIT_DIRECTION);
    const double *rows = b->space->implicit->row;
    const pudle_cview cw = pudle_const(&w);
    int64_t running = 0;
    pudle_status s = begin(b, &running);
    for (int64_t round = 0; running > 0 && !s; round++) {
        s = apply(b, estimate);
        for (int64_t i = 0; i < b->rows && !s; i++) {
            const double *row = rows + SCALARS * i;
            if (row[RHO] > 0)
                s = round < most_rounds(b->net) ? advance(b, i, &running) : give_up(b, i, row[MOST] / row[LEAST], &running);
        }
    }
    if (!s) /* u = alpha J y */
        s = pd_implicit_jacobian(b, &y, &w, NULL);
    return s ? s : b->net->be->axpby(b->exec, b->net->alpha[b->net->layers - 1], &cw, 0.0, &y);
}
