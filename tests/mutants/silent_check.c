/* Some options are refused without a word. */
#define NAME "silent_check"
#define MORE static pudle_status check(const pudle_host *host, const void *set) { (void)host; return ((const params *)set)->mu > 0.8 ? PUDLE_ERR_CONFIG : PUDLE_OK; }
#define CHECK check
#include "prox.h"
