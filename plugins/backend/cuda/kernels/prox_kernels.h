/* Kernels of a prox for REAL: what it is by itself, and layers of the unrolled encoder in Gram form (unroll.c). Steps of layers are read on the device, for they
 * change while a recording lasts. */

PUDLE_KERNEL K(prox_apply)(PUDLE_OPTIONS o, REAL tau, pudle_levels levels, const REAL *v, REAL *p, pudle_code c)
{
    PUDLE_ENTRIES(i, c.count) {
        REAL x, dv;
        const long long atom = i / c.inner % c.atoms;
        pudle_prox_at<REAL>(&o, tau, levels, atom, v[i], &x, &dv);
        p[i] = x;
    }
}
PUDLE_CALLABLE(K(prox_apply))
PUDLE_KERNEL K(prox_vjp)(PUDLE_OPTIONS o, REAL tau, pudle_levels levels, const REAL *v, const REAL *g, REAL *gv, pudle_code c)
{
    PUDLE_ENTRIES(i, c.count) {
        REAL x, dv;
        const long long atom = i / c.inner % c.atoms;
        pudle_prox_at<REAL>(&o, tau, levels, atom, v[i], &x, &dv);
        gv[i] = dv * g[i];
    }
}
PUDLE_CALLABLE(K(prox_vjp))

/* Sums for levels: each thread takes every chunks-th entry of one atom, so the order of additions is a matter of the shape alone.
 * Neighbouring threads read neighbouring entries: along the atoms of a dense code, along the positions of a map. */
PUDLE_KERNEL K(prox_levels)(PUDLE_OPTIONS o, REAL given, pudle_levels levels, const REAL *v, const REAL *g, double *partial,
                            pudle_code c, long long chunks, const double *steps, int kept)
{
    const REAL tau = steps ? (REAL)*steps : given;
    const long long each = c.count / c.atoms, all = c.atoms * chunks;
    PUDLE_ENTRIES(q, all) {
        REAL dt[PUDLE_LEVELS + 1], x, dv;
        double sum[PUDLE_LEVELS + 1];
        const long long atom = c.inner > 1 ? q / chunks : q % c.atoms, chunk = c.inner > 1 ? q % chunks : q / c.atoms;
        const pudle_levels_of<REAL> t = pudle_read_levels<REAL>(levels, atom);
        for (int k = 0; k < PUDLE_LEVELS; k++)
            sum[k] = 0;
        for (long long e = chunk; e < each; e += chunks) {
            const long long i = (e / c.inner * c.atoms + atom) * c.inner + e % c.inner;
            if (kept && g[i] == 0)
                continue;
            pudle_prox_entry<REAL>(&o, tau, v[i], t.at, &x, &dv, dt);
            for (int k = 0; k < PUDLE_LEVELS; k++)
                sum[k] += (double)dt[k] * (double)g[i];
        }
        for (int k = 0; k < PUDLE_LEVELS; k++)
            partial[(k * c.atoms + atom) * chunks + chunk] = sum[k];
    }
}
PUDLE_CALLABLE(K(prox_levels))

PUDLE_KERNEL K(prox_layer)(PUDLE_OPTIONS o, const double *step, pudle_levels levels, const REAL *q, const REAL *c, REAL *z, REAL *v,
                           pudle_code code)
{
    const REAL tau = (REAL)*step;
    PUDLE_ENTRIES(i, code.count) {
        REAL x, dv;
        const REAL in = q ? z[i] + tau * (c[i] - q[i]) : tau * c[i];
        pudle_prox_at<REAL>(&o, tau, levels, i / code.inner % code.atoms, in, &x, &dv);
        z[i] = x;
        if (v)
            v[i] = in;
    }
}
PUDLE_CALLABLE(K(prox_layer))
PUDLE_KERNEL K(prox_back)(PUDLE_OPTIONS o, const double *step, pudle_levels levels, pudle_levels before, const REAL *v, const REAL *past,
                          const REAL *q, int scaled, REAL *u, REAL *up, REAL *us, REAL *zs, REAL *w, pudle_code code)
{
    const REAL tau = (REAL)*step;
    PUDLE_ENTRIES(i, code.count) {
        REAL x = 0, dv, unused;
        const REAL g = !q ? u[i] : scaled ? u[i] - q[i] : u[i] - (REAL)step[1] * q[i];
        const long long atom = i / code.inner % code.atoms;
        if (past)
            pudle_prox_at<REAL>(&o, (REAL)step[-1], before, atom, past[i], &x, &unused);
        zs[i] = x;
        pudle_prox_at<REAL>(&o, tau, levels, atom, v[i], &x, &dv);
        if (up)
            up[i] = g;
        u[i] = dv * g;
        us[i] = tau * (dv * g);
        if (w)
            w[i] += tau * (dv * g);
    }
}
PUDLE_CALLABLE(K(prox_back))
