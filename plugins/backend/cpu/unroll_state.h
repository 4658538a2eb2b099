/* What unroll.c knows of a block's rows on their way, forwards and back, the sizes that its work is cut by, and the memory for all of it. Part of
 * unroll.c, and with it made once for each width of vectors. */

enum {
    UNROLL_PAD = 16,      /* entries that rows are padded to: whole vectors in f32 and f64 */
    UNROLL_FAR = 6,       /* how far ahead a stretch may go along the line, in units of r_b - r_a, and is looked at first where these are a */
    UNROLL_ON = 2,        /* layer or two apart; and where they are several */
    EVALUATE_COLUMNS = 192, /* atoms whose correlations are one part of the work */
    RESIDUAL_ROWS = 16,   /* samples whose residuals' entries for some features are one part of the work */
    SHARE_ATOMS = 256,    /* columns of the gradient that are one part of the work, for some features */
    SHARE_LOST = 64,      /* an entry is lost that is less than this part of the rounding of the sum that it belongs to */
    SHARE_GROUPS = 8,     /* of rows whose shares are sorted by atoms side by side */
    MANY_BANDS = 4,       /* of features, from which on these are enough parts; with fewer, they are an eighth as large */
    COARSE = 8,           /* an evaluation is coarse where codes have less than this part of all atoms, */
    COARSE_LEAST = 8,     /* and a batch has so many samples, and the encoder layers */
    FEW = 8,              /* a layer goes by the correlations of few atoms: less than this part of all, */
    FEW_SPENT = 6,        /* and than this part in all layers since the last evaluation, which costs about as much; */
    FEW_AHEAD = 5,        /* how much of the last layer's way, beside the line and along it, is expected to follow: a guess at a stretch's atoms */
    STRETCH_EXPECTED = 16, /* layers that a stretch is expected to last at least, where so many are left */
    STRETCH_ARRAYS = 7,   /* of a stretch's atoms */
    TURN_ATOMS = 32,      /* atoms that are copied to rows */
    DENSE_ROWS = 8,       /* rows from which on a product is worth its name */
    KEEP_BYTES = 64 << 20 /* what dense rows of a block may take on the tape and on the way back */
};
#define COARSE_MARGIN 0.5 /* of the dead zone: what a coarse evaluation may be off */
#define DENSE 0.2      /* density of codes from which on a matrix product beats sums of rows, forwards */
#define DENSE_BACK 0.3 /* and back */
#define DENSE_ALONE 0.4 /* from which on no row goes on alone */

typedef parts_buffer buffer;

/* Layers of one row: one that all atoms took part in, with the entries outside the dead zone; or a stretch of several, with all
 * entries of a few atoms. The numbers are places in the row's arenas; -1: none. */
typedef struct piece {
    bool local, kept;      /* a stretch; and its layers are on the tape, not only the last */
    int32_t first, last;   /* layers */
    int32_t count, width;  /* entries of a layer; padded, of a stretch */
    int64_t index, z, v;   /* a stretch: z of the code before it, then z (and v beside it, where it is kept) of each layer */
    int64_t y;             /* where the layer behind each code begins: z itself unless there is momentum */
    int64_t gram, work;    /* a stretch: (actives, width) of G */
    int64_t active, rank;  /* a stretch: the atoms that have been other than 0, and each atom's place among them */
    int32_t actives;
    int64_t residual;      /* D y - x where the layer begins; -1: it is not kept */
    double extent;         /* its largest entry; infinite or no number where one of them is */
    int64_t slots;         /* a stretch: codes it has room for */
} piece;

/* Part of the gradient: a dense row times a sparse one. */
enum { FROM_ARENA, FROM_ATOMS, FROM_TARGET, FROM_RESIDUAL };
typedef struct share {
    int source;
    int64_t offset, count, index, coef;
    double size; /* the largest entry of the dense row */
} share;

/* An evaluation: the code, or with momentum the point, and all correlations with its residual. */
typedef struct reference {
    int64_t count;
    int32_t *index;
    void *z, *corr, *residual; /* the last without a Gram matrix only */
    double margin;             /* no correlation is further off; 0: they are exact */
} reference;

/* What a row hands in for a coarse evaluation, beside the bytes: their worth and sum, the place on the line that they are counted from, and the
 * margins that follow. */
typedef struct handed {
    double along, unit, margin, change;
    int32_t sum;
} handed;

/* A place in the data's space: at a distance from the line through the residuals r_a and r_b of the two last evaluations (times the longest
 * atom), beside r_b + along (r_b - r_a). */
typedef struct spot {
    double off, along;
} spot;

