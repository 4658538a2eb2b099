/* The layers of unroll.c, forwards and back. Included twice, with REAL float and double, after unroll_kernels.h. */

/* ---------------------------------------------------------------- forward */

/* v = base + z - step G z, for one row; base is step c. */
static void NAME(input)(const pudle_unroll *u, lane *l, const codes *from, int64_t row, REAL step)
{
    const int64_t begin = from->start[row], count = from->start[row + 1] - begin;
    const int32_t *index = from->index + begin;
    const REAL *z = (const REAL *)from->z + begin;
    REAL *v = l->v, *coef = l->coef;
    for (int64_t k = 0; k < count; k++)
        coef[k] = -step * z[k];
    NAME(combine)(v, (const REAL *)l->base + row * u->ld, u->gram, u->ld, u->ld, count, index, coef);
    for (int64_t k = 0; k < count; k++)
        v[index[k]] += z[k];
}

/* All rows' inputs of a layer by one product, for codes that are not sparse: V = base + Z - step Z G. */
static pudle_status NAME(inputs)(pudle_unroll *u, pudle_exec *exec, lane *l, const codes *from, int64_t rows, REAL step)
{
    pudle_status s = want(u, &l->dense[0], (size_t)(rows * u->ld) * sizeof(REAL));
    if (!s)
        s = want(u, &l->dense[1], (size_t)(rows * u->ld) * sizeof(REAL));
    if (s)
        return s;
    REAL *z = l->dense[0].at, *v = l->dense[1].at;
    memset(z, 0, (size_t)(rows * u->ld) * sizeof(REAL));
    for (int64_t row = 0; row < rows; row++)
        for (int64_t k = from->start[row]; k < from->start[row + 1]; k++)
            z[row * u->ld + from->index[k]] = ((const REAL *)from->z)[k];
    for (int64_t i = 0; i < rows * u->ld; i++)
        v[i] = ((const REAL *)l->base)[i] + z[i];
    return product(u, exec, false, false, -(double)step, z, rows, u->ld, u->gram, u->ld, 1.0, v);
}

/* The levels of the entries of a layer: the scalars themselves, or gathered into `levels`. */
static pudle_status NAME(levels_of)(pudle_unroll *u, lane *l, int64_t t, const int32_t *index, int64_t count, pudle_cview theta[])
{
    for (int i = 0; i < u->spec.levels; i++) {
        const pudle_cview *all = &u->spec.theta[i];
        const int64_t cols = all->shape[1];
        const REAL *from = (const REAL *)all->data + (t - 1) * cols;
        if (cols > 1) {
            const pudle_status s = want(u, &l->levels[i], (size_t)(count + 1) * sizeof(REAL));
            if (s)
                return s;
            REAL *to = l->levels[i].at;
            for (int64_t k = 0; k < count; k++)
                to[k] = from[index[k]];
            from = to;
        }
        theta[i] = vector_of(from, u->spec.dtype, cols > 1 ? count : 1);
    }
    return PUDLE_OK;
}

static pudle_status NAME(layer)(pudle_unroll *u, pudle_exec *exec, lane *l, int64_t t, const codes *from, codes *to, int64_t rows)
{
    const REAL step = (REAL)u->spec.step[t - 1], *dead = (const REAL *)u->dead + (u->dead_along ? (t - 1) * u->ld : t - 1);
    const bool dense = t > 1 && from->start[rows] > DENSE * (double)(rows * u->spec.atoms);
    pudle_cview theta[UNROLL_LEVELS];
    pudle_status s = dense ? NAME(inputs)(u, exec, l, from, rows, step) : PUDLE_OK;
    to->start[0] = 0;
    for (int64_t row = 0; row < rows && !s; row++) {
        s = room_for(u, to, to->start[row] + u->ld);
        if (s)
            return s;
        const REAL *v = dense ? (const REAL *)l->dense[1].at + row * u->ld : t > 1 ? l->v : (const REAL *)l->base + row * u->ld;
        if (t > 1 && !dense)
            NAME(input)(u, l, from, row, step);
        to->start[row + 1] = to->start[row] + NAME(collect)(v, u->spec.atoms, dead, u->dead_along, to->index + to->start[row],
                                                            (REAL *)to->v + to->start[row]);
    }
    const int64_t count = s ? 0 : to->start[rows];
    if (!s)
        s = NAME(levels_of)(u, l, t, to->index, count, theta);
    if (s || count == 0)
        return s;
    const pudle_cview v = vector_of(to->v, u->spec.dtype, count);
    const pudle_view z = { .data = to->z, .dtype = v.dtype, .rank = 2, .shape = { 1, count }, .stride = { count, 1 } };
    return host_prox_apply(exec, &u->spec.prox, (double)step, theta, &v, &z);
}

