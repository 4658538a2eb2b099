/* Layers by lists (unroll.c): for a dense dictionary and codes with few entries other than 0, a layer is one launch, a block for each row and
 * segment of CUDA_BLOCK atoms, which adds up the rows of G that the row's entries name (source.h). The list of a layer is made by the one before. */

enum { SEGMENTS_MOST = CUDA_BLOCK - 1, TRY_AGAIN = 64 };
/* What a layer costs, in bytes of G that are read: by a product so many, for a launch more and for filling the card, and so many a multiply-add; by lists what
 * it reads, and so many a block. From what makers of present cards say of their rates; not measured. */
static const double product_bytes = 32e6, multiply_bytes = 0.25, block_bytes = 6e3;

static int64_t segments_of(const pudle_unroll *u)
{
    return (u->spec.atoms + CUDA_BLOCK - 1) / CUDA_BLOCK;
}

static int64_t words_of(const pudle_unroll *u)
{
    return (u->spec.atoms + 31) / 32;
}

static bool may_list(const pudle_unroll *u)
{
    return dense(u) && u->e->set.unroll != CUDA_PRODUCTS && segments_of(u) <= SEGMENTS_MOST;
}

/* A new D comes: by what its predecessors' codes had, how do layers go? Where they go by products nothing is counted, and lists are tried now and then. */
static void choose_lists(pudle_unroll *u)
{
    const pudle_host *host = u->e->base.host;
    const double p = (double)u->spec.atoms, rows = (double)u->watched, entries = u->listed / (double)u->spec.layers;
    const double by_lists = entries * p * (double)width_of(u) + block_bytes * rows * (double)segments_of(u);
    const bool before = u->lists;
    if (!may_list(u) || u->e->set.unroll == CUDA_LISTS)
        u->lists = may_list(u);
    else if (!isnan(u->listed))
        u->lists = by_lists <= product_bytes + multiply_bytes * rows * p * p;
    else if (!u->lists)
        u->lists = u->tried-- <= 0;
    if (before && !u->lists)
        u->tried = TRY_AGAIN;
    if (before != u->lists)
        host->log(host->ctx, PUDLE_LOG_DEBUG, "unroll: layers go by %s from now on", u->lists ? "lists of the codes' entries" : "products with G");
    u->listed = NAN;
    u->watched = 0;
}

/* Ask, once for every D, how many entries the layers had; the answer comes with a sync that somebody wants anyway. */
static pudle_status watch_lists(pudle_unroll *u, int64_t rows)
{
    if (!u->lists || u->watched)
        return PUDLE_OK;
    u->watched = rows;
    return cuda_collect_later(u->e, "unroll", u->tally, rows * segments_of(u), &u->listed);
}

static pudle_status forward_by_lists(pudle_unroll *u, int64_t rows, bool tape)
{
    const pudle_view x = pictures(u, u->x, rows), c = codes(u, u->c, rows);
    const pudle_cview cx = pudle_const(&x);
    double options[CUDA_OPTIONS_ROOM];
    long long atoms = u->spec.atoms;
    pudle_status s = analysis(u, &cx, 0, &c);
    for (int64_t t = 1; t <= u->spec.layers && !s; t++) {
        const double *step = u->step + t - 1;
        cuda_levels levels = levels_at(u, t);
        cuda_list in = t > 1 ? u->list[t % 2] : (cuda_list){ NULL, NULL, NULL };
        void *keep = tape ? slot(u, t, rows) : NULL;
        void *arguments[] = { cuda_options_of(&u->spec.prox, options), &step, &levels, &u->gram, &u->c, &in, &u->list[(t + 1) % 2], &u->z, &keep,
                              &u->tally, &atoms };
        s = start(u, u->list_layer, rows * segments_of(u), arguments);
    }
    return s;
}

/* Layer t of the adjoint, to place `place` in the stacks of the chunk. */
static pudle_status list_back(pudle_unroll *u, int64_t t, int64_t rows, int64_t place, bool sums)
{
    const size_t at = (size_t)(place * rows * u->spec.atoms) * width_of(u);
    double options[CUDA_OPTIONS_ROOM];
    long long atoms = u->spec.atoms, column = place * rows, stride = u->chunk * rows;
    cuda_levels levels = levels_at(u, t), before = levels_at(u, t - 1);
    cuda_list in = t < u->spec.layers ? u->list[t % 2] : (cuda_list){ NULL, NULL, NULL };
    const double *step = u->step + t - 1;
    void *v = slot(u, t, rows), *past = slot(u, t - 1, rows), *up = sums ? u->up : NULL, *us = (char *)u->us + at, *zs = (char *)u->zs + at;
    void *set = cuda_options_of(&u->spec.prox, options);
    void *arguments[] = { set, &step, &levels, &before, &u->gram, &v, &past, &in, &u->list[(t + 1) % 2], &u->u, &up, &us, &zs, &u->w,
                          &u->u_bits, &u->z_bits, &column, &stride, &atoms };
    const pudle_status s = start(u, u->list_back, rows * segments_of(u), arguments);
    return s || !sums ? s : level_layer(u, t, rows, &levels, set);
}

/* The outer products of n layers. */
static pudle_status gather_listed(pudle_unroll *u, int64_t n, int64_t rows)
{
    long long all = n * rows, stride = u->chunk * rows, atoms = u->spec.atoms;
    void *arguments[] = { &u->zs, &u->us, &u->z_bits, &u->u_bits, &u->outer, &all, &stride, &atoms };
    return start(u, u->e->kernel[u->spec.dtype == PUDLE_F64][CUDA_OUTER], words_of(u) * words_of(u), arguments);
}
