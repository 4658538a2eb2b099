/* Layers of filters by kernels of this backend (unroll.c): two launches a layer, forwards and back,
 *   e <- x - D z,  then  v <- z + step D'e,  z <- prox(v);      h <- -D us,  then  g <- u + D'h,  u <- J'g,  us <- step u,
 * and for the layers of a chunk the gradient of the filters, the sum of us e' + zs h'. Each is a product of matrices with a gathered factor (tiles.h):
 *   D'e: a row for each position, a column for each filter, terms the pixels under a position.
 *   D z: a row for each cell of pixels, a column for each of its pixels, terms the codes that reach it. A cell is as large as the stride, or a few strides where
 *        that is less than 16 pixels; so all cells see their codes at the same places, and D, in that order and with zeros, is a matrix.
 *   The gradient: a row for each filter, a column for each of its pixels, terms the positions; shared out over blocks, whose parts are then added in order.
 * How the work is cut is a matter of the shape alone, so sums repeat on every card. */

/* Most multiprocessors of a large card have one; and the blocks of a gradient. Not measured. */
enum { TILES_WANTED = 100, SPLIT_BLOCKS = 256, CELL_PIXELS = 16 };

/* Columns of a tile, as col_bits: what is computed in vain beside what is loaded for each column. */
static int columns_of(int64_t results)
{
    int best = 4;
    double least = INFINITY;
    for (int bits = 4; bits >= 0; bits--) {
        const int64_t wide = (int64_t)4 << bits;
        const double cost = (double)((results + wide - 1) / wide * wide) * (1 + 16.0 / (double)wide);
        if (cost < least)
            best = bits;
        least = cost < least ? cost : least;
    }
    return best;
}

/* With what a tile of it has beyond. */
static int64_t padded(int64_t results)
{
    const int64_t wide = (int64_t)4 << columns_of(results);
    return (results + wide - 1) / wide * wide;
}

static int64_t tiles_of(const cuda_tile *tile, int64_t count, int64_t results)
{
    const int64_t high = (int64_t)tile->each << tile->row_bits, wide = (int64_t)4 << tile->col_bits;
    return (count + high - 1) / high * ((results + wide - 1) / wide);
}

/* Sixteen numbers a thread where there are enough such tiles, for they load half as much for each; else small ones. */
cuda_tile cuda_tile_of(int64_t count, int64_t results)
{
    const cuda_tile large = { 4, 4, columns_of(results) }, small = { 1, 3, large.col_bits };
    return tiles_of(&large, count, results) >= TILES_WANTED ? large : small;
}

/* Of the gradient: filters by their pixels. */
static cuda_tile gradient_tile(const cuda_filters *f)
{
    return (cuda_tile){ 4, f->k > 16 ? 4 : 2, columns_of(f->terms) };
}

static int64_t most_splits(const cuda_filters *f)
{
    const cuda_tile tile = gradient_tile(f);
    const int64_t tiles = tiles_of(&tile, f->k, f->terms);
    return tiles < SPLIT_BLOCKS ? SPLIT_BLOCKS / tiles : 1;
}

static cuda_divisor divisor(int64_t d)
{
    return (cuda_divisor){ (int)d, d > 1 ? (unsigned)(4294967296 / d + 1) : 0 };
}

bool cuda_filters_of(const pudle_conv *c, cuda_filters *f)
{
    int jump[2] = { 1, 1 };
    int64_t taps = 1, slots = c->channels;
    for (bool more = true; more;) {
        const int64_t g[2] = { jump[0] * c->stride[0], jump[1] * c->stride[1] };
        const bool room[2] = { g[0] < c->kernel[0] && g[0] < c->data[0], g[1] < c->kernel[1] && g[1] < c->data[1] };
        more = c->channels * g[0] * g[1] < CELL_PIXELS && (room[0] || room[1]);
        if (more)
            jump[room[0] && (!room[1] || g[0] * c->kernel[1] <= g[1] * c->kernel[0]) ? 0 : 1] *= 2;
    }
    for (int d = 0; d < 2; d++) {
        taps *= jump[d] - 1 + (c->kernel[d] + c->stride[d] - 1) / c->stride[d];
        slots *= jump[d] * c->stride[d];
    }
    const int64_t terms = c->channels * c->kernel[0] * c->kernel[1], image = c->channels * c->data[0] * c->data[1], code = c->atoms * c->code[0] * c->code[1];
    const int64_t across = jump[1] - 1 + (c->kernel[1] + c->stride[1] - 1) / c->stride[1], whole = 4294967295;
    if (code > INT_MAX || image > INT_MAX || terms * padded(c->atoms) > INT_MAX || (double)taps * (double)c->atoms * (double)padded(slots) > 67108864 ||
        taps > whole / across || taps * c->atoms > whole / c->atoms || terms > whole / (c->kernel[0] * c->kernel[1]))
        return false;
    *f = (cuda_filters){ .filters = (int)padded(c->atoms), .pixels = (int)padded(slots), .k = (int)c->atoms, .c = (int)c->channels, .h = (int)c->data[0], .w = (int)c->data[1], .r = (int)c->kernel[0], .s = (int)c->kernel[1],
                         .p = (int)c->code[0], .q = (int)c->code[1], .terms = (int)terms, .taps = (int)taps, .slots = (int)slots, .of_k = divisor(c->atoms),
                         .of_across = divisor(across), .of_s = divisor(c->kernel[1]), .of_rs = divisor(c->kernel[0] * c->kernel[1]) };
    for (int d = 0; d < 2; d++) {
        f->stride[d] = (int)c->stride[d];
        f->jump[d] = jump[d];
        f->group[d] = jump[d] * f->stride[d];
        f->cells[d] = (int)((c->data[d] + f->group[d] - 1) / f->group[d]);
    }
    return true;
}

