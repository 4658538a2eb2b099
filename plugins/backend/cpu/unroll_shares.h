/* Shares of unroll.c, the dense rows times sparse ones that a gradient is made of: their sum is a product of a sparse matrix with a dense one.
 * Included twice, with REAL float and double, after unroll_kernels.h. */

/* gradient[:, index] += dense coef' for `count` atoms; dense is a row of `source`, and no entry of it is above `size`. */
static pudle_status NAME(contribute)(pudle_unroll *u, sample *r, int source, int64_t offset, double size, int64_t count, const int32_t *index,
                                     const REAL *coef, REAL scale)
{
    share *c = NULL;
    pudle_status s = new_share(u, r, &c);
    if (!s)
        s = take_ints(u, r, count, &c->index);
    if (!s)
        s = take_reals(u, r, count, &c->coef);
    if (s)
        return s;
    c->source = source;
    c->offset = offset;
    c->size = size;
    c->count = 0;
    for (int64_t k = 0; k < count; k++)
        if (coef[k] != 0) {
            (INTS(r) + c->index)[c->count] = index[k];
            (REALS(r) + c->coef)[c->count++] = scale * coef[k];
        }
    return PUDLE_OK;
}

/* A piece of the gradient, FEATURES of its rows by some of its columns: for each atom the sum of its shares, turned round at the
 * end. Parts are taken in order, and those of the same features follow each other: what they read of the dense rows stays in cache. */
static void NAME(gradient_part)(void *ctx, int64_t part)
{
    enum { ATOMS = 32, FEATURES = NAME(FEATURES) };
    const share_work *w = ctx;
    const pudle_unroll *u = w->u;
    REAL tile[ATOMS * FEATURES] __attribute__((aligned(64))), turned[ATOMS * FEATURES] __attribute__((aligned(64)));
    const int64_t c = part / w->cut.across * FEATURES, width = lesser(u->ldm - c, FEATURES), features = lesser(u->spec.features - c, FEATURES);
    const int64_t begin = part % w->cut.across * w->cut.each, end = lesser(begin + w->cut.each, u->spec.atoms);
    for (int64_t first = begin; first < end; first += ATOMS) {
        const int64_t atoms = lesser(end - first, ATOMS);
        for (int64_t j = 0; j < atoms; j++) {
            const int64_t at = w->start[first + j], count = w->start[first + j + 1] - at;
            NAME(sum_rows)(tile + j * FEATURES, (const REAL *const *)w->l->dense_rows.at + at, c, width, count, (const REAL *)w->l->coefs.at + at);
        }
        NAME(cpu_transpose)(turned, ATOMS, tile, FEATURES, atoms, features);
        for (int64_t f = 0; f < features; f++) {
            REAL *to = (REAL *)w->gradient->data + (c + f) * w->gradient->stride[0] + first;
            for (int64_t j = 0; j < atoms; j++)
                to[j] += turned[f * ATOMS + j];
        }
    }
}

/* How much the entries of a group of rows may add for each atom, the dense rows' largest entries being as they are. */
static void NAME(weigh_shares)(void *ctx, int64_t group)
{
    const share_work *w = ctx;
    double *weight = w->weight + group * w->u->spec.atoms;
    memset(weight, 0, (size_t)w->u->spec.atoms * sizeof *weight);
    for (int64_t i = group * w->l->rows / SHARE_GROUPS; i < (group + 1) * w->l->rows / SHARE_GROUPS; i++) {
        const sample *r = &w->l->row[i];
        for (int64_t c = 0; c < r->nshares; c++) {
            const share *one = (share *)r->shares.at + c;
            for (int64_t k = 0; k < one->count; k++)
                weight[(INTS(r) + one->index)[k]] += fabs((double)(REALS(r) + one->coef)[k]) * one->size;
        }
    }
}

/* Is an entry of a share lost among the others of its atom? Never where one of them is no number. */
static bool NAME(is_lost)(const share_work *w, const share *one, int32_t atom, REAL coef)
{
    return fabs((double)coef) * one->size <= w->weight[atom];
}

