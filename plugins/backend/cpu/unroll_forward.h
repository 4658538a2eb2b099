/* The way forward of unroll.c. Included twice, with REAL float and double, after unroll_kernels.h. */

/* ---------------------------------------------------------------- one sample */

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

/* ---------------------------------------------------------------- few atoms alone */

/* ||D (z_b - z_a)||^2 for the codes of the two last evaluations. */
static double NAME(moved)(const sample *r)
{
    const reference *b = &r->ref[0], *a = &r->ref[1];
    const REAL *cb = b->corr, *ca = a->corr;
    double moved = 0;
    for (int64_t k = 0; k < b->count; k++)
        moved += (double)((const REAL *)b->z)[k] * (double)(ca[b->index[k]] - cb[b->index[k]]);
    for (int64_t k = 0; k < a->count; k++)
        moved -= (double)((const REAL *)a->z)[k] * (double)(ca[a->index[k]] - cb[a->index[k]]);
    return moved < 0 ? 0 : moved; /* a NaN stays one, and allows nothing */
}

/* How far the residual may come in a layer, as it concerns an atom: longest ||D (z_b - z_a)|| over the layers that it took; twice that where
 * they were several, for the first were longer. */
static double NAME(reach)(const pudle_unroll *u, const sample *r)
{
    return u->longest * sqrt(NAME(moved)(r)) * (r->between > 2 ? 2.0 / (double)r->between : 1);
}

/* The atoms of the present code and of the last evaluation are in a stretch whatever their score: it becomes a NaN, which is at most no level,
 * not even an infinite one. */
static void NAME(always_in)(const sample *r, REAL *score)
{
    for (int64_t k = 0; k < r->now; k++)
        score[r->index[k]] = (REAL)NAN;
    for (int64_t k = 0; k < r->ref[0].count; k++)
        score[r->ref[0].index[k]] = (REAL)NAN;
}

/* Marks the atoms whose score is not at most `level`, one at least, and returns how many; clear: the largest of the other scores. */
static int64_t NAME(mark_above)(sample *r, const REAL *score, REAL level, int64_t p, double *clear)
{
    int64_t count = 0;
    double highest = 0;
    for (int64_t j = 0; j < p; j++) {
        if (!(score[j] <= level))
            r->mark[j] = (int32_t)count++;
        else if ((double)score[j] > highest)
            highest = (double)score[j];
    }
    if (count == 0) /* a code of zeros may go on as well */
        r->mark[0] = (int32_t)count++;
    *clear = highest;
    return count;
}

/* Which atoms a row may go on with alone: those of the present code and of the last evaluation, and those whose correlations
 * come near the dead zone on the way ahead; as few as leave room for what may be expected. Marks them and returns how many;
 * 0: it had better not. clear: what the others' correlations stay below. */
static int64_t NAME(choose)(pudle_unroll *u, sample *r, double *clear)
{
    static const double fractions[] = { 0.9, 0.8, 0.7, 0.6, 0.5 }; /* of the dead zone: the fewest atoms first */
    const int64_t p = u->spec.atoms, t = r->t;
    const double quiet = t < u->spec.layers ? u->quiet[t] : 0;
    const reference *b = &r->ref[0], *a = &r->ref[1];
    REAL *score = r->v;
    /* where layers are cheap a stretch must be narrow to pay, and rows of G for it cost memory */
    const int64_t most = u->gram ? (int64_t)sqrt(0.2 * (double)((r->now + 8) * u->ld)) + r->now : widest_alone(u);
    if (r->refs < 2 || !(quiet > 0) || (double)r->now > DENSE_ALONE * (double)p || r->now > most || b->count > most)
        return 0;
    /* the Gram matrix of a few atoms costs less than an evaluation without G: so few may try earlier */
    const double reach = NAME(reach)(u, r) * r->caution * (!u->gram && 3 * r->now * r->now <= p ? 0.7 : 1);
    if (!(reach < 0.5 * quiet))
        return 0;
    NAME(look_along)(score, b->corr, a->corr, 0, (REAL)r->far, u->ld);
    double level = 0;
    NAME(always_in)(r, score);
    for (size_t i = 0; i < sizeof fractions / sizeof *fractions && level == 0; i++)
        if (reach < (1 - fractions[i]) * quiet && NAME(count_above)(score, (REAL)(fractions[i] * quiet), p) <= most)
            level = fractions[i] * quiet;
    if (level == 0)
        return 0;
    return NAME(mark_above)(r, score, (REAL)level, p, clear);
}

