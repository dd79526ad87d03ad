/*
 * test_supervisor_dynamic.c - beyond the static tree: dynamic children, budgets of their own,
 * parking, requests, what the watcher and the listing tell.
 */
#include "broker/runtime/supervisor.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "tests/unit/test_world.h"

#include "tests/unit/sup_kids.h"

#include "tests/unit/sup_requests.h"

#define S UINT64_C(1000000)

static const char *inspect(void)
{
    (void)ask(INSPECT, NULL);
    return tw.text;
}

static void test_start_answers_when_init_has_returned(void **state)
{
    proc_ref ref;

    (void)state;
    sup_prepare(ONE_FOR_ONE, 1);
    sup_run();
    ref = start_kid(3, PERMANENT);
    assert_int_equal(err_of(ref), 0);
    assert_true(tw_answer(ref)->child == kids.pid[3]);
    assert_string_equal(kids_trace(), "+a +d");
    assert_string_equal(kid_states(3), "SU");
    sup_over();
}

static void test_start_of_an_existing_id(void **state)
{
    proc_ref ref;

    (void)state;
    sup_prepare(ONE_FOR_ONE, 1);
    sup_run();
    (void)start_kid(3, PERMANENT);
    ref = start_kid(3, PERMANENT);
    assert_int_equal(err_of(ref), -EEXIST);
    assert_true(tw_answer(ref)->child == kids.pid[3]);
    assert_int_equal(err_of(start_kid(0, PERMANENT)), -EEXIST); /* a static one's, too */
    sup_over();
}

static void test_start_that_dies_in_init(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 0);
    sup_run();
    kids.init_fails[0] = 1;
    assert_int_equal(err_of(start_kid(0, TEMPORARY)), -ECANCELED);
    kids.exits_in_init[1] = true;
    assert_int_equal(err_of(start_kid(1, TRANSIENT)), -ECANCELED);
    kids.init_fails[2] = 2;
    assert_int_equal(err_of(start_kid(2, TRANSIENT)), 0); /* the third try went well */
    assert_int_equal(kids.n_runs[2], 3);
    assert_int_equal(err_of(start_kid(0, TEMPORARY)), 0); /* its id is free again */
    sup_over();
}

static void test_stop(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 2);
    sup_run();
    (void)start_kid(3, PERMANENT);
    (void)kids_trace();
    assert_int_equal(err_of(ask(STOP, "d")), 0);
    assert_int_equal(err_of(ask(STOP, "d")), -ENOENT);
    assert_int_equal(err_of(ask(STOP, "b")), 0);
    assert_string_equal(kids_trace(), "-d -b");
    assert_string_equal(kid_states(3), "SUG");
    assert_int_equal(err_of(start_kid(3, PERMANENT)), 0);
    sup_over();
}

/* Two ask; both hear of it once it is down, and a start of the same id comes too early. */
static void test_stop_that_takes_time(void **state)
{
    proc_ref first, second, start;

    (void)state;
    sup_prepare(ONE_FOR_ONE, 0);
    kids.is_slow[0] = true;
    sup_run();
    (void)start_kid(0, PERMANENT);
    first = ask(STOP, "a");
    second = ask(STOP, "a");
    start = start_kid(0, PERMANENT);
    assert_int_equal(err_of(first), 1);
    assert_int_equal(err_of(start), -EEXIST);
    assert_int_equal(err_of(ask(AGAIN, "a")), -ECANCELED);
    tw_run_us(1 * S + 1000);
    assert_int_equal(err_of(first), 0);
    assert_int_equal(err_of(second), 0);
    sup_over();
}

static void test_casts(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 0);
    sup_run();
    {
        struct child_spec spec = kid_spec(1, PERMANENT);

        sup_cast_start_child(sup.pid, &spec);
        tw_run_us(0);
        assert_string_equal(kids_trace(), "+b");
        sup_cast_stop_child(sup.pid, "b");
        tw_run_us(0);
        assert_string_equal(kids_trace(), "-b");
    }
    sup_over();
}

