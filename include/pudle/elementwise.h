/* pudle/elementwise.h - write an elementwise operator once: a prox, a penalty, a separable loss.
 *
 * The author says how one entry is mapped. A macro makes of it the f32 and f64 host kernels, which the compiler turns into
 * vector code for several processors, and keeps the same text as source for backends that compile when they load (a GPU).
 *
 *   PUDLE_PROX(soft_threshold, params, 1,
 *       const bool off = pudle_abs(v) <= t[0];
 *       *p = off ? v - v : v - pudle_copysign(t[0], v);
 *       *dv = off ? 0 : 1;
 *       dt[0] = off ? 0 : -pudle_sign(v);
 *   )
 *   static const pudle_prox_ops ops = { PUDLE_PROX_OPS(soft_threshold), .dead_zone = pudle_dead_zone_level };
 *
 * In scope of a prox: `real` (float or double), v (the input), t[0], t[1], ... (the levels, in the order of the option
 * table), tau (the step), o (const params *: the options). To set on every path: *p = prox, *dv = dp/dv, dt[i] = dp/dt[i].
 *
 *   PUDLE_PENALTY(soft_threshold, params, 1, *f = t[0] * pudle_abs(z);)
 *
 * is the penalty tau f(z) that the prox belongs to, with its levels: INFINITY where z is not allowed. Optional; it gives
 * `soft_threshold_value` for .value of the ops, and lets `pudle plugins check` test the prox against its definition.
 *
 *   PUDLE_LOSS(poisson, params, "counts 0, 1, 2, ...",
 *       *f = pudle_exp(eta) - x * eta;
 *       *df = pudle_exp(eta) - x;
 *       *ddf = pudle_exp(eta);
 *       *mean = pudle_exp(eta);
 *       *ok = x >= 0 && x == pudle_floor(x);
 *   )
 *   static const pudle_loss_ops ops = { PUDLE_LOSS_OPS(poisson), .pred_domain = "real", .target_domain = "counts" };
 *
 * In scope of a loss: real, eta (the prediction D z, the natural parameter), x (the target), o. To set: *f = the loss of this
 * entry, *df and *ddf = its first and second derivative in eta, *mean = the mean of x that eta stands for (the inverse
 * link), *ok = whether x is in the loss's domain.
 *
 *   PUDLE_CODE_PENALTY(lasso, params, *f = (real)o->lambda * pudle_abs(z); *df = (real)o->lambda * pudle_sign(z);)
 *
 * is a penalty on the code that belongs to a loss: value and derivative for one entry z. It makes NAME_code_value and NAME_code_grad for the
 * kernel (PUDLE_LOSS_PENALISED in place of PUDLE_LOSS puts them there) and NAME_code_source for .code_source of the ops.
 *
 * Habits:
 * - NaN must go through. No comparison holds for a NaN, so let the branch taken when `a <= t` fails be the one that
 *   computes with v; a > t ? ... : 0 would hide it.
 * - Fractions need a cast, (real)0.5, or float arithmetic turns into double. Whole numbers need none.
 * - Prefer c ? x : y over finished values to if and to arithmetic inside the arms: the compiler then takes many entries
 *   at once. No #if inside the body, and no // comment (a body becomes one line of source).
 *   gcc does so with divisions and roots only under -fno-math-errno -fno-trapping-math, which are safe here.
 * - A body is also compiled for devices, where only what this header defines, o and the names above exist. There, o has one
 *   member for each option of type BOOL, INT, REAL or ENUM, named as the option is: name the members of params like the options. */
#ifndef PUDLE_ELEMENTWISE_H
#define PUDLE_ELEMENTWISE_H

#include <math.h>
#include <pudle/prox.h>

/* ------------------------------------------- functions of a float or a double */

static inline float pudle_max_f32(float a, float b) { return a > b || a != a ? a : b; }
static inline double pudle_max_f64(double a, double b) { return a > b || a != a ? a : b; }
static inline float pudle_min_f32(float a, float b) { return a < b || a != a ? a : b; }
static inline double pudle_min_f64(double a, double b) { return a < b || a != a ? a : b; }
static inline float pudle_sign_f32(float x) { return x > 0 ? 1.0f : x < 0 ? -1.0f : x; }
static inline double pudle_sign_f64(double x) { return x > 0 ? 1.0 : x < 0 ? -1.0 : x; }
static inline float pudle_sigmoid_f32(float x) { return x < 0 ? expf(x) / (1.0f + expf(x)) : 1.0f / (1.0f + expf(-x)); }
static inline double pudle_sigmoid_f64(double x) { return x < 0 ? exp(x) / (1.0 + exp(x)) : 1.0 / (1.0 + exp(-x)); }
static inline float pudle_softplus_f32(float x) { return pudle_max_f32(x, 0.0f) + log1pf(expf(-fabsf(x))); }
static inline double pudle_softplus_f64(double x) { return pudle_max_f64(x, 0.0) + log1p(exp(-fabs(x))); }

