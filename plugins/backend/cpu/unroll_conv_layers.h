/* The layers of unroll_conv.c on one band, forwards and back. Included twice, with REAL float and double, after
 * unroll_conv_kernels.h. */

static REAL *NAME(strip_of)(const pudle_unroll *u, const parts_buffer *strips, int64_t cell)
{
    return (REAL *)strips->at + cell * u->strip;
}

/* Samples [first, last) of a part, and its band. */
typedef struct NAME(span) {
    int64_t band, first, last;
} NAME(span);

static NAME(span) NAME(span_of)(const conv_call *c, int64_t part)
{
    const int64_t group = part / c->u->bands, rows = c->w->rows, groups = c->u->groups;
    return (NAME(span)){ part % c->u->bands, group * rows / groups, (group + 1) * rows / groups };
}

static NAME(conv_room) NAME(room_of)(const pudle_unroll *u, const conv_part *p)
{
    REAL *patch = p->patch.at, *spread = p->spread.at;
    return (NAME(conv_room)){ .patch = { patch, patch + CONV_TILE * u->shape.ld }, .spread = { spread, spread + 32 * u->conv.atoms },
                              .there = p->there.at };
}

/* `rows` rows from `top` on of `scale` times the image that all bands' strips make together, on the rows `base`, which may be those of `image`, or NULL.
 * under, plane: from channel to channel of `base` and of `image`. */
static void NAME(assemble_rows)(const pudle_unroll *u, const parts_buffer *strips, REAL scale, int64_t sample, int64_t top, int64_t rows, const REAL *base,
                                int64_t under, int64_t plane, REAL *image)
{
    const pudle_conv *c = &u->conv;
    const int64_t width = c->data[1], apart = u->band_rows * c->stride[0];
    for (int64_t y = 0; y < rows; y++) {
        int64_t high = (top + y) / apart, low;
        if (high >= u->bands)
            high = u->bands - 1;
        for (low = high + 1; low > 0 && top + y < (low - 1) * apart + image_rows(u, low - 1);)
            low--;
        for (int64_t k = 0; k < c->channels; k++) {
            REAL *to = image + k * plane + y * width;
            const REAL *so_far = base ? base + k * under + y * width : NULL;
            for (int64_t b = low; strips && b <= high; b++, so_far = to)
                NAME(add_row)(scale, NAME(strip_of)(u, strips, sample * u->bands + b) + k * u->plane + (top + y - b * apart) * width, so_far, width, to);
            if (!so_far)
                memset(to, 0, (size_t)width * sizeof *to);
            else if (so_far != to)
                memcpy(to, so_far, (size_t)width * sizeof *to);
        }
    }
}

/* The part that a band reads: `one` times the image of some strips and `two` times that of others, which both may be NULL, on the sample of `base`. */
static void NAME(assemble)(const pudle_unroll *u, const parts_buffer *strips, REAL one, const parts_buffer *others, REAL two, int64_t sample, int64_t band,
                           const REAL *base, REAL *image)
{
    const int64_t top = band * u->band_rows * u->conv.stride[0], rows = image_rows(u, band), width = u->conv.data[1], whole = u->conv.data[0] * width;
    NAME(assemble_rows)(u, strips, one, sample, top, rows, base ? base + top * width : NULL, whole, u->plane, image);
    if (others)
        NAME(assemble_rows)(u, others, two, sample, top, rows, image, u->plane, u->plane, image);
}

/* The levels of the entries at `positions` positions of a layer, `count` of them: the scalars themselves, or gathered into `levels`. */
static pudle_status NAME(levels_of)(pudle_unroll *u, conv_part *p, int64_t t, const uint64_t *set, int64_t positions, int64_t count, pudle_cview theta[])
{
    for (int i = 0; i < u->spec.levels; i++) {
        const pudle_cview *all = &u->spec.theta[i];
        const int64_t cols = all->shape[1];
        const REAL *from = (const REAL *)all->data + (t - 1) * cols;
        if (cols > 1) {
            const pudle_status s = parts_want(&u->memory, &p->levels[i], count + count / 2 + 1, sizeof(REAL));
            if (s)
                return s;
            REAL *to = p->levels[i].at;
            for (int64_t word = 0; word < positions * u->words; word++)
                for (uint64_t left = set[word]; left; left &= left - 1)
                    *to++ = from[word % u->words * 64 + __builtin_ctzll(left)];
            from = p->levels[i].at;
        }
        theta[i] = parts_vector(from, u->spec.dtype, cols > 1 ? count : 1);
    }
    return PUDLE_OK;
}

