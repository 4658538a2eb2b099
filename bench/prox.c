/* Time of a prox kernel made by the macro of pudle/elementwise.h against a loop written by hand with AVX intrinsics, in turn
 * in one run.   usage: prox SOFT_THRESHOLD.so [ROUNDS]
 *
 * Prints, for arrays that fit the first, the second and no cache: median nanoseconds a thousand entries of each, and the
 * median of the ratios of neighbouring runs (1: as fast; below 1: the macro is faster). */
#include <pudle/plugin.h>

#include <dlfcn.h>
#include <immintrin.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* p = sign(v) max(|v| - t, 0), eight entries at a time: v minus v clamped to [-t, t]. */
__attribute__((target("avx2"))) static void by_hand_avx2(const float *v, float t, float *p, int64_t n)
{
    const __m256 high = _mm256_set1_ps(t), low = _mm256_set1_ps(-t);
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const __m256 x = _mm256_loadu_ps(v + i);
        _mm256_storeu_ps(p + i, _mm256_sub_ps(x, _mm256_min_ps(high, _mm256_max_ps(low, x))));
    }
    for (; i < n; i++)
        p[i] = v[i] - fminf(t, fmaxf(-t, v[i]));
}

__attribute__((target("avx512f"))) static void by_hand_avx512(const float *v, float t, float *p, int64_t n)
{
    const __m512 high = _mm512_set1_ps(t), low = _mm512_set1_ps(-t);
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        const __m512 x = _mm512_loadu_ps(v + i);
        _mm512_storeu_ps(p + i, _mm512_sub_ps(x, _mm512_min_ps(high, _mm512_max_ps(low, x))));
    }
    for (; i < n; i++)
        p[i] = v[i] - fminf(t, fmaxf(-t, v[i]));
}

typedef void hand(const float *, float, float *, int64_t);

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, int n)
{
    qsort(x, (size_t)n, sizeof *x, ascending);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

static pudle_view vector(float *data, int64_t n)
{
    pudle_view v = { .data = data, .dtype = PUDLE_F32, .rank = 2, .shape = { 1, n }, .stride = { n, 1 } };
    return v;
}

int main(int argc, char **argv)
{
    static const int64_t sizes[] = { 3000, 100000, 8000000 };
    const int rounds = argc > 2 ? atoi(argv[2]) : 101;
    void *lib = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
    const pudle_plugin_entry *entry = lib ? dlsym(lib, "pudle_plugin") : NULL;
    if (!entry || rounds < 1) {
        fprintf(stderr, "usage: prox SOFT_THRESHOLD.so [ROUNDS]%s%s\n", argc > 1 && !lib ? "; " : "", argc > 1 && !lib ? dlerror() : "");
        return 2;
    }
    if (!__builtin_cpu_supports("avx2")) {
        fprintf(stderr, "this processor has no AVX2 to compare with\n");
        return 1;
    }
    const bool wide = __builtin_cpu_supports("avx512f");
    const pudle_prox_kernel *kernel = ((const pudle_prox_ops *)entry->plugins[0]->ops)->kernels[0];
    const struct { double lambda; bool nonnegative; } params = { 0.1, false };
    float level = 0.5f;
    pudle_cview theta = { .data = &level, .dtype = PUDLE_F32, .rank = 1, .shape = { 1 }, .stride = { 1 } };
    double *own = malloc((size_t)rounds * sizeof *own), *other = malloc((size_t)rounds * sizeof *other), *ratio = malloc((size_t)rounds * sizeof *ratio);
    if (!own || !other || !ratio)
        return 1;
    printf("entries,hand,macro_ns_per_1000,hand_ns_per_1000,ratio\n");
    for (int k = 0; k < 3; k++)
        for (int w = 0; w <= wide; w++) {
            const int64_t n = sizes[k], repeats = 1 + 8000000 / n;
            hand *by_hand = w ? by_hand_avx512 : by_hand_avx2;
            float *v = aligned_alloc(64, (size_t)(n + 16) * sizeof *v / 64 * 64 + 64), *p = aligned_alloc(64, (size_t)(n + 16) * sizeof *p / 64 * 64 + 64);
            if (!v || !p)
                return 1;
            for (int64_t i = 0; i < n; i++) {
                v[i] = (float)sin(1.7 * (double)i);
                p[i] = 0;
            }
            pudle_view out = vector(p, n);
            const pudle_view in = vector(v, n);
            const pudle_cview cin = pudle_const(&in);
            for (int r = 0; r < rounds; r++) {
                const double t0 = now();
                for (int64_t i = 0; i < repeats; i++)
                    kernel->apply(&params, NULL, 0.2, &theta, &cin, &out);
                const double t1 = now();
                for (int64_t i = 0; i < repeats; i++) {
                    by_hand(v, level, p, n);
                    __asm__ volatile("" : : "r"(p) : "memory");
                }
                const double t2 = now();
                own[r] = (t1 - t0) / (double)(repeats * n) * 1e12;
                other[r] = (t2 - t1) / (double)(repeats * n) * 1e12;
                ratio[r] = own[r] / other[r];
            }
            printf("%lld,%s,%.1f,%.1f,%.3f\n", (long long)n, w ? "avx512" : "avx2", median(own, rounds), median(other, rounds), median(ratio, rounds));
            free(v);
            free(p);
        }
    free(own);
    free(other);
    free(ratio);
    return 0;
}