/* The same after a layer of few atoms, from which on the row's residual is where r->expect says: those whose correlations come near the dead
 * zone there or on the way. */
static int64_t NAME(choose_from_few)(const pudle_unroll *u, sample *r, double *clear)
{
    const int64_t p = u->spec.atoms, left = u->spec.layers - r->t;
    const double quiet = u->quiet[r->t];
    REAL *score = r->v;
    if (!(r->expect.off < quiet && r->place.along >= 0 && r->expect.along >= 0))
        return 0;
    r->near = r->place.along;
    r->far = r->expect.along < UNROLL_FAR ? r->expect.along : UNROLL_FAR;
    NAME(look_along)(score, r->ref[0].corr, r->ref[1].corr, (REAL)r->near, (REAL)r->far, u->ld);
    NAME(always_in)(r, score);
    const REAL level = (REAL)(quiet - r->expect.off);
    const int64_t count = NAME(count_above)(score, level, p);
    /* a small Gram matrix must cost less than as many layers of few atoms */
    if (count > widest_alone(u) || r->now * count > lesser(left, STRETCH_EXPECTED) * (r->now + r->few))
        return 0;
    return NAME(mark_above)(r, score, level, p, clear);
}

/* A stretch's arrays, one entry an atom. */
typedef struct NAME(stretch) {
    REAL *zb, *cb;      /* code and correlations at the last evaluation */
    REAL *change;       /* G (z_b - z_a), from the evaluation before it */
    REAL *dz, *g, *v, *x;
    REAL *gram;         /* (active, width): rows of G for atoms that have been other than 0 */
    const int32_t *atom;
    int32_t *active, *rank; /* these atoms' local numbers; each atom's place among them, -1: none */
    int64_t count, width, actives;
    double length2;     /* e' G e */
    double clear, near, far; /* no other atom's correlation is above `clear` on the line, from `near` to `far` times e on */
} NAME(stretch);

/* What a correlation may be at most for its atom to stay 0 in layer t, its own rounding allowed for. */
static double NAME(quiet_in)(const pudle_unroll *u, int64_t t)
{
    return (1 - 1024 * NAME(epsilon)) * u->quiet[t - 1];
}

/* What the correlations of all but `count` atoms stay below between two places on the line through the last two evaluations. */
static double NAME(clear_between)(const pudle_unroll *u, const sample *r, const int32_t *atom, int64_t count, double near, double far)
{
    REAL *score = r->v;
    NAME(look_along)(score, r->ref[0].corr, r->ref[1].corr, (REAL)near, (REAL)far, u->ld);
    for (int64_t k = 0; k < count; k++)
        score[atom[k]] = 0;
    return (double)NAME(largest)(score, u->ld);
}

/* May layer t leave the other atoms out? Also g = G (z - z_b). The residual is within `off` of a point on the line, near which the others'
 * correlations stay below `clear`; so they stay below clear + longest off. Where that does not do, the line is looked at again, nearer by. */
static bool NAME(others_stay_quiet)(const pudle_unroll *u, const sample *r, NAME(stretch) *s, int64_t t, const REAL *z)
{
    static const double ahead[] = { 0.5, 0.03125 }; /* times e: some layers' way, or at least this one */
    REAL sums[3]; /* ||D (z - z_b)||^2, <D (z - z_b), D e>, and what bounds the rounding of the first */
    NAME(stray)(s->g, s->dz, s->x, z, s->zb, s->gram, s->change, s->active, s->actives, s->width, sums);
    const double along = (double)sums[1], how_far = s->length2 > 0 ? along / s->length2 : 0;
    const double off2 = (double)sums[0] - how_far * along + 64 * NAME(epsilon) * (double)sums[2] + (double)s->width * NAME(least);
    const double quiet = NAME(quiet_in)(u, t), off = u->longest * sqrt(off2 > 0 ? off2 : 0);
    if (!(off2 == off2 && how_far >= 0 && how_far <= UNROLL_FAR && off < quiet))
        return false;
    bool clear = how_far >= s->near && how_far <= s->far && s->clear + off <= quiet;
    for (size_t i = 0; i < sizeof ahead / sizeof *ahead && !clear; i++) {
        s->near = how_far;
        s->far = how_far + ahead[i];
        s->clear = NAME(clear_between)(u, r, s->atom, s->count, s->near, s->far);
        clear = s->clear + off <= quiet;
    }
    return clear;
}

