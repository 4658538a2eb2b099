/* Soft threshold with a sign for each atom, f(z) = lambda ||z||_1 restricted to s_k z_k >= 0, s_k = +1, -1, or 0 for both:
 *   p = max(v - t, 0) where s_k = 1;   min(v + t, 0) where s_k = -1;   sign(v) max(|v| - t, 0) where s_k = 0;   t = tau lambda.
 * The same sign holds at all positions of a convolutional atom. */
#include "atomwise.h"

typedef struct params {
    double lambda;
    pudle_int_list signs;
    const char *signs_file;
} params;

static const pudle_option options[] = {
    { .name = "lambda", .type = PUDLE_REAL, .flags = PUDLE_THRESHOLD | PUDLE_PER_STEP | PUDLE_OPEN_MAX, .offset = offsetof(params, lambda),
      .dflt = "0.1", .min = 0, .max = INFINITY, .doc = "Weight of the l1 norm; an entry shrinks by step * lambda in every layer." },
    { .name = "signs", .type = PUDLE_INT_LIST, .offset = offsetof(params, signs), .min = -1, .max = 1,
      .doc = "One number an atom, or one for all: 1 keeps its codes >= 0, -1 keeps them <= 0, 0 allows both." },
    { .name = "signs_file", .type = PUDLE_PATH, .offset = offsetof(params, signs_file),
      .doc = "The signs as a .npy file of one axis (or an array in an .npz, \"file.npz:name\"), instead of signs." },
    { .name = NULL },
};

static pudle_status check(const pudle_host *host, const void *params_)
{
    const params *o = params_;
    if ((o->signs.count > 0) == (o->signs_file != NULL))
        return host->fail(host->ctx, PUDLE_ERR_CONFIG, "the signs are given %s: write signs or signs_file, one of the two",
                          o->signs_file ? "twice" : "nowhere");
    return PUDLE_OK;
}

static pudle_status create(const pudle_host *host, const void *params_, void **self)
{
    const params *o = params_;
    atomwise *a = NULL;
    pudle_status s = o->signs_file ? atomwise_read(host, "signs_file", o->signs_file, &a) : atomwise_alloc(host, "signs", o->signs.count, &a);
    for (int64_t i = 0; !s && i < a->count; i++) {
        if (!o->signs_file)
            a->value[i] = (double)o->signs.item[i];
        if (a->value[i] != 1 && a->value[i] != 0 && a->value[i] != -1)
            s = host->fail(host->ctx, PUDLE_ERR_CONFIG, "%s: the sign of atom %lld is %g; it must be 1, -1, or 0 for both", a->option, (long long)i,
                           a->value[i]);
    }
    if (s) {
        atomwise_destroy(host, a);
        return s;
    }
    a->signs = true;
    *self = a;
    return PUDLE_OK;
}

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_PROX,
    .name = "signed_soft_threshold",
    .version = "1.0.0",
    .summary = "Soft threshold with a sign for each atom: codes >= 0, <= 0, or of both signs",
    .math = "argmin_p 1/2 ||p - v||^2 + tau lambda ||p||_1  subject to s_k p_k >= 0",
    .cite = "Parikh, Boyd 2014, Proximal Algorithms, doi:10.1561/2400000003",
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
