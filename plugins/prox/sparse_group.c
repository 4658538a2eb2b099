/* Sparse group, the prox of f(z) = lambda ||z||_1 + lambda_group sum_g w_g ||z_g||: the soft threshold, then the group's.
 *   u = sign(v) max(|v| - s, 0),   p_g = u_g max(1 - t w_g / ||u_g||, 0),   s = tau lambda,   t = tau lambda_group.
 * With nonnegative, f is restricted to z >= 0 and u = max(v - s, 0). At kinks the derivatives are taken as 0. */
#include "groups.h"

typedef struct params {
    double lambda, lambda_group;
    group_options groups;
    bool nonnegative;
} params;

static const pudle_option options[] = {
    { .name = "lambda", .type = PUDLE_REAL, .flags = PUDLE_THRESHOLD | PUDLE_PER_STEP | PUDLE_OPEN_MAX, .offset = offsetof(params, lambda),
      .dflt = "0.1", .min = 0, .max = INFINITY, .doc = "Weight of the l1 norm; an entry shrinks by step * lambda in every layer." },
    { .name = "lambda_group", .type = PUDLE_REAL, .flags = PUDLE_THRESHOLD | PUDLE_PER_STEP | PUDLE_OPEN_MAX,
      .offset = offsetof(params, lambda_group), .dflt = "0.1", .min = 0, .max = INFINITY,
      .doc = "Weight of the sum of norms; a group's norm then shrinks by step * lambda_group * its weight. One an atom: the group's mean." },
    GROUP_OPTIONS(params, groups),
    { .name = "nonnegative", .type = PUDLE_BOOL, .offset = offsetof(params, nonnegative), .dflt = "false", .doc = "Keep codes >= 0." },
    { .name = NULL },
};

static group_rule rule_of(const void *self, const pudle_cview *theta)
{
    const params *o = ((const kept *)self)->params;
    return (group_rule){ &o->groups, o->nonnegative, &theta[0], &theta[1] };
}

static pudle_status apply(const void *self, pudle_exec *exec, double tau, const pudle_cview *theta, const pudle_cview *v, const pudle_view *p)
{
    const group_rule r = rule_of(self, theta);
    (void)exec, (void)tau;
    return groups_apply(self, &r, v, p);
}

static pudle_status vjp(const void *self, pudle_exec *exec, double tau, const pudle_cview *theta, const pudle_cview *v, const pudle_cview *p,
                        const pudle_cview *g, const pudle_view *gv, const pudle_view *gtheta)
{
    const group_rule r = rule_of(self, theta);
    (void)exec, (void)tau, (void)p;
    return groups_vjp(self, &r, v, g, gv, gtheta ? &gtheta[0] : NULL, gtheta ? &gtheta[1] : NULL);
}

static pudle_status value(const void *self, double tau, const pudle_cview *theta, const pudle_cview *p, double *f)
{
    const group_rule r = rule_of(self, theta);
    (void)tau;
    return groups_value(self, &r, p, f);
}

static pudle_status check(const pudle_host *host, const void *o)
{
    return groups_check(host, &((const params *)o)->groups);
}

static const pudle_prox_kernel host_kernel = { (uint32_t)sizeof(pudle_prox_kernel), 0, "host", apply, vjp };
static const pudle_prox_kernel *const kernels[] = { &host_kernel, NULL };
static const pudle_prox_ops ops = { .size = sizeof(pudle_prox_ops), .vjp_needs = PUDLE_VJP_INPUT, .kernels = kernels, .value = value };

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_PROX,
    .name = "sparse_group",
    .version = "1.0.0",
    .summary = "Sparse group: few groups of atoms, and few atoms in each",
    .math = "argmin_p 1/2 ||p - v||^2 + tau (lambda ||p||_1 + lambda_group sum_g w_g ||p_g||)",
    .cite = "Simon, Friedman, Hastie, Tibshirani 2013, doi:10.1080/10618600.2012.681250",
    .license = "MIT",
    .caps = PUDLE_PROX_CONVEX | PUDLE_PROX_INPLACE,
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .check = check,
    .create = kept_create,
    .destroy = kept_destroy,
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