static pudle_status NAME(forward)(pudle_unroll *u, pudle_exec *exec, lane *l, int64_t rows, bool tape, const pudle_view *z)
{
    const int64_t T = u->spec.layers;
    REAL at = (REAL)u->spec.step[0];
    pudle_status s = PUDLE_OK;
    scale_rows(u, l->base, rows, (double)at);
    for (int64_t i = 0; i <= rows; i++)
        slot_of(u, l, 0, tape)->start[i] = 0;
    for (int64_t t = 1; t <= T && !s; t++) {
        const REAL step = (REAL)u->spec.step[t - 1];
        if (step != at)
            scale_rows(u, l->base, rows, (double)step / (double)at);
        at = step;
        s = NAME(layer)(u, exec, l, t, slot_of(u, l, t - 1, tape), slot_of(u, l, t, tape), rows);
    }
    const codes *last = slot_of(u, l, T, tape);
    for (int64_t row = 0; row < rows && !s; row++) {
        REAL *to = (REAL *)z->data + row * z->stride[0];
        memset(to, 0, (size_t)u->spec.atoms * sizeof(REAL));
        for (int64_t k = last->start[row]; k < last->start[row + 1]; k++)
            to[last->index[k]] = ((const REAL *)last->z)[k];
    }
    return s;
}

/* ---------------------------------------------------------------- adjoint */

/* A row on its way back. Its arrays have one entry for every atom it has used on the tape (local numbers), or for every atom. */
typedef struct NAME(trail) {
    int64_t size, width, stride;  /* entries; padded; from row to row of gram and outer */
    const int32_t *atom;          /* of each local number; NULL: the numbers are the atoms */
    const REAL *gram;             /* (size, width) of G */
    REAL *outer;                  /* (size, width): sum of step z u' */
    REAL *adjoint, *masked, *sum; /* (width): u, J u, sum of step u */
} NAME(trail);

/* Number the atoms of the kept layers of one row; the entries' local numbers go to codes.local. */
static int64_t NAME(number)(pudle_unroll *u, lane *l, int64_t row, int32_t *atom)
{
    int64_t count = 0;
    l->stamp++;
    for (int64_t s = 0; s <= u->spec.depth; s++) {
        codes *c = &l->slot[s];
        for (int64_t k = c->start[row]; k < c->start[row + 1]; k++) {
            const int32_t j = c->index[k];
            if (l->seen[j] != l->stamp) {
                l->seen[j] = l->stamp;
                l->number[j] = (int32_t)count;
                atom[count++] = j;
            }
            c->local[k] = l->number[j];
        }
    }
    return count;
}

/* Rows and columns of the Gram matrix that belong to the atoms. */
static void NAME(gather_gram)(const pudle_unroll *u, const NAME(trail) *trail, REAL *to)
{
    for (int64_t i = 0; i < trail->size; i++, to += trail->width) {
        const REAL *from = (const REAL *)u->gram + trail->atom[i] * u->ld;
        for (int64_t k = 0; k < trail->size; k++)
            to[k] = from[trail->atom[k]];
        for (int64_t k = trail->size; k < trail->width; k++)
            to[k] = 0;
    }
}

