/* The pool of threads (pool.h).
 *
 * A network's pass is dozens of regions a few microseconds apart, and to wake a thread takes 20 to 90 microseconds. So a thread without
 * work looks for some for a while, and takes part in the next region within a fraction of one. But where other programs want the processors,
 * threads that look use up what the scheduler grants them, and are then kept from work that they have: 200 small updates took ten times as
 * long as with threads that sleep. Whoever looks therefore hands its processor over between looks; when it gets it back late, others want
 * it, and for a while all threads of the pool sleep at once: for longer, the more often that happens. (OpenMP offers the two ends only.)
 *
 * A region's parts are dealt out in runs, the same for every region of as many parts and threads: what a part has written is in its thread's own cache when a
 * later region's part of that number reads it. Processors of one machine need not share any other. Who is done takes from the ends of the others' runs. */
#include "pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    LOOKS = 200,       /* before a processor is first handed over: some microseconds */
    AWAKE = 3000000,   /* nanoseconds that a thread looks before it sleeps */
    LATE = 700000,     /* nanoseconds without the processor that tell of other programs */
    BUSY_LEAST = 1000000, BUSY_MOST = 100000000 /* nanoseconds that this is believed, once and at most */
};

/* Where a thread sleeps until a number is another. */
typedef struct bed {
    _Atomic bool used;
    pthread_mutex_t lock;
    pthread_cond_t wake;
} bed;

/* Parts that nobody has taken: from the lower half to before the upper half. */
typedef struct run_of_parts {
    _Alignas(64) _Atomic uint64_t left;
} run_of_parts;

typedef struct worker {
    _Alignas(64) _Atomic uint32_t given, done; /* numbers of regions */
    run_of_parts run;
    bed bed;
    pthread_t id;
    cpu_pool *pool;
    int number;
} worker;

struct cpu_pool {
    run_of_parts run;        /* the caller's */
    cpu_pool_body body;
    void *ctx;
    int threads;             /* of this region */
    bool end;                /* written before the last region is given */
    bed bed;                 /* the caller's */
    _Atomic int64_t busy;    /* time until which nobody looks for long */
    _Atomic int64_t believed; /* how long that was */
    pid_t owner; /* a child process has the memory, and none of the threads */
    int workers;
    worker worker[];
};

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void pause_briefly(void)
{
#if defined(__x86_64__) && defined(__GNUC__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) && defined(__GNUC__)
    __asm__ volatile("yield");
#endif
}

/* Others wanted a processor at `time`. That is believed for twice as long as the last time, or for the least again if more than eight times
 * as long has passed since that ended. */
static void note_busy(cpu_pool *pool, int64_t time)
{
    const int64_t before = atomic_load_explicit(&pool->believed, memory_order_relaxed);
    int64_t end = atomic_load_explicit(&pool->busy, memory_order_relaxed);
    if (time < end)
        return; /* another thread met the same */
    int64_t length = before < BUSY_LEAST || time - end > 8 * before ? BUSY_LEAST : 2 * before;
    if (length > BUSY_MOST)
        length = BUSY_MOST;
    if (atomic_compare_exchange_strong_explicit(&pool->busy, &end, time + length, memory_order_relaxed, memory_order_relaxed))
        atomic_store_explicit(&pool->believed, length, memory_order_relaxed);
}

/* Look until *at is other than `old`, but not for long. */
static bool changes(cpu_pool *pool, const _Atomic uint32_t *at, uint32_t old)
{
    for (int i = 0; i < LOOKS; i++) {
        if (atomic_load_explicit(at, memory_order_acquire) != old)
            return true;
        pause_briefly();
    }
    const int64_t start = now();
    if (start < atomic_load_explicit(&pool->busy, memory_order_relaxed))
        return false;
    for (int64_t last = start, time; last - start < AWAKE; last = time) {
        if (atomic_load_explicit(at, memory_order_acquire) != old)
            return true;
        sched_yield();
        time = now();
        if (time - last > LATE) {
            note_busy(pool, time);
            return false;
        }
    }
    return false;
}

/* Sleep until *at is other than `old`. `used` is written before *at is read here, and read after *at is written by whoever changes it, so
 * that one of the two sees the other. */
static void sleeps(bed *b, const _Atomic uint32_t *at, uint32_t old)
{
    pthread_mutex_lock(&b->lock);
    atomic_store(&b->used, true);
    while (atomic_load(at) == old)
        pthread_cond_wait(&b->wake, &b->lock);
    atomic_store(&b->used, false);
    pthread_mutex_unlock(&b->lock);
}

static void change(_Atomic uint32_t *at, uint32_t to, bed *sleeper)
{
    atomic_store(at, to);
    if (atomic_load(&sleeper->used)) {
        pthread_mutex_lock(&sleeper->lock);
        pthread_cond_signal(&sleeper->wake);
        pthread_mutex_unlock(&sleeper->lock);
    }
}

