/* Is a descriptor complete? Whatever passes here may be read and called without further checks. */
#include "plugin/parts.h"

#include <string.h>

bool pd_name_valid(const char *name)
{
    const size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return *name >= 'a' && *name <= 'z' && !name[length] && length <= PD_NAME_LIMIT;
}

static pudle_status too_small(const pudle_desc *d, const char *type, unsigned size, unsigned smallest, pd_reason *why)
{
    return pd_refuse(why, PUDLE_ERR_ABI, "%s '%s': its %s says size %u, ABI 1.0 has at least %u: set .size = sizeof(%s)",
                     pd_kind_name(d->kind), d->name, type, size, smallest, type);
}

static pudle_status missing(const pudle_desc *d, const char *what, const char *meaning, pd_reason *why)
{
    return pd_refuse(why, PUDLE_ERR_ABI, "%s '%s': %s is NULL: set it to %s", pd_kind_name(d->kind), d->name, what, meaning);
}

/* A kernel list of either kind: every kernel starts with size, flags, target. */
typedef struct kernel_head {
    uint32_t size, flags;
    const char *target;
} kernel_head;

static pudle_status check_kernels(const pudle_desc *d, const void *list, const char *type, unsigned smallest, pd_reason *why)
{
    const kernel_head *const *kernel = list;
    if (!kernel || !kernel[0])
        return pd_refuse(why, PUDLE_ERR_ABI, "%s '%s' has no kernel: ops->kernels must begin with one for target \"host\"",
                         pd_kind_name(d->kind), d->name);
    for (int i = 0; kernel[i]; i++) {
        if (i == PD_LIST_LIMIT)
            return pd_refuse(why, PUDLE_ERR_ABI, "%s '%s' lists more than %d kernels: does the list end with NULL?",
                             pd_kind_name(d->kind), d->name, PD_LIST_LIMIT);
        if (kernel[i]->size < smallest)
            return too_small(d, type, kernel[i]->size, smallest, why);
        if (!kernel[i]->target || !*kernel[i]->target)
            return missing(d, "the target of a kernel", "\"host\" or a target agreed with a backend", why);
    }
    if (strcmp(kernel[0]->target, "host"))
        return pd_refuse(why, PUDLE_ERR_ABI,
                         "%s '%s' has no host kernel in the first place: ops->kernels[0] is for target \"%.40s\"; every "
                         "plugin needs a kernel for \"host\", the oracle of all others, and it comes first",
                         pd_kind_name(d->kind), d->name, kernel[0]->target);
    return PUDLE_OK;
}

/* A body reads as many levels as are handed to it: those of the table. */
static pudle_status check_source(const pudle_desc *d, const pudle_prox_ops *ops, pd_reason *why)
{
    pudle_option row;
    int thresholds = 0;
    if (!PUDLE_HAS(ops, pudle_prox_ops, source) || !ops->source)
        return PUDLE_OK;
    for (int i = 0; pd_option_at(d, i, &row); i++)
        thresholds += (row.flags & PUDLE_THRESHOLD) != 0;
    if (ops->source->levels == thresholds)
        return PUDLE_OK;
    return pd_refuse(why, PUDLE_ERR_ABI, "prox '%s' reads %d level%s, and its option table has %d with PUDLE_THRESHOLD: give the level's row that flag, or correct the "
                     "number in PUDLE_PROX", d->name, (int)ops->source->levels, ops->source->levels == 1 ? "" : "s", thresholds);
}

static pudle_status check_prox(const pudle_desc *d, pd_reason *why)
{
    const pudle_prox_ops *ops = d->ops;
    const unsigned smallest = PD_UP_TO(pudle_prox_ops, dead_zone);
    if (ops->size < smallest)
        return too_small(d, "pudle_prox_ops", ops->size, smallest, why);
    if (ops->vjp_needs < PUDLE_VJP_NONE || ops->vjp_needs > PUDLE_VJP_BOTH)
        return pd_refuse(why, PUDLE_ERR_ABI,
                         "prox '%s': vjp_needs is %d: set it to one of PUDLE_VJP_NONE, OUTPUT, INPUT, BOTH", d->name,
                         (int)ops->vjp_needs);
    const pudle_status s = check_kernels(d, ops->kernels, "pudle_prox_kernel", PD_UP_TO(pudle_prox_kernel, vjp), why);
    if (s)
        return s;
    for (int i = 0; ops->kernels[i]; i++)
        if (!ops->kernels[i]->apply)
            return missing(d, "apply of a kernel", "the function that computes the prox", why);
    if (!ops->kernels[0]->vjp && ops->vjp_needs != PUDLE_VJP_NONE)
        return missing(d, "vjp of the host kernel", "the derivative, or declare vjp_needs = PUDLE_VJP_NONE", why);
    return check_source(d, ops, why);
}

