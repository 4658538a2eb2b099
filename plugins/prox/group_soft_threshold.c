/* Group soft threshold, the prox of f(z) = lambda sum_g w_g ||z_g||:
 *   p_g = v_g max(1 - t w_g / ||v_g||, 0),   t = tau lambda,   w_g = sqrt(n_g) or 1.
 * At the kink ||v_g|| = t w_g the derivatives are taken as 0. */
#include "groups.h"

typedef struct params {
    double lambda;
    group_options groups;
} params;

static const pudle_option options[] = {
    { .name = "lambda", .type = PUDLE_REAL, .flags = PUDLE_THRESHOLD | PUDLE_PER_STEP | PUDLE_OPEN_MAX, .offset = offsetof(params, lambda),
      .dflt = "0.1", .min = 0, .max = INFINITY,
      .doc = "Weight of the sum of norms; a group's norm shrinks by step * lambda * its weight in every layer. One an atom: the group's mean." },
    GROUP_OPTIONS(params, groups),
    { .name = NULL },
};

static group_rule rule_of(const void *self, const pudle_cview *theta)
{
    const params *o = ((const kept *)self)->params;
    return (group_rule){ &o->groups, false, NULL, &theta[0] };
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
    return groups_vjp(self, &r, v, g, gv, NULL, gtheta);
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
    .name = "group_soft_threshold",
    .version = "1.0.0",
    .summary = "Group soft threshold: groups of atoms are on or off together",
    .math = "argmin_p 1/2 ||p - v||^2 + tau lambda sum_g w_g ||p_g||",
    .cite = "Yuan, Lin 2006, doi:10.1111/j.1467-9868.2005.00532.x",
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
