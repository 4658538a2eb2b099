/* Memory from elsewhere is forgotten as well. */
#define NAME "malloc_leak"
#include <stdlib.h>
#define MORE static pudle_status create(const pudle_host *host, const void *set, void **self) \
{ params *p = (params *)malloc(sizeof *p + 100); (void)host; if (!p) return PUDLE_ERR_NOMEM; *p = *(const params *)set; *self = p; return PUDLE_OK; }
#define CREATE create
#include "prox.h"
