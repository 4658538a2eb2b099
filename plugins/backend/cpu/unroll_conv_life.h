/* A convolutional encoder's layers (unroll_conv.c): bands, numbers and room, made and given back. */

static void work_free(pudle_unroll *u, conv_work *w)
{
    parts_memory *m = &u->memory;
    conv_codes *codes = w->list.at;
    conv_part *part = w->parts.at;
    parts_buffer *masked = w->masked_list.at;
    for (int64_t i = 0; codes && i < slots_of(u) * cells(u); i++) {
        parts_release(m, &codes[i].index);
        parts_release(m, &codes[i].z);
        parts_release(m, &codes[i].v);
    }
    for (int64_t i = 0; masked && i < reach(u) * cells(u); i++)
        parts_release(m, &masked[i]);
    for (int64_t i = 0; part && i < u->bands * u->groups; i++) {
        conv_part *p = &part[i];
        parts_buffer *const buffers[] = { &p->tile, &p->points, &p->spread, &p->there, &p->patch, &p->image, &p->input, &p->up, &p->gradient, &p->dense, &p->dense_gradient };
        for (size_t k = 0; k < sizeof buffers / sizeof *buffers; k++)
            parts_release(m, buffers[k]);
        for (int k = 0; k < PARTS_LEVELS; k++) {
            parts_release(m, &p->levels[k]);
            parts_release(m, &p->level_sum[k]);
            parts_release(m, &p->level_gradient[k]);
        }
    }
    parts_buffer *const buffers[] = { &w->starts, &w->list, &w->parts, &w->target, &w->strips[0], &w->strips[1], &w->strips[2], &w->tape,
                                      &w->masked_list, &w->sets, &w->run_sets[0], &w->run_sets[1], &w->run_z[0], &w->run_z[1] };
    for (size_t k = 0; k < sizeof buffers / sizeof *buffers; k++)
        parts_release(m, buffers[k]);
}

static void conv_destroy(pudle_unroll *u)
{
    if (!u)
        return;
    for (int64_t i = 0; u->work && i <= u->memory.root->threads; i++)
        work_free(u, &u->work[i]);
    parts_buffer *const buffers[] = { &u->order[0].positions, &u->order[0].places, &u->order[1].positions, &u->order[1].places, &u->offset, &u->row_place,
                                      &u->none, &u->rows, &u->blocks, &u->paired, &u->each, &u->dead, &u->work_list, &u->compact };
    for (size_t k = 0; k < sizeof buffers / sizeof *buffers; k++)
        parts_release(&u->memory, buffers[k]);
    conv_pairs_free(&u->memory, &u->pairs);
    host_free(u->memory.root, u);
}

/* Room of a part for the inputs of a run, and for the patches of two tiles. */
static pudle_status part_make(pudle_unroll *u, conv_part *p)
{
    parts_memory *m = &u->memory;
    const size_t w = width_of(u);
    pudle_status s = parts_want(m, &p->tile, (u->run + CONV_SPARE) * u->ld, w);
    if (!s && u->pairs.used)
        s = parts_want(m, &p->points, PAIR_PLANES * u->pairs.plane, w);
    if (!s)
        s = parts_want(m, &p->spread, 64 * u->conv.atoms, w);
    if (!s)
        s = parts_want(m, &p->there, u->conv.atoms, sizeof(uint32_t));
    if (!s)
        s = parts_want(m, &p->patch, 2 * CONV_TILE * u->shape.ld + CONV_PAD, w);
    if (!s)
        s = parts_want(m, &p->image, u->strip, w);
    return s;
}

/* The workspace of the thread that an exec stands for, made when it is first used. */
static pudle_status work_of(pudle_unroll *u, const pudle_exec *exec, conv_work **out)
{
    const pudle_exec *root = u->memory.root;
    conv_work *w = *out = &u->work[exec == root ? root->threads : exec - root->lane];
    if (w->part)
        return PUDLE_OK;
    const int64_t parts = u->bands * u->groups;
    parts_memory *m = &u->memory;
    pudle_status s = parts_want(m, &w->parts, parts, sizeof *w->part);
    if (!s)
        s = parts_want(m, &w->target, u->spec.rows * u->spec.features, width_of(u));
    for (int64_t i = 0; i <= reach(u) && !s; i++)
        s = parts_want(m, &w->strips[i], cells(u) * u->strip, width_of(u));
    if (s)
        return s;
    conv_part *part = w->parts.at;
    for (int64_t i = 0; i < parts && !s; i++)
        s = part_make(u, &part[i]);
    if (!s)
        w->part = part;
    return s;
}

