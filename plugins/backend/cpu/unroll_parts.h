/* What the unrolls of the cpu backend have in common: memory that is counted and grows, and the questions they ask of a
 * prox before they may take over. */
#ifndef BACKEND_CPU_UNROLL_PARTS_H
#define BACKEND_CPU_UNROLL_PARTS_H

#include "cpu.h"
#include <math.h>
#include <string.h>
#include <pudle/unroll.h>

enum { PARTS_LEVELS = 8 }; /* of a prox */

/* Arithmetic for whatever the CPU has: "avx2", with which kernels of whole numbers are made, would leave out the fused
 * multiply-add. */
#if defined(__x86_64__) && defined(__gnu_linux__) && (defined(__clang__) ? __clang_major__ >= 14 : __GNUC__ >= 8)
#define UNROLL_CLONES __attribute__((target_clones("avx512f", "fma", "default")))
#else
#define UNROLL_CLONES
#endif

/* A whole number or an address in a register, of which the compiler is to know nothing. */
#if defined(__GNUC__)
#define PARTS_OPAQUE(x) __asm__("" : "+r"(x))
#else
#define PARTS_OPAQUE(x) (void)(x)
#endif

/* Bytes of 0 and 1 to bits: the product brings byte i of a half to bit 56 + i. */
static inline __attribute__((always_inline)) uint32_t parts_mask(const uint8_t out[16])
{
    uint64_t half[2];
    memcpy(half, out, sizeof half);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    half[0] = __builtin_bswap64(half[0]);
    half[1] = __builtin_bswap64(half[1]);
#endif
    if (!(half[0] | half[1]))
        return 0;
    return (uint32_t)((half[0] * 0x0102040810204080u) >> 56) | (uint32_t)((half[1] * 0x0102040810204080u) >> 56) << 8;
}

/* Whose memory it is, and how much of it there is. */
typedef struct parts_memory {
    pudle_exec *root;
    size_t held;
} parts_memory;

/* Memory that grows and is kept. */
typedef struct parts_buffer {
    void *at;
    size_t bytes;
} parts_buffer;

/* At least `bytes`, of which the first `keep` stay as they are and what is new is 0. */
static inline pudle_status parts_grow(parts_memory *m, parts_buffer *b, size_t keep, size_t bytes)
{
    void *at = NULL;
    if (bytes <= b->bytes)
        return PUDLE_OK;
    const pudle_status s = host_alloc(m->root, bytes, &at);
    if (s)
        return s;
    if (keep)
        memcpy(at, b->at, keep);
    memset((char *)at + keep, 0, bytes - keep);
    host_free(m->root, b->at);
    __atomic_fetch_add(&m->held, bytes - b->bytes, __ATOMIC_RELAXED);
    *b = (parts_buffer){ at, bytes };
    return PUDLE_OK;
}

/* At least count * width bytes; what it held is lost. */
static inline pudle_status parts_want(parts_memory *m, parts_buffer *b, int64_t count, size_t width)
{
    return parts_grow(m, b, 0, (size_t)count * width);
}

/* At least count * width bytes, as the system gives them: large memory takes room when it is first touched. */
static inline pudle_status parts_reserve(parts_memory *m, parts_buffer *b, int64_t count, size_t width)
{
    void *at = NULL;
    const size_t bytes = (size_t)count * width;
    if (bytes <= b->bytes)
        return PUDLE_OK;
    const pudle_status s = host_alloc(m->root, bytes, &at);
    if (s)
        return s;
    host_free(m->root, b->at);
    __atomic_fetch_add(&m->held, bytes - b->bytes, __ATOMIC_RELAXED);
    *b = (parts_buffer){ at, bytes };
    return PUDLE_OK;
}

static inline void parts_release(parts_memory *m, parts_buffer *b)
{
    host_free(m->root, b->at);
    __atomic_fetch_sub(&m->held, b->bytes, __ATOMIC_RELAXED);
    *b = (parts_buffer){ NULL, 0 };
}

static inline pudle_view parts_matrix(const void *data, int32_t dtype, int64_t rows, int64_t cols)
{
    return (pudle_view){ .data = (void *)(uintptr_t)data, .dtype = dtype, .rank = 2, .shape = { rows, cols }, .stride = { cols, 1 } };
}

/* The same, its rows `stride` entries apart. */
static inline pudle_view parts_strided(const void *data, int32_t dtype, int64_t rows, int64_t cols, int64_t stride)
{
    return (pudle_view){ .data = (void *)(uintptr_t)data, .dtype = dtype, .rank = 2, .shape = { rows, cols }, .stride = { stride, 1 } };
}

static inline pudle_cview parts_vector(const void *data, int32_t dtype, int64_t count)
{
    return (pudle_cview){ .data = data, .dtype = dtype, .rank = 2, .shape = { 1, count }, .stride = { count, 1 } };
}

/* target (rows, m) <- the inner gradient at D z = 0: -x for least squares. */
static inline pudle_status parts_target(pudle_exec *exec, const pudle_unroll_spec *spec, const pudle_cview *x, void *target)
{
    const int64_t rows = x->shape[0], m = spec->features;
    const pudle_view to = parts_matrix(target, spec->dtype, rows, m);
    const pudle_cview pred = pudle_const(&to);
    memset(target, 0, (size_t)(rows * m) * pudle_dtype_size(spec->dtype));
    return host_loss_grad(exec, &spec->inner, &pred, x, &to);
}

/* Does the prox act on every entry alone, and say where it gives 0? A stand-in derivative may be nonzero where the value is 0: such
 * entries are not on a sparse tape. */
static inline bool parts_sparse_prox(const pudle_unroll_spec *spec)
{
    const pudle_prox_ops *ops = spec->prox.desc->ops;
    return (spec->prox.desc->caps & (PUDLE_PROX_SEPARABLE | PUDLE_PROX_SURROGATE)) == PUDLE_PROX_SEPARABLE && ops->dead_zone &&
           spec->levels <= PARTS_LEVELS;
}

/* Half-width of the dead zone at layer t for an atom, rounded down to what the dtype holds; 0 where it is none. */
static inline double parts_dead_zone(const pudle_unroll_spec *spec, int64_t t, int64_t atom)
{
    const pudle_prox_ops *ops = spec->prox.desc->ops;
    double level[PARTS_LEVELS] = { 0 };
    for (int i = 0; i < spec->levels; i++) {
        const pudle_cview *all = &spec->theta[i];
        level[i] = pudle_entry(all, (t - 1) * all->shape[1] + (all->shape[1] > 1 ? atom : 0));
    }
    const double exact = ops->dead_zone(spec->prox.self, spec->step[t - 1], level), half = exact > 0 ? exact : 0;
    const float narrow = (float)half;
    if (spec->dtype == PUDLE_F64)
        return half;
    return (double)narrow > half ? nextafterf(narrow, -1) : narrow;
}

#endif
