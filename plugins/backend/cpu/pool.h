/* plugins/backend/cpu/pool.h - threads that wait for work, for regions of microseconds. */
#ifndef BACKEND_CPU_POOL_H
#define BACKEND_CPU_POOL_H

#include <stdint.h>

typedef struct cpu_pool cpu_pool;

/** thread: 0 .. threads - 1, the caller's is 0. */
typedef void (*cpu_pool_body)(void *ctx, int64_t part, int thread);

/** A pool of `threads` threads, the caller of cpu_pool_run among them; fewer where the system has no more to give. NULL without memory. */
cpu_pool *cpu_pool_create(int threads);
void cpu_pool_destroy(cpu_pool *pool); /* NULL is legal */
int cpu_pool_threads(const cpu_pool *pool);

/** body(ctx, part, thread) for part = 0 .. parts - 1, each once, in any order, on at most `threads` threads; returns after all. From one
 *  thread at a time, and not from inside a body. On the caller's alone where pool is NULL, for 2^31 parts and more, and in a child process. */
void cpu_pool_run(cpu_pool *pool, int threads, int64_t parts, cpu_pool_body body, void *ctx);

#endif
