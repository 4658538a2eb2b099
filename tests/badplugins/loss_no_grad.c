/* A loss without its gradient. */
#define NAME "loss_no_grad"
#define KIND PUDLE_KIND_LOSS
#define OPS &loss_ops
#define LAMBDA_FLAGS 0
#define BEFORE_DESC                                                                                                   \
    static pudle_status value(const void *self, pudle_exec *exec, const pudle_cview *pred, const pudle_cview *target, \
                              double *sum)                                                                            \
    {                                                                                                                 \
        (void)self, (void)exec, (void)pred, (void)target;                                                             \
        *sum = 0;                                                                                                     \
        return PUDLE_OK;                                                                                              \
    }                                                                                                                 \
    static const pudle_loss_kernel only = { .size = sizeof(pudle_loss_kernel), .target = "host", .value = value };    \
    static const pudle_loss_kernel *const loss_kernels[] = { &only, NULL };                                           \
    static const pudle_loss_ops loss_ops = { .size = sizeof(pudle_loss_ops), .kernels = loss_kernels };
#include "good.h"
