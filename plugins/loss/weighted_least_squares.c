/* Least squares with a weight for every entry of a sample:   l = 1/2 sum w (pred - target)^2,   the weights from a file.
 * A weight is an inverse variance: entries that are known well count for more, and one with weight 0 not at all. */
#include <pudle/plugin.h>

typedef struct params {
    const char *path;
} params;

static const pudle_option options[] = {
    { .name = "path", .type = PUDLE_PATH, .flags = PUDLE_REQUIRED, .offset = offsetof(params, path),
      .doc = "The weights, >= 0, one for every entry of a sample, in its shape: a .npy file, or an array in an .npz as \"file.npz:name\"." },
    { .name = NULL },
};

typedef struct instance {
    const char *path;
    int64_t count;
    double most, *weight;
} instance;

static void destroy(const pudle_host *host, void *self)
{
    instance *w = self;
    if (!w)
        return;
    host->free(host->ctx, w->weight);
    host->free(host->ctx, w);
}

static pudle_status read_weights(const pudle_host *host, const pudle_host_arrays *arrays, const pudle_array_file *file, instance *w)
{
    int64_t rows = 1, row = 1;
    for (int32_t i = 0; i < arrays->rank(file); i++)
        *(i ? &row : &rows) *= arrays->extent(file, i);
    w->count = rows * row;
    w->weight = host->alloc(host->ctx, (size_t)w->count * sizeof *w->weight);
    if (!w->weight)
        return host->fail(host->ctx, PUDLE_ERR_NOMEM, "%s: no memory for %lld weights", w->path, (long long)w->count);
    pudle_status s = PUDLE_OK;
    for (int64_t i = 0; i < rows && !s; i++)
        s = arrays->read_row(host->ctx, file, i, PUDLE_F64, w->weight + i * row);
    for (int64_t i = 0; i < w->count && !s; i++) {
        if (!(w->weight[i] >= 0) || isinf(w->weight[i]))
            s = host->fail(host->ctx, PUDLE_ERR_CONFIG, "%s: weight %lld is %g; weights are finite and >= 0", w->path, (long long)i, w->weight[i]);
        else if (w->weight[i] > w->most)
            w->most = w->weight[i];
    }
    if (!s && w->most == 0)
        s = host->fail(host->ctx, PUDLE_ERR_CONFIG, "%s: all weights are 0: there is nothing to fit", w->path);
    return s;
}

static pudle_status create(const pudle_host *host, const void *params_, void **self)
{
    const params *o = params_;
    const pudle_host_arrays *arrays = host->get_ext(host->ctx, PUDLE_HOST_ARRAYS);
    pudle_array_file *file = NULL;
    if (!arrays)
        return host->fail(host->ctx, PUDLE_ERR_UNSUPPORTED, "the host does not read NumPy files (no %s)", PUDLE_HOST_ARRAYS);
    instance *w = host->alloc(host->ctx, sizeof *w);
    if (!w)
        return host->fail(host->ctx, PUDLE_ERR_NOMEM, "no memory for a loss");
    *w = (instance){ .path = o->path };
    pudle_status s = arrays->open(host->ctx, o->path, &file);
    if (!s)
        s = read_weights(host, arrays, file, w);
    arrays->close(file);
    if (s)
        destroy(host, w);
    else
        *self = w;
    return s;
}

/* The weights belong to the entries of a sample; check_target says so in words. */
static bool fits(const instance *w, const pudle_cview *v)
{
    return v->rank > 1 && (v->shape[0] == 0 || pudle_count(v) == v->shape[0] * w->count);
}

static void store(const pudle_view *v, int64_t i, double value)
{
    if (v->dtype == PUDLE_F64)
        ((double *)v->data)[i] = value;
    else
        ((float *)v->data)[i] = (float)value;
}

static pudle_status value(const void *self, pudle_exec *exec, const pudle_cview *pred, const pudle_cview *target, double *sum)
{
    const instance *w = self;
    const int64_t n = pudle_count(pred);
    double total = 0;
    (void)exec;
    if (!fits(w, pred))
        return PUDLE_ERR_ARG;
    for (int64_t i = 0; i < n; i++) {
        const double r = pudle_entry(pred, i) - pudle_entry(target, i);
        total += w->weight[i % w->count] * r * r;
    }
    *sum = 0.5 * total;
    return PUDLE_OK;
}

static pudle_status grad(const void *self, pudle_exec *exec, const pudle_cview *pred, const pudle_cview *target, const pudle_view *g)
{
    const instance *w = self;
    const int64_t n = pudle_count(pred);
    (void)exec;
    if (!fits(w, pred))
        return PUDLE_ERR_ARG;
    for (int64_t i = 0; i < n; i++)
        store(g, i, w->weight[i % w->count] * (pudle_entry(pred, i) - pudle_entry(target, i)));
    return PUDLE_OK;
}

static pudle_status hvp(const void *self, pudle_exec *exec, const pudle_cview *pred, const pudle_cview *target, const pudle_cview *u,
                        const pudle_view *hu)
{
    const instance *w = self;
    const int64_t n = pudle_count(u);
    (void)exec;
    (void)pred;
    (void)target;
    if (!fits(w, u))
        return PUDLE_ERR_ARG;
    for (int64_t i = 0; i < n; i++)
        store(hu, i, w->weight[i % w->count] * pudle_entry(u, i));
    return PUDLE_OK;
}

static pudle_status lipschitz(const void *self, const pudle_cview *target, double *constant)
{
    (void)target;
    *constant = ((const instance *)self)->most;
    return PUDLE_OK;
}

static pudle_status check_target(const pudle_host *host, const void *self, const pudle_cview *target)
{
    const instance *w = self;
    if (fits(w, target))
        return PUDLE_OK;
    return host->fail(host->ctx, PUDLE_ERR_CONFIG, "%s holds %lld weights, and a sample has %lld entries: they must agree", w->path,
                      (long long)w->count, (long long)(target->shape[0] ? pudle_count(target) / target->shape[0] : 0));
}

static const pudle_loss_kernel host_kernel = { .size = sizeof(pudle_loss_kernel), .target = "host", .value = value, .grad = grad, .hvp = hvp };
static const pudle_loss_kernel *const kernels[] = { &host_kernel, NULL };

static const pudle_loss_ops ops = {
    .size = sizeof(pudle_loss_ops),
    .pred_domain = "real",
    .target_domain = "real",
    .kernels = kernels,
    .lipschitz = lipschitz,
    .check_target = check_target,
};

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_LOSS,
    .name = "weighted_least_squares",
    .version = "1.0.0",
    .summary = "Half the sum of squared differences with a weight for every entry",
    .math = "1/2 sum w (pred - target)^2",
    .license = "MIT",
    .caps = PUDLE_LOSS_CONVEX | PUDLE_LOSS_QUADRATIC | PUDLE_LOSS_SEPARABLE,
    .options = options,
    .option_size = sizeof(pudle_option),
    .params_size = sizeof(params),
    .create = create,
    .destroy = destroy,
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
