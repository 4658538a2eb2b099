/* The way back of unroll.c. Included twice, with REAL float and double, after unroll_shares.h. */

/* gv = J' g over some entries of layer t; the gradients of the levels are added to gtheta. */
static pudle_status NAME(mask)(pudle_unroll *u, pudle_exec *exec, sample *r, int64_t t, const int32_t *index, int64_t count, const REAL *v,
                               const REAL *z, const REAL *g, REAL *gv, const pudle_view *gtheta)
{
    pudle_cview theta[PARTS_LEVELS];
    pudle_view sums[PARTS_LEVELS];
    pudle_status s = NAME(levels_of)(u, r, t, index, count, theta);
    if (!s && gtheta)
        s = level_sums(u, r, t, count, gtheta, sums);
    if (s || count == 0)
        return s;
    const pudle_cview cv = parts_vector(v, u->spec.dtype, count), cz = parts_vector(z, u->spec.dtype, count), cg = parts_vector(g, u->spec.dtype, count);
    const pudle_view out = view_of(gv, u->spec.dtype, count);
    s = u->kernel->vjp(u->spec.prox.self, exec, u->spec.step[t - 1], theta, u->needs & PUDLE_VJP_INPUT ? &cv : NULL,
                       u->needs & PUDLE_VJP_OUTPUT ? &cz : NULL, &cg, &out, gtheta ? sums : NULL);
    if (!s && gtheta)
        scatter_sums(u, r, t, index, count, gtheta);
    return s;
}

/* The atoms among which some layers of a row go back, by local numbers, or all of them (atom NULL). */
typedef struct NAME(trail) {
    int64_t size, width, stride;  /* entries; padded; from row to row of gram and outer */
    const int32_t *atom;
    const REAL *gram;             /* (size, width) of G */
    REAL *outer;                  /* (rows, width): sum of step z u' */
    const int32_t *active;        /* local numbers of the rows of outer; NULL: all `size` */
    int64_t rows;
    REAL *adjoint, *masked, *sum; /* (width): u, J' u, sum of step J' u; */
    REAL *began;                  /* and d loss / d y of where the layer began: u itself unless there is momentum */
} NAME(trail);

/* d loss / d z_t of a row of atoms, with which layer t's way back begins: u itself; or, with momentum, what u and w make of it in `room`, and u becomes
 * z_{t-1}'s part in y_t. */
static const REAL *NAME(arriving)(const pudle_unroll *u, int64_t t, REAL *adjoint, const REAL *w, REAL *room, int64_t width)
{
    if (!u->spec.momentum)
        return adjoint;
    NAME(turn_back)(room, adjoint, w, (REAL)u->spec.momentum[t - 1], width);
    return room;
}

/* A sample's u and w to a trail's atoms, and back. */
static void NAME(trail_from)(const sample *r, const NAME(trail) *t)
{
    for (int64_t k = 0; k < t->size; k++)
        t->adjoint[k] = ((const REAL *)r->u)[t->atom ? t->atom[k] : k];
    for (int64_t k = 0; k < t->size && t->began != t->adjoint; k++)
        t->began[k] = ((const REAL *)r->w)[t->atom ? t->atom[k] : k];
}

static void NAME(trail_to)(const sample *r, const NAME(trail) *t)
{
    for (int64_t k = 0; k < t->size; k++)
        ((REAL *)r->u)[t->atom ? t->atom[k] : k] = t->adjoint[k];
    for (int64_t k = 0; k < t->size && t->began != t->adjoint; k++)
        ((REAL *)r->w)[t->atom ? t->atom[k] : k] = t->began[k];
}