/* ---------------------------------------------------------------- forward */

/* The part of an image that a band reads is in place: may its correlations be made by pairs? */
static void NAME(look_at)(const pudle_unroll *u, conv_part *p, int64_t band, const REAL *image, REAL scale)
{
    p->pairs = u->pairs.used;
    for (int64_t k = 0; k < u->conv.channels && p->pairs; k++)
        p->pairs = NAME(pair_moderate)(image + k * u->plane, image_rows(u, band) * u->conv.data[1], scale);
}

/* v <- scale <w_k, the patch at a position> for all atoms k and the positions of `count` blocks from q on, at most PAIR_BLOCKS. */
static void NAME(correlate_pairs)(const pudle_unroll *u, const conv_order *o, const REAL *image, int64_t q, int64_t count, REAL scale, REAL *points,
                                  REAL *v)
{
    const conv_pairs *g = &u->pairs;
    const REAL *at[PAIR_BLOCKS + 2];
    const int64_t across = u->conv.code[1] / 2, apart = 2 * g->stride[1];
    for (int64_t i = 0, some; i < count; i += some) {
        some = least(count - i, across - (q / 4 + i) % across); /* in one row */
        NAME(pair_image)(g, image + o->position[q + 4 * i], some, scale, points);
        for (int64_t k = 0; k < some; k++)
            at[i + k] = points + k * apart;
        points += up_to((some - 1) * apart + g->reach, NAME(LANES));
    }
    at[count] = at[count + 1] = at[0]; /* three are taken at a time */
    NAME(pair_products)(g, at, count, u->paired.at, v, u->ld);
}

/* v (some, ld) <- scale <w_k, the patch at position q, q + 1, ...> for all atoms k, of an image that look_at() has seen. */
static void NAME(correlate_all)(const pudle_unroll *u, const conv_part *p, const conv_order *o, const REAL *image, int64_t q, int64_t some, REAL scale,
                                REAL *v)
{
    const int64_t paired = p->pairs && q < 4 * o->blocks ? least(some, 4 * o->blocks - q) : 0;
    for (int64_t i = 0; i < paired; i += 4 * PAIR_BLOCKS)
        NAME(correlate_pairs)(u, o, image, q + i, least(paired - i, 4 * PAIR_BLOCKS) / 4, scale, p->points.at, v + i * u->ld);
    if (paired < some)
        NAME(correlate)(image, o->position + q + paired, up_to(some - paired, 6), u->offset.at, u->shape.taps, u->blocks.at, u->ld / NAME(BLOCK), scale,
                        v + paired * u->ld, u->ld);
}

#if CONV_VECTOR == 32
/* collect(), or what this processor has for it. */
static int64_t NAME(collect_row)(const pudle_unroll *u, const REAL *v, const REAL *dead, int32_t place, uint64_t *set, int32_t *index, REAL *value)
{
#ifdef CONV_COMPACT
    if (sizeof(REAL) == sizeof(float) && u->compact.at)
        return collect_compact((const float *)(const void *)v, u->conv.atoms, (const float *)(const void *)dead, u->dead_along, u->compact.at, place,
                               set, index, (float *)(void *)value);
#endif
    return NAME(collect)(v, u->conv.atoms, dead, u->dead_along, place, set, index, value);
}
#endif

/* The inputs of layer t at `some` positions from q on that are not surely mapped to 0, one after the other into `value`; `set` marks them.
 * start and index, where they are not NULL: where a position's begin, from start[0] on, and their numbers. from: the code before; old: with
 * momentum the one before that; their sets may be `set`. Returns how many there are. */
