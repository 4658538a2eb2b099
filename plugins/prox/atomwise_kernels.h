/* Loops of atomwise.h for one type. Included twice, with REAL float and double and NAME(x) giving each function its suffix. */

static inline void NAME(atomwise_apply)(const atomwise *a, const pudle_cview *theta, const pudle_cview *v, const pudle_view *p)
{
    const pudle_code_shape c = pudle_code_shape_of(v);
    for (int64_t run = 0; run < c.batch * c.atoms; run++) {
        const int64_t atom = run % c.atoms;
        const REAL t = ((const REAL *)theta->data)[atom * pudle_level_step(theta)] * (REAL)atomwise_weight(a, atom);
        const REAL *in = (const REAL *)v->data + run * c.inner, sign = (REAL)atomwise_sign(a, atom);
        REAL *out = (REAL *)p->data + run * c.inner;
        PUDLE_EACH_ALONE
        for (int64_t i = 0; i < c.inner; i++) {
            const REAL x = in[i];
            const bool off = (sign == 0 ? pudle_abs(x) : sign * x) <= t;
            out[i] = off ? 0 : x - pudle_copysign(t, x);
        }
    }
}

/* gv may be g, and each entry of both is touched once. */
static inline void NAME(atomwise_vjp)(const atomwise *a, const pudle_cview *theta, const pudle_cview *v, const pudle_cview *g, const pudle_view *gv,
                                      const pudle_view *gtheta)
{
    const pudle_code_shape c = pudle_code_shape_of(v);
    for (int64_t run = 0; run < c.batch * c.atoms; run++) {
        const int64_t atom = run % c.atoms, level = atom * pudle_level_step(theta);
        const REAL weight = (REAL)atomwise_weight(a, atom), t = ((const REAL *)theta->data)[level] * weight;
        const REAL *in = (const REAL *)v->data + run * c.inner, *up = (const REAL *)g->data + run * c.inner;
        const REAL sign = (REAL)atomwise_sign(a, atom);
        REAL *out = (REAL *)gv->data + run * c.inner;
        double sum = 0;
        for (int64_t i = 0; i < c.inner; i++) {
            const REAL x = in[i];
            const bool off = (sign == 0 ? pudle_abs(x) : sign * x) <= t;
            const REAL through = off ? 0 : up[i];
            sum -= (double)pudle_copysign(weight, x) * (double)through;
            out[i] = through;
        }
        if (gtheta)
            ((double *)gtheta->data)[level] += sum;
    }
}
