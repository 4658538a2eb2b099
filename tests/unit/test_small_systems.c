/* Eight small systems side by side against elimination by itself, for every size; the bound against condition numbers; lanes that do
 * not know of each other. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "graph/small_systems.h"
#include "fake_host.h"

enum { MOST = 40 };

static int64_t between(int64_t low, int64_t high)
{
    return low + (int64_t)pudle_random_below(fake_random(), (uint64_t)(high - low + 1));
}

typedef struct matrix { int64_t n; double at[MOST][MOST]; } matrix;

/* The Gram matrix of n random vectors of length 1 among `dimensions`, and some of its diagonal. */
static matrix random_matrix(int64_t n, int64_t dimensions, double diagonal)
{
    double vector[MOST][2 * MOST];
    matrix a = { .n = n };
    for (int64_t i = 0; i < n; i++) {
        double square = 0;
        for (int64_t f = 0; f < dimensions; f++) {
            vector[i][f] = normal();
            square += vector[i][f] * vector[i][f];
        }
        for (int64_t f = 0; f < dimensions; f++)
            vector[i][f] /= sqrt(square);
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < n; k++) {
            a.at[i][k] = i == k ? diagonal : 0;
            for (int64_t f = 0; f < dimensions; f++)
                a.at[i][k] += vector[i][f] * vector[k][f];
        }
    return a;
}

/* A^-1, by elimination with the largest pivot first; false: singular to working precision. */
static bool inverse(const matrix *given, matrix *out)
{
    matrix a = *given;
    *out = (matrix){ .n = a.n };
    for (int64_t i = 0; i < a.n; i++)
        out->at[i][i] = 1;
    for (int64_t j = 0; j < a.n; j++) {
        int64_t best = j;
        for (int64_t i = j; i < a.n; i++)
            best = fabs(a.at[i][j]) > fabs(a.at[best][j]) ? i : best;
        for (int64_t k = 0; k < a.n; k++) {
            const double x = a.at[j][k], y = out->at[j][k];
            a.at[j][k] = a.at[best][k];
            a.at[best][k] = x;
            out->at[j][k] = out->at[best][k];
            out->at[best][k] = y;
        }
        const double pivot = a.at[j][j];
        if (fabs(pivot) < 1e-13)
            return false;
        for (int64_t k = 0; k < a.n; k++) {
            a.at[j][k] /= pivot;
            out->at[j][k] /= pivot;
        }
        for (int64_t i = 0; i < a.n; i++) {
            const double factor = i == j ? 0 : a.at[i][j];
            for (int64_t k = 0; k < a.n; k++) {
                a.at[i][k] -= factor * a.at[j][k];
                out->at[i][k] -= factor * out->at[j][k];
            }
        }
    }
    return true;
}

static double norm1(const matrix *a)
{
    double most = 0;
    for (int64_t k = 0; k < a->n; k++) {
        double sum = 0;
        for (int64_t i = 0; i < a->n; i++)
            sum += fabs(a->at[i][k]);
        most = fmax(most, sum);
    }
    return most;
}

typedef struct group {
    matrix a[PD_SIDE];
    double d[PD_SIDE][MOST], x[PD_SIDE][MOST], bound[PD_SIDE];
} group;

static void solve(group *g)
{
    static double a[(MOST + 1) * MOST / 2 * PD_SIDE], x[MOST * PD_SIDE], work[5 * MOST * PD_SIDE];
    int64_t n = 0, size[PD_SIDE];
    for (int lane = 0; lane < PD_SIDE; lane++) {
        size[lane] = g->a[lane].n;
        n = size[lane] > n ? size[lane] : n;
    }
    assert_true(pd_small_room(n) <= (int64_t)(sizeof a / sizeof *a) && pd_small_work(n) <= (int64_t)(sizeof work / sizeof *work));
    for (int lane = 0; lane < PD_SIDE; lane++)
        for (int64_t i = 0; i < n; i++) {
            for (int64_t k = 0; k <= i; k++)
                a[pd_small_at(i, k, lane)] = i < size[lane] ? g->a[lane].at[i][k] : i == k;
            x[i * PD_SIDE + lane] = i < size[lane] ? g->d[lane][i] : 0;
        }
    pd_small_solve(a, n, size, x, work, g->bound);
    for (int lane = 0; lane < PD_SIDE; lane++)
        for (int64_t i = 0; i < size[lane]; i++)
            g->x[lane][i] = x[i * PD_SIDE + lane];
}

