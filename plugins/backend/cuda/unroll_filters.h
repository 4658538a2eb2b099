/* Layers of filters by kernels of this backend (unroll.c): two launches a layer, forwards and back,
 *   e <- x - D z,  then  v <- z + step D'e,  z <- prox(v);      h <- -D us,  then  g <- u + D'h,  u <- J'g,  us <- step u,
 * and for the layers of a chunk the gradient of the filters, the sum of us e' + zs h'. Each is a product of matrices with a gathered factor (tiles.h):
 *   D'e: a row for each position, a column for each filter, terms the pixels under a position.
 *   D z: a row for each cell of pixels, a column for each of its pixels, terms the codes that reach it. A cell is as large as the stride, or a few strides where
 *        that is less than 16 pixels; so all cells see their codes at the same places, and D, in that order and with zeros, is a matrix.
 *   The gradient: a row for each filter, a column for each of its pixels, terms the positions; shared out over blocks, whose parts are then added in order.
 * filters.c says how the work is cut. */

/* By kernels of our own? Then u->filters has the shape. Not where cuDNN may use TF32, which is for those who want speed at that price, nor where places do not fit an int. */
static bool by_filters(pudle_unroll *u)
{
    const pudle_conv *c = u->spec.conv;
    if (!c || u->e->set.unroll == CUDA_PRODUCTS || u->e->set.tf32 || !cuda_filters_of(c, &u->filters))
        return false;
    const double samples = (double)((2 * u->chunk + 1) * u->spec.rows), positions = (double)(c->code[0] * c->code[1]);
    return samples * positions + 1024 < INT_MAX && (double)u->spec.rows * u->filters.cells[0] * u->filters.cells[1] + 1024 < INT_MAX;
}

/* Where the entries of D go: made here, and sent. */
static pudle_status send_places(pudle_unroll *u)
{
    const cuda_filters *f = &u->filters;
    const size_t analysis = (size_t)cuda_analysis_entries(f), synthesis = (size_t)cuda_synthesis_entries(f);
    const pudle_host *host = u->e->base.host;
    int *const places = host->alloc(host->ctx, (analysis + synthesis) * sizeof *places);
    if (!places)
        return FAIL(&u->e->base, PUDLE_ERR_NOMEM, "unroll: out of memory for the order of %d filters", f->k);
    cuda_filters_arrange(f, places, places + analysis);
    pudle_status s = cuda_send(u->e, "unroll", u->place[0], places, analysis * sizeof *places);
    if (!s)
        s = cuda_send(u->e, "unroll", u->place[1], places + analysis, synthesis * sizeof *places);
    host->free(host->ctx, places);
    return s;
}

/* D in the order of both products, as it is now. */
static pudle_status arrange(pudle_unroll *u)
{
    const void *d = u->spec.dictionary.data;
    long long analysis = cuda_analysis_entries(&u->filters), synthesis = cuda_synthesis_entries(&u->filters);
    const pudle_status s = start(u, own_kernel(u, CUDA_ARRANGE), cuda_blocks(analysis), (void *[]){ &d, &u->place[0], &u->arranged[0], &analysis });
    return s ? s : start(u, own_kernel(u, CUDA_ARRANGE), cuda_blocks(synthesis), (void *[]){ &d, &u->place[1], &u->arranged[1], &synthesis });
}

/* image <- sign D z, and x where it is not NULL */
static pudle_status image_of(pudle_unroll *u, int64_t rows, const void *z, const void *x, int sign, void *image)
{
    int count = (int)rows * u->filters.cells[0] * u->filters.cells[1];
    cuda_tile tile = cuda_tile_of(count, u->filters.slots);
    return start(u, own_kernel(u, CUDA_IMAGE), cuda_tiles_of(&tile, count, u->filters.slots), (void *[]){ &u->filters, &tile, &count, &z, &x, &sign, &image });
}

static int positions_of(const pudle_unroll *u, int64_t rows)
{
    return (int)rows * u->filters.p * u->filters.q;
}

static pudle_status forward_by_filters(pudle_unroll *u, int64_t rows, bool tape)
{
    const pudle_view x = pictures(u, u->x, rows);
    const pudle_cview cx = pudle_const(&x);
    int count = positions_of(u, rows);
    cuda_tile tile = cuda_tile_of(count, u->filters.k);
    double options[CUDA_OPTIONS_ROOM];
    pudle_status s = arrange(u);
    for (int64_t t = 1; t <= u->spec.layers && !s; t++) {
        const double *step = u->step + t - 1;
        cuda_levels levels = levels_at(u, t);
        void *keep = tape ? slot(u, t, rows) : NULL, *kept = tape ? image_slot(u, t, rows) : NULL, *e = kept ? kept : t > 1 ? u->image : u->x;
        const pudle_view own = pictures(u, e, rows);
        int first = t == 1;
        if (t > 1)
            s = image_of(u, rows, u->z, u->x, -1, e);
        else if (kept)
            s = cuda_copy(&u->e->base, &cx, &own);
        void *arguments[] = { cuda_options_of(&u->spec.prox, options), &step, &levels, &u->filters, &tile, &count, &e, &u->z, &keep, &first };
        if (!s)
            s = start(u, u->filter_layer, cuda_tiles_of(&tile, count, u->filters.k), arguments);
    }
    return s;
}

