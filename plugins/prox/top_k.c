/* Top k, the projection on the codes with at most k nonzeros:   p = v at the k entries of largest |v|, else 0,   whatever the step;
 * with nonnegative, on those that are >= 0 too:                 p = max(v, 0) at the k largest entries v.
 * Of equal entries the first ones are kept (lower atom first, then lower position). The derivative is 1 where p is not 0; where
 * the choice changes, and at entries 0, it is taken as 0. A NaN stays, counts as the largest, and takes a place. */
#include "selection.h"

typedef struct params {
    int64_t k;
    int32_t over;
    bool nonnegative;
} params;

static const pudle_option options[] = {
    { .name = "k", .type = PUDLE_INT, .flags = PUDLE_REQUIRED, .offset = offsetof(params, k), .min = 1, .max = 1e15,
      .doc = "Nonzeros kept; with k as large as the set, all are." },
    OVER_OPTION(params, "What k is counted in:"),
    { .name = "nonnegative", .type = PUDLE_BOOL, .offset = offsetof(params, nonnegative), .dflt = "false",
      .doc = "Keep codes >= 0: the largest entries instead of the largest magnitudes." },
    { .name = NULL },
};

static selection selection_of(const params *o, const pudle_cview *v)
{
    return (selection){ .sets = code_sets_of(v, o->over), .most = o->k, .rule = o->nonnegative ? BY_VALUE : BY_MAGNITUDE };
}

static pudle_status apply(const void *self, pudle_exec *exec, double tau, const pudle_cview *theta, const pudle_cview *v, const pudle_view *p)
{
    const selection q = selection_of(self, v);
    (void)exec, (void)tau, (void)theta;
    selection_keep(&q, v, p);
    return PUDLE_OK;
}

static pudle_status vjp(const void *self, pudle_exec *exec, double tau, const pudle_cview *theta, const pudle_cview *v, const pudle_cview *p,
                        const pudle_cview *g, const pudle_view *gv, const pudle_view *gtheta)
{
    const selection q = selection_of(self, p);
    (void)exec, (void)tau, (void)theta, (void)v, (void)gtheta;
    selection_keep_vjp(&q, p, g, gv);
    return PUDLE_OK;
}

static pudle_status value(const void *self, double tau, const pudle_cview *theta, const pudle_cview *p, double *f)
{
    const selection q = selection_of(self, p);
    (void)tau, (void)theta;
    *f = selection_indicator(&q, p);
    return PUDLE_OK;
}

static const pudle_prox_kernel host_kernel = { (uint32_t)sizeof(pudle_prox_kernel), 0, "host", apply, vjp };
static const pudle_prox_kernel *const kernels[] = { &host_kernel, NULL };
static const pudle_prox_ops ops = { .size = sizeof(pudle_prox_ops), .vjp_needs = PUDLE_VJP_OUTPUT, .kernels = kernels, .value = value };

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_PROX,
    .name = "top_k",
    .version = "1.0.0",
    .summary = "Top k: keeps the k largest entries of each sample",
    .math = "argmin_p 1/2 ||p - v||^2  subject to ||p||_0 <= k in each sample",
    .cite = "Blumensath, Davies 2009, doi:10.1016/j.acha.2009.04.002",
    .license = "MIT",
    .caps = PUDLE_PROX_INPLACE,
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