/* The arrays of a piece; growing the arena may move them. */
static void NAME(lay_out)(const sample *r, const piece *p, NAME(stretch) *s)
{
    REAL **const arrays[] = { &s->zb, &s->cb, &s->change, &s->dz, &s->g, &s->v, &s->x };
    for (int i = 0; i < STRETCH_ARRAYS; i++)
        *arrays[i] = REALS(r) + p->work + i * p->width;
    s->gram = REALS(r) + p->gram;
    s->atom = INTS(r) + p->index;
    s->active = INTS(r) + p->active;
    s->rank = INTS(r) + p->rank;
    s->count = p->count;
    s->width = p->width;
    s->actives = p->actives;
}

/* Rows of G for those atoms of z that are other than 0 for the first time: from G, or from the atoms themselves. */
static void NAME(activate)(const pudle_unroll *u, sample *r, NAME(stretch) *s, const REAL *z)
{
    const int64_t found = NAME(nonzeros)(z, s->width, r->list);
    for (int64_t k = 0; k < found; k++) {
        const int32_t i = r->list[k];
        if (s->rank[i] >= 0)
            continue;
        REAL *to = s->gram + s->actives * s->width;
        memset(to + s->count, 0, (size_t)(s->width - s->count) * sizeof(REAL));
        if (u->gram) {
            const REAL *from = (const REAL *)u->gram + s->atom[i] * u->ld;
            for (int64_t j = 0; j < s->count; j++)
                to[j] = from[s->atom[j]];
        } else {
            int64_t unknown = 0;
            int32_t *fresh = r->fresh, *place = fresh + u->spec.atoms;
            for (int64_t j = 0; j < s->count; j++) {
                if (s->rank[j] >= 0) {
                    to[j] = s->gram[s->rank[j] * s->width + i];
                } else {
                    place[unknown] = (int32_t)j;
                    fresh[unknown++] = s->atom[j];
                }
            }
            NAME(dots)(r->v, (const REAL *)u->atoms + s->atom[i] * u->ldm, u->atoms, u->ldm, u->ldm, unknown, fresh);
            for (int64_t j = 0; j < unknown; j++)
                to[place[j]] = ((const REAL *)r->v)[j];
        }
        s->active[s->actives] = i;
        s->rank[i] = (int32_t)s->actives++;
    }
}

/* What a stretch takes from the two last evaluations. */
static void NAME(anchor)(const sample *r, NAME(stretch) *s)
{
    const reference *b = &r->ref[0], *a = &r->ref[1];
    memset(s->zb, 0, (size_t)s->width * sizeof(REAL));
    for (int64_t k = 0; k < b->count; k++)
        s->zb[r->mark[b->index[k]]] = ((const REAL *)b->z)[k];
    s->length2 = NAME(moved)(r);
    for (int64_t k = 0; k < s->count; k++) {
        s->cb[k] = ((const REAL *)b->corr)[s->atom[k]];
        s->change[k] = ((const REAL *)a->corr)[s->atom[k]] - s->cb[k];
    }
}