/* A sample on its way. */
typedef struct sample {
    int64_t number, t, now;      /* in the block; layers done; entries of the present code */
    int32_t *index;              /* (ld) the present code; with momentum, the entries of the code before it as well */
    void *z, *y, *value;         /* y: where the next layer begins, which is z itself unless there is momentum */
    void *before;                /* (ld) with momentum: the code before, on the same list */
    reference ref[2];            /* the last evaluation, and the one before */
    void *residual;              /* (ldm): D y - x where the next layer begins, if it is at hand */
    bool at_hand;                /* it is */
    bool coarse;                 /* the evaluation that the row waits for, or has just had, is a coarse one: of */
    handed hand;                 /* these, */
    int8_t *bytes;               /* (ldm) and of w in bytes; */
    void *rest;                  /* (ldm) w itself, while it becomes them */
    double change;               /* no difference of the last evaluation's correlations and those before is further off */
    int64_t spent;               /* correlations that layers of few atoms have had since the last evaluation */
    spot place, expect;          /* where the residual was before the last layer of few atoms, and where it may get to */
    int64_t refs, evaluated, between; /* how many; after which layer the last; layers between the two */
    double near, far, clear;     /* a stretch: between these places along the line, in units of r_b - r_a, the other atoms' correlations stay below `clear` */
    double caution;              /* grows when stretches end soon */
    int32_t *mark, *fresh;       /* (p) -1 between uses; (3 p) */
    int32_t *list;               /* (ld) */
    void *v, *u, *coef;          /* (ld) */
    void *w;                     /* (ld) with momentum: d loss / d y_t, and u is that of z_t but for its part in y_t */
    const void *target;
    buffer ints, reals, pieces, shares, trail, atoms, active, four, levels[PARTS_LEVELS], level_sum[PARTS_LEVELS];
    int64_t nints, nreals, npieces, nshares;
    int64_t tape_ints, tape_reals; /* where the tape ends in the arenas */
    int64_t cursor;              /* on the way back: the piece it is at, -1: done */
    bool failed;                 /* the last time */
    bool open;                   /* the last piece is a stretch that may go on */
    int64_t ints_before, reals_before; /* of it */
    void *memory;                /* what the fixed arrays lie in */
    pudle_status status;
} sample;

#define INTS(r) ((int32_t *)(r)->ints.at)
#define REALS(r) ((REAL *)(r)->reals.at)

/* A thread's workspace: the rows of the block it is at. */
typedef struct lane {
    bool ready;
    sample *row, **pending;
    void *base, *corr;        /* (rows, ld): c; correlations of pending rows */
    void *target, *residual;  /* (rows, ldm): the inner gradient at D z = 0, which is -x for least squares */
    buffer rows_in_bytes, products; /* of a coarse evaluation */
    buffer dense, full[4], sums, start, weights, dense_rows, coefs, is_dense, entries;
    int64_t rows;             /* of the block on the tape */
    int64_t exact, coarse;    /* rows whose correlations of all atoms were evaluated, since the beginning */
} lane;

struct pudle_unroll {
    pudle_exec *root;
    pudle_unroll_spec spec;
    const pudle_prox_kernel *kernel;
    int32_t needs;
    bool keeps_input, dead_along;
    int32_t arrays;   /* of a stretch's code: z, v where it is kept, y with momentum */
    int64_t ld, ldm;  /* p and m, padded */
    buffer gram_memory;
    void *gram;       /* (p, ld), the padding 0; NULL: this batch goes without */
    bool pairs;       /* the gradient is made of shares */
    bool keep;        /* residuals stay on the tape for them */
    void *atoms;      /* (p, ldm): D', the padding 0 */
    void *dead;       /* half-widths of the dead zone: (T), or (T, ld) if dead_along */
    double *quiet;    /* (T): the smallest of a layer, over its step */
    double *norms, longest; /* (p) of the atoms, and the largest */
    bool coarse;      /* evaluations may be coarse ones, with the atoms in bytes: panels of 16 by groups of 4 features */
    buffer bytes, unit; /* (ld, ldm); what a byte of an atom is worth */
    double *off, coarse_off; /* (p): ||what the bytes leave of an atom||, and the largest */
    lane *lane;          /* one a thread, and one for the root */
    gram_outer *gathered; /* one a lane */
    size_t held;      /* bytes */
};

/* How work on (features, n) numbers is cut: a part is a band of features by `each` of the n, `across` of which follow each other for
 * the same features. No sum is cut. */
typedef struct cut {
    int64_t bands, each, across;
} cut;

typedef struct round_work {
    pudle_unroll *u;
    pudle_exec *exec;
    lane *l;
    bool tape;
    sample **pending;
    int64_t count, exact; /* the first ones have exact evaluations; all, where there is a Gram matrix */
    cut cut; /* of the residuals */
} round_work;

typedef struct back_work {
    pudle_unroll *u;
    pudle_exec *exec;
    lane *l;
    gram_outer *g;
    const pudle_view *given, *gtheta;
    void *sums;
    sample **pending;
    int64_t count;
    bool begin;
} back_work;

typedef struct share_work {
    const pudle_unroll *u;
    lane *l;
    int64_t *start, *place; /* (p + 1): where an atom's entries begin; (SHARE_GROUPS, p): where the next one of a group of rows goes */
    double *weight; /* (SHARE_GROUPS, p): sums of how much the entries of an atom may add; then (p): up to which an entry is lost among the others */
    const pudle_view *gradient;
    cut cut;
} share_work;

