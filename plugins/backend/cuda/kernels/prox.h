/* What kernels of a prox share. PUDLE_LEVELS: how many levels its body reads. */
struct pudle_levels { const void *theta[8]; long long step[8]; };
struct pudle_code { long long atoms, inner, count; };
struct pudle_list { unsigned short *index; void *value; int *count; };

/* An atom's levels, and room for one where a body reads none. */
template <typename real> PUDLE_DEVICE void pudle_bring_levels(const pudle_levels &levels, long long atom, real *t)
{
    for (int k = 0; k < PUDLE_LEVELS; k++)
        t[k] = ((const real *)levels.theta[k])[atom * levels.step[k]];
}
template <typename real> struct pudle_levels_of { real at[PUDLE_LEVELS + 1]; };
template <typename real> PUDLE_DEVICE pudle_levels_of<real> pudle_read_levels(const pudle_levels &levels, long long atom)
{
    pudle_levels_of<real> t;
    pudle_bring_levels(levels, atom, t.at);
    return t;
}

/* The operator for one entry of an atom: with all its derivatives, and with the one for the input. Levels may have been read before. */
template <typename real> PUDLE_DEVICE void pudle_prox_all(const pudle_options *o, const real tau, const pudle_levels &levels, long long atom, const real v,
                                                          real *p, real *dv, real *dt)
{
    pudle_prox_entry<real>(o, tau, v, pudle_read_levels<real>(levels, atom).at, p, dv, dt);
}
template <typename real> PUDLE_DEVICE void pudle_prox_at(const pudle_options *o, const real tau, const pudle_levels_of<real> &t, const real v, real *p, real *dv)
{
    real dt[PUDLE_LEVELS + 1];
    pudle_prox_entry<real>(o, tau, v, t.at, p, dv, dt);
}
template <typename real> PUDLE_DEVICE void pudle_prox_at(const pudle_options *o, const real tau, const pudle_levels &levels, long long atom, const real v,
                                                         real *p, real *dv)
{
    real dt[PUDLE_LEVELS + 1];
    pudle_prox_all(o, tau, levels, atom, v, p, dv, dt);
}
