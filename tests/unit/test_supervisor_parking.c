/*
 * test_supervisor_parking.c - budgets of their own: parking, backoff, probation, another try by
 * order.
 */
#include "broker/runtime/supervisor.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/test_world.h"

#include "tests/unit/sup_kids.h"

#include "tests/unit/sup_requests.h"

#define S UINT64_C(1000000)

/* Crashes in init for ever: parked; tried after 1, 2, 4 ... 60 s; its siblings never notice. */
static void test_parks_and_tries_again(void **state)
{
    static const unsigned seconds[] = {1, 2, 4, 8, 16, 32, 60, 60};
    proc_id sibling;
    proc_ref ref;

    (void)state;
    sup_prepare(ONE_FOR_ONE, 1);
    sup.spec.intensity = 1;
    sup.spec.period_ms = 3600000;
    kids.init_fails[3] = FOR_EVER;
    sup_run();
    sibling = kids.pid[0];
    ref = start_kid(3, TRANSIENT);
    assert_int_equal(err_of(ref), -EAGAIN);
    assert_int_equal(kids.n_runs[3], 6);
    assert_string_equal(kid_states(3), "SRSRSRSRSRSP");
    for (unsigned i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
        tw_run_us(seconds[i] * S - 1000);
        assert_int_equal(kids.n_runs[3], 6 + i);
        tw_run_us(1000);
        assert_int_equal(kids.n_runs[3], 7 + i);
    }
    kids.init_fails[3] = 0;
    tw_run_us(60 * S);
    assert_int_equal(kids.n_runs[3], 15);
    assert_non_null(strstr(kid_states(3), "PSU"));
    assert_true(kids.pid[0] == sibling && kids.n_runs[0] == 1);
    assert_null(sup_end_reason());
    sup_over();
}

/* What came out of parking must live for ten seconds before it is trusted as any other. */
static void test_probation(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 0);
    kids.init_fails[0] = 6;
    sup_run();
    (void)start_kid(0, PERMANENT);
    tw_run_us(1 * S);
    assert_string_equal(kid_states(0), "SRSRSRSRSRSPSU");
    kid_end(0, EXIT_CRASH, 0);
    assert_string_equal(kid_states(0), "SRSRSRSRSRSPSUP"); /* at once, for two seconds */
    tw_run_us(2 * S + 10 * S + 1000);
    tw.n_log = 0;
    kid_end(0, EXIT_CRASH, 0);
    assert_string_equal(kid_states(0), "RSU");
    sup_over();
}

/* Many crashes far apart never park. */
static void test_budget_heals(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 0);
    sup_run();
    (void)start_kid(0, PERMANENT);
    for (int i = 0; i < 20; i++) {
        kid_end(0, EXIT_FAULT, 0);
        tw_run_us(2100000);
    }
    assert_int_equal(kids.n_runs[0], 21);
    assert_null(strchr(kid_states(0), 'P'));
    sup_over();
}

static void test_static_child_with_its_own_budget_parks(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 3);
    sup.child[1].own_budget = true;
    kids.init_fails[1] = FOR_EVER;
    sup_run();
    assert_int_equal(kids.n_runs[1], 6);
    assert_int_equal(kids.n_runs[2], 1); /* the start goes on without it */
    assert_null(sup_end_reason());
    assert_int_equal(err_of(ask(AWAIT, NULL)), 0);
    kids.init_fails[1] = 0;
    assert_int_equal(err_of(ask(AGAIN, "b")), 0);
    assert_int_equal(kids.n_runs[1], 7);
    sup_over();
}

/* Whoever can't live without it waits for it. */
static void test_parked_elder_holds_back_the_rest(void **state)
{
    (void)state;
    sup_prepare(REST_FOR_ONE, 3);
    sup.child[1].own_budget = true;
    sup_run();
    (void)kids_trace();
    kids.init_fails[1] = 6;
    kid_end(1, EXIT_CRASH, 0);
    assert_string_equal(kids_trace(), "-b -c +b -b +b -b +b -b +b -b +b -b");
    assert_null(sup_end_reason());
    assert_int_equal(err_of(ask(AWAIT, NULL)), 0); /* nothing more will happen for now */
    tw_run_us(3 * S);
    assert_string_equal(kids_trace(), "+b -b +b +c");
    sup_over();
}

