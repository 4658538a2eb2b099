/* Coarse evaluations of unroll.c: the correlations of all atoms from products of bytes, and a margin that they are surely within. Included
 * twice, with REAL float and double, after unroll_stretch.h.
 *
 * Let r_b and r_a be the residuals of a row's last two evaluations, and h such that w = r - r_b - h (r_b - r_a) is small. Then
 *   d_j'r = d_j'r_b + h (d_j'r_b - d_j'r_a) + d_j'w,
 * and with bytes q for w, v q + dw, and q_j for the atoms, s_j q_j + dd_j,
 *   |d_j'w - s_j v q_j'q| <= ||dd_j|| ||w|| + ||s_j q_j|| ||dw||,
 * all of it known: about 0.015 ||w||, and w is a part of the way that the residual went, not all that it is. To it adds what the last
 * evaluation was off, and h times what its difference to the one before was. */

/* What a byte is worth so that 127 of them are `most`; 0 where all may as well be 0. */
static REAL NAME(unit_for)(REAL most)
{
    return most > (REAL)(1e6 * NAME(least)) ? most / 127 : 0;
}

/* The atoms of a panel in bytes, and what each is off. */
static void NAME(to_panel)(pudle_unroll *u, int64_t panel)
{
    enum { SOME = 1024 };
    REAL whole[SOME] __attribute__((aligned(64)));
    float fours[BYTES_PANEL][SOME / BYTES_GROUP]; /* four bytes each, to be turned round as they are */
    float *const to = (float *)(void *)u->bytes.at + panel * BYTES_PANEL * u->ldm / BYTES_GROUP;
    const int64_t first = panel * BYTES_PANEL;
    REAL *const unit = (REAL *)u->unit.at + first;
    double off[BYTES_PANEL] = { 0 };
    for (int64_t a = 0; a < BYTES_PANEL; a++)
        unit[a] = first + a < u->spec.atoms ? NAME(unit_for)(NAME(extent)((const REAL *)u->atoms + (first + a) * u->ldm, u->ldm)) : 0;
    for (int64_t c = 0; c < u->ldm; c += SOME) {
        const int64_t n = lesser(u->ldm - c, SOME);
        for (int64_t a = 0; a < BYTES_PANEL; a++) {
            int8_t *const bytes = (int8_t *)fours[a];
            if (unit[a] > 0)
                off[a] += NAME(round_all)(whole, (const REAL *)u->atoms + (first + a) * u->ldm + c, n, unit[a]);
            if (unit[a] > 0 && isfinite(off[a])) /* else no margin holds with it, and its bytes are any */
                NAME(to_bytes)(bytes, whole, n);
            else
                memset(bytes, 0, (size_t)n);
            for (int64_t k = 0; k < n; k++) /* the highest bit the other way round: 128 more */
                bytes[k] = (int8_t)(bytes[k] ^ INT8_MIN);
        }
        cpu_transpose_f32(to + c / BYTES_GROUP * BYTES_PANEL, BYTES_PANEL, fours[0], SOME / BYTES_GROUP, BYTES_PANEL, n / BYTES_GROUP);
    }
    for (int64_t a = 0; a < BYTES_PANEL && first + a < u->spec.atoms; a++)
        u->off[first + a] = unit[a] > 0 ? sqrt(off[a] + (double)u->ldm * NAME(least)) : u->norms[first + a];
}

/* What a row that needs its correlations hands in: w in bytes, where a coarse evaluation is good enough. */
static void NAME(hand_in)(const pudle_unroll *u, sample *r)
{
    r->coarse = false;
    if (!u->coarse || r->status || r->t == u->spec.layers || r->refs == 0 || r->now > u->spec.atoms / COARSE)
        return;
    if (!r->at_hand)
        NAME(combine)(r->residual, r->target, u->atoms, u->ldm, u->ldm, r->now, r->index, r->y);
    r->at_hand = true;
    const reference *const b = &r->ref[0], *const a = &r->ref[r->refs > 1];
    double along = 0, sums[2];
    const double beside = r->refs > 1 ? NAME(off_line)(r->residual, b->residual, a->residual, u->ldm, &along) : 0;
    if (!(along > -UNROLL_FAR && along < UNROLL_FAR))
        along = 0;
    /* from b alone, where what a was off would add more than the longer way does */
    if (2 * u->coarse_off * (sqrt(NAME(distance)(r->residual, b->residual, u->ldm)) - beside) < fabs(along) * r->change)
        along = 0;
    REAL *const w = r->rest;
    NAME(beside_line)(w, r->residual, b->residual, a->residual, (REAL)along, u->ldm, sums);
    const REAL unit = NAME(unit_for)(NAME(extent)(w, u->ldm));
    const double hidden = (double)u->ldm * NAME(least), way = sqrt(sums[0] + hidden), size = sqrt(sums[1] + hidden), h = fabs(along);
    const double off = unit > 0 ? sqrt(NAME(round_all)(w, w, u->ldm, unit) + hidden) : way;
    /* Numbers that are rounded: products with residuals no longer than size, and with h (b - a), no longer than these and w; and what both were off. */
    const double rounded = (1 + h) * (u->longest * (size + way) + b->margin + a->margin);
    const double margin = 1.001 * (u->coarse_off * way + (u->longest + u->coarse_off) * off) + 64 * NAME(epsilon) * rounded;
    r->hand = (handed){ .along = along, .unit = unit, .change = margin + h * r->change };
    r->hand.margin = b->margin + r->hand.change;
    r->coarse = r->hand.margin <= COARSE_MARGIN * NAME(quiet_in)(u, r->t + 1) && isfinite(r->hand.margin);
    if (!r->coarse)
        return;
    if (!(unit > 0))
        memset(w, 0, (size_t)u->ldm * sizeof(REAL));
    r->hand.sum = NAME(to_bytes)(r->bytes, w, u->ldm);
}

/* The present code as the last evaluation, by the products of the bytes that the row has handed in. */
static void NAME(refer_coarse)(const pudle_unroll *u, sample *r, const int32_t *product)
{
    const bool first = r->refs < 2; /* there is no a */
    reference *const now = NAME(next_reference)(u, r, r->residual);
    if (first)
        memcpy(now->corr, r->ref[1].corr, (size_t)u->ld * sizeof(REAL));
    NAME(join)(now->corr, r->ref[1].corr, (REAL)r->hand.along, u->unit.at, (REAL)r->hand.unit, product, BYTES_ZERO * r->hand.sum, u->ld);
    now->margin = r->hand.margin;
    r->change = r->hand.change;
}
