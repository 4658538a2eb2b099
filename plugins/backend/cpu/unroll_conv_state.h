/* A convolutional encoder's layers (unroll_conv.c): the types, how positions and codes are numbered and where they lie, and what a way of going about it costs.
 * Included once for each width of vectors, CONV_VECTOR bytes. */

enum {
    BANDS = 12,          /* parts of a block where all threads work on it,... */
    BAND_ROWS = 4,       /* ... of so many code rows at least: neighbours read the same rows of the image */
    RUN_BYTES = 32768,   /* of inputs without a tape: more tiles use the filters, in both their orders, while these are in the first-level cache */
    CONV_PAD = 16,       /* entries behind a strip, a code and patches: whole vectors go over the end */
    CONV_REGISTERS = 12, /* vectors of a patch that are held at once */
    CONV_TAPS = 16,      /* in smaller filters a nonzero costs more than its part of a matrix product */
    CONV_TILE = 24,      /* positions that are in the first-level cache at once: a multiple of six and of four, and less than 32 */
    CONV_SPARE = 8       /* positions behind them that products of whole groups may write to */
};

/* An entry of a code is numbered by its atom and by its place in the tile of its band. */
#define ATOM(index) ((int64_t)((index) >> 5))
#define PLACE(index) ((index) & 31)

/* How many atoms `words` words mark: bit j of word i stands for atom 64 i + j. */
static inline int64_t set_size(const uint64_t *set, int64_t words)
{
    int64_t size = 0;
    for (int64_t i = 0; i < words; i++)
        size += __builtin_popcountll(set[i]);
    return size;
}

/* Loops of products and sums: fused multiply-add, where the processor has it. */
#if CONV_VECTOR == 32 && defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(PUDLE_ONE_PROCESSOR)
#define CONV_CLONES __attribute__((target_clones("fma", "default")))
#else
#define CONV_CLONES
#endif
/* A vector that serves several products, in a register: left to itself gcc reads it anew for each of them. */
#if CONV_VECTOR == 64 && defined(__GNUC__) && !defined(__clang__)
#define CONV_KEEP(v) __asm__("" : "+v"(v))
#else
#define CONV_KEEP(v) (void)(v)
#endif
#define CONV_PAIR_VECTORS (CONV_VECTOR / 32) /* of atoms: four points, three blocks and so many fill the registers */
#define CONV_INLINE static inline __attribute__((always_inline))

/* What the kernels know of a filter, and of the strip it meets. A patch is the filter's rows one after the other, each `across` entries; it is cut
 * out of the image, or added to it, a row at a time: in vectors of 32 bytes as far as they go, and what is left of a row by one more, or, where
 * that is a lane or two, entry by entry. */
typedef struct conv_shape {
    int64_t taps, padded, ld, piece;       /* padded: to whole vectors; ld: to pairs of them, from filter to filter; piece: vectors held at once */
    int64_t overlap;                       /* positions from one to the next in a row whose patches share no pixel */
    int64_t rows, across, full, rest;      /* rows of the filter; their taps: full vectors, and what is left */
    int64_t height, pitch, next[2];        /* rows of one channel; entries from row to row of a strip; pixels from position to position */
    bool singly;                           /* that entry by entry */
    const int64_t *row;                    /* (rows): where they lie, from a position on */
} conv_shape;

/* How the positions of a band are numbered: blocks of two by two first, in rows of blocks, then the others. */
typedef struct conv_order {
    parts_buffer positions, places;
    const int64_t *position; /* where a position's patch lies in the band's strip */
    const int64_t *place;    /* and where it is in the band's part of a code map */
    int64_t blocks;
} conv_order;

/* The code of one layer in a band of a sample: entries [start[q], start[q + 1]) belong to position q. */
typedef struct conv_codes {
    parts_buffer index, z, v;
    int64_t *start;
    uint64_t *set;            /* (positions, words): the atoms, as bits */
    int64_t room, input_room; /* entries of index and z; of v */
} conv_codes;

