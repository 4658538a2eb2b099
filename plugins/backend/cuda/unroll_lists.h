/* Layers by lists (unroll.c), for a dense dictionary: a layer is one launch, a block for each row and segment of CUDA_BLOCK atoms, which adds up the rows of G that
 * the row's entries name (source.h). The list of a layer is made by the one before. Whether lists are used follows from the shape alone, and within a layer whether
 * a row goes by its list from the codes alone: so results repeat, and are the same when a training is resumed. */

/* With fewer atoms a product costs little more than its launch; with more rows it fills the card. Not measured. */
enum { LISTS_FROM = 256, LISTS_ROWS = 512, SEGMENTS_MOST = CUDA_BLOCK - 1 };

static int64_t segments_of(const pudle_unroll *u)
{
    return (u->spec.atoms + CUDA_BLOCK - 1) / CUDA_BLOCK;
}

static int64_t words_of(const pudle_unroll *u)
{
    return (u->spec.atoms + 31) / 32;
}

static bool by_lists(const pudle_unroll *u)
{
    if (!dense(u) || segments_of(u) > SEGMENTS_MOST || u->e->set.unroll == CUDA_PRODUCTS ||
        (double)(u->slots + 1) * (double)u->spec.rows * (double)u->spec.atoms > UINT32_MAX) /* places on the tape, and of codes */
        return false;
    return u->e->set.unroll == CUDA_LISTS || (u->spec.atoms >= LISTS_FROM && u->spec.rows <= LISTS_ROWS);
}

/* Else by a product. */
static bool gathers_by_lists(const pudle_unroll *u)
{
    return u->lists && u->spec.atoms >= LISTS_FROM;
}

/* Entries of P, or of P + P' in tiles (outer of arrays_kernels.h). */
static int64_t outer_entries(const pudle_unroll *u)
{
    return gathers_by_lists(u) ? words_of(u) * (words_of(u) + 1) / 2 * 1024 : u->spec.atoms * u->spec.atoms;
}

/* Layers whose outer products are one sum: as many as a block of the kernel takes rows at a time. */
static int64_t layers_at_a_time(int64_t rows)
{
    return rows < CUDA_BLOCK ? CUDA_BLOCK / rows : 1;
}

/* What is kept of layer t; bits NULL: nothing. */
static cuda_tape tape_of(const pudle_unroll *u, int64_t t, int64_t rows)
{
    const int64_t kept = slot_of(u, t), cells = kept * rows * segments_of(u);
    if (kept < 0)
        return (cuda_tape){ NULL, NULL, NULL, NULL };
    return (cuda_tape){ u->kept.kept, u->kept.used, u->kept.bits + cells * (CUDA_BLOCK / 32), u->kept.start + cells };
}

static pudle_status forward_by_lists(pudle_unroll *u, int64_t rows, bool tape)
{
    const pudle_view x = pictures(u, u->x, rows), c = codes(u, u->c, rows);
    const pudle_cview cx = pudle_const(&x);
    double options[CUDA_OPTIONS_ROOM];
    int atoms = (int)u->spec.atoms;
    pudle_status s = analysis(u, &cx, 0, &c);
    if (!s && tape && u->spec.depth)
        s = start(u, u->e->tape_begin, 1, (void *[]){ &u->kept.used });
    for (int64_t t = 1; t <= u->spec.layers && !s; t++) {
        const double *step = u->step + t - 1;
        cuda_levels levels = levels_at(u, t);
        cuda_list in = t > 1 ? u->list[t % 2] : (cuda_list){ NULL, NULL, NULL };
        cuda_tape keep = tape_of(u, tape ? t : 0, rows);
        void *arguments[] = { cuda_options_of(&u->spec.prox, options), &step, &levels, &u->gram, &u->c, &in, &u->list[(t + 1) % 2], &u->z, &keep,
                              &atoms };
        s = start(u, u->list_layer, rows * segments_of(u), arguments);
    }
    return s;
}

/* Layer t of the adjoint, to place `place` in the stacks of the chunk. */
static pudle_status list_back(pudle_unroll *u, int64_t t, int64_t rows, int64_t place, bool sums)
{
    const size_t at = (size_t)(place * rows * u->spec.atoms) * width_of(u);
    double options[CUDA_OPTIONS_ROOM];
    int atoms = (int)u->spec.atoms;
    long long column = place * rows, stride = u->chunk * rows;
    cuda_levels levels = levels_at(u, t), before = levels_at(u, t - 1);
    cuda_list in = t < u->spec.layers ? u->list[t % 2] : (cuda_list){ NULL, NULL, NULL };
    const double *step = u->step + t - 1;
    cuda_tape tape = tape_of(u, t, rows), past = tape_of(u, t - 1, rows);
    void *up = sums ? u->up : NULL, *us = (char *)u->us + at, *zs = (char *)u->zs + at;
    void *set = cuda_options_of(&u->spec.prox, options);
    void *arguments[] = { set, &step, &levels, &before, &u->gram, &tape, &past, &u->kept_v, &in, &u->list[(t + 1) % 2], &u->u, &up, &us, &zs, &u->w,
                          &u->u_bits, &u->z_bits, &column, &stride, &atoms };
    const pudle_status s = start(u, u->list_back, rows * segments_of(u), arguments);
    return s || !sums ? s : level_layer(u, t, rows, &levels, set);
}

/* The outer products of n layers. What is added up together does not depend on how many they are. */
static pudle_status gather_listed(pudle_unroll *u, int64_t n, int64_t rows)
{
    const int64_t together = layers_at_a_time(u->spec.rows) * rows;
    int all = (int)(n * rows), some = (int)(together < CUDA_BLOCK ? together : CUDA_BLOCK), stride = (int)(u->chunk * rows), atoms = (int)u->spec.atoms;
    void *arguments[] = { &u->zs, &u->us, &u->z_bits, &u->u_bits, &u->outer, &all, &some, &stride, &atoms };
    return start(u, own_kernel(u, CUDA_OUTER), words_of(u) * words_of(u), arguments);
}