static int64_t NAME(inputs)(const conv_call *c, conv_part *p, const conv_order *o, const REAL *image, int64_t q, int64_t some, NAME(code) from,
                            NAME(code) old, uint64_t *set, int64_t *start, int32_t *index, REAL *value)
{
    const pudle_unroll *u = c->u;
    const int64_t ld = u->ld;
    const REAL step = (REAL)u->spec.step[c->t - 1], b = (REAL)ahead(u, c->t - 1);
    const REAL *dead = (const REAL *)u->dead.at + (u->dead_along ? (c->t - 1) * ld : c->t - 1);
    REAL *v = p->tile.at;
    NAME(correlate_all)(u, p, o, image, q, some, -step, v);
#if CONV_VECTOR == 64
    if (c->t == 1)
        return NAME(collect_tile)(0, u->dead_along, v, ld, some, u->conv.atoms, dead, from, old, b, set, start, index, value);
    if (u->spec.momentum)
        return NAME(collect_tile)(2, u->dead_along, v, ld, some, u->conv.atoms, dead, from, old, b, set, start, index, value);
    if (u->dead_along)
        return NAME(collect_tile)(1, true, v, ld, some, u->conv.atoms, dead, from, old, b, set, start, index, value);
    return NAME(collect_tile)(1, false, v, ld, some, u->conv.atoms, dead, from, old, b, set, start, index, value);
#else
    int64_t found = 0;
    if (c->t > 1)
        NAME(add_code)(from.set, u->words, some, 1 + b, from.z, ld, v);
    if (c->t > 2 && u->spec.momentum)
        NAME(add_code)(old.set, u->words, some, -b, old.z, ld, v);
    for (int64_t i = 0; i < some; i++) {
        found += NAME(collect_row)(u, v + i * ld, dead, (int32_t)i, set + i * u->words, index ? index + found : NULL, value + found);
        if (start)
            start[i + 1] = start[0] + found;
    }
    return found;
#endif
}

/* z = prox(v) for the `count` entries at `positions` positions that a set marks. */
static pudle_status NAME(apply_prox)(conv_call *c, conv_part *p, const uint64_t *set, int64_t positions, const REAL *v, int64_t count, REAL *to)
{
    pudle_unroll *u = c->u;
    pudle_cview theta[PARTS_LEVELS];
    pudle_status s = NAME(levels_of)(u, p, c->t, set, positions, count, theta);
    if (s || count == 0)
        return s;
    const pudle_cview in = parts_vector(v, u->spec.dtype, count);
    const pudle_view z = parts_matrix(to, u->spec.dtype, 1, count);
    return host_prox_apply(&c->alone, &u->spec.prox, u->spec.step[c->t - 1], theta, &in, &z);
}

/* A band of the result, cleared. */
static void NAME(clear_code)(const conv_call *c, int64_t sample, int64_t band)
{
    const pudle_unroll *u = c->u;
    REAL *to = (REAL *)c->out->data + sample * c->out->stride[0] + band * u->band_rows * u->conv.code[1];
    for (int64_t k = 0; k < u->conv.atoms; k++)
        memset(to + k * u->positions, 0, (size_t)positions_in(u, band) * sizeof *to);
}

/* The code at `count` positions from q of the band on, into the result. */
static void NAME(write_code)(const conv_call *c, int64_t sample, int64_t band, int64_t q, int64_t count, NAME(code) code)
{
    const pudle_unroll *u = c->u;
    const int64_t *place = order_of(u, band)->place + q;
    REAL *to = (REAL *)c->out->data + sample * c->out->stride[0] + band * u->band_rows * u->conv.code[1];
    for (int64_t i = 0; i < count; i++)
        for (int64_t b = 0; b < u->words; b++)
            for (uint64_t left = *code.set++; left; left &= left - 1)
                to[(64 * b + __builtin_ctzll(left)) * u->positions + place[i]] = *code.z++;
}

/* D times the `held` entries at `count` positions from q of a band on, added to its strip. */
static pudle_status NAME(synthesis)(pudle_unroll *u, conv_part *p, const conv_order *o, int64_t q, int64_t count, NAME(code) code, int64_t held, REAL *strip)
{
    const NAME(conv_room) room = NAME(room_of)(u, p);
    const int64_t *position = o->position + q;
    if (!sum_all(u, count, held)) {
        NAME(synthesize)(&u->shape, u->rows.at, position, count, 4 * o->blocks - q, code.set, u->words, code.z, room.patch[0], strip);
        return PUDLE_OK;
    }
    const pudle_status s = dense_room(u, p);
    for (int64_t i = 0; i < count && !s; i += CONV_TILE) {
        const int64_t some = least(CONV_TILE, count - i);
        NAME(densify)(code.set, u->words, some, code.z, u->ld, p->dense.at);
        NAME(synthesize_all)(&u->shape, u->rows.at, position + i, some, u->each.at, u->conv.atoms, p->dense.at, u->ld, room.patch[0], strip);
        code.z += set_size(code.set, some * u->words);
        code.set += some * u->words;
    }
    return s;
}