/* The result has the type of the argument, in C and in C++, so a body stays in its own precision. A NaN in any argument
 * comes out again. sign(0) = 0; sigmoid(x) = 1 / (1 + exp(-x)); softplus(x) = log(1 + exp(x)). Whole numbers may stand
 * beside a real: pudle_max(v - t[0], 0). */
#ifdef __cplusplus
#define PUDLE_REAL_FUNCTION(NAME, F32, F64)                        \
    static inline float pudle_##NAME(float x) { return F32(x); }   \
    static inline double pudle_##NAME(double x) { return F64(x); }
#define PUDLE_REAL_FUNCTION2(NAME, F32, F64)                                     \
    static inline float pudle_##NAME(float a, float b) { return F32(a, b); }     \
    static inline double pudle_##NAME(double a, double b) { return F64(a, b); }
PUDLE_REAL_FUNCTION(abs, fabsf, fabs)
PUDLE_REAL_FUNCTION(sqrt, sqrtf, sqrt)
PUDLE_REAL_FUNCTION(cbrt, cbrtf, cbrt)
PUDLE_REAL_FUNCTION(exp, expf, exp)
PUDLE_REAL_FUNCTION(expm1, expm1f, expm1)
PUDLE_REAL_FUNCTION(log, logf, log)
PUDLE_REAL_FUNCTION(log1p, log1pf, log1p)
PUDLE_REAL_FUNCTION(cos, cosf, cos)
PUDLE_REAL_FUNCTION(acos, acosf, acos)
PUDLE_REAL_FUNCTION(tanh, tanhf, tanh)
PUDLE_REAL_FUNCTION(floor, floorf, floor)
PUDLE_REAL_FUNCTION(sign, pudle_sign_f32, pudle_sign_f64)
PUDLE_REAL_FUNCTION(sigmoid, pudle_sigmoid_f32, pudle_sigmoid_f64)
PUDLE_REAL_FUNCTION(softplus, pudle_softplus_f32, pudle_softplus_f64)
PUDLE_REAL_FUNCTION2(pow, powf, pow)
PUDLE_REAL_FUNCTION2(copysign, copysignf, copysign)
PUDLE_REAL_FUNCTION2(max, pudle_max_f32, pudle_max_f64)
PUDLE_REAL_FUNCTION2(min, pudle_min_f32, pudle_min_f64)
#undef PUDLE_REAL_FUNCTION
#undef PUDLE_REAL_FUNCTION2
#else
#define pudle_abs(x) _Generic((x), float: fabsf, double: fabs)(x)
#define pudle_sqrt(x) _Generic((x), float: sqrtf, double: sqrt)(x)
#define pudle_cbrt(x) _Generic((x), float: cbrtf, double: cbrt)(x)
#define pudle_exp(x) _Generic((x), float: expf, double: exp)(x)
#define pudle_expm1(x) _Generic((x), float: expm1f, double: expm1)(x)
#define pudle_log(x) _Generic((x), float: logf, double: log)(x)
#define pudle_log1p(x) _Generic((x), float: log1pf, double: log1p)(x)
#define pudle_cos(x) _Generic((x), float: cosf, double: cos)(x)
#define pudle_acos(x) _Generic((x), float: acosf, double: acos)(x)
#define pudle_tanh(x) _Generic((x), float: tanhf, double: tanh)(x)
#define pudle_floor(x) _Generic((x), float: floorf, double: floor)(x)
#define pudle_sign(x) _Generic((x), float: pudle_sign_f32, double: pudle_sign_f64)(x)
#define pudle_sigmoid(x) _Generic((x), float: pudle_sigmoid_f32, double: pudle_sigmoid_f64)(x)
#define pudle_softplus(x) _Generic((x), float: pudle_softplus_f32, double: pudle_softplus_f64)(x)
#define pudle_pow(a, b) _Generic((a) + (b), float: powf, double: pow)(a, b)
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

/** A code as runs of consecutive entries, as long as the levels allow: run r belongs to atom r % atoms or, if `along`, entry i
 *  of every run belongs to atom i, and every level has a value per atom.
 *  all levels scalar: one run;  dense, all per atom: a run per sample, along;  otherwise: a run per sample and atom. */
typedef struct pudle_code_runs { int64_t runs, length, atoms; bool along; } pudle_code_runs;