/* A layer: leaves d loss / d y of where it began in `began`. gv belongs to `count` entries with local numbers `local`, y to `others`. */
static void NAME(back_layer)(const NAME(trail) *r, REAL step, const int32_t *local, int64_t count, const REAL *gv, const int32_t *before,
                             int64_t others, const REAL *y, int32_t *list, REAL *coef)
{
    int64_t n = 0;
    memset(r->masked, 0, (size_t)r->width * sizeof(REAL));
    for (int64_t k = 0; k < count; k++) {
        const int32_t at = local ? local[k] : (int32_t)k;
        r->masked[at] = gv[k];
        r->sum[at] += step * gv[k];
        list[n] = at;
        coef[n] = -step * gv[k];
        n += gv[k] != 0;
    }
    NAME(combine)(r->began, r->masked, r->gram, r->stride, r->width, n, list, coef);
    n = 0;
    for (int64_t k = 0; k < others; k++) {
        list[n] = before ? before[k] : (int32_t)k;
        coef[n] = step * y[k];
        n += y[k] != 0;
    }
    NAME(spread)(r->outer, r->stride, r->masked, r->width, n, list, coef);
}

/* What a trail has gathered. Where shares are kept: -D (outer + outer') + x sum'. Else into the lane's outer products and sums. */
static pudle_status NAME(unload)(pudle_unroll *u, sample *r, gram_outer *g, const NAME(trail) *t, REAL *sums)
{
    const int32_t *atom = t->atom, *active = t->active;
    const int64_t rows = t->rows;
    if (!u->pairs) {
        for (int64_t i = 0; i < t->size; i++)
            sums[atom ? atom[i] : i] += t->sum[i];
        for (int64_t i = 0; atom && i < rows; i++) {
            REAL *to = (REAL *)g->memory.at + atom[active ? active[i] : i] * u->ld;
            const REAL *from = t->outer + i * t->width;
            if (active) /* what was 0 all along has no adjoint either */
                for (int64_t k = 0; k < rows; k++)
                    to[atom[active[k]]] += from[active[k]];
            else
                for (int64_t k = 0; k < rows; k++)
                    to[atom[k]] += from[k];
        }
        return PUDLE_OK;
    }
    /* a share's entries move to the row's arena, which may move what the trail points to: it lies elsewhere */
    REAL *both = r->value;
    int32_t *of = r->fresh;
    pudle_status s = NAME(contribute)(u, r, FROM_TARGET, r->number, (double)NAME(extent)(r->target, u->ldm), t->size, atom, t->sum, -1);
    for (int64_t k = 0; k < rows; k++)
        of[k] = atom[active[k]];
    for (int64_t i = 0; i < rows && !s; i++) {
        for (int64_t k = 0; k < rows; k++)
            both[k] = t->outer[i * t->width + active[k]] + t->outer[k * t->width + active[i]];
        s = NAME(contribute)(u, r, FROM_ATOMS, of[i], (double)NAME(extent)((const REAL *)u->atoms + of[i] * u->ldm, u->ldm), rows, of, both, -1);
    }
    return s;
}

/* ---------------------------------------------------------------- pieces of a row's tape, last to first */

/* Memory for a trail of `size` atoms, its own piece of G included or not. Copies of the atoms' numbers: arenas move. */
static pudle_status NAME(trail_room)(pudle_unroll *u, sample *r, int64_t size, int64_t rows, bool gram, const int32_t *atom, NAME(trail) *t)
{
    const int64_t width = padded(size), square = rows * width, arrays = u->spec.momentum ? 4 : 3;
    pudle_status s = want(u, &r->trail, (size_t)(arrays * width + (gram ? 2 : 1) * square) * sizeof(REAL));
    if (!s)
        s = want(u, &r->atoms, (size_t)(size + 1) * sizeof(int32_t));
    if (s)
        return s;
    if (atom != r->atoms.at)
        memcpy(r->atoms.at, atom, (size_t)size * sizeof(int32_t));
    REAL *at = r->trail.at;
    memset(at, 0, (size_t)(arrays * width + square) * sizeof(REAL));
    *t = (NAME(trail)){ .size = size, .rows = rows, .width = width, .stride = width, .atom = r->atoms.at, .adjoint = at, .masked = at + width,
                        .sum = at + 2 * width, .began = u->spec.momentum ? at + 3 * width : at, .outer = at + arrays * width,
                        .gram = at + arrays * width + square };
    return PUDLE_OK;
}

