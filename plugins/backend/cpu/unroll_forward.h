/* The way forward of unroll.c for a block of rows, in rounds: correlations, of all atoms or of few, and what each row makes of them. Included
 * twice, with REAL float and double, after unroll_stretch.h. */

/* A stretch among the marked atoms, if there are any, begins and goes as far as it can. */
static void NAME(go_alone)(const round_work *w, sample *r, int64_t count)
{
    if (count && !r->status)
        r->status = NAME(begin_stretch)(w->u, r, count, w->tape);
    if (count && !r->status)
        r->status = NAME(run_alone)(w->u, w->exec, r, w->tape);
}

/* A stretch that is at the end of the network, or where the tape begins, is over. */
static void NAME(close_stretch)(const round_work *w, sample *r)
{
    pudle_unroll *const u = w->u;
    if (r->status || !r->open)
        return;
    const bool kept = ((piece *)r->pieces.at)[r->npieces - 1].kept, tape_begins = w->tape && !kept && r->t == u->spec.layers - u->spec.depth;
    if (r->t == u->spec.layers || tape_begins)
        NAME(end_stretch)(u, r);
    if (tape_begins)
        r->status = NAME(record)(u, r, r->t, r->value, NULL);
}

/* Into r->list: the atoms of the present code, and those whose correlation at a place on the line through a and b is not at most `level`. */
static int64_t NAME(list_above)(const pudle_unroll *u, sample *r, const reference *b, const reference *a, double along, double level)
{
    enum { SOME = 2048 };
    uint16_t mask[SOME / 16];
    int64_t found = 0, own = 0;
    for (int64_t from = 0; from < u->spec.atoms; from += SOME) {
        const int64_t n = lesser(u->spec.atoms - from, SOME);
        NAME(mark_outside)(mask, (const REAL *)b->corr + from, (const REAL *)a->corr + from, (REAL)along, (REAL)level, n);
        for (; own < r->now && r->index[own] < from + n; own++)
            mask[(r->index[own] - from) / 16] |= (uint16_t)(1 << (r->index[own] - from) % 16);
        found += list_marked(mask, (int32_t)from, n, r->list + found);
    }
    return found;
}

/* Which atoms alone can be other than 0 after the next layer: those of the present code, and those whose correlations are not surely in the
 * dead zone, by the distance of the row's residual from the line through those of the two last evaluations. They are left in r->list, and
 * it is said how many; 0: too many, or it cannot be told, or an evaluation costs no more than these layers have. */
static int64_t NAME(find_few)(const pudle_unroll *u, sample *r)
{
    const int64_t p = u->spec.atoms;
    const double quiet = r->t < u->spec.layers ? NAME(quiet_in)(u, r->t + 1) : 0;
    r->at_hand = false;
    if (u->gram || r->status || r->open || r->refs < 2 || r->now > p / FEW || !(quiet > 0))
        return 0;
    spot now;
    NAME(combine)(r->residual, r->target, u->atoms, u->ldm, u->ldm, r->now, r->index, r->y);
    r->at_hand = true;
    now.off = u->longest * NAME(off_line)(r->residual, r->ref[0].residual, r->ref[1].residual, u->ldm, &now.along);
    if (!(now.off < quiet && now.along > -UNROLL_FAR && now.along < UNROLL_FAR)) /* a NaN is neither */
        return 0;
    const double off = now.off + NAME(unsure)(r, now.along, now.along);
    if (!(off < quiet))
        return 0;
    const int64_t count = NAME(list_above)(u, r, &r->ref[0], &r->ref[1], now.along, quiet - off);
    if (count > p / FEW || r->spent + count > p / FEW_SPENT)
        return 0;
    r->spent += count;
    r->expect.off = now.off + FEW_AHEAD * (now.off > r->place.off ? now.off - r->place.off : 0);
    r->expect.along = now.along + FEW_AHEAD * (now.along - r->place.along);
    r->place = now;
    return count;
}

/* A layer after a coarse evaluation: the atoms of the present code, and those that its margin does not clear, have their correlations found
 * exactly. */
static pudle_status NAME(advance_unsure)(const round_work *w, sample *r)
{
    pudle_unroll *const u = w->u;
    const reference *b = &r->ref[0];
    const int64_t count = NAME(list_above)(u, r, b, b, 0, NAME(quiet_in)(u, r->t + 1) - b->margin);
    NAME(dots)(r->coef, r->residual, u->atoms, u->ldm, u->ldm, count, r->list);
    return NAME(advance_few)(u, w->exec, r, count, w->tape);
}

/* A row after the correlations of all atoms have been evaluated: a layer, or an open stretch; then layers of few atoms and stretches, until
 * it has to wait for the next evaluation. */
