/* The sum is kept in float. */
#define NAME "float_dot"
#define MORE static pudle_status dot_(pudle_exec *e, const pudle_cview *x, const pudle_cview *y, double *sum) \
{ const pudle_status s = ((const pudle_backend_ops *)original->ops)->dot(e, x, y, sum); *sum = (double)(float)*sum; return s; }
#define REPLACE mutant_ops.dot = dot_;
#include "backend.h"