/* What a pass with a tape wants besides. */
static pudle_status tape_make(pudle_unroll *u, conv_work *w)
{
    const int64_t slots = slots_of(u) * cells(u), length = u->band_rows * u->conv.code[1] + 1;
    parts_memory *m = &u->memory;
    if (w->codes)
        return PUDLE_OK;
    pudle_status s = parts_want(m, &w->tape, u->spec.depth * cells(u) * u->strip, width_of(u));
    if (!s)
        s = parts_want(m, &w->list, slots, sizeof *w->codes);
    if (!s)
        s = parts_want(m, &w->starts, slots * length, sizeof(int64_t));
    if (!s)
        s = parts_want(m, &w->sets, slots * length * u->words, sizeof(uint64_t));
    if (!s)
        s = parts_want(m, &w->masked_list, reach(u) * cells(u), sizeof *w->masked);
    if (s)
        return s;
    w->codes = w->list.at;
    w->masked = w->masked_list.at;
    for (int64_t i = 0; i < slots; i++) {
        w->codes[i].start = (int64_t *)w->starts.at + i * length;
        w->codes[i].set = (uint64_t *)w->sets.at + i * length * u->words;
    }
    return PUDLE_OK;
}

/* And one without: room for codes of all entries, of which only what is used is ever touched. */
static pudle_status runs_make(pudle_unroll *u, conv_work *w)
{
    const int64_t runs = cells(u) * u->runs, entries = u->run * u->conv.atoms + CONV_PAD;
    pudle_status s = PUDLE_OK;
    for (int64_t i = 0; i < reach(u) && !s; i++) {
        s = parts_want(&u->memory, &w->run_sets[i], cells(u) * u->band_rows * u->conv.code[1] * u->words, sizeof(uint64_t));
        if (!s)
            s = parts_reserve(&u->memory, &w->run_z[i], runs * entries, width_of(u));
    }
    for (int64_t i = 0; i < u->bands * u->groups && !s; i++)
        s = input_room(u, &w->part[i].input, &w->part[i].input_room, entries);
    return s;
}

/* How a sample is cut. Where lanes share the batch, each works alone, and one band is enough. */
static void cut_up(pudle_unroll *u)
{
    const pudle_conv *c = &u->conv;
    const int64_t most = u->spec.lanes > 1 ? 1 : BANDS, rows = (c->code[0] + most - 1) / most;
    u->band_rows = least(c->code[0], up_to(rows > BAND_ROWS ? rows : BAND_ROWS, 2)); /* two are done at once */
    u->bands = (c->code[0] + u->band_rows - 1) / u->band_rows;
    u->groups = least(u->spec.rows, u->spec.lanes > 1 ? 1 : (BANDS + u->bands - 1) / u->bands);
    u->strip_rows = (u->band_rows - 1) * c->stride[0] + c->kernel[0];
    const int64_t lanes = 32 / (int64_t)width_of(u), all = CONV_VECTOR / (int64_t)width_of(u); /* of a row's vector; of others */
    conv_shape *g = &u->shape;
    g->rows = c->channels * c->kernel[0];
    g->across = c->kernel[1];
    g->height = c->kernel[0];
    g->pitch = c->data[1];
    g->next[0] = c->stride[0];
    g->next[1] = c->stride[1];
    g->full = g->across / lanes;
    g->rest = g->across % lanes;
    g->singly = g->rest <= lanes / 4;
    g->taps = g->rows * g->across;
    g->overlap = (g->across + c->stride[1] - 1) / c->stride[1];
    g->padded = up_to(g->taps, all);
    g->ld = up_to(g->padded, 2 * all);
    const int64_t vectors = g->padded / all, pieces = (vectors + CONV_REGISTERS - 1) / CONV_REGISTERS;
    g->piece = (vectors + pieces - 1) / pieces;
    u->plane = u->strip_rows * c->data[1];
    u->strip = up_to(c->channels * u->plane + 2 * CONV_PAD + c->stride[1], 16); /* points of an image are made a vector at a time */
    u->ld = up_to(c->atoms, 2 * all);
    u->words = (c->atoms + 63) / 64;
    for (u->run = CONV_TILE; u->run < 4 * CONV_TILE && 2 * u->run * u->ld * (int64_t)width_of(u) <= RUN_BYTES;)
        u->run *= 2;
    u->runs = (u->band_rows * c->code[1] + u->run - 1) / u->run;
    u->positions = c->code[0] * c->code[1];
}

/* Where the taps of a patch lie in a strip. */
static void place_taps(pudle_unroll *u)
{
    const pudle_conv *c = &u->conv;
    const conv_shape *g = &u->shape;
    int64_t *offset = u->offset.at, *row = u->row_place.at;
    for (int64_t i = 0; i < g->rows; i++) {
        row[i] = i / c->kernel[0] * u->plane + i % c->kernel[0] * c->data[1];
        for (int64_t x = 0; x < g->across; x++)
            offset[i * g->across + x] = row[i] + x;
    }
    u->shape.row = row;
}

