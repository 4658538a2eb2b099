/* What an encoder on the device holds (unroll.c), from its making to its end: which way its layers go, the tape, stacks of outer products, levels, kernels. */

/* Reserved memory is not counted among what is held, but for what of it is used. */
static pudle_status reserve_tape(pudle_unroll *u)
{
    cuda_exec *e = u->e;
    const size_t bytes = (size_t)(u->slots * u->spec.rows * u->spec.atoms) * width_of(u);
    const uint32_t none[2] = { 0, 0 };
    bool whole = !e->set.managed;
    cuda_fault why;
    if (whole ? !cuda.alloc(e->gpu, bytes, &u->kept.kept, &why) : !cuda.reserve(e->gpu, bytes, &u->kept.kept, &whole, &why))
        return cuda_failed(e, "unroll", &why);
    if (whole && e->set.managed && !e->told_managed)
        e->base.host->log(e->base.host->ctx, PUDLE_LOG_INFO, "managed memory cannot be had here: the inputs of layers take %.1f MiB of the device's",
                          (double)bytes / 1048576);
    e->told_managed = e->told_managed || whole;
    const pudle_status s = cuda_send(e, "unroll", u->kept.used, none, sizeof none);
    u->held += whole ? bytes : 0;
    if (s || whole)
        return s;
    u->reserved = (cuda_reserved){ e->reserved, u->kept.used, width_of(u) };
    e->reserved = &u->reserved;
    return PUDLE_OK;
}

/* As if it had never been there, but for what it used. */
static void forget_tape(pudle_unroll *u)
{
    cuda_exec *e = u->e;
    cuda_reserved **link = &e->reserved;
    while (*link && *link != &u->reserved)
        link = &(*link)->next;
    if (!*link)
        return;
    const size_t used = cuda_reserved_use(e, *link);
    e->reserved_peak = used > e->reserved_peak ? used : e->reserved_peak;
    *link = u->reserved.next;
}

static void unroll_destroy(pudle_unroll *u)
{
    if (!u)
        return;
    void *const all[] = { u->gram, u->x, u->c, u->q, u->z, u->tape, u->u, u->up, u->stacks, u->outer, u->step, u->partial,
                          u->image, u->images, u->hs, u->list[0].index, u->list[0].value, u->list[0].count, u->list[1].index,
                          u->list[1].value, u->list[1].count, u->u_bits, u->z_bits, u->place[0], u->place[1], u->arranged[0], u->arranged[1],
                          u->residual, u->parts, u->kept.kept, u->kept.used, u->kept.bits, u->kept.start, u->kept_v };
    const pudle_host *host = u->e->base.host;
    cuda_fault why;
    (void)cuda.bind(u->e->gpu, &why);
    forget_tape(u);
    for (int i = 0; i < u->recordings; i++)
        cuda.forget(u->e->gpu, u->recording[i].graph);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i])
            cuda.free(u->e->gpu, all[i]);
    for (int k = 0; k < CUDA_LEVELS; k++)
        if (u->level_sum[k])
            cuda.free(u->e->gpu, u->level_sum[k]);
    if (u->host_step)
        host->free(host->ctx, u->host_step);
    host->free(host->ctx, u);
}

static pudle_status take(pudle_unroll *u, void *to, int64_t count, size_t width)
{
    cuda_fault why;
    void *at = NULL;
    const size_t bytes = (size_t)(count > 0 ? count : 1) * width;
    if (!cuda.alloc(u->e->gpu, bytes, &at, &why))
        return cuda_failed(u->e, "unroll", &why);
    memcpy(to, &at, sizeof at);
    u->held += bytes;
    return PUDLE_OK;
}

static void place_stacks(pudle_unroll *u, void *at)
{
    u->us = at;
    u->zs = (char *)at + (size_t)(u->chunk * u->spec.rows * u->spec.atoms) * width_of(u);
}

/* How many layers are a chunk. Where no product comes between them the stacks lie in the workspace of products, as high as it is: of as many layers as are
 * summed together anyway, or several times as many. */