/* D times all entries of a cell on the tape, into its strip; coef: the entries of its code, or of the adjoint there. */
static pudle_status NAME(into_strip)(pudle_unroll *u, conv_part *p, parts_buffer *strips, int64_t cell, const conv_codes *code, void *coef)
{
    REAL *strip = NAME(strip_of)(u, strips, cell);
    const int64_t count = positions_in(u, cell % u->bands);
    memset(strip, 0, (size_t)u->strip * sizeof *strip);
    return NAME(synthesis)(u, p, order_of(u, cell % u->bands), 0, count, (NAME(code)){ code->set, coef }, code->start[count], strip);
}

/* D y_{t-1} - x, which the filters are correlated with; D z_{t-1} and, with momentum, D z_{t-2} are in the strips. */
static void NAME(residual)(const conv_call *c, conv_part *p, int64_t sample, int64_t band, REAL *image)
{
    const pudle_unroll *u = c->u;
    const double b = ahead(u, c->t - 1);
    NAME(assemble)(u, c->t > 1 ? strips_of(u, c->w, c->t - 1) : NULL, (REAL)(1 + b), u->spec.momentum && c->t > 2 ? strips_of(u, c->w, c->t - 2) : NULL, (REAL)-b,
                   sample, band, (const REAL *)c->w->target.at + sample * u->spec.features, image);
    NAME(look_at)(u, p, band, image, (REAL)u->spec.step[c->t - 1]);
}

/* Layer t of a cell, for a pass with a tape: all codes of a band lie one behind the other. */
static pudle_status NAME(layer_on_tape)(conv_call *c, conv_part *p, int64_t sample, int64_t band)
{
    pudle_unroll *u = c->u;
    conv_work *w = c->w;
    const int64_t cell = sample * u->bands + band, kept = c->t - (u->spec.layers - u->spec.depth) - 1, count = positions_in(u, band);
    REAL *image = kept >= 0 ? NAME(strip_of)(u, &w->tape, kept * cells(u) + cell) : p->image.at;
    const conv_codes *from = codes_of(u, w, c->t - 1, cell), *before = codes_of(u, w, c->t > 1 ? c->t - 2 : 0, cell);
    conv_codes *to = codes_of(u, w, c->t, cell);
    const bool keep = kept >= 0 && u->keeps_input;
    pudle_status s = PUDLE_OK;
    int64_t found = 0;
    NAME(residual)(c, p, sample, band, image);
    to->start[0] = 0;
    for (int64_t q = 0; q < count && !s; q += CONV_TILE) {
        const int64_t some = least(CONV_TILE, count - q), most = found + some * u->conv.atoms + CONV_PAD;
        s = room_for(u, to, most);
        if (!s)
            s = keep ? input_room(u, &to->v, &to->input_room, to->room) : input_room(u, &p->input, &p->input_room, most);
        if (s)
            break;
        const NAME(code) last = { from->set + q * u->words, c->t > 1 ? (REAL *)from->z.at + from->start[q] : NULL };
        const NAME(code) old = c->t > 2 ? (NAME(code)){ before->set + q * u->words, (REAL *)before->z.at + before->start[q] } : (NAME(code)){ u->none.at, last.z };
        REAL *v = keep ? to->v.at : p->input.at;
        found += NAME(inputs)(c, p, order_of(u, band), image, q, some, last, old, to->set + q * u->words, to->start + q, (int32_t *)to->index.at + found, v + found);
    }
    if (!s)
        s = NAME(apply_prox)(c, p, to->set, count, keep ? to->v.at : p->input.at, found, to->z.at);
    if (s)
        return s;
    if (c->t < u->spec.layers)
        return NAME(into_strip)(u, p, strips_of(u, w, c->t), cell, to, to->z.at);
    NAME(clear_code)(c, sample, band);
    NAME(write_code)(c, sample, band, 0, count, (NAME(code)){ to->set, to->z.at });
    return PUDLE_OK;
}

/* The code of layer t in a run of a pass without a tape, from position q of a cell on. */
static NAME(code) NAME(run_code)(const pudle_unroll *u, const conv_work *w, int64_t t, int64_t cell, int64_t q)
{
    const parts_buffer *sets = &w->run_sets[t % reach(u)], *z = &w->run_z[t % reach(u)];
    const int64_t run = cell * u->runs + q / u->run, position = cell * u->band_rows * u->conv.code[1] + q;
    return (NAME(code)){ (uint64_t *)sets->at + position * u->words, (REAL *)z->at + run * (u->run * u->conv.atoms + CONV_PAD) };
}