static void test_restart_child(void **state)
{
    proc_ref first, second;

    (void)state;
    sup_prepare(ONE_FOR_ONE, 0);
    kids.init_fails[0] = 6;
    sup_run();
    (void)start_kid(0, PERMANENT);
    assert_string_equal(kid_states(0), "SRSRSRSRSRSP");
    first = ask(AGAIN, "a");
    assert_int_equal(err_of(first), 0);
    assert_true(tw_answer(first)->child == kids.pid[0]);
    second = ask(AGAIN, "a"); /* up already */
    assert_int_equal(err_of(second), 0);
    assert_int_equal(kids.n_runs[0], 7);
    assert_int_equal(err_of(ask(AGAIN, "nobody")), -ENOENT);
    kid_end(0, EXIT_CRASH, 0); /* its budget is whole, and it is not on probation */
    assert_int_equal(kids.n_runs[0], 8);
    tw_run_us(60 * S); /* the old timer is gone */
    assert_int_equal(kids.n_runs[0], 8);
    sup_over();
}

static void test_stop_of_a_parked_child(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 0);
    kids.init_fails[0] = FOR_EVER;
    sup_run();
    (void)start_kid(0, PERMANENT);
    assert_int_equal(err_of(ask(STOP, "a")), 0);
    tw_run_us(60 * S);
    assert_int_equal(kids.n_runs[0], 6);
    assert_int_equal(kid_states(0)[strlen(kid_states(0)) - 1], 'G');
    sup_over();
}

static void test_stop_of_a_parked_elder_frees_the_rest(void **state)
{
    (void)state;
    sup_prepare(REST_FOR_ONE, 2);
    sup.child[0].own_budget = true;
    kids.init_fails[0] = FOR_EVER;
    sup_run();
    assert_int_equal(kids.n_runs[1], 0);
    assert_int_equal(err_of(ask(STOP, "a")), 0);
    assert_int_equal(kids.n_runs[1], 1);
    sup_over();
}

static void watch(void *arg)
{
    (void)arg;
    sup_watch(sup.pid);
}

/* A new watcher hears of those parked now, and then of every change. */
static void test_watcher_that_comes_later(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 2);
    sup.child[0].own_budget = true;
    sup.spec.watcher = 0;
    kids.init_fails[0] = kids.init_fails[3] = 6;
    sup_run();
    (void)start_kid(3, PERMANENT);
    assert_string_equal(kid_states(0), "");
    tw_do(watch, NULL);
    assert_string_equal(kid_states(0), "P");
    assert_string_equal(kid_states(1), "");
    assert_string_equal(kid_states(3), "P");
    assert_non_null(strstr(tw_find(MSG_CHILD_STATE, 0)->why.text, "planned failure"));
    tw_run_us(1 * S);
    assert_string_equal(kid_states(0), "PSU");
    sup_over();
}

static void test_end_with_a_parked_child(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 2);
    sup.child[0].own_budget = true;
    kids.init_fails[0] = FOR_EVER;
    kids.init_fails[3] = FOR_EVER;
    sup_run();
    (void)start_kid(3, PERMANENT);
    sup_signal(EXIT_SHUTDOWN);
    assert_int_equal(sup_end_reason()->kind, EXIT_SHUTDOWN);
    sup_over();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parks_and_tries_again),
        cmocka_unit_test(test_probation),
        cmocka_unit_test(test_budget_heals),
        cmocka_unit_test(test_static_child_with_its_own_budget_parks),
        cmocka_unit_test(test_parked_elder_holds_back_the_rest),
        cmocka_unit_test(test_restart_child),
        cmocka_unit_test(test_stop_of_a_parked_child),
        cmocka_unit_test(test_stop_of_a_parked_elder_frees_the_rest),
        cmocka_unit_test(test_watcher_that_comes_later),
        cmocka_unit_test(test_end_with_a_parked_child),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
