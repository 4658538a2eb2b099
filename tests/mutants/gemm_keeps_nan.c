/* With b = 0 the old C is multiplied by 0, and a NaN stays. */
#define NAME "gemm_keeps_nan"
#define MORE static pudle_status gemm_(pudle_exec *e, bool ta, bool tb, double a, const pudle_cview *A, const pudle_cview *B, double b, const pudle_view *C) \
{ return ((const pudle_backend_ops *)original->ops)->gemm(e, ta, tb, a, A, B, b == 0 ? 1e-300 : b, C); }
#define REPLACE mutant_ops.gemm = gemm_;
#include "backend.h"
