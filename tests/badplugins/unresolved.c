/* Calls a function that no library has. */
#define NAME "unresolved"
#define CREATE made
#define BEFORE_DESC                                                                        \
    int function_that_nobody_has(void);                                                    \
    static pudle_status made(const pudle_host *host, const void *set, void **self)         \
    {                                                                                      \
        (void)host, (void)set, (void)self;                                                 \
        return function_that_nobody_has();                                                 \
    }
#include "good.h"
