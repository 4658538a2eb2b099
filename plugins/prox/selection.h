/* The largest entries of a set, without sorting and without memory: the bits of a float that is not negative order as its value
 * does, so the threshold is found eight bits at a time from counts. Of equal entries the first ones are taken. A NaN counts
 * as the largest. */
#ifndef SELECTION_H
#define SELECTION_H

#include <string.h>

#include "sets.h"

/* What makes an entry large. */
enum {
    BY_MAGNITUDE, /* |v| */
    BY_VALUE,     /* max(v, 0) */
    BY_PENALTY,   /* t |v| */
    BY_GAIN       /* what v costs less when it need not shrink: v^2 / 2 up to |v| = t, beyond t (|v| - t / 2) */
};

typedef struct selection {
    code_sets sets;
    int64_t most; /* entries taken of each set */
    int rule;
    const pudle_cview *level; /* t; NULL where the rule has none */
    int64_t level_step, atoms;
} selection;

static inline int64_t selection_level(const selection *q, int64_t j)
{
    return j / q->sets.per_atom % q->atoms * q->level_step;
}

#define REAL float
#define KEY uint32_t
#define NAME(x) x##_f32
#include "selection_kernels.h"
#undef NAME
#undef KEY
#undef REAL
#define REAL double
#define KEY uint64_t
#define NAME(x) x##_f64
#include "selection_kernels.h"
#undef NAME
#undef KEY
#undef REAL

/* Keep the largest entries; the others become 0. */
static inline void selection_keep(const selection *q, const pudle_cview *v, const pudle_view *p)
{
    if (v->dtype == PUDLE_F64)
        selection_keep_f64(q, v, p);
    else
        selection_keep_f32(q, v, p);
}

/* gv = g where something was kept: at p = 0 the derivative is taken as 0, unless the whole set is kept as it is. */
static inline void selection_keep_vjp(const selection *q, const pudle_cview *p, const pudle_cview *g, const pudle_view *gv)
{
    const bool all = q->most >= q->sets.length && q->rule == BY_MAGNITUDE;
    if (p->dtype == PUDLE_F64)
        selection_mask_f64(all, p, g, gv);
    else
        selection_mask_f32(all, p, g, gv);
}

/* The indicator of codes with at most so many nonzeros in each set: 0 or INFINITY; NaN if there is one. */
static inline double selection_indicator(const selection *q, const pudle_cview *p)
{
    double f = 0;
    for (int64_t i = 0; i < q->sets.count; i++) {
        const int64_t at = code_set_start(&q->sets, i);
        int64_t nonzeros = 0;
        for (int64_t j = 0; j < q->sets.length; j++) {
            const double z = pudle_entry(p, at + j * q->sets.stride);
            nonzeros += z != 0;
            if (isnan(z) || (q->rule == BY_VALUE && z < 0))
                f += isnan(z) ? z : INFINITY;
        }
        if (nonzeros > q->most)
            f += INFINITY;
    }
    return f;
}

#endif
