/* A data source that cannot be read. */
#define NAME "data_no_read"
#define KIND PUDLE_KIND_DATA
#define LAMBDA_FLAGS 0
#define OPS &data_ops
#define BEFORE_DESC                                                                                                \
    static pudle_status describe(const pudle_host *host, const void *self, int32_t split, pudle_data_info *info)   \
    {                                                                                                              \
        (void)host, (void)self, (void)split, (void)info;                                                           \
        return PUDLE_OK;                                                                                           \
    }                                                                                                              \
    static const pudle_data_ops data_ops = { .size = sizeof(pudle_data_ops), .describe = describe };
#include "good.h"