static pudle_status check_loss(const pudle_desc *d, pd_reason *why)
{
    const pudle_loss_ops *ops = d->ops;
    const unsigned smallest = PD_UP_TO(pudle_loss_ops, check_target);
    if (ops->size < smallest)
        return too_small(d, "pudle_loss_ops", ops->size, smallest, why);
    const pudle_status s = check_kernels(d, ops->kernels, "pudle_loss_kernel", PD_UP_TO(pudle_loss_kernel, code_grad), why);
    if (s)
        return s;
    const pudle_loss_kernel *host = ops->kernels[0];
    if (!host->value)
        return missing(d, "value of the host kernel", "the function that computes the loss", why);
    if (!host->grad)
        return missing(d, "grad of the host kernel", "the gradient with respect to pred", why);
    if (!host->code_value != !host->code_grad)
        return missing(d, host->code_value ? "code_grad of the host kernel" : "code_value of the host kernel",
                       "its function: both or neither", why);
    return PUDLE_OK;
}

static pudle_status check_data(const pudle_desc *d, pd_reason *why)
{
    const pudle_data_ops *ops = d->ops;
    const unsigned smallest = PD_UP_TO(pudle_data_ops, read);
    if (ops->size < smallest)
        return too_small(d, "pudle_data_ops", ops->size, smallest, why);
    if (!ops->describe)
        return missing(d, "ops->describe", "the function that tells number and shape of the samples", why);
    if (!ops->read)
        return missing(d, "ops->read", "the function that reads samples", why);
    return PUDLE_OK;
}

#define EVERY_BACKEND_FUNCTION(X)                                                                                        \
    X(open) X(close) X(describe) X(plan) X(run) X(sync) X(alloc) X(free) X(upload) X(download) X(fill) X(copy) X(axpby)  \
    X(sign) X(dot) X(census) X(gemm) X(normalize) X(momentum) X(adam) X(prox_apply) X(prox_vjp) X(loss_value)            \
    X(loss_grad) X(loss_hvp) X(code_value) X(code_grad) X(conv_apply) X(conv_adjoint) X(conv_gradient)

static pudle_status check_backend(const pudle_desc *d, pd_reason *why)
{
    const pudle_backend_ops *ops = d->ops;
    const unsigned smallest = PD_UP_TO(pudle_backend_ops, conv_gradient);
    if (ops->size < smallest)
        return too_small(d, "pudle_backend_ops", ops->size, smallest, why);
    if (!ops->targets || !ops->targets[0])
        return missing(d, "ops->targets", "the kernels it can run, best first, ending with NULL: {\"host\", NULL}", why);
#define NEEDED(function) \
    if (!ops->function)  \
        return missing(d, "ops->" #function, "its function: every backend has all of pudle_backend_ops but get_ext", why);
    EVERY_BACKEND_FUNCTION(NEEDED)
#undef NEEDED
    return PUDLE_OK;
}

static pudle_status check_name(const pudle_desc *d, pd_reason *why)
{
    if (!d->name)
        return pd_refuse(why, PUDLE_ERR_ABI, "a pudle_desc of kind %s has no name: set .name to the file's name without .so",
                         pd_kind_name(d->kind));
    if (!pd_name_valid(d->name))
        return pd_refuse(why, PUDLE_ERR_ABI,
                         "the name '%.80s' is not allowed: a letter, then letters, digits and _, all lower case, at most %d",
                         d->name, PD_NAME_LIMIT);
    return PUDLE_OK;
}

pudle_status pd_desc_check(const pudle_desc *d, pd_reason *why)
{
    static pudle_status (*const checks[])(const pudle_desc *, pd_reason *) = {
        [PUDLE_KIND_PROX] = check_prox,
        [PUDLE_KIND_LOSS] = check_loss,
        [PUDLE_KIND_DATA] = check_data,
        [PUDLE_KIND_BACKEND] = check_backend,
    };
    const unsigned smallest = PD_UP_TO(pudle_desc, get_ext);
    if (d->size < smallest) /* before anything else is read */
        return pd_refuse(why, PUDLE_ERR_ABI,
                         "a pudle_desc says size %u, ABI 1.0 has at least %u: set .size = sizeof(pudle_desc)",
                         (unsigned)d->size, smallest);
    if (d->kind < PUDLE_KIND_PROX || d->kind > PUDLE_KIND_BACKEND)
        return pd_refuse(why, PUDLE_ERR_ABI,
                         "a pudle_desc has kind %d: set .kind to one of PUDLE_KIND_PROX, LOSS, DATA, BACKEND", (int)d->kind);
    pudle_status s = check_name(d, why);
    if (s)
        return s;
    if (!d->version || !*d->version)
        return missing(d, ".version", "the plugin's version, \"1.0.0\"", why);
    if (!d->summary || !*d->summary)
        return missing(d, ".summary", "one line about it", why);
    s = pd_options_check(d, why);
    if (s)
        return s;
    return d->ops ? checks[d->kind](d, why) : missing(d, ".ops", "its table of functions", why);
}
