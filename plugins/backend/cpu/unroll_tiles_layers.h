/* A tile of samples through all layers, and back (unroll_tiles.c). Included twice, with REAL float and double, after
 * unroll_tiles_kernels.h. */

static pudle_status NAME(tile_forward)(const tiles_work *w, int64_t tile)
{
    pudle_unroll *u = w->u;
    const int64_t p = u->spec.atoms, T = u->spec.layers, first = tile * TILE, rows = w->l->rows - first < TILE ? w->l->rows - first : TILE;
    const int64_t end = w->tape ? T - u->spec.depth : T;
    const REAL *base = (const REAL *)w->l->base.at + first * u->ld;
    slot now = slot_of(u, w->l, tile, end % 2);
    uint64_t ahead[TILE * UNROLL_FEW_ATOMS / 64];
    pudle_status s = PUDLE_OK;
    memset(now.z, 0, (size_t)(TILE * p + TILE_PAD) * sizeof(REAL));
    if (now.y != now.z)
        memset(now.y, 0, (size_t)(TILE * p + TILE_PAD) * sizeof(REAL));
    memset(now.bits, 0, (size_t)(TILE * u->words) * sizeof *now.bits);
    for (int64_t t = 1; t <= T && !s; t++) {
        const slot next = slot_of(u, w->l, tile, t <= end ? (end - t) % 2 : t - end);
        NAME(descend)(next.v, now.y, now.bits, u->words, base, (REAL)u->spec.step[t - 1], u->strips.at, rows, p, u->ld, u->near);
        s = apply(u, w->exec, t, rows, next);
        NAME(mark)(next.bits, next.z, rows, p, u->words);
        if (u->spec.momentum && t < T) { /* nothing begins at the last */
            NAME(extrapolate)(next.y, next.z, now.z, (REAL)u->spec.momentum[t - 1], rows * p);
            NAME(mark)(ahead, next.y, rows, p, u->words);
            for (int64_t k = 0; k < rows * u->words; k++)
                next.bits[k] |= ahead[k];
        }
        now = next;
    }
    if (!s)
        memcpy((REAL *)w->l->code.at + first * p, now.z, (size_t)(rows * p) * sizeof(REAL));
    return s;
}

/* Layers t, t - 1, ... back, at most four, by all atoms. adjoint: d loss / d z_t of the tile, and then of the code before them.
 * masked: room for four tiles. ahead: NULL, or with momentum d loss / d y_t, and adjoint is then of z_t but for its part in y_t. */
static pudle_status NAME(back_four)(const tiles_work *w, int64_t tile, int64_t rows, int64_t t, int64_t layers, REAL *adjoint, REAL *masked, REAL *ahead)
{
    pudle_unroll *u = w->u;
    const int64_t p = u->spec.atoms, end = u->spec.layers - u->spec.depth, words = u->words, size = TILE * p + TILE_PAD, stride = 64 * words;
    uint64_t any[TILE * UNROLL_FEW_ATOMS / 64], bits[TILE * UNROLL_FEW_ATOMS / 64];
    uint16_t count[TILE], list[TILE * UNROLL_FEW_ATOMS];
    const REAL *gv[4], *z[4];
    REAL step[4];
    memset(any, 0, (size_t)(rows * words) * sizeof *any);
    for (int64_t h = 0; h < 4; h++) {
        if (h >= layers) {
            gv[h] = gv[0];
            z[h] = z[0];
            step[h] = 0;
            continue;
        }
        const slot now = slot_of(u, w->l, tile, t - h - end), before = slot_of(u, w->l, tile, t - h - 1 - end);
        REAL *to = masked + h * size;
        gv[h] = to;
        z[h] = before.y;
        step[h] = (REAL)u->spec.step[t - h - 1];
        const REAL b = ahead ? (REAL)u->spec.momentum[t - h - 1] : 0;
        if (ahead)
            NAME(add_scaled)(adjoint, 1 + b, ahead, 1, rows * p);
        const pudle_status s = differentiate(u, w->exec, t - h, rows, p, now, adjoint, to, w->gtheta);
        if (s)
            return s;
        for (int64_t k = 0; k < rows * words; k++)
            any[k] |= before.bits[k];
        NAME(mark)(bits, to, rows, p, words);
        if (ahead)
            NAME(add_scaled)(adjoint, -b, ahead, 0, rows * p);
        NAME(ascend)(ahead ? ahead : adjoint, to, bits, words, step[h], u->strips.at, rows, p, u->near);
    }
    list_bits(u->places, count, list, stride, any, rows, p);
    /* first by themselves: thousands of terms one after the other would lose digits in single precision */
    REAL *part = w->l->part.at, *outer = w->outer;
    memset(part, 0, (size_t)(p * u->ld) * sizeof(REAL));
    NAME(gather)(part, z, gv, step, count, list, stride, rows, p, u->ld);
    for (int64_t k = 0; k < p * u->ld; k++)
        outer[k] += part[k];
    NAME(add_four)((REAL *)w->l->sums.at + tile * TILE * p, gv, step, rows * p);
    return PUDLE_OK;
}

