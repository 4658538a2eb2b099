/* An instance that counts its calls, in memory of the host. */
#define NAME "counts_calls"
#define MORE static pudle_status create(const pudle_host *host, const void *set, void **self) \
{ params *p = (params *)host->alloc(host->ctx, sizeof *p + 8); if (!p) return host->fail(host->ctx, PUDLE_ERR_NOMEM, "no memory"); \
  *p = *(const params *)set; *self = p; return PUDLE_OK; } \
static void destroy(const pudle_host *host, void *self) { host->free(host->ctx, self); }
#define CREATE create
#define DESTROY destroy
#define BEFORE { volatile double *count = (volatile double *)(uintptr_t)o + 2; *count += 1; }
#include "prox.h"
