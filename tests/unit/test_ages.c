/*
 * Ages of messages by marks, against a model that knows when each came.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "queues/ages.h"

enum { SECOND = 1000 * 1000, MESSAGES = 200000 };

static void *resize(void *p, size_t size)
{
    void *ret = realloc(p, size);

    assert_non_null(ret);
    return ret;
}

static void take(struct ages *a, uint64_t next, uint64_t oldest, uint64_t now_us)
{
    if (ages_is_due(a, now_us))
        ages_mark(a, next, oldest, now_us, resize);
    assert_in_range(a->n, 1, AGES_MARKS);
}

static void test_none_before_the_first_mark(void **state)
{
    struct ages a = {0};
    uint64_t us;

    (void)state;
    assert_false(ages_find(&a, 1, &us));
    take(&a, 10, 3, 5 * SECOND);
    assert_false(ages_find(&a, 9, &us));
    assert_true(ages_find(&a, 10, &us));
    assert_int_equal(us, 5 * SECOND);
    free(a.mark);
}

static void test_an_empty_queue_begins_anew(void **state)
{
    struct ages a = {0};
    uint64_t us;

    (void)state;
    for (uint64_t i = 1; i < 1000; i++)
        take(&a, i, 1, i * 10 * SECOND);
    take(&a, 5000, 5000, 20000ULL * SECOND);
    assert_int_equal(a.n, 1);
    assert_int_equal(a.grain_us, AGES_GRAIN_US);
    assert_true(ages_find(&a, 5000, &us));
    assert_int_equal(us, 20000ULL * SECOND);
    free(a.mark);
}

/* A queue that grows and shrinks at random: never younger than said, and wrong by little. */
static void test_against_model(void **state)
{
    static uint64_t came_us[MESSAGES];
    uint64_t now_us = SECOND, oldest = 0, us;
    struct ages a = {0};
    unsigned seed = 7, checked = 0;

    (void)state;
    for (uint64_t next = 0; next < MESSAGES; next++) {
        now_us += (uint64_t)rand_r(&seed) % (SECOND / 2);
        if (rand_r(&seed) % 3 && oldest < next)
            oldest += (uint64_t)rand_r(&seed) % 3;
        if (oldest > next)
            oldest = next;
        take(&a, next, oldest, now_us);
        came_us[next] = now_us;
        assert_true(ages_find(&a, oldest, &us));
        assert_true(us <= came_us[oldest]);
        /* Two marks are apart by an eighth of what all span, at the most, or by the grain. */
        assert_true(came_us[oldest] - us <= 2 * SECOND + (now_us - us) / 8);
        checked++;
    }
    assert_int_equal(checked, MESSAGES);
    free(a.mark);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_none_before_the_first_mark),
        cmocka_unit_test(test_an_empty_queue_begins_anew),
        cmocka_unit_test(test_against_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
