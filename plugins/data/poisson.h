/* Poisson random numbers, exact up to the rounding of double: sequential inversion for small means, transformed rejection
 * for large ones.
 * Source: W. Hoermann, "The transformed rejection method for generating Poisson random variables", Insurance: Mathematics
 * and Economics 12 (1993) 39-45, algorithm PTRS. */
#ifndef POISSON_H
#define POISSON_H

#include <pudle/random.h>

#define POISSON_MOST 1e9 /* mean; beyond, log(mean^k e^-mean / k!) loses its digits */

/** log k! for a whole k >= 0: Stirling's series at x = k + 1, moved up to where it has full precision. */
static inline double poisson_log_factorial(double k)
{
    double x = k + 1, product = 1;
    for (; x < 10; x++)
        product *= x;
    const double r = 1 / x, r2 = r * r; /* log Gamma(x) = (x - 1/2) log x - x + log(2 pi)/2 + 1/(12 x) - ... */
    const double series = r * (1.0 / 12 - r2 * (1.0 / 360 - r2 * (1.0 / 1260 - r2 * (1.0 / 1680 - r2 / 1188))));
    return (x - 0.5) * log(x) - x + 0.91893853320467274178 + series - log(product);
}

/** The least k whose distribution function exceeds a uniform number. */
static inline double poisson_small(pudle_random *r, double mean)
{
    double u = pudle_random_uniform(r), p = exp(-mean), k = 0;
    while (u >= p && p > 0) { /* p = 0: rounding has left over a bit of u beyond the last possible k */
        u -= p;
        k++;
        p *= mean / k;
    }
    return k;
}

/** PTRS, for means of 10 and more. */
static inline double poisson_large(pudle_random *r, double mean)
{
    const double b = 0.931 + 2.53 * sqrt(mean), a = -0.059 + 0.02483 * b;
    const double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4), v_r = 0.9277 - 3.6224 / (b - 2), log_mean = log(mean);
    for (;;) {
        const double u = pudle_random_uniform(r) - 0.5, v = 1 - pudle_random_uniform(r), s = 0.5 - fabs(u);
        const double k = floor((2 * a / s + b) * u + mean + 0.43); /* s = 0: u = -1/2, k = -inf */
        if (s >= 0.07 && v <= v_r)
            return k;
        if (k < 0 || (s < 0.013 && v > s))
            continue;
        if (log(v * inverse_alpha / (a / (s * s) + b)) <= k * log_mean - mean - poisson_log_factorial(k))
            return k;
    }
}

/** A draw with the given mean in [0, POISSON_MOST]. */
static inline double poisson_draw(pudle_random *r, double mean)
{
    return mean < 10 ? poisson_small(r, mean) : poisson_large(r, mean);
}

#endif
