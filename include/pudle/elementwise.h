/* pudle/elementwise.h - write an elementwise prox once.
 *
 * The author says how one entry is mapped; the macro makes of it the f32 and f64 host kernels, for a scalar level or a
 * level per atom, value and derivative:
 *
 *   PUDLE_PROX_ELEMENTWISE(soft_threshold, params,
 *       const bool off = pudle_abs(v) <= t;
 *       const real level = pudle_copysign(t, v), sign = pudle_copysign(1, v);
 *       *p = v - (off ? v : level);
 *       *dv = off ? 0 : 1;
 *       *dt = off ? 0 : -sign;
 *   );
 *
 * In scope: `real` (float or double), v (the input), t (theta[0], the level), tau (the step), o (const params *: the
 * options). To set: *p = prox, *dv = dp/dv, *dt = dp/dt, all three on every path. The result is `NAME_ops`, a const
 * pudle_prox_ops for the descriptor, which needs no create function. The in-place promise PUDLE_PROX_INPLACE holds.
 *
 * Three habits:
 * - NaN must go through. No comparison holds for a NaN, so let the branch taken when `a <= t` fails be the one that
 *   computes with v; a > t ? ... : 0 would hide it.
 * - Fractions need a cast, (real)0.5, or float arithmetic turns into double. Whole numbers need none.
 * - Prefer c ? x : y over finished values to if and to arithmetic inside the arms: the compiler then takes many entries
 *   at once. No #if inside the body. */
#ifndef PUDLE_ELEMENTWISE_H
#define PUDLE_ELEMENTWISE_H

#include <math.h>
#include <pudle/prox.h>

/* ------------------------------------------- functions of a float or a double */

static inline float pudle_max_f32(float a, float b) { return a > b || a != a ? a : b; }
static inline double pudle_max_f64(double a, double b) { return a > b || a != a ? a : b; }
static inline float pudle_min_f32(float a, float b) { return a < b || a != a ? a : b; }
static inline double pudle_min_f64(double a, double b) { return a < b || a != a ? a : b; }
static inline float pudle_sign_f32(float x) { return x > 0 ? 1 : x < 0 ? -1 : x; }
static inline double pudle_sign_f64(double x) { return x > 0 ? 1 : x < 0 ? -1 : x; }

/* The result has the type of the argument, in C and in C++, so a body stays in its own precision. A NaN in any argument
 * comes out again. sign(0) = 0. Whole numbers may stand beside a real: pudle_max(v - t, 0). */
#ifdef __cplusplus
#define PUDLE_REAL_FUNCTION(NAME, F32, F64)                        \
    static inline float pudle_##NAME(float x) { return F32(x); }   \
    static inline double pudle_##NAME(double x) { return F64(x); }
PUDLE_REAL_FUNCTION(abs, fabsf, fabs)
PUDLE_REAL_FUNCTION(sqrt, sqrtf, sqrt)
PUDLE_REAL_FUNCTION(exp, expf, exp)
PUDLE_REAL_FUNCTION(log, logf, log)
PUDLE_REAL_FUNCTION(sign, pudle_sign_f32, pudle_sign_f64)
#undef PUDLE_REAL_FUNCTION
static inline float pudle_copysign(float a, float b) { return copysignf(a, b); }
static inline double pudle_copysign(double a, double b) { return copysign(a, b); }
static inline float pudle_max(float a, float b) { return pudle_max_f32(a, b); }
static inline double pudle_max(double a, double b) { return pudle_max_f64(a, b); }
static inline float pudle_min(float a, float b) { return pudle_min_f32(a, b); }
static inline double pudle_min(double a, double b) { return pudle_min_f64(a, b); }
#else
#define pudle_abs(x) _Generic((x), float: fabsf, double: fabs)(x)
#define pudle_sqrt(x) _Generic((x), float: sqrtf, double: sqrt)(x)
#define pudle_exp(x) _Generic((x), float: expf, double: exp)(x)
#define pudle_log(x) _Generic((x), float: logf, double: log)(x)
#define pudle_sign(x) _Generic((x), float: pudle_sign_f32, double: pudle_sign_f64)(x)
#define pudle_copysign(a, b) _Generic((a) + (b), float: copysignf, double: copysign)(a, b)
#define pudle_max(a, b) _Generic((a) + (b), float: pudle_max_f32, double: pudle_max_f64)(a, b)
#define pudle_min(a, b) _Generic((a) + (b), float: pudle_min_f32, double: pudle_min_f64)(a, b)
#endif

/* ------------------------------------------------------- how codes meet levels */

