/* p_i = v_i + v_(i-1) / 2 within a sample, differentiated correctly: monotone, but its Jacobian is not symmetric, so it is the prox of nothing. */
#include <pudle/plugin.h>

static pudle_status mix(const pudle_cview *v, const pudle_view *p, int64_t step)
{
    const int64_t n = pudle_count(v), row = n ? n / v->shape[0] : 1;
    for (int64_t i = 0; i < n; i++) {
        const int64_t other = i + step;
        const double x = pudle_entry(v, i) + (other >= 0 && other < n && other / row == i / row ? pudle_entry(v, other) / 2 : 0);
        if (v->dtype == PUDLE_F64)
            ((double *)p->data)[i] = x;
        else
            ((float *)p->data)[i] = (float)x;
    }
    return PUDLE_OK;
}

static pudle_status apply(const void *self, pudle_exec *exec, double tau, const pudle_cview *theta, const pudle_cview *v, const pudle_view *p)
{
    (void)self, (void)exec, (void)tau, (void)theta;
    return mix(v, p, -1);
}

static pudle_status vjp(const void *self, pudle_exec *exec, double tau, const pudle_cview *theta, const pudle_cview *v, const pudle_cview *p,
                        const pudle_cview *g, const pudle_view *gv, const pudle_view *gtheta)
{
    (void)self, (void)exec, (void)tau, (void)theta, (void)v, (void)p, (void)gtheta;
    return mix(g, gv, 1);
}

static const pudle_prox_kernel kernel = { sizeof(pudle_prox_kernel), 0, "host", apply, vjp };
static const pudle_prox_kernel *const kernels[] = { &kernel, NULL };
static const pudle_prox_ops ops = { .size = sizeof(pudle_prox_ops), .vjp_needs = PUDLE_VJP_INPUT, .kernels = kernels };
static const pudle_desc desc = { .size = sizeof(pudle_desc), .kind = PUDLE_KIND_PROX, .name = "no_prox", .version = "1",
                                 .summary = "For tests of the conformance suite", .license = "MIT", .option_size = sizeof(pudle_option), .ops = &ops };
PUDLE_PLUGIN(&desc);
