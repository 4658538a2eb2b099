/* What a list of durations is summed up to; the work of a network against sums written out by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "speed/speed.h"
#include <math.h>

static void near(double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-12 * (1 + fabs(expected))))
        fail_msg("%.17g is not %.17g", value, expected);
}

static void test_times(void **state)
{
    (void)state;
    static const double values[] = { 5, 1, 4, 2, 30, 3, 6, 7 };
    pd_durations list = { 0 };
    const pd_times none = pd_durations_sum_up(&list);
    assert_int_equal(none.count, 0);
    near(none.median, 0);
    assert_int_equal(pd_durations_add(NULL, &list, 5), PUDLE_OK);
    const pd_times one = pd_durations_sum_up(&list);
    near(one.median, 5);
    near(one.least, 5);
    near(one.spread, 0);
    for (size_t i = 1; i < sizeof values / sizeof *values; i++)
        assert_int_equal(pd_durations_add(NULL, &list, values[i]), PUDLE_OK);
    const pd_times all = pd_durations_sum_up(&list); /* 1 2 3 4 5 6 7 30: quartiles at places 1.75 and 5.25 */
    assert_int_equal(all.count, 8);
    near(all.median, 4.5);
    near(all.least, 1);
    near(all.spread, (6.25 - 2.75) / 4.5);
    pd_durations_free(&list);
    for (int i = 0; i < 1000; i++) /* more than the list begins with */
        assert_int_equal(pd_durations_add(NULL, &list, 999 - i), PUDLE_OK);
    near(pd_durations_sum_up(&list).median, 499.5);
    pd_durations_free(&list);
}

/* A problem with sizes alone. */
typedef struct shape { pd_settings settings; pd_problem problem; } shape;

static void make(shape *s, int64_t T, int64_t K, bool matrix)
{
    static const int64_t dense[] = { 7, 11 }, filters[] = { 3, 1, 2, 2 };
    *s = (shape){ .settings.train.optimizer = PD_OPTIMIZER_ADAM };
    s->problem = (pd_problem){ .settings = &s->settings, .dtype = PUDLE_F32, .net = { .layers = T, .depth = K } };
    pd_map *map = &s->problem.net.map;
    map->matrix = matrix;
    map->features = matrix ? 7 : 30;
    map->code = matrix ? 11 : 60;
    map->atoms = matrix ? 11 : 3;
    s->problem.net.dictionary.value = matrix ? pd_view(NULL, PUDLE_F32, 2, dense) : pd_view(NULL, PUDLE_F32, 4, filters);
    s->problem.net.effective.value = s->problem.net.dictionary.value;
}

static void test_dense_work(void **state)
{
    (void)state;
    shape s;
    pd_speed_work w;
    make(&s, 5, 5, true);
    pd_speed_work_of(&s.problem, 13, 2, &w);
    const double product = 2.0 * 13 * 7 * 11;
    near(w.forward_flops, product * 11);
    near(w.update_flops, product * (11 + 2 + 20));
    const double P = 77 + 13 * 18, O = 2 * 77 + 13 * 18, np = 13 * 11, nm = 13 * 7;
    near(w.update_bytes, 4 * (5 * (2 * P + 3 * np + 3 * nm) + P + 3 * nm + O + 7 * 77 + P + 5 * (2 * P + 2 * O + 4 * np + 5 * nm)));
    make(&s, 5, 0, true); /* the decoder alone */
    s.settings.train.normalize = true;
    pd_speed_work_of(&s.problem, 13, 2, &w);
    near(w.update_flops, product * 12);
    near(w.update_bytes, 4 * (5 * (2 * P + 3 * np + 3 * nm) + P + 3 * nm + O + 10 * 77));
    near(w.least_bytes, 4 * (nm + 12 * 77));
    make(&s, 5, 2, false);
    pd_speed_work_of(&s.problem, 13, 2, &w);
    near(w.update_flops, 2.0 * 13 * 60 * 4 * (11 + 2 + 8));
}

static void test_bound(void **state)
{
    (void)state;
    shape s;
    pd_speed_work w;
    make(&s, 5, 5, true);
    pd_speed_work_of(&s.problem, 13, 2, &w);
    const double n = 13, m = 7, p = 11, T = 5, q = 2 * m, decoder = 3 * n * q;
    const double direct = n * (p * m + (T - 1) * (q + p * m)) + 4 * n * T * q;
    const double outer = fmin(2 * n * T * q, n * T * 4 + m * p * p);
    const double gram = p * p * m / 2 + n * p * m + n * (T - 1) * p * 2 + n * T * 4 + outer + n * q;
    assert_true(gram < direct);
    near(w.least_flops, 2 * (decoder + gram));
    make(&s, 5, 2, false);
    pd_speed_work_of(&s.problem, 13, 6, &w);
    near(w.least_flops, 2 * n * (3 * 24 + 240 + 4 * (24 + 240) + 4 * 2 * 24));
    for (int full = 0; full < 2; full++) { /* never more than the dense work, and less with fewer nonzeros */
        double previous = 0;
        for (int nonzeros = 0; nonzeros <= 11; nonzeros++) {
            make(&s, 5, full ? 5 : 0, true);
            pd_speed_work_of(&s.problem, 13, nonzeros, &w);
            assert_true(w.least_flops <= w.update_flops && w.least_flops >= previous);
            previous = w.least_flops;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_times), cmocka_unit_test(test_dense_work), cmocka_unit_test(test_bound) };
    return cmocka_run_group_tests_name("speed", tests, NULL, NULL);
}
