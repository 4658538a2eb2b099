/* What a report is made of: round ticks, series thinned without loss of extremes, text that is safe in a page, and tables read row by row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "scratch.h"
#include "markup.h"
#include "plot_svg.h"
#include "report_series.h"
#include <math.h>

/* -------------------------------------------------------------------------- ticks */

static bool is_near(double a, double b)
{
    return fabs(a - b) <= 1e-9 * (fabs(a) + fabs(b));
}

static void assert_ticks(int count, const double *tick, int wanted, const double *list)
{
    assert_int_equal(count, wanted);
    for (int i = 0; i < count; i++)
        if (!is_near(tick[i], list[i]))
            fail_msg("tick %d is %.17g, wanted %.17g", i, tick[i], list[i]);
}

static void test_even_ticks(void **state)
{
    (void)state;
    double tick[PLOT_TICKS];
    assert_ticks(plot_ticks_even(0, 100, 6, tick), tick, 6, (const double[]){ 0, 20, 40, 60, 80, 100 });
    assert_ticks(plot_ticks_even(-0.31, 0.29, 6, tick), tick, 3, (const double[]){ -0.2, 0, 0.2 });
    assert_ticks(plot_ticks_even(1.001, 1.0049, 6, tick), tick, 4, (const double[]){ 1.001, 1.002, 1.003, 1.004 });
    assert_ticks(plot_ticks_even(0, 199999, 9, tick), tick, 4, (const double[]){ 0, 50000, 100000, 150000 });
    for (int i = 0; i < 10000; i++) { /* whatever the range: at least two, evenly spaced, round, inside */
        const double size = pow(10, 40 * pudle_random_uniform(&dice) - 20), low = size * pudle_random_normal(&dice), high = low + size * (1e-3 + pudle_random_uniform(&dice));
        const int count = plot_ticks_even(low, high, 6, tick);
        assert_true(count >= 2 && count <= 6);
        const double step = tick[1] - tick[0], digit = step / pow(10, floor(log10(step) + 1e-4));
        assert_true(fabs(digit - 1) < 1e-3 || fabs(digit - 2) < 1e-3 || fabs(digit - 5) < 1e-3);
        assert_true(tick[0] >= low - 1e-6 * size && tick[count - 1] <= high + 1e-6 * size);
    }
    assert_int_equal(plot_ticks_even(0, 5e-324, 6, tick), 0); /* and it ends */
    assert_true(plot_ticks_even(-1.7e308, 1.7e308, 6, tick) >= 2);
}

static void test_log_ticks(void **state)
{
    (void)state;
    double tick[PLOT_TICKS];
    assert_ticks(plot_ticks_log(0.02, 1.5, 8, tick), tick, 6, (const double[]){ 0.02, 0.05, 0.1, 0.2, 0.5, 1 });
    assert_ticks(plot_ticks_log(0.9e-3, 11, 8, tick), tick, 5, (const double[]){ 1e-3, 1e-2, 1e-1, 1, 10 });
    assert_ticks(plot_ticks_log(1e-12, 1e12, 8, tick), tick, 7, (const double[]){ 1e-12, 1e-8, 1e-4, 1, 1e4, 1e8, 1e12 });
    assert_true(plot_is_log(1, 100) && !plot_is_log(1, 10) && !plot_is_log(0, 100) && !plot_is_log(-1, 100));
}

static void test_numbers(void **state)
{
    static const struct { double value; const char *text; } list[] = {
        { 0, "0" }, { 0.05, "0.05" }, { 1000, "1000" }, { 20000, "20k" }, { -150000, "-150k" }, { 1.5e6, "1.5M" }, { 1e-6, "1e-6" }, { 2e-15, "2e-15" }, { 1e12, "1e12" },
        { 1e100, "1e100" },
    };
    char text[PLOT_NUMBER];
    (void)state;
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        assert_string_equal(plot_number(list[i].value, text), list[i].text);
}

/* ----------------------------------------------------------------------- thinning */

static void test_short_series(void **state)
{
    (void)state;
    report_series s;
    plot_point point[4 * 8];
    assert_worked(report_series_open(ctx, 8, &s));
    for (int i = 0; i < 8; i++)
        report_series_add(&s, i, i * i);
    report_series_add(&s, 8, NAN);
    report_series_add(&s, 9, INFINITY);
    assert_int_equal(report_series_points(&s, point), 8);
    for (int i = 0; i < 8; i++)
        assert_true(point[i].x == i && point[i].y == i * i);
    assert_true(s.low == 0 && s.high == 49 && s.values == 8 && s.last.x == 7);
    report_series_close(&s);
}

static void test_long_series(void **state)
{
    enum { ROOM = 64, COUNT = 100003 };
    static double value[COUNT];
    (void)state;
    fill_random(value, PUDLE_F64, COUNT);
    value[31417] = 1000;
    value[70001] = -1000;
    report_series s;
    plot_point point[REPORT_POINTS * ROOM], mean[REPORT_STRETCHES];
    assert_worked(report_series_open(ctx, ROOM, &s));
    double sum = 0;
    for (int i = 0; i < COUNT; i++) {
        report_series_add(&s, 3.0 * i, value[i]);
        sum += value[i];
    }
    assert_true(s.used <= ROOM && s.used >= ROOM / 2);
    const int count = report_series_points(&s, point);
    bool high = false, low = false;
    assert_true(count <= REPORT_POINTS * s.used);
    for (int i = 0; i < count; i++) {
        assert_true(i == 0 || point[i].x > point[i - 1].x);
        high |= point[i].x == 3.0 * 31417 && point[i].y == 1000;
        low |= point[i].x == 3.0 * 70001 && point[i].y == -1000;
    }
    assert_true(high && low && point[0].x == 0 && point[count - 1].x == 3.0 * (COUNT - 1));
    double total = 0;
    const int stretches = report_series_stretches(&s, mean);
    assert_true(stretches == s.used); /* fewer than REPORT_STRETCHES */
    for (int i = 0; i < stretches; i++)
        total += mean[i].y * (double)(i + 1 < stretches ? s.width : COUNT - (stretches - 1) * s.width);
    assert_true(fabs(total - sum) < 1e-6 * (1 + fabs(sum)));
    report_series_close(&s);
}

