/*
 * test_proc.c - processes on one thread: spawn, links, monitors, exits, heap, timers, names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/agents.h"

static unsigned n_hooks, hook_order[8];

static void do_tell(struct msg *m, uintptr_t arg)
{
    (void)m;
    tell(agents[arg & 15].pid, arg >> 4);
}

static void do_link(struct msg *m, uintptr_t arg)
{
    (void)m;
    proc_link(agents[arg].pid);
}

static void do_unlink(struct msg *m, uintptr_t arg)
{
    (void)m;
    proc_unlink(agents[arg].pid);
}

static void do_kill(struct msg *m, uintptr_t arg)
{
    (void)m;
    proc_signal(agents[arg].pid, EXIT_KILL, 0, "kill");
}

static void spawned_process_runs_init_then_what_was_sent(void **state)
{
    (void)state;
    start(2, 0);
    assert_int_equal(agents[0].n_init, 1);
    act(0, do_tell, 1 | 5 << 4);
    act(0, do_tell, 1 | 6 << 4);
    assert_int_equal(agents[1].n, 2);
    assert_int_equal(agents[1].note[0].value, 5);
    assert_int_equal(agents[1].note[1].value, 6);
    assert_int_equal(agents[1].note[1].from, agents[0].pid);
    assert_true(agents[1].n_flush >= 2);
    stop();
}

static void exit_tells_monitor_with_reason(void **state)
{
    const struct note *n;

    (void)state;
    start(2, 0);
    act(0, do_monitor, 1);
    act(1, do_fail, 1);
    n = noted(0, MSG_DOWN);
    assert_non_null(n);
    assert_int_equal(n->ref, last_ref);
    assert_int_equal(n->from, agents[1].pid);
    assert_int_equal(n->why.kind, EXIT_CRASH);
    assert_string_equal(n->why.text, "CHECK(arg == 77)");
    assert_non_null(strstr(n->why.file, "agents.h"));
    assert_int_equal(tw.n_crashes, 1);
    assert_int_equal(tw.last_crash.msg_type, DO);
    stop();
}

static void monitor_of_the_dead_is_down_noproc(void **state)
{
    (void)state;
    start(2, 0);
    act(1, do_exit, EXIT_NORMAL);
    act(0, do_monitor, 1);
    assert_int_equal(noted(0, MSG_DOWN)->why.kind, EXIT_NOPROC);
    assert_int_equal(count_notes(0, MSG_DOWN), 1);
    stop();
}

static void link_spreads_unless_normal(void **state)
{
    (void)state;
    start(4, 0);
    act(0, do_link, 1);
    act(0, do_link, 2);
    act(2, do_exit, EXIT_NORMAL);
    act(0, do_tell, 1 | 1 << 4);
    assert_int_equal(agents[1].n, 1); /* both live */
    act(1, do_fail, 0);
    act(3, do_monitor, 0);
    assert_int_equal(noted(3, MSG_DOWN)->why.kind, EXIT_NOPROC);
    stop();
}

static void kill_is_not_trapped_and_links_hear_killed(void **state)
{
    const struct note *n;

    (void)state;
    start(3, PROC_TRAP_EXIT);
    act(0, do_link, 1);
    act(2, do_kill, 1);
    n = noted(0, MSG_EXIT);
    assert_non_null(n); /* trapped, so it lives and notes it */
    assert_int_equal(n->why.kind, EXIT_KILLED);
    assert_int_equal(agents[1].n, 0); /* the victim saw nothing */
    assert_int_equal(agents[1].n_terminate, 0);
    stop();
}

static void nothing_arrives_after_unlink(void **state)
{
    (void)state;
    start(2, PROC_TRAP_EXIT);
    act(0, do_link, 1);
    act(0, do_unlink, 1);
    act(1, do_fail, 0);
    assert_null(noted(0, MSG_EXIT));
    stop();
}

static void do_alloc_and_fail(struct msg *m, uintptr_t arg)
{
    void *p[8];

    for (unsigned i = 0; i < 8; i++)
        p[i] = proc_alloc(100 * (i + 1));
    proc_free(p[3]);
    p[4] = proc_realloc(p[4], 10000);
    memset(p[4], 1, 10000);
    CHECK(proc_heap_bytes() == 3600 - 400 - 500 + 10000);
    do_keep(m, 0);
    CHECK(arg == 77);
}

static void crash_frees_heap_and_messages(void **state)
{
    (void)state;
    start(1, 0);
    act(0, do_alloc_and_fail, 0);
    assert_string_equal(tw.last_crash.why.text, "CHECK(arg == 77)");
    assert_int_equal(tw.last_crash.heap_bytes, 3600 - 400 - 500 + 10000);
    assert_false(tw.last_crash.leaked);
    stop();
}

static void do_spend(struct msg *m, uintptr_t arg)
{
    (void)m;
    for (;;)
        (void)proc_alloc(arg);
}

static void heap_has_a_limit(void **state)
{
    (void)state;
    start(1, 0);
    act(0, do_spend, 1ULL << 60);
    assert_int_equal(tw.last_crash.why.kind, EXIT_HEAP);
    stop();
}

