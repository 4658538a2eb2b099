/* Total variation, the prox of f(z) = lambda sum_i |z_{i+1} - z_i| along the last axis: from atom to atom in a dense code, from
 * position to position inside an atom in a convolutional one (along each row where positions are two-dimensional).
 *
 * Taut string: with S_i = v_1 + .. + v_i and t = tau lambda, the sums of p are the shortest path from (0, 0) to (n, S_n) that stays
 * within t of S. From where the path last bent it goes straight until no line stays within; there it bends at the side that
 * stopped it. That is exact, needs no memory, and takes time in proportion to n times how far one looks beyond a bend: linear on
 * data, quadratic at worst.
 *
 * p is constant on blocks. dp/dv averages over each block; dp/dt = (sign of the jump at its end - sign of the jump at its begin) /
 * length, without the jumps that are not there. Where blocks just meet, they are taken as one. A line that holds a NaN or an infinity
 * becomes NaN. */
#include "kept.h"

typedef struct params {
    double lambda;
} params;

static const pudle_option options[] = {
    { .name = "lambda", .type = PUDLE_REAL, .flags = PUDLE_THRESHOLD | PUDLE_PER_STEP | PUDLE_OPEN_MAX, .offset = offsetof(params, lambda),
      .dflt = "0.1", .min = 0, .max = INFINITY,
      .doc = "Weight of the total variation; neighbours that differ little become equal. One an atom: in dense codes the mean." },
    { .name = NULL },
};

/* The last axis as lines; line i belongs to atom i / per_atom % atoms, or to all if atoms is 0. */
typedef struct lines {
    int64_t count, length, per_atom, atoms;
} lines;

static lines lines_of(const pudle_cview *v)
{
    const pudle_code_shape s = pudle_code_shape_of(v);
    lines l = { s.batch, s.atoms, 1, 0 };
    if (v->rank > 2) {
        l.length = v->shape[v->rank - 1];
        l.per_atom = l.length ? s.inner / l.length : 0;
        l.count = s.batch * s.atoms * l.per_atom;
        l.atoms = s.atoms;
    }
    if (l.length == 0)
        l.count = 0;
    return l;
}

/* The atoms that line i runs through: its own one, or all. */
static int64_t first_of(const lines *l, int64_t i)
{
    return l->atoms ? i / l->per_atom % l->atoms : 0;
}

static int64_t atoms_of(const lines *l)
{
    return l->atoms ? 1 : l->length;
}

#define REAL float
#define NAME(x) x##_f32
#include "tv1d_kernels.h"
#undef NAME
#undef REAL
#define REAL double
#define NAME(x) x##_f64
#include "tv1d_kernels.h"
#undef NAME
#undef REAL

static pudle_status apply(const void *self, pudle_exec *exec, double tau, const pudle_cview *theta, const pudle_cview *v, const pudle_view *p)
{
    const lines l = lines_of(v);
    (void)self, (void)exec, (void)tau;
    for (int64_t i = 0; i < l.count; i++) {
        const double t = tied_level(theta, first_of(&l, i), atoms_of(&l));
        if (v->dtype == PUDLE_F64)
            tv_line_f64((const double *)v->data + i * l.length, (double *)p->data + i * l.length, l.length, t);
        else
            tv_line_f32((const float *)v->data + i * l.length, (float *)p->data + i * l.length, l.length, t);
    }
    return PUDLE_OK;
}

static pudle_status vjp(const void *self, pudle_exec *exec, double tau, const pudle_cview *theta, const pudle_cview *v, const pudle_cview *p,
                        const pudle_cview *g, const pudle_view *gv, const pudle_view *gtheta)
{
    const lines l = lines_of(p);
    (void)self, (void)exec, (void)tau, (void)theta, (void)v;
    for (int64_t i = 0; i < l.count; i++) {
        const int64_t at = i * l.length;
        const double sum = p->dtype == PUDLE_F64
                               ? tv_line_vjp_f64((const double *)p->data + at, (const double *)g->data + at, (double *)gv->data + at, l.length)
                               : tv_line_vjp_f32((const float *)p->data + at, (const float *)g->data + at, (float *)gv->data + at, l.length);
        if (gtheta)
            tied_gradient(gtheta, sum, first_of(&l, i), atoms_of(&l));
    }
    return PUDLE_OK;
}

static pudle_status value(const void *self, double tau, const pudle_cview *theta, const pudle_cview *p, double *f)
{
    const lines l = lines_of(p);
    double sum = 0;
    (void)self, (void)tau;
    for (int64_t i = 0; i < l.count; i++) {
        const double t = tied_level(theta, first_of(&l, i), atoms_of(&l));
        sum += 0 * pudle_entry(p, i * l.length); /* a NaN in a line without neighbours */
        for (int64_t j = 1; j < l.length; j++)
            sum += t * fabs(pudle_entry(p, i * l.length + j) - pudle_entry(p, i * l.length + j - 1));
    }
    *f = sum;
    return PUDLE_OK;
}

static const pudle_prox_kernel host_kernel = { (uint32_t)sizeof(pudle_prox_kernel), 0, "host", apply, vjp };
static const pudle_prox_kernel *const kernels[] = { &host_kernel, NULL };
static const pudle_prox_ops ops = { .size = sizeof(pudle_prox_ops), .vjp_needs = PUDLE_VJP_OUTPUT, .kernels = kernels, .value = value };

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_PROX,
    .name = "tv1d",
    .version = "1.0.0",
    .summary = "Total variation along the last axis: codes that are constant in pieces",
    .math = "argmin_p 1/2 ||p - v||^2 + tau lambda sum_i |p_{i+1} - p_i|",
    .cite = "Davies, Kovac 2001, doi:10.1214/aos/996986501; Condat 2013, doi:10.1109/LSP.2013.2278339",
    .license = "MIT",
    .caps = PUDLE_PROX_CONVEX | PUDLE_PROX_INPLACE,
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
