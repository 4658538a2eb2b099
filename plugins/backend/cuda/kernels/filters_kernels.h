/* Layers of filters: D' image (tiles.h), with what the layer does to each entry of it; for REAL. */

struct K(layer) : pudle_on_codes {
    struct column { int along; pudle_levels_of<REAL> t; };
    typedef REAL input;
    const pudle_options *o;
    const REAL tau;
    const pudle_levels &levels;
    REAL *z, *v;
    int first;
    PUDLE_MEMBER column column_of(int n) const { return { along(n), pudle_read_levels<REAL>(levels, n) }; }
    PUDLE_MEMBER input fetch(row to, const column &c) const { return first ? 0 : z[to + c.along]; }
    PUDLE_MEMBER void put(row to, const column &c, input was, REAL sum) const
    {
        const REAL at = first ? tau * sum : was + tau * sum;
        REAL x, dv;
        pudle_prox_at<REAL>(o, tau, c.t, at, &x, &dv);
        z[to + c.along] = x;
        if (v)
            v[to + c.along] = at;
    }
};
PUDLE_TILES(REAL) K(prox_filter_layer)(PUDLE_OPTIONS o, const double *step, pudle_levels levels, pudle_filters f, pudle_tile tile, int count,
                                  const REAL *images, REAL *z, REAL *v, int first)
{
    PUDLE_BLOCKS(b) {
        PUDLE_SHARED pudle_few<REAL> room[PUDLE_ROOM(REAL) / 4];
        PUDLE_SHARED pudle_few<int> under[PUDLE_TERMS(REAL) / 4 + 1];
        pudle_tile_of(room->at, b, tile, count, pudle_analysis<REAL>(f, images, under->at), K(layer){ { f }, &o, (REAL)*step, levels, z, v, first });
    }
}
PUDLE_CALLABLE(K(prox_filter_layer))

struct K(back) : pudle_on_codes {
    struct column { int along; pudle_levels_of<REAL> t, before; };
    struct input { REAL u, v, past; };
    const pudle_options *o;
    const REAL tau, tau_before;
    const pudle_levels &levels, &before;
    const REAL *v, *past;
    REAL *u, *up, *us, *zs;
    PUDLE_MEMBER column column_of(int n) const
    {
        return { along(n), pudle_read_levels<REAL>(levels, n), past ? pudle_read_levels<REAL>(before, n) : pudle_levels_of<REAL>() };
    }
    PUDLE_MEMBER input fetch(row to, const column &c) const
    {
        const long long i = to + c.along;
        return { u[i], v[i], past ? past[i] : (REAL)0 };
    }
    PUDLE_MEMBER void put(row to, const column &c, const input &in, REAL sum) const
    {
        const long long i = to + c.along;
        const REAL g = in.u + sum;
        REAL x = 0, dv, unused;
        if (past)
            pudle_prox_at<REAL>(o, tau_before, c.before, in.past, &x, &unused);
        zs[i] = x;
        pudle_prox_at<REAL>(o, tau, c.t, in.v, &x, &dv);
        if (up)
            up[i] = g;
        u[i] = dv * g;
        us[i] = tau * (dv * g);
    }
};
PUDLE_TILES(REAL) K(prox_filter_back)(PUDLE_OPTIONS o, const double *step, pudle_levels levels, pudle_levels before, pudle_filters f, pudle_tile tile,
                                 int count, const REAL *images, const REAL *v, const REAL *past, REAL *u, REAL *up, REAL *us, REAL *zs)
{
    PUDLE_BLOCKS(b) {
        PUDLE_SHARED pudle_few<REAL> room[PUDLE_ROOM(REAL) / 4];
        PUDLE_SHARED pudle_few<int> under[PUDLE_TERMS(REAL) / 4 + 1];
        pudle_tile_of(room->at, b, tile, count, pudle_analysis<REAL>(f, images, under->at),
                      K(back){ { f }, &o, (REAL)*step, past ? (REAL)step[-1] : (REAL)0, levels, before, v, past, u, up, us, zs });
    }
}
PUDLE_CALLABLE(K(prox_filter_back))