static void do_overwrite(struct msg *m, uintptr_t arg)
{
    char *first = proc_alloc(64);
    volatile char *second = proc_alloc(64); /* volatile, or the compiler drops what is not read */

    (void)m;
    /* The header of the block that is freed first lies below its bytes. */
    for (int i = 1; i <= 32; i++)
        second[-i] = 0x5a;
    CHECK(first == NULL || arg == 77);
}

/* In a child of its own, because a leak is what is wanted. */
static void damaged_heap_is_left_and_counted(void **state)
{
    int status;
    pid_t child = fork();

    (void)state;
    if (child == 0) {
        start(1, 0);
        act(0, do_overwrite, 0);
        _exit(tw.last_crash.leaked && rt_live_procs() == 1 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void hook(void *arg)
{
    hook_order[n_hooks++ & 7] = (unsigned)(uintptr_t)arg;
}

static void do_hooks(struct msg *m, uintptr_t arg)
{
    (void)m;
    for (uintptr_t i = 1; i <= 3; i++)
        proc_at_exit(hook, (void *)i);
    proc_at_exit_cancel(hook, (void *)2);
    CHECK(arg == 77);
}

static void hooks_run_newest_first(void **state)
{
    (void)state;
    start(1, 0);
    n_hooks = 0;
    act(0, do_hooks, 0);
    assert_int_equal(n_hooks, 2);
    assert_int_equal(hook_order[0], 3);
    assert_int_equal(hook_order[1], 1);
    stop();
}

static void terminate_runs_after_a_normal_end_only(void **state)
{
    (void)state;
    start(3, 0);
    act(0, do_exit, EXIT_NORMAL);
    assert_int_equal(agents[0].n_terminate, 1);
    assert_int_equal(agents[0].terminated.code, 42);
    assert_string_equal(agents[0].terminated.text, "told to, by the test");
    act(1, do_fail, 0);
    assert_int_equal(agents[1].n_terminate, 0);
    act(2, do_kill, 2);
    assert_int_equal(agents[2].n_terminate, 0);
    stop();
}

static void do_timers(struct msg *m, uintptr_t arg)
{
    (void)m;
    (void)proc_timer(3000); /* the order of what arrives is what is tested */
    (void)proc_timer(1000);
    last_ref = proc_timer(2000);
    if (arg)
        (void)proc_timer_coarse(300000);
}

static void timers_come_in_order_and_cancelled_ones_never(void **state)
{
    (void)state;
    start(1, 0);
    act(0, do_timers, 1);
    act(0, do_cancel, 0);
    tw_run_us(2500);
    assert_int_equal(agents[0].n, 1);
    tw_run_us(1000);
    assert_int_equal(agents[0].n, 2);
    assert_int_not_equal(agents[0].note[1].ref, last_ref);
    tw_run_us(290000);
    assert_int_equal(agents[0].n, 2); /* the coarse one is never early */
    tw_run_us(260000);
    assert_int_equal(agents[0].n, 3);
    act(0, do_timers, 1);
    act(0, do_exit, EXIT_NORMAL);
    tw_run_us(1000000);
    stop();
}

static void do_register(struct msg *m, uintptr_t arg)
{
    (void)m;
    tell(proc_self(), (uint64_t)-proc_register((const char *)arg));
}

static void names_are_unique_and_go_with_their_owner(void **state)
{
    (void)state;
    start(2, 0);
    act(0, do_register, (uintptr_t) "one");
    act(1, do_register, (uintptr_t) "one");
    assert_int_equal(agents[0].note[0].value, 0);
    assert_true(agents[1].note[0].value != 0);
    assert_int_equal(proc_whereis("one"), agents[0].pid);
    act(0, do_fail, 0);
    assert_int_equal(proc_whereis("one"), 0);
    act(1, do_register, (uintptr_t) "one");
    assert_int_equal(proc_whereis("one"), agents[1].pid);
    stop();
    assert_int_equal(proc_whereis("one"), 0);
}

static void spawn_flags_tell_the_parent(void **state)
{
    (void)state;
    start(0, 0);
    tw_do(spawn_now, (void *)(uintptr_t)(0 | (PROC_NOTIFY | PROC_MONITOR | PROC_LINK) << 4));
    assert_non_null(tw_find(MSG_STARTED, 0));
    assert_int_equal(tw_find(MSG_STARTED, 0)->from, agents[0].pid);
    act(0, do_fail, 0);
    assert_int_equal(tw_find(MSG_DOWN, 0)->ref, agents[0].pid);
    assert_int_equal(tw_find(MSG_EXIT, 0)->from, agents[0].pid);
    stop();
}

static void crash_in_init_is_down_and_leaks_nothing(void **state)
{
    (void)state;
    start(0, 0);
    rt_inject_init("agent");
    tw_do(spawn_now, (void *)(uintptr_t)(0 | (PROC_NOTIFY | PROC_MONITOR) << 4));
    rt_inject_init(NULL);
    assert_null(tw_find(MSG_STARTED, 0));
    assert_int_equal(tw_find(MSG_DOWN, 0)->why.kind, EXIT_CRASH);
    assert_int_equal(agents[0].n_init, 0);
    stop();
}

static void do_continue(struct msg *m, uintptr_t arg)
{
    (void)m;
    tell(proc_self(), 1);
    proc_continue();
    proc_continue();
    tell(proc_self(), arg);
}

static void continue_is_queued_once_behind_what_waits(void **state)
{
    (void)state;
    start(1, 0);
    act(0, do_continue, 2);
    assert_int_equal(agents[0].n, 3);
    assert_int_equal(agents[0].note[0].value, 1);
    assert_int_equal(agents[0].note[1].type, MSG_CONTINUE);
    stop();
}

static void do_suspend(struct msg *m, uintptr_t arg)
{
    (void)m;
    rt_suspend(agents[arg & 15].pid, arg >> 4);
}

static void suspended_process_serves_its_high_lane_only(void **state)
{
    (void)state;
    start(2, 0);
    act(0, do_suspend, 1 | 1 << 4);
    act(0, do_tell, 1 | 1 << 4);
    assert_int_equal(agents[1].n, 0);
    act(0, do_suspend, 1);
    assert_int_equal(agents[1].n, 1);
    act(0, do_suspend, 1 | 1 << 4);
    act(0, do_kill, 1);
    act(0, do_monitor, 1);
    assert_int_equal(noted(0, MSG_DOWN)->why.kind, EXIT_NOPROC);
    stop();
}

static void do_inspect(void *arg)
{
    last_ref = rt_inspect(agents[(uintptr_t)arg].pid, 1000);
}

static void inspect_answers_with_text(void **state)
{
    (void)state;
    start(2, 0);
    act(1, do_tell, 0 | 1 << 4);
    tw_do(do_inspect, (void *)0);
    assert_string_equal(tw.text, "{\"notes\":1}");
    act(0, do_exit, EXIT_NORMAL);
    tw_do(do_inspect, (void *)0);
    assert_int_equal(tw_answer(last_ref)->type, MSG_DOWN);
    stop();
}

static void do_list(struct msg *m, uintptr_t arg)
{
    (void)m;
    (void)arg;
    last_ref = rt_list_processes(1000);
}

static void listing_is_gathered(void **state)
{
    (void)state;
    start(3, 0);
    act(0, do_list, 0);
    assert_int_equal(noted(0, MSG_USER)->ref, last_ref);
    stop();
}

static void do_monitor_crowd(struct msg *m, uintptr_t arg)
{
    (void)m;
    for (unsigned i = 0; i < 10000; i++) {
        last_ref = proc_monitor(agents[arg].pid);
        if (i != 5000)
            proc_cancel(last_ref);
    }
}

static void ten_thousand_monitors_cost_no_more_each(void **state)
{
    (void)state;
    start(2, 0);
    act(0, do_monitor_crowd, 1);
    act(1, do_fail, 0);
    assert_int_equal(count_notes(0, MSG_DOWN), 1);
    stop();
}

static void kill_all_leaves_nothing(void **state)
{
    struct ask ask = {.to = 1, .fn = do_keep, .timeout_us = 1000000};

    (void)state;
    start(3, PROC_TRAP_EXIT);
    act(0, do_call, (uintptr_t)&ask);
    act(0, do_link, 2);
    act(1, do_timers, 1);
    rt_kill_all();
    assert_int_equal(rt_live_procs(), 0);
    assert_int_equal(rt_live_msgs(), 0);
    assert_int_equal(agents[0].n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spawned_process_runs_init_then_what_was_sent),
        cmocka_unit_test(exit_tells_monitor_with_reason),
        cmocka_unit_test(monitor_of_the_dead_is_down_noproc),
        cmocka_unit_test(link_spreads_unless_normal),
        cmocka_unit_test(kill_is_not_trapped_and_links_hear_killed),
        cmocka_unit_test(nothing_arrives_after_unlink),
        cmocka_unit_test(crash_frees_heap_and_messages),
        cmocka_unit_test(heap_has_a_limit),
        cmocka_unit_test(damaged_heap_is_left_and_counted),
        cmocka_unit_test(hooks_run_newest_first),
        cmocka_unit_test(terminate_runs_after_a_normal_end_only),
        cmocka_unit_test(timers_come_in_order_and_cancelled_ones_never),
        cmocka_unit_test(names_are_unique_and_go_with_their_owner),
        cmocka_unit_test(spawn_flags_tell_the_parent),
        cmocka_unit_test(crash_in_init_is_down_and_leaks_nothing),
        cmocka_unit_test(continue_is_queued_once_behind_what_waits),
        cmocka_unit_test(suspended_process_serves_its_high_lane_only),
        cmocka_unit_test(inspect_answers_with_text),
        cmocka_unit_test(listing_is_gathered),
        cmocka_unit_test(ten_thousand_monitors_cost_no_more_each),
        cmocka_unit_test(kill_all_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
