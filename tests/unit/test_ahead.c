/* Reading ahead: what is taken is what was asked for last, a failure is told when its batch is taken, and nothing is lost or left running in
 * between. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pudle/random.h>
#include "train/ahead.h"

static pudle_random random_state;

static int64_t between(int64_t low, int64_t high)
{
    return low + (int64_t)pudle_random_below(&random_state, (uint64_t)(high - low + 1));
}

/* A source of numbers that say what was asked; sample -1 cannot be read. */
typedef struct numbers { int reads; sem_t *gate; } numbers; /* gate: NULL, or what a read waits at */

static pudle_status read_numbers(void *self, const pd_request *request, const pd_samples *to)
{
    numbers *n = self;
    n->reads++;
    if (n->gate)
        sem_wait(n->gate);
    for (int64_t i = 0; i < request->count; i++) {
        if (request->index[i] < 0)
            return PUDLE_ERR_IO;
        ((double *)to->x)[i] = (double)(request->index[i] * 1000 + (int64_t)request->epoch * 10 + request->split);
    }
    return PUDLE_OK;
}

enum { MOST = 20 };

static pd_request random_request(int64_t index[MOST])
{
    const pd_request request = { (int)between(0, 1), (uint64_t)between(0, 5), index, between(1, MOST) };
    for (int64_t i = 0; i < request.count; i++)
        index[i] = between(0, 100000);
    return request;
}

static void gives_what_was_asked_for(void **state)
{
    (void)state;
    numbers source = { 0 };
    double place[MOST], want[MOST];
    pd_ahead *ahead = pd_ahead_create(read_numbers, &source, MOST);
    assert_non_null(ahead);
    for (int round = 0; round < 300; round++) {
        int64_t index[MOST], other[MOST];
        pudle_status s = PUDLE_ERR_INTERNAL;
        pd_request request = random_request(index), wrong = random_request(other);
        pd_ahead_ask(ahead, &request, &(pd_samples){ .x = place });
        switch (between(0, 4)) {
        case 0: /* another one is asked for before the first is taken */
            pd_ahead_ask(ahead, &wrong, &(pd_samples){ .x = place });
            assert_true(pd_ahead_take(ahead, &wrong, &s));
            request = wrong;
            break;
        case 1: /* another one is wanted: what was read is forgotten */
            wrong = request;
            if (between(0, 1))
                wrong.epoch++;
            else
                wrong.split = 1 - wrong.split;
            assert_false(pd_ahead_take(ahead, &wrong, &s));
            assert_false(pd_ahead_take(ahead, &request, &s));
            continue;
        case 2:
            memcpy(other, index, sizeof other);
            wrong = request;
            wrong.index = other;
            other[between(0, request.count - 1)]++;
            assert_false(pd_ahead_take(ahead, &wrong, &s));
            continue;
        default: {
            int64_t again[MOST]; /* the request was copied */
            pd_request same = request;
            memcpy(again, index, sizeof again);
            same.index = again;
            assert_true(pd_ahead_take(ahead, &same, &s));
        }
        }
        assert_int_equal(s, PUDLE_OK);
        assert_int_equal(read_numbers(&(numbers){ 0 }, &request, &(pd_samples){ .x = want }), PUDLE_OK);
        assert_memory_equal(place, want, (size_t)request.count * sizeof *want);
        assert_false(pd_ahead_take(ahead, &request, &s)); /* once */
    }
    pd_ahead_destroy(ahead);
}

static void failure_is_that_of_its_batch(void **state)
{
    (void)state;
    numbers source = { 0 };
    double place[MOST];
    pd_ahead *ahead = pd_ahead_create(read_numbers, &source, MOST);
    const int64_t bad[] = { 4, -1, 5 }, good[] = { 4, 3, 5 };
    const pd_request one = { 0, 0, bad, 3 }, two = { 0, 0, good, 3 };
    pudle_status s = PUDLE_OK;
    assert_non_null(ahead);
    pd_ahead_ask(ahead, &one, &(pd_samples){ .x = place });
    assert_true(pd_ahead_take(ahead, &one, &s));
    assert_int_equal(s, PUDLE_ERR_IO);
    pd_ahead_ask(ahead, &two, &(pd_samples){ .x = place });
    assert_true(pd_ahead_take(ahead, &two, &s));
    assert_int_equal(s, PUDLE_OK);
    pd_ahead_destroy(ahead);
}

/* The caller goes on while a read waits, and at the end one that was begun is waited for. */
static void reads_meanwhile(void **state)
{
    (void)state;
    sem_t gate;
    numbers source = { 0, &gate };
    double place[MOST];
    const int64_t index[] = { 7 };
    const pd_request request = { 0, 0, index, 1 };
    assert_int_equal(sem_init(&gate, 0, 0), 0);
    pd_ahead *ahead = pd_ahead_create(read_numbers, &source, MOST);
    assert_non_null(ahead);
    pd_ahead_ask(ahead, &request, &(pd_samples){ .x = place });
    sem_post(&gate); /* only now can it go on */
    pd_ahead_destroy(ahead);
    assert_int_equal(source.reads, 1);
    assert_true(place[0] == 7000);
    sem_destroy(&gate);
    pd_ahead_destroy(NULL);
}

static int set_up(void **state)
{
    (void)state;
    const char *given = getenv("PUDLE_TEST_SEED");
    const uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)getpid() * 2654435761u;
    print_message("# seed %llu (set PUDLE_TEST_SEED to repeat)\n", (unsigned long long)seed);
    random_state = pudle_random_at(seed, 1, 0, 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(gives_what_was_asked_for), cmocka_unit_test(failure_is_that_of_its_batch),
                                        cmocka_unit_test(reads_meanwhile) };
    return cmocka_run_group_tests_name("ahead", tests, set_up, NULL);
}
