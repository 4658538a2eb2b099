/* One of several classes, with the softmax link: p = e^eta / sum e^eta along the first axis of a sample, which is the features of a
 * vector, or the channels of a picture at each place. x is the class as ones and zeros, or probabilities,
 *   l = log sum e^eta - x . eta,   l' = p - x,   l'' = diag(p) - p p',   whose largest eigenvalue is at most 1/2. */
#include <pudle/plugin.h>

/* A batch (samples, classes, places): entry k of a softmax lies k places behind the first one. */
typedef struct layout { int64_t softmaxes, classes, places; } layout;

static layout layout_of(const pudle_cview *v)
{
    const pudle_code_shape s = pudle_code_shape_of(v);
    return (layout){ s.atoms ? s.batch * s.inner : 0, s.atoms, s.inner }; /* without classes there is none */
}

static int64_t first_of(const layout *l, int64_t i)
{
    return i / l->places * l->classes * l->places + i % l->places;
}

static void store(const pudle_view *v, int64_t i, double value)
{
    if (v->dtype == PUDLE_F64)
        ((double *)v->data)[i] = value;
    else
        ((float *)v->data)[i] = (float)value;
}

/* log sum e^eta, without overflow; NaN if one is NaN. */
static double log_sum(const pudle_cview *eta, const layout *l, int64_t at)
{
    double most = pudle_entry(eta, at), sum = 0;
    for (int64_t k = 1; k < l->classes; k++)
        most = pudle_max(most, pudle_entry(eta, at + k * l->places));
    for (int64_t k = 0; k < l->classes; k++)
        sum += exp(pudle_entry(eta, at + k * l->places) - most);
    return most + log(sum);
}

static pudle_status value(const void *self, pudle_exec *exec, const pudle_cview *pred, const pudle_cview *target, double *sum)
{
    const layout l = layout_of(pred);
    double total = 0;
    (void)self;
    (void)exec;
    for (int64_t i = 0; i < l.softmaxes; i++) {
        const int64_t at = first_of(&l, i);
        const double all = log_sum(pred, &l, at);
        for (int64_t k = 0; k < l.classes; k++) /* the x of a softmax sum to 1 */
            total += pudle_entry(target, at + k * l.places) * (all - pudle_entry(pred, at + k * l.places));
    }
    *sum = total;
    return PUDLE_OK;
}

/* Entry by entry, so that g may be pred. */
static pudle_status grad(const void *self, pudle_exec *exec, const pudle_cview *pred, const pudle_cview *target, const pudle_view *g)
{
    const layout l = layout_of(pred);
    (void)self;
    (void)exec;
    for (int64_t i = 0; i < l.softmaxes; i++) {
        const int64_t at = first_of(&l, i);
        const double all = log_sum(pred, &l, at);
        for (int64_t k = at; k < at + l.classes * l.places; k += l.places)
            store(g, k, exp(pudle_entry(pred, k) - all) - (target ? pudle_entry(target, k) : 0));
    }
    return PUDLE_OK;
}

static pudle_status mean(const void *self, pudle_exec *exec, const pudle_cview *pred, const pudle_view *m)
{
    return grad(self, exec, pred, NULL, m);
}

static pudle_status hvp(const void *self, pudle_exec *exec, const pudle_cview *pred, const pudle_cview *target, const pudle_cview *u,
                        const pudle_view *hu)
{
    const layout l = layout_of(pred);
    (void)self;
    (void)exec;
    (void)target;
    for (int64_t i = 0; i < l.softmaxes; i++) {
        const int64_t at = first_of(&l, i);
        const double all = log_sum(pred, &l, at);
        double along = 0;
        for (int64_t k = at; k < at + l.classes * l.places; k += l.places)
            along += exp(pudle_entry(pred, k) - all) * pudle_entry(u, k);
        for (int64_t k = at; k < at + l.classes * l.places; k += l.places)
            store(hu, k, exp(pudle_entry(pred, k) - all) * (pudle_entry(u, k) - along));
    }
    return PUDLE_OK;
}

static pudle_status lipschitz(const void *self, const pudle_cview *target, double *constant)
{
    (void)self;
    (void)target;
    *constant = 0.5;
    return PUDLE_OK;
}

static pudle_status check_target(const pudle_host *host, const void *self, const pudle_cview *target)
{
    const layout l = layout_of(target);
    (void)self;
    for (int64_t i = 0; i < l.softmaxes; i++) {
        const int64_t at = first_of(&l, i);
        double sum = 0;
        for (int64_t k = 0; k < l.classes; k++) {
            const double x = pudle_entry(target, at + k * l.places);
            if (!(x >= 0))
                return host->fail(host->ctx, PUDLE_ERR_ARG, "sample %lld of the batch, class %lld: the target is %g, and categorical takes numbers >= 0 "
                                  "that sum to 1", (long long)(i / l.places), (long long)k, x);
            sum += x;
        }
        if (!(fabs(sum - 1) <= 1e-4))
            return host->fail(host->ctx, PUDLE_ERR_ARG, "sample %lld of the batch: the targets of its %lld classes sum to %g, and categorical takes "
                              "numbers >= 0 that sum to 1", (long long)(i / l.places), (long long)l.classes, sum);
    }
    return PUDLE_OK;
}

static const pudle_loss_kernel host_kernel = { .size = sizeof(pudle_loss_kernel), .target = "host", .value = value, .grad = grad, .hvp = hvp,
                                               .mean = mean };
static const pudle_loss_kernel *const kernels[] = { &host_kernel, NULL };

static const pudle_loss_ops ops = {
    .size = sizeof(pudle_loss_ops),
    .pred_domain = "real: log-probabilities up to a constant",
    .target_domain = "probabilities of the classes",
    .kernels = kernels,
    .lipschitz = lipschitz,
    .check_target = check_target,
};

static const pudle_desc desc = {
    .size = sizeof(pudle_desc),
    .kind = PUDLE_KIND_LOSS,
    .name = "categorical",
    .version = "1.0.0",
    .summary = "Negative log-likelihood of one class among several, softmax link",
    .math = "sum log sum_k e^pred_k - sum_k target_k pred_k,  k: features, or channels at each place",
    .cite = "Boehning 1992, doi:10.1007/BF00048682",
    .license = "MIT",
    .caps = PUDLE_LOSS_CONVEX,
    .option_size = sizeof(pudle_option),
    .ops = &ops,
};
PUDLE_PLUGIN(&desc);
