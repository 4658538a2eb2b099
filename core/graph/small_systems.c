/* Eight systems in the lanes of vectors (small_systems.h): every operation is one of vectors, whatever the size of the systems. */
#include "graph/small_systems.h"
#include <math.h>
#include <stdbool.h>
#include <pudle/elementwise.h>

typedef double side __attribute__((vector_size(8 * PD_SIDE), aligned(sizeof(double)), may_alias));
typedef int64_t sides __attribute__((vector_size(8 * PD_SIDE), aligned(sizeof(double))));

#define ABSOLUTE(v) ((side)((sides)(v) & INT64_MAX))
#define ROW(i) (l + (i) * ((i) + 1) / 2)

/* l (lower triangles of A) becomes L, with 1 / d in its diagonal. Four columns at a time; column[h][i]: those of L diag(d). */
PUDLE_CLONES static void factor(double *a, int64_t n, double *room)
{
    side *const l = (side *)(void *)a, *const columns = (side *)(void *)room;
    side *const column[] = { columns, columns + n, columns + 2 * n, columns + 3 * n };
    for (int64_t first = 0; first < n; first += 4) {
        const int64_t next = first + 4 < n ? first + 4 : n;
        for (int64_t j = first; j < next; j++) {
            side *const here = column[j - first], one = { 0 };
            for (int64_t i = j; i < n; i++) {
                side value = ROW(i)[j];
                for (int64_t h = first; h < j; h++)
                    value -= ROW(i)[h] * column[h - first][j];
                here[i] = value;
                if (i == j)
                    one = ROW(i)[j] = 1.0 / value;
                else
                    ROW(i)[j] = value * one;
            }
        }
        if (next < first + 4)
            return;
        for (int64_t i = next; i < n; i++) {
            side *const to = ROW(i);
            const side l0 = to[first], l1 = to[first + 1], l2 = to[first + 2], l3 = to[first + 3];
            for (int64_t k = next; k <= i; k++)
                to[k] -= (l0 * column[0][k] + l1 * column[1][k]) + (l2 * column[2][k] + l3 * column[3][k]);
        }
    }
}

/* x <- A^-1 x; y <- M^-T diag(d)^-1 M^-1 y */
PUDLE_CLONES static void substitute(const double *a, int64_t n, double *x_, double *y_)
{
    const side *const l = (const side *)(const void *)a;
    side *const x = (side *)(void *)x_, *const y = (side *)(void *)y_;
    for (int64_t i = 0; i < n; i++) {
        const side *const row = ROW(i);
        side even = x[i], odd = { 0 }, most = y[i], other = { 0 };
        int64_t k = 0;
        for (; k + 2 <= i; k += 2) {
            even -= row[k] * x[k];
            odd -= row[k + 1] * x[k + 1];
            most += ABSOLUTE(row[k]) * y[k];
            other += ABSOLUTE(row[k + 1]) * y[k + 1];
        }
        if (k < i) {
            even -= row[k] * x[k];
            most += ABSOLUTE(row[k]) * y[k];
        }
        x[i] = even + odd;
        y[i] = most + other;
    }
    for (int64_t i = 0; i < n; i++) {
        x[i] *= ROW(i)[i];
        y[i] *= ABSOLUTE(ROW(i)[i]);
    }
    for (int64_t i = n - 1; i > 0; i--) {
        const side *const row = ROW(i);
        const side xi = x[i], yi = y[i];
        for (int64_t k = 0; k < i; k++) {
            x[k] -= row[k] * xi;
            y[k] += ABSOLUTE(row[k]) * yi;
        }
    }
}

void pd_small_solve(double *a, int64_t n, const int64_t size[PD_SIDE], double *x, double *work, double bound[PD_SIDE])
{
    double trace[PD_SIDE] = { 0 }, *const y = work;
    for (int lane = 0; lane < PD_SIDE; lane++)
        for (int64_t i = 0; i < n; i++) {
            trace[lane] += i < size[lane] ? a[pd_small_at(i, i, lane)] : 0;
            y[i * PD_SIDE + lane] = i < size[lane];
        }
    factor(a, n, work + n * PD_SIDE);
    substitute(a, n, x, y);
    for (int lane = 0; lane < PD_SIDE; lane++) {
        double most = 0;
        bool positive = true;
        for (int64_t i = 0; i < size[lane]; i++) {
            const double inverse = a[pd_small_at(i, i, lane)], at = y[i * PD_SIDE + lane];
            positive = positive && inverse > 0 && at >= 0;
            most = at > most ? at : most;
        }
        bound[lane] = positive ? sqrt((double)size[lane]) * trace[lane] * most : INFINITY;
    }
}