static group random_group(void)
{
    group g = { 0 };
    for (int lane = 0; lane < PD_SIDE; lane++) {
        const int64_t n = between(0, MOST);
        g.a[lane] = random_matrix(n, between(n ? n : 1, 2 * MOST), between(0, 1) ? 0 : pudle_random_uniform(fake_random()));
        for (int64_t i = 0; i < n; i++)
            g.d[lane][i] = normal();
    }
    return g;
}

static void solutions_and_bounds(void **state)
{
    (void)state;
    int compared = 0, cleared = 0;
    for (int round = 0; round < 100; round++) {
        group g = random_group();
        solve(&g);
        for (int lane = 0; lane < PD_SIDE; lane++) {
            const int64_t n = g.a[lane].n;
            matrix inv;
            if (!inverse(&g.a[lane], &inv))
                continue;
            const double condition = norm1(&g.a[lane]) * norm1(&inv);
            double off = 0, size = 0;
            for (int64_t i = 0; i < n; i++) {
                double x = 0;
                for (int64_t k = 0; k < n; k++)
                    x += inv.at[i][k] * g.d[lane][k];
                off = fmax(off, fabs(x - g.x[lane][i]));
                size = fmax(size, fabs(x));
            }
            if (condition < 1e10 && !(off <= 1e-14 * fmax(condition, 1) * (size + 1)))
                fail_msg("%lld unknowns, condition %.3g: off by %.3g of %.3g", (long long)n, condition, off, size);
            if (!(g.bound[lane] >= condition * (1 - 1e-6)) && condition < 1e10)
                fail_msg("%lld unknowns: a bound of %.3g, a condition number of %.3g", (long long)n, g.bound[lane], condition);
            compared += condition < 1e10;
            cleared += g.bound[lane] < 1e12;
        }
    }
    print_message("# %d compared, %d cleared by the bound\n", compared, cleared);
    assert_true(compared > 700 && cleared > compared / 2);
}

static void lanes_are_alone(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        group g = random_group(), other = random_group();
        other.a[5] = g.a[2]; /* among other neighbours, and in another place */
        memcpy(other.d[5], g.d[2], sizeof g.d[2]);
        if (round % 2) {
            other.a[4] = random_matrix(10, 20, 0);
            other.a[4].at[3][1] = NAN;
        }
        solve(&g);
        solve(&other);
        assert_memory_equal(other.x[5], g.x[2], (size_t)g.a[2].n * sizeof(double));
        assert_memory_equal(&other.bound[5], &g.bound[2], sizeof(double));
    }
}

/* Equal vectors, a matrix that is not definite, one that is not finite: no bound clears them. */
static void what_cannot_be_solved(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        group g = random_group();
        const int64_t n = between(2, MOST);
        for (int lane = 0; lane < 4; lane++)
            g.a[lane] = random_matrix(n, 2 * MOST, 0);
        for (int64_t i = 0; i < n; i++) {
            g.a[0].at[i][1] = g.a[0].at[i][0];
            g.a[0].at[1][i] = g.a[0].at[0][i];
        }
        g.a[0].at[1][1] = g.a[0].at[0][0];
        g.a[1].at[n - 1][n - 1] = -1;
        g.a[2].at[n - 1][0] = NAN;
        g.a[3].at[n - 1][n - 1] = INFINITY;
        solve(&g);
        for (int lane = 0; lane < 4; lane++)
            if (!(g.bound[lane] > 1e12) && !isnan(g.bound[lane]))
                fail_msg("lane %d of %lld unknowns: a bound of %.3g", lane, (long long)n, g.bound[lane]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(solutions_and_bounds), cmocka_unit_test(lanes_are_alone), cmocka_unit_test(what_cannot_be_solved) };
    return cmocka_run_group_tests_name("small systems", tests, NULL, NULL);
}