/* ----------------------------------------------------------------------- escaping */

static FILE *begin(void)
{
    FILE *to = fopen(in_folder("text"), "wb");
    assert_non_null(to);
    return to;
}

static void assert_written(FILE *to, const char *wanted)
{
    size_t size = 0;
    assert_int_equal(fclose(to), 0);
    unsigned char *got = get_file(in_folder("text"), &size);
    assert_int_equal(size, strlen(wanted));
    assert_memory_equal(got, wanted, size);
    free(got);
}

static void test_escaping(void **state)
{
    static const struct { const char *text, *wanted; } list[] = {
        { "a<b>&\"c'", "a&lt;b&gt;&amp;&quot;c&#39;" },
        { "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
        { "a\x01\x7f\xff" "b", "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" "b" },
        { "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd" },                 /* a slash in two bytes */
        { "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" }, /* half a pair */
        { "\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd" },                 /* cut off */
    };
    (void)state;
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        FILE *to = begin();
        markup_text(to, list[i].text);
        assert_written(to, list[i].wanted);
    }
    assert_int_equal(markup_length("\xc3\xa4<\xff"), 3);
    FILE *to = begin();
    markup_short(to, "0123456789\xc3\xa4\xc3\xa4\xc3\xa4", 7);
    assert_written(to, "012\xe2\x80\xa6\xc3\xa4\xc3\xa4\xc3\xa4");
}

static void test_base64(void **state)
{
    static const char *const wanted[] = { "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy" }; /* RFC 4648, section 10 */
    (void)state;
    for (size_t i = 0; i < 7; i++) {
        FILE *to = begin();
        markup_base64(to, (const unsigned char *)"foobar", i);
        assert_written(to, wanted[i]);
    }
}

/* ------------------------------------------------------------------------- tables */

static pudle_status read_text(const char *text, report_table *t)
{
    put_file(in_folder("metrics.csv"), text, strlen(text));
    return report_table_read(ctx, in_folder("metrics.csv"), 8, t);
}

static void test_table(void **state)
{
    (void)state;
    report_table t;
    assert_worked(read_text("update,epoch,loss,gradient_norm,prox.lambda,dead,seconds\n0,0,4,1,0.5,,0.5\n2,0,2,1,0.25,,1\n4,1,1,1,0.25,,1.5\n6,2,7,,0.2,,2\n8,2,9", &t));
    assert_true(t.rows == 4 && t.update == 6 && t.seconds == 2); /* the last line is torn */
    assert_non_null(report_table_find(&t, "prox.lambda"));
    assert_null(report_table_find(&t, "dead"));
    assert_null(report_table_find(&t, "seconds"));
    assert_true(report_table_find(&t, "loss")->last.y == 7);
    assert_true(t.loss.epochs == 2 && t.loss.series.bucket[0].first.y == 3 && t.loss.series.bucket[0].first.x == 1); /* without the closing row */
    report_table_close(&t);
}

static void test_broken_tables(void **state)
{
    static const struct { const char *text, *where, *what; } list[] = {
        { "", "metrics.csv", "is empty" },
        { "a,b\n1,2\n", "metrics.csv:1", "no column update" },
        { "update,epoch,loss,loss\n", "metrics.csv:1", "loss is there twice" },
        { "update,epoch,loss\n0,0,1\n1,0,1x\n", "metrics.csv:3", "loss is \"1x\"" },
        { "update,epoch,loss\n0,0,1\n1,0\n", "metrics.csv:3", "loss is missing" },
        { "update,epoch,loss\n0,0,1,2\n", "metrics.csv:2", "more cells" },
        { "update,epoch,loss\n-1,0,1\n", "metrics.csv:2", "update is \"-1\"" },
        { "update,epoch,loss\n1.5,0,1\n", "metrics.csv:2", "whole number" },
        { "update,epoch,loss\n5,0,1\n5,0,1\n", "metrics.csv:3", "above that of the row before" },
        { "update,epoch,loss\n\n", "metrics.csv:2", "update is \"\"" },
    };
    report_table t;
    (void)state;
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        assert_failed(read_text(list[i].text, &t), PUDLE_ERR_CONFIG, list[i].where, list[i].what);
        report_table_close(&t);
    }
    put_file(in_folder("metrics.csv"), "update,epoch\n0,0\n1\0,0\n2,0\n", 26);
    assert_failed(report_table_read(ctx, in_folder("metrics.csv"), 8, &t), PUDLE_ERR_CONFIG, "metrics.csv:3", "zero byte");
    report_table_close(&t);
    static char longest[40000];
    memset(longest, '1', sizeof longest);
    put_file(in_folder("metrics.csv"), longest, sizeof longest);
    assert_failed(report_table_read(ctx, in_folder("metrics.csv"), 8, &t), PUDLE_ERR_CONFIG, "metrics.csv:1", "longer");
    report_table_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_even_ticks), TEST(test_log_ticks), TEST(test_numbers), TEST(test_short_series), TEST(test_long_series), TEST(test_escaping), TEST(test_base64),
        TEST(test_table), TEST(test_broken_tables),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
