/* The way forward of unroll.c for a block of rows, in rounds: correlations, of all atoms or of few, and what each row makes of them. Included
 * twice, with REAL float and double, after unroll_stretch.h. */

/* A row after its correlations have been evaluated: of all atoms, or of those that the next layer needs. */
static void NAME(step_row)(void *ctx, int64_t i)
{
    round_work *w = ctx;
    pudle_unroll *u = w->u;
    sample *r = w->pending[i];
    const REAL *corr = (const REAL *)w->l->corr + i * u->ld, *residual = u->gram ? NULL : (const REAL *)w->l->residual + i * u->ldm;
    const int64_t before = r->t, end = u->spec.layers - u->spec.depth;
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
        const int64_t count = r->status || r->t == u->spec.layers ? 0 : r->few ? NAME(choose_from_few)(u, r) : NAME(choose)(u, r);
        if (count)
            r->status = NAME(begin_stretch)(u, r, count, w->tape);
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
    NAME(set_at)(score, r->index, r->now, (REAL)NAN);
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
