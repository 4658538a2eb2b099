/* Without memory it goes on all the same. */
#define NAME "starving"
#define MORE static params spare; static pudle_status create(const pudle_host *host, const void *set, void **self) \
{ params *p = (params *)host->alloc(host->ctx, sizeof *p); if (!p) p = &spare; *p = *(const params *)set; *self = p; return PUDLE_OK; } \
static void destroy(const pudle_host *host, void *self) { if (self != &spare) host->free(host->ctx, self); }
#define CREATE create
#define DESTROY destroy
#include "prox.h"
