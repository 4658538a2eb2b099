/* Loops of atomwise.h for one type. Included twice, with REAL float and double and NAME(x) giving each function its suffix. */

static inline bool NAME(atomwise_off)(REAL v, REAL t, int sign)
{
    return (sign == 0 ? pudle_abs(v) : sign < 0 ? -v : v) <= t;
}

/* A dense code is walked along its atoms, a convolutional one along the positions of each. */
static inline void NAME(atomwise_apply)(const atomwise *a, const pudle_cview *theta, const pudle_cview *v, const pudle_view *p)
{
    const pudle_code_shape c = pudle_code_shape_of(v);
    const int64_t step = pudle_level_step(theta);
    const REAL *level = (const REAL *)theta->data;
    for (int64_t b = 0; b < c.batch && c.inner == 1; b++) {
        const REAL *in = (const REAL *)v->data + b * c.atoms;
        REAL *out = (REAL *)p->data + b * c.atoms;
        PUDLE_EACH_ALONE
        for (int64_t k = 0; k < c.atoms; k++) {
            const REAL x = in[k], t = level[k * step] * (REAL)atomwise_weight(a, k);
            const REAL q = x - pudle_copysign(t, x);
            out[k] = NAME(atomwise_off)(x, t, atomwise_sign(a, k)) ? 0 : q;
        }
    }
    for (int64_t run = 0; run < c.batch * c.atoms && c.inner > 1; run++) {
        const int64_t atom = run % c.atoms;
        const REAL t = level[atom * step] * (REAL)atomwise_weight(a, atom), *in = (const REAL *)v->data + run * c.inner;
        const int sign = atomwise_sign(a, atom);
        REAL *out = (REAL *)p->data + run * c.inner;
        PUDLE_EACH_ALONE
        for (int64_t i = 0; i < c.inner; i++) {
            const REAL x = in[i], q = x - pudle_copysign(t, x);
            out[i] = NAME(atomwise_off)(x, t, sign) ? 0 : q;
        }
    }
}

/* gv may be g, and each entry of both is touched once. */
static inline void NAME(atomwise_vjp)(const atomwise *a, const pudle_cview *theta, const pudle_cview *v, const pudle_cview *g, const pudle_view *gv,
                                      const pudle_view *gtheta)
{
    const pudle_code_shape c = pudle_code_shape_of(v);
    for (int64_t run = 0; run < c.batch * c.atoms && c.inner > 0; run++) {
        const int64_t atom = run % c.atoms, level = atom * pudle_level_step(theta);
        const REAL weight = (REAL)atomwise_weight(a, atom), t = ((const REAL *)theta->data)[level] * weight;
        const REAL *in = (const REAL *)v->data + run * c.inner, *up = (const REAL *)g->data + run * c.inner;
        const int sign = atomwise_sign(a, atom);
        REAL *out = (REAL *)gv->data + run * c.inner;
        double sum = 0;
        for (int64_t i = 0; i < c.inner; i++) {
            const REAL x = in[i], through = NAME(atomwise_off)(x, t, sign) ? 0 : up[i];
            sum -= (double)pudle_copysign(weight, x) * (double)through;
            out[i] = through;
        }
        if (gtheta)
            ((double *)gtheta->data)[level] += sum;
    }
}