static pudle_status plan_stacks(pudle_unroll *u)
{
    const pudle_unroll_spec *n = &u->spec;
    const size_t layer = (size_t)(n->rows * n->atoms) * width_of(u);
    const double most = chunk_bytes / (double)layer, depth = (double)n->depth;
    void *at = NULL;
    size_t bytes = 0;
    cuda_fault why;
    u->chunk = u->lists ? layers_at_a_time(n->rows) : !n->conv ? (CHUNK_ROWS + n->rows - 1) / n->rows : most < 1 ? 1 : most > depth ? n->depth : (int64_t)most;
    if (u->chunk > n->depth)
        u->chunk = n->depth;
    if (!u->chunk || !gathers_by_lists(u))
        return PUDLE_OK;
    if (!cuda.workspace(u->e->gpu, &at, &bytes, &why))
        return cuda_failed(u->e, "unroll", &why);
    const int64_t times = (int64_t)(bytes / (2 * layer)) / u->chunk, all = n->rows > CUDA_BLOCK ? 1 : n->depth;
    if (!times)
        return PUDLE_OK;
    u->chunk = times * u->chunk < all ? times * u->chunk : all;
    place_stacks(u, at);
    return PUDLE_OK;
}

static pudle_status take_all(pudle_unroll *u)
{
    const pudle_unroll_spec *n = &u->spec;
    const size_t w = width_of(u), back = n->depth ? w : 0, filters = dense(u) ? 0 : w, own = u->own ? w : 0, others = w - own;
    const int64_t code = n->rows * n->atoms, image = n->rows * n->features, square = n->atoms * n->atoms;
    const int64_t blocks = n->rows * segments_of(u);
    const size_t lists = u->lists;
    const int64_t under = cuda_analysis_entries(&u->filters), reach = cuda_synthesis_entries(&u->filters);
    const struct { void *to; int64_t count; size_t width; } wanted[] = { /* width 0: not wanted */
        { &u->gram, square, w - filters },
        { &u->x, image, w },
        { &u->c, code, others },
        { &u->q, code, u->lists ? 0 : others },
        { &u->z, code, w },
        { &u->step, n->layers, sizeof(double) },
        { &u->image, image, filters },
        { &u->tape, u->slots * code, u->lists ? 0 : back },
        { &u->u, code, back },
        { &u->stacks, 2 * u->chunk * code, u->us ? 0 : back },
        { &u->outer, dense(u) ? outer_entries(u) : u->weights, back },
        { &u->images, n->depth * image, back && filters ? w : 0 },
        { &u->hs, u->chunk * image, back && filters ? w : 0 },
        { &u->list[0].index, code, lists * sizeof(uint16_t) },
        { &u->list[1].index, code, lists * sizeof(uint16_t) },
        { &u->list[0].value, code, lists * w },
        { &u->list[1].value, code, lists * w },
        { &u->list[0].count, blocks, lists * sizeof(int32_t) },
        { &u->list[1].count, blocks, lists * sizeof(int32_t) },
        { &u->u_bits, u->chunk * n->rows * words_of(u), back ? lists * sizeof(uint32_t) : 0 },
        { &u->z_bits, u->chunk * n->rows * words_of(u), back ? lists * sizeof(uint32_t) : 0 },
        { &u->kept.used, 2, back ? lists * sizeof(uint32_t) : 0 },
        { &u->kept.bits, u->slots * blocks * (CUDA_BLOCK / 32), back ? lists * sizeof(uint32_t) : 0 },
        { &u->kept.start, u->slots * blocks, back ? lists * sizeof(uint32_t) : 0 },
        { &u->place[0], under, u->own ? sizeof(int) : 0 },
        { &u->place[1], reach, u->own ? sizeof(int) : 0 },
        { &u->arranged[0], under, own },
        { &u->arranged[1], reach, own },
        { &u->residual, image, back && u->own ? w : 0 },
        { &u->parts, u->own ? cuda_gradient_splits(&u->filters) * u->weights : 0, back && u->own ? w : 0 },
    };
    pudle_status s = PUDLE_OK;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted && !s; i++)
        if (wanted[i].width)
            s = take(u, wanted[i].to, wanted[i].count, wanted[i].width);
    if (!s && u->stacks)
        place_stacks(u, u->stacks);
    if (!s && back && u->lists)
        s = reserve_tape(u);
    u->w = u->c; /* which the way back has no use for */
    u->filters.analysis = u->arranged[0];
    u->filters.synthesis = u->arranged[1];
    return s || !u->own ? s : send_places(u);
}

