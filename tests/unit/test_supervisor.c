/*
 * test_supervisor.c - the rules of OTP: order, strategies, restart kinds, intensity, shutdown.
 */
#include "broker/runtime/supervisor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/test_world.h"

#include "tests/unit/sup_kids.h"

static void test_starts_in_order_and_stops_in_reverse(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 4);
    sup_run();
    assert_string_equal(kids_trace(), "+a +b +c +d");
    assert_string_equal(kid_states(0), "SU");
    sup_signal(EXIT_SHUTDOWN);
    assert_string_equal(kids_trace(), "-d -c -b -a");
    assert_non_null(sup_end_reason());
    assert_int_equal(sup_end_reason()->kind, EXIT_SHUTDOWN);
    assert_string_equal(kid_states(0), "SUG");
    sup_over();
}

static void test_no_children(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 0);
    sup_run();
    assert_null(sup_end_reason());
    sup_signal(EXIT_SHUTDOWN);
    assert_non_null(sup_end_reason());
    sup_over();
}

/* A child that takes a second to stop is waited for before the next is told. */
static void test_stop_waits_for_each(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 3);
    kids.is_slow[1] = true;
    sup_run();
    (void)kids_trace();
    sup_signal(EXIT_SHUTDOWN);
    assert_string_equal(kids_trace(), "-c");
    tw_run_us(900000);
    assert_string_equal(kids_trace(), "");
    tw_run_us(200000);
    assert_string_equal(kids_trace(), "-b -a");
    sup_over();
}

static void test_one_for_one(void **state)
{
    proc_id was;

    (void)state;
    sup_prepare(ONE_FOR_ONE, 3);
    sup_run();
    (void)kids_trace();
    was = kids.pid[1];
    kid_end(1, EXIT_CRASH, 0);
    assert_string_equal(kids_trace(), "-b +b");
    assert_true(kids.pid[1] != was);
    assert_string_equal(kid_states(1), "SURSU");
    assert_string_equal(kid_states(0), "SU");
    sup_over();
}

static void test_one_for_all(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ALL, 4);
    sup_run();
    (void)kids_trace();
    kid_end(1, EXIT_CRASH, 0);
    assert_string_equal(kids_trace(), "-b -d -c -a +a +b +c +d");
    sup_over();
}

static void test_rest_for_one_keeps_the_elder(void **state)
{
    proc_id elder;

    (void)state;
    sup_prepare(REST_FOR_ONE, 4);
    sup_run();
    (void)kids_trace();
    elder = kids.pid[0];
    kid_end(1, EXIT_CRASH, 0);
    assert_string_equal(kids_trace(), "-b -d -c +b +c +d");
    assert_true(kids.pid[0] == elder);
    sup_over();
}

static void test_rest_for_one_of_the_youngest(void **state)
{
    (void)state;
    sup_prepare(REST_FOR_ONE, 3);
    sup_run();
    (void)kids_trace();
    kid_end(2, EXIT_CRASH, 0);
    assert_string_equal(kids_trace(), "-c +c");
    sup_over();
}

/* An elder that crashes while its younger ones are being stopped makes the group larger. */
static void test_elder_crashes_during_a_group_restart(void **state)
{
    (void)state;
    sup_prepare(REST_FOR_ONE, 4);
    kids.is_slow[3] = true;
    sup_run();
    (void)kids_trace();
    kid_end(2, EXIT_CRASH, 0);
    assert_string_equal(kids_trace(), "-c");
    kid_end(0, EXIT_CRASH, 0);
    assert_string_equal(kids_trace(), "-a");
    tw_run_us(1100000);
    assert_string_equal(kids_trace(), "-d -b +a +b +c +d");
    sup_over();
}

/* A sibling that crashes by itself while it waits to be stopped is not counted once more. */
static void test_sibling_crashes_during_a_group_restart(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ALL, 3);
    sup.spec.intensity = 1;
    sup.spec.period_ms = 10000;
    kids.is_slow[2] = true;
    sup_run();
    (void)kids_trace();
    kid_end(0, EXIT_CRASH, 0);
    kid_end(1, EXIT_CRASH, 0);
    assert_string_equal(kids_trace(), "-a -b");
    tw_run_us(1100000);
    assert_string_equal(kids_trace(), "-c +a +b +c");
    assert_null(sup_end_reason());
    sup_over();
}

