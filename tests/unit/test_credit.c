/* Publish windows: what a channel may send, and that nothing but the store's backlog narrows it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "queues/credit.h"
#include "queues/queue.h"
#include "queues/ranges.h"

static void test_initial(void **state)
{
    struct credit c;

    (void)state;
    credit_init(&c);
    assert_int_equal(c.granted_messages, CREDIT_INITIAL_MESSAGES);
    assert_int_equal(c.granted_bytes, CREDIT_INITIAL_BYTES);
}

static void test_raise(void **state)
{
    struct credit_pool pool = {.n_channels = 1};
    struct credit c;

    (void)state;
    credit_init(&c);
    credit_take(&c, 10, 100);
    assert_true(credit_raise(&c, &pool));
    assert_int_equal(c.granted_messages, 10 + CREDIT_MAX_MESSAGES);
    assert_int_equal(c.granted_bytes, 100 + CREDIT_MAX_BYTES);
    assert_false(credit_raise(&c, &pool)); /* nothing new: nothing to tell */
    pool.n_channels = 100;
    assert_false(credit_raise(&c, &pool)); /* a grant never goes back */
    assert_int_equal(c.granted_messages, 10 + CREDIT_MAX_MESSAGES);
    pool.n_channels = 100000;
    credit_take(&c, 1100, 100);
    assert_true(credit_raise(&c, &pool));
    assert_int_equal(c.granted_messages, 1110 + CREDIT_INITIAL_MESSAGES);
}

static void test_backlog(void **state)
{
    struct credit_pool pool = {.n_channels = 1, .backlog_messages = CREDIT_QUEUE_MESSAGES};
    struct credit c;

    (void)state;
    credit_init(&c);
    credit_take(&c, 16, 16);
    assert_false(credit_raise(&c, &pool));
    pool.backlog_messages = CREDIT_QUEUE_MESSAGES - 20;
    assert_true(credit_raise(&c, &pool));
    assert_int_equal(c.granted_messages, 16 + 20);
    pool.is_memory_tight = true;
    pool.backlog_messages = 0;
    credit_take(&c, 20, 0);
    assert_true(credit_raise(&c, &pool));
    assert_int_equal(c.granted_messages, 36 + CREDIT_INITIAL_MESSAGES);
}

/* Channels that send all they may never overrun the queue's allowance by more than their minimum,
 * and a window that was emptied is whole again once the backlog has gone. */
static void test_random(void **state)
{
    enum { N = 12 };
    const char *given = getenv("WARREN_SEED");
    struct credit c[N];
    uint64_t sent[N] = {0};
    struct credit_pool pool = {.n_channels = N};
    uint64_t x = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u + 1;

    (void)state;
    print_message("WARREN_SEED=%llu\n", (unsigned long long)x);
    for (int i = 0; i < N; i++)
        credit_init(&c[i]);
    for (int step = 0; step < 50000; step++) {
        uint32_t i, n;

        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        i = (uint32_t)(x >> 20) % N;
        n = (uint32_t)(c[i].granted_messages - sent[i]);
        if (x & 1024) {
            pool.backlog_messages -= pool.backlog_messages / 3;
        } else if (n > 0) {
            n = 1 + (uint32_t)(x >> 40) % n;
            sent[i] += n;
            credit_take(&c[i], n, n);
            pool.backlog_messages += n;
        }
        (void)credit_raise(&c[i], &pool);
        assert_true(sent[i] <= c[i].granted_messages);
        assert_true(pool.backlog_messages <=
                    CREDIT_QUEUE_MESSAGES + N * (uint64_t)CREDIT_MAX_MESSAGES);
    }
    pool.backlog_messages = 0;
    for (int i = 0; i < N; i++) {
        (void)credit_raise(&c[i], &pool);
        assert_true(c[i].granted_messages - sent[i] >= CREDIT_QUEUE_MESSAGES / N);
    }
}

static void test_ranges(void **state)
{
    static const uint64_t in[] = {4, 5, 6, 9, 2, 3, 3};
    static const struct range out[] = {{4, 6}, {9, 9}, {2, 3}, {3, 3}};
    struct ranges r = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(in) / sizeof(*in); i++)
        ranges_add(&r, in[i], realloc);
    assert_int_equal(r.n, 4);
    assert_memory_equal(r.range, out, sizeof(out));
    free(r.range);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_initial), cmocka_unit_test(test_raise),
        cmocka_unit_test(test_backlog), cmocka_unit_test(test_random),
        cmocka_unit_test(test_ranges),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
