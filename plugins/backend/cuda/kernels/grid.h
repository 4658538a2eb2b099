/* How a kernel is written once: for a device, or as plain C++ for the host, where the grid's blocks and threads are loops.
 * PUDLE_ENTRIES(i, n) is a loop over entries, shared out over the whole grid. A kernel whose threads work together is written as
 *   PUDLE_BLOCKS(b) { PUDLE_SHARED double part[PUDLE_BLOCK]; PUDLE_THREADS(t, count) { ... } PUDLE_SYNC; PUDLE_THREADS ... }
 * where nothing but shared memory goes from one PUDLE_THREADS to the next, and what PUDLE_OWN(type, name, count) declares: numbers of each thread's own,
 * name[PUDLE_ME(t)][...], which are registers where all indices are known to the compiler, as behind PUDLE_UNROLL. PUDLE_MEMBER begins a member function. PUDLE_KERNEL_BY(n) is a kernel
 * of which a multiprocessor is to have n blocks at a time, and which may have registers to suit. PUDLE_TAKE adds to a number that all blocks add to, in any order, and is what it was before. PUDLE_MARK(marks, t, flag) leaves every thread's flag in shared
 * pudle_marks, and PUDLE_ADD_UP(sums, t, n) the sum of every 32 threads' whole numbers in a shared array; all threads of a block come to either, and they are a multiple of 32. PUDLE_CALLABLE(kernel) lets the host version be
 * started as a device's is: by a grid and a list of addresses of arguments, which NAME_bind copies and NAME_again uses; NAME_look shows those
 * that are pointers. Options go by value to a device, and to the host by reference, so that a C program can call a kernel without knowing them. PUDLE_TILES is
 * PUDLE_KERNEL for products (tiles.h): three blocks are to have room on a multiprocessor, two for double, whatever registers the compiler would like to take. */
#define PUDLE_BLOCK 256 /* threads of a block, at most, and as many where lists of codes are made or read, or products (tiles.h); a power of two */
#if defined(__CUDACC__) || defined(PUDLE_AS_THREADS) /* the latter: tests/cuda/threads.h */
#define PUDLE_DEVICE static __device__ __forceinline__
#define PUDLE_KERNEL extern "C" __global__ void
#define PUDLE_KERNEL_BY(n) PUDLE_KERNEL __launch_bounds__(PUDLE_BLOCK, n)
#define PUDLE_TILES(real) PUDLE_KERNEL_BY(sizeof(real) == 4 ? 3 : 2)
#define PUDLE_ENTRIES(i, n) for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < (n); i += (long long)gridDim.x * blockDim.x)
#define PUDLE_BLOCKS(b) for (long long b = blockIdx.x, b##_once = 1; b##_once; b##_once = 0)
#define PUDLE_THREADS(t, count) for (int t = threadIdx.x, t##_once = 1, count = blockDim.x; t##_once; t##_once = 0)
#define PUDLE_GRID ((long long)gridDim.x)
#define PUDLE_WIDTH ((int)blockDim.x)
#define PUDLE_SHARED __shared__
#define PUDLE_SYNC __syncthreads()
#define PUDLE_OPTIONS pudle_options
#define PUDLE_MARK(marks, t, flag) { const unsigned warp = __ballot_sync(0xffffffffu, flag); if ((t) % 32 == 0) pudle_mark(&(marks), (t) / 32, warp); }
#define PUDLE_ADD_UP(sums, t, n) { const int warp = pudle_warp_sum(n); if ((t) % 32 == 0) (sums)[(t) / 32] = warp; }
#define PUDLE_COUNT(bits) __popc(bits)
#define PUDLE_TAKE(from, count) atomicAdd(from, count)
#define PUDLE_MEMBER __device__ __forceinline__
#define PUDLE_OWN(type, name, count) type name[1][count]
#define PUDLE_ME(t) 0
#define PUDLE_UNROLL _Pragma("unroll")
#define PUDLE_UNROLL_BY(n) PUDLE_PRAGMA(unroll n)
#define PUDLE_PRAGMA(text) _Pragma(#text)
PUDLE_DEVICE int pudle_warp_sum(int n)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
    for (int other = 16; other > 0; other /= 2)
        n += __shfl_xor_sync(0xffffffffu, n, other);
    return n;
#else
    return __reduce_add_sync(0xffffffffu, n);
