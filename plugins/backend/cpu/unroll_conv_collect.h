/* collect() of unroll_conv_kernels.h, the entries of a position that the prox does not surely map to 0, for processors with instructions
 * for it. No branch depends on the entries. */

#if CONV_VECTOR == 32 && defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
/* Eight entries at a time: a table gives the order that brings those to the front whose bits are set. */
#define CONV_COMPACT
typedef int32_t eight_whole __attribute__((vector_size(32)));
typedef float eight __attribute__((vector_size(32)));
typedef int32_t loose_whole __attribute__((vector_size(32), aligned(4), may_alias));
typedef float loose_eight __attribute__((vector_size(32), aligned(4), may_alias));

__attribute__((target("avx2,popcnt"))) static int64_t collect_compact(const float *v, int64_t count, const float *dead, bool along,
                                                                      const eight_whole *table, int32_t place, int32_t *index, float *value)
{
    int64_t found = 0;
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
        *(loose_whole *)(void *)(index + found) = (order + (int32_t)i) * 32 + place;
        *(loose_eight *)(void *)(value + found) = __builtin_shuffle(x, order);
        found += __builtin_popcount(set);
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

#if CONV_VECTOR == 64
/* For 512 bits: the processor brings the entries of a mask to the front. */
static __m512i numbers_from(int64_t i, int32_t place)
{
    const __m512i first = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    return _mm512_add_epi32(_mm512_slli_epi32(first, 5), _mm512_set1_epi32((int32_t)(32 * i) + place));
}

static int64_t collect_wide_f32(const float *v, int64_t count, const float *dead, bool along, int32_t place, int32_t *index, float *value)
{
    int64_t found = 0;
    for (int64_t i = 0; i < count; i += 16) {
        const __mmask16 there = (__mmask16)(count - i < 16 ? (1 << (count - i)) - 1 : -1);
        const __m512 x = _mm512_loadu_ps(v + i), half = along ? _mm512_loadu_ps(dead + i) : _mm512_set1_ps(dead[0]);
        const __mmask16 set = _mm512_mask_cmp_ps_mask(there, _mm512_abs_ps(x), half, _CMP_NLE_UQ);
        _mm512_storeu_si512(index + found, _mm512_maskz_compress_epi32(set, numbers_from(i, place)));
        _mm512_storeu_ps(value + found, _mm512_maskz_compress_ps(set, x));
        found += __builtin_popcount(set);
    }
    return found;
}

static int64_t collect_wide_f64(const double *v, int64_t count, const double *dead, bool along, int32_t place, int32_t *index, double *value)
{
    int64_t found = 0;
    for (int64_t i = 0; i < count; i += 8) {
        const __mmask8 there = (__mmask8)(count - i < 8 ? (1 << (count - i)) - 1 : -1);
        const __m512d x = _mm512_loadu_pd(v + i), half = along ? _mm512_loadu_pd(dead + i) : _mm512_set1_pd(dead[0]);
        const __mmask8 set = _mm512_mask_cmp_pd_mask(there, _mm512_abs_pd(x), half, _CMP_NLE_UQ);
        const __m256i numbers = _mm512_castsi512_si256(_mm512_maskz_compress_epi32(set, numbers_from(i, place)));
        _mm256_storeu_si256((__m256i *)(void *)(index + found), numbers);
        _mm512_storeu_pd(value + found, _mm512_maskz_compress_pd(set, x));
        found += __builtin_popcount(set);
    }
    return found;
}
#endif
