/* Checks of convolutions, and the memory that an exec keeps for them. */
#include "host.h"

static pudle_status check_shape(pudle_exec *exec, const char *op, const pudle_conv *c)
{
    bool good = c->atoms > 0 && c->channels > 0;
    for (int i = 0; i < 2; i++)
        good = good && c->kernel[i] > 0 && c->stride[i] > 0 && c->data[i] >= c->kernel[i] &&
               c->code[i] == (c->data[i] - c->kernel[i]) / c->stride[i] + 1;
    if (good)
        return PUDLE_OK;
    return FAIL(exec, PUDLE_ERR_ARG, "%s: filters of %lld x %lld at stride %lld x %lld do not give codes of %lld x %lld on data of %lld x %lld", op,
                (long long)c->kernel[0], (long long)c->kernel[1], (long long)c->stride[0], (long long)c->stride[1], (long long)c->code[0],
                (long long)c->code[1], (long long)c->data[0], (long long)c->data[1]);
}

pudle_status host_check_conv(pudle_exec *exec, const char *op, const pudle_conv *c, const pudle_cview *w, const pudle_cview *code,
                             const pudle_cview *image)
{
    pudle_status s = host_check(exec, op, "w", w);
    if (!s)
        s = host_check(exec, op, "code", code);
    if (!s)
        s = host_check(exec, op, "image", image);
    if (s)
        return s;
    if (!c)
        return FAIL(exec, PUDLE_ERR_ARG, "%s: the description of the convolution is missing", op);
    s = check_shape(exec, op, c);
    if (s)
        return s;
    const int64_t taps = c->channels * c->kernel[0] * c->kernel[1], pixels = c->channels * c->data[0] * c->data[1];
    if (!host_contiguous(w) || pudle_count(w) != c->atoms * taps)
        return FAIL(exec, PUDLE_ERR_ARG, "%s: w holds %lld numbers; %lld, contiguous, are wanted", op, (long long)pudle_count(w),
                    (long long)(c->atoms * taps));
    if (code->rank != 2 || image->rank != 2 || code->shape[0] != image->shape[0] || code->shape[1] != c->atoms * c->code[0] * c->code[1] ||
        image->shape[1] != pixels || w->dtype != code->dtype || w->dtype != image->dtype)
        return FAIL(exec, PUDLE_ERR_ARG, "%s: codes, images and filters do not fit together: rows of %lld and %lld numbers are wanted", op,
                    (long long)(c->atoms * c->code[0] * c->code[1]), (long long)pixels);
    return PUDLE_OK;
}

pudle_status host_scratch(pudle_exec *exec, size_t bytes, void **memory)
{
    if (bytes > exec->scratch_bytes) {
        host_scratch_free(exec);
        exec->scratch = exec->host->alloc(exec->host->ctx, bytes + HOST_PAD);
        if (!exec->scratch)
            return FAIL(exec, PUDLE_ERR_NOMEM, "out of memory for %zu bytes of workspace", bytes);
        exec->scratch_bytes = bytes;
    }
    *memory = exec->scratch;
    return PUDLE_OK;
}

void host_scratch_free(pudle_exec *exec)
{
    if (exec->scratch)
        exec->host->free(exec->host->ctx, exec->scratch);
    exec->scratch = NULL;
    exec->scratch_bytes = 0;
}