/* A stretch among the marked atoms, which are `count`, begins at the present code. */
static pudle_status NAME(begin_stretch)(pudle_unroll *u, sample *r, int64_t count, double clear, bool tape)
{
    const int64_t width = padded(count), slot = u->keeps_input ? 2 * width : width;
    piece *p = NULL;
    r->ints_before = r->nints;
    r->reals_before = r->nreals;
    pudle_status s = new_piece(u, r, &p);
    if (s)
        return s;
    *p = (piece){ .local = true, .first = (int32_t)r->t + 1, .last = (int32_t)r->t, .count = (int32_t)count, .width = (int32_t)width, .clear = clear,
                  .kept = tape && r->t >= u->spec.layers - u->spec.depth };
    p->slots = p->kept ? 16 : 2;
    s = take_ints(u, r, count, &p->index);
    if (!s)
        s = take_ints(u, r, count, &p->active);
    if (!s)
        s = take_ints(u, r, count, &p->rank);
    if (!s)
        s = take_reals(u, r, count * width, &p->gram);
    if (!s)
        s = take_reals(u, r, STRETCH_ARRAYS * width, &p->work);
    if (!s)
        s = take_reals(u, r, p->slots * slot, &p->z);
    if (s)
        return s;
    int32_t *atom = INTS(r) + p->index, *rank = INTS(r) + p->rank;
    for (int64_t j = 0, k = 0; k < count; j++)
        if (r->mark[j] >= 0)
            atom[k++] = (int32_t)j;
    for (int64_t k = 0; k < count; k++)
        rank[k] = -1;
    memset(REALS(r) + p->work, 0, (size_t)(STRETCH_ARRAYS * width) * sizeof(REAL));
    REAL *z = REALS(r) + p->z;
    memset(z, 0, (size_t)slot * sizeof(REAL));
    for (int64_t k = 0; k < r->now; k++)
        z[r->mark[r->index[k]]] = ((const REAL *)r->z)[k];
    r->open = true;
    return PUDLE_OK;
}

/* On with the last piece, a stretch, for as many layers as can be shown to need no other atoms. */
static pudle_status NAME(run_alone)(pudle_unroll *u, pudle_exec *exec, sample *r, bool tape)
{
    piece *const p = (piece *)r->pieces.at + r->npieces - 1;
    const bool kept = p->kept;
    const int64_t slot = u->keeps_input ? 2 * p->width : p->width, begun = r->t, T = u->spec.layers, until = tape && !kept ? T - u->spec.depth : T;
    NAME(stretch) s;
    NAME(lay_out)(r, p, &s);
    NAME(anchor)(r, &s);
    NAME(activate)(u, r, &s, s.zb);
    NAME(activate)(u, r, &s, REALS(r) + p->z + (kept ? p->last - p->first + 1 : (p->last - p->first + 1) % 2) * slot);
    s.clear = p->clear;
    s.near = r->near;
    s.far = r->far;
    pudle_status status = PUDLE_OK;
    while (r->t < until) {
        const int64_t t = r->t + 1, done = p->last - p->first + 1, from = kept ? done : done % 2, to = kept ? done + 1 : (done + 1) % 2;
        if (to >= p->slots) {
            int64_t more = 0;
            status = take_reals(u, r, p->slots * slot, &more); /* follows on: nothing else has been taken since */
            if (status)
                return status;
            p->slots *= 2;
            p->actives = (int32_t)s.actives;
            NAME(lay_out)(r, p, &s);
        }
        const REAL *z = REALS(r) + p->z + from * slot;
        REAL *next = REALS(r) + p->z + to * slot, *v = u->keeps_input ? next + p->width : s.v;
        if (!NAME(others_stay_quiet)(u, r, &s, t, z))
            break;
        NAME(stretch_input)(v, z, (REAL)u->spec.step[t - 1], s.cb, s.g, p->width);
        memset(next + p->count, 0, (size_t)(p->width - p->count) * sizeof(REAL));
        status = NAME(shrink)(u, exec, r, t, s.atom, p->count, v, next);
        if (status)
            return status;
        NAME(activate)(u, r, &s, next);
        p->last = (int32_t)(r->t = t);
    }
    p->actives = (int32_t)s.actives;
    const int64_t done = p->last - p->first + 1;
    const REAL *z = REALS(r) + p->z + (kept ? done : done % 2) * slot;
    r->now = 0;
    for (int64_t k = 0; k < p->count; k++)
        if (z[k] != 0) {
            r->index[r->now] = s.atom[k];
            ((REAL *)r->z)[r->now++] = z[k];
        }
    if (r->t - begun < 3)
        r->caution *= 1.5; /* the work of a stretch must pay */
    return PUDLE_OK;
}

/* The open stretch is over. */
static void NAME(end_stretch)(const pudle_unroll *u, sample *r)
{
    const piece *p = (piece *)r->pieces.at + r->npieces - 1;
    const int64_t slot = u->keeps_input ? 2 * p->width : p->width, done = p->last - p->first + 1;
    for (int64_t k = 0; k < p->count; k++) /* marks are clean between stretches */
        r->mark[(INTS(r) + p->index)[k]] = -1;
    r->open = false;
    if (done > 0 && p->kept) {
        r->nreals = p->z + (done + 1) * slot;
    } else {
        r->npieces--;
        r->nints = r->ints_before;
        r->nreals = r->reals_before;
    }
}

