/* Linear assignment by shortest augmenting paths with dual prices.
 * Source: Jonker and Volgenant, "A shortest augmenting path algorithm for dense and sparse linear assignment problems",
 * Computing 38, 1987; the search as in Crouse, "On implementing 2D rectangular assignment algorithms", 2016.
 *
 * Invariant: cost[i][j] - row_price[i] - column_price[j] >= 0 everywhere, and = 0 for assigned pairs. */
#include "measure/measure.h"
#include <math.h>
#include <stdlib.h>

#define PD_COST_LIMIT 1e100 /* sums of prices stay far from overflow */

typedef struct solver {
    int64_t n;
    const double *cost;
    int64_t *column, *row; /* of each row, of each column; -1: free */
    double *row_price, *column_price;
    double *distance;      /* of each column from the row the search began at */
    int64_t *previous;     /* row before each column on its shortest path */
    int64_t *open;         /* columns the search has not reached yet */
} solver;

/* Prices from the column minima; a column whose cheapest row is free takes it. Most rows of an easy problem end here. */
static void reduce_columns(solver *s)
{
    for (int64_t j = 0; j < s->n; j++) {
        s->column_price[j] = s->cost[j];
        s->previous[j] = 0;
        s->row[j] = s->column[j] = -1;
        s->row_price[j] = 0;
    }
    for (int64_t i = 1; i < s->n; i++)
        for (int64_t j = 0; j < s->n; j++)
            if (s->cost[i * s->n + j] < s->column_price[j]) {
                s->column_price[j] = s->cost[i * s->n + j];
                s->previous[j] = i;
            }
    for (int64_t j = 0; j < s->n; j++) {
        const int64_t i = s->previous[j];
        if (s->column[i] < 0) {
            s->column[i] = j;
            s->row[j] = i;
        }
    }
}

/* Dijkstra over reduced costs from a free row to the nearest free column. `open` is left as [still open | reached], the
 * reached columns from *reached to the end. */
static int64_t search(solver *s, int64_t from, int64_t *reached, double *length)
{
    int64_t left = s->n, i = from;
    double so_far = 0;
    for (int64_t j = 0; j < s->n; j++) {
        s->open[j] = j;
        s->distance[j] = INFINITY;
    }
    for (;;) {
        const double *cost = s->cost + i * s->n;
        const double base = so_far - s->row_price[i];
        double best = INFINITY;
        int64_t place = 0;
        for (int64_t k = 0; k < left; k++) {
            const int64_t j = s->open[k];
            const double d = base + cost[j] - s->column_price[j];
            if (d < s->distance[j]) {
                s->distance[j] = d;
                s->previous[j] = i;
            }
            if (s->distance[j] < best || (s->distance[j] == best && s->row[j] < 0)) {
                best = s->distance[j];
                place = k;
            }
        }
        const int64_t j = s->open[place];
        so_far = best;
        s->open[place] = s->open[--left];
        s->open[left] = j;
        if (s->row[j] < 0) {
            *reached = left;
            *length = so_far;
            return j;
        }
        i = s->row[j];
    }
}

/* Keep the invariant after a search, then turn the path round. */
static void augment(solver *s, int64_t from, int64_t to, int64_t reached, double length)
{
    s->row_price[from] += length;
    for (int64_t k = reached; k < s->n; k++) {
        const int64_t j = s->open[k];
        const double slack = length - s->distance[j];
        if (s->row[j] >= 0)
            s->row_price[s->row[j]] += slack;
        s->column_price[j] -= slack;
    }
    for (int64_t j = to, i = -1; i != from;) {
        i = s->previous[j];
        s->row[j] = i;
        const int64_t next = s->column[i];
        s->column[i] = j;
        j = next;
    }
}

static void solve(solver *s)
{
    reduce_columns(s);
    for (int64_t i = 0; i < s->n; i++) {
        if (s->column[i] >= 0)
            continue;
        int64_t reached = 0;
        double length = 0;
        const int64_t to = search(s, i, &reached, &length);
        augment(s, i, to, reached, length);
    }
}

pudle_status pd_assign(pd_context *ctx, int64_t n, const double *cost, int64_t *column)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            if (!(fabs(cost[i * n + j]) < PD_COST_LIMIT))
                return pd_fail(ctx, PUDLE_ERR_ARG, "assignment: the cost of row %lld, column %lld is %g, the limit is %g",
                               (long long)i, (long long)j, cost[i * n + j], PD_COST_LIMIT);
    const size_t size = (size_t)(n > 0 ? n : 1);
    double *real = pd_alloc(size, 3 * sizeof *real);
    int64_t *whole = pd_alloc(size, 4 * sizeof *whole);
    pudle_status status = PUDLE_OK;
    if (!real || !whole) {
        status = pd_fail(ctx, PUDLE_ERR_NOMEM, "out of memory for an assignment of %lld atoms", (long long)n);
        goto cleanup;
    }
    solver s = { .n = n, .cost = cost, .row_price = real, .column_price = real + n, .distance = real + 2 * n,
                 .column = whole, .row = whole + n, .previous = whole + 2 * n, .open = whole + 3 * n };
    solve(&s);
    for (int64_t i = 0; i < n; i++)
        column[i] = s.column[i];
cleanup:
    free(real);
    free(whole);
    return status;
}