/** How a code meets `count` levels, each with one value or one per atom. */
static inline pudle_code_runs pudle_code_runs_of(const pudle_cview *v, const pudle_cview *level, int count)
{
    const pudle_code_shape s = pudle_code_shape_of(v);
    pudle_code_runs c = { 1, s.batch * s.atoms * s.inner, 1, false };
    bool per_atom = false, all = true;
    for (int k = 0; k < count; k++) {
        per_atom = per_atom || pudle_count(&level[k]) > 1;
        all = all && pudle_count(&level[k]) > 1;
    }
    if (c.length == 0) {
        c.runs = 0;
    } else if (per_atom) {
        c.along = s.inner == 1 && all;
        c.runs = c.along ? s.batch : s.batch * s.atoms;
        c.length = c.along ? s.atoms : s.inner;
        c.atoms = s.atoms;
    }
    return c;
}

/** Where a level's value for an atom lies: its index times this. */
static inline int64_t pudle_level_step(const pudle_cview *level)
{
    return pudle_count(level) > 1 ? 1 : 0;
}

/** A pudle_prox_ops.dead_zone: entries with |v| <= theta[0] become 0. */
static inline double pudle_dead_zone_level(const void *self, double tau, const double *theta)
{
    (void)self;
    (void)tau;
    return theta[0];
}

/* ------------------------------------------------------------ what the loops are made of */

/* One function, compiled for several processors; the best one is chosen when the plugin is loaded. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__) && !defined(PUDLE_ONE_PROCESSOR)
#define PUDLE_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define PUDLE_CLONES
#endif

/* Before a loop over entries: none of them depends on another, even where input and output are the same array. clang would warn
 * of a body that it takes one entry at a time, such as one with a logarithm; that is no mistake. */
#if defined(__clang__)
#define PUDLE_EACH_ALONE _Pragma("clang diagnostic ignored \"-Wpass-failed\"") _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define PUDLE_EACH_ALONE _Pragma("GCC ivdep")
#else
#define PUDLE_EACH_ALONE
#endif

/* ------------------------------------------------------------------- prox */