static void NAME(step_row)(void *ctx, int64_t i)
{
    const round_work *w = ctx;
    pudle_unroll *u = w->u;
    sample *r = w->pending[i];
    const REAL *corr = (const REAL *)w->l->corr + i * u->ld, *residual = u->gram ? NULL : (const REAL *)w->l->residual + i * u->ldm;
    const int64_t before = r->t;
    if (r->coarse)
        NAME(refer_coarse)(u, r, (const int32_t *)w->l->products.at + (i - w->exact) * u->ld);
    else
        NAME(refer)(u, r, corr, residual);
    if (r->open && !NAME(still_clear)(u, r))
        NAME(end_stretch)(u, r);
    if (r->open)
        r->status = NAME(run_alone)(u, w->exec, r, w->tape);
    if (!r->status && r->open && r->t == before) /* every evaluation is worth a layer */
        NAME(end_stretch)(u, r);
    if (!r->status && !r->open) {
        r->status = r->coarse ? NAME(advance_unsure)(w, r) : NAME(advance)(u, w->exec, r, corr, residual, w->tape);
        NAME(go_alone)(w, r, r->status || r->t == u->spec.layers ? 0 : NAME(choose)(u, r));
    }
    NAME(close_stretch)(w, r);
    for (int64_t few = 0; (few = NAME(find_few)(u, r)) > 0;) {
        NAME(dots)(r->coef, r->residual, u->atoms, u->ldm, u->ldm, few, r->list);
        r->status = NAME(advance_few)(u, w->exec, r, few, w->tape);
        NAME(go_alone)(w, r, r->status || r->t == u->spec.layers ? 0 : NAME(choose_from_few)(u, r, few));
        NAME(close_stretch)(w, r);
    }
    NAME(hand_in)(u, r);
}

/* residual = D y - x of the rows that have not got it: FEATURES of some rows. Parts of the same features follow each other, for these of
 * all atoms may stay in cache. */
static void NAME(residual_part)(void *ctx, int64_t part)
{
    enum { FEATURES = NAME(FEATURES) };
    const round_work *w = ctx;
    const pudle_unroll *u = w->u;
    const int64_t c = part / w->cut.across * FEATURES, width = lesser(u->ldm - c, FEATURES);
    const int64_t begin = part % w->cut.across * w->cut.each, end = lesser(begin + w->cut.each, w->exact);
    for (int64_t i = begin; i < end; i++) {
        const sample *r = w->pending[i];
        REAL *to = (REAL *)w->l->residual + i * u->ldm + c;
        if (r->at_hand)
            memcpy(to, (const REAL *)r->residual + c, (size_t)width * sizeof(REAL));
        else
            NAME(combine)(to, (const REAL *)r->target + c, (const REAL *)u->atoms + c, u->ldm, width, r->now, r->index, r->y);
    }
}

/* corr = c - G y of the present point: a sum of few rows of G. */
static void NAME(gram_row)(void *ctx, int64_t i)
{
    round_work *w = ctx;
    const pudle_unroll *u = w->u;
    sample *r = w->pending[i];
    REAL *coef = r->coef;
    for (int64_t k = 0; k < r->now; k++)
        coef[k] = -((const REAL *)r->y)[k];
    NAME(combine)((REAL *)w->l->corr + i * u->ld, (const REAL *)w->l->base + r->number * u->ld, u->gram, u->ld, u->ld, r->now, r->index, coef);
}

/* The points of the rows as full ones. */
static pudle_status NAME(full_points)(round_work *w)
{
    pudle_unroll *u = w->u;
    const pudle_status s = want(u, &w->l->dense, (size_t)(w->exact * u->ld) * sizeof(REAL));
    if (s)
        return s;
    REAL *y = w->l->dense.at;
    memset(y, 0, (size_t)(w->exact * u->ld) * sizeof(REAL));
    for (int64_t i = 0; i < w->exact; i++)
        for (int64_t k = 0; k < w->pending[i]->now; k++)
            y[i * u->ld + w->pending[i]->index[k]] = ((const REAL *)w->pending[i]->y)[k];
    return PUDLE_OK;
}

/* The two by one product for all rows, for codes that are not sparse. */
static pudle_status NAME(residual_product)(round_work *w)
{
    pudle_unroll *u = w->u;
    const pudle_status s = NAME(full_points)(w);
    if (s)
        return s;
    for (int64_t i = 0; i < w->exact; i++)
        memcpy((REAL *)w->l->residual + i * u->ldm, w->pending[i]->target, (size_t)u->ldm * sizeof(REAL));
    const pudle_view y = parts_strided(w->l->dense.at, u->spec.dtype, w->exact, u->spec.atoms, u->ld);
    const pudle_view residual = parts_strided(w->l->residual, u->spec.dtype, w->exact, u->spec.features, u->ldm);
    const pudle_cview cy = pudle_const(&y);
    return cpu_gemm(w->exec, false, true, 1.0, &cy, &u->spec.dictionary, 1.0, &residual);
}