/* What sums for the levels take, once they are asked for: mostly levels are not learned. */
static pudle_status take_levels(pudle_unroll *u)
{
    const pudle_unroll_spec *n = &u->spec;
    const int64_t code = n->rows * n->atoms;
    const cuda_code shape = code_of(u, n->rows);
    pudle_status s = u->up ? PUDLE_OK : take(u, &u->up, code, width_of(u));
    if (!s && u->lists && !u->kept_v)
        s = take(u, &u->kept_v, code, width_of(u));
    if (!s && !u->partial)
        s = take(u, &u->partial, n->levels * u->atoms * cuda_chunks(&shape), sizeof(double));
    for (int k = 0; k < n->levels && !s; k++)
        if (!u->level_sum[k])
            s = take(u, &u->level_sum[k], n->layers * u->level_cols[k], sizeof(double));
    return s;
}

/* A product with G costs p^2, two with D cost 2 m p; but up to a few thousand atoms launches cost more than either. */
static bool pays(const pudle_unroll_spec *spec)
{
    return spec->conv || spec->atoms <= 2 * spec->features || spec->atoms <= 2048;
}

static pudle_status unroll_create(pudle_exec *exec, const pudle_unroll_spec *spec, pudle_unroll **out)
{
    cuda_exec *e = cuda_of(exec);
    cuda_plugin *prox = NULL;
    const int32_t needs = ((const pudle_prox_ops *)spec->prox.desc->ops)->vjp_needs;
    if (spec->momentum || !(spec->prox.desc->caps & PUDLE_PROX_SEPARABLE) || !cuda_source_of(spec->prox.desc) || spec->levels > CUDA_LEVELS || !pays(spec) ||
        (needs != PUDLE_VJP_INPUT && needs != PUDLE_VJP_BOTH) || !host_identity_hessian(exec, &spec->inner, spec->dtype))
        return PUDLE_ERR_UNSUPPORTED;
    pudle_status s = cuda_begin(e, "unroll");
    if (!s)
        s = cuda_plugin_of(e, "unroll", spec->prox.desc, &prox);
    if (s || !prox->module || cuda_source_of(spec->prox.desc)->levels != spec->levels)
        return s ? s : PUDLE_ERR_UNSUPPORTED;
    pudle_unroll *u = e->base.host->alloc(e->base.host->ctx, sizeof *u);
    if (!u)
        return FAIL(exec, PUDLE_ERR_NOMEM, "unroll: out of memory");
    memset(u, 0, sizeof *u);
    u->e = e;
    u->spec = *spec;
    u->prox = prox;
    u->held = sizeof *u;
    u->slots = spec->depth < spec->layers ? spec->depth + 1 : spec->depth; /* z_{T-K} is wanted as well, unless it is 0 */
    u->atoms = spec->conv ? spec->conv->atoms : spec->atoms;
    u->inner = spec->atoms / u->atoms;
    u->weights = pudle_count(&spec->dictionary);
    if (spec->conv)
        u->conv = *spec->conv;
    u->lists = by_lists(u);
    for (int k = 0; k < spec->levels; k++)
        u->level_cols[k] = spec->theta[k].shape[1];
    u->own = by_filters(u);
    s = plan_stacks(u);
    if (!s)
        s = take_all(u);
    if (!s)
        s = cuda_plugin_kernel(e, "unroll", prox, "prox_layer", CUDA_LAYER, spec->dtype, &u->layer);
    if (!s)
        s = cuda_plugin_kernel(e, "unroll", prox, "prox_back", CUDA_BACK, spec->dtype, &u->back);
    if (!s)
        s = cuda_plugin_kernel(e, "unroll", prox, "prox_levels", CUDA_LEVEL_SUMS, spec->dtype, &u->level_sums);
    if (!s && u->lists)
        s = cuda_plugin_kernel(e, "unroll", prox, "prox_list_layer", CUDA_LIST_LAYER, spec->dtype, &u->list_layer);
    if (!s && u->lists)
        s = cuda_plugin_kernel(e, "unroll", prox, "prox_list_back", CUDA_LIST_BACK, spec->dtype, &u->list_back);
    if (!s && u->own)
        s = cuda_plugin_kernel(e, "unroll", prox, "prox_filter_layer", CUDA_FILTER_LAYER, spec->dtype, &u->filter_layer);
    if (!s && u->own)
        s = cuda_plugin_kernel(e, "unroll", prox, "prox_filter_back", CUDA_FILTER_BACK, spec->dtype, &u->filter_back);
    if (s)
        unroll_destroy(u);
    else
        *out = u;
    return s;
}