/* Can the open stretch go on from new correlations, among the same atoms? */
static bool NAME(still_clear)(const pudle_unroll *u, sample *r)
{
    piece *p = (piece *)r->pieces.at + r->npieces - 1;
    p->clear = NAME(clear_between)(u, r, INTS(r) + p->index, p->count, 0, r->far);
    return NAME(reach)(u, r) * r->caution < NAME(quiet_in)(u, r->t + 1) - p->clear;
}

/* ---------------------------------------------------------------- a block of rows */

/* A row after its correlations have been evaluated: of all atoms, or of those that the next layer needs. */
static void NAME(step_row)(void *ctx, int64_t i)
{
    round_work *w = ctx;
    pudle_unroll *u = w->u;
    sample *r = w->pending[i];
    const REAL *corr = (const REAL *)w->l->corr + i * u->ld, *residual = u->gram ? NULL : (const REAL *)w->l->residual + i * u->ldm;
    const int64_t before = r->t, end = u->spec.layers - u->spec.depth;
    double clear = 0;
    if (i < w->waiting)
        return;
    if (!r->few)
        NAME(refer)(u, r, corr, residual);
    if (r->open && !NAME(still_clear)(u, r))
        NAME(end_stretch)(u, r);
    if (r->open)
        r->status = NAME(run_alone)(u, w->exec, r, w->tape);
    if (!r->status && r->open && r->t == before) /* every evaluation is worth a layer */
        NAME(end_stretch)(u, r);
    if (!r->status && !r->open) {
        r->status = NAME(advance)(u, w->exec, r, corr, residual, w->tape);
        const int64_t count = r->status || r->t == u->spec.layers ? 0 : r->few ? NAME(choose_from_few)(u, r, &clear) : NAME(choose)(u, r, &clear);
        if (count)
            r->status = NAME(begin_stretch)(u, r, count, clear, w->tape);
        if (count && !r->status)
            r->status = NAME(run_alone)(u, w->exec, r, w->tape);
    }
    r->few = 0;
    if (r->status || !r->open)
        return;
    const bool kept = ((piece *)r->pieces.at)[r->npieces - 1].kept, tape_begins = w->tape && !kept && r->t == end;
    if (r->t == u->spec.layers || tape_begins)
        NAME(end_stretch)(u, r);
    if (tape_begins)
        r->status = NAME(record)(u, r, r->t, r->value, NULL);
}

/* residual = D z - x of the present codes, sums of few atoms: FEATURES of some rows. Parts of the same features follow each
 * other, for these of all atoms may stay in cache. */
static void NAME(residual_part)(void *ctx, int64_t part)
{
    enum { FEATURES = NAME(FEATURES) };
    round_work *w = ctx;
    const pudle_unroll *u = w->u;
    const int64_t c = part / w->cut.across * FEATURES, width = lesser(u->ldm - c, FEATURES);
    const int64_t begin = part % w->cut.across * w->cut.each, end = lesser(begin + w->cut.each, w->count);
    for (int64_t i = begin; i < end; i++) {
        const sample *r = w->pending[i];
        NAME(combine)((REAL *)w->l->residual + i * u->ldm + c, (const REAL *)w->l->target + r->number * u->ldm + c, (const REAL *)u->atoms + c, u->ldm,
                      width, r->now, r->index, r->z);
    }
}

/* Which atoms alone can be other than 0 after the next layer: those of the present code, and those whose correlations are not surely in the
 * dead zone, by the distance of the row's residual from the line through those of the two last evaluations. r->few of them into r->list; 0: too
 * many, or it cannot be told, or an evaluation costs no more than these layers have. */