/* A stretch. r->u (and r->w) hold what the loss has of its last code, and then of the code before it. */
static pudle_status NAME(back_stretch)(pudle_unroll *u, pudle_exec *exec, sample *r, gram_outer *g, const piece *p, REAL *sums, const pudle_view *gtheta)
{
    const int64_t slot = u->arrays * p->width, first = p->first > u->spec.layers - u->spec.depth ? p->first : u->spec.layers - u->spec.depth + 1;
    const piece stretch = *p;
    NAME(trail) t = { 0 };
    pudle_status s = NAME(trail_room)(u, r, stretch.count, stretch.actives, false, INTS(r) + stretch.index, &t);
    if (s)
        return s;
    s = want(u, &r->four, (size_t)(6 * t.width) * sizeof(REAL)); /* J' u of four layers, and room for two rows */
    if (!s)
        s = want(u, &r->active, (size_t)(t.rows + 1) * sizeof(int32_t));
    if (s)
        return s;
    REAL *gv = r->four.at, *x = gv + 4 * t.width, *room = gv + 5 * t.width;
    memset(gv, 0, (size_t)(6 * t.width) * sizeof(REAL));
    t.gram = REALS(r) + stretch.gram;
    t.active = r->active.at;
    memcpy(r->active.at, INTS(r) + stretch.active, (size_t)t.rows * sizeof(int32_t));
    NAME(trail_from)(r, &t);
    const REAL *before[4];
    REAL step[4];
    int held = 0;
    for (int64_t layer = stretch.last; layer >= first && !s; layer--) {
        const REAL *z = REALS(r) + stretch.z + (layer - stretch.first + 1) * slot;
        REAL *masked = gv + held * t.width;
        const REAL *up = NAME(arriving)(u, layer, t.adjoint, t.began, x, t.width);
        s = NAME(mask)(u, exec, r, layer, t.atom, t.size, u->keeps_input ? z + t.width : NULL, z, up, masked, gtheta);
        step[held] = (REAL)u->spec.step[layer - 1];
        before[held] = z - slot + (stretch.y - stretch.z);
        NAME(stretch_back)(t.began, t.sum, x, room, masked, step[held], t.gram, t.active, t.rows, t.width);
        if (++held < 4 && layer > first)
            continue;
        for (; held < 4; held++) {
            step[held] = 0;
            before[held] = before[0];
        }
        NAME(outer_four)(t.outer, t.active, t.rows, t.width, before, gv, step);
        held = 0;
    }
    NAME(trail_to)(r, &t);
    return s ? s : NAME(unload)(u, r, g, &t, sums);
}

/* What a layer that all atoms took part in found: the code before it, and where it began. */
typedef struct NAME(code) {
    const int32_t *index;
    const REAL *z, *y;
    int64_t count;
} NAME(code);

static NAME(code) NAME(code_of)(const pudle_unroll *u, const sample *r, const piece *p)
{
    if (!p)
        return (NAME(code)){ .count = 0 };
    const int64_t last = p->local ? (p->last - p->first + 1) * u->arrays * p->width : 0;
    return (NAME(code)){ INTS(r) + p->index, REALS(r) + p->z + last, REALS(r) + p->y + last, p->count };
}

