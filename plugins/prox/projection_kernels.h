/* Loops of projection.h for one type. Included twice, with REAL float and double and NAME(x) giving each function its suffix. Sums
 * are double. */

static inline projection_cut NAME(projection_find)(const REAL *v, const code_sets *c, bool simplex, double r)
{
    projection_cut cut = { 0, r, 0, false };
    double sum = 0;
    for (int64_t j = 0; j < c->length; j++) {
        const double v_j = (double)v[j * c->stride], x = simplex ? v_j : fabs(v_j);
        sum += x;
        cut.largest = j == 0 || x > cut.largest ? x : cut.largest;
    }
    cut.inside = !simplex && sum <= r;
    if (cut.inside)
        return cut;
    if (!(sum - sum == 0)) { /* NaN or infinite */
        cut.below = (double)NAN;
        return cut;
    }
    for (;;) { /* `below` falls to the root: with one entry alone it would be r */
        double excess = 0;
        int64_t active = 0;
        for (int64_t j = 0; j < c->length; j++) {
            const double v_j = (double)v[j * c->stride], under = (simplex ? v_j : fabs(v_j)) - cut.largest;
            active += cut.below + under > 0;
            excess += cut.below + under > 0 ? under : 0;
        }
        cut.active = active;
        const double next = active ? (r - excess) / (double)active : cut.below;
        if (!(next < cut.below))
            return cut;
        cut.below = next;
    }
}

static inline void NAME(projection_apply)(const code_sets *c, bool simplex, double r, const pudle_cview *v, const pudle_view *p)
{
    for (int64_t i = 0; i < c->count; i++) {
        const int64_t at = code_set_start(c, i);
        const REAL *in = (const REAL *)v->data + at;
        REAL *out = (REAL *)p->data + at;
        const projection_cut cut = NAME(projection_find)(in, c, simplex, r);
        for (int64_t j = 0; j < c->length; j++) {
            const double x = (double)in[j * c->stride], left = cut.below + ((simplex ? x : fabs(x)) - cut.largest);
            out[j * c->stride] = cut.inside ? in[j * c->stride] : left <= 0 ? 0 : (REAL)(simplex ? left : copysign(left, x));
        }
    }
}

/* Returns (dp/dr)' g. Sums before stores: gv may be g. */
static inline double NAME(projection_vjp)(const code_sets *c, bool simplex, double r, const pudle_cview *v, const pudle_cview *g, const pudle_view *gv)
{
    double total = 0;
    for (int64_t i = 0; i < c->count; i++) {
        const int64_t at = code_set_start(c, i);
        const REAL *in = (const REAL *)v->data + at, *up = (const REAL *)g->data + at;
        REAL *out = (REAL *)gv->data + at;
        const projection_cut cut = NAME(projection_find)(in, c, simplex, r);
        double mean = 0;
        for (int64_t j = 0; j < c->length && !cut.inside; j++) {
            const double x = (double)in[j * c->stride], left = cut.below + ((simplex ? x : fabs(x)) - cut.largest);
            const double toward = simplex || x > 0 ? (double)up[j * c->stride] : -(double)up[j * c->stride];
            mean += left <= 0 ? 0 : toward;
        }
        mean = cut.active ? mean / (double)cut.active : cut.below * 0; /* NaN where there is no projection */
        for (int64_t j = 0; j < c->length; j++) {
            const double x = (double)in[j * c->stride], left = cut.below + ((simplex ? x : fabs(x)) - cut.largest);
            const double back = simplex || x > 0 ? mean : -mean;
            out[j * c->stride] = cut.inside ? up[j * c->stride] : left <= 0 ? 0 : (REAL)((double)up[j * c->stride] - back);
        }
        total += cut.inside ? 0 : mean;
    }
    return total;
}
