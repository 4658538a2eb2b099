/* Batch top k, the projection on the batches of n codes with at most n k nonzeros in all:   p = v at the n k entries of largest |v| of
 * the whole batch, else 0, whatever the step. A sample may have more nonzeros than k, another fewer; so a sample's code depends on
 * the samples beside it, in evaluation too.
 * With nonnegative: p = max(v, 0) at the n k largest entries v.
 * Of equal entries the first ones are kept (earlier sample first). The derivative is 1 where p is not 0; where the choice
 * changes, and at entries 0, it is taken as 0. A NaN stays, counts as the largest, and takes a place. */
#include "selection.h"

typedef struct params {
    int64_t k;
    bool nonnegative;
} params;

static const pudle_option options[] = {
    { .name = "k", .type = PUDLE_INT, .flags = PUDLE_REQUIRED, .offset = offsetof(params, k), .min = 1, .max = 1e9,
      .doc = "Nonzeros kept for each sample, on average over the batch." },
    { .name = "nonnegative", .type = PUDLE_BOOL, .offset = offsetof(params, nonnegative), .dflt = "false",
      .doc = "Keep codes >= 0: the largest entries instead of the largest magnitudes." },
    { .name = NULL },
};

static selection selection_of(const params *o, const pudle_cview *v)
{
    const pudle_code_shape s = pudle_code_shape_of(v);
    const int64_t each = s.atoms * s.inner, kept = o->k < each ? o->k : each, all = s.batch * each;
    const code_sets whole = { all > 0, all, 1, 1, all, s.inner };
    return (selection){ .sets = whole, .most = kept * s.batch, .rule = o->nonnegative ? BY_VALUE : BY_MAGNITUDE };
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
    .name = "batch_top_k",
    .version = "1.0.0",
    .summary = "Batch top k: keeps the largest entries of a batch, k a sample on average",
    .math = "argmin_p 1/2 ||p - v||^2  subject to ||p||_0 <= n k in a batch of n samples",
    .cite = "Bussmann, Leask, Nanda 2024, arXiv:2412.06410",
    .license = "MIT",
    .caps = PUDLE_PROX_INPLACE | PUDLE_PROX_BATCH_COUPLED,
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
