/* A block is forgotten in destroy. */
#define NAME "leak"
#define MORE static pudle_status create(const pudle_host *host, const void *set, void **self) \
{ params *p = (params *)host->alloc(host->ctx, sizeof *p); void *lost = p ? host->alloc(host->ctx, 8) : NULL; \
  if (!lost) { host->free(host->ctx, p); return host->fail(host->ctx, PUDLE_ERR_NOMEM, "no memory"); } \
  *p = *(const params *)set; *self = p; return PUDLE_OK; } \
static void destroy(const pudle_host *host, void *self) { host->free(host->ctx, self); }
#define CREATE create
#define DESTROY destroy
#include "prox.h"