/* A crash of a dynamic child is its own affair, whatever the strategy. */
static void test_dynamic_children_stand_alone(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ALL, 1);
    sup_run();
    (void)start_kid(3, PERMANENT);
    (void)start_kid(4, TEMPORARY);
    (void)kids_trace();
    kid_end(3, EXIT_CRASH, 0);
    assert_string_equal(kids_trace(), "-d +d");
    kid_end(4, EXIT_CRASH, 0);
    assert_string_equal(kids_trace(), "-e");
    sup_over();
}

/* To a static one they are younger siblings: stopped first, started last. */
static void test_group_restart_takes_dynamic_children_along(void **state)
{
    (void)state;
    sup_prepare(REST_FOR_ONE, 2);
    sup_run();
    (void)start_kid(3, PERMANENT);
    (void)start_kid(4, TEMPORARY);
    (void)kids_trace();
    kid_end(0, EXIT_CRASH, 0);
    {
        const char *trace = kids_trace();

        assert_true(strcmp(trace, "-a -d -e -b +a +b +d") == 0 ||
                    strcmp(trace, "-a -e -d -b +a +b +d") == 0);
    }
    sup_over();
}

static void test_start_during_a_group_restart_waits(void **state)
{
    proc_ref ref;

    (void)state;
    sup_prepare(ONE_FOR_ALL, 2);
    kids.is_slow[1] = true;
    sup_run();
    (void)kids_trace();
    kid_end(0, EXIT_CRASH, 0);
    ref = start_kid(3, PERMANENT);
    assert_int_equal(err_of(ref), 1);
    assert_string_equal(kids_trace(), "-a");
    tw_run_us(1 * S + 1000);
    assert_int_equal(err_of(ref), 0);
    assert_string_equal(kids_trace(), "-b +a +b +d");
    sup_over();
}

static void test_transient_dynamic_is_forgotten_when_done(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 0);
    sup_run();
    (void)start_kid(0, TRANSIENT);
    kid_end(0, EXIT_NORMAL, 0);
    assert_string_equal(kid_states(0), "SUG");
    assert_int_equal(err_of(ask(AGAIN, "a")), -ENOENT);
    sup_over();
}

/* All at once, so that the slow ones take a second together and not each; then the static ones. */
static void test_dynamic_children_stop_together(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 1);
    sup_run();
    for (int i = 2; i < KIDS; i++) {
        kids.is_slow[i] = true;
        (void)start_kid(i, i % 2 ? TEMPORARY : PERMANENT);
    }
    (void)kids_trace();
    sup_signal(EXIT_SHUTDOWN);
    assert_string_equal(kids_trace(), "");
    tw_run_us(1 * S + 1000);
    {
        const char *trace = kids_trace();

        assert_int_equal(strlen(trace), 3 * 7 - 1);
        assert_string_equal(trace + strlen(trace) - 2, "-a");
    }
    assert_non_null(sup_end_reason());
    sup_over();
}

static void test_stubborn_dynamic_child_is_killed(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 0);
    kids.is_stubborn[1] = true;
    sup_run();
    (void)start_kid(1, TEMPORARY);
    (void)kids_trace();
    sup_signal(EXIT_SHUTDOWN);
    tw_run_us(4 * S);
    assert_string_equal(kids_trace(), "");
    tw_run_us(1 * S + 1000);
    assert_string_equal(kids_trace(), "-b");
    sup_over();
}

static void test_significant_dynamic_child(void **state)
{
    struct request r = {.what = START};

    (void)state;
    sup_prepare(ONE_FOR_ONE, 1);
    sup_run();
    r.spec = kid_spec(1, TEMPORARY);
    r.spec.significant = true;
    tw_do(request_in_root, &r);
    kid_end(1, EXIT_CRASH, 0);
    assert_int_equal(sup_end_reason()->kind, EXIT_SHUTDOWN);
    assert_string_equal(kids_trace(), "+a +b -b -a");
    sup_over();
}