/* The same where nobody comes back: every run's code has a place of its own, where the next layer's takes it over, or, with momentum, the one after that. */
static pudle_status NAME(layer_alone)(conv_call *c, conv_part *p, int64_t sample, int64_t band)
{
    pudle_unroll *u = c->u;
    conv_work *w = c->w;
    const int64_t cell = sample * u->bands + band, count = positions_in(u, band);
    const bool last = c->t == u->spec.layers;
    REAL *strip = NAME(strip_of)(u, strips_of(u, w, c->t), cell);
    pudle_status s = PUDLE_OK;
    NAME(residual)(c, p, sample, band, p->image.at);
    if (last)
        NAME(clear_code)(c, sample, band);
    else
        memset(strip, 0, (size_t)u->strip * sizeof *strip);
    for (int64_t q = 0; q < count && !s; q += u->run) {
        const int64_t some = least(u->run, count - q);
        const NAME(code) code = NAME(run_code)(u, w, c->t, cell, q), from = NAME(run_code)(u, w, c->t - 1, cell, q);
        const NAME(code) old = c->t > 2 ? code : (NAME(code)){ u->none.at, from.z };
        const int64_t found = NAME(inputs)(c, p, order_of(u, band), p->image.at, q, some, from, old, code.set, NULL, NULL, p->input.at);
        s = NAME(apply_prox)(c, p, code.set, some, p->input.at, found, code.z);
        if (!s && last)
            NAME(write_code)(c, sample, band, q, some, code);
        else if (!s)
            s = NAME(synthesis)(u, p, order_of(u, band), q, some, code, found, strip);
    }
    return s;
}

static pudle_status NAME(forward)(conv_call *c, int64_t part)
{
    const NAME(span) span = NAME(span_of)(c, part);
    pudle_status s = PUDLE_OK;
    for (int64_t i = span.first; i < span.last && !s; i++)
        s = c->tape ? NAME(layer_on_tape)(c, &c->w->part[part], i, span.band) : NAME(layer_alone)(c, &c->w->part[part], i, span.band);
    return s;
}

/* D z_T of a part's cells, into their strips. */
static pudle_status NAME(decode)(conv_call *c, int64_t part)
{
    pudle_unroll *u = c->u;
    conv_work *w = c->w;
    const NAME(span) span = NAME(span_of)(c, part);
    const int64_t count = positions_in(u, span.band);
    parts_buffer *strips = strips_of(u, w, c->t);
    pudle_status s = PUDLE_OK;
    for (int64_t i = span.first; i < span.last && !s; i++) {
        const int64_t cell = i * u->bands + span.band;
        REAL *strip = NAME(strip_of)(u, strips, cell);
        if (c->tape) {
            const conv_codes *code = codes_of(u, w, c->t, cell);
            s = NAME(into_strip)(u, &w->part[part], strips, cell, code, code->z.at);
            continue;
        }
        memset(strip, 0, (size_t)u->strip * sizeof *strip);
        for (int64_t q = 0; q < count && !s; q += u->run) {
            const int64_t some = least(u->run, count - q);
            const NAME(code) code = NAME(run_code)(u, w, c->t, cell, q);
            s = NAME(synthesis)(u, &w->part[part], order_of(u, span.band), q, some, code, set_size(code.set, some * u->words), strip);
        }
    }
    return s;
}

/* The rows of the image from a band's first to the next one's. */
static void NAME(decode_rows)(const conv_call *c, int64_t part)
{
    const pudle_unroll *u = c->u;
    const NAME(span) span = NAME(span_of)(c, part);
    const int64_t apart = u->band_rows * u->conv.stride[0], top = span.band * apart, height = u->conv.data[0], width = u->conv.data[1];
    const int64_t rows = span.band + 1 < u->bands ? apart : height - top;
    for (int64_t i = span.first; i < span.last; i++)
        NAME(assemble_rows)(u, strips_of(u, c->w, c->t), 1, i, top, rows, NULL, 0, height * width,
                            (REAL *)c->out->data + i * c->out->stride[0] + top * width);
}

/* ---------------------------------------------------------------- adjoint */

/* Where the prox sums the gradients of its levels over `count` entries: the part's own sum, or, one an atom, a place for each entry,
 * which add_level_sums then adds up. */
static pudle_status NAME(level_sums)(const conv_call *c, conv_part *p, int64_t t, int64_t count, pudle_view *sums)
{
    for (int i = 0; i < c->u->spec.levels; i++) {
        const int64_t cols = c->gtheta[i].shape[1];
        double *at = (double *)p->level_gradient[i].at + (t - 1) * cols;
        if (cols > 1) {
            const pudle_status s = parts_want(&c->u->memory, &p->level_sum[i], count + count / 2 + 1, sizeof *at);
            if (s)
                return s;
            at = p->level_sum[i].at;
            memset(at, 0, (size_t)count * sizeof *at);
        }
        sums[i] = (pudle_view){ .data = at, .dtype = PUDLE_F64, .rank = 1, .shape = { cols > 1 ? count : 1 }, .stride = { 1 } };
    }
    return PUDLE_OK;
}

