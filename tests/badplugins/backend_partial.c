/* A backend that lacks most of its functions. */
#define NAME "backend_partial"
#define KIND PUDLE_KIND_BACKEND
#define LAMBDA_FLAGS 0
#define OPS &backend_ops
#define BEFORE_DESC                                          \
    static const char *const targets[] = { "host", NULL };   \
    static const pudle_backend_ops backend_ops = { .size = sizeof(pudle_backend_ops), .targets = targets };
#include "good.h"
