/* The commit policy: by table, and by random operations against a plain list. */
#include "persistence/commit_policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define MAX 64

static void waits_by_table(void **state)
{
    static const struct {
        uint32_t time_to_ack_us;
        bool has_consumers;
        uint32_t hold_us;
    } table[] = {
        {0, true, 0},       {100, false, 0}, {100, true, 200},
        {1000, true, 2000}, {1001, true, 0}, {50000, true, 0},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        assert_int_equal(commit_hold_us(table[i].time_to_ack_us, table[i].has_consumers),
                         table[i].hold_us);
}

static void limits_end_the_wait(void **state)
{
    struct commit_policy p;
    struct commit_item item[COMMIT_OPS];

    (void)state;
    commit_policy_init(&p);
    assert_true(commit_policy_due(&p) == COMMIT_NEVER);
    assert_null(commit_policy_next(&p, NULL));
    commit_policy_add(&p, &item[0], COMMIT_BYTES - 1, 1000, 2000);
    assert_true(commit_policy_due(&p) == 3000);
    commit_policy_add(&p, &item[1], 1, 1000, 2000);
    assert_true(commit_policy_due(&p) == 0);
    commit_policy_remove(&p, &item[0]);
    assert_true(commit_policy_due(&p) == 3000);
    commit_policy_remove(&p, &item[1]);
    assert_true(commit_policy_due(&p) == COMMIT_NEVER);

    for (int i = 0; i < COMMIT_OPS - 1; i++)
        commit_policy_add(&p, &item[i], 1, 5000, 1000);
    assert_true(commit_policy_due(&p) == 6000);
    commit_policy_add_ack(&p, 5000);
    assert_true(commit_policy_due(&p) == 0);
}

static void acks_and_urgent_ones(void **state)
{
    struct commit_policy p;

    (void)state;
    commit_policy_init(&p);
    commit_policy_add_ack(&p, 100);
    commit_policy_add_ack(&p, 5000);
    assert_true(commit_policy_due(&p) == 100 + COMMIT_ACK_HOLD_US);
    commit_policy_add_urgent(&p);
    assert_true(commit_policy_due(&p) == 0);
}

struct plain {
    struct commit_item item;
    uint64_t due_us;
    bool is_in;
};

static void check(const struct commit_policy *p, const struct plain *list)
{
    uint64_t due = COMMIT_NEVER, bytes = 0;
    uint32_t n = 0, seen = 0;

    for (int i = 0; i < MAX; i++) {
        if (!list[i].is_in)
            continue;
        n++;
        bytes += list[i].item.bytes;
        if (list[i].due_us < due)
            due = list[i].due_us;
    }
    assert_int_equal(p->n_items, n);
    assert_true(p->bytes == bytes && commit_policy_due(p) == due);
    for (struct commit_item *at = NULL; (at = commit_policy_next(p, at));)
        seen++;
    assert_int_equal(seen, n);
}

static void random_operations_agree_with_a_list(void **state)
{
    unsigned seed = (unsigned)time(NULL);
    struct commit_policy p;
    struct plain list[MAX] = {0};
    uint64_t now = 0;

    (void)state;
    print_message("seed %u\n", seed);
    srand(seed);
    commit_policy_init(&p);
    for (int step = 0; step < 50000; step++) {
        struct plain *x = &list[rand() % MAX];
        uint32_t hold = (uint32_t)rand() % 3000;

        now += (uint64_t)rand() % 300;
        if (x->is_in) {
            commit_policy_remove(&p, &x->item);
        } else {
            commit_policy_add(&p, &x->item, (uint32_t)rand() % 1000, now, hold);
            if (hold > COMMIT_HOLD_MAX_US)
                hold = COMMIT_HOLD_MAX_US;
            x->due_us = now + (hold + COMMIT_STEP_US - 1) / COMMIT_STEP_US * COMMIT_STEP_US;
        }
        x->is_in = !x->is_in;
        check(&p, list);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_by_table),
        cmocka_unit_test(limits_end_the_wait),
        cmocka_unit_test(acks_and_urgent_ones),
        cmocka_unit_test(random_operations_agree_with_a_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
