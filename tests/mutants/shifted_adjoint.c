/* The adjoint of a convolution that is off by one factor. */
#define NAME "shifted_adjoint"
#define MORE static pudle_status adjoint_(pudle_exec *e, const pudle_conv *c, const pudle_cview *w, double a, const pudle_cview *r, double b, const pudle_view *v) \
{ return ((const pudle_backend_ops *)original->ops)->conv_adjoint(e, c, w, a * (c->stride[1] > 1 ? 2 : 1), r, b, v); }
#define REPLACE mutant_ops.conv_adjoint = adjoint_;
#include "backend.h"
