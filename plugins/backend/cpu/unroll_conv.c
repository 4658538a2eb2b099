/* All layers of a convolutional encoder and their adjoint at once (pudle/unroll.h), for least squares inside and separable operators
 * that have a dead zone. With w_k the filters, and positions q of the code map:
 *
 *   forward    r = D z_{t-1} - x;  v[q, k] = z_{t-1}[q, k] - step <w_k, patch_q(r)>;  z_t = prox(v)
 *   adjoint    gv = J' u;  e = D gv;  gW_k -= step sum over q of gv[q, k] patch_q(r) + z_{t-1}[q, k] patch_q(e);
 *              u[q, k] = gv[q, k] - step <w_k, patch_q(e)>, wanted on the support of z_{t-1} alone
 *
 * The decoder's way back is that of one more layer, with the loss's gradient for an image and no gv.
 * Only the correlation of the forward pass is dense, and it never packs a patch; for two by two positions at once it needs fewer products
 * (unroll_conv_pairs_kernels.h), so a band's positions are numbered four by four. Everything else goes along the nonzeros of the codes. These are kept position by position: a set of atoms, a bit each, and their entries z, one after the other; for the way back also v,
 * and the atoms' numbers. A patch or a sum of filters is a few vectors of registers.
 *
 * A sample is cut into bands of code rows, by shape alone. A band sums its synthesis into an image strip of its own, and reads
 * images that are put together from the strips of its neighbours in their order: so that a layer is one parallel region, and its
 * bits do not depend on the number of threads. */
#include "unroll_conv.h"
#include "unroll_conv_pairs.h"
#include "unroll_parts.h"
#include <stdlib.h>

/* Bytes of a vector. unroll_conv_wide.c makes all of this once more. */
#ifndef CONV_VECTOR
#define CONV_VECTOR 32
#define CONV_OPS cpu_unroll_conv_ops
#endif

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
    conv_codes *codes;       /* (depth + 3, cells): z_{T-K} .. z_T, and two for the layers before */
    parts_buffer starts, sets, list, parts, target, strips[2], tape, masked_list;
    parts_buffer run_sets, run_z; /* codes of a pass without a tape: entries have one place for each run */
    parts_buffer *masked;    /* a cell each: gv */
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

