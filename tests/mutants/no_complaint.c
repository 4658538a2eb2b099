/* An error of normalize is swallowed. */
#define NAME "no_complaint"
#define MORE static pudle_status normalize_(pudle_exec *e, int32_t axis, double norm, const pudle_view *w) \
{ ((const pudle_backend_ops *)original->ops)->normalize(e, axis, norm, w); return PUDLE_OK; }
#define REPLACE mutant_ops.normalize = normalize_;
#include "backend.h"
