/* Systems of equations solved in the plainest way, for tests of what solves them otherwise. */
#ifndef TESTS_ELIMINATION_H
#define TESTS_ELIMINATION_H

#include <math.h>
#include <stdint.h>

/* b (n, c) <- a^-1 b, by elimination with the largest pivot; a (n, n) is changed. */
static inline void eliminate(int64_t n, int64_t c, double *a, double *b)
{
    for (int64_t k = 0; k < n; k++) {
        int64_t best = k;
        for (int64_t i = k + 1; i < n; i++)
            best = fabs(a[i * n + k]) > fabs(a[best * n + k]) ? i : best;
        for (int64_t j = 0; j < n; j++) {
            const double held = a[k * n + j];
            a[k * n + j] = a[best * n + j];
            a[best * n + j] = held;
        }
        for (int64_t j = 0; j < c; j++) {
            const double held = b[k * c + j];
            b[k * c + j] = b[best * c + j];
            b[best * c + j] = held;
        }
        for (int64_t i = 0; i < n; i++) {
            const double factor = i == k ? 0 : a[i * n + k] / a[k * n + k];
            for (int64_t j = 0; j < n; j++)
                a[i * n + j] -= factor * a[k * n + j];
            for (int64_t j = 0; j < c; j++)
                b[i * c + j] -= factor * b[k * c + j];
        }
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < c; j++)
            b[i * c + j] /= a[i * n + i];
}

#endif