/* A request that the supervisor owes an answer to when it ends is answered DOWN. */
static void test_ending_answers_all(void **state)
{
    proc_ref stop, start;

    (void)state;
    sup_prepare(ONE_FOR_ONE, 0);
    kids.is_stubborn[0] = true;
    sup_run();
    (void)start_kid(0, PERMANENT);
    stop = ask(STOP, "a");
    sup_signal(EXIT_KILL);
    start = start_kid(1, PERMANENT);
    assert_int_equal(tw_answer(stop)->type, MSG_DOWN);
    assert_int_equal(tw_answer(start)->type, MSG_DOWN);
    assert_int_equal(tw_answer(start)->why.kind, EXIT_NOPROC);
    kids.is_stubborn[0] = false;
    tw_run_us(0);
    rt_signal(kids.pid[0], EXIT_KILL, "it traps exits, and is nobody's now");
    tw_run_us(0);
    sup_over();
}

static void test_start_while_ending_is_refused(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 1);
    kids.is_slow[0] = true;
    sup_run();
    sup_signal(EXIT_SHUTDOWN);
    assert_int_equal(err_of(start_kid(1, PERMANENT)), -ECANCELED);
    tw_run_us(2 * S);
    assert_non_null(sup_end_reason());
    sup_over();
}

static void test_watcher_learns_pids_and_reasons(void **state)
{
    struct tw_entry *e = NULL;
    proc_id first;

    (void)state;
    sup_prepare(ONE_FOR_ONE, 1);
    sup_run();
    first = kids.pid[0];
    kid_end(0, EXIT_CRASH, 42);
    for (unsigned n = 0; (e = tw_find(MSG_CHILD_STATE, n)) && e->state != CHILD_RESTARTING;)
        n++;
    assert_non_null(e);
    assert_true(e->child == first);
    assert_int_equal(e->why.kind, EXIT_CRASH);
    assert_int_equal(e->why.code, 42);
    assert_int_equal((e + 1)->state, CHILD_STARTING);
    assert_true((e + 1)->child == kids.pid[0] && (e + 2)->child == kids.pid[0]);
    assert_int_equal((e + 2)->state, CHILD_UP);
    sup_over();
}

static void test_inspect(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 2);
    kids.init_fails[3] = FOR_EVER;
    sup_run();
    (void)start_kid(3, PERMANENT);
    kid_end(1, EXIT_CRASH, 0);
    assert_ptr_equal(inspect(),
                     strstr(inspect(), "{\"strategy\":\"one_for_one\",\"n_children\":3,"));
    assert_non_null(strstr(tw.text, "\"n_up\":2,\"n_parked\":1"));
    assert_non_null(
        strstr(tw.text, "[{\"id\":\"d\",\"state\":\"parked\",\"pid\":0,\"restarts\":5,"));
    assert_non_null(strstr(tw.text, "planned failure of d's init"));
    assert_non_null(strstr(tw.text, "{\"id\":\"b\",\"state\":\"up\""));
    assert_non_null(strstr(tw.text, "told b to"));
    assert_string_equal(tw.text + strlen(tw.text) - 3, "}]}");
    sup_over();
}

/* What listings show of kid a, from its latest run. */
static struct proc_info row;
static char row_crash[128];
static unsigned n_supervisors;

static void find_row(struct msg *m)
{
    struct proc_listing *listing = MSG_OF(struct proc_listing, m);

    for (size_t i = 0; i < listing->n; i++) {
        n_supervisors += listing->row[i].is_supervisor;
        if (strcmp(listing->row[i].name, "a") != 0)
            continue;
        row = listing->row[i];
        snprintf(row_crash, sizeof(row_crash), "%s", row.last_crash ? row.last_crash : "");
    }
}

static void list_in_root(void *arg)
{
    (void)arg;
    (void)rt_list_processes(PROC_NO_TIMEOUT);
}