static void test_transient(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 2);
    sup.child[0].restart = TRANSIENT;
    sup_run();
    (void)kids_trace();
    kid_end(0, EXIT_CRASH, 0);
    assert_string_equal(kids_trace(), "-a +a");
    kid_end(0, EXIT_NORMAL, 0);
    assert_string_equal(kids_trace(), "-a");
    assert_string_equal(kid_states(0), "SURSUG");
    sup_over();
}

/* As in OTP: a transient child that ended for good is started when its group is. */
static void test_group_restart_wakes_a_resting_child(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ALL, 2);
    sup.child[1].restart = TRANSIENT;
    sup_run();
    kid_end(1, EXIT_NORMAL, 0);
    (void)kids_trace();
    kid_end(0, EXIT_CRASH, 0);
    assert_string_equal(kids_trace(), "-a +a +b");
    sup_over();
}

static void test_temporary(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ALL, 3);
    sup.child[1].restart = TEMPORARY;
    sup.child[2].restart = TEMPORARY;
    sup_run();
    (void)kids_trace();
    kid_end(2, EXIT_CRASH, 0);
    assert_string_equal(kids_trace(), "-c"); /* nobody is restarted for its sake */
    kid_end(0, EXIT_CRASH, 0);
    assert_string_equal(kids_trace(), "-a -b +a"); /* and its group does not bring it back */
    assert_string_equal(kid_states(1), "SUG");
    sup_over();
}

static void test_permanent_that_ends_normally_is_restarted(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 1);
    sup_run();
    (void)kids_trace();
    kid_end(0, EXIT_NORMAL, 0);
    assert_string_equal(kids_trace(), "-a +a");
    sup_over();
}

static void test_significant_child_ends_its_supervisor(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 3);
    sup.child[1].restart = TRANSIENT;
    sup.child[1].significant = true;
    sup_run();
    (void)kids_trace();
    kid_end(1, EXIT_CRASH, 0);
    assert_string_equal(kids_trace(), "-b +b");
    kid_end(1, EXIT_NORMAL, 0);
    assert_string_equal(kids_trace(), "-b -c -a");
    assert_int_equal(sup_end_reason()->kind, EXIT_SHUTDOWN);
    sup_over();
}

static void test_over_intensity_ends_all(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 3);
    sup.spec.intensity = 2;
    sup.spec.period_ms = 5000;
    sup_run();
    kid_end(1, EXIT_CRASH, 0);
    kid_end(2, EXIT_CRASH, 0);
    (void)kids_trace();
    assert_null(sup_end_reason());
    kid_end(1, EXIT_CRASH, 0);
    assert_string_equal(kids_trace(), "-b -c -a");
    assert_int_equal(sup_end_reason()->kind, EXIT_SHUTDOWN);
    assert_non_null(strstr(sup_end_reason()->text, "too many restarts"));
    sup_over();
}

static void test_intensity_forgets(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 1);
    sup.spec.intensity = 2;
    sup.spec.period_ms = 5000;
    sup_run();
    for (int i = 0; i < 10; i++) {
        kid_end(0, EXIT_CRASH, 0);
        tw_run_us(2600000);
    }
    assert_null(sup_end_reason());
    sup_over();
}

/* Intensity 0 with a period is OTP's default of none at all. */
static void test_intensity_of_nought(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 2);
    sup.spec.period_ms = 1000;
    sup_run();
    kid_end(0, EXIT_CRASH, 0);
    assert_non_null(sup_end_reason());
    sup_over();
}

/* Each failed start counts, and the supervisor answers in between: it does not spin in itself. */
static void test_crash_in_init_counts(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 2);
    kids.init_fails[1] = 3;
    sup_run();
    assert_string_equal(kids_trace(), "+a +b -b +b -b +b -b +b");
    assert_null(sup_end_reason());
    sup_over();
}