static void wait_for(cpu_pool *pool, bed *b, const _Atomic uint32_t *at, uint32_t old)
{
    if (!changes(pool, at, old))
        sleeps(b, at, old);
}

static run_of_parts *run_of(cpu_pool *pool, int thread)
{
    return thread ? &pool->worker[thread - 1].run : &pool->run;
}

/* The first part of a run, or its last; -1: none is left. */
static int64_t take(run_of_parts *run, bool first)
{
    uint64_t old = atomic_load_explicit(&run->left, memory_order_relaxed), begin, end;
    do {
        begin = old & UINT32_MAX;
        end = old >> 32;
        if (begin >= end)
            return -1;
    } while (!atomic_compare_exchange_weak_explicit(&run->left, &old, first ? old + 1 : old - ((uint64_t)1 << 32), memory_order_relaxed,
                                                    memory_order_relaxed));
    return (int64_t)(first ? begin : end - 1);
}

static void take_parts(cpu_pool *pool, int thread)
{
    for (int i = 0; i < pool->threads; i++)
        for (int64_t part; (part = take(run_of(pool, (thread + i) % pool->threads), i == 0)) >= 0;)
            pool->body(pool->ctx, part, thread);
}

static void *work(void *of)
{
    worker *w = of;
    cpu_pool *pool = w->pool;
    for (uint32_t last = 0;;) {
        wait_for(pool, &w->bed, &w->given, last);
        if (pool->end)
            return NULL;
        take_parts(pool, w->number);
        change(&w->done, ++last, &pool->bed); /* the caller gives no other region before this */
    }
}

static void give(worker *w)
{
    change(&w->given, atomic_load_explicit(&w->given, memory_order_relaxed) + 1, &w->bed);
}

void cpu_pool_run(cpu_pool *pool, int threads, int64_t parts, cpu_pool_body body, void *ctx)
{
    int others = !pool ? 0 : parts < threads ? (int)parts - 1 : threads - 1;
    if (pool && others > pool->workers)
        others = pool->workers;
    if (others < 1 || parts > UINT32_MAX / 2 || getpid() != pool->owner) {
        for (int64_t i = 0; i < parts; i++)
            body(ctx, i, 0);
        return;
    }
    pool->body = body;
    pool->ctx = ctx;
    pool->threads = others + 1;
    for (int i = 0; i <= others; i++) {
        const uint64_t begin = (uint64_t)(parts * i / (others + 1)), end = (uint64_t)(parts * (i + 1) / (others + 1));
        atomic_store_explicit(&run_of(pool, i)->left, begin | end << 32, memory_order_relaxed);
    }
    for (int i = 0; i < others; i++)
        give(&pool->worker[i]);
    take_parts(pool, 0);
    for (int i = 0; i < others; i++) {
        const worker *w = &pool->worker[i];
        wait_for(pool, &pool->bed, &w->done, atomic_load_explicit(&w->given, memory_order_relaxed) - 1);
    }
}

static void bed_make(bed *b)
{
    atomic_init(&b->used, false);
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->wake, NULL);
}

static void bed_free(bed *b)
{
    pthread_cond_destroy(&b->wake);
    pthread_mutex_destroy(&b->lock);
}

cpu_pool *cpu_pool_create(int threads)
{
    const int wanted = threads > 1 ? threads - 1 : 0;
    const size_t bytes = (sizeof(cpu_pool) + (size_t)wanted * sizeof(worker) + 63) / 64 * 64;
    cpu_pool *pool = aligned_alloc(64, bytes);
    sigset_t all, old;
    if (!pool)
        return NULL;
    *pool = (cpu_pool){ .owner = getpid() };
    bed_make(&pool->bed);
    static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS }; /* of the thread that does them */
    sigfillset(&all);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_BLOCK, &all, &old); /* other signals are the program's, on its own thread */
    for (int i = 0; i < wanted; i++) {
        worker *w = &pool->worker[i];
        *w = (worker){ .pool = pool, .number = i + 1 };
        bed_make(&w->bed);
        if (pthread_create(&w->id, NULL, work, w)) {
            bed_free(&w->bed);
            break;
        }
        pool->workers++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return pool;
}

int cpu_pool_threads(const cpu_pool *pool)
{
    return pool->workers + 1;
}

void cpu_pool_destroy(cpu_pool *pool)
{
    if (!pool)
        return;
    pool->end = true;
    for (int i = 0; i < pool->workers && getpid() == pool->owner; i++) { /* a child has no threads, and leaves their locks alone */
        worker *w = &pool->worker[i];
        give(w);
        pthread_join(w->id, NULL);
        bed_free(&w->bed);
    }
    if (getpid() == pool->owner)
        bed_free(&pool->bed);
    free(pool);
}
