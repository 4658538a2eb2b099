/* A tile of samples through all layers, and back (unroll_tiles.c). Included twice, with REAL float and double, after
 * unroll_tiles_kernels.h. */

static pudle_status NAME(tile_forward)(const tiles_work *w, int64_t tile)
{
    pudle_unroll *u = w->u;
    const int64_t p = u->spec.atoms, T = u->spec.layers, first = tile * TILE, rows = w->l->rows - first < TILE ? w->l->rows - first : TILE;
    const int64_t end = w->tape ? T - u->spec.depth : T;
    const REAL *base = (const REAL *)w->l->base.at + first * u->ld;
    slot now = slot_of(u, w->l, tile, end % 2);
    pudle_status s = PUDLE_OK;
    memset(now.z, 0, (size_t)(TILE * p + TILE_PAD) * sizeof(REAL));
    memset(now.bits, 0, (size_t)(TILE * u->words) * sizeof *now.bits);
    for (int64_t t = 1; t <= T && !s; t++) {
        const slot next = slot_of(u, w->l, tile, t <= end ? (end - t) % 2 : t - end);
        NAME(descend)(next.v, now.z, now.bits, u->words, base, (REAL)u->spec.step[t - 1], u->strips.at, rows, p, u->ld, u->near);
        s = apply(u, w->exec, t, rows, next);
        NAME(mark)(next.bits, next.z, rows, p, u->words);
        now = next;
    }
    if (!s)
        memcpy((REAL *)w->l->code.at + first * p, now.z, (size_t)(rows * p) * sizeof(REAL));
    return s;
}

/* Layers t, t - 1, ... back, at most four, by all atoms. adjoint: d loss / d z_t of the tile, and then of the code before them.
 * masked: room for four tiles. */
static pudle_status NAME(back_four)(const tiles_work *w, int64_t tile, int64_t rows, int64_t t, int64_t layers, REAL *adjoint, REAL *masked)
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
        z[h] = before.z;
        step[h] = (REAL)u->spec.step[t - h - 1];
        const pudle_status s = differentiate(u, w->exec, t - h, rows, p, now, adjoint, to, w->gtheta);
        if (s)
            return s;
        for (int64_t k = 0; k < rows * words; k++)
            any[k] |= before.bits[k];
        NAME(mark)(bits, to, rows, p, words);
        NAME(ascend)(adjoint, to, bits, words, step[h], u->strips.at, rows, p, u->near);
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

/* The same for any number of layers, by those atoms of each row that `any` names: all that its codes use in them and before them. */
static pudle_status NAME(back_window)(const tiles_work *w, int64_t tile, int64_t rows, int64_t t, int64_t layers, const uint64_t *any, REAL *adjoint)
{
    pudle_unroll *u = w->u;
    tiles_lane *l = w->l;
    const int64_t p = u->spec.atoms, end = u->spec.layers - u->spec.depth, size = TILE * p + TILE_PAD, stride = 64 * u->words;
    uint16_t count[TILE], list[TILE * UNROLL_FEW_ATOMS];
    int64_t start[TILE + 1] = { 0 }, widest = 0;
    list_bits(u->places, count, list, stride, any, rows, p);
    for (int64_t i = 0; i < rows; i++) {
        const int64_t width = (count[i] + NAME(LANES) - 1) / NAME(LANES) * NAME(LANES);
        start[i + 1] = start[i] + width;
        widest = width > widest ? width : widest;
    }
    const int64_t all = start[rows];
    const pudle_status s = parts_want(&u->memory, &l->window, (6 + 2 * widest) * widest + (layers + 2) * all + 4 * NAME(LANES), sizeof(REAL));
    if (s)
        return s;
    /* behind what is picked there is a vector's room */
    REAL *const here = l->window.at, *const masked = here + widest + NAME(LANES), *const sum = masked + 4 * widest, *const gram = sum + widest;
    REAL *const outer = gram + widest * widest + NAME(LANES), *const v = outer + widest * widest, *const z = v + all + NAME(LANES);
    REAL *const jacobian = z + all + NAME(LANES);
    /* the operator acts on every entry alone: what it makes of 1 is its derivative */
    for (int64_t h = 0; h < layers; h++) {
        const slot at = slot_of(u, l, tile, t - h - end);
        for (int64_t i = 0; i < rows; i++) {
            const uint16_t *atom = list + i * stride;
            if (u->needs & PUDLE_VJP_INPUT)
                NAME(pick)(v + start[i], (const REAL *)at.v + i * p, any + i * u->words, atom, count[i], start[i + 1] - start[i], p);
            if (u->needs & PUDLE_VJP_OUTPUT)
                NAME(pick)(z + start[i], (const REAL *)at.z + i * p, any + i * u->words, atom, count[i], start[i + 1] - start[i], p);
        }
        const pudle_status failed = differentiate(u, w->exec, t - h, 1, all, (slot){ .z = z, .v = v }, l->ones.at, jacobian + (layers - 1 - h) * all, NULL);
        if (failed)
            return failed;
    }
    for (int64_t i = 0; i < rows; i++) {
        const uint16_t *atom = list + i * stride;
        const uint64_t *bits = any + i * u->words;
        const int64_t width = start[i + 1] - start[i];
        const REAL *before = (const REAL *)slot_of(u, l, tile, t - 1 - end).z + i * p;
        REAL *row = adjoint + i * p, *sums = (REAL *)l->sums.at + (tile * TILE + i) * p;
        NAME(pick)(here, row, bits, atom, count[i], width, p);
        NAME(pick_gram)(gram, u->gram.at, u->ld, bits, atom, count[i], width, p);
        memset(sum, 0, (size_t)width * sizeof(REAL));
        memset(outer, 0, (size_t)(count[i] * width) * sizeof(REAL));
        NAME(back_row)(here, outer, sum, masked, jacobian + (layers - 1) * all + start[i], all, before, 2 * size, gram, atom, count[i], width,
                       u->spec.step + t - 1, layers);
        NAME(put_outer)(w->outer, u->ld, outer, bits, atom, count[i], width, p);
        memset(row, 0, (size_t)p * sizeof(REAL));
        for (int64_t k = 0; k < count[i]; k++) {
            row[atom[k]] = here[k];
            sums[atom[k]] += sum[k];
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
    REAL *adjoint = w->l->room.at;
    uint64_t any[TILE * UNROLL_FEW_ATOMS / 64];
    pudle_status s = PUDLE_OK;
    memcpy(adjoint, (const REAL *)w->l->adjoint.at + first * p, (size_t)(rows * p) * sizeof(REAL));
    for (int64_t t = T; t > end && !s;) {
        int64_t layers = u->windows && !w->gtheta ? choose_window(w, tile, rows, t - end, NAME(LANES), any) : 0;
        if (layers) {
            s = NAME(back_window)(w, tile, rows, t, layers, any, adjoint);
        } else {
            layers = t - end < 4 ? t - end : 4;
            s = NAME(back_four)(w, tile, rows, t, layers, adjoint, adjoint + size);
        }
        t -= layers;
    }
    return s;
}