static void test_crash_in_init_for_ever_ends_all(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 3);
    kids.init_fails[1] = FOR_EVER;
    sup_run();
    assert_int_equal(kids.n_runs[1], 6); /* once, and five restarts */
    assert_int_equal(kids.n_runs[2], 0); /* its turn never came */
    assert_non_null(sup_end_reason());
    assert_string_equal(kid_states(0), "SUG");
    sup_over();
}

/* A failed start in a group restart holds up the younger ones, and leaves the elder alone. */
static void test_crash_in_init_during_a_group_restart(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ALL, 3);
    sup_run();
    (void)kids_trace();
    kids.init_fails[1] = 2;
    kid_end(1, EXIT_CRASH, 0);
    assert_string_equal(kids_trace(), "-b -c -a +a +b -b +b -b +b +c");
    sup_over();
}

/* OTP's naughty child: it unlinks, and is stopped and restarted all the same. */
static void test_naughty_child(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 2);
    sup_run();
    (void)kids_trace();
    kid_unlink(1);
    kid_end(1, EXIT_CRASH, 0);
    assert_string_equal(kids_trace(), "-b +b");
    kid_unlink(1);
    sup_signal(EXIT_SHUTDOWN);
    assert_string_equal(kids_trace(), "-b -a");
    assert_non_null(sup_end_reason());
    sup_over();
}

static void test_stubborn_child_is_killed_in_time(void **state)
{
    const struct exit_reason *why = NULL;

    (void)state;
    sup_prepare(ONE_FOR_ONE, 2);
    kids.is_stubborn[1] = true;
    sup_run();
    (void)kids_trace();
    sup_signal(EXIT_SHUTDOWN);
    tw_run_us(4900000);
    assert_string_equal(kids_trace(), "");
    tw_run_us(200000);
    assert_string_equal(kids_trace(), "-b -a");
    for (size_t i = 0; i < tw.n_log; i++)
        if (tw.log[i].type == MSG_CHILD_STATE && tw.log[i].tag == 101)
            why = &tw.log[i].why;
    assert_int_equal(why->kind, EXIT_KILLED);
    sup_over();
}

static void test_shutdown_of_nought_kills_at_once(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 1);
    sup.child[0].shutdown_ms = 0;
    sup_run();
    (void)kids_trace();
    sup_signal(EXIT_SHUTDOWN);
    assert_string_equal(kids_trace(), "-a");
    assert_int_equal(tw_find(MSG_CHILD_STATE, 2)->state, CHILD_GONE);
    assert_int_equal(tw_find(MSG_CHILD_STATE, 2)->why.kind, EXIT_KILLED);
    sup_over();
}

/* KILL can't be trapped, so it cannot stop its children: their links end them. */
static void test_killed_supervisor_leaves_no_orphans(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 3);
    sup_run();
    (void)kids_trace();
    sup_signal(EXIT_KILL);
    assert_int_equal(strlen(kids_trace()), strlen("-a -b -c"));
    assert_int_equal(sup_end_reason()->kind, EXIT_KILLED);
    assert_int_equal(rt_live_procs(), 1); /* the root */
    sup_over();
}

static void stranger_init(void *state, const void *arg)
{
    (void)state;
    (void)arg;
    proc_signal(sup.pid, EXIT_SHUTDOWN, 0, "by a stranger");
    proc_exit(EXIT_NORMAL, 0, "it has said it");
}

static void stranger_handle(void *state, struct msg *m)
{
    (void)state;
    (void)m;
}

static void spawn_stranger(void *arg)
{
    static const struct proc_ops ops = {
        .kind = "stranger", .state_size = 1, .init = stranger_init, .handle = stranger_handle};
    struct spawn spec = {.ops = &ops, .flags = PROC_LINK};

    (void)arg;
    (void)proc_spawn(&spec);
}

static void test_obeys_only_its_parent(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 1);
    sup_run();
    (void)kids_trace();
    tw_do(spawn_stranger, NULL);
    assert_string_equal(kids_trace(), "");
    assert_null(sup_end_reason());
    sup_over();
}