/* A thread's room for one band of one group of samples, and what it has summed there. */
typedef struct conv_part {
    parts_buffer tile, points, spread, there, patch, image, input, up, levels[PARTS_LEVELS], level_sum[PARTS_LEVELS];
    parts_buffer gradient, dense, dense_gradient, level_gradient[PARTS_LEVELS]; /* (atoms, padded); in blocks; (T, 1 or atoms) in f64 */
    int64_t input_room;
    bool pairs; /* correlations of the image that it works on are made by pairs */
} conv_part;

/* What belongs to an exec: the tape of the block it is at. A cell is one band of one sample. */
typedef struct conv_work {
    conv_codes *codes;       /* (slots, cells): z_{T-K} .. z_T, and two for the layers before, with momentum three */
    parts_buffer starts, sets, list, parts, target, strips[3], tape, masked_list; /* strips: of layers by turns, three only with momentum */
    parts_buffer run_sets[2], run_z[2]; /* codes of a pass without a tape, with momentum two by turns: entries have one place for each run */
    parts_buffer *masked;    /* a cell each, with momentum twice, by turns: gv */
    conv_part *part;
    int64_t rows;            /* of the block that forward did last */
    bool taped;              /* and whether it has a tape */
} conv_work;

struct pudle_unroll {
    parts_memory memory;
    pudle_unroll_spec spec;
    pudle_conv conv;
    conv_shape shape;
    int64_t ld, positions;               /* atoms, padded; positions of a code map */
    int64_t bands, band_rows, groups;    /* bands of a sample, code rows of each; groups of samples */
    int64_t run, runs;                   /* positions of a pass without a tape that are done at once; how many times in a band */
    int64_t words;                       /* of 64 atoms, a bit each, in a position's set */
    int64_t strip_rows, strip, plane;    /* image rows of a band; entries; and of one channel */
    bool dead_along, keeps_input;
    conv_pairs pairs;
    conv_order order[2];                 /* of all bands but the last, and of that one */
    parts_buffer offset, row_place;      /* where taps and rows of the filter lie, from a position on */
    parts_buffer none;                   /* starts and sets of a code without a nonzero */
    parts_buffer rows, blocks, paired, each; /* the filters, (atoms, shape.ld), and as correlate() and pair_products() want them; 0, 1 .. atoms - 1 */
    parts_buffer dead, work_list, compact; /* compact: the table of collect_compact, where this processor has it */
    conv_work *work;                     /* one a thread, and one for the root */
};

static size_t width_of(const pudle_unroll *u)
{
    return pudle_dtype_size(u->spec.dtype);
}