/* A layer through the data: e = D J' u is one dense row, and so is the residual that the layer had; the gradient gets both. */
static pudle_status NAME(back_through_data)(pudle_unroll *u, pudle_exec *exec, sample *r, int64_t at, const pudle_view *gtheta)
{
    const piece *p = (piece *)r->pieces.at + at;
    const int64_t t = p->first;
    const REAL step = (REAL)u->spec.step[t - 1];
    REAL *began = u->spec.momentum ? r->w : r->u, *up = r->coef, *gv = r->v, *dots = r->value;
    const REAL *adjoint = NAME(arriving)(u, t, r->u, r->w, r->value, u->ld);
    int64_t e = 0, residual = p->residual;
    for (int64_t k = 0; k < p->count; k++)
        up[k] = adjoint[(INTS(r) + p->index)[k]];
    pudle_status s = NAME(mask)(u, exec, r, t, INTS(r) + p->index, p->count, u->keeps_input ? REALS(r) + p->v : NULL, REALS(r) + p->z, up, gv, gtheta);
    const piece *const before = at ? p - 1 : NULL;
    if (!s) /* so that nothing moves from here on */
        s = reserve(u, r, p->count + (before ? before->count : 0), p->count + (before ? before->count : 0) + 2 * u->ldm);
    if (!s)
        s = take_reals(u, r, u->ldm, &e);
    if (!s && residual < 0)
        s = take_reals(u, r, u->ldm, &residual);
    if (s)
        return s;
    const NAME(code) now = NAME(code_of)(u, r, p), old = NAME(code_of)(u, r, before);
    if (old.count) { /* else nothing is made of e: the first layer begins at 0 */
        memset(REALS(r) + e, 0, (size_t)u->ldm * sizeof(REAL));
        NAME(combine)(REALS(r) + e, REALS(r) + e, u->atoms, u->ldm, u->ldm, now.count, now.index, gv);
    }
    double extent = p->extent;
    if (p->residual < 0) {
        NAME(combine)(REALS(r) + residual, (const REAL *)r->target, u->atoms, u->ldm, u->ldm, old.count, old.index, old.y);
        extent = (double)NAME(extent)(REALS(r) + residual, u->ldm);
    }
    NAME(dots)(dots, REALS(r) + e, u->atoms, u->ldm, u->ldm, old.count, old.index);
    for (int64_t k = 0; k < old.count; k++)
        began[old.index[k]] = 0;
    for (int64_t k = 0; k < now.count; k++)
        began[now.index[k]] = gv[k];
    for (int64_t k = 0; k < old.count; k++)
        began[old.index[k]] -= step * dots[k];
    s = NAME(contribute)(u, r, FROM_ARENA, residual, extent, now.count, now.index, gv, -step);
    return s || !old.count ? s : NAME(contribute)(u, r, FROM_ARENA, e, (double)NAME(extent)(REALS(r) + e, u->ldm), old.count, old.index, old.y, -step);
}

/* Layers [from, to] of the tape that all atoms took part in, by way of the Gram matrix. Atoms that the row uses in none of them
 * are left out, where that makes them fewer. */
