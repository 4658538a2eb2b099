/* Kernels are called with another step than the one given. */
#define NAME "step_lost"
#define MORE static pudle_status prox_(pudle_exec *e, const pudle_instance *p, double tau, const pudle_cview *th, const pudle_cview *v, const pudle_view *out) \
{ return ((const pudle_backend_ops *)original->ops)->prox_apply(e, p, 2 * tau, th, v, out); }
#define REPLACE mutant_ops.prox_apply = prox_;
#include "backend.h"