void cuda_filters_arrange(const cuda_filters *f, int *analysis, int *synthesis)
{
    const int group = f->group[0] * f->group[1], across = f->of_across.d;
    for (int e = 0; e < f->terms; e++)
        for (int k = 0; k < f->filters; k++)
            analysis[(int64_t)e * f->filters + k] = k < f->k ? k * f->terms + e : -1;
    for (int a = 0; a < f->taps; a++) {
        const int row = f->jump[0] - 1 - a / across, col = f->jump[1] - 1 - a % across;
        for (int64_t e = 0; e < (int64_t)f->k * f->pixels; e++) {
            const int k = (int)(e / f->pixels), n = (int)(e % f->pixels), y = n % group / f->group[1] - row * f->stride[0], x = n % f->group[1] - col * f->stride[1];
            const bool under = n < f->slots && y >= 0 && y < f->r && x >= 0 && x < f->s;
            synthesis[(int64_t)a * f->k * f->pixels + e] = under ? ((k * f->c + n / group) * f->r + y) * f->s + x : -1;
        }
    }
}

static int64_t analysis_entries(const cuda_filters *f)
{
    return (int64_t)f->terms * f->filters;
}

static int64_t synthesis_entries(const cuda_filters *f)
{
    return (int64_t)f->taps * f->k * f->pixels;
}

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
    const size_t analysis = (size_t)analysis_entries(f), synthesis = (size_t)synthesis_entries(f);
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

static cuda_kernel *own_kernel(const pudle_unroll *u, int which)
{
    return u->e->kernel[u->spec.dtype == PUDLE_F64][which];
}

/* D in the order of both products, as it is now. */
static pudle_status arrange(pudle_unroll *u)
{
    const void *d = u->spec.dictionary.data;
    long long analysis = analysis_entries(&u->filters), synthesis = synthesis_entries(&u->filters);
    const pudle_status s = start(u, own_kernel(u, CUDA_ARRANGE), cuda_blocks(analysis), (void *[]){ &d, &u->place[0], &u->arranged[0], &analysis });
    return s ? s : start(u, own_kernel(u, CUDA_ARRANGE), cuda_blocks(synthesis), (void *[]){ &d, &u->place[1], &u->arranged[1], &synthesis });
}

/* image <- sign D z, and x where it is not NULL */
static pudle_status image_of(pudle_unroll *u, int64_t rows, const void *z, const void *x, int sign, void *image)
{
    int count = (int)rows * u->filters.cells[0] * u->filters.cells[1];
    cuda_tile tile = cuda_tile_of(count, u->filters.slots);
    return start(u, own_kernel(u, CUDA_IMAGE), tiles_of(&tile, count, u->filters.slots), (void *[]){ &u->filters, &tile, &count, &z, &x, &sign, &image });
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
            s = start(u, u->filter_layer, tiles_of(&tile, count, u->filters.k), arguments);
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
    const pudle_status s = h ? start(u, u->filter_back, tiles_of(&tile, count, u->filters.k), others) : start(u, u->back, cuda_blocks(code.count), last);
    return s || !sums ? s : level_layer(u, t, rows, &levels, set);
}

/* outer += the sum over pairs. */
static pudle_status add_pairs(pudle_unroll *u, cuda_pairs pairs)
{
    const cuda_filters *f = &u->filters;
    cuda_tile tile = gradient_tile(f);
    const int64_t all = (int64_t)(pairs.samples[0] + pairs.samples[1] + pairs.samples[2]) * f->p * f->q, steps = (all + CUDA_DEPTH - 1) / CUDA_DEPTH;
    int splits = (int)(most_splits(f) < steps ? most_splits(f) : steps); /* more would have nothing to add */
    long long n = (long long)f->k * f->terms;
    const pudle_status s = start(u, own_kernel(u, CUDA_FILTERS), splits * tiles_of(&tile, f->k, f->terms), (void *[]){ &u->filters, &tile, &pairs, &splits, &u->parts });
    return s ? s : start(u, own_kernel(u, CUDA_PARTS), cuda_blocks(n), (void *[]){ &u->parts, &splits, &u->outer, &n });
}

/* Decoder and layers: u has what is given for the codes, residual what is for the image. */
static pudle_status adjoint_by_filters(pudle_unroll *u, int64_t rows, bool sums)
{
    const int64_t T = u->spec.layers, first = T - u->spec.depth + 1;
    int count = positions_of(u, rows);
    cuda_tile tile = cuda_tile_of(count, u->filters.k);
    const void *h = NULL;
    pudle_status s = start(u, own_kernel(u, CUDA_CODES), tiles_of(&tile, count, u->filters.k), (void *[]){ &u->filters, &tile, &count, &u->residual, &u->u });
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