/* Layer t for one row: u holds d/dz_t, gv the masked entries of it. Leaves d/dz_{t-1}. */
static void NAME(back_row)(const NAME(trail) *r, REAL step, const codes *now, const codes *before, int64_t row, const REAL *gv, REAL *coef)
{
    const int64_t begin = now->start[row], count = now->start[row + 1] - begin;
    const int64_t first = before->start[row], others = before->start[row + 1] - first;
    const int32_t *local = (r->atom ? now->local : now->index) + begin;
    memset(r->masked, 0, (size_t)r->width * sizeof(REAL));
    for (int64_t k = 0; k < count; k++) {
        r->masked[local[k]] = gv[k];
        r->sum[local[k]] += step * gv[k];
        coef[k] = -step * gv[k];
    }
    NAME(combine)(r->adjoint, r->masked, r->gram, r->stride, r->width, count, local, coef);
    for (int64_t k = 0; k < others; k++)
        coef[k] = step * ((const REAL *)before->z)[first + k];
    NAME(spread)(r->outer, r->stride, r->masked, r->width, others, (r->atom ? before->local : before->index) + first, coef);
}

/* gv = J' u over the entries of a layer for rows [from, to); gtheta of the layer is added to. */
static pudle_status NAME(mask)(pudle_unroll *u, pudle_exec *exec, lane *l, int64_t t, const codes *c, int64_t from, int64_t to,
                               const NAME(trail) *trails, const pudle_view *gtheta)
{
    const int64_t begin = c->start[from], count = c->start[to] - begin;
    pudle_cview theta[UNROLL_LEVELS];
    pudle_view sums[UNROLL_LEVELS];
    pudle_status s = want(u, &l->up, (size_t)(count + 1) * sizeof(REAL));
    if (!s)
        s = want(u, &l->masked, (size_t)(count + 1) * sizeof(REAL));
    if (!s)
        s = NAME(levels_of)(u, l, t, c->index + begin, count, theta);
    if (!s && gtheta)
        s = level_sums(u, l, t, count, gtheta, sums);
    if (s || count == 0)
        return s;
    REAL *up = l->up.at;
    for (int64_t row = from; row < to; row++) {
        const NAME(trail) *r = &trails[row - from];
        const int32_t *local = r->atom ? c->local : c->index;
        for (int64_t k = c->start[row]; k < c->start[row + 1]; k++)
            up[k - begin] = r->adjoint[local[k]];
    }
    const pudle_cview v = vector_of((const REAL *)c->v + begin, u->spec.dtype, count);
    const pudle_cview p = vector_of((const REAL *)c->z + begin, u->spec.dtype, count), g = vector_of(up, u->spec.dtype, count);
    const pudle_view gv = { .data = l->masked.at, .dtype = v.dtype, .rank = 2, .shape = { 1, count }, .stride = { count, 1 } };
    s = host_prox_vjp(exec, &u->spec.prox, u->spec.step[t - 1], theta, &v, &p, &g, &gv, gtheta ? sums : NULL);
    if (!s && gtheta)
        scatter_sums(u, l, t, c->index + begin, count, gtheta);
    return s;
}

/* What a row with local numbers has gathered: into the lane's outer products, or, where these are cheaper, D outer' + outer'
 * straight into the gradient. The sum of its adjoints into row `row` of `sums`. */
static void NAME(unload)(const pudle_unroll *u, gathered *g, const NAME(trail) *r, REAL *sums)
{
    REAL *outer = g->outer.at;
    for (int64_t i = 0; i < r->size; i++) {
        sums[r->atom ? r->atom[i] : i] += r->sum[i];
        for (int64_t k = 0; r->atom && k < r->size; k++)
            outer[r->atom[i] * u->ld + r->atom[k]] += r->outer[i * r->width + k];
    }
}

/* gradient += -D_S (outer + outer') for the atoms S of a row. */
static pudle_status NAME(unload_directly)(pudle_unroll *u, pudle_exec *exec, lane *l, const NAME(trail) *r, const pudle_view *gradient)
{
    const int64_t m = u->spec.features, w = r->width;
    pudle_status s = want(u, &l->columns[0], (size_t)(m * w) * sizeof(REAL));
    if (!s)
        s = want(u, &l->columns[1], (size_t)(m * w) * sizeof(REAL));
    if (s)
        return s;
    REAL *d = l->columns[0].at, *change = l->columns[1].at, *outer = r->outer;
    const REAL *dictionary = u->spec.dictionary.data;
    for (int64_t i = 0; i < r->size; i++)
        for (int64_t k = 0; k <= i; k++)
            outer[i * w + k] = outer[k * w + i] = outer[i * w + k] + outer[k * w + i];
    for (int64_t f = 0; f < m; f++)
        for (int64_t i = 0; i < w; i++)
            d[f * w + i] = i < r->size ? dictionary[f * u->spec.dictionary.stride[0] + r->atom[i]] : 0;
    s = product(u, exec, false, false, -1.0, d, m, r->size, outer, w, 0.0, change);
    for (int64_t f = 0; f < m && !s; f++)
        for (int64_t i = 0; i < r->size; i++)
            ((REAL *)gradient->data)[f * gradient->stride[0] + r->atom[i]] += change[f * w + i];
    return s;
}