static pudle_status NAME(back_through_gram)(pudle_unroll *u, pudle_exec *exec, sample *r, gram_outer *g, int64_t from, int64_t to, REAL *sums,
                                            const pudle_view *gtheta)
{
    const piece *pieces = r->pieces.at;
    const int64_t p = u->spec.atoms;
    int32_t *number = r->mark; /* -1 everywhere between uses */
    int64_t size = 0;
    pudle_status s = want(u, &r->atoms, (size_t)(p + 1) * sizeof(int32_t));
    if (s)
        return s;
    int32_t *atom = r->atoms.at;
    for (int64_t i = from > 0 ? from - 1 : from; i <= to; i++) {
        const NAME(code) c = NAME(code_of)(u, r, pieces + i);
        for (int64_t k = 0; k < c.count; k++)
            if (number[c.index[k]] < 0) {
                number[c.index[k]] = (int32_t)size;
                atom[size++] = c.index[k];
            }
    }
    NAME(trail) t;
    const bool all = 2 * padded(size) > u->ld;
    for (int64_t k = 0; k < size && all; k++)
        number[atom[k]] = -1;
    if (all) {
        s = want(u, &r->trail, (size_t)(4 * u->ld) * sizeof(REAL));
        REAL *at = r->trail.at;
        if (s)
            return s;
        memset(at, 0, (size_t)(4 * u->ld) * sizeof(REAL));
        t = (NAME(trail)){ .size = p, .width = u->ld, .stride = u->ld, .gram = u->gram, .outer = g->memory.at, .adjoint = at, .masked = at + u->ld,
                           .sum = at + 2 * u->ld, .began = u->spec.momentum ? at + 3 * u->ld : at };
    } else {
        s = NAME(trail_room)(u, r, size, size, true, atom, &t);
        if (s)
            return s;
        REAL *gram = (REAL *)(uintptr_t)t.gram;
        for (int64_t i = 0; i < size; i++, gram += t.width) {
            const REAL *row_of = (const REAL *)u->gram + atom[i] * u->ld;
            for (int64_t k = 0; k < size; k++)
                gram[k] = row_of[atom[k]];
            for (int64_t k = size; k < t.width; k++)
                gram[k] = 0;
        }
    }
    REAL *up = r->value, *gv = r->v;
    NAME(trail_from)(r, &t);
    int32_t *local = r->fresh, *before = local + p;
    for (int64_t i = to; i >= from && !s; i--) {
        const NAME(code) now = NAME(code_of)(u, r, pieces + i), old = NAME(code_of)(u, r, i ? pieces + i - 1 : NULL);
        const REAL *adjoint = NAME(arriving)(u, pieces[i].first, t.adjoint, t.began, t.masked, t.width);
        for (int64_t k = 0; k < now.count; k++) {
            local[k] = all ? now.index[k] : number[now.index[k]];
            up[k] = adjoint[local[k]];
        }
        for (int64_t k = 0; k < old.count; k++)
            before[k] = all ? old.index[k] : number[old.index[k]];
        s = NAME(mask)(u, exec, r, pieces[i].first, now.index, now.count, u->keeps_input ? REALS(r) + pieces[i].v : NULL, now.z, up, gv, gtheta);
        NAME(back_layer)(&t, (REAL)u->spec.step[pieces[i].first - 1], local, now.count, gv, before, old.count, old.y, r->list, r->coef);
    }
    NAME(trail_to)(r, &t);
    for (int64_t k = 0; k < size && !all; k++)
        number[atom[k]] = -1;
    return s ? s : NAME(unload)(u, r, g, &t, sums);
}

/* Where a row's way back begins. given: d loss / d z_T by itself; residual: d loss / d(D z_T). */
static pudle_status NAME(begin_back)(pudle_unroll *u, sample *r, const REAL *given, const REAL *residual)
{
    const piece *pieces = r->pieces.at;
    const int64_t i = r->cursor = r->npieces - 1;
    if (i < 0)
        return PUDLE_OK;
    const pudle_status s = reserve(u, r, pieces[i].count, pieces[i].count);
    if (s)
        return s;
    if (u->spec.momentum) {
        memset(r->u, 0, (size_t)u->ld * sizeof(REAL)); /* layers combine whole rows of them */
        memset(r->w, 0, (size_t)u->ld * sizeof(REAL));
    }
    const NAME(code) last = NAME(code_of)(u, r, pieces + i);
    NAME(dots)(r->value, residual, u->atoms, u->ldm, u->ldm, last.count, last.index);
    for (int64_t k = 0; k < last.count; k++)
        ((REAL *)r->u)[last.index[k]] = given[last.index[k]] + ((const REAL *)r->value)[k];
    return u->pairs ? NAME(contribute)(u, r, FROM_RESIDUAL, r->number, (double)NAME(extent)(residual, u->ldm), last.count, last.index, last.z, 1) : PUDLE_OK;
}

