/* Returns a number that is no status. */
#define NAME "create_bad_status"
#define CREATE made
#define BEFORE_DESC                                                                        \
    static pudle_status made(const pudle_host *host, const void *set, void **self)         \
    {                                                                                      \
        (void)host, (void)set, (void)self;                                                 \
        return 42;                                                                         \
    }
#include "good.h"