/** Batch, atoms and what lies inside an atom (1 for dense codes, positions for convolutional ones). */
typedef struct pudle_code_shape { int64_t batch, atoms, inner; } pudle_code_shape;

static inline pudle_code_shape pudle_code_shape_of(const pudle_cview *v)
{
    pudle_code_shape s = { 1, 1, 1 };
    if (v->rank == 1) {
        s.atoms = v->shape[0];
    } else if (v->rank > 1) {
        s.batch = v->shape[0];
        s.atoms = v->shape[1];
        for (int32_t i = 2; i < v->rank; i++)
            s.inner *= v->shape[i];
    }
    return s;
}

/** A code as runs of consecutive entries, as long as the levels allow: run r has the one level number r % levels or, if
 *  `along`, entry i of every run has level i.
 *  scalar level: one run;  dense, per atom: a run per sample, along;  convolutional, per atom: a run per sample and atom. */
typedef struct pudle_code_runs { int64_t runs, length, levels; bool along; } pudle_code_runs;

static inline pudle_code_runs pudle_code_runs_of(const pudle_cview *v, const pudle_cview *level)
{
    const pudle_code_shape s = pudle_code_shape_of(v);
    pudle_code_runs c = { 1, s.batch * s.atoms * s.inner, 1, false };
    if (c.length == 0) {
        c.runs = 0;
    } else if (pudle_count(level) > 1) {
        c.along = s.inner == 1;
        c.runs = c.along ? s.batch : s.batch * s.atoms;
        c.length = c.along ? s.atoms : s.inner;
        c.levels = s.atoms;
    }
    return c;
}

/** A pudle_prox_ops.dead_zone: entries with |v| <= theta[0] become 0. */
static inline double pudle_dead_zone_level(const void *self, double tau, const double *theta)
{
    (void)self;
    (void)tau;
    return theta[0];
}

/* ------------------------------------------------------------------- the macro */

