/* Turns of consumers: fair among equals, by priority, within permits, prefetch and exclusiveness.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "queues/consumers.h"

static struct consumer make(uint16_t prefetch, int32_t priority, uint64_t window)
{
    return (struct consumer){.prefetch = prefetch,
                             .priority = priority,
                             .window_messages = window,
                             .window_bytes = 1 << 30};
}

/* Delivers one message; who got it. */
static struct consumer *deliver(struct consumers *cs)
{
    struct consumer *c = consumers_pick(cs);

    if (!c)
        return NULL;
    if (!c->no_ack)
        c->holder.n++;
    consumers_sent(cs, c, 10);
    return c;
}

static void test_round_robin(void **state)
{
    struct consumers cs = {0};
    struct consumer c[3] = {make(0, 0, 100), make(0, 0, 100), make(0, 0, 100)};

    (void)state;
    for (int i = 0; i < 3; i++)
        consumers_add(&cs, &c[i]);
    for (int i = 0; i < 30; i++)
        assert_ptr_equal(deliver(&cs), &c[i % 3]);
    consumers_remove(&cs, &c[1]);
    for (int i = 0; i < 10; i++)
        assert_ptr_equal(deliver(&cs), &c[i % 2 ? 2 : 0]);
    assert_int_equal(cs.n, 2);
}

static void test_prefetch_and_window(void **state)
{
    struct consumers cs = {0};
    struct consumer a = make(2, 0, 3);

    (void)state;
    consumers_add(&cs, &a);
    assert_non_null(deliver(&cs));
    assert_non_null(deliver(&cs));
    assert_null(deliver(&cs)); /* prefetch is full */
    a.holder.n = 0;
    consumers_settled(&cs, &a);
    assert_non_null(deliver(&cs));
    assert_null(deliver(&cs)); /* the window is spent */
    consumers_permit(&cs, &a, 2, 0);
    assert_null(deliver(&cs)); /* an older permit */
    consumers_permit(&cs, &a, 4, 1 << 30);
    assert_non_null(deliver(&cs));
    assert_null(deliver(&cs));
    a.holder.n = 0;
    a.window_messages = 100;
    a.window_bytes = 41;
    consumers_settled(&cs, &a);
    assert_non_null(deliver(&cs)); /* 40 bytes were sent: one more may begin */
    assert_null(deliver(&cs));
}

static void test_no_ack_has_no_prefetch(void **state)
{
    struct consumers cs = {0};
    struct consumer a = make(1, 0, 50);

    (void)state;
    a.no_ack = true;
    consumers_add(&cs, &a);
    for (int i = 0; i < 50; i++)
        assert_ptr_equal(deliver(&cs), &a);
    assert_null(deliver(&cs));
}

static void test_priority(void **state)
{
    struct consumers cs = {0};
    struct consumer low = make(0, 0, 100), high = make(1, 5, 100), also = make(1, 5, 100);

    (void)state;
    consumers_add(&cs, &low);
    consumers_add(&cs, &high);
    consumers_add(&cs, &also);
    assert_ptr_equal(deliver(&cs), &high);
    assert_ptr_equal(deliver(&cs), &also);
    assert_ptr_equal(deliver(&cs), &low);
    also.holder.n = 0;
    consumers_settled(&cs, &also);
    assert_ptr_equal(deliver(&cs), &also);
    assert_ptr_equal(deliver(&cs), &low);
}

/* One permit of a shared prefetch at a time: who needs no ack waits for it, and leaves it. */
static void test_shared(void **state)
{
    struct consumers cs = {0};
    struct draw draw = {.is_limited = true};
    struct consumer a = make(0, 0, 100), b = make(0, 0, 100), free = make(0, 0, 3);

    (void)state;
    a.draw = b.draw = free.draw = &draw;
    free.no_ack = true;
    consumers_add(&cs, &a);
    consumers_add(&cs, &b);
    consumers_add(&cs, &free);
    assert_null(deliver(&cs));
    assert_true(consumer_lacks_permit(&free));
    draw.permits = 1;
    consumers_settled(&cs, &free);
    for (int i = 0; i < 3; i++)
        assert_ptr_equal(deliver(&cs), &free);
    assert_int_equal(draw.permits, 1);
    assert_null(draw.last);
    assert_false(consumer_lacks_permit(&free)); /* the window is spent */
    consumers_settled(&cs, &a);
    assert_ptr_equal(deliver(&cs), &a);
    assert_ptr_equal(draw.last, &a);
    assert_null(deliver(&cs));
    consumers_remove(&cs, &a);
    assert_null(draw.last);
}

static void test_exclusive(void **state)
{
    struct consumers cs = {0};
    struct consumer a = make(0, 0, 1), b = make(0, 0, 1);

    (void)state;
    a.exclusive = true;
    assert_true(consumers_admit(&cs, true));
    consumers_add(&cs, &a);
    assert_false(consumers_admit(&cs, false));
    assert_false(consumers_admit(&cs, true));
    consumers_remove(&cs, &a);
    assert_true(consumers_admit(&cs, true));
    consumers_add(&cs, &b);
    assert_true(consumers_admit(&cs, false));
    assert_false(consumers_admit(&cs, true));
}

static uint64_t rng;

static uint32_t below(uint32_t n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (uint32_t)((rng >> 11) % n);
}

/* Somebody is picked exactly when somebody may get, never one who may not, and in turns. */
static void test_random(void **state)
{
    enum { N = 8 };
    const char *given = getenv("WARREN_SEED");
    struct consumers cs = {0};
    struct consumer c[N];
    uint32_t n_delivered = 0;

    (void)state;
    rng = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u + 1;
    print_message("WARREN_SEED=%llu\n", (unsigned long long)rng);
    for (int i = 0; i < N; i++) {
        c[i] = make((uint16_t)below(4), 0, below(30));
        consumers_add(&cs, &c[i]);
    }
    for (int step = 0; step < 20000; step++) {
        uint32_t i = below(N);
        struct consumer *got;
        bool any = false;

        if (below(4) == 0) {
            uint64_t more = c[i].window_messages + below(10);

            consumers_permit(&cs, &c[i], more, 1 << 30);
            if (c[i].holder.n > 0) {
                c[i].holder.n--;
                consumers_settled(&cs, &c[i]);
            }
        }
        for (int k = 0; k < N; k++) {
            c[k].window_bytes = UINT64_MAX;
            any = any || (c[k].sent_messages < c[k].window_messages &&
                          (c[k].prefetch == 0 || c[k].holder.n < c[k].prefetch));
        }
        got = consumers_pick(&cs);
        assert_int_equal(got != NULL, any);
        if (!got)
            continue;
        assert_true(got->sent_messages < got->window_messages);
        assert_true(got->prefetch == 0 || got->holder.n < got->prefetch);
        n_delivered++;
        (void)deliver(&cs);
        if (got->is_able)
            assert_ptr_equal(cs.last, got); /* behind its equals */
    }
    assert_true(n_delivered > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_robin),
        cmocka_unit_test(test_prefetch_and_window),
        cmocka_unit_test(test_no_ack_has_no_prefetch),
        cmocka_unit_test(test_priority),
        cmocka_unit_test(test_shared),
        cmocka_unit_test(test_exclusive),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
