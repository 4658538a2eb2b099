/* Groups of consecutive atoms that are on or off together. In a convolutional code a group is its atoms at one position.
 *
 *   u = v, or max(v - s, 0), or sign(v) max(|v| - s, 0);     p_g = u_g max(1 - t w_g / ||u_g||, 0).
 *
 * With y = t w_g / ||u_g|| and o = u_g / ||u_g||:  dp_g/du_g = (1 - y) I + y o o',  dp_g/dt = -w_g o;  0 where ||u_g|| <= t w_g.
 * A level with a value for each atom is taken in its mean over the group, s atom by atom. A NaN spoils its whole group. */
#ifndef GROUPS_H
#define GROUPS_H

#include "kept.h"

enum { WEIGHT_ROOT = 0, WEIGHT_ONE = 1 };

typedef struct group_options {
    int64_t size;
    pudle_int_list sizes;
    int32_t weight;
} group_options;

/* Rows of an option table; MEMBER is the group_options inside PARAMS. */
#define GROUP_OPTIONS(PARAMS, MEMBER)                                                                                           \
    { .name = "size", .type = PUDLE_INT, .offset = offsetof(PARAMS, MEMBER.size), .min = 1, .max = 16777216,                    \
      .doc = "Atoms in a group; the number of atoms must be a multiple. Give size or sizes." },                                 \
    { .name = "sizes", .type = PUDLE_INT_LIST, .offset = offsetof(PARAMS, MEMBER.sizes), .min = 1, .max = 16777216,             \
      .doc = "Atoms in each group, in order; the sum is the number of atoms." },                                                \
    { .name = "weight", .type = PUDLE_ENUM, .offset = offsetof(PARAMS, MEMBER.weight), .dflt = "sqrt", .choices = "sqrt|one",   \
      .doc = "Weight of a group's norm: the square root of its size, so that large groups are not favoured, or 1." }

/* One call: how groups shrink. */
typedef struct group_rule {
    const group_options *o;
    bool positive;             /* negative entries are cut off first */
    const pudle_cview *within; /* s, the level of the soft threshold inside groups; NULL: none */
    const pudle_cview *across; /* t */
} group_rule;

static inline pudle_status groups_check(const pudle_host *host, const group_options *o)
{
    if ((o->size > 0) == (o->sizes.count > 0))
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "the groups are given %s: write size or sizes, one of the two",
                          o->size > 0 ? "twice" : "nowhere");
    return PUDLE_OK;
}

static inline pudle_status groups_fit(const kept *self, const group_options *o, const pudle_cview *v)
{
    const int64_t atoms = pudle_code_shape_of(v).atoms;
    int64_t sum = 0;
    for (int64_t g = 0; g < o->sizes.count; g++)
        sum += o->sizes.item[g];
    if (o->sizes.count > 0 && sum != atoms)
        return self->host->fail(self->host->ctx, PUDLE_ERR_ARG, "sizes add up to %lld, and the dictionary has %lld atoms: every atom needs one group",
                                (long long)sum, (long long)atoms);
    if (o->sizes.count == 0 && atoms % o->size)
        return self->host->fail(self->host->ctx, PUDLE_ERR_ARG, "size = %lld does not divide the %lld atoms of the dictionary: choose a divisor, or give sizes",
                                (long long)o->size, (long long)atoms);
    return PUDLE_OK;
}

static inline int64_t group_size(const group_options *o, int64_t g)
{
    return o->sizes.count > 0 ? o->sizes.item[g] : o->size;
}

static inline double group_weight(const group_options *o, int64_t n)
{
    return o->weight == WEIGHT_ROOT ? sqrt((double)n) : 1;
}

/* t w_g for the group of n atoms from `first`. */
static inline double group_level(const group_rule *r, int64_t first, int64_t n)
{
    return tied_level(r->across, first, n) * group_weight(r->o, n);
}

/* What u is multiplied by. Where the level is 0 a group of norm 0 is no kink. */
static inline double group_factor(double norm, double level)
{
    return norm <= level ? (level > 0 ? 0 : 1) : 1 - level / norm;
}

enum { GROUP_BLOCK = 64 }; /* positions that are worked on together */

#define REAL float
#define NAME(x) x##_f32
#include "groups_kernels.h"
#undef NAME
#undef REAL
#define REAL double
#define NAME(x) x##_f64
#include "groups_kernels.h"
#undef NAME
#undef REAL

static inline pudle_status groups_apply(const kept *self, const group_rule *r, const pudle_cview *v, const pudle_view *p)
{
    const pudle_status s = pudle_count(v) ? groups_fit(self, r->o, v) : PUDLE_OK;
    if (s || pudle_count(v) == 0)
        return s;
    if (v->dtype == PUDLE_F64)
        groups_apply_f64(r, v, p);
    else
        groups_apply_f32(r, v, p);
    return s;
}

/* gwithin and gacross: NULL if not wanted. */
static inline pudle_status groups_vjp(const kept *self, const group_rule *r, const pudle_cview *v, const pudle_cview *g, const pudle_view *gv,
                                      const pudle_view *gwithin, const pudle_view *gacross)
{
    const pudle_status s = pudle_count(v) ? groups_fit(self, r->o, v) : PUDLE_OK;
    if (s || pudle_count(v) == 0)
        return s;
    if (v->dtype == PUDLE_F64)
        groups_vjp_f64(r, v, g, gv, gwithin, gacross);
    else
        groups_vjp_f32(r, v, g, gv, gwithin, gacross);
    return s;
}

/* t sum_g w_g ||p_g|| + s ||p||_1. */
static inline pudle_status groups_value(const kept *self, const group_rule *r, const pudle_cview *p, double *f)
{
    const pudle_code_shape c = pudle_code_shape_of(p);
    const pudle_status s = pudle_count(p) ? groups_fit(self, r->o, p) : PUDLE_OK;
    double sum = 0;
    if (s)
        return s;
    for (int64_t b = 0; b < c.batch && c.inner; b++)
        for (int64_t first = 0, g = 0, n; first < c.atoms; first += n, g++) {
            n = group_size(r->o, g);
            for (int64_t i = 0; i < c.inner; i++) {
                double square = 0;
                for (int64_t a = first; a < first + n; a++) {
                    const double z = pudle_entry(p, (b * c.atoms + a) * c.inner + i);
                    square += z * z;
                    if (r->within)
                        sum += pudle_entry(r->within, a * pudle_level_step(r->within)) * fabs(z);
                    if (r->positive && z < 0)
                        sum += INFINITY;
                }
                sum += group_level(r, first, n) * sqrt(square);
            }
        }
    *f = sum;
    return PUDLE_OK;
}

#endif