/* The operator's derivatives in the `layers` layers from t back, the last first, for some rows of a window: `jacobian` (layers, all), all being the sum of these
 * rows' widths. As it acts on every entry alone, what it makes of 1 is its derivative; and so it may be asked about several layers of the same step and levels at
 * once. v and z: room for TILE ld entries, as many as there are ones. */
static pudle_status NAME(derive)(const tiles_work *w, int64_t tile, int64_t t, int64_t layers, int64_t row, int64_t rows, int64_t all, const NAME(few) *few,
                                 REAL *v, REAL *z, REAL *jacobian)
{
    pudle_unroll *u = w->u;
    const int64_t p = u->spec.atoms, most = all > 0 ? TILE * u->ld / all : 0, apart = u->arrays * (TILE * p + TILE_PAD);
    pudle_status s = PUDLE_OK;
    for (int64_t h = 0, n; all > 0 && h < layers && !s; h += n) {
        const slot at = slot_of(u, w->l, tile, t - h - (u->spec.layers - u->spec.depth));
        for (n = 1; h + n < layers && n < most && alike(u, t - h - n + 1); n++)
            ;
        for (int64_t i = 0, column = 0; i < rows; column += few[i++].width) {
            if (u->needs & PUDLE_VJP_INPUT)
                NAME(pick_rows)(v + column, all, (const REAL *)at.v + (row + i) * p, -apart, n, &few[i]);
            if (u->needs & PUDLE_VJP_OUTPUT)
                NAME(pick_rows)(z + column, all, (const REAL *)at.z + (row + i) * p, -apart, n, &few[i]);
        }
        s = differentiate(u, w->exec, t - h, 1, n * all, (slot){ .z = z, .v = v }, w->l->ones.at, jacobian + h * all, NULL);
    }
    return s;
}

/* The same for any number of layers, by those atoms of each row that `any` names: all that its codes use in them and before them. Where all layers have the same
 * step and levels some rows take their derivatives at a time; else all do, as the operator has to be asked about one layer after the other. */