#endif
}
#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#endif
#ifndef NAN
#define NAN __int_as_float(0x7fffffff)
#endif
#ifdef __CUDACC_RTC__
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
#else
#include <stdint.h>
#endif
#else
#include <math.h>
#include <stdint.h>
static long long pudle_grid = 1;
static int pudle_width = 1;
#define PUDLE_DEVICE static inline
#define PUDLE_KERNEL extern "C" void
#define PUDLE_KERNEL_BY(n) PUDLE_KERNEL
#define PUDLE_TILES(real) PUDLE_KERNEL
#define PUDLE_ENTRIES(i, n) for (long long i##_at = 0, i##_all = pudle_grid * pudle_width; i##_at < i##_all; i##_at++) for (long long i = i##_at; i < (n); i += i##_all)
#define PUDLE_BLOCKS(b) for (long long b = 0; b < pudle_grid; b++)
#define PUDLE_THREADS(t, count) for (int t = 0, count = pudle_width; t < count; t++)
#define PUDLE_GRID pudle_grid
#define PUDLE_WIDTH pudle_width
#define PUDLE_SHARED
#define PUDLE_SYNC (void)0
#define PUDLE_OPTIONS const pudle_options &
#define PUDLE_MARK(marks, t, flag) { if ((t) % 32 == 0) pudle_mark(&(marks), (t) / 32, 0); pudle_mark(&(marks), (t) / 32, (marks).word[(t) / 32] | (unsigned)((flag) != 0) << (t) % 32); }
#define PUDLE_ADD_UP(sums, t, n) { if ((t) % 32 == 0) (sums)[(t) / 32] = 0; (sums)[(t) / 32] += (n); }
#define PUDLE_COUNT(bits) __builtin_popcount(bits)
#define PUDLE_TAKE(from, count) ((*(from) += (count)) - (count))
#define PUDLE_MEMBER inline
#define PUDLE_OWN(type, name, count) type name[PUDLE_BLOCK][count]
#define PUDLE_ME(t) (t)
#define PUDLE_UNROLL
#define PUDLE_UNROLL_BY(n)
#define PUDLE_RUN(grid, width, ...) { pudle_grid = grid; pudle_width = width; __VA_ARGS__; }
#endif
#if defined(__CUDACC__) || defined(PUDLE_DIRECT) /* the latter: called as they are, which is less to compile */
#define PUDLE_CALLABLE(name)
#else
#include <stdlib.h>
#include <new>
#include <tuple>
template <typename... A> struct pudle_bound {
    void (*f)(A...);
    std::tuple<typename std::decay<A>::type...> a;
};
template <typename... A, size_t... I> static inline pudle_bound<A...> *pudle_bind(void (*f)(A...), void **a, std::index_sequence<I...>) { return new (malloc(sizeof(pudle_bound<A...>))) pudle_bound<A...>{ f, { *(typename std::decay<A>::type *)a[I]... } }; }
template <typename... A> static inline pudle_bound<A...> *pudle_bind(void (*f)(A...), void **a) { return pudle_bind(f, a, std::index_sequence_for<A...>()); }
template <typename... A> static inline void pudle_again(void (*)(A...), void *bound) { std::apply(((pudle_bound<A...> *)bound)->f, ((pudle_bound<A...> *)bound)->a); }
typedef void pudle_see(void *ctx, const void *pointer);
template <typename T> static inline void pudle_show(void *at, pudle_see *see, void *ctx) { if (std::is_pointer<T>::value) see(ctx, *(const void *const *)at); }
template <typename... A, size_t... I> static inline void pudle_look(void (*)(A...), void **a, pudle_see *see, void *ctx, std::index_sequence<I...>) { (pudle_show<A>(a[I], see, ctx), ...); }
template <typename... A> static inline void pudle_look(void (*f)(A...), void **a, pudle_see *see, void *ctx) { pudle_look(f, a, see, ctx, std::index_sequence_for<A...>()); }
#define PUDLE_CALLABLE(name) PUDLE_CALLABLE_OF(name)
#define PUDLE_CALLABLE_OF(name) \
    extern "C" void name##_look(void **a, pudle_see *see, void *ctx) { pudle_look(name, a, see, ctx); } \
    extern "C" void *name##_bind(void **a) { return pudle_bind(name, a); } \
    extern "C" void name##_again(long long grid, int width, void *bound) PUDLE_RUN(grid, width, pudle_again(name, bound)) \
    extern "C" void name##_call(long long grid, int width, void **a) { void *b = name##_bind(a); name##_again(grid, width, b); free(b); }
#endif
/* The sum over the block of part[0 .. width), left in part[0]. In a fixed order, whatever runs first. */
#define PUDLE_TREE(part) for (int half = PUDLE_WIDTH / 2; half > 0; half /= 2) { PUDLE_THREADS(t, n) { if (t < half && n) part[t] += part[t + half]; } PUDLE_SYNC; }
/* The same of a number `sum` that every thread works out by STEP over its share of entries i < n, into partial[b]. STEP comes last, for its commas. */
#define PUDLE_TOTAL(partial, n, ...) \
    PUDLE_BLOCKS(b) { \
        PUDLE_SHARED double part[PUDLE_BLOCK]; \
        PUDLE_THREADS(t, width) { \
            double sum = 0; \
            for (long long i = b * width + t; i < n; i += PUDLE_GRID * width) { __VA_ARGS__ } \
            part[t] = sum; \
        } \
        PUDLE_SYNC; \
        PUDLE_TREE(part) \
        PUDLE_THREADS(t, width) if (t < 1 && width) (partial)[b] = part[0]; \
    }
/* A bit for each thread of a block, and how many are set in each word. */
struct pudle_marks { unsigned word[PUDLE_BLOCK / 32]; int count[PUDLE_BLOCK / 32]; };
PUDLE_DEVICE void pudle_mark(pudle_marks *marks, int k, unsigned word)
{
    marks->word[k] = word;
    marks->count[k] = PUDLE_COUNT(word);
}
PUDLE_DEVICE bool pudle_marked(const pudle_marks &marks, int t) { return marks.word[t / 32] >> t % 32 & 1; }
/* How many of the first t are set, and how many of all. */
PUDLE_DEVICE int pudle_before(const pudle_marks &marks, int t)
{
    int before = PUDLE_COUNT(marks.word[t / 32] & ((1u << t % 32) - 1));
    for (int k = 0; k < PUDLE_BLOCK / 32; k++)
        before += k < t / 32 ? marks.count[k] : 0;
    return before;
}
PUDLE_DEVICE int pudle_all(const pudle_marks &marks)
{
    int all = 0;
    for (int k = 0; k < PUDLE_BLOCK / 32; k++)
        all += marks.count[k];
    return all;
}
