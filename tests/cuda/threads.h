/* Kernels with a thread of the host for each of theirs, blocks one after the other: included before grid.h, which then takes the text for a device. Under the
 * thread sanitizer it is told where two threads of a block touch the same memory with no barrier between. */
#ifndef CUDA_THREADS_H
#define CUDA_THREADS_H

#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <thread>
#include <vector>

#define PUDLE_AS_THREADS
#define __device__
#define __forceinline__ inline
#define __global__
#define __launch_bounds__(...)
#define __shared__ static
#define __launch_bounds__(...)

struct pudle_three { long long x; };
static thread_local pudle_three threadIdx, blockIdx;
static pudle_three blockDim, gridDim;
static pthread_barrier_t pudle_barrier;
static unsigned pudle_ballots[32];
static int pudle_sums[32];

static inline void __syncthreads() { pthread_barrier_wait(&pudle_barrier); }
static inline unsigned atomicAdd(unsigned *at, unsigned more) { return __atomic_fetch_add(at, more, __ATOMIC_SEQ_CST); }
static inline int __popc(unsigned bits) { return __builtin_popcount(bits); }

/* All threads of the block come here and to the sum, not a warp alone. */
static inline unsigned __ballot_sync(unsigned, bool flag)
{
    unsigned *const warp = &pudle_ballots[threadIdx.x / 32];
    __syncthreads();
    if (threadIdx.x % 32 == 0)
        __atomic_store_n(warp, 0u, __ATOMIC_SEQ_CST);
    __syncthreads();
    __atomic_fetch_or(warp, (unsigned)flag << threadIdx.x % 32, __ATOMIC_SEQ_CST);
    __syncthreads();
    return __atomic_load_n(warp, __ATOMIC_SEQ_CST);
}

static inline int __reduce_add_sync(unsigned, int n)
{
    int *const sum = &pudle_sums[threadIdx.x / 32];
    __syncthreads();
    if (threadIdx.x % 32 == 0)
        __atomic_store_n(sum, 0, __ATOMIC_SEQ_CST);
    __syncthreads();
    __atomic_fetch_add(sum, n, __ATOMIC_SEQ_CST);
    __syncthreads();
    return __atomic_load_n(sum, __ATOMIC_SEQ_CST);
}

template <typename F> static inline void pudle_as_threads(long long grid, int width, const F &kernel)
{
    std::vector<std::thread> threads;
    gridDim.x = grid;
    blockDim.x = width;
    pthread_barrier_init(&pudle_barrier, nullptr, (unsigned)width);
    for (int t = 0; t < width; t++)
        threads.emplace_back([=, &kernel] {
            threadIdx.x = t;
            for (long long b = 0; b < grid; b++) {
                blockIdx.x = b;
                kernel();
                __syncthreads();
            }
        });
    for (std::thread &thread : threads)
        thread.join();
    pthread_barrier_destroy(&pudle_barrier);
}
#define PUDLE_RUN(grid, width, ...) { pudle_as_threads(grid, width, [&] { __VA_ARGS__; }); }

#endif