static void NAME(add_level_sums)(const conv_call *c, conv_part *p, int64_t t, const int32_t *index, int64_t count)
{
    for (int i = 0; i < c->u->spec.levels; i++) {
        const int64_t cols = c->gtheta[i].shape[1];
        double *to = (double *)p->level_gradient[i].at + (t - 1) * cols;
        for (int64_t k = 0; cols > 1 && k < count; k++)
            to[ATOM(index[k])] += ((const double *)p->level_sum[i].at)[k];
    }
}

/* gv = J_t' up over a cell's entries of layer t, and where layer t has a code before it, D gv into the cell's strip. */
static pudle_status NAME(through_prox)(conv_call *c, conv_part *p, int64_t t, int64_t cell)
{
    pudle_unroll *u = c->u;
    const conv_codes *code = codes_of(u, c->w, t, cell);
    const int64_t count = code->start[positions_in(u, cell % u->bands)];
    parts_buffer *masked = masked_of(u, c->w, t, cell);
    pudle_cview theta[PARTS_LEVELS];
    pudle_view sums[PARTS_LEVELS];
    pudle_status s = parts_want(&u->memory, masked, count + count / 4 + 1, sizeof(REAL));
    if (!s)
        s = NAME(levels_of)(u, p, t, code->set, positions_in(u, cell % u->bands), count, theta);
    if (!s && c->gtheta)
        s = NAME(level_sums)(c, p, t, count, sums);
    if (!s && count) {
        const pudle_cview v = parts_vector(code->v.at, u->spec.dtype, count), z = parts_vector(code->z.at, u->spec.dtype, count);
        const pudle_cview g = parts_vector(p->up.at, u->spec.dtype, count);
        const pudle_view gv = parts_matrix(masked->at, u->spec.dtype, 1, count);
        s = host_prox_vjp(&c->alone, &u->spec.prox, u->spec.step[t - 1], theta, u->keeps_input ? &v : NULL, &z, &g, &gv, c->gtheta ? sums : NULL);
    }
    if (!s && c->gtheta)
        NAME(add_level_sums)(c, p, t, code->index.at, count);
    if (!s && t > 1)
        s = NAME(into_strip)(u, p, strips_of(u, c->w, t), cell, code, masked->at);
    return s;
}

static pudle_status NAME(room_for_up)(conv_call *c, conv_part *p, const conv_codes *code, int64_t band)
{
    const int64_t count = code->start[positions_in(c->u, band)];
    return parts_want(&c->u->memory, &p->up, count + count / 4 + 1, sizeof(REAL));
}

/* The part's sums, cleared; and its patches, whose padding meets that of the filters, 0, and must be a number even after a divergence. */
static pudle_status NAME(clear_sums)(conv_call *c, conv_part *p)
{
    pudle_unroll *u = c->u;
    pudle_status s = parts_want(&u->memory, &p->gradient, u->conv.atoms * u->shape.padded, sizeof(REAL));
    if (!s)
        memset(p->gradient.at, 0, p->gradient.bytes);
    memset(p->patch.at, 0, p->patch.bytes);
    if (p->dense_gradient.at)
        memset(p->dense_gradient.at, 0, p->dense_gradient.bytes);
    for (int i = 0; c->gtheta && i < u->spec.levels && !s; i++) {
        s = parts_want(&u->memory, &p->level_gradient[i], u->spec.layers * c->gtheta[i].shape[1], sizeof(double));
        if (!s)
            memset(p->level_gradient[i].at, 0, p->level_gradient[i].bytes);
    }
    return s;
}

