/*
 * test_supervisor_policy.c - verdicts and budgets, by table and against a naive count.
 */
#include "broker/runtime/supervisor_policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define S UINT64_C(1000000)

struct row {
    const char *what;
    enum sup_restart restart;
    enum exit_kind kind;
    bool is_dynamic, is_significant;
    enum sup_verdict want;
};

/* Budgets are whole here: only the kinds decide. */
static const struct row kinds[] = {
    {"permanent, normal", PERMANENT, EXIT_NORMAL, false, false, SUP_RESTART},
    {"permanent, shutdown", PERMANENT, EXIT_SHUTDOWN, false, false, SUP_RESTART},
    {"permanent, crash", PERMANENT, EXIT_CRASH, false, false, SUP_RESTART},
    {"permanent, killed", PERMANENT, EXIT_KILLED, false, false, SUP_RESTART},
    {"permanent, fault", PERMANENT, EXIT_FAULT, false, false, SUP_RESTART},
    {"permanent, watchdog", PERMANENT, EXIT_WATCHDOG, false, false, SUP_RESTART},
    {"permanent, heap", PERMANENT, EXIT_HEAP, false, false, SUP_RESTART},
    {"permanent, dynamic, normal", PERMANENT, EXIT_NORMAL, true, false, SUP_RESTART},
    {"permanent, significant", PERMANENT, EXIT_CRASH, false, true, SUP_RESTART},
    {"permanent, moved", PERMANENT, EXIT_MOVED, false, false, SUP_RESTART},
    {"transient, normal", TRANSIENT, EXIT_NORMAL, false, false, SUP_REST},
    {"transient, shutdown", TRANSIENT, EXIT_SHUTDOWN, false, false, SUP_REST},
    {"transient, crash", TRANSIENT, EXIT_CRASH, false, false, SUP_RESTART},
    {"transient, killed", TRANSIENT, EXIT_KILLED, false, false, SUP_RESTART},
    {"transient, moved", TRANSIENT, EXIT_MOVED, true, false, SUP_RESTART},
    {"transient, dynamic, normal", TRANSIENT, EXIT_NORMAL, true, false, SUP_FORGET},
    {"transient, significant, normal", TRANSIENT, EXIT_NORMAL, false, true, SUP_END},
    {"transient, significant, crash", TRANSIENT, EXIT_CRASH, false, true, SUP_RESTART},
    {"temporary, normal", TEMPORARY, EXIT_NORMAL, false, false, SUP_FORGET},
    {"temporary, crash", TEMPORARY, EXIT_CRASH, true, false, SUP_FORGET},
    {"temporary, moved", TEMPORARY, EXIT_MOVED, true, false, SUP_FORGET},
    {"temporary, significant, crash", TEMPORARY, EXIT_CRASH, true, true, SUP_END},
};

static void test_kinds(void **state)
{
    uint64_t when[2][5];

    (void)state;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        const struct row *r = &kinds[i];
        struct sup_budget common = {.limit = 5, .period_us = 10 * S, .when = when[0]};
        struct sup_budget own = {.limit = 5, .period_us = 10 * S, .when = when[1]};
        struct sup_end end = {
            .restart = r->restart,
            .kind = r->kind,
            .is_dynamic = r->is_dynamic,
            .is_significant = r->is_significant,
            .has_own_budget = r->is_dynamic,
        };
        enum sup_verdict got = sup_judge(&end, &common, &own, S);

        if (got != r->want)
            fail_msg("%s: %d, not %d", r->what, (int)got, (int)r->want);
        /* A restart is counted once, where it belongs; MOVED and the rest nowhere. */
        assert_int_equal(common.n + own.n, got == SUP_RESTART && r->kind != EXIT_MOVED);
        assert_true(own.n == 0 || r->is_dynamic);
    }
}

