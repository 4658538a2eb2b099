#include "measure/cholesky.h"
#include <math.h>
#include <pudle/elementwise.h>

PUDLE_CLONES int64_t pd_cholesky(double *a, int64_t n, double *column)
{
    for (int64_t j = 0; j < n; j++) {
        const double pivot = a[j * n + j];
        if (!(pivot > 0) || isinf(pivot))
            return j;
        const double root = sqrt(pivot);
        a[j * n + j] = root;
        for (int64_t i = j + 1; i < n; i++)
            column[i] = a[i * n + j] /= root;
        for (int64_t i = j + 1; i < n; i++) {
            const double l = column[i];
            double *to = a + i * n;
            for (int64_t k = j + 1; k <= i; k++)
                to[k] -= l * column[k];
        }
    }
    return -1;
}
