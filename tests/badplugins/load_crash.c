/* Crashes in its constructor, while it is loaded. */
#define NAME "load_crash"
#define BEFORE_DESC                                                                        \
    __attribute__((constructor)) static void crash(void)                                   \
    {                                                                                      \
        volatile int *volatile nowhere = NULL;                                             \
        *nowhere = 1;                                                                      \
    }
#include "good.h"
