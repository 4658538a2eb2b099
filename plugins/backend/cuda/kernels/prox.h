/* What kernels of a prox share. PUDLE_LEVELS: how many levels its body reads. */
struct pudle_levels { const void *theta[8]; long long step[8]; };
struct pudle_code { long long atoms, inner, count; };
struct pudle_list { int *index; void *value; int *count; };

/* The operator for one entry of an atom: with all its derivatives, and with the one for the input. */
template <typename real> PUDLE_DEVICE void pudle_prox_all(const pudle_options *o, const real tau, const pudle_levels &levels, long long atom, const real v,
                                                          real *p, real *dv, real *dt)
{
    real t[PUDLE_LEVELS + 1];
    for (int k = 0; k < PUDLE_LEVELS; k++)
        t[k] = ((const real *)levels.theta[k])[atom * levels.step[k]];
    pudle_prox_entry<real>(o, tau, v, t, p, dv, dt);
}
template <typename real> PUDLE_DEVICE void pudle_prox_at(const pudle_options *o, const real tau, const pudle_levels &levels, long long atom, const real v,
                                                         real *p, real *dv)
{
    real dt[PUDLE_LEVELS + 1];
    pudle_prox_all(o, tau, levels, atom, v, p, dv, dt);
}