static void NAME(find_few)(void *ctx, int64_t i)
{
    round_work *w = ctx;
    const pudle_unroll *u = w->u;
    sample *r = w->pending[i];
    const int64_t p = u->spec.atoms;
    const double quiet = NAME(quiet_in)(u, r->t + 1);
    if (r->open || r->refs < 2 || r->now > p / FEW || !(quiet > 0))
        return;
    spot now;
    now.off = u->longest * NAME(off_line)((const REAL *)w->l->residual + i * u->ldm, r->ref[0].residual, r->ref[1].residual, u->ldm, &now.along);
    if (!(now.off < quiet && now.along > -UNROLL_FAR && now.along < UNROLL_FAR)) /* a NaN is neither */
        return;
    REAL *score = r->v;
    const REAL level = (REAL)(quiet - now.off), along = (REAL)now.along;
    NAME(look_along)(score, r->ref[0].corr, r->ref[1].corr, along, along, u->ld);
    for (int64_t k = 0; k < r->now; k++)
        score[r->index[k]] = (REAL)NAN;
    const int64_t count = NAME(collect)(score, p, &level, false, r->list, r->coef);
    if (count > p / FEW || r->spent + count > p / FEW_SPENT)
        return;
    r->few = count;
    r->spent += count;
    r->expect.off = now.off + FEW_AHEAD * (now.off > r->place.off ? now.off - r->place.off : 0);
    r->expect.along = now.along + FEW_AHEAD * (now.along - r->place.along);
    r->place = now;
}

/* The correlations of the rows for whose next layer a few atoms are enough: a range of atoms, which stay in cache. The other correlations
 * count as 0. */
static void NAME(few_part)(void *ctx, int64_t part)
{
    round_work *w = ctx;
    const pudle_unroll *u = w->u;
    const int64_t begin = part * EVALUATE_COLUMNS, end = lesser(begin + EVALUATE_COLUMNS, u->ld);
    REAL out[EVALUATE_COLUMNS];
    for (int64_t i = w->whole; i < w->count; i++) {
        const sample *r = w->pending[i];
        REAL *corr = (REAL *)w->l->corr + i * u->ld;
        const int64_t from = few_from(r, begin), count = few_from(r, end) - from;
        memset(corr + begin, 0, (size_t)(end - begin) * sizeof *corr);
        NAME(dots)(out, (const REAL *)w->l->residual + i * u->ldm, u->atoms, u->ldm, u->ldm, count, r->list + from);
        for (int64_t k = 0; k < count; k++)
            corr[r->list[from + k]] = -out[k];
    }
}

/* Rows that need the correlations of all atoms to the front, with their residuals: w->whole of them. */
static void NAME(whole_first)(round_work *w)
{
    const int64_t ldm = w->u->ldm;
    w->whole = 0;
    for (int64_t i = 0; i < w->count; i++) {
        sample *const r = w->pending[i];
        if (r->few)
            continue;
        REAL *here = (REAL *)w->l->residual + i * ldm, *there = (REAL *)w->l->residual + w->whole * ldm;
        w->pending[i] = w->pending[w->whole];
        w->pending[w->whole++] = r;
        for (int64_t c = 0; c < ldm && here != there; c++) {
            const REAL kept = here[c];
            here[c] = there[c];
            there[c] = kept;
        }
    }
}

/* The correlations that the rows need, without a Gram matrix: of few atoms where these are enough, else of all by one product. Where some rows
 * can go on with few, the others wait until they are as many. */
static pudle_status NAME(correlations)(round_work *w)
{
    pudle_unroll *u = w->u;
    cpu_parts(w->exec, w->count, NAME(find_few), w);
    NAME(whole_first)(w);
    if (w->whole < w->count)
        cpu_parts(w->exec, parts_of(u->ld, EVALUATE_COLUMNS), NAME(few_part), w);
    if (2 * w->whole >= w->count)
        return product_by_columns(u, w->exec, -1.0, w->l->residual, w->whole, u->ldm, w->l->corr);
    w->waiting = w->whole;
    return PUDLE_OK;
}

/* corr = c - G z of the present code: a sum of few rows of G. */
static void NAME(gram_row)(void *ctx, int64_t i)
{
    round_work *w = ctx;
    const pudle_unroll *u = w->u;
    sample *r = w->pending[i];
    REAL *coef = r->coef;
    for (int64_t k = 0; k < r->now; k++)
        coef[k] = -((const REAL *)r->z)[k];
    NAME(combine)((REAL *)w->l->corr + i * u->ld, (const REAL *)w->l->base + r->number * u->ld, u->gram, u->ld, u->ld, r->now, r->index, coef);
}