/* Kernels of one type. The options are copied so that no store into the arrays can be taken for a change of them. */
#define PUDLE_PROX_LOOPS(NAME, PARAMS, TYPE, SUFFIX, ...)                                                              \
    static inline void NAME##_entry_##SUFFIX(const PARAMS *o, TYPE tau, TYPE v, TYPE t, TYPE *p, TYPE *dv, TYPE *dt)   \
    {                                                                                                                  \
        typedef TYPE real;                                                                                             \
        (void)o, (void)(real)tau, (void)t, (void)dv, (void)dt;                                                         \
        __VA_ARGS__                                                                                                    \
    }                                                                                                                  \
    static void NAME##_apply_##SUFFIX(const PARAMS set, TYPE tau, const pudle_cview *theta, const pudle_cview *v,      \
                                      const pudle_view *p)                                                             \
    {                                                                                                                  \
        const pudle_code_runs c = pudle_code_runs_of(v, &theta[0]);                                                    \
        const TYPE *level = (const TYPE *)theta[0].data;                                                               \
        for (int64_t r = 0; r < c.runs; r++) {                                                                         \
            const TYPE *in = (const TYPE *)v->data + r * c.length, t = level[r % c.levels];                            \
            TYPE *out = (TYPE *)p->data + r * c.length, x, dv, dt;                                                     \
            if (c.along)                                                                                               \
                for (int64_t i = 0; i < c.length; i++) {                                                               \
                    NAME##_entry_##SUFFIX(&set, tau, in[i], level[i], &x, &dv, &dt);                                   \
                    out[i] = x;                                                                                        \
                }                                                                                                      \
            else                                                                                                       \
                for (int64_t i = 0; i < c.length; i++) {                                                               \
                    NAME##_entry_##SUFFIX(&set, tau, in[i], t, &x, &dv, &dt);                                          \
                    out[i] = x;                                                                                        \
                }                                                                                                      \
        }                                                                                                              \
    }                                                                                                                  \
    static void NAME##_vjp_##SUFFIX(const PARAMS set, TYPE tau, const pudle_cview *theta, const pudle_cview *v,        \
                                    const pudle_cview *g, const pudle_view *gv)                                        \
    {                                                                                                                  \
        const pudle_code_runs c = pudle_code_runs_of(v, &theta[0]);                                                    \
        const TYPE *level = (const TYPE *)theta[0].data;                                                               \
        for (int64_t r = 0; r < c.runs; r++) {                                                                         \
            const TYPE *in = (const TYPE *)v->data + r * c.length, t = level[r % c.levels];                            \
            const TYPE *up = (const TYPE *)g->data + r * c.length;                                                     \
            TYPE *out = (TYPE *)gv->data + r * c.length, p, dv, dt;                                                    \
            for (int64_t i = 0; i < c.length; i++) {                                                                   \
                NAME##_entry_##SUFFIX(&set, tau, in[i], c.along ? level[i] : t, &p, &dv, &dt);                         \
                out[i] = dv * up[i];                                                                                   \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    static void NAME##_vjp_level_##SUFFIX(const PARAMS set, TYPE tau, const pudle_cview *theta,                        \
                                          const pudle_cview *v, const pudle_cview *g, const pudle_view *gtheta)        \
    {                                                                                                                  \
        const pudle_code_runs c = pudle_code_runs_of(v, &theta[0]);                                                    \
        const TYPE *level = (const TYPE *)theta[0].data;                                                               \
        double *sum = (double *)gtheta[0].data;                                                                        \
        for (int64_t r = 0; r < c.runs; r++) {                                                                         \
            const TYPE *in = (const TYPE *)v->data + r * c.length, *up = (const TYPE *)g->data + r * c.length;         \
            double total = 0;                                                                                          \
            TYPE p, dv, dt;                                                                                            \
            for (int64_t i = 0; i < c.length; i++) {                                                                   \
                NAME##_entry_##SUFFIX(&set, tau, in[i], level[c.along ? i : r % c.levels], &p, &dv, &dt);              \
                if (c.along)                                                                                           \
                    sum[i] += (double)dt * (double)up[i];                                                              \
                else                                                                                                   \
                    total += (double)dt * (double)up[i];                                                               \
            }                                                                                                          \
            if (!c.along)                                                                                              \
                sum[r % c.levels] += total;                                                                            \
        }                                                                                                              \
    }

/** DEAD_ZONE: the dead_zone function of pudle_prox_ops, for instance pudle_dead_zone_level, or NULL. */
#define PUDLE_PROX_ELEMENTWISE_WITH(NAME, PARAMS, DEAD_ZONE, ...)                                                      \
    PUDLE_PROX_LOOPS(NAME, PARAMS, float, f32, __VA_ARGS__)                                                            \
    PUDLE_PROX_LOOPS(NAME, PARAMS, double, f64, __VA_ARGS__)                                                           \
    static pudle_status NAME##_apply(const void *self, pudle_exec *exec, double tau, const pudle_cview *theta,         \
                                     const pudle_cview *v, const pudle_view *p)                                        \
    {                                                                                                                  \
        const PARAMS *o = (const PARAMS *)self;                                                                        \
        (void)exec;                                                                                                    \
        if (v->dtype == PUDLE_F64)                                                                                     \
            NAME##_apply_f64(*o, tau, theta, v, p);                                                                    \
        else                                                                                                           \
            NAME##_apply_f32(*o, (float)tau, theta, v, p);                                                             \
        return PUDLE_OK;                                                                                               \
    }                                                                                                                  \
    /* The level's gradient first: gv may be g. */                                                                     \
    static pudle_status NAME##_vjp(const void *self, pudle_exec *exec, double tau, const pudle_cview *theta,           \
                                   const pudle_cview *v, const pudle_cview *p, const pudle_cview *g,                   \
                                   const pudle_view *gv, const pudle_view *gtheta)                                     \
    {                                                                                                                  \
        const PARAMS *o = (const PARAMS *)self;                                                                        \
        (void)exec;                                                                                                    \
        (void)p;                                                                                                       \
        if (v->dtype == PUDLE_F64) {                                                                                   \
            if (gtheta)                                                                                                \
                NAME##_vjp_level_f64(*o, tau, theta, v, g, gtheta);                                                    \
            NAME##_vjp_f64(*o, tau, theta, v, g, gv);                                                                  \
        } else {                                                                                                       \
            if (gtheta)                                                                                                \
                NAME##_vjp_level_f32(*o, (float)tau, theta, v, g, gtheta);                                             \
            NAME##_vjp_f32(*o, (float)tau, theta, v, g, gv);                                                           \
        }                                                                                                              \
        return PUDLE_OK;                                                                                               \
    }                                                                                                                  \
    static const pudle_prox_kernel NAME##_host = { (uint32_t)sizeof(pudle_prox_kernel), 0, "host", NAME##_apply,       \
                                                   NAME##_vjp };                                                       \
    static const pudle_prox_kernel *const NAME##_kernels[] = { &NAME##_host, NULL };                                   \
    static const pudle_prox_ops NAME##_ops = { (uint32_t)sizeof(pudle_prox_ops), PUDLE_VJP_INPUT, NAME##_kernels,      \
                                               NULL, DEAD_ZONE }

#define PUDLE_PROX_ELEMENTWISE(NAME, PARAMS, ...) PUDLE_PROX_ELEMENTWISE_WITH(NAME, PARAMS, NULL, __VA_ARGS__)

#endif