/* How many entries that are not lost the shares of a group of rows have for each atom. */
static void NAME(count_shares)(void *ctx, int64_t group)
{
    const share_work *w = ctx;
    int64_t *place = w->place + group * w->u->spec.atoms;
    memset(place, 0, (size_t)w->u->spec.atoms * sizeof *place);
    for (int64_t i = group * w->l->rows / SHARE_GROUPS; i < (group + 1) * w->l->rows / SHARE_GROUPS; i++) {
        const sample *r = &w->l->row[i];
        for (int64_t c = 0; c < r->nshares; c++) {
            const share *one = (share *)r->shares.at + c;
            for (int64_t k = 0; k < one->count; k++) {
                const int32_t atom = (INTS(r) + one->index)[k];
                place[atom] += !NAME(is_lost)(w, one, atom, (REALS(r) + one->coef)[k]);
            }
        }
    }
}

/* These entries, each to its place: the dense row, and the coefficient. */
static void NAME(sort_shares)(void *ctx, int64_t group)
{
    const share_work *w = ctx;
    const pudle_unroll *u = w->u;
    int64_t *place = w->place + group * u->spec.atoms;
    const REAL **dense = w->l->dense_rows.at;
    REAL *coef = w->l->coefs.at;
    for (int64_t i = group * w->l->rows / SHARE_GROUPS; i < (group + 1) * w->l->rows / SHARE_GROUPS; i++) {
        const sample *r = &w->l->row[i];
        for (int64_t c = 0; c < r->nshares; c++) {
            const share *one = (share *)r->shares.at + c;
            const REAL *from = one->source == FROM_ARENA ? REALS(r) + one->offset
                             : (const REAL *)(one->source == FROM_ATOMS ? u->atoms : one->source == FROM_TARGET ? w->l->target : w->l->residual) + one->offset * u->ldm;
            for (int64_t k = 0; k < one->count; k++) {
                const int32_t atom = (INTS(r) + one->index)[k];
                const REAL this = (REALS(r) + one->coef)[k];
                if (NAME(is_lost)(w, one, atom, this))
                    continue;
                const int64_t at = place[atom]++;
                dense[at] = from;
                coef[at] = this;
            }
        }
    }
}

/* Shares of all rows, atom by atom: (row order, then order on the tape) fixes the order of every sum. Entries that the sum of their atom would
 * lose in its rounding are left out: the first layers' of an encoder that has come to rest, where other samples use the atom to the end. */
static pudle_status NAME(add_shares)(pudle_unroll *u, pudle_exec *exec, lane *l, const pudle_view *gradient)
{
    const int64_t p = u->spec.atoms;
    share_work w = { .u = u, .l = l, .gradient = gradient, .cut = cut_work(u->spec.features, NAME(FEATURES), p, SHARE_ATOMS) };
    pudle_status s = want(u, &l->start, (size_t)((SHARE_GROUPS + 1) * (p + 1)) * sizeof(int64_t));
    if (!s)
        s = want(u, &l->weights, (size_t)(SHARE_GROUPS * p) * sizeof(double));
    if (s)
        return s;
    w.start = l->start.at;
    w.place = w.start + p + 1;
    w.weight = l->weights.at;
    cpu_parts(exec, SHARE_GROUPS, NAME(weigh_shares), &w);
    for (int64_t j = 0; j < p; j++) {
        for (int64_t group = 1; group < SHARE_GROUPS; group++)
            w.weight[j] += w.weight[group * p + j];
        w.weight[j] = isfinite(w.weight[j]) ? w.weight[j] * NAME(epsilon) / SHARE_LOST : -1;
    }
    cpu_parts(exec, SHARE_GROUPS, NAME(count_shares), &w);
    int64_t total = 0;
    for (int64_t j = 0; j < p; j++) {
        w.start[j] = total;
        for (int64_t group = 0; group < SHARE_GROUPS; group++) {
            const int64_t count = w.place[group * p + j];
            w.place[group * p + j] = total;
            total += count;
        }
    }
    w.start[p] = total;
    s = want(u, &l->dense_rows, (size_t)(total + 1) * sizeof(void *));
    if (!s)
        s = want(u, &l->coefs, (size_t)(total + 1) * sizeof(REAL));
    if (s)
        return s;
    cpu_parts(exec, SHARE_GROUPS, NAME(sort_shares), &w);
    cpu_parts(exec, w.cut.bands * w.cut.across, NAME(gradient_part), &w);
    return PUDLE_OK;
}