/* A row by itself to the end, or to a layer that is dense and waits for the others. */
static pudle_status NAME(back_alone)(pudle_unroll *u, pudle_exec *exec, sample *r, gram_outer *g, const bool *dense, REAL *sums, const pudle_view *gtheta)
{
    const int64_t end = u->spec.layers - u->spec.depth;
    const piece *pieces = r->pieces.at;
    pudle_status s = PUDLE_OK;
    while (r->cursor >= 0 && pieces[r->cursor].last > end && !s) {
        const int64_t i = r->cursor;
        if (pieces[i].local) {
            s = NAME(back_stretch)(u, exec, r, g, &pieces[i], sums, gtheta);
            r->cursor--;
        } else if (dense[pieces[i].first]) {
            return PUDLE_OK;
        } else if (u->pairs) {
            s = NAME(back_through_data)(u, exec, r, i, gtheta);
            r->cursor--;
        } else {
            int64_t from = i;
            while (from > 0 && !pieces[from - 1].local && pieces[from - 1].last > end && !dense[pieces[from - 1].first])
                from--;
            s = NAME(back_through_gram)(u, exec, r, g, from, i, sums, gtheta);
            r->cursor = from - 1;
        }
    }
    if (!s)
        r->cursor = -1;
    return s;
}

static void NAME(back_part)(void *ctx, int64_t i)
{
    back_work *w = ctx;
    const pudle_unroll *u = w->u;
    sample *r = w->pending[i];
    r->status = PUDLE_OK;
    if (w->begin)
        r->status = NAME(begin_back)(w->u, r, (const REAL *)w->given->data + r->number * w->given->stride[0],
                                     (const REAL *)w->l->residual + r->number * u->ldm);
    if (!r->status)
        r->status = NAME(back_alone)(w->u, w->exec, r, w->g, w->l->is_dense.at, w->sums ? (REAL *)w->sums + r->number * u->ld : NULL, w->gtheta);
}

/* ---------------------------------------------------------------- dense layers */

/* Before the products of a dense layer: J' u and where it began, as full rows. */
static void NAME(dense_begin)(void *ctx, int64_t i)
{
    back_work *w = ctx;
    const pudle_unroll *u = w->u;
    sample *r = w->pending[i];
    const piece *p = (piece *)r->pieces.at + r->cursor;
    const NAME(code) now = NAME(code_of)(u, r, p), old = NAME(code_of)(u, r, r->cursor ? p - 1 : NULL);
    REAL *masked = (REAL *)w->l->full[0].at + i * u->ld, *before = (REAL *)w->l->full[1].at + i * u->ld, *up = r->coef, *gv = r->v;
    const REAL step = (REAL)u->spec.step[p->first - 1];
    memset(masked, 0, (size_t)u->ld * sizeof(REAL));
    memset(before, 0, (size_t)u->ld * sizeof(REAL));
    const REAL *adjoint = NAME(arriving)(u, p->first, r->u, r->w, r->value, u->ld);
    for (int64_t k = 0; k < now.count; k++)
        up[k] = adjoint[now.index[k]];
    r->status = NAME(mask)(w->u, w->exec, r, p->first, now.index, now.count, u->keeps_input ? REALS(r) + p->v : NULL, now.z, up, gv, w->gtheta);
    for (int64_t k = 0; k < now.count; k++)
        masked[now.index[k]] = gv[k];
    for (int64_t k = 0; k < old.count; k++)
        before[old.index[k]] = old.y[k];
    if (w->sums)
        for (int64_t k = 0; k < now.count; k++)
            ((REAL *)w->sums)[r->number * u->ld + now.index[k]] += step * gv[k];
    if (!u->gram) {
        REAL *residual = (REAL *)w->l->full[3].at + i * u->ldm;
        if (p->residual >= 0)
            memcpy(residual, REALS(r) + p->residual, (size_t)u->ldm * sizeof(REAL));
        else
            NAME(combine)(residual, (const REAL *)r->target, u->atoms, u->ldm, u->ldm, old.count, old.index, old.y);
    }
}

