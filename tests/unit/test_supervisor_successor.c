/*
 * test_supervisor_successor.c - a supervisor that fails is followed by another one only when all
 * its children have ended, however they end.
 *
 * The tree: root, the outer supervisor, the inner one, its kids c, d, e.
 */
#include "broker/runtime/supervisor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "tests/unit/test_world.h"

#include "tests/unit/sup_kids.h"

#define S UINT64_C(1000000)

static struct blob *inner_arg;
static struct child_spec inner_child[3];

static proc_id inner(void)
{
    return proc_whereis("inner");
}

static void prepare(void)
{
    static struct sup_spec spec;

    sup_prepare(ONE_FOR_ONE, 1);
    for (int i = 0; i < 3; i++)
        inner_child[i] = kid_spec(i + 2, PERMANENT);
    spec = (struct sup_spec){
        .strategy = ONE_FOR_ONE, .children = inner_child, .n = 3, .is_registered = true};
    inner_arg = sup_new_arg(&spec, NULL, 0);
    sup.child[0] = (struct child_spec){
        .id = "inner",
        .ops = &supervisor_ops,
        .arg = inner_arg,
        .shutdown_ms = SUP_WAIT,
        .scheduler = SCHED_SAME,
    };
}

static void over(void)
{
    blob_unref(inner_arg);
    sup_over();
}

static void kill_inner(void)
{
    rt_signal(inner(), EXIT_KILL, "by the test");
    tw_run_us(0);
}

static void assert_new_runs(unsigned n)
{
    for (int i = 2; i < 5; i++)
        assert_int_equal(kids.n_runs[i], n);
}

/* Its name is free at once, and others hear of it; what follows it comes when the slow one ends. */
static void test_slow_child_is_awaited(void **state)
{
    proc_id old;

    (void)state;
    prepare();
    kids.is_slow[3] = true;
    sup_run();
    (void)kids_trace();
    old = inner();
    kill_inner();
    assert_int_equal(inner(), 0);
    assert_new_runs(1);
    kids.is_slow[3] = false;
    tw_run_us(S - 1000);
    assert_new_runs(1);
    tw_run_us(1000);
    assert_new_runs(2);
    assert_string_equal(kids_trace() + 6, "-d +c +d +e"); /* behind -c and -e in some order */
    assert_true(inner() != 0 && inner() != old);
    over();
}

/* One that does not end is killed after its time, one with no time at once. */
static void test_late_child_is_killed(void **state)
{
    (void)state;
    prepare();
    inner_child[2].shutdown_ms = 0;
    kids.is_stubborn[2] = kids.is_stubborn[3] = kids.is_stubborn[4] = true;
    inner_child[0].shutdown_ms = 3000;
    sup_run();
    (void)kids_trace();
    kill_inner();
    assert_string_equal(kids_trace(), "-e");
    tw_run_us(3 * S);
    assert_string_equal(kids_trace(), "-c");
    assert_new_runs(1);
    tw_run_us(2 * S);
    assert_string_equal(kids_trace(), "-d +c +d +e");
    over();
}

static void test_child_without_link_is_killed(void **state)
{
    (void)state;
    prepare();
    sup_run();
    kid_unlink(3);
    kill_inner();
    assert_new_runs(2);
    assert_int_equal(rt_live_procs(), 6); /* root, two supervisors, three kids */
    over();
}

/* Those whose DOWN was on its way when the supervisor failed are not waited for again. */
static void test_children_end_with_it(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        prepare();
        tw.seed = seed * 2654435761u | 1;
        sup_run();
        for (int i = 2; i < 5; i++)
            rt_signal(kids.pid[i], EXIT_KILL, "by the test");
        rt_signal(inner(), EXIT_KILL, "by the test");
        tw_run_us(0);
        assert_int_equal(rt_live_procs(), 6);
        over();
    }
}

/* The outer one is stopped meanwhile: it waits for the inner one's children, too. */
static void test_stopped_while_it_lingers(void **state)
{
    (void)state;
    prepare();
    kids.is_slow[2] = true;
    sup_run();
    kill_inner();
    assert_new_runs(1);
    sup_signal(EXIT_SHUTDOWN);
    assert_null(sup_end_reason());
    tw_run_us(S);
    assert_non_null(sup_end_reason());
    assert_int_equal(sup_end_reason()->kind, EXIT_SHUTDOWN);
    assert_new_runs(1);
    assert_int_equal(rt_live_procs(), 1);
    over();
}

/* Killed twice: the second one is for its children. */
static void test_kill_goes_on_to_the_children(void **state)
{
    proc_id old;

    (void)state;
    prepare();
    kids.is_stubborn[2] = true;
    inner_child[0].shutdown_ms = SUP_WAIT;
    sup_run();
    old = inner();
    kill_inner();
    kids.is_stubborn[2] = false; /* its next run */
    assert_new_runs(1);
    rt_signal(old, EXIT_KILL, "by the test");
    tw_run_us(0);
    assert_new_runs(2);
    over();
}