/* The same as back_through, for codes that are not sparse: products with all atoms at all positions. */
static pudle_status NAME(back_dense)(pudle_unroll *u, conv_part *p, int64_t band, int64_t count, const NAME(conv_side) *now, const NAME(conv_side) *before,
                                     REAL scale, REAL *up)
{
    const conv_order *o = order_of(u, band);
    const int64_t taps = up_to(u->shape.taps, 6), *position = o->position;
    const bool both = before->start[count] > 0;
    pudle_status s = p->dense_gradient.at ? PUDLE_OK : parts_want(&u->memory, &p->dense_gradient, u->ld * taps, sizeof(REAL));
    if (!s)
        s = dense_room(u, p);
    if (s)
        return s;
    if (up)
        NAME(look_at)(u, p, band, before->image, scale);
    REAL *gv = p->dense.at, *z = gv + CONV_TILE * u->ld, *v = z + CONV_TILE * u->ld;
    for (int64_t q = 0; q < count; q += CONV_TILE) {
        const int64_t some = least(CONV_TILE, count - q);
        NAME(densify)(now->set + q * u->words, u->words, some, now->value + now->start[q], u->ld, gv);
        if (now->start[count] > 0)
            NAME(correlate_back)(now->image, position + q, some, u->offset.at, taps, gv, u->ld, scale, p->dense_gradient.at);
        if (!both)
            continue;
        NAME(densify)(before->set + q * u->words, u->words, some, before->value + before->start[q], u->ld, z);
        NAME(correlate_back)(before->image, position + q, some, u->offset.at, taps, z, u->ld, scale, p->dense_gradient.at);
        if (!up)
            continue;
        NAME(correlate_all)(u, p, o, before->image, q, some, scale, v);
        NAME(pick)(before, q, some, gv, v, u->ld, up);
    }
    return PUDLE_OK;
}

/* gv and z of a layer, with the images whose patches they meet, into the sums and up. */
static pudle_status NAME(both_ways)(pudle_unroll *u, conv_part *p, int64_t band, int64_t count, const NAME(conv_side) *now, const NAME(conv_side) *before,
                                    REAL scale, REAL *up)
{
    const NAME(conv_room) room = NAME(room_of)(u, p);
    if (dense_is_cheaper(u, count, (double)(now->start[count] + before->start[count]) / 2))
        return NAME(back_dense)(u, p, band, count, now, before, scale, up);
    NAME(back_through)(&u->shape, u->rows.at, u->conv.atoms, order_of(u, band)->position, count, &room, now, before, scale, up, p->gradient.at);
    return PUDLE_OK;
}

/* The decoder of a cell: residual' z_T into the sums, d loss / d z_T on the support of z_T, and that through the last prox. */
static pudle_status NAME(begin_cell)(conv_call *c, conv_part *p, int64_t sample, int64_t band)
{
    pudle_unroll *u = c->u;
    const int64_t count = positions_in(u, band), first = band * u->band_rows * u->conv.code[1], T = u->spec.layers;
    const conv_codes *code = codes_of(u, c->w, T, sample * u->bands + band);
    const REAL *direct = (const REAL *)c->direct->data + sample * c->direct->stride[0] + first;
    const int32_t *index = code->index.at;
    const int64_t *place = order_of(u, band)->place;
    NAME(assemble)(u, NULL, 1, NULL, 1, sample, band, (const REAL *)c->residual->data + sample * c->residual->stride[0], p->image.at);
    pudle_status s = NAME(room_for_up)(c, p, code, band);
    REAL *up = p->up.at;
    const NAME(conv_side) none = { u->none.at, u->none.at, index, up, p->image.at }, z = { code->start, code->set, index, code->z.at, p->image.at };
    if (!s)
        s = NAME(both_ways)(u, p, band, count, &none, &z, 1, up);
    for (int64_t q = 0; q < count && !s; q++)
        for (int64_t k = code->start[q]; k < code->start[q + 1]; k++)
            up[k] = direct[ATOM(index[k]) * u->positions + place[q]] + up[k];
    return s ? s : NAME(through_prox)(c, p, T, sample * u->bands + band);
}

static pudle_status NAME(begin_back)(conv_call *c, int64_t part)
{
    const NAME(span) span = NAME(span_of)(c, part);
    pudle_status s = NAME(clear_sums)(c, &c->w->part[part]);
    for (int64_t i = span.first; i < span.last && !s; i++)
        s = NAME(begin_cell)(c, &c->w->part[part], i, span.band);
    return s;
}

/* Layer t of a cell: gv is there, and D gv in the strips of all cells. Adds to the gradient; where another layer follows, leaves
 * that one's gv. With momentum also below the last layer, where there is no gv. */