/* Kernels of one type. The options are copied so that no store into the arrays can be taken for a change of them. */
#define PUDLE_PROX_LOOPS(NAME, PARAMS, LEVELS, TYPE, SUFFIX, ...)                                                       \
    static inline void NAME##_entry_##SUFFIX(const PARAMS *o, const TYPE tau, const TYPE v, const TYPE *t, TYPE *p,     \
                                             TYPE *dv, TYPE *dt)                                                        \
    {                                                                                                                   \
        typedef TYPE real;                                                                                              \
        (void)o, (void)(real)tau, (void)t, (void)dv, (void)dt;                                                          \
        __VA_ARGS__                                                                                                     \
    }                                                                                                                   \
    PUDLE_CLONES                                                                                                        \
    static void NAME##_apply_##SUFFIX(const PARAMS set, TYPE tau, const pudle_cview *theta, const pudle_cview *v,       \
                                      const pudle_view *p)                                                              \
    {                                                                                                                   \
        const pudle_code_runs c = pudle_code_runs_of(v, theta, LEVELS);                                                 \
        for (int64_t r = 0; r < c.runs; r++) {                                                                          \
            const TYPE *in = (const TYPE *)v->data + r * c.length;                                                      \
            TYPE *out = (TYPE *)p->data + r * c.length, t[(LEVELS) + 1] = { 0 }, x, dv, dt[(LEVELS) + 1];               \
            for (int k = 0; k < (LEVELS); k++)                                                                          \
                t[k] = ((const TYPE *)theta[k].data)[r % c.atoms * pudle_level_step(&theta[k])];                        \
            if (!c.along) {                                                                                             \
                PUDLE_EACH_ALONE                                                                                        \
                for (int64_t i = 0; i < c.length; i++) {                                                                \
                    NAME##_entry_##SUFFIX(&set, tau, in[i], t, &x, &dv, dt);                                            \
                    out[i] = x;                                                                                         \
                }                                                                                                       \
            } else {                                                                                                    \
                PUDLE_EACH_ALONE                                                                                        \
                for (int64_t i = 0; i < c.length; i++) {                                                                \
                    for (int k = 0; k < (LEVELS); k++)                                                                  \
                        t[k] = ((const TYPE *)theta[k].data)[i];                                                        \
                    NAME##_entry_##SUFFIX(&set, tau, in[i], t, &x, &dv, dt);                                            \
                    out[i] = x;                                                                                         \
                }                                                                                                       \
            }                                                                                                           \
        }                                                                                                               \
    }                                                                                                                   \
    PUDLE_CLONES                                                                                                        \
    static void NAME##_vjp_##SUFFIX(const PARAMS set, TYPE tau, const pudle_cview *theta, const pudle_cview *v,         \
                                    const pudle_cview *g, const pudle_view *gv)                                         \
    {                                                                                                                   \
        const pudle_code_runs c = pudle_code_runs_of(v, theta, LEVELS);                                                 \
        for (int64_t r = 0; r < c.runs; r++) {                                                                          \
            const TYPE *in = (const TYPE *)v->data + r * c.length, *up = (const TYPE *)g->data + r * c.length;          \
            TYPE *out = (TYPE *)gv->data + r * c.length, t[(LEVELS) + 1] = { 0 }, x, dv, dt[(LEVELS) + 1];              \
            for (int k = 0; k < (LEVELS); k++)                                                                          \
                t[k] = ((const TYPE *)theta[k].data)[r % c.atoms * pudle_level_step(&theta[k])];                        \
            if (!c.along) {                                                                                             \
                PUDLE_EACH_ALONE                                                                                        \
                for (int64_t i = 0; i < c.length; i++) {                                                                \
                    NAME##_entry_##SUFFIX(&set, tau, in[i], t, &x, &dv, dt);                                            \
                    out[i] = dv * up[i];                                                                                \
                }                                                                                                       \
            } else {                                                                                                    \
                PUDLE_EACH_ALONE                                                                                        \
                for (int64_t i = 0; i < c.length; i++) {                                                                \
                    for (int k = 0; k < (LEVELS); k++)                                                                  \
                        t[k] = ((const TYPE *)theta[k].data)[i];                                                        \
                    NAME##_entry_##SUFFIX(&set, tau, in[i], t, &x, &dv, dt);                                            \
                    out[i] = dv * up[i];                                                                                \
                }                                                                                                       \
            }                                                                                                           \
        }                                                                                                               \
    }                                                                                                                   \
    static void NAME##_vjp_levels_##SUFFIX(const PARAMS set, TYPE tau, const pudle_cview *theta, const pudle_cview *v,  \
                                           const pudle_cview *g, const pudle_view *gtheta)                              \
    {                                                                                                                   \
        const pudle_code_runs c = pudle_code_runs_of(v, theta, LEVELS);                                                 \
        for (int64_t r = 0; r < c.runs; r++) {                                                                          \
            const TYPE *in = (const TYPE *)v->data + r * c.length, *up = (const TYPE *)g->data + r * c.length;          \
            double sum[(LEVELS) + 1] = { 0 };                                                                           \
            TYPE t[(LEVELS) + 1] = { 0 }, x, dv, dt[(LEVELS) + 1];                                                      \
            for (int64_t i = 0; i < c.length; i++) {                                                                    \
                for (int k = 0; k < (LEVELS); k++)                                                                      \
                    t[k] = ((const TYPE *)theta[k].data)[c.along ? i : r % c.atoms * pudle_level_step(&theta[k])];      \
                NAME##_entry_##SUFFIX(&set, tau, in[i], t, &x, &dv, dt);                                                \
                for (int k = 0; k < (LEVELS); k++) {                                                                    \
                    if (c.along)                                                                                        \
                        ((double *)gtheta[k].data)[i] += (double)dt[k] * (double)up[i];                                 \
                    else                                                                                                \
                        sum[k] += (double)dt[k] * (double)up[i];                                                        \
                }                                                                                                       \
            }                                                                                                           \
            for (int k = 0; k < (LEVELS) && !c.along; k++)                                                              \
                ((double *)gtheta[k].data)[r % c.atoms * pudle_level_step(&theta[k])] += sum[k];                        \
        }                                                                                                               \
    }

/** An elementwise prox with LEVELS levels, 0 to 8: the kernels and the source that PUDLE_PROX_OPS(NAME) names. The in-place
 *  promise PUDLE_PROX_INPLACE holds. */
