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
    if (!s && u->spec.momentum)
        s = take_reals(u, r, r->now, &p->y);
    if (!s && residual)
        s = take_reals(u, r, u->ldm, &p->residual);
    if (s)
        return s;
    if (residual) {
        memcpy(REALS(r) + p->residual, residual, (size_t)u->ldm * sizeof(REAL));
        p->extent = (double)NAME(extent)(residual, u->ldm); /* now that it is in cache */
    }
    p->first = p->last = (int32_t)t;
    p->count = (int32_t)r->now;
    memcpy(INTS(r) + p->index, r->index, (size_t)r->now * sizeof(int32_t));
    memcpy(REALS(r) + p->z, r->z, (size_t)r->now * sizeof(REAL));
    if (u->keeps_input)
        memcpy(REALS(r) + p->v, v, (size_t)r->now * sizeof(REAL));
    if (u->spec.momentum)
        memcpy(REALS(r) + p->y, r->y, (size_t)r->now * sizeof(REAL));
    else
        p->y = p->z;
    return PUDLE_OK;
}

/* The present point as the last evaluation, but for its correlations; the last becomes the one before. */
static reference *NAME(next_reference)(const pudle_unroll *u, sample *r, const REAL *residual)
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
    memcpy(now->z, r->y, (size_t)r->now * sizeof(REAL));
    if (residual)
        memcpy(now->residual, residual, (size_t)u->ldm * sizeof(REAL));
    r->refs++;
    return now;
}

/* The same with them. */
static void NAME(refer)(const pudle_unroll *u, sample *r, const REAL *corr, const REAL *residual)
{
    reference *const now = NAME(next_reference)(u, r, residual);
    memcpy(now->corr, corr, (size_t)u->ld * sizeof(REAL));
    now->margin = 0;
    r->change = r->ref[1].margin;
}

/* The entries of the present code, which lie in r->index and r->value, through layer t's prox, on to where the next layer begins, and to the tape;
 * residual: before the layer, where it is known. */
static pudle_status NAME(finish_layer)(pudle_unroll *u, pudle_exec *exec, sample *r, int64_t t, const REAL *residual, bool tape)
{
    const pudle_status s = NAME(shrink)(u, exec, r, t, r->index, r->now, r->value, r->z);
    if (!s && u->spec.momentum)
        NAME(extrapolate_row)(r->y, r->z, r->before, (REAL)u->spec.momentum[t - 1], r->now);
    return s || !tape || t < u->spec.layers - u->spec.depth ? s
         : NAME(record)(u, r, t, r->value, u->keep && t > u->spec.layers - u->spec.depth ? residual : NULL);
}

/* The half-widths of layer t's dead zone: one, or one an atom. */
static const REAL *NAME(dead_in)(const pudle_unroll *u, int64_t t)
{
    return (const REAL *)u->dead + (u->dead_along ? (t - 1) * u->ld : t - 1);
}

/* With momentum: the entries of the code before the layer, which y will have as well, join the `found` ones in r->list. All values are in r->v, and both
 * lists ascend. */
static int64_t NAME(join_before)(sample *r, int64_t found)
{
    const REAL *v = r->v, *z = r->z;
    REAL *value = r->value, *before = r->before;
    int32_t *both = r->fresh;
    int64_t n = 0, k = 0, own = 0;
    while (k < found || own < r->now) {
        const int32_t listed = k < found ? r->list[k] : INT32_MAX, had = own < r->now ? r->index[own] : INT32_MAX, j = listed < had ? listed : had;
        const REAL code = had == j ? z[own++] : 0;
        if (listed != j && code == 0) /* it was of the point alone */
            continue;
        k += listed == j;
        both[n] = j;
        value[n] = v[j];
        before[n++] = code;
    }
    memcpy(r->index, both, (size_t)n * sizeof *both);
    return n;
}

/* One layer from the correlations d_j'(x - D y) of all atoms with the present residual. */
static pudle_status NAME(advance)(pudle_unroll *u, pudle_exec *exec, sample *r, const REAL *corr, const REAL *residual, bool tape)
{
    const int64_t t = ++r->t, p = u->spec.atoms;
    REAL *v = r->v, *y = r->y;
    const bool ahead = u->spec.momentum != NULL;
    NAME(scaled)(v, (REAL)u->spec.step[t - 1], corr, u->ld);
    for (int64_t k = 0; k < r->now; k++)
        v[r->index[k]] += y[k];
    const int64_t found = NAME(collect)(v, p, NAME(dead_in)(u, t), u->dead_along, ahead ? r->list : r->index, r->value);
    r->now = ahead ? NAME(join_before)(r, found) : found;
    return NAME(finish_layer)(u, exec, r, t, residual, tape);
}

/* The same from d_j'(D y - x) of the `few` atoms in r->list, those of the present code among them; both lists ascend. The products are in
 * r->coef, and the residual is in r->residual. */
static pudle_status NAME(advance_few)(pudle_unroll *u, pudle_exec *exec, sample *r, int64_t few, bool tape)
{
    const int64_t t = ++r->t;
    const REAL step = (REAL)u->spec.step[t - 1], *dead = NAME(dead_in)(u, t), *product = r->coef, *z = r->z, *y = r->y;
    REAL *value = r->value, *before = r->before;
    int64_t found = 0, own = 0;
    for (int64_t k = 0; k < few; k++) {
        const int32_t j = r->list[k];
        REAL v = -step * product[k], code = 0;
        if (own < r->now && r->index[own] == j) {
            v += y[own];
            code = z[own++];
        }
        r->list[found] = j;
        value[found] = v;
        if (before)
            before[found] = code;
        found += !((v < 0 ? -v : v) <= dead[u->dead_along ? j : 0]) || (before && code != 0);
    }
    r->now = found;
    memcpy(r->index, r->list, (size_t)found * sizeof *r->index);
    return NAME(finish_layer)(u, exec, r, t, r->residual, tape);
}
