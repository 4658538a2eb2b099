/* plugins/backend/ref/ref.h - parts of the reference backend. */
#ifndef BACKEND_REF_H
#define BACKEND_REF_H

#include "../host.h"

/* Entries are read into double, computed in double and rounded once when stored. */
static inline double load(const void *data, int32_t dtype, int64_t at)
{
    return dtype == PUDLE_F64 ? ((const double *)data)[at] : (double)((const float *)data)[at];
}

static inline void store(void *data, int32_t dtype, int64_t at, double value)
{
    if (dtype == PUDLE_F64)
        ((double *)data)[at] = value;
    else
        ((float *)data)[at] = (float)value;
}

pudle_status ref_conv_apply(pudle_exec *exec, const pudle_conv *c, const pudle_cview *w, const pudle_cview *z, const pudle_view *u);
pudle_status ref_conv_adjoint(pudle_exec *exec, const pudle_conv *c, const pudle_cview *w, double a, const pudle_cview *r, double b,
                              const pudle_view *v);
pudle_status ref_conv_gradient(pudle_exec *exec, const pudle_conv *c, double a, const pudle_cview *r, const pudle_cview *z,
                               const pudle_view *gw);

#endif