static void test_listing_shows_restarts_and_last_crash(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 1);
    sup_run();
    tw.on_user = find_row;
    tw_do(list_in_root, NULL);
    assert_true(row.pid == kids.pid[0] && row.parent == sup.pid);
    assert_int_equal(row.restarts, 0);
    assert_int_equal(n_supervisors, 1);
    assert_string_equal(row_crash, "");
    kid_end(0, EXIT_CRASH, 0);
    kid_end(0, EXIT_MOVED, 0); /* a planned one neither counts nor hides the crash */
    tw_do(list_in_root, NULL);
    assert_true(row.pid == kids.pid[0]);
    assert_int_equal(row.restarts, 1);
    assert_non_null(strstr(row_crash, "told a to"));
    sup_over();
}

/* Ids may hold anything; and a hundred thousand children do not fit: the text stays JSON. */
static void test_inspect_escapes_and_is_cut(void **state)
{
    struct child_spec spec;
    char id[64];

    (void)state;
    sup_prepare(ONE_FOR_ONE, 1);
    sup.child[0].id = "a \"b\" \\ \n";
    sup.spec.watcher = 0;
    sup_run();
    assert_non_null(strstr(inspect(), "{\"id\":\"a \\\"b\\\" \\\\ \\u000a\",\"state\":\"up\""));
    spec = kid_spec(1, PERMANENT);
    for (int i = 0; i < 3000; i++) {
        snprintf(id, sizeof(id), "a queue with a rather long name, number %d", i);
        spec.id = id;
        sup_cast_start_child(sup.pid, &spec);
    }
    tw_run_us(0);
    (void)inspect();
    assert_non_null(strstr(tw.text, "\"n_children\":3001"));
    sup_over();
}

/* 100,000 in, found by id, out again: nothing in it is linear in their number. */
static void test_a_hundred_thousand(void **state)
{
    struct child_spec spec;
    struct timespec t0, t1;
    char id[32];

    (void)state;
    sup_prepare(ONE_FOR_ONE, 0);
    tw.is_fifo = true;
    sup.spec.watcher = 0;
    sup_run();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t0);
    for (int i = 0; i < 100000; i++) {
        spec = kid_spec(i % 2, i % 2 ? TEMPORARY : TRANSIENT);
        snprintf(id, sizeof(id), "q%d", i);
        spec.id = id;
        sup_cast_start_child(sup.pid, &spec);
        if (i % 1000 == 0)
            tw_run_us(0);
    }
    tw_run_us(0);
    assert_int_equal(rt_live_procs(), 100002);
    for (int i = 0; i < 100000; i += 10) {
        snprintf(id, sizeof(id), "q%d", i);
        sup_cast_stop_child(sup.pid, id);
    }
    tw_run_us(0);
    assert_int_equal(rt_live_procs(), 90002);
    sup_signal(EXIT_SHUTDOWN);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t1);
    printf("100,000 children in and out: %.2f s of CPU\n",
           (double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) / 1e9);
    assert_int_equal(rt_live_procs(), 1);
    sup_over();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start_answers_when_init_has_returned),
        cmocka_unit_test(test_start_of_an_existing_id),
        cmocka_unit_test(test_start_that_dies_in_init),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_stop_that_takes_time),
        cmocka_unit_test(test_casts),
        cmocka_unit_test(test_dynamic_children_stand_alone),
        cmocka_unit_test(test_group_restart_takes_dynamic_children_along),
        cmocka_unit_test(test_start_during_a_group_restart_waits),
        cmocka_unit_test(test_transient_dynamic_is_forgotten_when_done),
        cmocka_unit_test(test_dynamic_children_stop_together),
        cmocka_unit_test(test_stubborn_dynamic_child_is_killed),
        cmocka_unit_test(test_significant_dynamic_child),
        cmocka_unit_test(test_ending_answers_all),
        cmocka_unit_test(test_start_while_ending_is_refused),
        cmocka_unit_test(test_watcher_learns_pids_and_reasons),
        cmocka_unit_test(test_inspect),
        cmocka_unit_test(test_listing_shows_restarts_and_last_crash),
        cmocka_unit_test(test_inspect_escapes_and_is_cut),
        cmocka_unit_test(test_a_hundred_thousand),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