static int64_t lesser(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t parts_of(int64_t n, int64_t each)
{
    return (n + each - 1) / each;
}

static cut cut_work(int64_t features, int64_t band, int64_t n, int64_t most)
{
    const int64_t bands = parts_of(features, band), each = bands < MANY_BANDS ? most / 8 : most;
    return (cut){ bands, each, parts_of(n, each) };
}

static int64_t padded(int64_t n)
{
    return (n + UNROLL_PAD - 1) / UNROLL_PAD * UNROLL_PAD;
}

/* Atoms of a stretch, at most, without a Gram matrix: products between them must cost less than an evaluation or two. */
static int64_t widest_alone(const pudle_unroll *u)
{
    return (int64_t)(4 * sqrt((double)u->spec.atoms));
}

static size_t width_of(const pudle_unroll *u)
{
    return pudle_dtype_size(u->spec.dtype);
}

/* ------------------------------------------------------------ memory */

/* At least `bytes`; what it held is lost. */
static pudle_status want(pudle_unroll *u, buffer *b, size_t bytes)
{
    if (b->at && bytes <= b->bytes)
        return PUDLE_OK;
    const size_t more = bytes + bytes / 2 + 64; /* never nothing */
    void *at = NULL;
    const pudle_status s = host_alloc(u->root, more, &at);
    if (s)
        return s;
    host_free(u->root, b->at);
    __atomic_fetch_add(&u->held, more - b->bytes, __ATOMIC_RELAXED);
    *b = (buffer){ at, more };
    return PUDLE_OK;
}

/* The same, and the first `used` bytes stay. */
static pudle_status extend(pudle_unroll *u, buffer *b, size_t used, size_t bytes)
{
    if (b->at && bytes <= b->bytes)
        return PUDLE_OK;
    buffer old = *b;
    *b = (buffer){ NULL, 0 };
    __atomic_fetch_sub(&u->held, old.bytes, __ATOMIC_RELAXED);
    const pudle_status s = want(u, b, bytes);
    if (s) {
        *b = old;
        __atomic_fetch_add(&u->held, old.bytes, __ATOMIC_RELAXED);
        return s;
    }
    if (used)
        memcpy(b->at, old.at, used);
    host_free(u->root, old.at);
    return PUDLE_OK;
}

/* Room in a row's arenas for this many entries more, each array padded. */
static pudle_status reserve(pudle_unroll *u, sample *r, int64_t ints, int64_t reals)
{
    const size_t w = width_of(u);
    const pudle_status s = extend(u, &r->ints, (size_t)r->nints * sizeof(int32_t), (size_t)(r->nints + ints + 4 * UNROLL_PAD) * sizeof(int32_t));
    return s ? s : extend(u, &r->reals, (size_t)r->nreals * w, (size_t)(r->nreals + reals + 8 * UNROLL_PAD) * w);
}

static pudle_status take_ints(pudle_unroll *u, sample *r, int64_t count, int64_t *at)
{
    const int64_t end = r->nints + padded(count);
    const pudle_status s = extend(u, &r->ints, (size_t)r->nints * sizeof(int32_t), (size_t)end * sizeof(int32_t));
    if (s)
        return s;
    *at = r->nints;
    r->nints = end;
    return PUDLE_OK;
}

static pudle_status take_reals(pudle_unroll *u, sample *r, int64_t count, int64_t *at)
{
    const int64_t end = r->nreals + padded(count);
    const pudle_status s = extend(u, &r->reals, (size_t)r->nreals * width_of(u), (size_t)end * width_of(u));
    if (s)
        return s;
    *at = r->nreals;
    r->nreals = end;
    return PUDLE_OK;
}

static pudle_status new_piece(pudle_unroll *u, sample *r, piece **out)
{
    const pudle_status s = extend(u, &r->pieces, (size_t)r->npieces * sizeof(piece), (size_t)(r->npieces + 1) * sizeof(piece));
    if (s)
        return s;
    *out = (piece *)r->pieces.at + r->npieces++;
    **out = (piece){ .residual = -1, .v = -1 };
    return PUDLE_OK;
}

static pudle_status new_share(pudle_unroll *u, sample *r, share **out)
{
    const pudle_status s = extend(u, &r->shares, (size_t)r->nshares * sizeof(share), (size_t)(r->nshares + 1) * sizeof(share));
    if (s)
        return s;
    *out = (share *)r->shares.at + r->nshares++;
    return PUDLE_OK;
}

static void reset_row(const pudle_unroll *u, sample *r)
{
    if (r->failed) /* its marks may have stayed */
        for (int64_t j = 0; j < u->ld; j++)
            r->mark[j] = -1;
    r->failed = false;
    r->t = r->now = r->refs = r->evaluated = r->between = r->nints = r->nreals = r->npieces = r->nshares = 0;
    r->caution = 1;
    r->open = r->at_hand = r->coarse = false;
    r->ref[0].margin = r->ref[1].margin = 0; /* and with them the difference's, at the first evaluation */
    r->status = PUDLE_OK;
}
