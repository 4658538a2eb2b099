/* Writes through a null pointer. */
#define NAME "create_crash"
#define CREATE crash
#define BEFORE_DESC                                                                        \
    static pudle_status crash(const pudle_host *host, const void *set, void **self)        \
    {                                                                                      \
        volatile int *volatile nowhere = NULL;                                             \
        (void)host, (void)set, (void)self;                                                 \
        *nowhere = 1;                                                                      \
        return PUDLE_OK;                                                                   \
    }
#include "good.h"
