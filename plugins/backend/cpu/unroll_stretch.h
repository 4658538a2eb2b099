/* Stretches of unroll.c, layers that a sample does among few atoms alone: which atoms, for how long, and when no more. Included twice, with REAL
 * float and double, after unroll_layer.h. */

/* ||D (z_b - z_a)||^2 for the codes of the two last evaluations; with momentum z is here, and in all of this file, where a layer begins: y. */
static double NAME(moved)(const pudle_unroll *u, const sample *r)
{
    const reference *b = &r->ref[0], *a = &r->ref[1];
    if (!u->gram)
        return NAME(distance)(b->residual, a->residual, u->ldm);
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
    return u->longest * sqrt(NAME(moved)(u, r)) * (r->between > 2 ? 2.0 / (double)r->between : 1);
}

/* How far correlations between two places on the line through the last two evaluations may be from what these two say. */
static double NAME(unsure)(const sample *r, double near, double far)
{
    return r->ref[0].margin + fmax(fabs(near), fabs(far)) * r->change;
}

/* The atoms of the present code and of the last evaluation are in a stretch whatever their score: it becomes a NaN, which is at most no level,
 * not even an infinite one. */
static void NAME(always_in)(const sample *r, REAL *score)
{
    NAME(set_at)(score, r->index, r->now, (REAL)NAN);
    NAME(set_at)(score, r->ref[0].index, r->ref[0].count, (REAL)NAN);
}

/* Marks the atoms whose score is not at most `level`, one at least, and returns how many; r->clear: what the others' correlations stay below. */
static int64_t NAME(mark_above)(sample *r, const REAL *score, REAL level, int64_t p)
{
    int64_t count = 0;
    r->clear = 0;
    for (int64_t j = 0; j < p; j++) {
        if (!(score[j] <= level))
            r->mark[j] = (int32_t)count++;
        else if ((double)score[j] > r->clear)
            r->clear = (double)score[j];
    }
    r->clear += NAME(unsure)(r, r->near, r->far);
    if (count == 0) /* a code of zeros may go on as well */
        r->mark[0] = (int32_t)count++;
    return count;
}

/* Which atoms a row may go on with alone: those of the present code and of the last evaluation, and those whose correlations
 * come near the dead zone on the way ahead; as few as leave room for what may be expected. Marks them and returns how many;
 * 0: it had better not. */
static int64_t NAME(choose)(pudle_unroll *u, sample *r)
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
    const double reach = NAME(reach)(u, r) * r->caution * (!u->gram && 3 * r->now * r->now <= p ? 0.7 : 1) + NAME(unsure)(r, r->near, r->far);
    if (!(reach < 0.5 * quiet))
        return 0;
    NAME(look_along)(score, b->corr, a->corr, (REAL)r->near, (REAL)r->far, u->ld);
    double level = 0;
    NAME(always_in)(r, score);
    for (size_t i = 0; i < sizeof fractions / sizeof *fractions && level == 0; i++)
        if (reach < (1 - fractions[i]) * quiet && NAME(count_above)(score, (REAL)(fractions[i] * quiet), p) <= most)
            level = fractions[i] * quiet;
    if (level == 0)
        return 0;
    return NAME(mark_above)(r, score, (REAL)level, p);
}

/* The same after a layer of `few` atoms, from which on the row's residual is where r->expect says: those whose correlations come near the dead
 * zone there or on the way. */
static int64_t NAME(choose_from_few)(const pudle_unroll *u, sample *r, int64_t few)
{
    const int64_t p = u->spec.atoms, left = u->spec.layers - r->t;
    const double quiet = u->quiet[r->t];
    REAL *score = r->v;
    r->near = r->place.along;
    r->far = r->expect.along < UNROLL_FAR ? r->expect.along : UNROLL_FAR;
    const double off = r->expect.off + NAME(unsure)(r, r->near, r->far);
    if (!(off < quiet && r->place.along >= 0 && r->expect.along >= 0))
        return 0;
    NAME(look_along)(score, r->ref[0].corr, r->ref[1].corr, (REAL)r->near, (REAL)r->far, u->ld);
    NAME(always_in)(r, score);
    const REAL level = (REAL)(quiet - off);
    const int64_t count = NAME(count_above)(score, level, p);
    /* a small Gram matrix must cost less than as many layers of few atoms */
    if (count > widest_alone(u) || r->now * count > lesser(left, STRETCH_EXPECTED) * (r->now + few))
        return 0;
    return NAME(mark_above)(r, score, level, p);
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
    NAME(set_at)(score, atom, count, 0);
    return (double)NAME(largest)(score, u->ld) + NAME(unsure)(r, near, far);
}

