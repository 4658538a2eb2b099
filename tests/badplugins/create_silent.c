/* Fails and does not say why. */
#define NAME "create_silent"
#define CREATE silent
#define BEFORE_DESC                                                                        \
    static pudle_status silent(const pudle_host *host, const void *set, void **self)       \
    {                                                                                      \
        (void)host, (void)set, (void)self;                                                 \
        return PUDLE_ERR_CONFIG;                                                           \
    }
#include "good.h"