#define PUDLE_PROX(NAME, PARAMS, LEVELS, ...)                                                                           \
    PUDLE_PROX_LOOPS(NAME, PARAMS, LEVELS, float, f32, __VA_ARGS__)                                                     \
    PUDLE_PROX_LOOPS(NAME, PARAMS, LEVELS, double, f64, __VA_ARGS__)                                                    \
    static pudle_status NAME##_apply(const void *self, pudle_exec *exec, double tau, const pudle_cview *theta,          \
                                     const pudle_cview *v, const pudle_view *p)                                         \
    {                                                                                                                   \
        const PARAMS *o = (const PARAMS *)self;                                                                         \
        (void)exec;                                                                                                     \
        if (v->dtype == PUDLE_F64)                                                                                      \
            NAME##_apply_f64(*o, tau, theta, v, p);                                                                     \
        else                                                                                                            \
            NAME##_apply_f32(*o, (float)tau, theta, v, p);                                                              \
        return PUDLE_OK;                                                                                                \
    }                                                                                                                   \
    /* The levels' gradient first: gv may be g. */                                                                      \
    static pudle_status NAME##_vjp(const void *self, pudle_exec *exec, double tau, const pudle_cview *theta,            \
                                   const pudle_cview *v, const pudle_cview *p, const pudle_cview *g,                    \
                                   const pudle_view *gv, const pudle_view *gtheta)                                      \
    {                                                                                                                   \
        const PARAMS *o = (const PARAMS *)self;                                                                         \
        (void)exec;                                                                                                     \
        (void)p;                                                                                                        \
        if (v->dtype == PUDLE_F64) {                                                                                    \
            if (gtheta)                                                                                                 \
                NAME##_vjp_levels_f64(*o, tau, theta, v, g, gtheta);                                                    \
            NAME##_vjp_f64(*o, tau, theta, v, g, gv);                                                                   \
        } else {                                                                                                        \
            if (gtheta)                                                                                                 \
                NAME##_vjp_levels_f32(*o, (float)tau, theta, v, g, gtheta);                                             \
            NAME##_vjp_f32(*o, (float)tau, theta, v, g, gv);                                                            \
        }                                                                                                               \
        return PUDLE_OK;                                                                                                \
    }                                                                                                                   \
    static const pudle_prox_kernel NAME##_host = { (uint32_t)sizeof(pudle_prox_kernel), 0, "host", NAME##_apply,        \
                                                   NAME##_vjp };                                                        \
    static const pudle_prox_kernel *const NAME##_kernels[] = { &NAME##_host, NULL };                                    \
    static const pudle_source NAME##_source = { (uint32_t)sizeof(pudle_source), (LEVELS), #__VA_ARGS__ };

/** Members of pudle_prox_ops that PUDLE_PROX has made. Add .value = NAME_value (PUDLE_PENALTY) and .dead_zone. */
#define PUDLE_PROX_OPS(NAME)                                                                                            \
    .size = sizeof(pudle_prox_ops), .vjp_needs = PUDLE_VJP_INPUT, .kernels = NAME##_kernels, .source = &NAME##_source

/** tau f(z) of one entry, as the function NAME_value. In scope: real, z, t[], tau, o. To set: *f. */
#define PUDLE_PENALTY(NAME, PARAMS, LEVELS, ...)                                                                        \
    static inline void NAME##_penalty(const PARAMS *o, const double tau, const double z, const double *t, double *f)    \
    {                                                                                                                   \
        typedef double real;                                                                                            \
        (void)o, (void)(real)tau, (void)t;                                                                              \
        __VA_ARGS__                                                                                                     \
    }                                                                                                                   \
    static pudle_status NAME##_value(const void *self, double tau, const pudle_cview *theta, const pudle_cview *p,      \
                                     double *f)                                                                         \
    {                                                                                                                   \
        const pudle_code_shape s = pudle_code_shape_of(p);                                                              \
        const int64_t n = pudle_count(p);                                                                               \
        double t[(LEVELS) + 1] = { 0 }, sum = 0, one;                                                                   \
        for (int64_t i = 0; i < n; i++) {                                                                               \
            for (int k = 0; k < (LEVELS); k++)                                                                          \
                t[k] = pudle_entry(&theta[k], i / s.inner % s.atoms * pudle_level_step(&theta[k]));                     \
            NAME##_penalty((const PARAMS *)self, tau, pudle_entry(p, i), t, &one);                                      \
            sum += one;                                                                                                 \
        }                                                                                                               \
        *f = sum;                                                                                                       \
        return PUDLE_OK;                                                                                                \
    }

/* ------------------------------------------------------------------- loss */

