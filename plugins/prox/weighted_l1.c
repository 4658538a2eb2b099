/* Weighted l1 norm, f(z) = lambda sum_k w_k |z_k|:   p = sign(v) max(|v| - t w_k, 0),   t = tau lambda, k the atom;
 * with nonnegative, restricted to z >= 0:            p = max(v - t w_k, 0).
 * Weight 0 leaves an atom as it is. The same weight holds at all positions of a convolutional atom. */
#include "atomwise.h"

typedef struct params {
    double lambda;
    pudle_real_list weights;
    const char *weights_file;
    bool nonnegative;
} params;

static const pudle_option options[] = {
    { .name = "lambda", .type = PUDLE_REAL, .flags = PUDLE_THRESHOLD | PUDLE_PER_STEP | PUDLE_OPEN_MAX, .offset = offsetof(params, lambda),
      .dflt = "0.1", .min = 0, .max = INFINITY, .doc = "Weight of the norm; an entry of atom k shrinks by step * lambda * w_k in every layer." },
    { .name = "weights", .type = PUDLE_REAL_LIST, .flags = PUDLE_OPEN_MAX, .offset = offsetof(params, weights), .min = 0, .max = INFINITY,
      .doc = "w, one number an atom, or one for all." },
    { .name = "weights_file", .type = PUDLE_PATH, .offset = offsetof(params, weights_file),
      .doc = "w as a .npy file of one axis (or an array in an .npz, \"file.npz:name\"), instead of weights." },
    { .name = "nonnegative", .type = PUDLE_BOOL, .offset = offsetof(params, nonnegative), .dflt = "false", .doc = "Keep codes >= 0." },
    { .name = NULL },
};

static pudle_status check(const pudle_host *host, const void *params_)
{
    const params *o = params_;
    if ((o->weights.count > 0) == (o->weights_file != NULL))
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "the weights are given %s: write weights or weights_file, one of the two",
                          o->weights_file ? "twice" : "nowhere");
    return PUDLE_OK;
}

static pudle_status create(const pudle_host *host, const void *params_, void **self)
{
    const params *o = params_;
    atomwise *a = NULL;
    pudle_status s = o->weights_file ? atomwise_read(host, "weights_file", o->weights_file, &a)
                                     : atomwise_alloc(host, "weights", o->weights.count, &a);
    for (int64_t i = 0; !s && i < a->count; i++) {
        if (!o->weights_file)
            a->value[i] = o->weights.item[i];
        if (!(a->value[i] >= 0 && a->value[i] < (double)INFINITY))
            s = host->fail(host->ctx, PUDLE_ERR_CONFIG, "%s: the weight of atom %lld is %g; weights are >= 0 and finite", a->option, (long long)i,
                           a->value[i]);
    }
    if (s) {
        atomwise_destroy(host, a);
        return s;
    }
    a->sign = o->nonnegative;
    *self = a;
    return PUDLE_OK;
}

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_PROX,
    .name = "weighted_l1",
    .version = "1.0.0",
    .summary = "Weighted l1 norm: a soft threshold with a weight for each atom",
    .math = "argmin_p 1/2 ||p - v||^2 + tau lambda sum_k w_k |p_k|",
    .cite = "Candes, Wakin, Boyd 2008, doi:10.1007/s00041-008-9045-x",
    .license = "MIT",
    .caps = PUDLE_PROX_CONVEX | PUDLE_PROX_SEPARABLE | PUDLE_PROX_INPLACE,
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .check = check,
    .create = create,
    .destroy = atomwise_destroy,
    .ops = &atomwise_ops,
};
PUDLE_PLUGIN(&desc);