static int64_t up_to(int64_t n, int64_t unit)
{
    return (n + unit - 1) / unit * unit;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t cells(const pudle_unroll *u)
{
    return u->spec.rows * u->bands;
}

static const conv_order *order_of(const pudle_unroll *u, int64_t band)
{
    return &u->order[band + 1 == u->bands];
}

/* Code rows of a band, and positions. */
static int64_t rows_in(const pudle_unroll *u, int64_t band)
{
    return least(u->band_rows, u->conv.code[0] - band * u->band_rows);
}

static int64_t positions_in(const pudle_unroll *u, int64_t band)
{
    return rows_in(u, band) * u->conv.code[1];
}

static int64_t image_rows(const pudle_unroll *u, int64_t band)
{
    return (rows_in(u, band) - 1) * u->conv.stride[0] + u->conv.kernel[0];
}

/* How many layers a layer reaches, back or, in the adjoint, onward: one, or with momentum two. */
static int64_t reach(const pudle_unroll *u)
{
    return u->spec.momentum ? 2 : 1;
}

/* Codes of a cell there. */
static int64_t slots_of(const pudle_unroll *u)
{
    return u->spec.depth + 2 + reach(u);
}

/* The code of layer t in a pass with a tape. */
static conv_codes *codes_of(const pudle_unroll *u, const conv_work *w, int64_t t, int64_t cell)
{
    const int64_t K = u->spec.depth, kept = t - (u->spec.layers - K);
    return &w->codes[(kept >= 0 ? kept : K + 1 + t % (reach(u) + 1)) * cells(u) + cell];
}

/* gv of layer t. */
static parts_buffer *masked_of(const pudle_unroll *u, const conv_work *w, int64_t t, int64_t cell)
{
    return &w->masked[t % reach(u) * cells(u) + cell];
}

/* D z_t, or in the adjoint D gv, of all cells: those of the layers in reach, and the layer's own. */
static parts_buffer *strips_of(const pudle_unroll *u, conv_work *w, int64_t t)
{
    return &w->strips[t % (reach(u) + 1)];
}

/* b_t; y_0 is z_0. */
static double ahead(const pudle_unroll *u, int64_t t)
{
    return u->spec.momentum && t > 0 ? u->spec.momentum[t - 1] : 0;
}

/* Room for `count` entries; those there are stay. */
static pudle_status room_for(pudle_unroll *u, conv_codes *c, int64_t count)
{
    if (count <= c->room)
        return PUDLE_OK;
    const int64_t room = count + c->room / 2;
    const size_t w = width_of(u), old = (size_t)c->room, now = (size_t)room;
    pudle_status s = parts_grow(&u->memory, &c->index, old * sizeof(int32_t), now * sizeof(int32_t));
    if (!s)
        s = parts_grow(&u->memory, &c->z, old * w, now * w);
    if (!s)
        c->room = room;
    return s;
}

/* The same for inputs of the prox: of a code, or of a part where nobody wants them later. */
static pudle_status input_room(pudle_unroll *u, parts_buffer *v, int64_t *room, int64_t count)
{
    if (count <= *room)
        return PUDLE_OK;
    const size_t w = width_of(u);
    const int64_t now = count + *room / 2;
    const pudle_status s = parts_grow(&u->memory, v, (size_t)*room * w, (size_t)now * w);
    if (!s)
        *room = now;
    return s;
}

/* What a filter's vector costs where it is read for one nonzero, in cycles: from the first-level cache, or from behind it. */
static double vector_cost(const pudle_unroll *u)
{
    return (double)u->rows.bytes < 30000 ? 0.6 : 1.8;
}

/* Is the way back of a layer cheaper as three products with all atoms than along `pairs` nonzeros? In cycles a pair, and a position
 * and atom, as measured with 1 to 40 vectors to a filter. */
static bool dense_is_cheaper(const pudle_unroll *u, int64_t positions, double pairs)
{
    const double lanes = (double)CONV_VECTOR / (double)width_of(u), vectors = (double)u->shape.padded / lanes, taps = (double)up_to(u->shape.taps, 6);
    return pairs * (22 + (1 + vector_cost(u)) * vectors) > (double)(positions * u->ld) * 3 * taps / (2 * lanes) + 8 * pairs;
}

/* The same for a synthesis. */
static bool sum_all(const pudle_unroll *u, int64_t positions, int64_t nonzeros)
{
    const double lanes = (double)CONV_VECTOR / (double)width_of(u), vectors = (double)u->shape.padded / lanes;
    return (double)nonzeros * (vector_cost(u) * vectors - 1) > 1.05 * (double)(positions * u->conv.atoms) * (double)u->shape.ld / (2 * lanes);
}

/* Room for tiles of all atoms. */
static pudle_status dense_room(pudle_unroll *u, conv_part *p)
{
    return parts_want(&u->memory, &p->dense, (3 * CONV_TILE + CONV_SPARE) * u->ld, width_of(u));
}

/* One parallel region: body for every part, that is, for a band of a group of samples. */
typedef struct conv_call {
    pudle_unroll *u;
    conv_work *w;
    pudle_exec alone; /* what plugins are called with: one thread */
    int64_t t;
    bool tape;
    const pudle_view *out, *gtheta, *direct;
    const pudle_cview *residual;
    pudle_status status;
} conv_call;

static void note(conv_call *c, pudle_status s)
{
    if (s)
        __atomic_store_n(&c->status, s, __ATOMIC_RELAXED);
}