/* Kernels of one type. */
#define PUDLE_LOSS_LOOPS(NAME, PARAMS, TYPE, SUFFIX, ...)                                                               \
    static inline void NAME##_entry_##SUFFIX(const PARAMS *o, const TYPE eta, const TYPE x, TYPE *f, TYPE *df,          \
                                             TYPE *ddf, TYPE *mean, bool *ok)                                           \
    {                                                                                                                   \
        typedef TYPE real;                                                                                              \
        (void)o, (void)(real)eta, (void)x, (void)f, (void)df, (void)ddf, (void)mean, (void)ok;                          \
        __VA_ARGS__                                                                                                     \
    }                                                                                                                   \
    PUDLE_CLONES                                                                                                        \
    static void NAME##_grad_##SUFFIX(const PARAMS set, int64_t n, const TYPE *eta, const TYPE *x, TYPE *g)              \
    {                                                                                                                   \
        TYPE f, df, ddf, mean;                                                                                          \
        bool ok;                                                                                                        \
        PUDLE_EACH_ALONE                                                                                                \
        for (int64_t i = 0; i < n; i++) {                                                                               \
            NAME##_entry_##SUFFIX(&set, eta[i], x[i], &f, &df, &ddf, &mean, &ok);                                       \
            g[i] = df;                                                                                                  \
        }                                                                                                               \
    }                                                                                                                   \
    PUDLE_CLONES                                                                                                        \
    static void NAME##_hvp_##SUFFIX(const PARAMS set, int64_t n, const TYPE *eta, const TYPE *x, const TYPE *u, TYPE *h)\
    {                                                                                                                   \
        TYPE f, df, ddf, mean;                                                                                          \
        bool ok;                                                                                                        \
        PUDLE_EACH_ALONE                                                                                                \
        for (int64_t i = 0; i < n; i++) {                                                                               \
            NAME##_entry_##SUFFIX(&set, eta[i], x[i], &f, &df, &ddf, &mean, &ok);                                       \
            h[i] = ddf * u[i];                                                                                          \
        }                                                                                                               \
    }                                                                                                                   \
    PUDLE_CLONES                                                                                                        \
    static void NAME##_mean_##SUFFIX(const PARAMS set, int64_t n, const TYPE *eta, TYPE *m)                             \
    {                                                                                                                   \
        TYPE f, df, ddf, mean;                                                                                          \
        bool ok;                                                                                                        \
        PUDLE_EACH_ALONE                                                                                                \
        for (int64_t i = 0; i < n; i++) {                                                                               \
            NAME##_entry_##SUFFIX(&set, eta[i], 0, &f, &df, &ddf, &mean, &ok);                                          \
            m[i] = mean;                                                                                                \
        }                                                                                                               \
    }