/* Layer t of the adjoint, to place `place` in the stacks of the chunk; `h`: -D us of the layer before it, NULL: there is none. */
static pudle_status filter_back(pudle_unroll *u, int64_t t, int64_t rows, int64_t place, const void *h, bool sums)
{
    const size_t at = (size_t)(place * rows * u->spec.atoms) * width_of(u);
    double options[CUDA_OPTIONS_ROOM];
    cuda_code code = code_of(u, rows);
    cuda_levels levels = levels_at(u, t), before = levels_at(u, t - 1);
    int count = positions_of(u, rows), scaled = 1;
    cuda_tile tile = cuda_tile_of(count, u->filters.k);
    const double *step = u->step + t - 1;
    void *v = slot(u, t, rows), *past = slot(u, t - 1, rows), *up = sums ? u->up : NULL, *us = (char *)u->us + at, *zs = (char *)u->zs + at, *none = NULL;
    void *set = cuda_options_of(&u->spec.prox, options);
    void *last[] = { set, &step, &levels, &before, &v, &past, &none, &scaled, &u->u, &up, &us, &zs, &none, &code };
    void *others[] = { set, &step, &levels, &before, &u->filters, &tile, &count, &h, &v, &past, &u->u, &up, &us, &zs };
    const pudle_status s = h ? start(u, u->filter_back, cuda_tiles_of(&tile, count, u->filters.k), others) : start(u, u->back, cuda_blocks(code.count), last);
    return s || !sums ? s : level_layer(u, t, rows, &levels, set);
}

/* outer += the sum over pairs. */
static pudle_status add_pairs(pudle_unroll *u, cuda_pairs pairs)
{
    const cuda_filters *f = &u->filters;
    cuda_tile tile = cuda_gradient_tile(f);
    const int64_t all = (int64_t)(pairs.samples[0] + pairs.samples[1] + pairs.samples[2]) * f->p * f->q, steps = (all + CUDA_DEPTH - 1) / CUDA_DEPTH;
    int splits = (int)(cuda_gradient_splits(f) < steps ? cuda_gradient_splits(f) : steps); /* more would have nothing to add */
    long long n = (long long)f->k * f->terms;
    const pudle_status s = start(u, own_kernel(u, CUDA_FILTERS), splits * cuda_tiles_of(&tile, f->k, f->terms), (void *[]){ &u->filters, &tile, &pairs, &splits, &u->parts });
    return s ? s : start(u, own_kernel(u, CUDA_PARTS), cuda_blocks(n), (void *[]){ &u->parts, &splits, &u->outer, &n });
}

/* Decoder and layers: u has what is given for the codes, residual what is for the image. */
static pudle_status adjoint_by_filters(pudle_unroll *u, int64_t rows, bool sums)
{
    const int64_t T = u->spec.layers, first = T - u->spec.depth + 1;
    int count = positions_of(u, rows);
    cuda_tile tile = cuda_tile_of(count, u->filters.k);
    const void *h = NULL;
    pudle_status s = start(u, own_kernel(u, CUDA_CODES), cuda_tiles_of(&tile, count, u->filters.k), (void *[]){ &u->filters, &tile, &count, &u->residual, &u->u });
    for (int64_t t = T; t >= first && !s;) {
        const int64_t last = t;
        int64_t n = 0;
        for (; n < u->chunk && t >= first && !s; n++, t--) {
            void *to = (char *)u->hs + (size_t)(n * rows * u->spec.features) * width_of(u);
            s = filter_back(u, t, rows, n, h, sums);
            if (!s && t > 1) /* that of the first layer is for z_0 = 0 */
                s = image_of(u, rows, (char *)u->us + (size_t)(n * rows * u->spec.atoms) * width_of(u), NULL, -1, to);
            h = to;
        }
        if (!s)
            s = add_pairs(u, (cuda_pairs){ .codes = { u->us, u->zs, u->z }, .images = { image_slot(u, last, rows), u->hs, u->residual },
                                           .samples = { (int)(n * rows), (int)((n - (t == 0)) * rows), last == T ? (int)rows : 0 } }); /* and the decoder's */
    }
    return s;
}
