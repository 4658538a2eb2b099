/* Support selection, the prox of a trimmed l1 norm: f(z) = lambda times the sum of |z_i| without its s largest terms.
 *   p = v at the s entries of largest |v|,   sign(v) max(|v| - t, 0) at the others,   t = tau lambda.
 * s is `fraction` of the entries of a set, rounded to the nearest number. Of equal entries the first ones pass. With levels that differ
 * from atom to atom, those pass that would lose most: the largest v^2 / 2 up to |v| = t, beyond t (|v| - t / 2); and the norm is weighted.
 * The derivative for v is 1 at entries that pass or are not zero, the one for t is -sign(v) at those that shrink; at the kink
 * |v| = t both are taken as 0, and the choice is taken as fixed. */
#include "selection.h"

typedef struct params {
    double lambda, fraction;
    int32_t over;
} params;

static const pudle_option options[] = {
    { .name = "lambda", .type = PUDLE_REAL, .flags = PUDLE_THRESHOLD | PUDLE_PER_STEP | PUDLE_OPEN_MAX, .offset = offsetof(params, lambda),
      .dflt = "0.1", .min = 0, .max = INFINITY, .doc = "Weight of the l1 norm; an entry that is not selected shrinks by step * lambda." },
    { .name = "fraction", .type = PUDLE_REAL, .offset = offsetof(params, fraction), .dflt = "0.05", .min = 0, .max = 1,
      .doc = "Part of the entries that pass without shrinking." },
    OVER_OPTION(params, "What the fraction is taken of:"),
    { .name = NULL },
};

/* Whether atoms have different levels; else the entries that lose most are those of largest |v|. */
static bool differ(const pudle_cview *level)
{
    for (int64_t a = 1; a < pudle_count(level); a++)
        if (pudle_entry(level, a) != pudle_entry(level, 0))
            return true;
    return false;
}

static selection selection_of(const params *o, const pudle_cview *level, const pudle_cview *v, int rule)
{
    const code_sets sets = code_sets_of(v, o->over);
    return (selection){ .sets = sets, .most = (int64_t)(o->fraction * (double)sets.length + 0.5), .rule = differ(level) ? rule : BY_MAGNITUDE,
                        .level = level, .level_step = pudle_level_step(level), .atoms = pudle_code_shape_of(v).atoms };
}

static pudle_status apply(const void *self, pudle_exec *exec, double tau, const pudle_cview *theta, const pudle_cview *v, const pudle_view *p)
{
    const selection q = selection_of(self, theta, v, BY_GAIN);
    (void)exec, (void)tau;
    if (v->dtype == PUDLE_F64)
        selection_shrink_f64(&q, v, theta, p);
    else
        selection_shrink_f32(&q, v, theta, p);
    return PUDLE_OK;
}

static pudle_status vjp(const void *self, pudle_exec *exec, double tau, const pudle_cview *theta, const pudle_cview *v, const pudle_cview *p,
                        const pudle_cview *g, const pudle_view *gv, const pudle_view *gtheta)
{
    const selection q = selection_of(self, theta, v, BY_GAIN);
    (void)exec, (void)tau, (void)p;
    if (v->dtype == PUDLE_F64)
        selection_shrink_vjp_f64(&q, v, theta, g, gv, gtheta);
    else
        selection_shrink_vjp_f32(&q, v, theta, g, gv, gtheta);
    return PUDLE_OK;
}

/* One set: the sum of t |p| over the entries that are not among the largest; a NaN comes out. */
static double trimmed(const selection *q, const pudle_cview *level, const pudle_cview *p, int64_t at)
{
    selection_cut_f32 f32 = { 0, 0 };
    selection_cut_f64 f64 = { 0, 0 };
    double sum = 0;
    if (p->dtype == PUDLE_F64)
        f64 = selection_find_f64(q, (const double *)p->data + at);
    else
        f32 = selection_find_f32(q, (const float *)p->data + at);
    for (int64_t j = 0; j < q->sets.length; j++) {
        const double z = pudle_entry(p, at + j * q->sets.stride), t = pudle_entry(level, selection_level(q, j));
        const bool takes = p->dtype == PUDLE_F64 ? selection_takes_f64(&f64, selection_key_f64(q, z, j))
                                                 : selection_takes_f32(&f32, selection_key_f32(q, (float)z, j));
        sum += takes && z == z ? 0 : t * fabs(z);
    }
    return sum;
}

static pudle_status value(const void *self, double tau, const pudle_cview *theta, const pudle_cview *p, double *f)
{
    const selection q = selection_of(self, theta, p, BY_PENALTY);
    double sum = 0;
    (void)tau;
    for (int64_t i = 0; i < q.sets.count; i++)
        sum += trimmed(&q, theta, p, code_set_start(&q.sets, i));
    *f = sum;
    return PUDLE_OK;
}

static const pudle_prox_kernel host_kernel = { (uint32_t)sizeof(pudle_prox_kernel), 0, "host", apply, vjp };
static const pudle_prox_kernel *const kernels[] = { &host_kernel, NULL };
static const pudle_prox_ops ops = { .size = sizeof(pudle_prox_ops), .vjp_needs = PUDLE_VJP_INPUT, .kernels = kernels, .value = value };

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_PROX,
    .name = "support_selection",
    .version = "1.0.0",
    .summary = "Support selection: the largest entries pass unshrunk, the others are soft-thresholded",
    .math = "argmin_p 1/2 ||p - v||^2 + tau lambda (||p||_1 - the sum of its s largest magnitudes)",
    .cite = "Chen, Liu, Wang, Yin 2018, arXiv:1808.10038",
    .license = "MIT",
    .caps = PUDLE_PROX_INPLACE,
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
