/* Learning rate and decay schedules against values worked out by hand. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "train/schedule.h"

static void assert_near(double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-14))
        fail_msg("%.17g is not %.17g", value, expected);
}

static void constant(void **state)
{
    (void)state;
    for (int64_t at = 0; at < 10; at++)
        assert_true(pd_rate_at(PD_SCHEDULE_CONSTANT, 0.3, 2, 0.5, 0.1, at, 10) == 0.3);
}

static void steps(void **state)
{
    (void)state;
    const double expected[] = { 1, 1, 1, 0.1, 0.1, 0.1, 0.01 };
    for (int64_t at = 0; at < 7; at++)
        assert_near(pd_rate_at(PD_SCHEDULE_STEP, 1, 3, 0.1, 0, at, 7), expected[at]);
    assert_true(pd_rate_at(PD_SCHEDULE_STEP, 1, 0, 0.1, 0, 100, 200) == 1);
}

static void cosine(void **state)
{
    (void)state;
    assert_true(pd_rate_at(PD_SCHEDULE_COSINE, 1, 0, 0, 0.2, 0, 5) == 1);
    assert_near(pd_rate_at(PD_SCHEDULE_COSINE, 1, 0, 0, 0.2, 1, 5), 0.2 + 0.4 * (1 + sqrt(0.5)));
    assert_near(pd_rate_at(PD_SCHEDULE_COSINE, 1, 0, 0, 0.2, 2, 5), 0.6);
    assert_true(pd_rate_at(PD_SCHEDULE_COSINE, 1, 0, 0, 0.2, 4, 5) == 0.2);
    assert_true(pd_rate_at(PD_SCHEDULE_COSINE, 1, 0, 0, 0.2, 9, 5) == 0.2);
    for (int64_t length = -1; length < 2; length++)
        assert_true(pd_rate_at(PD_SCHEDULE_COSINE, 1, 0, 0, 0.2, 0, length) == 1);
    for (int64_t at = 1; at < 1000; at++)
        assert_true(pd_rate_at(PD_SCHEDULE_COSINE, 1, 0, 0, 0.2, at, 1000) <
                    pd_rate_at(PD_SCHEDULE_COSINE, 1, 0, 0, 0.2, at - 1, 1000));
}

/* The baselines of the paper: beta 1, minus 0.005 every 100 updates. */
static void decay(void **state)
{
    (void)state;
    assert_true(pd_decay_at(1, -0.005, 100, 0) == 1);
    assert_true(pd_decay_at(1, -0.005, 100, 99) == 1);
    assert_near(pd_decay_at(1, -0.005, 100, 100), 0.995);
    assert_near(pd_decay_at(1, -0.005, 100, 999), 0.955);
    assert_near(pd_decay_at(1, -0.005, 100, 1000), 0.95);
    assert_true(pd_decay_at(0.9, -0.5, 10, 20) == 0);
    assert_true(pd_decay_at(0.9, -0.5, 0, 1000) == 0.9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constant),
        cmocka_unit_test(steps),
        cmocka_unit_test(cosine),
        cmocka_unit_test(decay),
    };
    return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