/* The functions of a loss. */
#define PUDLE_LOSS_FUNCTIONS(NAME, PARAMS, DOMAIN, ...)                                                                 \
    PUDLE_LOSS_LOOPS(NAME, PARAMS, float, f32, __VA_ARGS__)                                                             \
    PUDLE_LOSS_LOOPS(NAME, PARAMS, double, f64, __VA_ARGS__)                                                            \
    static pudle_status NAME##_value(const void *self, pudle_exec *exec, const pudle_cview *pred,                       \
                                     const pudle_cview *target_, double *sum)                                           \
    {                                                                                                                   \
        const int64_t n = pudle_count(pred);                                                                            \
        double total = 0, f, df, ddf, mean;                                                                             \
        bool ok;                                                                                                        \
        (void)exec;                                                                                                     \
        if (pudle_count(target_) != n)                                                                                  \
            return PUDLE_ERR_ARG;                                                                                       \
        for (int64_t i = 0; i < n; i++) {                                                                               \
            NAME##_entry_f64((const PARAMS *)self, pudle_entry(pred, i), pudle_entry(target_, i), &f, &df, &ddf, &mean, \
                             &ok);                                                                                      \
            total += f;                                                                                                 \
        }                                                                                                               \
        *sum = total;                                                                                                   \
        return PUDLE_OK;                                                                                                \
    }                                                                                                                   \
    static pudle_status NAME##_grad(const void *self, pudle_exec *exec, const pudle_cview *pred,                        \
                                    const pudle_cview *target_, const pudle_view *g)                                    \
    {                                                                                                                   \
        const PARAMS *o = (const PARAMS *)self;                                                                         \
        const int64_t n = pudle_count(pred);                                                                            \
        (void)exec;                                                                                                     \
        if (pudle_count(target_) != n)                                                                                  \
            return PUDLE_ERR_ARG;                                                                                       \
        if (pred->dtype == PUDLE_F64)                                                                                   \
            NAME##_grad_f64(*o, n, (const double *)pred->data, (const double *)target_->data, (double *)g->data);       \
        else                                                                                                            \
            NAME##_grad_f32(*o, n, (const float *)pred->data, (const float *)target_->data, (float *)g->data);          \
        return PUDLE_OK;                                                                                                \
    }                                                                                                                   \
    static pudle_status NAME##_hvp(const void *self, pudle_exec *exec, const pudle_cview *pred,                         \
                                   const pudle_cview *target_, const pudle_cview *u, const pudle_view *hu)              \
    {                                                                                                                   \
        const PARAMS *o = (const PARAMS *)self;                                                                         \
        const int64_t n = pudle_count(pred);                                                                            \
        (void)exec;                                                                                                     \
        if (pudle_count(target_) != n)                                                                                  \
            return PUDLE_ERR_ARG;                                                                                       \
        if (pred->dtype == PUDLE_F64)                                                                                   \
            NAME##_hvp_f64(*o, n, (const double *)pred->data, (const double *)target_->data, (const double *)u->data,   \
                           (double *)hu->data);                                                                         \
        else                                                                                                            \
            NAME##_hvp_f32(*o, n, (const float *)pred->data, (const float *)target_->data, (const float *)u->data,      \
                           (float *)hu->data);                                                                          \
        return PUDLE_OK;                                                                                                \
    }                                                                                                                   \
    static pudle_status NAME##_mean(const void *self, pudle_exec *exec, const pudle_cview *pred, const pudle_view *m)   \
    {                                                                                                                   \
        const PARAMS *o = (const PARAMS *)self;                                                                         \
        const int64_t n = pudle_count(pred);                                                                            \
        (void)exec;                                                                                                     \
        if (pred->dtype == PUDLE_F64)                                                                                   \
            NAME##_mean_f64(*o, n, (const double *)pred->data, (double *)m->data);                                      \
        else                                                                                                            \
            NAME##_mean_f32(*o, n, (const float *)pred->data, (float *)m->data);                                        \
        return PUDLE_OK;                                                                                                \
    }                                                                                                                   \
    static pudle_status NAME##_check_target(const pudle_host *host, const void *self, const pudle_cview *target_)       \
    {                                                                                                                   \
        const int64_t n = pudle_count(target_), width = target_->rank > 1 && target_->shape[0] > 0                      \
                                                            ? n / target_->shape[0] : 1;                                \
        for (int64_t i = 0; i < n; i++) {                                                                               \
            const double x = pudle_entry(target_, i);                                                                   \
            double f, df, ddf, mean;                                                                                    \
            bool ok = true;                                                                                             \
            NAME##_entry_f64((const PARAMS *)self, 0, x, &f, &df, &ddf, &mean, &ok);                                    \
            if (!ok)                                                                                                    \
                return host->fail(host->ctx, PUDLE_ERR_ARG, "sample %lld of the batch, entry %lld: the target is %g, and " \
                                  #NAME " takes " DOMAIN, (long long)(i / width), (long long)(i % width), x);           \
        }                                                                                                               \
        return PUDLE_OK;                                                                                                \
    }

#define PUDLE_LOSS_KERNEL(NAME, CODE_VALUE, CODE_GRAD)                                                                  \
    static const pudle_loss_kernel NAME##_host = { (uint32_t)sizeof(pudle_loss_kernel), 0, "host", NAME##_value,        \
                                                   NAME##_grad, NAME##_hvp, CODE_VALUE, CODE_GRAD, NAME##_mean };       \
    static const pudle_loss_kernel *const NAME##_kernels[] = { &NAME##_host, NULL };

/** A separable loss: the kernels, the check of targets (against *ok; DOMAIN says in words what is allowed), and the source
 *  that PUDLE_LOSS_OPS(NAME) names. Values are computed and summed in double whatever the arrays hold. */
#define PUDLE_LOSS(NAME, PARAMS, DOMAIN, ...)                                                                           \
    PUDLE_LOSS_FUNCTIONS(NAME, PARAMS, DOMAIN, __VA_ARGS__)                                                             \
    PUDLE_LOSS_KERNEL(NAME, NULL, NULL)                                                                                 \
    static const pudle_source NAME##_source = { (uint32_t)sizeof(pudle_source), 0, #__VA_ARGS__ };

/** The same with the penalty on the code that PUDLE_CODE_PENALTY(NAME, ...) has made before. */
#define PUDLE_LOSS_PENALISED(NAME, PARAMS, DOMAIN, ...)                                                                 \
    PUDLE_LOSS_FUNCTIONS(NAME, PARAMS, DOMAIN, __VA_ARGS__)                                                             \
    PUDLE_LOSS_KERNEL(NAME, NAME##_code_value, NAME##_code_grad)                                                        \
    static const pudle_source NAME##_source = { (uint32_t)sizeof(pudle_source), 0, #__VA_ARGS__ };

/** Members of pudle_loss_ops that PUDLE_LOSS has made. Add .pred_domain, .target_domain and .lipschitz. */
#define PUDLE_LOSS_OPS(NAME)                                                                                            \
    .size = sizeof(pudle_loss_ops), .kernels = NAME##_kernels, .check_target = NAME##_check_target, .source = &NAME##_source

/* ---------------------------------------------------------------- penalty on the code */

#define PUDLE_CODE_ENTRY(NAME, PARAMS, TYPE, SUFFIX, ...)                                                               \
    static inline void NAME##_code_##SUFFIX(const PARAMS *o, const TYPE z, TYPE *f, TYPE *df)                           \
    {                                                                                                                   \
        typedef TYPE real;                                                                                              \
        (void)o, (void)(real)z, (void)f, (void)df;                                                                      \
        __VA_ARGS__                                                                                                     \
    }

#define PUDLE_CODE_LOOPS(NAME, PARAMS, TYPE, SUFFIX)                                                                    \
    static double NAME##_code_value_##SUFFIX(const PARAMS *o, int64_t n, const TYPE *z)                                 \
    {                                                                                                                   \
        double total = 0, f, df;                                                                                        \
        for (int64_t i = 0; i < n; i++) {                                                                               \
            NAME##_code_f64(o, (double)z[i], &f, &df);                                                                  \
            total += f;                                                                                                 \
        }                                                                                                               \
        return total;                                                                                                   \
    }                                                                                                                   \
    PUDLE_CLONES                                                                                                        \
    static void NAME##_code_grad_##SUFFIX(const PARAMS set, int64_t n, const TYPE *z, TYPE *g)                          \
    {                                                                                                                   \
        TYPE f, df;                                                                                                     \
        PUDLE_EACH_ALONE                                                                                                \
        for (int64_t i = 0; i < n; i++) {                                                                               \
            NAME##_code_##SUFFIX(&set, z[i], &f, &df);                                                                  \
            g[i] += df;                                                                                                 \
        }                                                                                                               \
    }

/** A separable penalty on the code, computed and summed in double: the functions NAME_code_value and NAME_code_grad of a
 *  pudle_loss_kernel, and NAME_code_source for .code_source of pudle_loss_ops. */
#define PUDLE_CODE_PENALTY(NAME, PARAMS, ...)                                                                           \
    PUDLE_CODE_ENTRY(NAME, PARAMS, float, f32, __VA_ARGS__)                                                             \
    PUDLE_CODE_ENTRY(NAME, PARAMS, double, f64, __VA_ARGS__)                                                            \
    PUDLE_CODE_LOOPS(NAME, PARAMS, float, f32)                                                                          \
    PUDLE_CODE_LOOPS(NAME, PARAMS, double, f64)                                                                         \
    static pudle_status NAME##_code_value(const void *self, pudle_exec *exec, const pudle_cview *z, double *sum)        \
    {                                                                                                                   \
        const PARAMS *o = (const PARAMS *)self;                                                                         \
        const int64_t n = pudle_count(z);                                                                               \
        (void)exec;                                                                                                     \
        *sum = z->dtype == PUDLE_F64 ? NAME##_code_value_f64(o, n, (const double *)z->data)                             \
                                     : NAME##_code_value_f32(o, n, (const float *)z->data);                             \
        return PUDLE_OK;                                                                                                \
    }                                                                                                                   \
    static pudle_status NAME##_code_grad(const void *self, pudle_exec *exec, const pudle_cview *z, const pudle_view *g) \
    {                                                                                                                   \
        const PARAMS *o = (const PARAMS *)self;                                                                         \
        const int64_t n = pudle_count(z);                                                                               \
        (void)exec;                                                                                                     \
        if (z->dtype == PUDLE_F64)                                                                                      \
            NAME##_code_grad_f64(*o, n, (const double *)z->data, (double *)g->data);                                    \
        else                                                                                                            \
            NAME##_code_grad_f32(*o, n, (const float *)z->data, (float *)g->data);                                      \
        return PUDLE_OK;                                                                                                \
    }                                                                                                                   \
    static const pudle_source NAME##_code_source = { (uint32_t)sizeof(pudle_source), 0, #__VA_ARGS__ };

/** A Lipschitz constant of the gradient, as the function NAME_lipschitz for .lipschitz: the largest over all targets of an
 *  expression in o (the options) and x (a target; INFINITY where any target must be allowed for). An infinite or NaN
 *  result says that there is none. */
#define PUDLE_LIPSCHITZ(NAME, PARAMS, EXPRESSION)                                                                       \
    static pudle_status NAME##_lipschitz(const void *self, const pudle_cview *target_, double *constant)                \
    {                                                                                                                   \
        const PARAMS *o = (const PARAMS *)self;                                                                         \
        const int64_t n = target_ ? pudle_count(target_) : 1;                                                           \
        double most = 0;                                                                                                \
        (void)o;                                                                                                        \
        for (int64_t i = 0; i < n; i++) {                                                                               \
            const double x = target_ ? pudle_entry(target_, i) : (double)INFINITY, one = (EXPRESSION);                  \
            (void)x;                                                                                                    \
            most = pudle_max_f64(most, one);                                                                            \
        }                                                                                                               \
        if (!(most - most == 0)) /* infinite or NaN */                                                                  \
            return PUDLE_ERR_UNSUPPORTED;                                                                               \
        *constant = most;                                                                                               \
        return PUDLE_OK;                                                                                                \
    }

#endif