/* EXIT of a temporary child comes after its DOWN, when it is forgotten: it is no order to stop. */
static void test_late_exit_of_a_forgotten_child(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 2);
    sup.child[1].restart = TEMPORARY;
    sup_run();
    (void)kids_trace();
    kid_end(1, EXIT_CRASH, 0);
    assert_string_equal(kids_trace(), "-b");
    assert_null(sup_end_reason());
    sup_over();
}

/* MOVED is no failure: it may happen any number of times, and says where to start again. */
static void test_moved_is_not_counted(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 1);
    sup.spec.intensity = 1;
    sup.spec.period_ms = 60000;
    sup_run();
    (void)kids_trace();
    for (int i = 0; i < 4; i++)
        kid_end(0, EXIT_MOVED, 0);
    assert_string_equal(kids_trace(), "-a +a -a +a -a +a -a +a");
    assert_null(sup_end_reason());
    sup_over();
}

static void build_three(const void *ctx)
{
    const int *first = ctx;

    for (int i = *first; i < *first + 3; i++) {
        struct child_spec spec = kid_spec(i, PERMANENT);

        sup_add(&spec);
    }
}

static void spawn_built(void *arg)
{
    struct sup_spec spec = {.strategy = ONE_FOR_ONE, .build = build_three};
    struct spawn spawn = {.ops = &supervisor_ops, .flags = PROC_LINK | PROC_MONITOR};
    int first = 2;

    (void)arg;
    spawn.arg = sup_new_arg(&spec, &first, sizeof(first));
    sup.pid = proc_spawn(&spawn);
}

static void test_build_adds_children(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 0);
    tw_do(spawn_built, NULL);
    assert_string_equal(kids_trace(), "+c +d +e");
    sup_over();
}

static proc_id found;

static void find_sup(void *arg)
{
    (void)arg;
    found = proc_whereis("sup");
}

static void test_registers_its_name(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 0);
    sup.spec.is_registered = true;
    sup_run();
    tw_do(find_sup, NULL);
    assert_true(found == sup.pid);
    sup_over();
}

static void test_same_id_twice_is_a_crash(void **state)
{
    (void)state;
    sup_prepare(ONE_FOR_ONE, 2);
    sup.child[1].id = "a";
    sup_run();
    assert_int_equal(sup_end_reason()->kind, EXIT_CRASH);
    sup_over();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_starts_in_order_and_stops_in_reverse),
        cmocka_unit_test(test_no_children),
        cmocka_unit_test(test_stop_waits_for_each),
        cmocka_unit_test(test_one_for_one),
        cmocka_unit_test(test_one_for_all),
        cmocka_unit_test(test_rest_for_one_keeps_the_elder),
        cmocka_unit_test(test_rest_for_one_of_the_youngest),
        cmocka_unit_test(test_elder_crashes_during_a_group_restart),
        cmocka_unit_test(test_sibling_crashes_during_a_group_restart),
        cmocka_unit_test(test_transient),
        cmocka_unit_test(test_group_restart_wakes_a_resting_child),
        cmocka_unit_test(test_temporary),
        cmocka_unit_test(test_permanent_that_ends_normally_is_restarted),
        cmocka_unit_test(test_significant_child_ends_its_supervisor),
        cmocka_unit_test(test_over_intensity_ends_all),
        cmocka_unit_test(test_intensity_forgets),
        cmocka_unit_test(test_intensity_of_nought),
        cmocka_unit_test(test_crash_in_init_counts),
        cmocka_unit_test(test_crash_in_init_for_ever_ends_all),
        cmocka_unit_test(test_crash_in_init_during_a_group_restart),
        cmocka_unit_test(test_naughty_child),
        cmocka_unit_test(test_stubborn_child_is_killed_in_time),
        cmocka_unit_test(test_shutdown_of_nought_kills_at_once),
        cmocka_unit_test(test_killed_supervisor_leaves_no_orphans),
        cmocka_unit_test(test_obeys_only_its_parent),
        cmocka_unit_test(test_late_exit_of_a_forgotten_child),
        cmocka_unit_test(test_moved_is_not_counted),
        cmocka_unit_test(test_build_adds_children),
        cmocka_unit_test(test_registers_its_name),
        cmocka_unit_test(test_same_id_twice_is_a_crash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