/* Nobody waits for ever: what has no time of its own has a minute. */
static void test_end_of_patience(void **state)
{
    proc_id old;

    (void)state;
    prepare();
    kids.is_stubborn[2] = true;
    inner_child[0].shutdown_ms = SUP_WAIT;
    sup_run();
    old = kids.pid[2];
    kill_inner();
    kids.is_stubborn[2] = false;
    tw_run_us(59 * S);
    assert_new_runs(1);
    tw_run_us(7 * S);
    assert_new_runs(2);
    rt_signal(old, EXIT_KILL, "by the test");
    tw_run_us(0);
    over();
}

/* Dynamic temporary children are started by nobody again: they are not in the way. */
static void start_temporary(void *arg)
{
    struct child_spec spec = kid_spec(5, TEMPORARY);

    (void)arg;
    sup_cast_start_child(inner(), &spec);
}

static void test_temporary_child_is_not_awaited(void **state)
{
    (void)state;
    prepare();
    kids.is_slow[5] = true;
    sup_run();
    tw_do(start_temporary, NULL);
    assert_int_equal(kids.n_runs[5], 1);
    kill_inner();
    assert_new_runs(2);
    assert_int_equal(rt_live_procs(), 7);
    tw_run_us(S);
    assert_int_equal(rt_live_procs(), 6);
    over();
}

/* A store: it ends on a thread of the pool, when its callback comes back from the disk. */
static struct {
    atomic_uint n_inits, n_living, n_met;
    _Atomic proc_id sup, store;
    atomic_bool is_busy;
} real;

enum { BLOCK = MSG_USER + 1 };

static void store_gone(void *arg)
{
    (void)arg;
    atomic_fetch_sub(&real.n_living, 1);
}

static void store_init(void *state, const void *arg)
{
    (void)state, (void)arg;
    if (atomic_fetch_add(&real.n_living, 1) > 0)
        atomic_fetch_add(&real.n_met, 1);
    proc_at_exit(store_gone, NULL);
    atomic_store(&real.sup, proc_parent());
    atomic_store(&real.store, proc_self());
    atomic_fetch_add(&real.n_inits, 1);
}

static void store_handle(void *state, struct msg *m)
{
    const struct timespec disk = {.tv_nsec = 20000000};

    (void)state;
    if (m->type != BLOCK)
        return;
    atomic_store(&real.is_busy, true);
    nanosleep(&disk, NULL);
}

static const struct proc_ops store_ops = {
    .kind = "store",
    .state_size = 1,
    .flags = PROC_OPS_BLOCKING,
    .init = store_init,
    .handle = store_handle,
};

static void real_crash(const struct crash_report *r)
{
    (void)r;
}

/* With a limit of a minute, on a machine that may be slow. */
static void await_true(bool (*is)(unsigned), unsigned n)
{
    const struct timespec nap = {.tv_nsec = 1000000};

    for (unsigned i = 0; i < 60000 && !is(n); i++)
        nanosleep(&nap, NULL);
    assert_true(is(n));
}

static bool has_started(unsigned n)
{
    return atomic_load(&real.n_inits) == n;
}

static bool is_busy(unsigned n)
{
    (void)n;
    return atomic_load(&real.is_busy);
}

static void test_blocking_child_is_awaited(void **state)
{
    static const struct child_spec store = {
        .id = "store", .ops = &store_ops, .restart = PERMANENT, .shutdown_ms = 5000};
    struct sup_spec in = {.strategy = ONE_FOR_ONE, .children = &store, .n = 1};
    struct child_spec in_child = {.id = "in",
                                  .ops = &supervisor_ops,
                                  .shutdown_ms = SUP_WAIT,
                                  .scheduler = SCHED_ANY,
                                  .arg = sup_new_arg(&in, NULL, 0)};
    struct sup_spec out = {.strategy = ONE_FOR_ONE,
                           .children = &in_child,
                           .n = 1,
                           .intensity = 1000,
                           .period_ms = 1000};
    struct rt_config config = {.schedulers = 2, .pool_threads = 4, .on_crash = real_crash};
    struct spawn root = {.ops = &supervisor_ops, .arg = sup_new_arg(&out, NULL, 0)};
    struct exit_reason why;
    proc_id top;

    (void)state;
    assert_int_equal(rt_start(&config), 0);
    top = rt_spawn_root(&root);
    for (unsigned n = 1; n <= 10; n++) {
        await_true(has_started, n);
        atomic_store(&real.is_busy, false);
        rt_send(atomic_load(&real.store), MSG_NEW(BLOCK, struct msg));
        await_true(is_busy, 0);
        rt_signal(atomic_load(&real.sup), EXIT_KILL, "by the test");
    }
    await_true(has_started, 11);
    rt_signal(top, EXIT_SHUTDOWN, "the test is over");
    rt_wait(&why);
    assert_int_equal(why.kind, EXIT_SHUTDOWN);
    assert_int_equal(atomic_load(&real.n_met), 0);
    assert_int_equal(rt_live_procs(), 0);
    blob_unref(in_child.arg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slow_child_is_awaited),
        cmocka_unit_test(test_late_child_is_killed),
        cmocka_unit_test(test_child_without_link_is_killed),
        cmocka_unit_test(test_children_end_with_it),
        cmocka_unit_test(test_stopped_while_it_lingers),
        cmocka_unit_test(test_kill_goes_on_to_the_children),
        cmocka_unit_test(test_end_of_patience),
        cmocka_unit_test(test_temporary_child_is_not_awaited),
        cmocka_unit_test(test_blocking_child_is_awaited),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