/* Rows [from, to) back through all kept layers. */
static pudle_status NAME(back_rows)(pudle_unroll *u, pudle_exec *exec, lane *l, gathered *g, int64_t from, int64_t to, const pudle_view *adjoint,
                                    REAL *sums, const pudle_view *gradient, const pudle_view *gtheta)
{
    const int64_t T = u->spec.layers, K = u->spec.depth, p = u->spec.atoms;
    NAME(trail) trail[BACK_ROWS];
    pudle_status s = want(u, &l->atoms, (size_t)(p * BACK_ROWS) * sizeof(int32_t));
    size_t entries = 0;
    for (int64_t row = from; row < to && !s; row++) {
        NAME(trail) *r = &trail[row - from];
        int32_t *atom = (int32_t *)l->atoms.at + (row - from) * p;
        for (int64_t slot = 0; slot <= K && !s; slot++)
            s = local_room(u, &l->slot[slot]);
        if (s)
            return s;
        const int64_t size = NAME(number)(u, l, row, atom), width = padded(size);
        const bool global = 4 * width > 3 * u->ld;
        *r = (NAME(trail)){ .size = global ? p : size, .width = global ? u->ld : width, .stride = global ? u->ld : width,
                            .atom = global ? NULL : atom };
        entries += (size_t)(3 * r->width + (global ? 0 : 2 * size * width));
    }
    if (!s)
        s = want(u, &l->trail, (entries + UNROLL_PAD) * sizeof(REAL)); /* never none: rows may have used no atom at all */
    if (s)
        return s;
    REAL *memory = l->trail.at;
    for (int64_t row = from; row < to && !s; row++) {
        NAME(trail) *r = &trail[row - from];
        r->adjoint = memory;
        r->masked = memory + r->width;
        r->sum = memory + 2 * r->width;
        memory += 3 * r->width;
        memset(r->adjoint, 0, 3 * (size_t)r->width * sizeof(REAL));
        const REAL *given = (const REAL *)adjoint->data + row * adjoint->stride[0];
        for (int64_t i = 0; i < r->size; i++)
            r->adjoint[i] = given[r->atom ? r->atom[i] : i];
        if (!r->atom || !direct(u, r->size))
            s = outer_room(u, g);
        if (r->atom) {
            const size_t square = (size_t)(r->size * r->width);
            NAME(gather_gram)(u, r, memory);
            r->gram = memory;
            r->outer = memory + square;
            memset(r->outer, 0, square * sizeof(REAL));
            memory += 2 * square;
        } else {
            r->gram = u->gram;
            r->outer = g->outer.at;
        }
    }
    for (int64_t t = T; t > T - K && !s; t--) {
        const codes *now = &l->slot[t - (T - K)], *before = now - 1;
        s = NAME(mask)(u, exec, l, t, now, from, to, trail, gtheta);
        for (int64_t row = from; row < to && !s; row++)
            NAME(back_row)(&trail[row - from], (REAL)u->spec.step[t - 1], now, before, row,
                           (const REAL *)l->masked.at + (now->start[row] - now->start[from]), l->coef);
    }
    for (int64_t row = from; row < to && !s; row++) {
        const NAME(trail) *r = &trail[row - from];
        if (r->atom && direct(u, r->size)) {
            for (int64_t i = 0; i < r->size; i++)
                sums[row * u->ld + r->atom[i]] += r->sum[i];
            s = NAME(unload_directly)(u, exec, l, r, gradient);
        } else {
            NAME(unload)(u, g, r, sums + row * u->ld);
        }
    }
    return s;
}
