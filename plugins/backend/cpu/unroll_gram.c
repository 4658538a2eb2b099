/* G and the gradient by way of it (unroll_gram.h). */
#include "unroll_gram.h"
#include "transpose.h"

enum { GRAM_BLOCK = 128, MIRROR_TILE = 64 };

/* Part of a matrix, from its entry `first` on. */
static pudle_view part_of(const void *data, int32_t dtype, int64_t first, int64_t rows, int64_t cols, int64_t stride)
{
    return parts_strided((const char *)data + (size_t)first * pudle_dtype_size(dtype), dtype, rows, cols, stride);
}

/* ------------------------------------------------------------ when */

bool gram_pays(const pudle_unroll_spec *spec, int64_t samples)
{
    const double p = (double)spec->atoms, T = (double)spec->layers, bytes = p * p * (double)pudle_dtype_size(spec->dtype);
    return p / 2 <= (T < 12 ? T : 12) * (double)samples && bytes <= 1073741824.0;
}

bool gram_gradient_pays(const pudle_unroll_spec *spec, int64_t samples)
{
    const double p = (double)spec->atoms, bytes = p * p * (double)pudle_dtype_size(spec->dtype);
    return gram_pays(spec, samples) && gathering_pays(60, spec->atoms, spec->layers, samples) && bytes * (double)spec->lanes <= 1073741824.0;
}

/* ------------------------------------------------------------ G */

/* Block (i, j) of G, j >= i, and its mirror image. */
typedef struct gram_work {
    pudle_exec *root;
    const pudle_cview *dictionary;
    void *gram;
    int64_t ld, blocks;
    pudle_status status;
} gram_work;

static void gram_block(void *ctx, int64_t part)
{
    gram_work *g = ctx;
    int64_t i = 0;
    for (int64_t row = g->blocks; part >= row; part -= row--)
        i++;
    const pudle_cview *d = g->dictionary;
    const int64_t j = i + part, m = d->shape[0], p = d->shape[1], at = i * GRAM_BLOCK, to = j * GRAM_BLOCK;
    const int64_t rows = p - at < GRAM_BLOCK ? p - at : GRAM_BLOCK, cols = p - to < GRAM_BLOCK ? p - to : GRAM_BLOCK;
    const pudle_view a = part_of(d->data, d->dtype, at, m, rows, d->stride[0]), b = part_of(d->data, d->dtype, to, m, cols, d->stride[0]);
    const pudle_view c = part_of(g->gram, d->dtype, at * g->ld + to, rows, cols, g->ld);
    const pudle_cview ca = pudle_const(&a), cb = pudle_const(&b);
    pudle_exec alone = cpu_alone(g->root);
    const pudle_status s = cpu_gemm(&alone, true, false, 1.0, &ca, &cb, 0.0, &c);
    if (s) {
        __atomic_store_n(&g->status, s, __ATOMIC_RELAXED);
        return;
    }
    const int64_t above = at * g->ld + to, below = to * g->ld + at;
    if (j > i && d->dtype == PUDLE_F64)
        cpu_transpose_f64((double *)g->gram + below, g->ld, (double *)g->gram + above, g->ld, rows, cols);
    else if (j > i)
        cpu_transpose_f32((float *)g->gram + below, g->ld, (float *)g->gram + above, g->ld, rows, cols);
}

pudle_status gram_matrix(pudle_exec *root, const pudle_cview *dictionary, int64_t ld, void *gram)
{
    gram_work g = { root, dictionary, gram, ld, (dictionary->shape[1] + GRAM_BLOCK - 1) / GRAM_BLOCK, PUDLE_OK };
    cpu_parts(root, g.blocks * (g.blocks + 1) / 2, gram_block, &g);
    return g.status;
}

/* ------------------------------------------------------------ the gradient */

/* Entries of `sum`: the outer products with their mirror images. A tile at a time, because one of the two goes down columns. */
typedef struct mirror_work {
    const gram_outer *outer;
    void *sum;
    int64_t lanes, atoms, ld, tiles;
    int32_t dtype;
} mirror_work;

#define MIRROR(NAME, REAL, TRANSPOSE)                                                                                              \
    static void NAME(const mirror_work *w, int64_t top, int64_t left, int64_t height, int64_t width)                              \
    {                                                                                                                              \
        double both[MIRROR_TILE * MIRROR_TILE] = { 0 };                                                                            \
        REAL turned[MIRROR_TILE * MIRROR_TILE];                                                                                    \
        for (int64_t l = 0; l < w->lanes; l++) {                                                                                   \
            const REAL *outer = w->outer[l].memory.at;                                                                             \
            if (!w->outer[l].used)                                                                                                 \
                continue;                                                                                                          \
            TRANSPOSE(turned, MIRROR_TILE, outer + left * w->ld + top, w->ld, width, height);                                      \
            for (int64_t y = 0; y < height; y++)                                                                                   \
                for (int64_t x = 0; x < width; x++)                                                                                \
                    both[y * MIRROR_TILE + x] += (double)outer[(top + y) * w->ld + left + x] + (double)turned[y * MIRROR_TILE + x]; \
        }                                                                                                                          \
        for (int64_t y = 0; y < height; y++)                                                                                       \
            for (int64_t x = 0; x < width; x++)                                                                                    \
                ((REAL *)w->sum)[(top + y) * w->atoms + left + x] = (REAL)both[y * MIRROR_TILE + x];                               \
    }
MIRROR(mirror_f32, float, cpu_transpose_f32)
MIRROR(mirror_f64, double, cpu_transpose_f64)
#undef MIRROR

static void mirror_tile(void *ctx, int64_t part)
{
    const mirror_work *w = ctx;
    const int64_t p = w->atoms, top = part / w->tiles * MIRROR_TILE, left = part % w->tiles * MIRROR_TILE;
    const int64_t height = p - top < MIRROR_TILE ? p - top : MIRROR_TILE, width = p - left < MIRROR_TILE ? p - left : MIRROR_TILE;
    (w->dtype == PUDLE_F64 ? mirror_f64 : mirror_f32)(w, top, left, height, width);
}

pudle_status gram_gradient(pudle_exec *root, const pudle_cview *dictionary, int64_t ld, const gram_outer *outer, int64_t lanes, double scale,
                           const pudle_view *gradient)
{
    const int64_t p = dictionary->shape[1];
    const int32_t dtype = dictionary->dtype;
    bool used = false;
    for (int64_t l = 0; l < lanes; l++)
        used = used || outer[l].used;
    if (!used)
        return PUDLE_OK;
    void *sum = NULL;
    pudle_status s = host_alloc(root, (size_t)(p * p) * pudle_dtype_size(dtype), &sum);
    if (s)
        return s;
    mirror_work w = { outer, sum, lanes, p, ld, (p + MIRROR_TILE - 1) / MIRROR_TILE, dtype };
    cpu_share(root, w.tiles * w.tiles, (double)p * (double)p, mirror_tile, &w);
    const pudle_view v = parts_matrix(sum, dtype, p, p);
    const pudle_cview cv = pudle_const(&v);
    s = cpu_gemm(root, false, false, -scale, dictionary, &cv, 1.0, gradient);
    host_free(root, sum);
    return s;
}