/* The code of layer t in a pass with a tape. */
static conv_codes *codes_of(const pudle_unroll *u, const conv_work *w, int64_t t, int64_t cell)
{
    const int64_t K = u->spec.depth, kept = t - (u->spec.layers - K);
    return &w->codes[(kept >= 0 ? kept : K + 1 + t % 2) * cells(u) + cell];
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

#if CONV_VECTOR == 32
#include "unroll_conv_collect.h"
#else
/* `from` and what a vector of atoms adds to it, in the numbering of ATOM and PLACE. */
static __m512i numbers_from(int32_t from)
{
    const __m512i first = _mm512_set_epi32(480, 448, 416, 384, 352, 320, 288, 256, 224, 192, 160, 128, 96, 64, 32, 0);
    return _mm512_add_epi32(first, _mm512_set1_epi32(from));
}
#endif

/* out[i] = the sum of the entries of h[i], i < 4 */
#if defined(__GNUC__) && !defined(__clang__)
#define ACROSS_f32(h, out)                                                                                                               \
    do {                                                                                                                                 \
        typedef int32_t four __attribute__((vector_size(16)));                                                                           \
        const four low = { 0, 4, 1, 5 }, high = { 2, 6, 3, 7 }, even = { 0, 1, 4, 5 }, odd = { 2, 3, 6, 7 };                             \
        const half_f32 x = __builtin_shuffle((h)[0], (h)[1], low) + __builtin_shuffle((h)[0], (h)[1], high);                             \
        const half_f32 y = __builtin_shuffle((h)[2], (h)[3], low) + __builtin_shuffle((h)[2], (h)[3], high);                             \
        const half_f32 z = __builtin_shuffle(x, y, even) + __builtin_shuffle(x, y, odd);                                                 \
        memcpy(out, &z, sizeof z);                                                                                                       \
    } while (0)
#else
#define ACROSS_f32(h, out)                                                                                                               \
    for (int i = 0; i < 4; i++)                                                                                                          \
    (out)[i] = (h)[i][0] + (h)[i][1] + ((h)[i][2] + (h)[i][3])
#endif
#define ACROSS_f64(h, out)                                                                                                               \
    for (int i = 0; i < 4; i++)                                                                                                          \
    (out)[i] = (h)[i][0] + (h)[i][1]

#define REAL float
#define CONV_ACROSS ACROSS_f32
#define WHOLE int32_t
#define NAME(x) x##_f32
#include "unroll_conv_kernels.h"
#include "unroll_conv_pairs_kernels.h"
#include "unroll_conv_layers.h"
#undef REAL
#undef WHOLE
#undef NAME
#undef CONV_ACROSS
#define REAL double
#define CONV_ACROSS ACROSS_f64
#define WHOLE int64_t
#define NAME(x) x##_f64
#include "unroll_conv_kernels.h"
#include "unroll_conv_pairs_kernels.h"
#include "unroll_conv_layers.h"
#undef REAL
#undef WHOLE
#undef NAME
#undef CONV_ACROSS

/* ------------------------------------------------------------ life */

static void work_free(pudle_unroll *u, conv_work *w)
{
    parts_memory *m = &u->memory;
    conv_codes *codes = w->list.at;
    conv_part *part = w->parts.at;
    parts_buffer *masked = w->masked_list.at;
    for (int64_t i = 0; codes && i < (u->spec.depth + 3) * cells(u); i++) {
        parts_release(m, &codes[i].index);
        parts_release(m, &codes[i].z);
        parts_release(m, &codes[i].v);
    }
    for (int64_t i = 0; masked && i < cells(u); i++)
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
    parts_buffer *const buffers[] = { &w->starts, &w->list, &w->parts, &w->target, &w->strips[0], &w->strips[1], &w->tape, &w->masked_list, &w->sets,
                                      &w->run_sets, &w->run_z };
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
    for (int i = 0; i < 2 && !s; i++)
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
    const int64_t slots = (u->spec.depth + 3) * cells(u), length = u->band_rows * u->conv.code[1] + 1;
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
        s = parts_want(m, &w->masked_list, cells(u), sizeof *w->masked);
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
    pudle_status s = parts_want(&u->memory, &w->run_sets, cells(u) * u->band_rows * u->conv.code[1] * u->words, sizeof(uint64_t));
    if (!s)
        s = parts_reserve(&u->memory, &w->run_z, runs * entries, width_of(u));
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
    if (spec->conv->channels * spec->conv->kernel[0] * spec->conv->kernel[1] < CONV_TAPS || !parts_sparse_prox(spec) || spec->conv->atoms > INT32_MAX / 64 || !host_identity_hessian(exec, &spec->inner, spec->dtype))
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

/* ------------------------------------------------------------ passes */

/* One region on the threads of an exec. */
static pudle_status over_parts(pudle_exec *exec, conv_call *c, cpu_body body)
{
    cpu_parts(exec, c->status ? 0 : c->u->bands * c->u->groups, body, c);
    return c->status;
}

static void forward_part(void *ctx, int64_t part)
{
    conv_call *c = ctx;
    note(c, c->u->spec.dtype == PUDLE_F64 ? forward_f64(c, part) : forward_f32(c, part));
}

static void decode_part(void *ctx, int64_t part)
{
    conv_call *c = ctx;
    note(c, c->u->spec.dtype == PUDLE_F64 ? decode_f64(c, part) : decode_f32(c, part));
}

static void decode_rows_part(void *ctx, int64_t part)
{
    conv_call *c = ctx;
    if (c->u->spec.dtype == PUDLE_F64)
        decode_rows_f64(c, part);
    else
        decode_rows_f32(c, part);
}

static void begin_part(void *ctx, int64_t part)
{
    conv_call *c = ctx;
    note(c, c->u->spec.dtype == PUDLE_F64 ? begin_back_f64(c, part) : begin_back_f32(c, part));
}

static void back_part(void *ctx, int64_t part)
{
    conv_call *c = ctx;
    note(c, c->u->spec.dtype == PUDLE_F64 ? back_f64(c, part) : back_f32(c, part));
}

static pudle_status conv_forward(pudle_unroll *u, pudle_exec *exec, int64_t index, const pudle_cview *x, bool tape, const pudle_view *z)
{
    conv_work *w = NULL;
    pudle_status s = work_of(u, exec, &w);
    (void)index;
    if (!s)
        s = tape ? tape_make(u, w) : runs_make(u, w);
    if (!s)
        s = parts_target(exec, &u->spec, x, w->target.at);
    if (s)
        return s;
    w->rows = x->shape[0];
    w->taped = tape;
    for (int64_t i = 0; i < cells(u) && tape; i++) /* z_0 = 0; its set is not read */
        memset(codes_of(u, w, 0, i)->start, 0, (size_t)(u->band_rows * u->conv.code[1] + 1) * sizeof(int64_t));
    conv_call c = { .u = u, .w = w, .alone = cpu_alone(exec), .tape = tape, .out = z, .status = PUDLE_OK };
    for (c.t = 1; c.t <= u->spec.layers && !s; c.t++)
        s = over_parts(exec, &c, forward_part);
    return s;
}

static pudle_status conv_decode(pudle_unroll *u, pudle_exec *exec, int64_t index, const pudle_view *estimate)
{
    conv_work *w = NULL;
    pudle_status s = work_of(u, exec, &w);
    (void)index;
    conv_call c = { .u = u, .w = w, .alone = cpu_alone(exec), .t = u->spec.layers, .tape = !s && w->taped,
                    .out = estimate, .status = s };
    s = over_parts(exec, &c, decode_part);
    return s ? s : over_parts(exec, &c, decode_rows_part);
}

static pudle_status conv_adjoint(pudle_unroll *u, pudle_exec *exec, int64_t index, const pudle_cview *residual, const pudle_view *direct,
                                 const pudle_view *gradient, const pudle_view *gtheta)
{
    conv_work *w = NULL;
    pudle_status s = work_of(u, exec, &w);
    if (s)
        return s;
    (void)index;
    conv_call c = { .u = u, .w = w, .alone = cpu_alone(exec), .t = u->spec.layers, .tape = true,
                    .residual = residual, .direct = direct, .gtheta = gtheta, .status = PUDLE_OK };
    s = over_parts(exec, &c, begin_part);
    for (; c.t > u->spec.layers - u->spec.depth && !s; c.t--)
        s = over_parts(exec, &c, back_part);
    if (!s && u->spec.dtype == PUDLE_F64)
        sum_parts_f64(u, w, gradient, gtheta);
    else if (!s)
        sum_parts_f32(u, w, gradient, gtheta);
    return s;
}

static pudle_status conv_finish(pudle_unroll *u, double scale, const pudle_view *gradient)
{
    (void)u, (void)scale, (void)gradient; /* the adjoint has left nothing over */
    return PUDLE_OK;
}

static size_t conv_bytes(const pudle_unroll *u)
{
    return u->memory.held;
}

const pudle_unroll_ops CONV_OPS = {
    .size = sizeof(pudle_unroll_ops),
    .create = conv_create,
    .destroy = conv_destroy,
    .refresh = conv_refresh,
    .forward = conv_forward,
    .decode = conv_decode,
    .adjoint = conv_adjoint,
    .finish = conv_finish,
    .bytes = conv_bytes,
};