static pudle_status NAME(gram_product)(round_work *w)
{
    pudle_unroll *u = w->u;
    const pudle_status s = NAME(full_points)(w);
    if (s)
        return s;
    for (int64_t i = 0; i < w->count; i++)
        memcpy((REAL *)w->l->corr + i * u->ld, (const REAL *)w->l->base + w->pending[i]->number * u->ld, (size_t)u->ld * sizeof(REAL));
    return product(u, w->exec, -1.0, w->l->dense.at, w->count, u->spec.atoms, u->ld, u->gram, u->spec.atoms, u->ld, 1.0, w->l->corr, u->ld);
}

/* The correlations of all atoms with the residuals of the first w->exact rows, without a Gram matrix. */
static pudle_status NAME(evaluate_exactly)(round_work *w, int64_t nonzero)
{
    pudle_unroll *u = w->u;
    pudle_status s = PUDLE_OK;
    w->cut = cut_work(u->ldm, NAME(FEATURES), w->exact, RESIDUAL_ROWS);
    if (w->exact >= DENSE_ROWS && (double)nonzero > DENSE * (double)(w->exact * u->spec.atoms))
        s = NAME(residual_product)(w);
    else
        cpu_parts(w->exec, w->cut.bands * w->cut.across, NAME(residual_part), w);
    return s ? s : product_by_columns(u, w->exec, -1.0, w->l->residual, w->exact, u->ldm, w->l->corr);
}

/* The same of the rows behind them, coarsely. */
static pudle_status NAME(evaluate_coarsely)(round_work *w)
{
    pudle_unroll *u = w->u;
    const int64_t rows = w->count - w->exact;
    pudle_status s = want(u, &w->l->rows_in_bytes, (size_t)(rows * u->ldm));
    if (!s)
        s = want(u, &w->l->products, (size_t)(rows * u->ld) * sizeof(int32_t));
    if (s)
        return s;
    for (int64_t i = 0; i < rows; i++)
        memcpy((int8_t *)w->l->rows_in_bytes.at + i * u->ldm, w->pending[w->exact + i]->bytes, (size_t)u->ldm);
    cpu_parts(w->exec, parts_of(u->ld, EVALUATE_COLUMNS), bytes_part, w);
    return PUDLE_OK;
}

/* The correlations of all atoms with the residuals of the rows that wait for them. */
static pudle_status NAME(evaluate)(round_work *w)
{
    pudle_unroll *u = w->u;
    int64_t nonzero = 0;
    for (int64_t i = 0; i < w->exact; i++)
        nonzero += w->pending[i]->now;
    if (!u->gram) {
        const pudle_status s = w->exact ? NAME(evaluate_exactly)(w, nonzero) : PUDLE_OK;
        return s || w->exact == w->count ? s : NAME(evaluate_coarsely)(w);
    }
    if ((double)nonzero > DENSE * (double)(w->count * u->spec.atoms))
        return NAME(gram_product)(w);
    cpu_parts(w->exec, w->count, NAME(gram_row), w);
    return PUDLE_OK;
}

/* Rounds: every row that is not done has its correlations evaluated, by one product for the exact ones and one for the coarse; then it goes on by
 * itself as far as it can. */
static pudle_status NAME(forward)(pudle_unroll *u, pudle_exec *exec, lane *l, int64_t rows, bool tape)
{
    round_work w = { .u = u, .exec = exec, .l = l, .tape = tape, .pending = l->pending };
    pudle_status s = PUDLE_OK;
    for (int64_t i = 0; i < rows; i++)
        reset_row(u, &l->row[i]);
    while (!s) {
        w.count = 0;
        for (int64_t i = 0; i < rows; i++)
            if (l->row[i].t < u->spec.layers && !l->row[i].coarse)
                w.pending[w.count++] = &l->row[i];
        w.exact = w.count;
        for (int64_t i = 0; i < rows; i++)
            if (l->row[i].t < u->spec.layers && l->row[i].coarse)
                w.pending[w.count++] = &l->row[i];
        if (w.count == 0)
            break;
        s = NAME(evaluate)(&w);
        l->exact += w.exact;
        l->coarse += w.count - w.exact;
        if (!s)
            cpu_parts(exec, w.count, NAME(step_row), &w);
        for (int64_t i = 0; i < w.count && !s; i++)
            s = w.pending[i]->status;
    }
    for (int64_t i = 0; i < rows && s; i++)
        l->row[i].failed = true;
    return s;
}