/* The order of `rows` code rows; room for six more, which are the first position and whose result nobody reads. */
static pudle_status number(pudle_unroll *u, conv_order *o, int64_t rows)
{
    const pudle_conv *c = &u->conv;
    const int64_t cols = c->code[1], across = u->pairs.used ? cols / 2 : 0, down = u->pairs.used ? rows / 2 : 0;
    pudle_status s = parts_want(&u->memory, &o->positions, rows * cols + 6, sizeof(int64_t));
    if (!s)
        s = parts_want(&u->memory, &o->places, rows * cols, sizeof(int64_t));
    if (s)
        return s;
    int64_t *position = o->positions.at, *place = o->places.at, q = 0;
    o->position = position;
    o->place = place;
    o->blocks = down * across;
    for (int64_t b = 0; b < o->blocks; b++)
        for (int64_t i = 0; i < 4; i++)
            place[q++] = (b / across * 2 + i / 2) * cols + b % across * 2 + i % 2;
    for (int64_t at = 0; at < rows * cols; at++)
        if (at / cols >= 2 * down || at % cols >= 2 * across)
            place[q++] = at;
    for (q = 0; q < rows * cols; q++)
        position[q] = place[q] / cols * c->stride[0] * c->data[1] + place[q] % cols * c->stride[1];
    return PUDLE_OK;
}

static pudle_status places(pudle_unroll *u)
{
    const pudle_conv *c = &u->conv;
    pudle_status s = number(u, &u->order[0], u->band_rows);
    if (!s)
        s = number(u, &u->order[1], rows_in(u, u->bands - 1));
    if (!s)
        s = parts_want(&u->memory, &u->offset, up_to(u->shape.taps, 6), sizeof(int64_t)); /* six are taken at a time */
    if (!s)
        s = parts_want(&u->memory, &u->none, (u->band_rows * c->code[1] + 1) * u->words, sizeof(int64_t));
    if (!s)
        s = parts_want(&u->memory, &u->each, c->atoms, sizeof(int64_t));
    if (!s)
        s = parts_want(&u->memory, &u->row_place, u->shape.rows, sizeof(int64_t));
    if (s)
        return s;
    int64_t *each = u->each.at;
    for (int64_t k = 0; k < c->atoms; k++)
        each[k] = k;
    place_taps(u);
    return s;
}

static pudle_status conv_create(pudle_exec *exec, const pudle_unroll_spec *spec, pudle_unroll **out)
{
    bool along = false;
    for (int i = 0; i < spec->levels; i++)
        along = along || spec->theta[i].shape[1] > 1;
    if (spec->conv->channels * spec->conv->kernel[0] * spec->conv->kernel[1] < CONV_TAPS || !parts_sparse_prox(spec) ||
        spec->conv->atoms > INT32_MAX / 64 || !host_identity_hessian(exec, &spec->inner, spec->dtype))
        return PUDLE_ERR_UNSUPPORTED;
    void *memory = NULL;
    pudle_status s = host_alloc(exec, sizeof(pudle_unroll), &memory);
    if (s)
        return s;
    pudle_unroll *u = memory;
    const pudle_prox_ops *ops = spec->prox.desc->ops;
    *u = (pudle_unroll){ .memory = { exec, sizeof *u }, .spec = *spec, .conv = *spec->conv, .dead_along = along,
                        .keeps_input = (ops->vjp_needs & PUDLE_VJP_INPUT) != 0 };
    u->spec.conv = &u->conv;
    cut_up(u);
    s = conv_pairs_make(&u->memory, &u->pairs, &u->conv, u->strip_rows, CONV_VECTOR, (int64_t)width_of(u), u->ld);
    if (!s)
        s = places(u);
    if (!s)
        s = parts_want(&u->memory, &u->rows, u->conv.atoms * u->shape.ld, width_of(u));
    if (!s)
        s = parts_want(&u->memory, &u->blocks, u->ld * u->shape.taps, width_of(u));
    if (!s && u->pairs.used)
        s = parts_want(&u->memory, &u->paired, u->ld * u->pairs.products, width_of(u));
    if (!s)
        s = parts_want(&u->memory, &u->dead, spec->layers * (along ? u->ld : 1), width_of(u));
    if (!s)
        s = parts_want(&u->memory, &u->work_list, exec->threads + 1, sizeof *u->work);
#ifdef CONV_COMPACT
    if (!s)
        s = compact_table(&u->memory, &u->compact);
#endif
    if (s) {
        conv_destroy(u);
        return s;
    }
    u->work = u->work_list.at;
    *out = u;
    return PUDLE_OK;
}

static pudle_status conv_refresh(pudle_unroll *u, int64_t samples)
{
    (void)samples;
    if (u->spec.dtype == PUDLE_F64)
        refresh_f64(u);
    else
        refresh_f32(u);
    return PUDLE_OK;
}