/* May layer t leave the other atoms out? Also g = G (z - z_b). The residual is within `off` of a point on the line, near which the others'
 * correlations stay below `clear`; so they stay below clear + longest off. Where that does not do, the line is looked at again, nearer by. */
static bool NAME(others_stay_quiet)(const pudle_unroll *u, sample *r, const NAME(stretch) *s, int64_t t, const REAL *z)
{
    static const double ahead[] = { 0.5, 0.03125 }; /* times e: some layers' way, or at least this one */
    REAL sums[3]; /* ||D (z - z_b)||^2, <D (z - z_b), D e>, and what bounds the rounding of the first */
    NAME(stray)(s->g, s->dz, s->x, z, s->zb, s->gram, s->change, s->active, s->actives, s->width, sums);
    const double along = (double)sums[1], how_far = s->length2 > 0 ? along / s->length2 : 0;
    const double off2 = (double)sums[0] - how_far * along + 64 * NAME(epsilon) * (double)sums[2] + (double)s->width * NAME(least);
    const double quiet = NAME(quiet_in)(u, t), off = u->longest * sqrt(off2 > 0 ? off2 : 0);
    if (!(off2 == off2 && how_far >= 0 && how_far <= UNROLL_FAR && off < quiet))
        return false;
    bool clear = how_far >= r->near && how_far <= r->far && r->clear + off <= quiet;
    for (size_t i = 0; i < sizeof ahead / sizeof *ahead && !clear; i++) {
        r->near = how_far;
        r->far = how_far + ahead[i];
        r->clear = NAME(clear_between)(u, r, s->atom, s->count, r->near, r->far);
        clear = r->clear + off <= quiet;
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

/* The correlations of a stretch's atoms at an evaluation, exactly. */
static void NAME(exact_at)(const pudle_unroll *u, const reference *at, const NAME(stretch) *s, REAL *out)
{
    const bool coarse = at->margin > 0;
    if (coarse)
        NAME(dots)(out, at->residual, u->atoms, u->ldm, u->ldm, s->count, s->atom);
    for (int64_t k = 0; k < s->count; k++)
        out[k] = coarse ? -out[k] : ((const REAL *)at->corr)[s->atom[k]];
}

/* What a stretch takes from the two last evaluations. */
static void NAME(anchor)(const pudle_unroll *u, const sample *r, NAME(stretch) *s)
{
    const reference *b = &r->ref[0], *a = &r->ref[1];
    memset(s->zb, 0, (size_t)s->width * sizeof(REAL));
    for (int64_t k = 0; k < b->count; k++)
        s->zb[r->mark[b->index[k]]] = ((const REAL *)b->z)[k];
    s->length2 = NAME(moved)(u, r);
    NAME(exact_at)(u, b, s, s->cb);
    NAME(exact_at)(u, a, s, s->change);
    for (int64_t k = 0; k < s->count; k++)
        s->change[k] -= s->cb[k];
}

/* A stretch among the marked atoms, which are `count`, begins at the present code. */
static pudle_status NAME(begin_stretch)(pudle_unroll *u, sample *r, int64_t count, bool tape)
{
    const int64_t width = padded(count), slot = u->arrays * width;
    piece *p = NULL;
    r->ints_before = r->nints;
    r->reals_before = r->nreals;
    pudle_status s = new_piece(u, r, &p);
    if (s)
        return s;
    *p = (piece){ .local = true, .first = (int32_t)r->t + 1, .last = (int32_t)r->t, .count = (int32_t)count, .width = (int32_t)width,
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
    p->y = u->spec.momentum ? p->z + slot - width : p->z;
    int32_t *atom = INTS(r) + p->index, *rank = INTS(r) + p->rank;
    for (int64_t j = 0, k = 0; k < count; j++)
        if (r->mark[j] >= 0)
            atom[k++] = (int32_t)j;
    for (int64_t k = 0; k < count; k++)
        rank[k] = -1;
    memset(REALS(r) + p->work, 0, (size_t)(STRETCH_ARRAYS * width) * sizeof(REAL));
    REAL *z = REALS(r) + p->z, *y = REALS(r) + p->y;
    memset(z, 0, (size_t)slot * sizeof(REAL));
    for (int64_t k = 0; k < r->now; k++) {
        z[r->mark[r->index[k]]] = ((const REAL *)r->z)[k];
        y[r->mark[r->index[k]]] = ((const REAL *)r->y)[k];
    }
    r->open = true;
    return PUDLE_OK;
}

/* On with the last piece, a stretch, for as many layers as can be shown to need no other atoms. */
static pudle_status NAME(run_alone)(pudle_unroll *u, pudle_exec *exec, sample *r, bool tape)
{
    piece *const p = (piece *)r->pieces.at + r->npieces - 1;
    const bool kept = p->kept;
    const int64_t slot = u->arrays * p->width, begun = r->t, T = u->spec.layers, until = tape && !kept ? T - u->spec.depth : T;
    NAME(stretch) s;
    NAME(lay_out)(r, p, &s);
    NAME(anchor)(u, r, &s);
    NAME(activate)(u, r, &s, s.zb);
    const int64_t present = (kept ? p->last - p->first + 1 : (p->last - p->first + 1) % 2) * slot;
    NAME(activate)(u, r, &s, REALS(r) + p->z + present);
    if (u->spec.momentum)
        NAME(activate)(u, r, &s, REALS(r) + p->y + present);
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
        const REAL *z = REALS(r) + p->z + from * slot, *y = REALS(r) + p->y + from * slot;
        REAL *next = REALS(r) + p->z + to * slot, *v = u->keeps_input ? next + p->width : s.v;
        if (!NAME(others_stay_quiet)(u, r, &s, t, y))
            break;
        NAME(stretch_input)(v, y, (REAL)u->spec.step[t - 1], s.cb, s.g, p->width);
        memset(next + p->count, 0, (size_t)(p->width - p->count) * sizeof(REAL));
        status = NAME(shrink)(u, exec, r, t, s.atom, p->count, v, next);
        if (status)
            return status;
        NAME(activate)(u, r, &s, next);
        if (u->spec.momentum)
            NAME(extrapolate_row)(REALS(r) + p->y + to * slot, next, z, (REAL)u->spec.momentum[t - 1], p->width);
        p->last = (int32_t)(r->t = t);
    }
    p->actives = (int32_t)s.actives;
    const int64_t done = p->last - p->first + 1;
    const REAL *z = REALS(r) + p->z + (kept ? done : done % 2) * slot, *y = z + p->y - p->z;
    r->now = 0;
    for (int64_t k = 0; k < p->count; k++)
        if (z[k] != 0 || y[k] != 0) {
            r->index[r->now] = s.atom[k];
            ((REAL *)r->z)[r->now] = z[k];
            ((REAL *)r->y)[r->now++] = y[k];
        }
    if (r->t - begun < 3)
        r->caution *= 1.5; /* the work of a stretch must pay */
    return PUDLE_OK;
}

/* The open stretch is over. */
static void NAME(end_stretch)(const pudle_unroll *u, sample *r)
{
    const piece *p = (piece *)r->pieces.at + r->npieces - 1;
    const int64_t slot = u->arrays * p->width, done = p->last - p->first + 1;
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
    const piece *p = (piece *)r->pieces.at + r->npieces - 1;
    r->clear = NAME(clear_between)(u, r, INTS(r) + p->index, p->count, r->near, r->far);
    return NAME(reach)(u, r) * r->caution < NAME(quiet_in)(u, r->t + 1) - r->clear;
}
