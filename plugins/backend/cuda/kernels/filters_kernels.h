/* Layers of filters: D' image (tiles.h), with what the layer does to each entry of it; for REAL. */

struct K(layer) {
    typedef pudle_code_cell cell;
    const pudle_options *o;
    const REAL tau;
    const pudle_levels &levels;
    const pudle_filters &f;
    REAL *z, *v;
    int first;
    PUDLE_MEMBER cell begin(int m) const { return pudle_code_at(f, m); }
    PUDLE_MEMBER void put(const cell &to, int n, REAL sum) const
    {
        const long long i = to.at + (long long)n * f.p * f.q;
        const REAL at = first ? tau * sum : z[i] + tau * sum;
        REAL x, dv;
        pudle_prox_at<REAL>(o, tau, levels, n, at, &x, &dv);
        z[i] = x;
        if (v)
            v[i] = at;
    }
    PUDLE_MEMBER void again(const cell &, int) const {}
};
PUDLE_KERNEL K(prox_filter_layer)(PUDLE_OPTIONS o, const double *step, pudle_levels levels, pudle_filters f, pudle_tile tile, int count,
                                  const REAL *images, REAL *z, REAL *v, int first)
{
    PUDLE_BLOCKS(b) {
        PUDLE_SHARED pudle_four<REAL> room[PUDLE_ROOM(REAL) / 4];
        pudle_tile_of(room->at, b, tile, count, pudle_analysis<REAL>(f, images), K(layer){ &o, (REAL)*step, levels, f, z, v, first });
    }
}
PUDLE_CALLABLE(K(prox_filter_layer))

struct K(back) {
    typedef pudle_code_cell cell;
    const pudle_options *o;
    const REAL tau, tau_before;
    const pudle_levels &levels, &before;
    const pudle_filters &f;
    const REAL *v, *past;
    REAL *u, *up, *us, *zs;
    PUDLE_MEMBER cell begin(int m) const { return pudle_code_at(f, m); }
    PUDLE_MEMBER void put(const cell &to, int n, REAL sum) const
    {
        const long long i = to.at + (long long)n * f.p * f.q;
        const REAL g = u[i] + sum;
        REAL x = 0, dv, unused;
        if (past)
            pudle_prox_at<REAL>(o, tau_before, before, n, past[i], &x, &unused);
        zs[i] = x;
        pudle_prox_at<REAL>(o, tau, levels, n, v[i], &x, &dv);
        if (up)
            up[i] = g;
        u[i] = dv * g;
        us[i] = tau * (dv * g);
    }
    PUDLE_MEMBER void again(const cell &, int) const {}
};
PUDLE_KERNEL K(prox_filter_back)(PUDLE_OPTIONS o, const double *step, pudle_levels levels, pudle_levels before, pudle_filters f, pudle_tile tile,
                                 int count, const REAL *images, const REAL *v, const REAL *past, REAL *u, REAL *up, REAL *us, REAL *zs)
{
    PUDLE_BLOCKS(b) {
        PUDLE_SHARED pudle_four<REAL> room[PUDLE_ROOM(REAL) / 4];
        pudle_tile_of(room->at, b, tile, count, pudle_analysis<REAL>(f, images),
                      K(back){ &o, (REAL)*step, past ? (REAL)step[-1] : (REAL)0, levels, before, f, v, past, u, up, us, zs });
    }
}
PUDLE_CALLABLE(K(prox_filter_back))