/* masked += what the product with G left in the room beside it. */
static void NAME(add_full)(void *ctx, int64_t i)
{
    back_work *w = ctx;
    const int64_t ld = w->u->ld;
    NAME(add)((REAL *)w->l->full[0].at + i * ld, (const REAL *)w->l->full[2].at + i * ld, w->u->spec.atoms);
}

static void NAME(dense_end)(void *ctx, int64_t i)
{
    back_work *w = ctx;
    sample *r = w->pending[i];
    memcpy(w->u->spec.momentum ? r->w : r->u, (const REAL *)w->l->full[0].at + i * w->u->ld, (size_t)w->u->ld * sizeof(REAL));
    r->cursor--;
}

/* A layer for all rows that wait at it, by products of full matrices: cheaper than the sparse ways where codes are dense. */
static pudle_status NAME(dense_layer)(back_work *w, const pudle_view *gradient)
{
    pudle_unroll *u = w->u;
    lane *l = w->l;
    const int64_t n = w->count, m = u->spec.features, p = u->spec.atoms;
    const int32_t type = u->spec.dtype;
    const double step = u->spec.step[((piece *)w->pending[0]->pieces.at + w->pending[0]->cursor)->first - 1];
    pudle_status s = PUDLE_OK;
    for (int k = 0; k < 4 && !s; k++)
        s = want(u, &l->full[k], (size_t)(n * (k < 2 || u->gram ? u->ld : u->ldm)) * sizeof(REAL));
    if (!s && u->gram)
        s = sums_room(u, w);
    if (s)
        return s;
    if (w->gtheta)
        for (int64_t i = 0; i < n; i++)
            NAME(dense_begin)(w, i);
    else
        cpu_parts(w->exec, n, NAME(dense_begin), w);
    for (int64_t i = 0; i < n && !s; i++)
        s = w->pending[i]->status;
    if (s)
        return s;
    const pudle_view masked = parts_strided(l->full[0].at, type, n, p, u->ld), before = parts_strided(l->full[1].at, type, n, p, u->ld);
    const pudle_view e = parts_strided(l->full[2].at, type, n, m, u->ldm), residual = parts_strided(l->full[3].at, type, n, m, u->ldm);
    const pudle_cview cm = pudle_const(&masked), cb = pudle_const(&before), ce = pudle_const(&e), cr = pudle_const(&residual);
    if (!u->gram) {
        s = cpu_gemm(w->exec, false, true, 1.0, &cm, &u->spec.dictionary, 0.0, &e);
        if (!s)
            s = cpu_gemm(w->exec, true, false, -step, &cr, &cm, 1.0, gradient);
        if (!s)
            s = cpu_gemm(w->exec, true, false, -step, &ce, &cb, 1.0, gradient);
        if (!s)
            s = cpu_gemm(w->exec, false, false, -step, &ce, &u->spec.dictionary, 1.0, &masked);
    } else {
        const pudle_view outer = parts_strided(w->g->memory.at, type, p, p, u->ld), gram = parts_strided(u->gram, type, p, p, u->ld);
        const pudle_cview cg = pudle_const(&gram);
        const pudle_view room = parts_strided(l->full[2].at, type, n, p, u->ld);
        s = cpu_gemm(w->exec, true, false, step, &cb, &cm, 1.0, &outer);
        if (!s)
            s = cpu_gemm(w->exec, false, false, -step, &cm, &cg, 0.0, &room);
        if (!s)
            cpu_parts(w->exec, n, NAME(add_full), w);
    }
    if (!s)
        cpu_parts(w->exec, n, NAME(dense_end), w);
    return s;
}