static pudle_status NAME(back_window)(const tiles_work *w, int64_t tile, int64_t rows, int64_t t, int64_t layers, const uint64_t *any, REAL *adjoint,
                                      REAL *ahead)
{
    pudle_unroll *u = w->u;
    tiles_lane *l = w->l;
    const int64_t p = u->spec.atoms, end = u->spec.layers - u->spec.depth, apart = u->arrays * (TILE * p + TILE_PAD), stride = 64 * u->words;
    uint16_t count[TILE], list[TILE * UNROLL_FEW_ATOMS];
    NAME(few) *const few = l->few.at;
    int64_t total = 0, widest = 0;
    bool same = true;
    uint64_t set[(WINDOW_MOST + 1) * ((WINDOW_VECTORS * NAME(LANES) + 63) / 64)];
    list_bits(u->places, count, list, stride, any, rows, p);
    for (int64_t i = 0; i < rows; i++) {
        const int64_t width = (count[i] + NAME(LANES) - 1) / NAME(LANES) * NAME(LANES);
        NAME(find_few)(&few[i], list + i * stride, any + i * u->words, count[i], width);
        total += width;
        widest = width > widest ? width : widest;
    }
    for (int64_t h = 1; h < layers; h++)
        same = same && alike(u, t - h + 1);
    const int64_t together = same ? TOGETHER : rows, most = same ? together * widest : total, asked = TILE * u->ld;
    const pudle_status s = parts_want(&u->memory, &l->window, (7 + 2 * widest) * widest + 2 * asked + layers * most + NAME(LANES), sizeof(REAL));
    if (s)
        return s;
    REAL *const here = l->window.at, *const masked = here + widest, *const sum = masked + 4 * widest, *const gram = sum + widest;
    REAL *const outer = gram + widest * widest, *const v = outer + widest * widest + NAME(LANES), *const z = v + asked, *const jacobian = z + asked;
    REAL *const here_ahead = ahead ? jacobian + layers * most : NULL;
    int64_t column = 0, all = 0; /* where the row begins among those that go together; the sum of their widths */
    for (int64_t i = 0; i < rows; column += few[i++].width) {
        const NAME(few) *f = &few[i];
        if (i % together == 0) {
            const int64_t past = i + together < rows ? i + together : rows;
            column = all = 0;
            for (int64_t k = i; k < past; k++)
                all += few[k].width;
            const pudle_status failed = NAME(derive)(w, tile, t, layers, i, past - i, all, f, v, z, jacobian);
            if (failed)
                return failed;
        }
        const slot last = slot_of(u, l, tile, t - end);
#if TILES_VECTOR == 64
        NAME(compact_bits)(set, last.bits + i * u->words, -TILE * u->words, layers + 1, f, u->words);
#endif
        REAL *row = adjoint + i * p, *sums = (REAL *)l->sums.at + (tile * TILE + i) * p;
        NAME(pick_rows)(here, 0, row, 0, 1, f);
        if (ahead)
            NAME(pick_rows)(here_ahead, 0, ahead + i * p, 0, 1, f);
        NAME(pick_gram)(gram, u->gram.at, u->ld, f);
        memset(sum, 0, (size_t)f->width * sizeof(REAL));
        memset(outer, 0, (size_t)(f->count * f->width) * sizeof(REAL));
        NAME(back_row)(here, here_ahead, outer, sum, masked, jacobian + column, all, set, (const REAL *)last.y + i * p - apart, apart, gram, f,
                       u->spec.step + t - 1, ahead ? u->spec.momentum + t - 1 : NULL, layers);
        NAME(put_outer)(w->outer, u->ld, outer, f, p);
        memset(row, 0, (size_t)p * sizeof(REAL));
        if (ahead)
            memset(ahead + i * p, 0, (size_t)p * sizeof(REAL));
        for (int64_t k = 0; k < f->count && ahead; k++)
            ahead[i * p + f->atom[k]] = here_ahead[k];
        for (int64_t k = 0; k < f->count; k++) {
            row[f->atom[k]] = here[k];
            sums[f->atom[k]] += sum[k];
        }
    }
    return PUDLE_OK;
}

/* From d loss / d z_T in the lane's `adjoint`. */
static pudle_status NAME(tile_back)(const tiles_work *w, int64_t tile)
{
    pudle_unroll *u = w->u;
    const int64_t p = u->spec.atoms, T = u->spec.layers, end = T - u->spec.depth, first = tile * TILE, size = TILE * p + TILE_PAD;
    const int64_t rows = w->l->rows - first < TILE ? w->l->rows - first : TILE;
    REAL *const adjoint = w->l->room.at, *const ahead = u->spec.momentum ? adjoint + 5 * size : NULL;
    uint64_t any[TILE * UNROLL_FEW_ATOMS / 64];
    pudle_status s = PUDLE_OK;
    memcpy(adjoint, (const REAL *)w->l->adjoint.at + first * p, (size_t)(rows * p) * sizeof(REAL));
    if (ahead)
        memset(ahead, 0, (size_t)size * sizeof(REAL));
    for (int64_t t = T; t > end && !s;) {
        int64_t layers = u->windows && !w->gtheta ? choose_window(w, tile, rows, t - end, NAME(LANES), any) : 0;
        if (layers) {
            s = NAME(back_window)(w, tile, rows, t, layers, any, adjoint, ahead);
        } else {
            layers = t - end < 4 ? t - end : 4;
            s = NAME(back_four)(w, tile, rows, t, layers, adjoint, adjoint + size, ahead);
        }
        t -= layers;
    }
    return s;
}
