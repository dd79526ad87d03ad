/*
 * test_timer.c - the timer heap and the wheel, by random operations against a plain list.
 *
 * They are driven without a runtime: a home with one idle process receives what fires.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "broker/runtime/internal.h"

enum { TIMERS = 400, STEPS = 20000 };

static uint64_t seed, now_ns;
static struct home home;
static struct proc owner;

static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static uint64_t world_now(void)
{
    return now_ns;
}

/* When a timer may fire at the earliest: a coarse one at the next tick of the wheel. */
static uint64_t due_ns(const struct timer *t)
{
    if (!t->coarse)
        return t->deadline_ns;
    return (t->deadline_ns / WHEEL_GRAIN_NS + 1) * WHEEL_GRAIN_NS;
}

static void setup(void)
{
    memset(&home, 0, sizeof(home));
    memset(&owner, 0, sizeof(owner));
    timers_init(&home.timers);
    owner.home = &home;
    owner.run_state = RUN_RUNNING; /* so that mailbox_put only appends */
    rt.world.now_ns = world_now;
    now_ns = 123456789;
}

static void add(struct timer *t, uint64_t delay_ns, bool coarse)
{
    memset(t, 0, sizeof(*t));
    t->msg.flags = MSG_F_HIGH;
    t->owner = &owner;
    t->coarse = coarse;
    t->deadline_ns = now_ns + delay_ns;
    timers_add(&home.timers, t);
}

/* Fires all, and compares with the list: due ones come, and no others; precise ones in order. */
static void fire_and_compare(struct timer *t, bool *is_set)
{
    struct msg *m;
    uint64_t last = 0;

    timers_fire(&home, now_ns);
    while ((m = lane_pop(&owner.box.high))) {
        struct timer *fired = (struct timer *)m;

        assert_true(is_set[fired - t]);
        assert_true(due_ns(fired) <= now_ns);
        if (!fired->coarse) {
            assert_true(fired->deadline_ns >= last);
            last = fired->deadline_ns;
        }
        assert_true(fired->at == TIMER_FIRED);
        is_set[fired - t] = false;
    }
    for (unsigned i = 0; i < TIMERS; i++)
        assert_false(is_set[i] && due_ns(&t[i]) <= now_ns);
}

/* What timers_next says is never later than the first that is due. */
static void next_is_not_late(const struct timer *t, const bool *is_set)
{
    uint64_t next = timers_next(&home.timers);
    bool any = false;

    for (unsigned i = 0; i < TIMERS; i++) {
        any |= is_set[i];
        assert_false(is_set[i] && due_ns(&t[i]) < next);
    }
    assert_true(any == (next != UINT64_MAX));
}

static uint64_t random_delay_ns(void)
{
    if (rnd() % 16 == 0)
        return 0;
    return rnd() % (rnd() % 4 ? 1000000000ULL : 300000000000ULL);
}

static void random_timers_against_a_list(void **state)
{
    static struct timer t[TIMERS];
    static bool is_set[TIMERS];

    (void)state;
    setup();
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned i = (unsigned)(rnd() % TIMERS);

        switch (rnd() % 8) {
        case 0: /* time moves, mostly a little */
            now_ns += rnd() % (rnd() % 50 ? 300000000ULL : 400000000000ULL);
            fire_and_compare(t, is_set);
            break;
        case 1:
            next_is_not_late(t, is_set);
            break;
        case 2:
            if (is_set[i])
                timers_del(&home.timers, &t[i]);
            is_set[i] = false;
            break;
        default:
            if (is_set[i])
                break;
            if (rnd() % 8 == 0) /* on a tick of the wheel: not early, not lost */
                now_ns += WHEEL_GRAIN_NS - now_ns % WHEEL_GRAIN_NS;
            fire_and_compare(t, is_set);
            add(&t[i], random_delay_ns(), rnd() % 2);
            is_set[i] = true;
        }
    }
    now_ns += 1000000000000ULL;
    fire_and_compare(t, is_set);
    assert_int_equal(home.timers.n + home.timers.n_wheel, 0);
    timers_fini(&home.timers);
}

/* Going from one timers_next to the next fires everything: nobody sleeps past a timer. */
static void stepping_by_next_fires_all(void **state)
{
    static struct timer t[TIMERS];
    static bool is_set[TIMERS];

    (void)state;
    setup();
    for (unsigned i = 0; i < TIMERS; i++) {
        add(&t[i], rnd() % 500000000000ULL, i % 2);
        is_set[i] = true;
    }
    for (unsigned steps = 0; timers_next(&home.timers) != UINT64_MAX; steps++) {
        assert_true(steps < 10 * TIMERS);
        now_ns = timers_next(&home.timers);
        fire_and_compare(t, is_set);
    }
    for (unsigned i = 0; i < TIMERS; i++)
        assert_false(is_set[i]);
    timers_fini(&home.timers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_timers_against_a_list),
        cmocka_unit_test(stepping_by_next_fires_all),
    };
    const char *given = getenv("WARREN_SEED");

    seed = (given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761U) | 1;
    printf("WARREN_SEED=%llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
