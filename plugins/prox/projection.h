/* Projection on the l1 ball and on the simplex of radius r. Both are a soft threshold at a level h that the set itself decides:
 *   simplex: p = max(v - h, 0), sum p = r;     ball: v where ||v||_1 <= r, else p = sign(v) max(|v| - h, 0), ||p||_1 = r.
 * With A the entries above h and s their signs (1 for the simplex): dp/dv = I_A - s s' / |A|, dp/dr = s / |A|; the identity and
 * 0 inside the ball and on its surface.
 *
 * h solves a convex, falling, piecewise linear equation; Newton's method from below meets every piece at most once, and ends at
 * the exact root of the last one. It takes few turns where sorting would take memory. A set that holds a NaN or an infinity has no
 * projection, and becomes NaN. */
#ifndef PROJECTION_H
#define PROJECTION_H

#include "kept.h"
#include "sets.h"

/* Largest distance of the sum from r, relative to r, at which p still counts as inside: what rounding leaves. A set whose entries are
 * all floats, in whatever array, has been rounded to float. */
#define PROJECTION_SLACK_FLOAT 1.5e-7
#define PROJECTION_SLACK 1e-12

/* h lies `below` under the largest entry; written so because the difference stays exact where both are large. */
typedef struct projection_cut {
    double largest, below; /* an entry x is in A if below + (x - largest) > 0, and that is what it becomes; NaN: no projection */
    int64_t active;        /* |A| */
    bool inside;
} projection_cut;

#define REAL float
#define NAME(x) x##_f32
#include "projection_kernels.h"
#undef NAME
#undef REAL
#define REAL double
#define NAME(x) x##_f64
#include "projection_kernels.h"
#undef NAME
#undef REAL

/* A radius with a value for each atom is taken in its mean. */
static inline double projection_radius(const pudle_cview *radius)
{
    return tied_level(radius, 0, pudle_count(radius));
}

static inline void projection_apply(int32_t over, bool simplex, const pudle_cview *radius, const pudle_cview *v, const pudle_view *p)
{
    const code_sets c = code_sets_of(v, over);
    if (v->dtype == PUDLE_F64)
        projection_apply_f64(&c, simplex, projection_radius(radius), v, p);
    else
        projection_apply_f32(&c, simplex, projection_radius(radius), v, p);
}

static inline void projection_vjp(int32_t over, bool simplex, const pudle_cview *radius, const pudle_cview *v, const pudle_cview *g,
                                  const pudle_view *gv, const pudle_view *gradius)
{
    const code_sets c = code_sets_of(v, over);
    const double r = projection_radius(radius);
    const double sum = v->dtype == PUDLE_F64 ? projection_vjp_f64(&c, simplex, r, v, g, gv) : projection_vjp_f32(&c, simplex, r, v, g, gv);
    if (gradius)
        tied_gradient(gradius, sum, 0, pudle_count(radius));
}

/* 0, or INFINITY outside; NaN if p holds one. */
static inline double projection_value(int32_t over, bool simplex, const pudle_cview *radius, const pudle_cview *p)
{
    const code_sets c = code_sets_of(p, over);
    const double r = projection_radius(radius);
    double value = 0;
    for (int64_t i = 0; i < c.count; i++) {
        const int64_t at = code_set_start(&c, i);
        double sum = 0;
        bool negative = false, floats = true;
        for (int64_t j = 0; j < c.length; j++) {
            const double z = pudle_entry(p, at + j * c.stride);
            sum += fabs(z);
            negative = negative || z < 0;
            floats = floats && (double)(float)z == z;
        }
        const double slack = r * (floats ? PROJECTION_SLACK_FLOAT : PROJECTION_SLACK);
        if (isnan(sum))
            value += sum;
        else if (sum > r + slack || (simplex && (negative || sum < r - slack)))
            value += INFINITY;
    }
    return value;
}

#endif