static pudle_status NAME(back_cell)(conv_call *c, conv_part *p, int64_t sample, int64_t band)
{
    pudle_unroll *u = c->u;
    const int64_t T = u->spec.layers, t = c->t, cell = sample * u->bands + band, count = positions_in(u, band), kept = t - (T - u->spec.depth) - 1;
    const conv_codes *now = codes_of(u, c->w, t, cell), *before = codes_of(u, c->w, t - 1, cell);
    const REAL step = (REAL)u->spec.step[t - 1];
    const double b = ahead(u, t - 1), after = t < T ? ahead(u, t) : 0; /* b_{t-1} and b_t */
    const bool onward = kept > 0, more = u->spec.momentum && t < T;
    pudle_status s = PUDLE_OK;
    if (t > 1)
        NAME(assemble)(u, kept < 0 ? NULL : strips_of(u, c->w, t), (REAL)(1 + b), more ? strips_of(u, c->w, t + 1) : NULL,
                       more ? (REAL)(-after * u->spec.step[t] / u->spec.step[t - 1]) : 0, sample, band, NULL, p->image.at);
    if (onward)
        s = NAME(room_for_up)(c, p, before, band);
    if (s)
        return s;
    const NAME(conv_side) two = { before->start, before->set, before->index.at, before->z.at, p->image.at };
    NAME(conv_side) one = { u->none.at, u->none.at, two.index, two.value, two.image };
    if (kept >= 0)
        one = (NAME(conv_side)){ now->start, now->set, now->index.at, masked_of(u, c->w, t, cell)->at, NAME(strip_of)(u, &c->w->tape, kept * cells(u) + cell) };
    s = NAME(both_ways)(u, p, band, count, &one, &two, -step, onward ? p->up.at : NULL);
    if (onward && u->spec.momentum && !s)
        NAME(add_common)(now->set, one.value, (REAL)b, before->set, count * u->words, p->up.at);
    if (onward && more && !s)
        NAME(add_common)(codes_of(u, c->w, t + 1, cell)->set, masked_of(u, c->w, t + 1, cell)->at, (REAL)-after, before->set, count * u->words, p->up.at);
    return onward && !s ? NAME(through_prox)(c, p, t - 1, cell) : s;
}

static pudle_status NAME(back)(conv_call *c, int64_t part)
{
    const NAME(span) span = NAME(span_of)(c, part);
    pudle_status s = PUDLE_OK;
    for (int64_t i = span.first; i < span.last && !s; i++)
        s = NAME(back_cell)(c, &c->w->part[part], i, span.band);
    return s;
}

/* The parts' sums, in their order, into what the caller gathers. */
static void NAME(sum_parts)(const pudle_unroll *u, const conv_work *w, const pudle_view *gradient, const pudle_view *gtheta)
{
    const int64_t taps = u->shape.taps, six = up_to(taps, 6);
    for (int64_t i = 0; i < u->bands * u->groups; i++) {
        const conv_part *p = &w->part[i];
        const REAL *rows = p->gradient.at, *blocks = p->dense_gradient.at;
        for (int64_t k = 0; k < u->conv.atoms; k++)
            for (int64_t j = 0; j < taps; j++) {
                REAL *to = (REAL *)gradient->data + k * taps + j;
                *to += rows[k * u->shape.padded + j];
                if (blocks)
                    *to += blocks[(k / NAME(BLOCK) * six + j) * NAME(BLOCK) + k % NAME(BLOCK)];
            }
        for (int level = 0; gtheta && level < u->spec.levels; level++)
            for (int64_t k = 0; k < u->spec.layers * gtheta[level].shape[1]; k++)
                ((double *)gtheta[level].data)[k] += ((const double *)p->level_gradient[level].at)[k];
    }
}

/* The filters in both orders, and the dead zones. */
static void NAME(refresh)(pudle_unroll *u)
{
    const int64_t taps = u->shape.taps, cols = u->dead_along ? u->conv.atoms : 1, stride = u->dead_along ? u->ld : 1;
    const REAL *w = u->spec.dictionary.data;
    REAL *rows = u->rows.at, *blocks = u->blocks.at, *dead = u->dead.at;
    for (int64_t k = 0; k < u->conv.atoms; k++)
        for (int64_t j = 0; j < taps; j++) {
            rows[k * u->shape.ld + j] = w[k * taps + j];
            blocks[(k / NAME(BLOCK) * taps + j) * NAME(BLOCK) + k % NAME(BLOCK)] = w[k * taps + j];
        }
    if (u->pairs.used)
        NAME(pair_filters)(&u->pairs, blocks, u->ld, u->paired.at);
    for (int64_t t = 1; t <= u->spec.layers; t++)
        for (int64_t k = 0; k < cols; k++)
            dead[(t - 1) * stride + k] = (REAL)parts_dead_zone(&u->spec, t, k);
}