static enum sup_verdict crash(struct sup_budget *common, struct sup_budget *own, bool has_own,
                              bool is_on_probation, uint64_t now_us)
{
    struct sup_end end = {
        .restart = PERMANENT,
        .kind = EXIT_CRASH,
        .has_own_budget = has_own,
        .is_on_probation = is_on_probation,
    };

    return sup_judge(&end, common, own, now_us);
}

static void test_over_the_common_budget_gives_up(void **state)
{
    uint64_t when[5];
    struct sup_budget common = {.limit = 5, .period_us = 10 * S, .when = when};

    (void)state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(crash(&common, NULL, false, false, S + (uint64_t)i), SUP_RESTART);
    assert_int_equal(crash(&common, NULL, false, false, S + 9), SUP_GIVE_UP);
}

static void test_over_its_own_budget_parks(void **state)
{
    uint64_t when[2][5];
    struct sup_budget common = {.limit = 5, .period_us = 10 * S, .when = when[0]};
    struct sup_budget own = {.limit = 5, .period_us = 10 * S, .when = when[1]};

    (void)state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(crash(&common, &own, true, false, S), SUP_RESTART);
    assert_int_equal(crash(&common, &own, true, false, S), SUP_PARK);
    assert_int_equal(common.n, 0); /* its siblings' count is untouched */
    assert_int_equal(crash(&common, &own, true, false, 30 * S), SUP_RESTART);
}

static void test_on_probation_one_failure_parks(void **state)
{
    uint64_t when[5];
    struct sup_budget own = {.limit = 5, .period_us = 10 * S, .when = when};

    (void)state;
    assert_int_equal(crash(NULL, &own, true, true, S), SUP_PARK);
}

static void test_budget_of_nought_is_always_over(void **state)
{
    struct sup_budget b = {.limit = 0, .period_us = S};

    (void)state;
    assert_false(sup_budget_take(&b, S));
}

/* The bounds of the period: what happened exactly a period ago still counts. */
static void test_budget_period(void **state)
{
    uint64_t when[2];
    struct sup_budget b = {.limit = 2, .period_us = 10, .when = when};

    (void)state;
    assert_true(sup_budget_take(&b, 100));
    assert_true(sup_budget_take(&b, 105));
    assert_false(sup_budget_take(&b, 110)); /* 100, 105, 110 */
    assert_true(sup_budget_take(&b, 116));  /* 110, 116 */
    assert_false(sup_budget_take(&b, 117));
}

static void test_backoff(void **state)
{
    static const unsigned seconds[] = {1, 2, 4, 8, 16, 32, 60, 60, 60};

    (void)state;
    for (unsigned i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++)
        assert_true(sup_backoff_us(i) == seconds[i] * S);
    assert_true(sup_backoff_us(1000000) == 60 * S);
}

/* Against a list of all times: more than `limit` in the last period, this one included? */
static void test_budget_against_model(void **state)
{
    const char *given = getenv("WARREN_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : (unsigned)time(NULL);
    static uint64_t all[5000];

    (void)state;
    printf("WARREN_SEED=%u\n", seed);
    for (unsigned limit = 1; limit <= 7; limit++) {
        uint64_t when[7], now = 1;
        struct sup_budget b = {.limit = limit, .period_us = 100, .when = when};

        for (unsigned i = 0; i < 5000; i++) {
            unsigned n = 0;

            now += (unsigned)rand_r(&seed) % (200 / limit);
            all[i] = now;
            for (unsigned k = 0; k <= i; k++)
                n += now - all[k] <= 100;
            assert_int_equal(sup_budget_take(&b, now), n <= limit);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_over_the_common_budget_gives_up),
        cmocka_unit_test(test_over_its_own_budget_parks),
        cmocka_unit_test(test_on_probation_one_failure_parks),
        cmocka_unit_test(test_budget_of_nought_is_always_over),
        cmocka_unit_test(test_budget_period),
        cmocka_unit_test(test_backoff),
        cmocka_unit_test(test_budget_against_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
