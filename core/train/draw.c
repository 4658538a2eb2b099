/* Unit vectors and drawing without replacement. */
#include "train/draw.h"
#include "train/streams.h"
#include <math.h>

double pd_unit_vector(double *v, int64_t m)
{
    double largest = 0, sum = 0, total = 0;
    for (int64_t i = 0; i < m; i++) {
        largest = fmax(largest, fabs(v[i]));
        total += v[i];
    }
    if (isnan(total) || isinf(largest))
        return NAN;
    if (largest == 0)
        return 0;
    for (int64_t i = 0; i < m; i++)
        sum += (v[i] / largest) * (v[i] / largest); /* squares neither overflow nor vanish */
    const double norm = sqrt(sum);
    for (int64_t i = 0; i < m; i++)
        v[i] = v[i] / largest / norm;
    return norm * largest;
}

void pd_random_atom(uint64_t seed, int64_t index, int64_t m, double *v)
{
    pudle_random random = pudle_random_at(seed, PD_STREAM_INIT, 0, (uint64_t)index);
    do {
        for (int64_t i = 0; i < m; i++)
            v[i] = pudle_random_normal(&random);
    } while (!(pd_unit_vector(v, m) > 0)); /* all zero: once in an eternity */
}

void pd_draw_next(pudle_random *random, int64_t *item, int64_t n, int64_t at)
{
    const int64_t other = at + (int64_t)pudle_random_below(random, (uint64_t)(n - at)), drawn = item[other];
    item[other] = item[at];
    item[at] = drawn;
}

void pd_atoms_to_columns(const double *atoms, int64_t m, int64_t p, double *d)
{
    for (int64_t j = 0; j < p; j++)
        for (int64_t i = 0; i < m; i++)
            d[i * p + j] = atoms[j * m + i];
}