/* Which layers are dense, over all rows of the block. */
static pudle_status NAME(find_dense)(pudle_unroll *u, lane *l)
{
    const int64_t T = u->spec.layers;
    pudle_status s = want(u, &l->is_dense, (size_t)(T + 1) * sizeof(bool));
    if (!s)
        s = want(u, &l->entries, (size_t)(T + 1) * sizeof(int64_t));
    if (s)
        return s;
    int64_t *entries = l->entries.at;
    memset(entries, 0, (size_t)(T + 1) * sizeof *entries);
    for (int64_t i = 0; i < l->rows; i++)
        for (int64_t k = 0; k < l->row[i].npieces; k++) {
            const piece *p = (piece *)l->row[i].pieces.at + k;
            if (!p->local)
                entries[p->first] += p->count;
        }
    for (int64_t t = 0; t <= T; t++)
        ((bool *)l->is_dense.at)[t] = l->rows >= DENSE_ROWS && (double)entries[t] > DENSE_BACK * (double)(l->rows * u->spec.atoms);
    return PUDLE_OK;
}

/* ---------------------------------------------------------------- a block */

/* Shares into the gradient, and their memory free again. */
static pudle_status NAME(flush_shares)(back_work *w, const pudle_view *gradient)
{
    const pudle_status s = NAME(add_shares)(w->u, w->exec, w->l, gradient);
    for (int64_t i = 0; i < w->l->rows; i++) {
        sample *r = &w->l->row[i];
        r->nshares = 0;
        r->nints = r->tape_ints;
        r->nreals = r->tape_reals;
    }
    return s;
}

/* The rows that are pending by themselves, side by side only where they do not add to the same sums; some at a time, so that the
 * dense rows of their shares do not outgrow KEEP_BYTES. */
static pudle_status NAME(back_some)(back_work *w, const pudle_view *gradient)
{
    const pudle_unroll *u = w->u;
    const double each = 2 * (double)u->spec.depth * (double)u->ldm * (double)sizeof(REAL), fit = KEEP_BYTES / each;
    const int64_t group = !u->pairs || fit >= (double)w->count ? w->count : fit < 1 ? 1 : (int64_t)fit;
    pudle_status s = PUDLE_OK;
    for (int64_t from = 0; from < w->count && !s; from += group) {
        back_work part = *w;
        part.pending += from;
        part.count = w->count - from < group ? w->count - from : group;
        if (u->pairs && !w->gtheta)
            cpu_parts(w->exec, part.count, NAME(back_part), &part);
        else
            for (int64_t i = 0; i < part.count; i++)
                NAME(back_part)(&part, i);
        for (int64_t i = 0; i < part.count && !s; i++)
            s = part.pending[i]->status;
        if (!s && group < w->count)
            s = NAME(flush_shares)(w, gradient);
    }
    return s;
}

/* All rows of the block back. */
static pudle_status NAME(back)(back_work *w, const pudle_view *gradient)
{
    lane *l = w->l;
    pudle_status s = NAME(find_dense)(w->u, l);
    w->pending = l->pending;
    w->begin = true;
    w->count = l->rows;
    for (int64_t i = 0; i < l->rows; i++) {
        sample *r = w->pending[i] = &l->row[i];
        r->tape_ints = r->nints;
        r->tape_reals = r->nreals;
    }
    while (!s && w->count) {
        s = NAME(back_some)(w, gradient);
        w->begin = false;
        int32_t t = 0;
        for (int64_t i = 0; i < l->rows && !s; i++) {
            const sample *r = &l->row[i];
            const int32_t at = r->cursor < 0 ? 0 : ((piece *)r->pieces.at)[r->cursor].first;
            t = at > t ? at : t;
        }
        w->count = 0;
        for (int64_t i = 0; i < l->rows && t && !s; i++)
            if (l->row[i].cursor >= 0 && ((piece *)l->row[i].pieces.at)[l->row[i].cursor].first == t)
                w->pending[w->count++] = &l->row[i];
        if (w->count)
            s = NAME(dense_layer)(w, gradient);
    }
    for (int64_t i = 0; i < l->rows && s; i++)
        l->row[i].failed = true;
    return s || !w->u->pairs ? s : NAME(flush_shares)(w, gradient);
}
