/* One layer of one sample of unroll.c, forwards: the prox, the tape, and an evaluation that is kept. Included twice, with REAL float and double,
 * after unroll_kernels.h. */

/* The levels of some entries in layer t: the scalars themselves, or gathered. */
static pudle_status NAME(levels_of)(pudle_unroll *u, sample *r, int64_t t, const int32_t *index, int64_t count, pudle_cview theta[])
{
    for (int i = 0; i < u->spec.levels; i++) {
        const pudle_cview *all = &u->spec.theta[i];
        const int64_t cols = all->shape[1];
        const REAL *from = (const REAL *)all->data + (t - 1) * cols;
        if (cols > 1) {
            const pudle_status s = want(u, &r->levels[i], (size_t)(count + 1) * sizeof(REAL));
            if (s)
                return s;
            REAL *to = r->levels[i].at;
            for (int64_t k = 0; k < count; k++)
                to[k] = from[index[k]];
            from = to;
        }
        theta[i] = parts_vector(from, u->spec.dtype, cols > 1 ? count : 1);
    }
    return PUDLE_OK;
}

static pudle_status NAME(shrink)(pudle_unroll *u, pudle_exec *exec, sample *r, int64_t t, const int32_t *index, int64_t count, const REAL *v, REAL *z)
{
    pudle_cview theta[PARTS_LEVELS];
    const pudle_status s = NAME(levels_of)(u, r, t, index, count, theta);
    if (s || count == 0)
        return s;
    const pudle_cview in = parts_vector(v, u->spec.dtype, count);
    const pudle_view out = view_of(z, u->spec.dtype, count);
    return u->kernel->apply(u->spec.prox.self, exec, u->spec.step[t - 1], theta, &in, &out);
}

/* The present code to the tape, as what layer t made of v; and the residual before the layer, where the way back wants it. */
static pudle_status NAME(record)(pudle_unroll *u, sample *r, int64_t t, const REAL *v, const REAL *residual)
{
    piece *p = NULL;
    pudle_status s = new_piece(u, r, &p);
    if (!s)
        s = take_ints(u, r, r->now, &p->index);
    if (!s)
        s = take_reals(u, r, r->now, &p->z);
    if (!s && u->keeps_input)
        s = take_reals(u, r, r->now, &p->v);
    if (!s && residual)
        s = take_reals(u, r, u->ldm, &p->residual);
    if (s)
        return s;
    if (residual)
        memcpy(REALS(r) + p->residual, residual, (size_t)u->ldm * sizeof(REAL));
    p->first = p->last = (int32_t)t;
    p->count = (int32_t)r->now;
    memcpy(INTS(r) + p->index, r->index, (size_t)r->now * sizeof(int32_t));
    memcpy(REALS(r) + p->z, r->z, (size_t)r->now * sizeof(REAL));
    if (u->keeps_input)
        memcpy(REALS(r) + p->v, v, (size_t)r->now * sizeof(REAL));
    return PUDLE_OK;
}

/* The present code and the correlations of its residual as the last evaluation; the last becomes the one before. */
static void NAME(refer)(const pudle_unroll *u, sample *r, const REAL *corr, const REAL *residual)
{
    const reference kept = r->ref[1];
    r->ref[1] = r->ref[0];
    r->ref[0] = kept;
    reference *const now = &r->ref[0];
    r->between = r->t - r->evaluated;
    r->evaluated = r->t;
    r->far = r->between > 2 ? UNROLL_ON : UNROLL_FAR;
    r->near = 0;
    r->place = (spot){ 0, 0 };
    r->spent = 0;
    now->count = r->now;
    memcpy(now->index, r->index, (size_t)r->now * sizeof(int32_t));
    memcpy(now->z, r->z, (size_t)r->now * sizeof(REAL));
    memcpy(now->corr, corr, (size_t)u->ld * sizeof(REAL));
    if (residual)
        memcpy(now->residual, residual, (size_t)u->ldm * sizeof(REAL));
    r->refs++;
}

/* One layer from the correlations d_j'(x - D z) of all atoms with the present residual. */
static pudle_status NAME(advance)(pudle_unroll *u, pudle_exec *exec, sample *r, const REAL *corr, const REAL *residual, bool tape)
{
    const int64_t t = ++r->t, p = u->spec.atoms;
    REAL *v = r->v, *z = r->z, *value = r->value;
    NAME(scaled)(v, (REAL)u->spec.step[t - 1], corr, u->ld);
    for (int64_t k = 0; k < r->now; k++)
        v[r->index[k]] += z[k];
    const REAL *dead = (const REAL *)u->dead + (u->dead_along ? (t - 1) * u->ld : t - 1);
    r->now = NAME(collect)(v, p, dead, u->dead_along, r->index, value);
    pudle_status s = NAME(shrink)(u, exec, r, t, r->index, r->now, value, z);
    if (!s && tape && t >= u->spec.layers - u->spec.depth)
        s = NAME(record)(u, r, t, value, u->keep && t > u->spec.layers - u->spec.depth ? residual : NULL);
    return s;
}
