/* collect() of unroll_conv_kernels.h, the entries of a position that the prox does not surely map to 0, eight at a time where the processor
 * has AVX2. No branch depends on the entries. */

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
/* Eight entries at a time: a table gives the order that brings those to the front whose bits are set. */
#define CONV_COMPACT
typedef int32_t eight_whole __attribute__((vector_size(32)));
typedef float eight __attribute__((vector_size(32)));
typedef int32_t loose_whole __attribute__((vector_size(32), aligned(4), may_alias));
typedef float loose_eight __attribute__((vector_size(32), aligned(4), may_alias));

__attribute__((target("avx2,popcnt"))) static int64_t collect_compact(const float *v, int64_t count, const float *dead, bool along,
                                                                      const eight_whole *table, int32_t place, uint64_t *marks, int32_t *index,
                                                                      float *value)
{
    int64_t found = 0;
    uint64_t now = 0;
    for (int64_t i = 0; i < count; i += 8) {
        const eight x = *(const loose_eight *)(const void *)(v + i);
        eight wide = dead[0] - (eight){ 0 };
        if (along)
            wide = *(const loose_eight *)(const void *)(dead + i);
        const eight size = (eight)((eight_whole)x & INT32_MAX);
        uint32_t set = 255U ^ (uint32_t)__builtin_ia32_movmskps256((eight)(size <= wide));
        if (count - i < 8) /* what is behind the last atom */
            set &= (1U << (count - i)) - 1;
        const eight_whole order = table[set];
        if (index)
            *(loose_whole *)(void *)(index + found) = (order + (int32_t)i) * 32 + place;
        *(loose_eight *)(void *)(value + found) = __builtin_shuffle(x, order);
        found += __builtin_popcount(set);
        now |= (uint64_t)set << i % 64;
        if (i % 64 == 56 || count - i <= 8) {
            *marks++ = now;
            now = 0;
        }
    }
    return found;
}

static pudle_status compact_table(parts_memory *m, parts_buffer *table)
{
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("popcnt"))
        return PUDLE_OK;
    const pudle_status s = parts_want(m, table, 256, sizeof(eight_whole));
    int32_t *to = table->at;
    for (int set = 0; set < 256 && !s; set++, to += 8)
        for (int i = 0, n = 0; i < 8; i++)
            if (set & 1 << i)
                to[n++] = i;
    return s;
}
#endif