/* The codes of the rows as full ones. */
static pudle_status NAME(full_codes)(round_work *w)
{
    pudle_unroll *u = w->u;
    const pudle_status s = want(u, &w->l->dense, (size_t)(w->count * u->ld) * sizeof(REAL));
    if (s)
        return s;
    REAL *z = w->l->dense.at;
    memset(z, 0, (size_t)(w->count * u->ld) * sizeof(REAL));
    for (int64_t i = 0; i < w->count; i++)
        for (int64_t k = 0; k < w->pending[i]->now; k++)
            z[i * u->ld + w->pending[i]->index[k]] = ((const REAL *)w->pending[i]->z)[k];
    return PUDLE_OK;
}

/* The two by one product for all rows, for codes that are not sparse. */
static pudle_status NAME(residual_product)(round_work *w)
{
    pudle_unroll *u = w->u;
    const pudle_status s = NAME(full_codes)(w);
    if (s)
        return s;
    for (int64_t i = 0; i < w->count; i++)
        memcpy((REAL *)w->l->residual + i * u->ldm, w->pending[i]->target, (size_t)u->ldm * sizeof(REAL));
    const pudle_view z = parts_strided(w->l->dense.at, u->spec.dtype, w->count, u->spec.atoms, u->ld);
    const pudle_view residual = parts_strided(w->l->residual, u->spec.dtype, w->count, u->spec.features, u->ldm);
    const pudle_cview cz = pudle_const(&z);
    return cpu_gemm(w->exec, false, true, 1.0, &cz, &u->spec.dictionary, 1.0, &residual);
}

static pudle_status NAME(gram_product)(round_work *w)
{
    pudle_unroll *u = w->u;
    const pudle_status s = NAME(full_codes)(w);
    if (s)
        return s;
    for (int64_t i = 0; i < w->count; i++)
        memcpy((REAL *)w->l->corr + i * u->ld, (const REAL *)w->l->base + w->pending[i]->number * u->ld, (size_t)u->ld * sizeof(REAL));
    return product(u, w->exec, -1.0, w->l->dense.at, w->count, u->spec.atoms, u->ld, u->gram, u->spec.atoms, u->ld, 1.0, w->l->corr, u->ld);
}

/* The correlations of all atoms with the residuals of the rows that wait for them. */
static pudle_status NAME(evaluate)(round_work *w)
{
    pudle_unroll *u = w->u;
    int64_t nonzero = 0;
    for (int64_t i = 0; i < w->count; i++)
        nonzero += w->pending[i]->now;
    if (!u->gram) {
        pudle_status s = PUDLE_OK;
        w->cut = cut_work(u->ldm, NAME(FEATURES), w->count, RESIDUAL_ROWS);
        if (w->count >= DENSE_ROWS && (double)nonzero > DENSE * (double)(w->count * u->spec.atoms))
            s = NAME(residual_product)(w);
        else
            cpu_parts(w->exec, w->cut.bands * w->cut.across, NAME(residual_part), w);
        return s ? s : NAME(correlations)(w);
    }
    if ((double)nonzero > DENSE * (double)(w->count * u->spec.atoms))
        return NAME(gram_product)(w);
    cpu_parts(w->exec, w->count, NAME(gram_row), w);
    return PUDLE_OK;
}

/* Rounds: every row that is not done has its correlations evaluated, all by one product; then it goes on by itself as far as
 * it can. */
static pudle_status NAME(forward)(pudle_unroll *u, pudle_exec *exec, lane *l, int64_t rows, bool tape)
{
    round_work w = { .u = u, .exec = exec, .l = l, .tape = tape, .pending = l->pending };
    pudle_status s = PUDLE_OK;
    for (int64_t i = 0; i < rows; i++)
        reset_row(u, &l->row[i]);
    while (!s) {
        w.count = w.waiting = 0;
        for (int64_t i = 0; i < rows; i++)
            if (l->row[i].t < u->spec.layers)
                w.pending[w.count++] = &l->row[i];
        if (w.count == 0)
            break;
        s = NAME(evaluate)(&w);
        if (!s)
            cpu_parts(exec, w.count, NAME(step_row), &w);
        for (int64_t i = 0; i < w.count && !s; i++)
            s = w.pending[i]->status;
    }
    for (int64_t i = 0; i < rows && s; i++)
        l->row[i].failed = true;
    return s;
}
