/* The cpu backend's pool of threads: every part once, on any number of threads, after any pause, in a child process as well. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "backend/cpu/pool.h"

enum { PARTS = 300 };

typedef struct tally {
    _Atomic int times[PARTS];
    _Atomic int wrong;
    int threads;
} tally;

static void count(void *ctx, int64_t part, int thread)
{
    tally *t = ctx;
    atomic_fetch_add(&t->times[part], 1);
    if (thread < 0 || thread >= t->threads)
        atomic_fetch_add(&t->wrong, 1);
    for (volatile int i = 0; i < rand() % 200; i++)
        ;
}

static void rest(long nanoseconds)
{
    nanosleep(&(struct timespec){ .tv_nsec = nanoseconds }, NULL);
}

static void every_part_once(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 5; threads++) {
        cpu_pool *pool = cpu_pool_create(threads);
        assert_non_null(pool);
        assert_int_equal(cpu_pool_threads(pool), threads);
        for (int turn = 0; turn < 400; turn++) {
            tally t = { .threads = 1 + rand() % threads };
            const int64_t parts = rand() % PARTS;
            cpu_pool_run(pool, t.threads, parts, count, &t);
            for (int64_t i = 0; i < PARTS; i++)
                assert_int_equal(t.times[i], i < parts);
            assert_int_equal(t.wrong, 0);
            if (turn % 40 == 0)
                rest(1000000 * (rand() % 8)); /* across the time after which threads sleep */
        }
        cpu_pool_destroy(pool);
    }
    cpu_pool_destroy(NULL);
}

static void slow(void *ctx, int64_t part, int thread)
{
    (void)thread;
    rest(part ? 12000000 : 1000);
    atomic_fetch_add((_Atomic int *)ctx, 1);
}

/* The caller sleeps while others still work. */
static void long_parts(void **state)
{
    (void)state;
    cpu_pool *pool = cpu_pool_create(3);
    _Atomic int done = 0;
    cpu_pool_run(pool, 3, 7, slow, &done);
    assert_int_equal(done, 7);
    cpu_pool_destroy(pool);
}

typedef struct deal {
    _Atomic int begun, first[4]; /* first: 1 + the part that a thread took first; or the caller's number of parts, and who had part 0 */
    int threads;
} deal;

static void take_first(void *ctx, int64_t part, int thread)
{
    deal *d = ctx;
    int none = 0;
    if (!atomic_compare_exchange_strong(&d->first[thread], &none, (int)part + 1))
        return;
    atomic_fetch_add(&d->begun, 1);
    while (atomic_load(&d->begun) < d->threads) /* so that nobody is done, and takes from others, before all have begun */
        rest(10000);
}

/* A thread begins with the same part in every region: what that wrote before is in its cache. */
static void the_same_parts_again(void **state)
{
    (void)state;
    cpu_pool *pool = cpu_pool_create(4);
    assert_int_equal(cpu_pool_threads(pool), 4);
    for (int turn = 0; turn < 20; turn++)
        for (int threads = 2; threads <= 4; threads++) {
            deal d = { .threads = threads };
            const int parts = threads + rand() % 30;
            cpu_pool_run(pool, threads, parts, take_first, &d);
            for (int i = 0; i < threads; i++)
                assert_int_equal(d.first[i] - 1, parts * i / threads);
        }
    cpu_pool_destroy(pool);
}

static void hold_the_first(void *ctx, int64_t part, int thread)
{
    deal *d = ctx;
    while (part == 0 && atomic_load(&d->begun) < d->threads) /* all parts but this one, by others */
        rest(10000);
    atomic_fetch_add(&d->begun, 1);
    atomic_fetch_add(&d->first[0], thread == 0);
    if (part == 0)
        d->first[1] = thread;
}

/* A thread that is held up by one part has the rest of its run done by the others. */
static void others_help(void **state)
{
    (void)state;
    cpu_pool *pool = cpu_pool_create(3);
    assert_int_equal(cpu_pool_threads(pool), 3);
    for (int turn = 0; turn < 20; turn++) {
        deal d = { .threads = 19 + rand() % 30 };
        cpu_pool_run(pool, 3, d.threads + 1, hold_the_first, &d);
        assert_int_equal(d.begun, d.threads + 1);
        assert_true(d.first[0] == 1 || d.first[1] != 0); /* the caller was so late that another had come to part 0 */
    }
    cpu_pool_destroy(pool);
}

/* A child process has none of the threads, and works alone. */
static void a_child_works_alone(void **state)
{
    (void)state;
    cpu_pool *pool = cpu_pool_create(4);
    tally t = { .threads = 4 };
    cpu_pool_run(pool, 4, PARTS, count, &t);
    const pid_t child = fork();
    if (child == 0) {
        tally own = { .threads = 1 };
        int good = 1;
        cpu_pool_run(pool, 4, PARTS, count, &own);
        for (int i = 0; i < PARTS; i++)
            good = good && own.times[i] == 1;
        cpu_pool_destroy(pool);
        _exit(good && !own.wrong ? 0 : 1);
    }
    int status = 1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    cpu_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_part_once),
        cmocka_unit_test(long_parts),
        cmocka_unit_test(the_same_parts_again),
        cmocka_unit_test(others_help),
        cmocka_unit_test(a_child_works_alone),
    };
    return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
