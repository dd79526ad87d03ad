/*
 * Rings of samples against a naive model, and what they say of rates.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/front_end_kit.h"

#include "broker/runtime/alloc.h"
#include "mgmt/series.h"

enum { TICKS = 30000, STEP_MS = 5000, POINTS = 4096 };

static uint64_t model[TICKS][3]; /* time and both values of each tick */

static void fill(struct series *s, int n, uint64_t *seed)
{
    model[0][0] = 1000000;
    model[0][1] = 7;
    model[0][2] = 1000;
    for (int i = 0; i < n; i++) {
        if (i > 0) {
            model[i][0] = model[i - 1][0] + STEP_MS;
            model[i][1] = model[i - 1][1] + below(seed, 1000);
            model[i][2] = below(seed, 2000);
        }
        series_add(s, (int64_t)model[i][0], &model[i][1]);
    }
}

static void test_rates(void **state)
{
    struct series *s = series_new(SERIES_SHORT, 2, STEP_MS);
    uint64_t values[2] = {100, 50};

    (void)state;
    assert_true(series_rate(NULL, 1) == 0);
    assert_true(series_rate(s, 1) == 0);
    assert_false(series_is_at(s, values));
    series_add(s, 10000, values);
    assert_true(series_rate(s, 1) == 0);
    assert_true(series_is_at(s, values));
    values[0] = 150;
    values[1] = 40;
    assert_false(series_is_at(s, values));
    series_add(s, 15000, values);
    assert_true(series_rate(s, 1) == 10);
    assert_true(series_rate(s, 2) == -2);
    assert_true(series_rate(s, 3) == 8);
    series_add(s, 14000, values); /* the clock was set back */
    assert_true(series_rate(s, 1) == 0);
    assert_int_equal(series_count(s), 3);
    rt_free(s);
}

/* Each point is a sample of the model, the newest first, each step apart, as far back as asked. */
static void check_points(const struct series *s, int n, uint64_t age_s, uint64_t incr_s)
{
    static struct series_point point[POINTS];
    const struct series_range range = {age_s, incr_s};
    size_t n_points = series_points(s, 3, &range, point, POINTS), i;
    int64_t newest = point[0].at_ms;

    assert_true(n_points > 0);
    for (i = 0; i < n_points; i++) {
        int at = (int)((point[i].at_ms - 1000000) / STEP_MS);

        assert_in_range(at, 0, n - 1);
        assert_int_equal(point[i].at_ms, (int64_t)model[at][0]);
        assert_int_equal(point[i].value, model[at][1] + model[at][2]);
        assert_true(newest - point[i].at_ms <= (int64_t)age_s * 1000);
        if (i > 0)
            assert_true(point[i - 1].at_ms - point[i].at_ms >= (int64_t)incr_s * 1000);
    }
    /* It goes back to the beginning of the range or of the series, but for one step of its ring. */
    i = n_points - 1;
    assert_true(newest - point[i].at_ms + 1800 * 1000 + (int64_t)incr_s * 1000 >=
                    (int64_t)age_s * 1000 ||
                point[i].at_ms - 1000000 <= 1800 * 1000);
}

static void test_against_model(void **state)
{
    uint64_t seed = seed_new();

    (void)state;
    for (int n = 1; n <= TICKS; n = n * 2 + (int)below(&seed, 3)) {
        struct series *s = series_new(SERIES_LONG, 2, STEP_MS);

        fill(s, n, &seed);
        check_points(s, n, 60, 5);
        check_points(s, n, 600, 5);
        check_points(s, n, 3600, 60);
        check_points(s, n, 28800, 600);
        check_points(s, n, 86400, 1800);
        rt_free(s);
    }
}

static void test_short_range_is_complete(void **state)
{
    struct series *s = series_new(SERIES_SHORT, 2, STEP_MS);
    const struct series_range range = {60, 5};
    struct series_point point[20];
    uint64_t seed = seed_new();

    (void)state;
    fill(s, 100, &seed);
    assert_int_equal(series_points(s, 1, &range, point, 20), 13); /* both ends of a minute */
    assert_int_equal(point[0].value, model[99][1]);
    assert_int_equal(point[12].value, model[87][1]);
    assert_int_equal(series_points(s, 1, &range, point, 5), 5);
    rt_free(s);
}

static void test_an_hour(void **state)
{
    struct series *s = series_new(SERIES_HOUR, 2, STEP_MS);
    struct series *minute = series_new(SERIES_SHORT, 2, STEP_MS);
    const struct series_range hour = {3600, 60}, fine = {60, 5};
    struct series_point point[100];
    uint64_t seed = seed_new();

    (void)state;
    assert_int_equal(series_reach_s(s), 3600);
    assert_int_equal(series_reach_s(minute), 60);
    rt_free(minute);
    fill(s, 1000, &seed);
    check_points(s, 1000, 60, 5);
    check_points(s, 1000, 3600, 60);
    assert_int_equal(series_points(s, 1, &hour, point, 100), 61); /* both ends */
    assert_int_equal(point[0].at_ms - point[60].at_ms, 3600 * 1000);
    assert_int_equal(series_points(s, 1, &fine, point, 100), 13);
    rt_free(s);
}

/* A minute is a minute with ticks of a second, too. */
static void test_quick_ticks(void **state)
{
    struct series *s = series_new(SERIES_HOUR, 2, 1000);
    const struct series_range range = {60, 5}, each = {60, 1};
    struct series_point point[100];

    (void)state;
    for (uint64_t i = 0; i < 100; i++)
        series_add(s, (int64_t)(5000000 + i * 1000), (uint64_t[]){i, 2 * i});
    assert_int_equal(series_points(s, 1, &each, point, 100), 61);
    assert_int_equal(series_points(s, 2, &range, point, 100), 13);
    assert_int_equal(point[0].value, 198);
    assert_int_equal(point[12].value, 2 * 39);
    rt_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_against_model),
        cmocka_unit_test(test_short_range_is_complete),
        cmocka_unit_test(test_an_hour),
        cmocka_unit_test(test_quick_ticks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
